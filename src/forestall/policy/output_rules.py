"""Output rules: which of them match a result. Pure; the scan of the result happened before.

Inside a layer the first rule whose every condition holds speaks, and beside it each that rests on a
claim; `output_verdict` combines those that speak. A rule is tested on the job under every label
view, as at the gates.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from forestall.policy.arguments import ArgumentError
from forestall.policy.calendar import CalendarError
from forestall.policy.claims import AttestationCheck, attestation_check, sure_exception
from forestall.policy.fields import Labels
from forestall.policy.finding_names import class_of
from forestall.policy.foreign_labels import ForeignLabels
from forestall.policy.globs import compile_globs
from forestall.policy.read_set import ReadSet
from forestall.policy.request import Request
from forestall.policy.rule_conditions import Test, compile_clauses
from forestall.policy.rules import ContentMatch, Match, OutputRule, Policy


class OutputFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a result: names of the detectors that found something and of the kinds that
    they found, content type, size in bytes.

    The keywords and patterns of a rule count as detectors too, named by `keywords_of` and
    `patterns_of`.
    """

    found: frozenset[str]
    content_type: str
    size_bytes: int


class OwnWords(NamedTuple):
    """The keywords or patterns of one rule, to be searched for by a detector of this name."""

    detector: str
    words: tuple[str, ...]
    are_patterns: bool


class OutputRuleError(Exception):
    """An output rule cannot be evaluated on a job. Names the rule and types, never a value."""


def keywords_of(rule_id: str) -> str:
    """The name of the detector for the keywords of a rule. No class has a name with a space."""
    return f"keywords of {rule_id}"


def patterns_of(rule_id: str) -> str:
    """The name of the detector for the patterns of a rule."""
    return f"patterns of {rule_id}"


def named_detectors(rule: OutputRule) -> tuple[str, ...]:
    """Every detector that a rule refers to: classes, and those of its keywords and patterns."""
    content = rule.match.content
    if content is None:
        return ()
    return (*content.detector_names, *(own.detector for own in _own_words(rule.id, content)))


class _CompiledOutputRule(NamedTuple):
    rule: OutputRule
    of_job: tuple[Test, ...]
    of_result: Callable[[OutputFacts], bool]
    of_claims: AttestationCheck | None


class OutputRules:
    """The compiled output rules of all layers. `reads` is their read set; `classes` are the
    detector classes that they name; `own_detectors` the detectors of the policies that they name;
    `own_words` their keywords and patterns."""

    __slots__ = ("_layers", "classes", "own_detectors", "own_words", "reads")

    def __init__(self, policies: Sequence[Policy], foreign: Sequence[ForeignLabels | None]) -> None:
        """`foreign` are the labels that are foreign to each of the policies."""
        self._layers = [
            [_compiled(rule, labels) for rule in policy.output_rules]
            for policy, labels in zip(policies, foreign, strict=True)
            if policy.output_rules
        ]
        rules = [each.rule for layer in self._layers for each in layer]
        contents = [(rule.id, rule.match.content) for rule in rules if rule.match.content]
        self.classes = frozenset(
            class_of(name) for _, content in contents for name in content.detectors
        )
        self.own_detectors = tuple(
            dict.fromkeys(own for _, content in contents for own in content.own_detectors)
        )
        self.own_words = tuple(
            words for rule_id, content in contents for words in _own_words(rule_id, content)
        )
        self.reads = ReadSet(policies, of_output=True)

    def __bool__(self) -> bool:
        return bool(self._layers)

    @property
    def rules(self) -> tuple[OutputRule, ...]:
        """Every rule, layer by layer."""
        return tuple(each.rule for layer in self._layers for each in layer)

    @property
    def on_foreign_labels(self) -> dict[str, ForeignLabels]:
        """The rules that read a label that may be foreign to their file, by their ids."""
        return {
            each.rule.id: each.of_claims.foreign
            for layer in self._layers
            for each in layer
            if each.of_claims is not None and each.of_claims.foreign is not None
        }

    def speakers(
        self, request: Request, labels: Labels, facts: OutputFacts, now: datetime
    ) -> list[list[OutputRule]]:
        """The rules that speak under this label view: the first rule of each layer whose every
        condition holds whatever is not sure, and for each rule that rests on something unsure the
        same list with that rule in the place of its layer's (`claims`).

        Raises OutputRuleError when a condition that is reached cannot be evaluated.
        """
        settled: list[OutputRule | None] = []
        on_claims: list[tuple[int, OutputRule]] = []
        for number, layer in enumerate(self._layers):
            rule, resting = _first(layer, request, labels, facts, now)
            settled.append(rule)
            on_claims += [(number, each) for each in resting]
        lists = [settled]
        for number, each in on_claims:
            lists.append([*settled[:number], each, *settled[number + 1 :]])
        return [[rule for rule in rules if rule is not None] for rules in lists]


def _first(
    layer: Sequence[_CompiledOutputRule],
    request: Request,
    labels: Labels,
    facts: OutputFacts,
    now: datetime,
) -> tuple[OutputRule | None, list[OutputRule]]:
    """The rule of a layer that speaks whatever is not sure, and those resting on that."""
    resting: list[OutputRule] = []
    for rule, of_job, of_result, of_claims in layer:
        try:
            if not of_result(facts) or not all(test(request, labels, now) for test in of_job):
                continue
            speaks = True if of_claims is None else of_claims.speaks(request, labels, now)
        except (ArgumentError, CalendarError) as cause:
            raise OutputRuleError(f"output rule `{rule.id}`: {cause}") from cause
        if speaks:
            return rule, resting
        if speaks is not None:
            resting.append(rule)
    return None, resting


def _own_words(rule_id: str, content: ContentMatch) -> list[OwnWords]:
    own = []
    if content.keywords:
        own.append(OwnWords(keywords_of(rule_id), content.keywords, are_patterns=False))
    if content.patterns:
        own.append(OwnWords(patterns_of(rule_id), content.patterns, are_patterns=True))
    return own


def _compiled(rule: OutputRule, foreign: ForeignLabels | None) -> _CompiledOutputRule:
    of_job = msgspec.structs.replace(rule.match, content=None)
    tests = [each.holds for each in compile_clauses(of_job)]
    if (unless := sure_exception(rule, foreign).unless) is not None:
        tests.append(_unless(unless))
    check = attestation_check(rule, foreign)
    return _CompiledOutputRule(rule, tuple(tests), _of_result(rule), check)


def _unless(unless: Match) -> Test:
    clauses = compile_clauses(unless)
    return lambda request, labels, now: (
        not all(each.holds(request, labels, now) for each in clauses)
    )


def _of_result(rule: OutputRule) -> Callable[[OutputFacts], bool]:
    """The test of the content criteria of a rule: each criterion holds by any of its entries."""
    content = rule.match.content
    if content is None:
        return lambda facts: True
    tests: list[Callable[[OutputFacts], bool]] = []
    if content.size_gt is not None:
        bound = content.size_gt
        tests.append(lambda facts: facts.size_bytes > bound)
    if content.content_types:
        is_wanted_type = compile_globs(content.content_types)
        tests.append(lambda facts: is_wanted_type(facts.content_type))
    if content.detector_names:
        classes = frozenset(content.detector_names)
        tests.append(lambda facts: not classes.isdisjoint(facts.found))
    tests += [_has_found(own.detector) for own in _own_words(rule.id, content)]
    return lambda facts: all(test(facts) for test in tests)


def _has_found(detector: str) -> Callable[[OutputFacts], bool]:
    return lambda facts: detector in facts.found
