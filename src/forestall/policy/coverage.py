"""Coverage of a policy by its test cases: rules that spoke, clauses that decided, decisions seen.

A clause is shown to matter when its rule spoke in one case, and in another case the clause was the
only one of its rule that failed: without the clause, the rule would have matched that case.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from forestall.policy.arguments import ArgumentError
from forestall.policy.label_views import variants_of, views_of
from forestall.policy.rule_conditions import CompiledClause, rule_clauses
from forestall.policy.rules import PolicyTest
from forestall.policy.snapshot import Snapshot
from forestall.policy.testing import CASES_AT, decision_on, request_of


class ClauseCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """One clause of a rule, and whether cases show that it can hold and that it can fail."""

    field: str
    wanted: tuple[str, ...]
    held: bool  # in some case its rule spoke
    decided: bool  # in some case it was the only clause of its rule that failed


class RuleCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, the number of cases in which it spoke, and its clauses."""

    rule_id: str
    source: str
    line: int
    spoke: int
    clauses: tuple[ClauseCoverage, ...]


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What a set of cases exercises of a snapshot."""

    rules: tuple[RuleCoverage, ...]
    decisions: Mapping[str, int]  # decision → number of cases
    default_used: int  # number of cases that the default decided

    @property
    def exercised(self) -> int:
        """The number of rules that spoke at least once."""
        return sum(1 for rule in self.rules if rule.spoke)

    @property
    def percent(self) -> float:
        """The share of rules that spoke, in percent; 100 for a policy without rules."""
        return 100.0 * self.exercised / len(self.rules) if self.rules else 100.0


def measure(snapshot: Snapshot, tests: Sequence[PolicyTest]) -> Coverage:
    """Decide every case, and test every clause of every rule on it."""
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
        decision = decision_on(snapshot, test)
        decisions[decision.decision.value] += 1
        default_used += decision.code == "default"
        spoke.update(decision.matched_rules)
        if decision.code != "rule_error":
            decided |= _only_failures(snapshot, test, clauses)
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
    snapshot: Snapshot, test: PolicyTest, clauses: Mapping[str, tuple[CompiledClause, ...]]
) -> set[tuple[str, int]]:
    """The clauses that alone keep their rule from matching a case: rule id and clause number."""
    request, now = request_of(test.request), test.now or CASES_AT
    found: set[tuple[str, int]] = set()
    for labels in views_of(snapshot, request).views:
        for variant in variants_of(snapshot, request).requests:
            for rule_id, compiled in clauses.items():
                failed: list[int] = []
                for number, each in enumerate(compiled):
                    try:
                        if not each.holds(variant, labels, now):
                            failed.append(number)
                    except ArgumentError:
                        # counted twice: it proves nothing about the other clauses
                        failed.extend((number, number))
                    if len(failed) > 1:
                        break
                if len(failed) == 1:
                    found.add((rule_id, failed[0]))
    return found
