"""Three pools of threads: to scan results, to decide on long payloads, to read long bodies.

Places in a pool are given in turns to the keys and tenants whose requests need them (`turns.py`).
The time of a scan is bounded, and ends when its request does: nobody reads the answer any more.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from forestall.identity.shares import Payer, Shares, ShareTakenError
from forestall.limits import (
    DECODES_AT_ONCE,
    DECODES_WAITING_MAX,
    DECODES_WAITING_PER_KEY_MAX,
    DECODES_WAITING_PER_TENANT_MAX,
    INSPECTIONS_AT_ONCE,
    SCAN_SECONDS_MAX,
    SCANS_AT_ONCE,
    SCANS_PER_TENANT_MAX,
    SCANS_WAITING_MAX,
    SCANS_WAITING_PER_KEY_MAX,
    SCANS_WAITING_PER_TENANT_MAX,
)
from forestall.ports.output import ScannerBusyError
from forestall.server.turns import COST, PAYER, Turns

T = TypeVar("T")
_GRACE_SECONDS = 1.0  # for a scan to notice that its time is over, and to return


class ScanThreads:
    """The `Scanners` port over a pool of threads. For one event loop."""

    def __init__(self, *, seconds: float = SCAN_SECONDS_MAX, at_once: int = SCANS_AT_ONCE) -> None:
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="forestall-scan")
        waiting = Shares(
            "scans",
            per_key=SCANS_WAITING_PER_KEY_MAX,
            per_tenant=SCANS_WAITING_PER_TENANT_MAX,
            total=SCANS_WAITING_MAX,
        )
        per_tenant = min(SCANS_PER_TENANT_MAX, at_once)
        self._turns = Turns(at_once, per_tenant=per_tenant, per_key=1, waiting=waiting)

    async def run(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """See `Scanners.run`. The time begins when a thread is free; a scan that does not stop
        keeps its thread until it does. When the request is cancelled, the time is over."""
        payer = PAYER.get()
        try:
            await self._turns.take(payer)
        except ShareTakenError as cause:
            raise ScannerBusyError(
                "too many results wait to be looked at; answer again in a moment", retry_after_s=1
            ) from cause
        until = [time.monotonic() + self._seconds]

        def scan() -> T:
            return work(lambda: time.monotonic() >= until[0])

        done = _started(self._pool, self._turns, payer, scan, COST.get())
        try:
            return await asyncio.wait_for(asyncio.shield(done), self._seconds + _GRACE_SECONDS)
        except asyncio.CancelledError:
            until[0] = 0.0
            raise

    def close(self) -> None:
        """End the threads; a scan that runs ends when its time is over."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class InspectionThreads:
    """The `Executor` port over a pool of threads. `control/offload.py` bounds how many wait."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(INSPECTIONS_AT_ONCE, thread_name_prefix="forestall-inspect")
        self._turns = Turns(INSPECTIONS_AT_ONCE, per_tenant=1, per_key=1, waiting=None)

    async def run(self, work: Callable[[], T]) -> T:
        """See `Executor.run`."""
        return await _in_turn(self._pool, self._turns, work, COST.get())


class DecodeThreads:
    """Reads long bodies beside the event loop. For one event loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(DECODES_AT_ONCE, thread_name_prefix="forestall-decode")
        waiting = Shares(
            "long bodies",
            per_key=DECODES_WAITING_PER_KEY_MAX,
            per_tenant=DECODES_WAITING_PER_TENANT_MAX,
            total=DECODES_WAITING_MAX,
        )
        self._turns = Turns(DECODES_AT_ONCE, per_tenant=1, per_key=1, waiting=waiting)

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work`, and return or raise what it does. Raises ShareTakenError before it waits.

        Costs nothing here: the gateway charges a body before it is read (`rates.py`)."""
        return await _in_turn(self._pool, self._turns, work, None)


_Cost = Callable[[Payer, float], None]


async def _in_turn(
    pool: ThreadPoolExecutor, turns: Turns, work: Callable[[], T], cost: _Cost | None
) -> T:
    payer = PAYER.get()
    await turns.take(payer)
    return await asyncio.shield(_started(pool, turns, payer, work, cost))


def _started(
    pool: ThreadPoolExecutor,
    turns: Turns,
    payer: Payer,
    work: Callable[[], T],
    cost: _Cost | None,
) -> "asyncio.Future[T]":
    """The work in a thread; its place is given back when the thread is done, since the thread is
    taken until then, whoever still waits for the work."""
    spent_s = 0.0

    def timed() -> T:
        nonlocal spent_s
        before = time.thread_time()
        try:
            return work()
        finally:
            spent_s = time.thread_time() - before

    def ended(done: "asyncio.Future[T]") -> None:
        turns.give(payer)
        if cost is not None:
            cost(payer, spent_s)
        if not done.cancelled():
            done.exception()  # the waiter has raised it or given up; asyncio would report it else

    try:
        done = asyncio.get_running_loop().run_in_executor(pool, timed)
    except BaseException:
        turns.give(payer)
        raise
    done.add_done_callback(ended)
    return done
