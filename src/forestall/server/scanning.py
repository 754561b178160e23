"""Two pools of threads: for scans, with a bound on the time of each and on the number that waits;
and for decisions on long payloads, whose number `control/offload.py` bounds."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from forestall.limits import INSPECTIONS_AT_ONCE, SCAN_SECONDS_MAX, SCANS_AT_ONCE, SCANS_WAITING_MAX
from forestall.ports.output import ScannerBusyError

T = TypeVar("T")
_GRACE_SECONDS = 1.0  # for a scan to notice that its time is over, and to return


class ScanThreads:
    """The `Scanners` port over a pool of threads. For one event loop."""

    def __init__(self, *, seconds: float = SCAN_SECONDS_MAX, at_once: int = SCANS_AT_ONCE) -> None:
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="forestall-scan")
        self._free = asyncio.Semaphore(at_once)
        self._waiting = 0

    async def run(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """See `Scanners.run`. The time begins when a thread is free; a scan that does not stop
        keeps its thread until it does."""
        if self._waiting >= SCANS_WAITING_MAX:
            raise ScannerBusyError(
                "too many results wait to be looked at; answer again in a moment", retry_after_s=1
            )
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        until = time.monotonic() + self._seconds
        loop = asyncio.get_running_loop()
        try:
            done = loop.run_in_executor(self._pool, work, lambda: time.monotonic() >= until)
        except BaseException:
            self._free.release()
            raise
        done.add_done_callback(self._thread_is_free)
        return await asyncio.wait_for(asyncio.shield(done), self._seconds + _GRACE_SECONDS)

    def _thread_is_free(self, done: "asyncio.Future[T]") -> None:
        self._free.release()
        if not done.cancelled():
            done.exception()  # the waiter has raised it or given up; asyncio would report it else

    def close(self) -> None:
        """End the threads; a scan that runs ends when its time is over."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class InspectionThreads:
    """The `Executor` port over a pool of threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(INSPECTIONS_AT_ONCE, thread_name_prefix="forestall-inspect")

    async def run(self, work: Callable[[], T]) -> T:
        """See `Executor.run`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
