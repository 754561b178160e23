"""Check where a remediation leads: a rewrite that is certainly denied is an error of the policy.

For each remediation a request is made from its rule, rewritten, and evaluated. If that request is
denied, a proof is tried for all others: each request that the rule matches, once rewritten, meets a
deny rule before any other rule of its file, or meets no rule that does not deny. The proof ignores
labels on which the origins of one request disagree.

What is not certain is no error: a rule from which no request can be made (a pattern, content), a
rewrite that some rule may allow, a name with the characters of a glob, a request on which a rule
cannot be evaluated.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from forestall.facts.derive import DERIVED_LABELS
from forestall.limits import REMEDY_CHECK_STEPS_MAX
from forestall.policy.evaluator import evaluate
from forestall.policy.fields import FIELDS, FieldKind
from forestall.policy.globs import GlobSet, is_literal
from forestall.policy.lint.globs import apart_at_the_ends, can_match
from forestall.policy.lint.implication import covers, disjoint
from forestall.policy.lint.witness import Sample, sample_of
from forestall.policy.problems import Problem, problem_at
from forestall.policy.request import Request
from forestall.policy.rules import Decision, Effect, Match, Policy, Remediation, Rule
from forestall.policy.snapshot import RuleList, Snapshot

# Costs, in comparisons of two rules, about 4 µs each:
_SAMPLE_STEPS = 10  # making a request, or deciding it
_COMPARISON_STEPS = 20  # a proof about two rules whose topics may meet
_SEARCH_STEPS = 500  # whether two globs can match one value, where their ends do not show it
_PAIRS_MAX = 64


class Denial(NamedTuple):
    """A remediation whose rewrite is denied: always, or at least for the request made up."""

    remediation: Remediation
    decision: Decision
    always: bool


class Remedies:
    """Checks the remediations of one snapshot, and stops when its budget of steps is used up."""

    def __init__(self, snapshot: Snapshot, *, steps_max: float = float("inf")) -> None:
        self._snapshot = snapshot
        self._steps = steps_max
        self._lists = [_ByTopic(each) for layer in snapshot.layers for each in layer.lists]

    def denials(self, rule: Rule, sample: Sample | None = None) -> Iterator[Denial]:
        """The remediations of a rule that lead to a denial; `always` where that is proven."""
        if not rule.remediations or self._steps <= 0:
            return
        self._steps -= _SAMPLE_STEPS
        sample = sample or sample_of(self._snapshot, rule)
        if sample is None:
            return
        for remediation in rule.remediations:
            self._steps -= _SAMPLE_STEPS
            request = _remedied(self._snapshot, sample.request, remediation)
            got = evaluate(self._snapshot, request, now=sample.now)
            if got.decision is Effect.DENY and got.code != "rule_error":
                match = _remedied_match(self._snapshot, rule.match, remediation)
                always = match is not None and self._denied_always(got, match)
                yield Denial(remediation, got, always)

    def _denied_always(self, got: Decision, match: Match) -> bool:
        """Whether it is proven that every request that meets `match` is denied."""
        if not got.rule_id:
            return all(
                rule.effect is Effect.DENY or self._apart(rule, match)
                for rules in self._lists
                for _, rule in rules.fitting(match)
            )
        for rules in self._lists:
            number = rules.numbers.get(got.rule_id)
            if number is not None:
                deciding = rules.rules[number]
                self._steps -= _SEARCH_STEPS * _searches(deciding.match, match)
                return (
                    deciding.unless is None
                    and self._steps > 0
                    and covers(deciding.match, match)
                    and all(
                        self._apart(earlier, match)
                        for position, earlier in rules.fitting(match)
                        if position < number
                    )
                )
        return False

    def _apart(self, rule: Rule, match: Match) -> bool:
        """Whether no request meets both. Without steps left the answer is "not proven"."""
        if self._steps <= 0:
            return False
        topics = rule.match.topics
        self._steps -= 1 + len(topics) // 8
        if topics and match.topics and _far_apart(topics, match.topics):
            return True
        self._steps -= _COMPARISON_STEPS + _SEARCH_STEPS * _searches(rule.match, match)
        return self._steps > 0 and disjoint(rule.match, match)


def _far_apart(some: Sequence[str], others: Sequence[str]) -> bool:
    if len(some) * len(others) > _PAIRS_MAX:
        return False
    return all(apart_at_the_ends(one, other) for one in some for other in others)


def _searches(one: Match, other: Match) -> int:
    """The number of pairs of globs that a proof about two matches may search."""
    labels = dict(other.labels)
    fields = [
        (field.wanted(one), field.wanted(other)) for field in FIELDS if field.kind is FieldKind.GLOB
    ]
    fields += [(globs, labels[name]) for name, globs in one.labels if name in labels]
    return sum(
        sum(not is_literal(glob) for glob in some) * sum(not is_literal(glob) for glob in others)
        for some, others in fields
        if some and others
    )


class _ByTopic:
    """The rules of a list by topic: finds those that may match one without trying the others."""

    def __init__(self, rules: RuleList) -> None:
        self.rules = rules.rules
        self.numbers = {rule.id: number for number, rule in enumerate(self.rules)}
        self._globs: GlobSet | None = None
        self._by_glob: dict[str, list[int]] = {}
        self._open: list[int] = []

    def fitting(self, match: Match) -> Sequence[tuple[int, Rule]]:
        """All rules that may hold together with the match (perhaps more), in their order."""
        if len(match.topics) != 1 or not is_literal(match.topics[0]):
            return tuple(enumerate(self.rules))
        if self._globs is None:
            for number, rule in enumerate(self.rules):
                for glob in rule.match.topics:
                    self._by_glob.setdefault(glob, []).append(number)
                if not rule.match.topics:
                    self._open.append(number)
            self._globs = GlobSet(self._by_glob)
        found = set(self._open)
        for glob in self._globs.matching(match.topics[0]):
            found.update(self._by_glob[glob])
        return [(number, self.rules[number]) for number in sorted(found)]


def denied_remediations(snapshot: Snapshot) -> list[Problem]:
    """Every remediation that is certainly denied, at its place, within a bounded amount of work."""
    problems: list[Problem] = []
    remedies: Remedies | None = None
    for policy in snapshot.policies:
        for rule in policy.job_rules:
            if rule.remediations:
                remedies = remedies or Remedies(snapshot, steps_max=REMEDY_CHECK_STEPS_MAX)
                problems.extend(
                    _problem(policy, rule, denial)
                    for denial in remedies.denials(rule)
                    if denial.always
                )
    return problems


def _problem(policy: Policy, rule: Rule, denial: Denial) -> Problem:
    key = ("remediation", rule.id, denial.remediation.id)
    return problem_at(
        policy,
        policy.places.get(key),
        f"the remediation `{denial.remediation.id}` of rule `{rule.id}` is always denied:"
        f" {speaker_in_words(denial.decision)}",
        "offer what a rule allows",
    )


def speaker_in_words(decision: Decision) -> str:
    """The end of a sentence that names the deciding rule and its decision."""
    by = f"rule `{decision.rule_id}`" if decision.rule_id else "the default"
    return f"{by} then says {decision.decision.value}"


def _remedied(snapshot: Snapshot, request: Request, remediation: Remediation) -> Request:
    """The request after the rewrite of the remediation."""
    topic = remediation.replacement_topic or request.topic
    gone = {*remediation.remove_labels, *remediation.add_labels}
    if not snapshot.reads.readings_of(topic):
        gone |= DERIVED_LABELS
    labels = {name: value for name, value in request.labels.items() if name not in gone}
    server = {name: value for name, value in request.server_labels.items() if name not in gone}
    return msgspec.structs.replace(
        request,
        topic=topic,
        capability=remediation.replacement_capability or request.capability,
        labels={**labels, **remediation.add_labels},
        server_labels=server,
    )


def _remedied_match(snapshot: Snapshot, match: Match, remediation: Remediation) -> Match | None:
    """What is known of every request after the rewrite; None when that is not clear."""
    topic, capability = remediation.replacement_topic, remediation.replacement_capability
    if topic and not (is_literal(topic) and can_match(topic, topic=True)):
        return None
    if capability and not is_literal(capability):
        return None
    changed = {*remediation.remove_labels, *remediation.add_labels, *DERIVED_LABELS}
    labels = {name: globs for name, globs in match.labels if name not in changed}
    for name, value in remediation.add_labels.items():
        # A claim adds a label view, and a request denied under one view is denied.
        if value and is_literal(value) and name not in snapshot.label_trust:
            labels[name] = (value,)
    return msgspec.structs.replace(
        match,
        topics=(topic,) if topic else match.topics,
        capabilities=(capability,) if capability else match.capabilities,
        labels=tuple(labels.items()),
    )
