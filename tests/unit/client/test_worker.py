"""The worker library against a control plane that lies, dawdles and hangs up."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from forestall.client.worker import RunTally, Worker, WorkerJob, WorkerRefusedError
from forestall.client.worker_ticket import TicketKeysError
from forestall.errors import InvalidRequestError
from tests.unit.client.fake_plane import (
    KEY,
    OTHER_KEY,
    WORKER,
    FakePlane,
    delivered,
    key_text,
    now_us,
)

Handler = Callable[[WorkerJob], Any]


class Played:
    """What a worker did with what it was handed."""

    def __init__(self, plane: FakePlane, ran: list[str], tally: RunTally) -> None:
        self.plane, self.ran, self.tally = plane, ran, tally


def play(plane: FakePlane, *, jobs: int = 1, handler: Handler | None = None, **more: Any) -> Played:
    """Run a worker until the plane heard about so many jobs (or it ended by itself)."""
    ran: list[str] = []

    async def noted(job: WorkerJob) -> Any:
        ran.append(job.id)
        return job.prompt

    async def all_of_it() -> RunTally:
        async with plane:
            worker = Worker(plane.url, "token", WORKER, grace_seconds=1, **more)
            serving = asyncio.create_task(worker.serve(handler or noted))
            for _ in range(400):
                if serving.done() or len(plane.results()) >= jobs:
                    break
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)  # time to do something wrong
            worker.stop()
            return await asyncio.wait_for(serving, 10)

    return Played(plane, ran, asyncio.run(all_of_it()))


def test_a_good_job_runs() -> None:
    played = play(FakePlane([delivered()]))
    assert played.ran == ["job-1"]
    assert played.plane.results() == [
        {"job_id": "job-1", "lease_id": "lease-1", "status": "succeeded", "result": "prompt 1"}
    ]


FORGED: dict[str, dict[str, Any]] = {
    "signed by another key": {"key": OTHER_KEY},
    "no ticket": {"changed": {"ticket": ""}},
    "half a ticket": {"changed": {"ticket": "abc."}},
    "the ticket of another job": {"changed": {"ticket": delivered(2)["ticket"]}},
    "another job under this ticket": {"changed": {"job_id": "job-9"}},
    "another worker": {"ticket": {"worker": "w2"}},
    "another tenant": {"ticket": {"tenant": "acme"}},
    "a tenant in the job": {"changed": {"tenant": "acme"}},
    "another attempt": {"ticket": {"attempt": 2}},
    "another attempt in the job": {"changed": {"attempt": 2}},
    "a denial": {"ticket": {"decision": "deny"}},
    "held for approval": {"ticket": {"decision": "require_approval"}},
    "another hash": {"ticket": {"job_hash": "0" * 64}},
    "payload": {"changed": {"payload": '{"context":null,"prompt":"rm -rf /"}'}},
    "payload, other bytes": {"changed": {"payload": '{"prompt":"prompt 1","context":{"n":1}}'}},
    "label": {"changed": {"labels": {"env": "prod"}}},
    "label more": {"changed": {"labels": {"env": "dev", "x": "y"}}},
    "topic": {"changed": {"topic": "job.exec.shell"}},
    "capability": {"changed": {"capability": "infra.write"}},
    "principal": {"changed": {"principal": "admin"}},
    "actor": {"changed": {"actor_id": "admin"}},
    "pack": {"changed": {"pack_id": "p"}},
    "requires": {"changed": {"requires": []}},
    "tags": {"changed": {"tags": ["t"]}},
    "risk tags": {"changed": {"risk_tags": ["r"]}},
    "tool": {"changed": {"mcp": {"tool": "rm"}}},
    "budget": {"changed": {"budget": {"deadline_ms": 1}}},
    "idempotent": {"changed": {"idempotent": True}},
    "retries": {"changed": {"max_retries": 9}},
    "priority": {"changed": {"priority": "critical"}},
    "job hash alone": {"changed": {"job_hash": "0" * 64}},
    "a field is missing": {"changed": {"topic": None}},
    "payload is no JSON": {"changed": {"payload": "x"}},
}


@pytest.mark.parametrize("how", FORGED)
def test_what_is_forged_is_not_run_and_not_tried_again(how: str) -> None:
    forged = FORGED[how]
    given = delivered(
        key=forged.get("key", KEY), says=forged.get("ticket"), **forged.get("changed", {})
    )
    played = play(FakePlane([given]))
    assert played.ran == []
    assert (played.tally.refused, played.tally.succeeded) == (1, 0)
    (answer,) = played.plane.results()
    assert (answer["status"], answer["error"]["code"]) == ("failed", "ticket_invalid")
    assert answer["retryable"] is False


def test_an_expired_ticket_is_not_run_but_may_be_tried_again() -> None:
    played = play(FakePlane([delivered(says={"expires_at_us": now_us() - 1})]))
    assert played.ran == []
    (answer,) = played.plane.results()
    assert (answer["error"]["code"], answer["retryable"]) == ("ticket_expired", True)
    assert "set the clock" in answer["error"]["message"]


def test_an_attempt_runs_once_however_often_it_is_handed_out() -> None:
    twice = delivered()
    other_lease = {**twice, "lease_id": "lease-x"}
    played = play(FakePlane([twice], [twice], [other_lease], [delivered(2)]), jobs=2, parallel=4)
    assert sorted(played.ran) == ["job-1", "job-2"]
    assert played.tally.refused == 2
    assert sorted(answer["job_id"] for answer in played.plane.results()) == ["job-1", "job-2"]


def test_more_than_was_asked_for_is_given_back() -> None:
    played = play(FakePlane([delivered(1), delivered(2), delivered(3)]))
    assert played.ran == ["job-1"]
    returned = [path for path, _ in played.plane.said if path.endswith("/return")]
    assert sorted(returned) == ["/api/v1/jobs/job-2/return", "/api/v1/jobs/job-3/return"]


def test_keys_that_change_end_the_worker() -> None:
    plane = FakePlane(keys=[[key_text(KEY)], [key_text(OTHER_KEY)]])
    plane.on_request = lambda path, n: (
        (409, {"code": "worker_not_registered"}) if path.endswith("lease") else None
    )
    with pytest.raises(TicketKeysError):
        play(plane)


def test_a_key_that_was_given_is_the_only_one_that_counts() -> None:
    with pytest.raises(TicketKeysError):
        play(
            FakePlane([delivered(key=OTHER_KEY)], keys=[[key_text(OTHER_KEY)]]),
            ticket_keys=[key_text(KEY)],
        )
    both = [[key_text(OTHER_KEY), key_text(KEY)]]
    played = play(FakePlane([delivered(key=OTHER_KEY)], keys=both), ticket_keys=[key_text(KEY)])
    assert played.ran == []


def test_no_keys_prove_nothing() -> None:
    with pytest.raises(TicketKeysError):
        play(FakePlane([delivered()], keys=[[]]))


# -- answering --


@pytest.mark.parametrize(
    "trouble",
    [
        "hang up",
        (503, {"code": "store_unavailable"}),
        (429, {}),
        (500, {}),
        (409, {"code": "precondition_failed"}),
    ],
    ids=str,
)
def test_an_answer_is_said_until_it_is_heard(trouble: Any) -> None:
    plane, seen = FakePlane([delivered()]), []

    def twice_in_vain(path: str, _: int) -> Any:
        if path.endswith("/result"):
            seen.append(path)
            return trouble if len(seen) < 3 else (409, {"code": "already_completed"})
        return None

    plane.on_request = twice_in_vain
    played = play(plane, jobs=3)
    assert (played.tally.succeeded, len(seen), played.ran) == (1, 3, ["job-1"])


@pytest.mark.parametrize("code", ["already_completed", "lease_not_held", "job_not_found"])
def test_an_answer_that_is_not_wanted_is_dropped(code: str) -> None:
    plane = FakePlane([delivered()])
    plane.on_request = lambda path, _: (
        (409, {"code": code, "message": "no"}) if path.endswith("/result") else None
    )
    played = play(plane)
    assert (played.tally.lost, len(plane.results())) == (1, 1)


@pytest.mark.parametrize("status", [400, 413])
def test_a_result_that_is_refused_is_reported_without_its_content(status: int) -> None:
    """The work is done, so the job did not fail: the plane is told to withhold the result."""
    plane = FakePlane([delivered()])
    plane.on_request = lambda path, _: (
        (status, {"code": "no"})
        if path.endswith("/result") and not plane.said[-1][1].get("result_problem")
        else None
    )
    played = play(plane, jobs=2)
    last = plane.results()[-1]
    assert (last["status"], last["result_problem"]) == ("succeeded", "result_refused")
    assert (played.tally.succeeded, played.tally.failed) == (1, 0)


class Evil:
    """A value whose own code raises."""

    def __str__(self) -> str:
        raise ZeroDivisionError


HOSTILE: list[tuple[Any, Any]] = [
    (float("inf"), "inf"),
    ({"a": {1, 2}}, {"a": [1, 2]}),
    (b"\xff\x00", "\\udcff\\u0000"),
    ({("a", 1): "\ud800"}, {"('a', 1)": "\\ud800"}),
    ([2**70, float("nan")], [hex(2**70), "nan"]),
    (1 << 50_000, None),
    (Evil(), None),
    ({Evil(): 1}, None),
]


@pytest.mark.parametrize(("value", "sent"), HOSTILE, ids=range(len(HOSTILE)))
def test_any_value_of_a_handler_is_reported_as_success(value: Any, sent: Any) -> None:
    plane = FakePlane([delivered()])

    async def handler(job: WorkerJob) -> Any:
        job.progress("half \ud800", 7)
        return value

    played = play(plane, handler=handler)
    (result,) = plane.results()
    assert (result["status"], played.tally.succeeded) == ("succeeded", 1)
    if sent is not None:
        assert result["result"] == sent
    elif "result_problem" in result:
        assert result["result_problem"] == "result_not_json"


def test_an_exception_without_a_text_ends_its_job_alone() -> None:
    plane = FakePlane([delivered()])

    async def handler(job: WorkerJob) -> Any:
        class Wordless(Exception):  # noqa: N818 - no error of ours
            def __str__(self) -> str:
                raise ZeroDivisionError

        raise Wordless

    played = play(plane, handler=handler, send_error_text=True)
    (result,) = plane.results()
    assert "cannot be read" in result["error"]["message"]
    assert played.tally.failed == 1


def test_a_plane_that_cannot_withhold_is_told_of_a_failure() -> None:
    plane = FakePlane([delivered()])
    plane.on_request = lambda path, _: (
        (400, {"code": "invalid_request"})
        if path.endswith("/result") and plane.said[-1][1]["status"] == "succeeded"
        else None
    )
    played = play(plane, jobs=2)
    last = plane.results()[-1]
    assert (last["status"], last["error"]["code"]) == ("failed", "result_refused")
    assert last["retryable"] is False
    assert played.tally.failed == 1


@pytest.mark.parametrize(("status", "code"), [(401, "unauthorized"), (403, "forbidden")])
def test_a_token_that_ends_ends_the_worker(status: int, code: str) -> None:
    plane = FakePlane([delivered()])
    plane.on_request = lambda path, _: (
        (status, {"code": code}) if path.endswith("/result") else None
    )
    with pytest.raises(WorkerRefusedError):
        play(plane)


def test_a_lost_job_is_stopped_and_not_answered_for() -> None:
    plane = FakePlane([delivered()])
    plane.lost = [{"job_id": "job-1", "state": "CANCELLED", "reason": "cancelled by ops"}]
    stopped = threading.Event()

    async def forever(job: WorkerJob) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            assert job.cancelled.is_set()
            stopped.set()
            raise

    played = play(plane, handler=forever)
    assert stopped.is_set()
    assert plane.results() == []
    assert played.tally.lost == 1


def test_a_deadline_stops_a_thread() -> None:
    seen = []

    def waits(job: WorkerJob) -> str:
        left = job.seconds_left()
        assert left is not None
        assert left < 0.3
        seen.append(job.cancelled.wait(5))
        return "late"

    plane = FakePlane([delivered(deadline_at_us=now_us() + 200_000)])
    played = play(plane, handler=waits)
    assert (seen, plane.results(), played.tally.lost) == ([True], [], 1)


def test_a_server_that_is_away_is_asked_again() -> None:
    plane = FakePlane([delivered()])
    plane.on_request = lambda _, n: "hang up" if n in (1, 2, 4) else None
    assert play(plane).ran == ["job-1"]


@pytest.mark.parametrize(
    ("url", "token", "name", "more"),
    [
        ("http://x", "", "w", {}),
        ("http://x", "a b", "w", {}),
        ("http://x", "tokén", "w", {}),
        ("ftp://x", "t", "w", {}),
        ("http://", "t", "w", {}),
        ("http://x:port", "t", "w", {}),
        ("http://x", "t", "", {}),
        ("http://x", "t", "a/b", {}),
        ("http://x", "t", "w", {"parallel": 0}),
        ("http://x", "t", "w", {"parallel": 5_000}),
        ("http://x", "t", "w", {"max_jobs": 0}),
    ],
)
def test_what_a_worker_cannot_be(url: str, token: str, name: str, more: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        Worker(url, token, name, **more)
