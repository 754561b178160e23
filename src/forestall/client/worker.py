"""Run a Python function as a worker: lease jobs, verify each ticket, run the handler, answer.

`url` and `token` are the address of the control plane and the credential that an administrator made
for the worker `w1`. `run` blocks until SIGTERM, or until `max_jobs` jobs were run:

>>> def handler(job):
...     return {"echo": job.prompt}
>>> Worker(url, token, "w1", parallel=4, max_jobs=1).run(handler)
RunTally(succeeded=1, failed=0, lost=0, refused=0, returned=0)

A job runs only if its ticket proves that the control plane decided exactly this job, for this
worker, now. One worker never runs one attempt twice. docs/guides/worker.md describes the protocol.
"""

import asyncio
import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

import msgspec

from forestall.client.http.message import NoAnswerError
from forestall.client.worker_answers import Answers
from forestall.client.worker_beats import Beats
from forestall.client.worker_job import (
    RESULT_REFUSED,
    Failure,
    Retryable,
    WorkerJob,
    failed,
    failure_of,
    succeeded,
    unsent,
)
from forestall.client.worker_link import (
    BackOff,
    PlaneConnection,
    WorkerRefusedError,
    job_path,
    may_pass,
    refused,
)
from forestall.client.worker_run import Caller, Handler, Run
from forestall.errors import ForestallError, InvalidRequestError
from forestall.limits import LEASE_JOBS_MAX, NAME_CHARS_MAX, WORKER_PARALLEL_MAX

__all__ = ["Failure", "Retryable", "RunTally", "Worker", "WorkerJob", "WorkerRefusedError"]

STOPPED = "worker_stopped"
_LOG = logging.getLogger("forestall.worker")
_GATHER_SECONDS = 0.005  # a busy worker waits this long for more room before it leases jobs
_LAST_WORD_SECONDS = 2.0  # after the grace: time for stopped jobs to end


class RunTally(NamedTuple):
    """How many jobs of a worker ended in which way."""

    succeeded: int = 0
    failed: int = 0
    lost: int = 0  # cancelled, timed out, or ended by somebody else while they ran
    refused: int = 0  # not run, because the ticket did not match the job
    returned: int = 0  # given back before they were begun


class _LeaseAnswer(msgspec.Struct, frozen=True):
    jobs: list[msgspec.Raw] = []


class _LeaseName(msgspec.Struct, frozen=True):
    job_id: str
    lease_id: str


