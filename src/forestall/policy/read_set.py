"""The read set of a snapshot: the facts of a request that can change a decision under it.

The cache key and the derivation of labels rest on it: a fact outside the read set is never looked
at.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from forestall.facts.derive import Derivation
from forestall.limits import GLOB_MEMO_ENTRIES_MAX
from forestall.policy.fields import FIELDS
from forestall.policy.globs import Matcher
from forestall.policy.request import Request
from forestall.policy.rules import Match, Policy


class ReadSet:
    """The facts that the rules of some policies read.

    `labels`: names of labels. `actors`: whether a rule reads who acts. `time`, `delegation`:
    whether a rule reads these. `insides`: whether a rule looks into payloads; `contents`: whether
    one reads all of a payload. `attributes` gives the values of the other fields, always in the
    same order.
    """

    __slots__ = (
        "_derivations",
        "_derivations_memo",
        "actors",
        "attributes",
        "contents",
        "delegation",
        "insides",
        "labels",
        "time",
    )

    def __init__(
        self,
        policies: Sequence[Policy],
        derivations: Sequence[tuple[Matcher, Derivation]],
        *,
        of_output: bool = False,
    ) -> None:
        matches = list(_output_matches(policies) if of_output else _matches(policies))
        self.labels = frozenset(name for match in matches for name in match.label_names)
        self.time = any(match.time is not None for match in matches)
        self.delegation = any(match.delegation is not None for match in matches)
        self.actors = any(match.actor_ids for match in matches)
        # A derivation matters only when a rule reads a label that it derives.
        self._derivations = tuple(derivations)
        self._derivations_memo: dict[str, tuple[Derivation, ...]] = {}
        self.contents = any(match.content is not None for match in matches)
        self.insides = self.contents or any(
            match.args or match.secrets_present is not None for match in matches
        )
        names = ["topic"]
        for field in FIELDS:
            name = field.attribute or field.name
            if name not in names and any(field.wanted(match) for match in matches):
                names.append(name)
        if self.actors:
            names.append("principal")
        self.attributes: Callable[[Request], Any] = attrgetter(*names)

    def payload_of(self, topic: str) -> bool:
        """Whether the payload of a request on this topic can change a decision."""
        return self.insides or bool(self.derivations_of(topic))

    def derivations_of(self, topic: str) -> tuple[Derivation, ...]:
        """The derivations that apply to a topic, remembered within bounds."""
        known = self._derivations_memo.get(topic)
        if known is None:
            if len(self._derivations_memo) >= GLOB_MEMO_ENTRIES_MAX:
                self._derivations_memo.clear()  # clients choose the topics: forget all, never grow
            known = self._derivations_memo[topic] = tuple(
                derivation for matches, derivation in self._derivations if matches(topic)
            )
        return known


def _matches(policies: Sequence[Policy]) -> Iterator[Match]:
    for policy in policies:
        for rule in (*policy.rules, *policy.input_rules):
            yield rule.match
            if rule.unless is not None:
                yield rule.unless


def _output_matches(policies: Sequence[Policy]) -> Iterator[Match]:
    for policy in policies:
        for rule in policy.output_rules:
            yield rule.match
            if rule.unless is not None:
                yield rule.unless
