"""The read set of a snapshot: the facts of a request that can change a decision under it.

The cache key and the derivation of labels rest on it: a fact outside the read set is never looked
at.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from forestall.policy.derivations import Derivations
from forestall.policy.fields import FIELDS
from forestall.policy.request import Request
from forestall.policy.rules import Match, OutputRule, Policy, Rule

_FIRST_ITEM = re.compile(r"\$\[[^'\"]")  # the first step of such a path names an item of a list


class ReadSet:
    """The facts that the rules of some policies read.

    `labels`: names of labels. `actors`: whether a rule reads who acts. `time`, `delegation`:
    whether a rule reads these. `arguments`: the types of documents into which a condition on
    arguments leads; `object` (any type) where one is about the whole document. `insides`: whether
    a rule looks into payloads; `contents`: whether one reads all of a payload. `attributes` gives
    the values of the other fields, always in the same order. `readings_of` says how the derivers
    read the payload of a request on a topic, one reading for each kind.
    """

    __slots__ = (
        "actors",
        "arguments",
        "attributes",
        "contents",
        "delegation",
        "insides",
        "labels",
        "readings_of",
        "time",
    )

    def __init__(self, policies: Sequence[Policy], *, of_output: bool = False) -> None:
        matches_of = _output_matches if of_output else _matches
        matches = [match for policy in policies for match in matches_of(policy)]
        tested_fields = {test.field for match in matches for test in match.tests}
        self.labels = frozenset(name for match in matches for name in match.label_names)
        self.time = any(match.time is not None for match in matches)
        self.delegation = any(match.delegation is not None for match in matches)
        self.actors = "actor_ids" in tested_fields or any(match.actor_ids for match in matches)
        self.readings_of = Derivations(policies, matches_of).readings_of
        self.contents = any(match.content is not None for match in matches)
        paths = [condition.path for match in matches for condition in match.args]
        if not of_output:
            paths.extend(_summed_paths(policies))
        in_lists = any(_FIRST_ITEM.match(path) for path in paths)
        in_objects = any(not _FIRST_ITEM.match(path) for path in paths)
        self.arguments = (dict,) * in_objects + (list,) * in_lists + (object,) * ("$" in paths)
        secrets = any(match.secrets_present is not None for match in matches)
        self.insides = self.contents or bool(paths) or secrets
        names = ["topic"]
        for field in FIELDS:
            name = field.attribute or field.name
            read = field.name in tested_fields or any(field.wanted(match) for match in matches)
            if read and name not in names:
                names.append(name)
            if field.claimed and "attested" not in names and name in names:
                names.append("attested")
        if self.actors:
            names.append("principal")
        self.attributes: Callable[[Request], Any] = attrgetter(*names)

    def payload_of(self, topic: str) -> bool:
        """Whether the payload of a request on this topic can change a decision."""
        return self.insides or bool(self.readings_of(topic))


def _summed_paths(policies: Sequence[Policy]) -> Iterator[str]:
    """The paths of the amounts that throttle rules add up."""
    for policy in policies:
        for rule in policy.rules:
            if rule.throttle is not None and rule.throttle.sum:
                yield rule.throttle.sum


def _matches(policy: Policy) -> Iterator[Match]:
    return _matches_of(policy.job_rules)


def _output_matches(policy: Policy) -> Iterator[Match]:
    return _matches_of(policy.output_rules)


def _matches_of(rules: Iterable[Rule | OutputRule]) -> Iterator[Match]:
    for rule in rules:
        yield rule.match
        if rule.unless is not None:
            yield rule.unless
