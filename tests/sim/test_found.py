"""What the simulation met too seldom for a few seeds to meet it again, told without chance."""

from typing import Any
from unittest import mock

from forestall.control import expire
from tests.asgi import Door
from tests.unit.control.crew import Worker

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
    with mock.patch.object(expire, "_offer_places"):
        assert not _leased_after_the_turn_was_lost()
