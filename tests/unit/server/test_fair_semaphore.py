"""A fair semaphore: whoever arrives waits for one turn of each other at most, however much another
has sent."""

import asyncio

import pytest

from forestall.identity.shares import Payer, Shares, ShareTakenError
from forestall.server.fair_semaphore import FairSemaphore

HOSTILE, NEIGHBOUR = Payer("one", "hostile"), Payer("one", "neighbour")
STRANGER = Payer("two", "stranger")


def semaphore(
    places: int = 2, *, per_tenant: int = 1, per_key: int = 1, waiting: int = 9
) -> FairSemaphore:
    bound = Shares("places", per_key=waiting, per_tenant=waiting, total=waiting)
    return FairSemaphore(places, per_tenant=per_tenant, per_key=per_key, waiting=bound)


async def order(places: FairSemaphore, *payers: Payer) -> list[Payer]:
    """Who had a place, in order, when all have asked in this order while the hostile key held one;
    each releases its place at once."""
    had: list[Payer] = []

    async def one(payer: Payer) -> None:
        await places.acquire(payer)
        had.append(payer)
        places.release(payer)

    await places.acquire(HOSTILE)
    waiting = [asyncio.ensure_future(one(payer)) for payer in payers]
    await asyncio.sleep(0)
    places.release(HOSTILE)
    await asyncio.gather(*waiting)
    return had


def test_each_key_and_each_tenant_in_turn() -> None:
    had = asyncio.run(order(semaphore(1), HOSTILE, HOSTILE, HOSTILE, NEIGHBOUR, STRANGER))
    assert had == [HOSTILE, STRANGER, NEIGHBOUR, HOSTILE, HOSTILE]


def test_a_place_stays_free_for_another_tenant() -> None:
    async def scene() -> None:
        places = semaphore(3, per_tenant=2)
        await places.acquire(HOSTILE)
        second = asyncio.ensure_future(places.acquire(HOSTILE))
        await asyncio.wait_for(places.acquire(NEIGHBOUR), 1)
        third = asyncio.ensure_future(places.acquire(NEIGHBOUR))
        await asyncio.wait_for(places.acquire(STRANGER), 1)
        assert not second.done()
        assert not third.done()
        places.release(HOSTILE)
        await asyncio.wait_for(second, 1)
        third.cancel()

    asyncio.run(scene())


def test_too_many_that_wait_are_refused_and_leaving_makes_room() -> None:
    async def scene() -> None:
        places = semaphore(1, waiting=1)
        await places.acquire(HOSTILE)
        waits = asyncio.ensure_future(places.acquire(HOSTILE))
        await asyncio.sleep(0)
        with pytest.raises(ShareTakenError):
            await places.acquire(STRANGER)
        waits.cancel()
        await asyncio.wait([waits])
        stranger = asyncio.ensure_future(places.acquire(STRANGER))
        await asyncio.sleep(0)
        places.release(HOSTILE)
        await asyncio.wait_for(stranger, 1)
        assert not places._queues

    asyncio.run(scene())


def test_a_place_given_to_one_that_leaves_goes_on_to_the_next() -> None:
    async def scene() -> None:
        places = semaphore(1)
        await places.acquire(HOSTILE)
        leaves = asyncio.ensure_future(places.acquire(NEIGHBOUR))
        stays = asyncio.ensure_future(places.acquire(STRANGER))
        await asyncio.sleep(0)
        places.release(HOSTILE)  # to the neighbour, who leaves before it notices
        leaves.cancel()
        await asyncio.wait_for(stays, 1)

    asyncio.run(scene())
