"""What the cases of a policy exercise: rules that spoke, clauses that decided, decisions seen.

A clause is shown to matter when it held in a rule that spoke, and in another case was the only one
of its rule that failed: take it away, and that case would be decided by this rule.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from forestall.policy.arguments import ArgumentError
from forestall.policy.evaluator import evaluate
from forestall.policy.label_views import actors_of, views_of
from forestall.policy.request import Request
from forestall.policy.rule_conditions import CompiledClause, rule_clauses
from forestall.policy.rules import PolicyTest
from forestall.policy.snapshot import Snapshot
from forestall.policy.testing import CASES_AT, request_of


class ClauseCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """One clause of a rule: whether a case shows that it holds, and one that it decides."""

    field: str
    wanted: tuple[str, ...]
    held: bool  # in a case in which the rule spoke
    decided: bool  # in a case it was the only clause of the rule that failed


class RuleCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """One rule and the cases that it spoke in."""

    rule_id: str
    source: str
    line: int
    spoke: int
    clauses: tuple[ClauseCoverage, ...]


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What a set of cases exercises of a snapshot."""

    rules: tuple[RuleCoverage, ...]
    decisions: Mapping[str, int]  # decision → cases
    default_used: int  # cases that the default decided

    @property
    def exercised(self) -> int:
        """How many rules spoke at least once."""
        return sum(1 for rule in self.rules if rule.spoke)

    @property
    def percent(self) -> float:
        """Share of the rules that spoke; a policy without rules is covered."""
        return 100.0 * self.exercised / len(self.rules) if self.rules else 100.0


def measure(snapshot: Snapshot, tests: Sequence[PolicyTest]) -> Coverage:
    """Decide every case and look at each rule beside it."""
    rules = [
        (policy.source, rule)
        for policy, layer in zip(snapshot.policies, snapshot.layers, strict=True)
        for rule in layer.rules
    ]
    clauses = {rule.id: rule_clauses(rule) for _, rule in rules}
    spoke: Counter[str] = Counter()
    decided: set[tuple[str, int]] = set()
    decisions: Counter[str] = Counter()
    default_used = 0
    for test in tests:
        request = request_of(test.request)
        decision = evaluate(snapshot, request, now=CASES_AT)
        decisions[decision.decision.value] += 1
        default_used += decision.code == "default"
        spoke.update(decision.matched_rules)
        if decision.code != "rule_error":
            decided |= _only_failures(snapshot, request, clauses)
    return Coverage(
        rules=tuple(
            RuleCoverage(
                rule_id=rule.id,
                source=source,
                line=rule.line,
                spoke=spoke[rule.id],
                clauses=tuple(
                    ClauseCoverage(
                        field=each.clause.field,
                        wanted=each.clause.wanted,
                        held=spoke[rule.id] > 0,
                        decided=(rule.id, number) in decided,
                    )
                    for number, each in enumerate(clauses[rule.id])
                ),
            )
            for source, rule in rules
        ),
        decisions=dict(sorted(decisions.items())),
        default_used=default_used,
    )


def _only_failures(
    snapshot: Snapshot, request: Request, clauses: Mapping[str, tuple[CompiledClause, ...]]
) -> set[tuple[str, int]]:
    """The clauses that alone keep their rule from matching, as (rule, number)."""
    found: set[tuple[str, int]] = set()
    for labels in views_of(snapshot, request).views:
        for asked in actors_of(snapshot, request):
            for rule_id, compiled in clauses.items():
                failed: list[int] = []
                for number, each in enumerate(compiled):
                    try:
                        if not each.holds(asked, labels, CASES_AT):
                            failed.append(number)
                    except ArgumentError:
                        failed.extend((number, number))  # says nothing about the others
                    if len(failed) > 1:
                        break
                if len(failed) == 1:
                    found.add((rule_id, failed[0]))
    return found
