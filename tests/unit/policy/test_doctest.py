"""The examples in the docstrings of the public entry points run, and print what they show."""

import asyncio
import doctest
import threading

import forestall.policy
from forestall.client import worker
from tests.unit.client.fake_plane import FakePlane, delivered


def test_the_examples_of_the_policy_api_run() -> None:
    result = doctest.testmod(forestall.policy)
    assert result.attempted
    assert not result.failed


def test_the_example_of_a_worker_runs() -> None:
    """Against a control plane with one job. `run` needs the main thread for its signals."""
    plane, listening, done = FakePlane([delivered()]), threading.Event(), threading.Event()

    async def serve() -> None:
        async with plane:
            listening.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert listening.wait(10)
        result = doctest.testmod(worker, extraglobs={"url": plane.url, "token": "token"})
    finally:
        done.set()
        thread.join()
    assert result.attempted
    assert not result.failed
    assert [answer["result"] for answer in plane.results()] == [{"echo": "prompt 1"}]
