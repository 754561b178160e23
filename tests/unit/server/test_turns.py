"""Turns: whoever arrives waits for one turn of each other at most, however much another has sent;
a request that ends takes its work with it."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from forestall.identity.shares import Payer, Shares, ShareTakenError
from forestall.ports.output import ScannerBusyError
from forestall.server.scanning import DecodeThreads, ScanThreads
from forestall.server.turns import COST, PAYER, Turns

HOSTILE, NEIGHBOUR = Payer("one", "hostile"), Payer("one", "neighbour")
STRANGER = Payer("two", "stranger")


def turns(places: int = 2, *, per_tenant: int = 1, per_key: int = 1, waiting: int = 9) -> Turns:
    bound = Shares("places", per_key=waiting, per_tenant=waiting, total=waiting)
    return Turns(places, per_tenant=per_tenant, per_key=per_key, waiting=bound)


async def order(places: Turns, *payers: Payer) -> list[Payer]:
    """Who had a place, in order, when all have asked in this order while the hostile key held one;
    each gives its place back at once."""
    had: list[Payer] = []

    async def one(payer: Payer) -> None:
        await places.take(payer)
        had.append(payer)
        places.give(payer)

    await places.take(HOSTILE)
    waiting = [asyncio.ensure_future(one(payer)) for payer in payers]
    await asyncio.sleep(0)
    places.give(HOSTILE)
    await asyncio.gather(*waiting)
    return had


def test_each_key_and_each_tenant_in_turn() -> None:
    had = asyncio.run(order(turns(1), HOSTILE, HOSTILE, HOSTILE, NEIGHBOUR, STRANGER))
    assert had == [HOSTILE, STRANGER, NEIGHBOUR, HOSTILE, HOSTILE]


def test_a_place_stays_free_for_another_tenant() -> None:
    async def scene() -> None:
        places = turns(3, per_tenant=2)
        await places.take(HOSTILE)
        second = asyncio.ensure_future(places.take(HOSTILE))
        await asyncio.wait_for(places.take(NEIGHBOUR), 1)
        third = asyncio.ensure_future(places.take(NEIGHBOUR))
        await asyncio.wait_for(places.take(STRANGER), 1)
        assert not second.done()
        assert not third.done()
        places.give(HOSTILE)
        await asyncio.wait_for(second, 1)
        third.cancel()

    asyncio.run(scene())


def test_too_many_that_wait_are_refused_and_leaving_makes_room() -> None:
    async def scene() -> None:
        places = turns(1, waiting=1)
        await places.take(HOSTILE)
        waits = asyncio.ensure_future(places.take(HOSTILE))
        await asyncio.sleep(0)
        with pytest.raises(ShareTakenError):
            await places.take(STRANGER)
        waits.cancel()
        await asyncio.wait([waits])
        stranger = asyncio.ensure_future(places.take(STRANGER))
        await asyncio.sleep(0)
        places.give(HOSTILE)
        await asyncio.wait_for(stranger, 1)
        assert not places._lines

    asyncio.run(scene())


def test_a_place_given_to_one_that_leaves_goes_on_to_the_next() -> None:
    async def scene() -> None:
        places = turns(1)
        await places.take(HOSTILE)
        leaves = asyncio.ensure_future(places.take(NEIGHBOUR))
        stays = asyncio.ensure_future(places.take(STRANGER))
        await asyncio.sleep(0)
        places.give(HOSTILE)  # to the neighbour, who leaves before it notices
        leaves.cancel()
        await asyncio.wait_for(stays, 1)

    asyncio.run(scene())


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
    monkeypatch.setattr("forestall.server.scanning.SCANS_WAITING_PER_KEY_MAX", 1)
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
        COST.set(lambda payer, seconds: charged.append((payer, seconds)))
        threads = ScanThreads()
        await as_payer(HOSTILE, lambda: threads.run(work))
        threads.close()

    asyncio.run(scene())
    assert [payer for payer, _ in charged] == [HOSTILE]
    assert charged[0][1] >= 0.03


def test_bodies_are_read_in_another_thread() -> None:
    names = asyncio.run(DecodeThreads().run(lambda: threading.current_thread().name))
    assert names.startswith("forestall-decode")
