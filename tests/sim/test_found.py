"""What the simulation met too seldom for a few seeds to meet it again, told without chance."""

import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from forestall.control import complete, expire, quarantine
from forestall.control.publish import publish
from forestall.control.purge import purge
from forestall.identity.roles import Role
from forestall.limits import ERROR_CHARS_MAX, PROGRESS_CHARS_MAX, SEALED_DAYS
from forestall.ports.change import Change, JobAbsent, MoveJob, Put, PutEntry, Receipt
from forestall.ports.entries import EntryKind
from forestall.ports.output import OutputMeans
from forestall.ports.store import StoreUnavailableError
from forestall.projections.leases import Leases
from forestall.server.keyring import load_keyring
from forestall.store.memory import MemoryStore
from tests.asgi import Door
from tests.workers_under_test import JOBS, Worker, submit

POLICY = """\
name: one-at-a-time
rules:
  - id: one
    decision: allow_with_constraints
    match: {topics: ["job.*"]}
    constraints: {budgets: {max_concurrent_jobs: 1}}
"""


def _leased_after_the_turn_was_lost() -> list[str]:
    """One job runs, two wait for its place; the first of them is let forward and then times out."""
    door = Door(policy=POLICY)
    try:
        worker = Worker(door)
        bodies: tuple[dict[str, Any], ...] = ({}, {"budget": {"deadline_ms": 10_000}}, {})
        jobs = [
            door.submit({"topic": "job.a", "prompt": str(n), **more}).json["job_id"]
            for n, more in enumerate(bodies)
        ]
        running = worker.lease()
        assert [job["job_id"] for job in running] == jobs[:1]
        assert worker.answer(running[0]).status == 200
        door.clock.at_us += 11_000_000
        for _ in range(3):
            door.run(expire.tick(door.plane))
        return [job["job_id"] for job in worker.lease() if job["job_id"] == jobs[2]]
    finally:
        door.runner.close()


def test_a_place_that_was_given_up_is_offered_to_the_next() -> None:
    assert _leased_after_the_turn_was_lost()


def test_without_the_offer_the_next_waits_for_ever() -> None:
    with mock.patch.object(expire, "_offer_free_slots"):
        assert not _leased_after_the_turn_was_lost()


def _activates(put: Put) -> bool:
    return isinstance(put, PutEntry) and put.entry.kind == EntryKind.POLICY_IN_FORCE


class Overtaken(MemoryStore):
    """A store in which something happens between the verdict on an answer and its commit."""

    def __init__(self) -> None:
        super().__init__()
        self.first: Callable[[], Coroutine[Any, Any, object]] | None = None
        self.lost = False  # the answer to the commit of a policy

    async def commit(self, change: Change) -> Receipt:
        """See `Store.commit`."""
        first = self.first
        if first is not None and any(isinstance(put, MoveJob) for put in change.puts):
            self.first = None
            with contextlib.suppress(StoreUnavailableError):
                await first()
        receipt = await super().commit(change)
        if self.lost and any(_activates(put) for put in change.puts):
            raise StoreUnavailableError("the answer was lost")
        return receipt


ALL = """\
name: all
rules:
  - {id: all, decision: allow, match: {topics: ["job.*"]}}
"""
CANARY = "ghp_" + "Zq3vN8rT1xK5mB7wY2cD4fG6hJ9kL0pSaUeI"
LETS = f"""{ALL}output_rules:
  - {{id: let, decision: allow, match: {{detectors: [secret]}}}}
"""
STOPS = f"""{ALL}output_rules:
  - {{id: stop, decision: quarantine, match: {{detectors: [secret]}}}}
"""
SUCCEEDED = {"result": CANARY}
FAILED = {"status": "failed", "error": {"code": "oops", "message": f"no login with {CANARY}"}}


class Judged:
    """A job in a worker's hands, and a policy that is tightened as its answer is committed."""

    def __init__(self, *, lost: bool = False) -> None:
        self.store = Overtaken()
        self.door = Door(self.store, LETS)
        self.worker = Worker(self.door)
        submit(self.door, topic="job.a")
        (self.job,) = self.worker.lease()
        self.store.lost = lost

    def tighten(self) -> Coroutine[Any, Any, object]:
        """Bring the stricter policy into force."""
        return publish(self.door.plane, [("changed.yaml", STOPS.encode())], actor="test")

    def answered(self, said: dict[str, Any]) -> int:
        """Answer, and be overtaken by the policy; the status."""
        self.store.first = self.tighten
        return self.worker.answer(self.job, **said).status

    def seen(self) -> bytes:
        """What anybody can read of the job."""
        shown = self.door.ask("GET", f"{JOBS}/{self.job['job_id']}").body
        return shown + b"".join(link.record for link in self.store._log)

    def readable(self) -> bool:
        """Whether anybody can read what the worker said."""
        return CANARY.encode() in self.seen()

    def close(self) -> None:
        """The end."""
        self.door.runner.close()


