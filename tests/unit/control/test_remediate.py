"""Remediations, retries from the dead letters and blind retries (control 12)."""

from typing import Any

import pytest

from forestall.identity.roles import Role
from forestall.limits import BLIND_RETRY_SECONDS, LINEAGE_DEPTH_MAX
from tests.asgi import Door, assert_coded
from tests.workers_under_test import JOBS, Worker, enforce, job, kinds, submit

MAIL: dict[str, Any] = {
    "topic": "job.mail.send",
    "prompt": "hello",
    "labels": {"urgent": "1", "kept": "2"},
}
ALLOW_MAIL = "name: n\nrules:\n  - {id: ok, decision: allow, match: {topics: ['*']}}\n"


def denied(door: Door, key: str | None = None, **more: Any) -> str:
    """A job that policy denied."""
    reply = door.ask("POST", JOBS, {**MAIL, **more}, key=key)
    assert reply.status == 403
    return str(reply.json["job_id"])


def test_the_rewritten_job_goes_through_the_submit_gate_as_a_child(door: Door) -> None:
    parent = denied(door)
    reply = door.ask("POST", f"{JOBS}/{parent}/remediate", {"remediation_id": "use-draft"})
    assert (reply.status, reply.json["decision"]) == (200, "ALLOW")
    child = job(door, reply.json["job_id"])
    assert (child["topic"], child["capability"]) == ("job.demo.draft", "mail.draft")
    assert child["labels"] == {"kept": "2", "draft": "yes"}
    assert (child["parent_job_id"], child["remediation_id"]) == (parent, "use-draft")
    assert child["trace_id"] == job(door, parent)["trace_id"]
    assert kinds(door, child["id"]) == ["job.submitted"]
    trace = door.ask("GET", f"/api/v1/traces/{child['trace_id']}").json
    assert {one["id"] for one in trace} == {parent, child["id"]}


def test_a_remediation_is_not_a_way_past_the_gate(door: Door) -> None:
    """The policy in force when it is taken decides, like any submit."""
    parent = denied(door)
    enforce(door, "name: n\ndefault_decision: deny\nrules: []\n")
    reply = door.ask("POST", f"{JOBS}/{parent}/remediate")
    assert (reply.status, reply.json["code"]) == (403, "policy_denied")
    assert job(door, reply.json["job_id"])["state"] == "DENIED"


def test_asked_for_twice_it_is_one_job(door: Door) -> None:
    parent = denied(door)
    first, second = (door.ask("POST", f"{JOBS}/{parent}/remediate").json for _ in range(2))
    assert first["job_id"] == second["job_id"]
    assert second["idempotent_replay"] is True


def test_what_cannot_be_remediated_is_refused(door: Door) -> None:
    allowed = submit(door)["job_id"]
    parent = denied(door)
    assert_coded(door.ask("POST", f"{JOBS}/{allowed}/remediate"), 409, "no_remediations")
    wrong = door.ask("POST", f"{JOBS}/{parent}/remediate", {"remediation_id": "other"})
    assert_coded(wrong, 404, "remediation_not_found")
    assert_coded(door.ask("POST", f"{JOBS}/nowhere/remediate"), 404, "job_not_found")
    stranger = door.key(Role.AGENT)
    assert_coded(door.ask("POST", f"{JOBS}/{parent}/remediate", key=stranger), 404, "job_not_found")


def test_lineage_has_an_end(door: Door) -> None:
    """A loop of remediations is a loop of an agent; a person should look."""
    last = denied(door)
    for _ in range(LINEAGE_DEPTH_MAX):
        reply = door.ask("POST", f"/api/v1/dlq/{last}/retry", {"force": True})
        assert reply.status == 403
        last = reply.json["job_id"]
    assert_coded(
        door.ask("POST", f"/api/v1/dlq/{last}/retry", {"force": True}), 409, "lineage_too_deep"
    )