class Worker:
    """One worker of one control plane. Use `run` as a program of its own, `serve` inside a loop.

    `topics` and `capabilities` narrow the grant of the credential. `parallel` is how many jobs run
    at once; `max_jobs` ends the worker after so many. `ticket_keys` are the public keys that may
    sign tickets; without them the worker trusts those that the plane names at the first
    registration. `grace_seconds` is the time that running jobs get when the worker stops.
    `send_error_text`: send the texts of exceptions to the plane.
    """

    def __init__(
        self,
        url: str,
        token: str,
        worker_id: str,
        *,
        topics: Sequence[str] = (),
        capabilities: Sequence[str] = (),
        parallel: int = 1,
        max_jobs: int | None = None,
        ticket_keys: Sequence[str] = (),
        grace_seconds: float = 25.0,
        send_error_text: bool = False,
    ) -> None:
        """Raises InvalidRequestError."""
        if not worker_id.isascii() or not 0 < len(worker_id) <= NAME_CHARS_MAX or "/" in worker_id:
            raise InvalidRequestError("the worker's id is the name that its token was made for")
        if not 1 <= parallel <= WORKER_PARALLEL_MAX:
            raise InvalidRequestError(f"`parallel` is 1 to {WORKER_PARALLEL_MAX}")
        if max_jobs is not None and max_jobs < 1:
            raise InvalidRequestError("`max_jobs` is 1 or more")
        self.id = worker_id
        self.parallel = parallel
        registration = {
            "topics": list(topics),
            "capabilities": list(capabilities),
            "max_parallel": parallel,
        }
        self._left = max_jobs
        self._batch = max(1, parallel // 4)
        self._ticket_keys = tuple(ticket_keys)
        self._grace_seconds = grace_seconds
        self._send_error_text = send_error_text
        self._counts = dict.fromkeys(RunTally._fields, 0)
        # answers and returns of jobs that are not run
        self._errands: set[asyncio.Task[None]] = set()
        self._fatal: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link = PlaneConnection(url, token, worker_id, msgspec.json.encode(registration))
        self._beats = Beats(self._link)
        self._runs = self._beats.runs
        self._has_room = asyncio.Event()
        self._answers = Answers(self._link)

    # -- from outside --

    def run(
        self,
        handler: Handler,
        *,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> RunTally:
        """Serve until SIGINT or SIGTERM; a second signal ends the process at once.

        Returns how the jobs ended. Raises WorkerRefusedError, TicketKeysError, InvalidRequestError.
        """
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(self._serve_until_signal(handler))

    def stop(self) -> None:
        """Lease no more jobs, let running jobs end within the grace, then let `serve` return. From
        any thread."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended
                loop.call_soon_threadsafe(self._end)

    async def serve(self, handler: Handler) -> RunTally:
        """Lease and run jobs until `stop`; returns how they ended. Once only. Raises as `run`."""
        from forestall.client import worker_ticket  # slow to import: jobs and keys

        assert self._loop is None, "a worker serves once"
        self._loop = asyncio.get_running_loop()
        self._ticket = worker_ticket
        self._checker = worker_ticket.Checker(self._ticket_keys, worker_id=self.id)
        self._link.on_keys = self._checker.pin
        self._caller = Caller(handler, self.parallel)
        try:
            if await self._link.register():
                await self._work()
        except ForestallError as error:
            self._fail(error)
        finally:
            self._caller.close()
            self._link.close()
        if self._fatal is not None:
            raise self._fatal
        return RunTally(**self._counts)

    async def _serve_until_signal(self, handler: Handler) -> RunTally:
        if threading.current_thread() is not threading.main_thread():
            return await self.serve(handler)

        def handle(number: int, frame: object) -> None:
            signal.signal(number, signal.SIG_DFL)  # the second signal ends the process
            self.stop()

        before = {number: signal.signal(number, handle) for number in _STOP_SIGNALS}
        try:
            return await self.serve(handler)
        finally:
            for number, earlier in before.items():
                signal.signal(number, earlier)

    # -- the loops --

    async def _work(self) -> None:
        taking = asyncio.create_task(self._guarded(self._take_jobs()))
        beside = [
            asyncio.create_task(self._guarded(self._beats.keep_leases())),
            asyncio.create_task(self._guarded(self._beats.report())),
        ]
        try:
            await self._link.stopping.wait()
            await self._wind_up(taking)
        finally:
            for task in (taking, *beside):
                task.cancel()
            await asyncio.gather(taking, *beside, return_exceptions=True)

    async def _guarded(self, loop: Coroutine[Any, Any, None]) -> None:
        try:
            await loop
        except Exception as error:  # noqa: BLE001 - raised again by `serve`
            self._fail(error)

    async def _take_jobs(self) -> None:
        """Lease as many jobs as there is room for, never more."""
        while not self._link.stopping.is_set() and self._left != 0:
            await self._until_room()
            session = self._link.session
            # Not longer than a heartbeat interval, so that an idle worker is seen to be alive.
            wait_ms = min(session.wait_ms_max, max(1_000, session.heartbeat_ms))
            limit = min(self._room(), LEASE_JOBS_MAX)
            body = b'{"limit":%d,"wait_ms":%d}' % (limit, wait_ms)
            if self._link.stopping.is_set():
                return
            reply = await self._link.ask("lease", body, wait_ms=wait_ms)
            if reply is None:
                return
            for raw in _decode_leased(reply.body).jobs:
                self._begin(raw)

    def _room(self) -> int:
        room = self.parallel - len(self._runs)
        return room if self._left is None else min(room, self._left)

    async def _until_room(self) -> None:
        """Wait for room. With little room, wait a moment longer, so that jobs come in batches."""
        while self._room() < 1 and not self._link.stopping.is_set():
            self._has_room.clear()
            await self._has_room.wait()
        if self._room() < self._batch and self._runs and not self._link.stopping.is_set():
            await asyncio.sleep(_GATHER_SECONDS)

    # -- one job --

    def _begin(self, raw: msgspec.Raw) -> None:
        """Start a leased job, or answer at once why it is not run."""
        try:
            given = self._ticket.decode_delivered(raw)
        except Failure as failure:
            self._refuse_unread(raw, failure)
            return
        if given.lease_id in self._runs:
            _LOG.error("job %s was handed out twice; it runs once", given.job_id)
            self._counts["refused"] += 1
        elif self._link.stopping.is_set() or self._room() < 1:
            self._errand(self._give_back(given.job_id, given.lease_id))
        else:
            if self._left is not None:
                self._left -= 1
            run = self._runs[given.lease_id] = Run(given)
            run.task = asyncio.create_task(self._one(run))
            self._beats.busy.set()

    async def _one(self, run: Run) -> None:
        """One job, from its ticket to its answer."""
        try:
            answer = await self._outcome(run)
            if answer is not None:
                await self._answer(run, answer)
            else:
                self._counts["lost"] += bool(run.lost)
        except Exception as error:  # noqa: BLE001 - a fault of ours, raised again by `serve`
            self._fail(error)
        finally:
            del self._runs[run.given.lease_id]
            self._has_room.set()
            if not self._runs:
                self._beats.busy.clear()
                if self._left == 0:
                    self._end()

    async def _outcome(self, run: Run) -> bytes | None:
        """The answer for a job; None when the job must not be answered."""
        given = run.given
        tenant = self._link.session.tenant
        try:
            job = self._checker.check(given, tenant=tenant, now_us=time.time_ns() // 1_000)
        except Failure as failure:
            # Nothing was run. The job is answered rather than given back, because the next worker
            # would meet the same ticket key and the same job; as a dead letter it reaches a person.
            _LOG.error("job %s was NOT run: %s", given.job_id, failure.message)
            self._counts["refused"] += 1
            return failed(given.lease_id, failure)
        if job is None:
            _LOG.error("attempt %d of job %s is not run twice", given.attempt, given.job_id)
            self._counts["refused"] += 1
            return None
        run.job = job
        ended = await self._caller.call(run, job)
        if run.lost:
            return None
        if ended.error is None:
            return succeeded(given.lease_id, job, ended.value)
        reported = self._failure(run, ended.error)
        if not isinstance(ended.error, (Failure, asyncio.CancelledError)):
            _LOG.error("job %s failed: %s", job.id, reported.message, exc_info=ended.error)
        return failed(given.lease_id, reported)

    def _failure(self, run: Run, error: BaseException) -> Failure:
        if isinstance(error, asyncio.CancelledError) and run.stopped:
            return Failure(STOPPED, "the worker was stopped; part of the job may have been done")
        return failure_of(error, with_text=self._send_error_text)

    async def _answer(self, run: Run, body: bytes) -> None:
        """Send the answer until it is taken. Sending it again is safe: the plane recognises it."""
        back_off, tries, lease_id = BackOff(), 0, run.given.lease_id
        # A refused answer is followed by the same outcome without its content. The last one is for
        # a plane that does not know how to withhold a result.
        refusal = Failure(RESULT_REFUSED, "the control plane refused the answer of the worker")
        simpler = [failed(lease_id, refusal)]
        if not _says_failed(body):
            simpler.append(unsent(lease_id, RESULT_REFUSED))
        while not run.lost:
            tries += 1
            least = 0.0
            run.answering = True
            try:
                reply = await self._answers.say(run.given.job_id, body)
            except NoAnswerError as error:
                if tries == 1:
                    _LOG.warning("cannot answer for job %s yet: %s", run.given.job_id, error)
            else:
                code = "" if reply.status == 200 else reply.code
                if reply.status == 200 or (code == "already_completed" and tries > 1):
                    run.answered = True
                    self._counts["failed" if _says_failed(body) else "succeeded"] += 1
                    return
                if reply.status in (401, 403):
                    raise refused(reply)
                if reply.status in (400, 413, 415, 422) and simpler:
                    _LOG.error("the answer for job %s is refused: %s", run.given.job_id, code)
                    body = simpler.pop()
                    continue
                if not may_pass(reply):
                    run.lost = why = str(reply.value().get("message", reply.status))
                    _LOG.warning("the answer for job %s is not taken: %s", run.given.job_id, why)
                    break
                least = reply.retry_after_s
            await asyncio.sleep(back_off.seconds(least))
        self._counts["lost"] += 1

    def _refuse_unread(self, raw: msgspec.Raw, failure: Failure) -> None:
        _LOG.error("a job was NOT run: %s", failure.message)
        self._counts["refused"] += 1
        with contextlib.suppress(msgspec.DecodeError):
            lease = _decode_name(raw)
            answer = failed(lease.lease_id, failure)
            self._errand(self._link.tell(job_path(lease.job_id, "result"), answer))

    async def _give_back(self, job_id: str, lease_id: str) -> None:
        """Return a job that was not begun, so that another worker gets it."""
        path = job_path(job_id, "return")
        await self._link.tell(path, msgspec.json.encode({"lease_id": lease_id}))
        self._counts["returned"] += 1

    def _errand(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(errand))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    # -- the end --

    def _end(self) -> None:
        if not self._link.stopping.is_set():
            _LOG.info("stopping; %d jobs run", len(self._runs))
        self._link.stopping.set()
        self._has_room.set()

    def _fail(self, error: Exception) -> None:
        """Stop everything after a fatal error: handlers are told to end, and `serve` raises it."""
        self._fatal = self._fatal or error
        for run in self._runs.values():
            run.lose(str(error))
        self._end()

    async def _wind_up(self, taking: "asyncio.Task[None]") -> None:
        """End in order: lease no more, wait for running jobs within the grace, stop their handlers,
        give up.

        A job that still runs gets no answer; its lease ends in the plane.
        """
        if not taking.done():
            await self._link.end_waiting()
            await asyncio.wait({taking}, timeout=_LAST_WORD_SECONDS)
            taking.cancel()
        grace = 0.0 if self._fatal is not None else self._grace_seconds
        await self._wait_for_runs(grace)
        for run in self._runs.values():
            run.stopped = True
            run.stop()
        await self._wait_for_runs(_LAST_WORD_SECONDS)
        for run in self._runs.values():
            if run.work is not None:
                run.work.cancel()  # a thread that goes on is left alone
        await self._wait_for_runs(_LAST_WORD_SECONDS)
        left = [run.task for run in self._runs.values() if run.task is not None]
        for task in left:
            _LOG.error("a job that ran has no answer; its lease will end")
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _wait_for_runs(self, seconds: float) -> None:
        tasks = {run.task for run in self._runs.values() if run.task is not None} | self._errands
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)


_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_decode_leased = msgspec.json.Decoder(_LeaseAnswer).decode
_decode_name = msgspec.json.Decoder(_LeaseName).decode


def _says_failed(body: bytes) -> bool:
    return b'"status":"failed"' in body[:512]
