"""Three pools of threads: to scan results, to decide on long payloads, to decode long bodies.

The keys and tenants whose requests need a thread get one in turn (`fair_semaphore.py`). The time of
a scan is bounded, and ends when its request does: nobody would read what the scan finds.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TypeVar

from forestall.identity.shares import THE_PLANE, Payer, Shares, ShareTakenError
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
from forestall.server.fair_semaphore import FairSemaphore

T = TypeVar("T")
_Charge = Callable[[Payer, float], None]  # payer, seconds of processor time
_GRACE_SECONDS = 1.0  # for a scan to notice that its time is over, and to return

# The gateway sets both for each request, so that threads are shared by payer although no verb
# between them names one.
PAYER: ContextVar[Payer] = ContextVar("forestall_payer", default=THE_PLANE)
CHARGE: ContextVar[_Charge] = ContextVar("forestall_charge", default=lambda payer, seconds: None)


class _FairThreads:
    """A pool of threads whose places are given in turn. For one event loop."""

    def __init__(self, name: str, threads: int, *, per_tenant: int, waiting: Shares | None) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"forestall-{name}")
        self._places = FairSemaphore(threads, per_tenant=per_tenant, per_key=1, waiting=waiting)

    async def start(
        self, work: Callable[[], T], *, charge: _Charge | None = None
    ) -> "asyncio.Future[T]":
        """Wait for a thread, and start `work` in it. `charge` is called with the processor time of
        `work`. Raises ShareTakenError before it waits.

        The place is given back when the thread is done, whoever still waits for the work: the
        thread is taken until then.
        """
        payer = PAYER.get()
        await self._places.acquire(payer)
        spent_s = 0.0

        def timed() -> T:
            nonlocal spent_s
            began_s = time.thread_time()
            try:
                return work()
            finally:
                spent_s = time.thread_time() - began_s

        def finish(done: "asyncio.Future[T]") -> None:
            self._places.release(payer)
            if charge is not None:
                charge(payer, spent_s)
            if not done.cancelled():
                done.exception()  # the caller has seen it, or has gone; else asyncio reports it

        try:
            done = asyncio.get_running_loop().run_in_executor(self._pool, timed)
        except BaseException:
            self._places.release(payer)
            raise
        done.add_done_callback(finish)
        return done

    def close(self) -> None:
        """End the threads; work that runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class ScanThreads:
    """The `Scanners` port over a pool of threads. For one event loop."""

    def __init__(self, *, seconds: float = SCAN_SECONDS_MAX, at_once: int = SCANS_AT_ONCE) -> None:
        self._seconds = seconds
        waiting = Shares(
            "scans",
            per_key=SCANS_WAITING_PER_KEY_MAX,
            per_tenant=SCANS_WAITING_PER_TENANT_MAX,
            total=SCANS_WAITING_MAX,
        )
        per_tenant = min(SCANS_PER_TENANT_MAX, at_once)
        self._threads = _FairThreads("scan", at_once, per_tenant=per_tenant, waiting=waiting)

    async def run(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """See `Scanners.run`. The time begins when a thread is free; a scan that does not stop
        keeps its thread until it does. When the request is cancelled, the time is over."""
        ends_at: float | None = None

        def scan() -> T:
            return work(lambda: ends_at is not None and time.monotonic() >= ends_at)

        try:
            done = await self._threads.start(scan, charge=CHARGE.get())
        except ShareTakenError as cause:
            raise ScannerBusyError(
                "too many results wait to be looked at; answer again in a moment", retry_after_s=1
            ) from cause
        ends_at = time.monotonic() + self._seconds
        try:
            return await asyncio.wait_for(asyncio.shield(done), self._seconds + _GRACE_SECONDS)
        except asyncio.CancelledError:
            ends_at = 0.0
            raise

    def close(self) -> None:
        """End the threads; a scan that runs ends when its time is over."""
        self._threads.close()


class InspectionThreads:
    """The `Executor` port over a pool of threads. `control/offload.py` bounds how many wait."""

    def __init__(self) -> None:
        self._threads = _FairThreads("inspect", INSPECTIONS_AT_ONCE, per_tenant=1, waiting=None)

    async def run(self, work: Callable[[], T]) -> T:
        """See `Executor.run`."""
        return await asyncio.shield(await self._threads.start(work, charge=CHARGE.get()))


class DecodeThreads:
    """Decodes long bodies beside the event loop. For one event loop."""

    def __init__(self) -> None:
        waiting = Shares(
            "long bodies",
            per_key=DECODES_WAITING_PER_KEY_MAX,
            per_tenant=DECODES_WAITING_PER_TENANT_MAX,
            total=DECODES_WAITING_MAX,
        )
        self._threads = _FairThreads("decode", DECODES_AT_ONCE, per_tenant=1, waiting=waiting)

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work`, and return or raise what it does. Raises ShareTakenError before it waits.

        Charges nothing: the gateway charges a body before it is decoded (`rates.py`)."""
        return await asyncio.shield(await self._threads.start(work))
