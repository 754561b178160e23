"""How approvals went: every outcome counted once, by rule and by person, inside its window."""

from typing import Any

import pytest

from forestall.identity.roles import Role
from forestall.jobs.approval_stats import percentile
from tests.asgi import Door, assert_coded
from tests.http_samples import HELD_JOB
from tests.workers_under_test import pass_time

ANALYTICS = "/api/v1/governance/approvals/analytics"


def held(door: Door) -> str:
    return str(door.submit(HELD_JOB).json["job_id"])


def vote(door: Door, key: str, word: str, after_s: float) -> None:
    """A job that is decided after a while."""
    job_id = held(door)
    door.clock.forward(after_s)
    assert door.ask("POST", f"/api/v1/approvals/{job_id}/{word}", key=key).status == 200


def ask(door: Door, query: str = "", key: str | None = None) -> Any:
    reply = door.ask("GET", f"{ANALYTICS}{query}", key=key)
    assert reply.status == 200, reply.body
    return reply.json


def test_every_outcome_is_counted_once(door: Door) -> None:
    ann, bob = door.key(Role.APPROVER, name="ann"), door.key(Role.APPROVER, name="bob")
    for seconds in (10, 20, 30, 100):
        vote(door, ann, "approve", seconds)
    vote(door, bob, "reject", 60)
    cancelled = held(door)
    door.ask("POST", f"/api/v1/jobs/{cancelled}/cancel")
    held(door)
    pass_time(door, 25 * 3_600)  # it expires
    held(door)
    found = ask(door, "?group_by=approver")
    summary = found["summary"]
    names = ("total", "approved", "rejected", "expired", "pending", "cancelled")
    assert [summary[name] for name in names] == [8, 4, 1, 1, 1, 1]
    assert (summary["manual_resolved"], summary["auto_resolved"]) == (5, 2)
    assert summary["approve_rate"] == 0.8
    assert round(summary["avg_time_to_approve_seconds"]) == 40
    assert [round(summary[part]) for part in ("p50", "p90", "p99")] == [20, 100, 100]
    by = {group["key"]: group for group in found["groups"]}
    assert (by["ann"]["approved"], by["ann"]["approve_rate"]) == (4, 1.0)
    assert (by["bob"]["rejected"], by["bob"]["p50"]) == (1, None)
    (rule,) = ask(door, "?group_by=rule")["groups"]
    assert (rule["key"], rule["total"]) == ("require-approval-prod-write", 8)
    assert [one["key"] for one in ask(door, "?group_by=topic")["groups"]] == ["job.deploy.apply"]
    assert "groups" not in ask(door)


def test_only_the_window_and_only_the_tenant(door: Door) -> None:
    held(door)
    door.clock.forward(3 * 3_600)
    held(door)
    assert ask(door)["summary"]["total"] == 2
    assert ask(door, "?window=2h")["summary"]["total"] == 1
    hour_ago = door.clock.at_us - 3_600_000_000
    assert ask(door, f"?until={hour_ago}")["summary"]["total"] == 1
    assert ask(door, f"?since={hour_ago}")["summary"]["total"] == 1
    stranger = door.key(Role.VIEWER, "other")
    assert ask(door, key=stranger)["summary"]["total"] == 0
    assert_coded(door.ask("GET", ANALYTICS, key=door.key(Role.AGENT)), 403)


def test_it_looks_at_a_bounded_number(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    from forestall.control import analytics

    monkeypatch.setattr(analytics, "ANALYTICS_APPROVALS_MAX", 2)
    monkeypatch.setattr(analytics, "PAGE_ITEMS_MAX", 2)
    for _ in range(5):
        held(door)
    found = ask(door)
    assert (found["summary"]["total"], found["truncated"]) == (2, True)


@pytest.mark.parametrize(
    "query", ["window=0d", "window=7", "window=x", "window=400d", "group_by=x", "since=soon"]
)
def test_bad_questions_are_refused(door: Door, query: str) -> None:
    assert_coded(door.ask("GET", f"{ANALYTICS}?{query}"), 400, "invalid_request")


def test_percentiles() -> None:
    assert percentile([], 50) is None
    assert [percentile(list(range(1, 101)), part) for part in (50, 90, 99)] == [50, 90, 99]
    assert percentile([7], 99) == 7
