"""Waiting for a job in one request: what ends a wait, and how many there may be."""

import asyncio
from typing import Any

import pytest

from forestall.identity.roles import Role
from forestall.limits import STREAMS_PER_KEY_MAX
from forestall.projections.log_listeners import LogListeners
from tests.asgi import Door, assert_coded
from tests.http_samples import ALLOWED_JOB, HELD_JOB, Reply
from tests.streams import Opened

JOBS = "/api/v1/jobs"


def held(door: Door) -> str:
    return str(door.submit(HELD_JOB).json["job_id"])


def waiting(door: Door, job_id: str, query: str = "wait_ms=30000", key: str = "") -> Opened:
    """A request that waits; returns once it does."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": f"{JOBS}/{job_id}",
        "raw_path": b"",
        "query_string": query.encode(),
        "headers": [(b"x-api-key", (key or door.admin).encode())],
    }
    before = len(door.plane.announcer)
    opened = Opened(door, scope)
    opened.until(lambda: len(door.plane.announcer) > before or opened.task.done(), "no wait")
    return opened


def answer(opened: Opened) -> Reply:
    opened.ended()
    start, body = opened.sent
    return Reply(start["status"], {}, body["body"])


def test_a_wait_ends_when_the_job_changes(door: Door) -> None:
    job_id = held(door)
    wait = waiting(door, job_id, "wait_ms=30000&while_state=APPROVAL_REQUIRED")
    other = waiting(door, held(door))
    assert not wait.task.done()
    door.ask("POST", f"{JOBS}/{job_id}/cancel")
    assert answer(wait).json["state"] == "CANCELLED"
    assert not other.task.done()  # it was not its job
    other.hang_up()
    assert len(door.plane.announcer) == 0


def test_what_is_over_or_another_state_is_answered_at_once(door: Door) -> None:
    """Lower case too; and a state that never changes again is not waited for."""
    job_id = held(door)
    for query in ("while_state=PENDING", "while_state=pending", ""):
        reply = door.ask("GET", f"{JOBS}/{job_id}?wait_ms={30_000 if query else 0}&{query}")
        assert reply.json["state"] == "APPROVAL_REQUIRED"
    door.ask("POST", f"{JOBS}/{job_id}/cancel")
    for query in ("", "&while_state=CANCELLED"):
        reply = door.ask("GET", f"{JOBS}/{job_id}?wait_ms=30000{query}")
        assert reply.json["state"] == "CANCELLED"


def test_a_wait_ends_with_its_time(door: Door) -> None:
    reply = door.ask("GET", f"{JOBS}/{held(door)}?wait_ms=30")
    assert (reply.status, reply.json["state"]) == (200, "APPROVAL_REQUIRED")
    assert len(door.plane.announcer) == 0


def test_a_change_between_the_first_look_and_the_wait_is_seen(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listening begins before the second look, so no change falls between."""
    job_id = held(door)
    listen = LogListeners.listen

    def late(self: LogListeners, *args: Any) -> Any:
        asyncio.get_running_loop().create_task(door.ask_async("POST", f"{JOBS}/{job_id}/cancel"))
        return listen(self, *args)

    monkeypatch.setattr(LogListeners, "listen", late)
    assert answer(waiting(door, job_id)).json["state"] == "CANCELLED"


def test_a_wait_ends_with_the_server_the_client_or_the_key(door: Door) -> None:
    job_id = held(door)
    made = door.ask("POST", "/api/v1/auth/keys", {"name": "v", "role": "viewer"}).json
    revoked = waiting(door, job_id, key=made["secret"])
    gone, stopped = waiting(door, job_id), waiting(door, job_id)
    gone.hang_up()
    door.ask("DELETE", f"/api/v1/auth/keys/{made['key']['id']}")
    assert answer(revoked).status == 401
    door.plane.announcer.stop()
    assert answer(stopped).json["state"] == "APPROVAL_REQUIRED"
    assert_coded(door.ask("GET", f"{JOBS}/{job_id}?wait_ms=1000"), 503, "stopping")
    assert len(door.plane.announcer) == 0


def test_the_waits_of_a_key_are_counted(door: Door) -> None:
    """With its streams; a read without a wait is not affected, nor is another key."""
    job_id = held(door)
    waits = [waiting(door, job_id) for _ in range(STREAMS_PER_KEY_MAX)]
    assert_coded(door.ask("GET", f"{JOBS}/{job_id}?wait_ms=1000"), 429, "too_many_streams")
    assert door.ask("GET", f"{JOBS}/{job_id}").status == 200
    other = door.key(Role.VIEWER)
    assert door.ask("GET", f"{JOBS}/{job_id}?wait_ms=10", key=other).status == 200
    door.ask("POST", f"{JOBS}/{job_id}/cancel")
    for wait in waits:
        assert answer(wait).status == 200


@pytest.mark.parametrize(
    "query", ["wait_ms=-1", "wait_ms=x", "wait_ms=1e3", "wait_ms=9999999999", "while_state=NOPE"]
)
def test_bad_waits_are_refused(door: Door, query: str) -> None:
    assert_coded(door.ask("GET", f"{JOBS}/{held(door)}?{query}"), 400, "invalid_request")


def test_another_tenants_job_is_not_waited_for(door: Door) -> None:
    stranger = door.key(Role.ADMIN, "other")
    reply = door.ask("GET", f"{JOBS}/{held(door)}?wait_ms=30000", key=stranger)
    assert_coded(reply, 404, "job_not_found")
    assert door.submit(ALLOWED_JOB).status == 200
