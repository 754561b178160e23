"""Call a handler for one job: an async function on the loop, any other function in a thread.

To stop a job, an async handler is cancelled. A thread cannot be stopped from outside:
`job.cancelled` is set, the thread is left alone, and it never delays the end of the process.
"""

import asyncio
import inspect
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from forestall.client.worker_job import WorkerJob

if TYPE_CHECKING:
    from forestall.client.worker_ticket import DeliveredJob

Handler = Callable[[WorkerJob], Any]
_LOG = logging.getLogger("forestall.worker")


class AttemptEnd(NamedTuple):
    """The end of a call: the value that the handler returned, or the exception that it raised."""

    value: Any = None
    error: BaseException | None = None


class Run:
    """One leased job of this worker while it runs."""

    __slots__ = (
        "answered",
        "answering",
        "began_at",
        "given",
        "job",
        "lost",
        "reported",
        "stopped",
        "task",
        "work",
    )

    def __init__(self, given: "DeliveredJob") -> None:
        self.given = given
        self.began_at = time.monotonic()
        self.job: WorkerJob | None = None  # set once the ticket is verified
        self.work: asyncio.Future[AttemptEnd] | None = None
        self.task: asyncio.Task[None] | None = None
        self.lost = ""  # why the job must not be answered any more; empty while it may
        self.answering = self.answered = False
        self.stopped = False  # the worker stops, and the grace is over
        self.reported: tuple[str, int] | None = None

    def stop(self) -> None:
        """Tell the handler to stop."""
        if self.job is not None:
            self.job.cancelled.set()
        if isinstance(self.work, asyncio.Task):
            self.work.cancel()

    def lose(self, why: str) -> None:
        """Give up the job without an answer, unless it was answered already."""
        if not self.lost and not self.answered:
            _LOG.warning("job %s is to be stopped: %s", self.given.job_id, why)
            self.lost = why
            self.stop()


class Caller:
    """Calls one handler for many jobs at once. For one event loop."""

    def __init__(self, handler: Handler, parallel: int) -> None:
        self._handler = handler
        self._is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004 - is *it* async?
        )
        self._threads = _Threads(parallel)

    async def call(self, run: Run, job: WorkerJob) -> AttemptEnd:
        """Run the handler, stop it when the job's time is over, and return how it ended."""
        loop = asyncio.get_running_loop()
        if self._is_async:
            run.work = loop.create_task(self._awaited(job))
        else:
            run.work = self._threads.call(self._handler, job)
        left, timer = job.seconds_left(), None
        if left is not None:
            timer = loop.call_later(max(0.0, left), run.lose, "its time is over")
        try:
            return await run.work
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return AttemptEnd(error=error)
        finally:
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        """Let idle threads end."""
        self._threads.close()

    async def _awaited(self, job: WorkerJob) -> AttemptEnd:
        try:
            return AttemptEnd(await self._handler(job))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - SystemExit too: the worker lives on
            return AttemptEnd(error=error)


class _ThreadCall(NamedTuple):
    function: Callable[[Any], Any]
    argument: Any
    future: "asyncio.Future[AttemptEnd]"


class _Threads:
    """A pool of at most `most` threads, started as needed. Used from one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._started = 0
        self._under_way = 0
        self._calls: queue.SimpleQueue[_ThreadCall | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()

    def call(self, function: Callable[[Any], Any], argument: Any) -> "asyncio.Future[AttemptEnd]":
        """Run a function in a thread. The future never raises an exception of the function."""
        self._under_way += 1
        if self._under_way > self._started and self._started < self._most:
            self._started += 1
            threading.Thread(
                target=self._work, name=f"forestall-worker-{self._started}", daemon=True
            ).start()
        future: asyncio.Future[AttemptEnd] = self._loop.create_future()
        self._calls.put(_ThreadCall(function, argument, future))
        return future

    def close(self) -> None:
        """Let idle threads end; busy threads end after their call, or with the process."""
        for _ in range(self._started):
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                ended = AttemptEnd(call.function(call.argument))
            except BaseException as error:  # noqa: BLE001 - SystemExit too: the thread lives on
                ended = AttemptEnd(error=error)
            try:
                self._loop.call_soon_threadsafe(self._ended, call.future, ended)
            except RuntimeError:  # the loop is closed: nobody waits for the result
                return

    def _ended(self, future: "asyncio.Future[AttemptEnd]", ended: AttemptEnd) -> None:
        self._under_way -= 1
        if not future.done():
            future.set_result(ended)
