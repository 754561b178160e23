"""Which label assignments one request is decided under (ADR 0004).

A label accepts values from its trusted origins. A weaker origin that says something else does not
replace the trusted value: it adds a view. Deciding under every view and keeping the strictest
decision means that a claim, and any single part of a payload, can tighten and never loosen.
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from forestall.facts.derive import LabelView, derive
from forestall.facts.origin import Origin
from forestall.limits import VIEWS_MAX
from forestall.policy.read_set import Reads
from forestall.policy.request import Request
from forestall.policy.rules import LabelConflict
from forestall.policy.snapshot import Snapshot

_NO_LABELS: LabelView = {}
_VIEWS_DECIDED_MAX = 4 * VIEWS_MAX  # up to three disagreeing origins beside each


class TooManyViewsError(ValueError):
    """Overlapping derivations see more in a payload than can be decided one by one."""


class Views(NamedTuple):
    """The views to decide under (never empty) and where origins disagreed."""

    views: tuple[LabelView, ...]
    conflicts: tuple[LabelConflict, ...]


def views_of(snapshot: Snapshot, request: Request, reads: Reads | None = None) -> Views:
    """Derive, resolve trust, and list every distinct assignment of the labels that rules read.

    `reads` is what other rules than those of the gates look at: output rules.
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
        return Views((claimed,), ())
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
        for origin in (Origin.CREDENTIAL, Origin.DERIVED, Origin.CLAIMED):
            weaker = _disagreements(sources[origin], trusted, origin)
            if weaker:
                conflicts.update(dict.fromkeys(weaker))
                _add(views, {**trusted, **{item.label: item.value for item in weaker}})
    return Views(tuple(views.values()), tuple(conflicts))


def _only(labels: LabelView, read: frozenset[str]) -> LabelView:
    """The labels that some rule reads; the others can neither decide nor disagree."""
    if not labels or labels.keys() <= read:
        return labels
    return {name: value for name, value in labels.items() if name in read}


def actors_of(
    snapshot: Snapshot, request: Request, reads: Reads | None = None
) -> tuple[Request, ...]:
    """The request under each actor: the proven one, and the one that the client names instead."""
    proven = request.principal
    if not proven or request.actor_id == proven or not (reads or snapshot.reads).actors:
        return (request,)
    by_proven = replace(request, actor_id=proven)
    return (by_proven, request) if request.actor_id else (by_proven,)


def _derived_views(reads: Reads, request: Request) -> tuple[LabelView, ...] | None:
    """The views of every derivation that applies to the topic; None when none does."""
    derivations = reads.derivations_of(request.topic)
    if not derivations:
        return None
    return tuple(view for each in derivations for view in derive(each, request.payload))


def _trusted_labels(
    sources: Mapping[Origin, LabelView], trust: Mapping[str, Origin]
) -> dict[str, str]:
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
    return [
        LabelConflict(
            label=label, origin=origin.name.lower(), value=value, trusted_value=trusted.get(label)
        )
        for label, value in source.items()
        if trusted.get(label) != value
    ]


def _add(views: dict[tuple[tuple[str, str], ...], LabelView], labels: LabelView) -> None:
    views[tuple(sorted(labels.items()))] = labels
    if len(views) > _VIEWS_DECIDED_MAX:
        raise TooManyViewsError  # a rule error, which denies
