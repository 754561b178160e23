"""The label views of a request: every label assignment under which it is decided (ADR 0004).

A label trusts some origins. A weaker origin with another value does not replace the trusted value:
it adds label views, one for each mixture of trusted and weaker values. The request is decided under
every view and the strictest decision stands, so a claim, or any single part of a payload, can
tighten a decision and never loosen it.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

from msgspec.structs import replace

from forestall.facts.derive import LabelView, derive
from forestall.facts.origin import Origin
from forestall.limits import VIEWS_MAX
from forestall.policy.arguments import compile_amount, parse_path
from forestall.policy.explanation import UnreadPlace
from forestall.policy.read_set import ReadSet
from forestall.policy.request import Request, arguments_of, payload_parts
from forestall.policy.rules import LabelConflict
from forestall.policy.snapshot import Snapshot

_NO_LABELS: LabelView = {}
_VIEWS_DECIDED_MAX = 4 * VIEWS_MAX  # up to three disagreeing origins for each derived view


class TooManyViewsError(ValueError):
    """The derivations find more in a payload than can be decided one by one."""


class LabelViews(NamedTuple):
    """The label views to decide under (never empty), and the labels on which origins disagreed."""

    views: tuple[LabelView, ...]
    conflicts: tuple[LabelConflict, ...]


def views_of(snapshot: Snapshot, request: Request, reads: ReadSet | None = None) -> LabelViews:
    """Derive labels, resolve trust, and list every distinct assignment of the labels that rules
    read.

    `reads` replaces the read set of the snapshot; output rules have one of their own. Raises
    TooManyViewsError.
    """
    reads = reads or snapshot.reads
    read = reads.labels
    claimed = _only(request.labels, read)
    derived = _derived_views(reads, request)
    if (
        derived is None
        and not request.credential_labels
        and not request.server_labels
        and snapshot.label_trust.keys().isdisjoint(claimed)
    ):
        return LabelViews((claimed,), ())
    views: dict[tuple[tuple[str, str], ...], LabelView] = {}
    conflicts: dict[LabelConflict, None] = {}
    for view in derived or (_NO_LABELS,):
        sources = {
            Origin.SERVER: _only(request.server_labels, read),
            Origin.CREDENTIAL: _only(request.credential_labels, read),
            Origin.DERIVED: _only(view, read),
            Origin.CLAIMED: claimed,
        }
        trusted = _trusted_labels(sources, snapshot.label_trust)
        _add(views, trusted)
        differing: list[LabelConflict] = []
        for origin in (Origin.CREDENTIAL, Origin.DERIVED, Origin.CLAIMED):
            weaker = _disagreements(sources[origin], trusted, origin)
            if weaker:
                differing += weaker
                _add(views, {**trusted, **{item.label: item.value for item in weaker}})
        conflicts.update(dict.fromkeys(differing))
        for labels in _mixtures(trusted, differing):
            _add(views, labels)
    return LabelViews(tuple(views.values()), tuple(conflicts))


def _only(labels: LabelView, read: frozenset[str]) -> LabelView:
    """The labels that some rule reads. Other labels can change no decision and are no conflict."""
    if not labels or labels.keys() <= read:
        return labels
    return {name: value for name, value in labels.items() if name in read}


class RequestVariants(NamedTuple):
    """The requests to decide in place of one (never empty), and what they differ in."""

    requests: tuple[Request, ...]
    conflicts: tuple[LabelConflict, ...]


def variants_of(
    snapshot: Snapshot, request: Request, reads: ReadSet | None = None
) -> RequestVariants:
    """The request under each actor, and with each document that can be its arguments.

    An actor is the proven principal, and the one that the client claims instead. A document is
    `args`, and `args` with the members of the context over them: what is sent in two places is
    decided under both. Only one request results where no rule reads the difference.
    """
    reads = reads or snapshot.reads
    requests: tuple[Request, ...] = (request,)
    conflicts: list[LabelConflict] = []
    proven = request.principal
    if proven and request.actor_id != proven and reads.actors:
        by_proven = replace(request, actor_id=proven)
        requests = (by_proven, request) if request.actor_id else (by_proven,)
        if request.actor_id:
            conflicts.append(_claimed("actor_id", request.actor_id, proven))
    if reads.arguments:
        context = _second_place(request)
        if context is not None and isinstance(context, reads.arguments):
            places: list[str] = []
            over = _overlaid(request.args, context, places)
            requests += tuple(replace(each, arguments=over) for each in requests)
            if places:
                conflicts.append(_claimed("args", "context", "args"))
    return RequestVariants(requests, tuple(conflicts))


def largest_amount(path: str, request: Request) -> int:
    """The largest amount at a path of the documents that can be the arguments of a request, in
    millionths. Raises ArgumentError where one of them has no amount."""
    amount = compile_amount(path)
    documents = [arguments_of(request)]
    kind = dict if isinstance(parse_path(path)[0], str) else list
    context = _second_place(request)
    if isinstance(context, kind):
        documents.append(_overlaid(request.args, context, []))
    return max(map(amount, documents))


def _second_place(request: Request) -> Any:
    """The context where it stands beside `args`; else None."""
    if request.args is None or not request.payload:
        return None
    return request.payload.get("context")


def _claimed(label: str, value: str, trusted_value: str) -> LabelConflict:
    """A difference that is no label's, reported beside conflicts of labels. For arguments it names
    the two places: the values may be secrets."""
    return LabelConflict(label=label, origin="claimed", value=value, trusted_value=trusted_value)


def _overlaid(under: Any, over: Any, conflicts: list[str], name: str = "") -> Any:
    """Two documents as one: objects are united, and elsewhere `over` stands. Adds the name of a
    member to `conflicts` where both have a value and not the same one."""
    if isinstance(under, dict) and isinstance(over, dict):
        both = {
            key: _overlaid(under[key], value, conflicts, key) if key in under else value
            for key, value in over.items()
        }
        return {**under, **both}
    # `1 == True` in Python, and not in JSON.
    if type(under) is not type(over) or under != over or isinstance(over, list):
        conflicts.append(name)
    return over


def _derived_views(reads: ReadSet, request: Request) -> tuple[LabelView, ...] | None:
    """The label views of every derivation that applies to the topic; None when none applies."""
    readings = reads.readings_of(request.topic)
    if not readings:
        return None
    parts = payload_parts(request)
    return tuple(view for each in readings for view in derive(each, parts, reads.labels))


def unread_places(snapshot: Snapshot, request: Request) -> tuple[UnreadPlace, ...]:
    """The places with unread texts, in the order of the payload. Raises TooMuchToDeriveError."""
    readings = snapshot.reads.readings_of(request.topic)
    parts = payload_parts(request) if readings else ()
    return tuple(
        UnreadPlace(place, each.kind) for each in readings for place in each.texts_of(parts).unread
    )


def programs_run(snapshot: Snapshot, request: Request) -> set[str]:
    """The programs that a payload runs, as derivers name them. Raises TooMuchToDeriveError."""
    readings = snapshot.reads.readings_of(request.topic)
    parts = payload_parts(request) if readings else ()
    views = (view for each in readings for view in derive(each, parts, snapshot.reads.labels))
    return {view.get(label, "") for view in views for label in ("command_program", "cluster_tool")}


def _trusted_labels(
    sources: Mapping[Origin, LabelView], trust: Mapping[str, Origin]
) -> dict[str, str]:
    """The labels that trusted origins give. Origins are applied from the weakest to the strongest,
    so that the strongest one stands."""
    labels: dict[str, str] = {}
    for origin in (Origin.CLAIMED, Origin.DERIVED, Origin.CREDENTIAL, Origin.SERVER):
        labels.update(
            (label, value)
            for label, value in sources[origin].items()
            if origin >= trust.get(label, Origin.CLAIMED)
        )
    return labels


def _disagreements(
    source: LabelView, trusted: Mapping[str, str], origin: Origin
) -> list[LabelConflict]:
    """The labels to which an origin gives another value than the trusted one, or the only one."""
    return [
        LabelConflict(
            label=label, origin=origin.name.lower(), value=value, trusted_value=trusted.get(label)
        )
        for label, value in source.items()
        if trusted.get(label) != value
    ]


def _mixtures(trusted: LabelView, differing: Sequence[LabelConflict]) -> Iterator[LabelView]:
    """Every assignment in which each label has its trusted value or one of a weaker origin.

    One view for each origin is not enough: of two claims the first may hide the rule that the
    second would meet, and with both in one view nobody sees it. Raises TooManyViewsError.
    """
    values: dict[str, list[str]] = {}
    for item in differing:
        values.setdefault(item.label, []).append(item.value)
    if len(values) < 2:  # then the view of each origin is all there is
        return
    if prod(len(each) + 1 for each in values.values()) > _VIEWS_DECIDED_MAX:
        raise TooManyViewsError
    names = sorted(values)
    for chosen in product(*((None, *values[name]) for name in names)):
        weaker = zip(names, chosen, strict=True)
        yield {**trusted, **{name: value for name, value in weaker if value is not None}}


def _add(views: dict[tuple[tuple[str, str], ...], LabelView], labels: LabelView) -> None:
    """Add a label view unless an equal one is there. Raises TooManyViewsError past the bound."""
    views[tuple(sorted(labels.items()))] = labels
    if len(views) > _VIEWS_DECIDED_MAX:
        raise TooManyViewsError  # the evaluator turns it into a rule error, which denies
