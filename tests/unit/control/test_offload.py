"""Long payloads: nobody waits for another's, one key does not fill the queue, a policy that changes
while we look decides."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from forestall.control.offload import InspectionBusyError, Inspections
from forestall.control.publish import publish
from forestall.identity.roles import Role
from forestall.identity.shares import Payer
from forestall.limits import INSPECT_INLINE_BYTES_MAX, INSPECTIONS_PER_KEY_MAX
from tests.asgi import Door, opened
from tests.workers_under_test import Worker, pass_time

T = TypeVar("T")
LOOKS = "rules: [{id: a, decision: allow, match: {topics: ['**'], secrets_present: false}}]"
DENIES = b"rules: [{id: no, decision: deny, match: {topics: ['**'], secrets_present: false}}]"
LONG = "word " * INSPECT_INLINE_BYTES_MAX


class HeldExecutor:
    """Does nothing until it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self._began = asyncio.Semaphore(0)

    async def run(self, work: Callable[[], T]) -> T:
        """See `Executor.run`."""
        self._began.release()
        await self.go.wait()
        return work()

    async def begun(self, count: int) -> None:
        """Until so many more have begun."""
        for _ in range(count):
            await self._began.acquire()


def held(door: Door) -> HeldExecutor:
    executor = HeldExecutor()
    door.plane.inspections = Inspections(executor)
    return executor


def post(door: Door, prompt: str, *, topic: str = "job.demo.read", key: str | None = None) -> Any:
    body = {"topic": topic, "prompt": prompt}
    return door.ask_async("POST", "/api/v1/jobs", body, key=key)


def test_a_short_payload_does_not_wait_for_a_long_one() -> None:
    with opened(policy=LOOKS) as door:

        async def both() -> tuple[Any, Any]:
            executor = held(door)
            long = asyncio.ensure_future(post(door, LONG))
            await executor.begun(1)
            short = await post(door, "hi")
            assert not long.done()
            executor.go.set()
            return short, await long

        short, long = door.run(both())
        assert (short.status, long.status) == (200, 200)


def test_one_key_does_not_fill_the_queue() -> None:
    """The others of its long payloads are told to come again; another key's is taken."""
    with opened(policy=LOOKS) as door:
        other = door.key(Role.AGENT, name="other")

        async def many() -> list[Any]:
            executor = held(door)
            mine = [
                asyncio.ensure_future(post(door, f"{number} {LONG}"))
                for number in range(INSPECTIONS_PER_KEY_MAX + 2)
            ]
            await executor.begun(INSPECTIONS_PER_KEY_MAX)
            theirs = asyncio.ensure_future(post(door, LONG, key=other))
            await executor.begun(1)
            executor.go.set()
            return [await each for each in (*mine, theirs)]

        answers = door.run(many())
        refused = [each for each in answers if each.status != 200]
        assert len(refused) == 2
        assert {each.json["code"] for each in refused} == {"inspection_busy"}
        assert refused[0].headers["retry-after"] == "1"
        assert answers[-1].status == 200


def test_a_caller_that_goes_away_frees_no_thread() -> None:
    """Its place is taken until the thread is done, however often it comes and goes."""

    async def scene() -> None:
        executor = HeldExecutor()
        inspections = Inspections(executor)
        for _ in range(INSPECTIONS_PER_KEY_MAX):
            gone = asyncio.ensure_future(inspections.run(lambda: 1, payer=Payer("t", "k")))
            await executor.begun(1)
            gone.cancel()
            await asyncio.wait([gone])
        with pytest.raises(InspectionBusyError):
            await inspections.run(lambda: 1, payer=Payer("t", "k"))
        executor.go.set()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
        assert await inspections.run(lambda: 1, payer=Payer("t", "k")) == 1

    asyncio.run(scene())


def test_the_policy_that_came_meanwhile_decides() -> None:
    with opened(policy=LOOKS) as door:

        async def changed() -> Any:
            executor = held(door)
            asked = asyncio.ensure_future(post(door, LONG))
            await executor.begun(1)
            await publish(door.plane, [("p.yaml", DENIES)], actor="test")
            executor.go.set()
            return await asked

        answer = door.run(changed())
        assert (answer.status, answer.json["code"]) == (403, "policy_denied")


def test_a_dispatch_that_is_too_much_now_is_tried_later() -> None:
    with opened(policy=LOOKS) as door:
        worker = Worker(door)
        assert door.run(post(door, LONG)).status == 200
        door.plane.cache.flush()

        class Busy:
            async def run(self, work: Callable[[], T]) -> T:
                raise InspectionBusyError("full")

        door.plane.inspections = Inspections(Busy())
        assert worker.lease() == []
        door.plane.inspections = Inspections()
        pass_time(door, 10)
        assert len(worker.lease()) == 1