def test_a_client_cannot_take_the_planes_own_idempotency_keys(door: Door) -> None:
    parent = denied(door)
    key = f"forestall:remediation:{parent}:use-draft:x"
    reply = door.ask("POST", JOBS, {"topic": "job.demo.a", "prompt": "x", "idempotency_key": key})
    assert_coded(reply, 400, "invalid_request")


# -- the dead letters --


def test_a_denied_dead_letter_is_not_retried_blindly(door: Door) -> None:
    """409 with what may be done instead; `force` needs the right to control jobs."""
    agent = door.key(Role.AGENT)
    job_id = denied(door, key=agent)
    path = f"/api/v1/dlq/{job_id}/retry"
    body = assert_coded(door.ask("POST", path, key=agent), 409, "retry_denied")
    assert [one["id"] for one in body["remediations"]] == ["use-draft"]
    assert door.ask("POST", path, {"force": True}, key=agent).status == 403
    enforce(door, ALLOW_MAIL)
    reply = door.ask("POST", path, {"force": True})
    assert (reply.status, reply.json["decision"]) == (200, "ALLOW")
    assert job(door, reply.json["job_id"])["parent_job_id"] == job_id
    assert door.ask("GET", "/api/v1/dlq").json == []
    assert kinds(door, job_id)[-1] == "job.dismissed"


def test_a_failed_dead_letter_is_retried_through_the_gate(door: Door) -> None:
    worker = Worker(door)
    job_id = submit(door)["job_id"]
    (given,) = worker.lease()
    worker.answer(given, status="failed", error={"code": "broken", "message": "no"})
    again = door.ask("POST", f"/api/v1/dlq/{job_id}/retry").json["job_id"]
    (given,) = worker.lease()
    assert given["job_id"] == again
    assert_coded(door.ask("POST", f"/api/v1/dlq/{job_id}/retry"), 404, "dead_letter_not_found")


def test_dead_letters_are_dismissed_and_listed_in_pages(door: Door) -> None:
    ids = [denied(door, prompt=f"mail {number}") for number in range(5)]
    page = door.ask("GET", "/api/v1/dlq/page?limit=2").json
    assert [one["job_id"] for one in page["items"]] == ids[:2:-1]
    rest = door.ask("GET", f"/api/v1/dlq/page?limit=9&cursor={page['next_cursor']}").json
    assert [one["job_id"] for one in rest["items"]] == ids[2::-1]
    assert door.ask("DELETE", f"/api/v1/dlq/{ids[0]}").status == 204
    assert len(door.ask("GET", "/api/v1/dlq").json) == 4
    assert job(door, ids[0])["state"] == "DENIED"
    other = door.key(Role.ADMIN, tenant="other")
    assert door.ask("GET", "/api/v1/dlq", key=other).json == []
    assert_coded(door.ask("DELETE", f"/api/v1/dlq/{ids[1]}", key=other), 404, "job_not_found")


# -- blind retries --


@pytest.mark.parametrize("change", [{}, {"labels": {}}, {"topic": "job.demo.read"}])
def test_the_same_payload_soon_after_a_denial_is_recorded_and_counted(
    door: Door, change: dict[str, Any]
) -> None:
    """Weaker labels or another topic do not hide it; what is decided does not change."""
    first = denied(door)
    reply = door.ask("POST", JOBS, {**MAIL, **change})
    record = door.records()[-1]
    assert record["data"]["blind_retry_of"] == first
    assert door.counted("forestall_refused_total", what="submit", code="blind_retry") == 1
    assert reply.status == (200 if "topic" in change else 403)


def test_what_is_not_a_blind_retry(door: Door) -> None:
    """Another payload, another principal, a remediation, or long after."""
    parent = denied(door)
    denied(door, prompt="something else")
    denied(door, key=door.key(Role.AGENT))
    door.ask("POST", f"{JOBS}/{parent}/remediate")
    door.clock.forward(BLIND_RETRY_SECONDS + 1)
    denied(door)
    assert not any("blind_retry_of" in record["data"] for record in door.records())
