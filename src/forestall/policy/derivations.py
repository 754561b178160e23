"""The derivations of all files together: how payloads of a topic are read. They add up.

A `derive` entry speaks for the rules of its own file. So adding a file can make more of a payload
parsed, and can never weaken what another file decides:

* A default derivation applies to every file whose rules read a label of its kind on the topic, and
  goes away only for a file that says `danger_no_default_derivations: true`.
* A place that any file reads is parsed, and its label views are decided under by all files.
* A place counts as read or ignored only when each file that takes part on the topic declares it: by
  its own `fields` and `ignore`, or by a default derivation. Else its text is unread.
* A dialect or workspace of a file is in place of the default's for that file, and its own programs
  stand beside the built-in ones for that file. While another file goes by other terms, the texts
  are parsed on both: a command that an own program makes `read` stays `unknown` to a file that does
  not use the program, and the strictest decision stands.

A file takes part when it has an entry of the kind for the topic, or when a default derivation
applies to it. Where only other files derive a kind, a file is content with what they declare; what
they find can loosen a rule of the file only if it says so (`foreign_labels`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from forestall.facts.derive import (
    DEFAULT_DERIVATIONS,
    DERIVED_LABELS,
    LABELS_OF_KIND,
    Derivation,
    PayloadKind,
    PayloadReading,
)
from forestall.facts.payload import Places
from forestall.facts.payload_places import DeclaredPlaces
from forestall.limits import GLOB_MEMO_ENTRIES_MAX
from forestall.policy.globs import Matcher, compile_globs
from forestall.policy.own_programs import table_of, without_examples
from forestall.policy.rules import Match, Policy

if TYPE_CHECKING:
    from forestall.facts.shell.program_table import ProgramTable

_KINDS_OF_LABEL = {
    label: tuple(kind for kind, labels in LABELS_OF_KIND.items() if label in labels)
    for label in DERIVED_LABELS
}
_READINGS_KEPT = 256  # distinct ones; a policy has about one for each kind
_TOPIC_GLOBS_MAX = 64  # of the rules that read a kind; with more, every topic counts as theirs


class _FileDerivations(NamedTuple):
    """The derivations of one file, and the topics on which its rules read each kind."""

    entries: tuple[tuple[Matcher, Derivation], ...]
    with_defaults: bool
    programs: "ProgramTable | None"
    reads: dict[PayloadKind, Matcher]


class Derivations:
    """The derivations of some policies."""

    __slots__ = ("_any_defaults", "_defaults", "_files", "_memo")

    def __init__(
        self, policies: Sequence[Policy], matches_of: Callable[[Policy], Iterable[Match]]
    ) -> None:
        """`matches_of` gives the matches of a policy whose labels count."""
        self._defaults = tuple(matched(DEFAULT_DERIVATIONS))
        self._files = tuple(
            _FileDerivations(
                tuple(matched(policy.derivations)),
                not policy.danger_no_default_derivations,
                table_of(without_examples(own)) if (own := policy.all_programs) else None,
                _kinds_read(matches_of(policy)),
            )
            for policy in policies
        )
        self._any_defaults = not policies or any(file.with_defaults for file in self._files)
        self._memo: dict[str, tuple[PayloadReading, ...]] = {}

    def readings_of(self, topic: str) -> tuple[PayloadReading, ...]:
        """How payloads of a topic are read: one reading for each kind, remembered within bounds."""
        readings = self._memo.get(topic)
        if readings is None:
            if len(self._memo) >= GLOB_MEMO_ENTRIES_MAX:
                self._memo.clear()  # clients choose the topics: forget all, never grow
            of_kinds = (self._reading(kind, topic) for kind in PayloadKind)
            readings = self._memo[topic] = tuple(each for each in of_kinds if each is not None)
        return readings

    def _reading(self, kind: PayloadKind, topic: str) -> PayloadReading | None:
        """How payloads of a topic are read as one kind; None when no derivation applies."""
        defaults = _applying(self._defaults, kind, topic)
        declared: list[DeclaredPlaces] = []
        parsed_as: list[Derivation] = []
        for file in self._files:
            own = _applying(file.entries, kind, topic)
            reads = file.reads.get(kind)
            takes_part = bool(own) or (reads is not None and reads(topic))
            by_default = defaults if file.with_defaults and takes_part else ()
            if own or by_default:
                declared.append(_declared(own, by_default))
                parsed_as += (replace(each, programs=file.programs) for each in own or by_default)
        # Where no rule reads the kind, a payload is bounded all the same.
        if not declared and defaults and self._any_defaults:
            declared, parsed_as = [_declared((), defaults)], [*defaults]
        if not declared:
            return None
        terms = dict.fromkeys(
            replace(each, topics=(), fields=(), ignore=(), except_topics=()) for each in parsed_as
        )
        return _made(kind, tuple(dict.fromkeys(declared)), tuple(terms))


def matched(derivations: Iterable[Derivation]) -> Iterator[tuple[Matcher, Derivation]]:
    """Each derivation with the test of whether it applies to a topic."""
    return ((_topics_of(each), each) for each in derivations)


def _topics_of(derivation: Derivation) -> Matcher:
    matches, others = compile_globs(derivation.topics), frozenset(derivation.except_topics)
    return lambda topic: topic not in others and matches(topic)


def _applying(
    entries: Iterable[tuple[Matcher, Derivation]], kind: PayloadKind, topic: str
) -> tuple[Derivation, ...]:
    return tuple(each for matches, each in entries if each.kind is kind and matches(topic))


def _declared(own: Sequence[Derivation], by_default: Sequence[Derivation]) -> DeclaredPlaces:
    return DeclaredPlaces(
        tuple(field for each in (*by_default, *own) for field in each.fields),
        tuple(place for each in own for place in each.ignore),
    )


@lru_cache(maxsize=_READINGS_KEPT)
def _made(
    kind: PayloadKind, declared: tuple[DeclaredPlaces, ...], parsed_as: tuple[Derivation, ...]
) -> PayloadReading:
    return PayloadReading(kind, Places(declared), parsed_as)


def _kinds_read(matches: Iterable[Match]) -> dict[PayloadKind, Matcher]:
    """The kinds of which the rules of a file read a label, each with the topics of those rules."""
    topics: dict[PayloadKind, dict[str, None]] = {}
    for match in matches:
        for name in match.label_names:
            for kind in _KINDS_OF_LABEL.get(name, ()):
                topics.setdefault(kind, {}).update(dict.fromkeys(match.topics or ("*",)))
    return {
        kind: compile_globs(tuple(globs) if len(globs) <= _TOPIC_GLOBS_MAX else ("*",))
        for kind, globs in topics.items()
    }