@pytest.mark.parametrize("said", [SUCCEEDED, FAILED], ids=["result", "error"])
def test_a_verdict_that_a_policy_overtook_is_made_anew(said: dict[str, Any]) -> None:
    judged = Judged()
    assert judged.answered(said) == 200
    assert not judged.readable()
    judged.close()


@pytest.mark.parametrize("said", [SUCCEEDED, FAILED], ids=["result", "error"])
def test_a_policy_that_nobody_here_knows_of_lets_nothing_be_read(said: dict[str, Any]) -> None:
    judged = Judged(lost=True)
    assert judged.answered(said) == 503
    assert not judged.readable()
    judged.store.lost = False
    judged.door.run(judged.tighten())
    assert judged.worker.answer(judged.job, **said).status == 200
    assert not judged.readable()
    judged.close()


@pytest.mark.parametrize("said", [SUCCEEDED, FAILED], ids=["result", "error"])
def test_without_the_precondition_it_is_read_under_the_old_policy(said: dict[str, Any]) -> None:
    judged = Judged()
    with mock.patch.object(complete, "policy_unchanged", return_value=()):
        judged.answered(said)
    assert judged.readable()
    judged.close()


def _released_after_the_purge(folder: Path, mode: str = "original") -> int:
    """A second person releases an original whose time ends at this very moment."""
    judged = Judged()
    judged.door.plane.output = OutputMeans(sealer=load_keyring(folder))
    judged.door.run(judged.tighten())
    judged.worker.answer(judged.job, **SUCCEEDED)
    judged.door.clock.forward(SEALED_DAYS * 86_400)
    judged.store.first = lambda: purge(judged.door.plane)
    path = f"{JOBS}/{judged.job['job_id']}/output/release"
    body = {"reason": "fine", "mode": mode}
    reply = judged.door.ask("POST", path, body, key=judged.door.key(Role.APPROVER))
    assert judged.readable() is (reply.status == 200 and mode == "original")
    judged.close()
    return reply.status


@pytest.mark.parametrize("mode", ["original", "redacted"])
def test_what_was_purged_at_this_moment_is_not_released(tmp_path: Path, mode: str) -> None:
    assert _released_after_the_purge(tmp_path, mode) == 409


def test_without_the_precondition_it_is(tmp_path: Path) -> None:
    # In its place a precondition that holds.
    never = JobAbsent("nobody", "none")
    with mock.patch.object(quarantine, "_unpurged", return_value=never):
        assert _released_after_the_purge(tmp_path, "redacted") == 200


@pytest.mark.parametrize("cut_by_worker", [False, True])
def test_no_part_of_a_secret_is_left_by_a_cut(cut_by_worker: bool) -> None:
    judged = Judged()
    judged.door.run(judged.tighten())
    message, progress = (
        ("x " * most)[: most - 38] + CANARY for most in (ERROR_CHARS_MAX, PROGRESS_CHARS_MAX)
    )
    if cut_by_worker:
        message, progress = message[:ERROR_CHARS_MAX], progress[:PROGRESS_CHARS_MAX]
    seen = []
    judged.worker.beat(judged.job, progress=progress)
    seen.append(judged.seen())
    error = {"code": "oops", "message": message}
    assert judged.worker.answer(judged.job, status="failed", error=error).status == 200
    seen.append(judged.seen())
    assert all(b"x x" in each for each in seen)
    assert not any(CANARY[:8].encode() in each for each in seen)
    judged.close()


def _shown_after_a_change() -> bool:
    judged = Judged()
    judged.worker.beat(judged.job, progress=f"login with {CANARY}")
    assert judged.readable()
    judged.door.run(judged.tighten())
    shown = judged.readable()
    judged.worker.beat(judged.job, progress=f"login with {CANARY}")
    assert not judged.readable()
    judged.close()
    return shown


def test_a_progress_is_looked_at_again_under_another_policy() -> None:
    assert not _shown_after_a_change()


def test_without_forgetting_it_is_shown_on() -> None:
    judged = Judged()
    judged.worker.beat(judged.job, progress=f"login with {CANARY}")
    with mock.patch.object(Leases, "forget_progress"):
        judged.door.run(judged.tighten())
    assert judged.readable()
    judged.close()
