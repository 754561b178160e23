"""What a snapshot reads of a request: nothing else can change a decision under it."""

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from forestall.facts.derive import Derivation
from forestall.policy.fields import FIELDS
from forestall.policy.globs import Matcher
from forestall.policy.request import Request
from forestall.policy.rules import Match, Policy


class Reads:
    """The facts that the rules of some policies look at.

    `labels` are the names of labels; `actors` says whether it matters who acts; `attributes`
    gives the values of the other fields, always in the same order.
    """

    __slots__ = ("_derived", "_payload", "actors", "attributes", "delegation", "labels", "time")

    def __init__(
        self, policies: Sequence[Policy], derivations: Sequence[tuple[Matcher, Derivation]]
    ) -> None:
        matches = list(_matches(policies))
        self.labels = frozenset(name for match in matches for name, _ in match.labels)
        self.time = any(match.time is not None for match in matches)
        self.delegation = any(match.delegation is not None for match in matches)
        self.actors = any(match.actor_ids for match in matches)
        # Deriving from a payload matters only when a rule reads what it derives.
        self._derived = tuple(matcher for matcher, _ in derivations)
        self._payload = any(
            match.args or match.content is not None or match.secrets_present is not None
            for match in matches
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
        return self._payload or any(matches(topic) for matches in self._derived)


def _matches(policies: Sequence[Policy]) -> Iterator[Match]:
    for policy in policies:
        for rule in (*policy.rules, *policy.input_rules):
            yield rule.match
            if rule.unless is not None:
                yield rule.unless
