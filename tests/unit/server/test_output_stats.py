"""What became of results in the last day, and which rules about results a tenant may see."""

from forestall.policy.rules import Verdict
from forestall.projections.output_stats import _INTERVAL_US, TENANTS_MAX, OutputStats
from tests.asgi import POLICY, opened
from tests.workers_under_test import Worker, submit

STATS = "/api/v1/policy/output/stats"
DAY_SECONDS = 24 * 3_600
RULES = """
output_rules:
  - {id: stop, decision: quarantine, match: {topics: ["job.demo.stop"]}}
  - {id: theirs, decision: quarantine, reason: merger, match: {tenants: [rival]}}
"""


def test_a_day_of_results() -> None:
    with opened(policy=POLICY + RULES) as door:
        before = door.ask("GET", STATS).json
        assert before["last_check_at"] == before["since"]
        worker = Worker(door)
        for topic, result in (
            ("job.demo.read", "fine"),
            ("job.demo.read", "AKIAQ3EGZKT5MXWB2JNV"),
            ("job.demo.stop", "fine"),
        ):
            submit(door, topic=topic)
            (given,) = worker.lease()
            assert worker.answer(given, result=result).status == 200
        door.ask("POST", "/api/v1/output/check", {"content": "fine"})
        stats = door.ask("GET", STATS).json
        counts = [stats[f"{name}_24h"] for name in ("total_checks", "allowed", "redacted")]
        assert (counts, stats["quarantined_24h"]) == ([4, 2, 1], 1)
        assert stats["since"] <= stats["last_check_at"]
        door.clock.forward(DAY_SECONDS)
        later = door.ask("GET", STATS).json
        assert later["total_checks_24h"] == 0
        assert later["last_check_at"] == stats["last_check_at"]


def test_rules_for_other_tenants_are_not_shown() -> None:
    with opened(policy=POLICY + RULES) as door:
        reply = door.ask("GET", "/api/v1/policy/output/rules")
        assert [rule["id"] for rule in reply.json["items"]] == ["stop"]
        assert b"merger" not in reply.body


def test_counts_are_bounded() -> None:
    """Neither years nor tenants make it grow; a clock that was set back counts nothing twice."""
    stats = OutputStats(0)
    for number in range(1_000):
        stats.checked("t", Verdict.ALLOW, 5, now_us=number * _INTERVAL_US)
    counts, last_us = stats.of_day("t", now_us=999 * _INTERVAL_US)
    assert (counts.total, counts.spent_us, last_us) == (144, 720, 999 * _INTERVAL_US)
    assert stats.of_day("t", now_us=0)[0].total == 0
    for number in range(TENANTS_MAX + 5):
        stats.checked(f"t{number}", Verdict.REDACT, 1, now_us=0)
    assert len(stats._intervals) == len(stats._last_us) == TENANTS_MAX
