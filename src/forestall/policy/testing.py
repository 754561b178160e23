"""Run the cases that authors write beside their rules (control 10)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from forestall.policy.compile import Snapshot
from forestall.policy.evaluate import evaluate
from forestall.policy.request import Request

_NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class TestOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One case: what was wanted and what came."""

    __test__ = False  # not a test class, whatever a test runner thinks of the name

    name: str
    source: str
    line: int
    passed: bool
    wanted: str
    got: str


def run_tests(snapshot: Snapshot) -> list[TestOutcome]:
    """Every case of every policy of the snapshot, decided by the snapshot as a whole."""
    outcomes = []
    for policy in snapshot.policies:
        for test in policy.tests:
            decision = evaluate(snapshot, request_of(test.request), now=_NOON)
            passed = decision.decision is test.decision and test.rule_id in (
                None,
                decision.rule_id,
            )
            outcomes.append(
                TestOutcome(
                    name=test.name,
                    source=policy.source,
                    line=test.line,
                    passed=passed,
                    wanted=_said(test.decision.value, test.rule_id),
                    got=_said(decision.decision.value, decision.rule_id),
                )
            )
    return outcomes


def request_of(case: Mapping[str, Any]) -> Request:
    """The request of a case; `prompt` and `context` are its payload."""
    fields = {key: value for key, value in case.items() if key not in ("prompt", "context")}
    return Request(
        **fields,
        payload={"prompt": case.get("prompt", ""), "context": case.get("context")},
    )


def _said(decision: str, rule_id: str | None) -> str:
    return f"{decision} by {rule_id}" if rule_id else decision
