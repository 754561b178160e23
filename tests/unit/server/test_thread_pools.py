"""Pools of threads: long work of one key leaves threads to the others, and work ends with its
request."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from forestall.identity.shares import Payer
from forestall.ports.output import ScannerBusyError
from forestall.server.thread_pools import CHARGE, PAYER, DecodeThreads, ScanThreads

HOSTILE, NEIGHBOUR = Payer("one", "hostile"), Payer("one", "neighbour")
STRANGER = Payer("two", "stranger")


def as_payer(payer: Payer, work: Callable[[], object]) -> "asyncio.Future[object]":
    async def run() -> object:
        PAYER.set(payer)
        return await work()  # type: ignore[misc]

    return asyncio.ensure_future(run())


def test_long_scans_of_one_key_leave_a_thread_to_the_others() -> None:
    go = threading.Event()

    async def scene() -> None:
        threads = ScanThreads()
        hostile = [
            as_payer(HOSTILE, lambda: threads.run(lambda expired: go.wait(10))) for _ in range(4)
        ]
        await asyncio.sleep(0)
        for other in (NEIGHBOUR, STRANGER):
            done = as_payer(other, lambda: threads.run(lambda expired: "done"))
            assert await asyncio.wait_for(done, 5) == "done"
        go.set()
        assert await asyncio.gather(*hostile) == [True] * 4
        threads.close()

    asyncio.run(scene())


def test_a_scan_stops_when_its_request_ends() -> None:
    """Both that which runs and that which waits: nobody reads what they would find."""
    stopped, began = threading.Event(), threading.Event()

    def work(expired: Callable[[], bool]) -> None:
        began.set()
        while not expired():
            time.sleep(0.002)
        stopped.set()

    async def scene() -> None:
        threads = ScanThreads()
        runs = as_payer(HOSTILE, lambda: threads.run(work))
        await asyncio.to_thread(began.wait, 5)
        waits = as_payer(HOSTILE, lambda: threads.run(lambda expired: pytest.fail("it ran")))
        await asyncio.sleep(0)
        waits.cancel()
        runs.cancel()
        await asyncio.wait([runs, waits])
        assert await asyncio.to_thread(stopped.wait, 5)
        threads.close()

    asyncio.run(scene())


def test_too_many_scans_of_one_key_are_refused_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forestall.server.thread_pools.SCANS_WAITING_PER_KEY_MAX", 1)
    go = threading.Event()

    async def scene() -> None:
        threads = ScanThreads()
        first = [as_payer(HOSTILE, lambda: threads.run(lambda _: go.wait(9))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ScannerBusyError):
            await as_payer(HOSTILE, lambda: threads.run(lambda _: None))
        assert await as_payer(NEIGHBOUR, lambda: threads.run(lambda _: "done")) == "done"
        go.set()
        await asyncio.gather(*first)
        threads.close()

    asyncio.run(scene())


def test_work_in_a_thread_is_charged_when_it_is_done() -> None:
    charged: list[tuple[Payer, float]] = []

    def work(expired: Callable[[], bool]) -> None:
        until = time.thread_time() + 0.03
        while time.thread_time() < until:
            pass

    async def scene() -> None:
        CHARGE.set(lambda payer, seconds: charged.append((payer, seconds)))
        threads = ScanThreads()
        await as_payer(HOSTILE, lambda: threads.run(work))
        threads.close()

    asyncio.run(scene())
    assert [payer for payer, _ in charged] == [HOSTILE]
    assert charged[0][1] >= 0.03


def test_bodies_are_read_in_another_thread() -> None:
    names = asyncio.run(DecodeThreads().run(lambda: threading.current_thread().name))
    assert names.startswith("forestall-decode")
