"""What a worker asks beside its answers: register, wait for work, heartbeat, return a job.

`dispatch` gives a worker its jobs, and `complete` takes its answers.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from forestall.control.check_output import clean_texts, may_be_shown
from forestall.control.gate import withdrawal
from forestall.control.lease_holder import (
    AlreadyCompletedError,
    NotThisWorkerError,
    record_refusal,
    require_lease,
)
from forestall.control.moves import Move, commit_move
from forestall.control.plane import Plane
from forestall.control.recover import take_back
from forestall.control.withdraw import stop_work
from forestall.errors import (
    ConflictError,
    InvalidRequestError,
    LimitExceededError,
    UnavailableError,
)
from forestall.identity.credentials import Subject, WorkerGrant
from forestall.jobs.job import Job, JobState, Lease
from forestall.jobs.lifecycle import Event, IllegalStateError
from forestall.jobs.worker import DispatchedJob, Heartbeat, LeaseLost, WorkerOffer
from forestall.limits import EARLIER_CHARS_MAX, WORKER_PARALLEL_MAX, WORKERS_PER_TENANT_MAX
from forestall.policy.globs import GlobError, compile_globs
from forestall.ports.store import PreconditionFailedError
from forestall.projections.leases import LeasedJob
from forestall.projections.worker_sessions import WorkerSession


class WorkerUnknownError(ConflictError):
    """The worker is not registered (the server was restarted, say). Register, then ask again."""

    code, http_status = "worker_not_registered", 409


def register(plane: Plane, subject: Subject, worker_id: str, offer: WorkerOffer) -> WorkerSession:
    """Open the session of a worker; it replaces an earlier session of the same worker. Raises
    NotThisWorkerError, InvalidRequestError, LimitExceededError."""
    grant = _grant(subject, worker_id)
    if not 1 <= offer.max_parallel <= WORKER_PARALLEL_MAX:
        raise InvalidRequestError(f"`max_parallel` is 1 to {WORKER_PARALLEL_MAX}")
    current = plane.workers.get(subject.tenant, grant.worker_id)
    if current is None and plane.workers.count(subject.tenant) >= WORKERS_PER_TENANT_MAX:
        raise LimitExceededError(f"a tenant has at most {WORKERS_PER_TENANT_MAX} workers")
    try:
        compile_globs(offer.topics)
    except GlobError as cause:
        raise InvalidRequestError(f"`topics`: {cause}") from cause
    session = WorkerSession(
        subject.tenant,
        grant,
        key_id=subject.key_id,
        topics=offer.topics,
        capabilities=offer.capabilities,
        max_parallel=offer.max_parallel,
        now_us=plane.clock.now_us(),
    )
    plane.workers.add(session)
    return session


async def require_clean_offer(plane: Plane, subject: Subject, offer: WorkerOffer) -> None:
    """Refuse an offer whose names hold what the output policy lets nobody read: everybody who lists
    workers reads them. Names in the grant come from an administrator, and are not scanned. Raises
    InvalidRequestError, PolicyUnavailableError, ScannerBusyError."""
    grant = subject.worker
    granted = {*grant.topics, *grant.capabilities} if grant is not None else set()
    names = [name for name in (*offer.topics, *offer.capabilities) if name not in granted]
    if names and not await may_be_shown(plane, subject.tenant, names):
        raise InvalidRequestError(
            "`topics` or `capabilities` holds what looks like a secret; send the names alone"
        )


def session_of(plane: Plane, subject: Subject, worker_id: str) -> WorkerSession:
    """The session of the worker that makes this request. Raises WorkerUnknownError when the worker
    has none under this credential, NotThisWorkerError."""
    grant = _grant(subject, worker_id)
    session = plane.workers.get(subject.tenant, grant.worker_id)
    if session is None or session.key_id != subject.key_id:
        raise WorkerUnknownError("this worker is not registered; register it and ask again")
    session.last_seen_us = plane.clock.now_us()
    return session


async def require_itself(plane: Plane, subject: Subject, worker_id: str, *, what: str) -> None:
    """Refuse, and record, a request in which a worker names another worker than itself. Raises
    NotThisWorkerError. `what` names the request in the record."""
    try:
        _grant(subject, worker_id)
    except NotThisWorkerError as error:
        await record_refusal(plane, subject, error.code, what=what, named=worker_id)
        raise


def _grant(subject: Subject, worker_id: str) -> WorkerGrant:
    if subject.worker is None or subject.worker.worker_id != worker_id:
        raise NotThisWorkerError("the credential is not the one of this worker")
    return subject.worker


async def wait_for_work(plane: Plane, session: WorkerSession, *, seconds: float) -> None:
    """Return when a job that the worker can serve may be queued, or the time is over.

    The caller looks at the queue before it calls. When this is cancelled after a wake-up, it wakes
    the other workers, since the job that it was woken for is still queued.
    """
    plane.workers.idle(session)
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(session.work.wait(), seconds)
    except BaseException:
        if session.work.is_set():
            plane.workers.wake_all()
        raise
    finally:
        plane.workers.busy(session)


async def beat(plane: Plane, session: WorkerSession, beats: Sequence[Heartbeat]) -> list[LeaseLost]:
    """Renew the leases that a heartbeat names, and note start and progress of their jobs. Returns
    the leases that the worker has lost: it must stop those jobs. A job is cancelled here when the
    key of its submitter, or of a person whose approval it runs under, has ended."""
    lost: list[LeaseLost] = []
    started: list[Job] = []
    progress_texts: list[tuple[LeasedJob, str]] = []
    now_us = plane.clock.now_us()
    for report in beats:
        leased = plane.leases.get(session.tenant, report.job_id)
        if leased is None or not _is_lease_of(leased.job.lease, session, report):
            lost.append(await _why_lost(plane, session, report))
            continue
        if code := withdrawal(plane, leased.job, now_us=now_us):
            lost.append(await _cancel_withdrawn(plane, leased.job, code, now_us=now_us))
            continue
        plane.leases.renew(leased, expires_at_us=now_us + plane.lease_us)
        leased.percent = report.percent
        if report.progress != leased.reported_progress:
            progress_texts.append((leased, report.progress))
        if report.started and leased.job.state is JobState.DISPATCHED:
            started.append(leased.job)
    await asyncio.gather(*(_commit_start(plane, job, now_us=now_us) for job in started))
    await _show_progress(plane, progress_texts)
    return lost


def _is_lease_of(lease: Lease | None, session: WorkerSession, report: Heartbeat) -> bool:
    """Whether this is the worker's lease, under the id that the heartbeat names."""
    return lease is not None and (lease.worker, lease.id) == (session.id, report.lease_id)


async def _show_progress(plane: Plane, progress_texts: Sequence[tuple[LeasedJob, str]]) -> None:
    """Scan reported progress, and show what may be read of it; nothing is shown before the scan."""
    for leased, text in progress_texts:
        leased.reported_progress, leased.progress = text, ""
        try:
            (clean,) = await clean_texts(
                plane, leased.job, (text,), after=(leased.earlier_progress_end,)
            )
            leased.earlier_progress_end = (leased.earlier_progress_end + text)[-EARLIER_CHARS_MAX:]
        except UnavailableError:
            # Forget the text, so that the same text in the next heartbeat is scanned.
            clean, leased.reported_progress = "", ""
        # A later heartbeat may have reported another text during the scan.
        if leased.reported_progress == text:
            leased.progress = clean


async def renew(plane: Plane, subject: Subject, job_id: str, lease_id: str) -> tuple[Job, int]:
    """Renew the lease of a caller that claimed its own job. Returns the job, and the instant
    (µs, UTC) at which the lease expires now. Raises as `complete`."""
    job = await require_lease(plane, subject, job_id, lease_id, what="renew")
    now_us = plane.clock.now_us()
    if code := withdrawal(plane, job, now_us=now_us):
        cancelled = await _cancel_withdrawn(plane, job, code, now_us=now_us)
        raise AlreadyCompletedError(
            f"stop this job: {cancelled.reason}", details={"state": cancelled.state}
        )
    expires_at_us = now_us + plane.lease_us
    leased = plane.leases.get(job.tenant, job.id)
    if leased is not None:
        plane.leases.renew(leased, expires_at_us=expires_at_us)
    if job.state is JobState.DISPATCHED:
        job = await _commit_start(plane, job, now_us=now_us)
    return job, expires_at_us


async def _cancel_withdrawn(plane: Plane, job: Job, code: str, *, now_us: int) -> LeaseLost:
    """Cancel a running job because a key that it rests on has ended; `code` says which."""
    job = await stop_work(plane, job, code, now_us=now_us)
    return LeaseLost(job.id, job.state.value, job.failure_reason)


async def _why_lost(plane: Plane, session: WorkerSession, report: Heartbeat) -> LeaseLost:
    """Why the worker must stop a job. A job that was never leased to it looks like no job."""
    view = await plane.store.job(session.tenant, report.job_id)
    if view is None or not _is_lease_of(view.job.lease, session, report):
        return LeaseLost(report.job_id, "UNKNOWN", "this worker does not hold the job")
    return LeaseLost(
        report.job_id, view.job.state.value, view.job.failure_reason or "the lease ended"
    )


async def _commit_start(plane: Plane, job: Job, *, now_us: int) -> Job:
    """The job as running; as it was when it has ended meanwhile."""
    # load: the caller did
    assert job.lease is not None
    # decide
    move = Move(job=job, event=Event.STARTED, actor=job.lease.worker)
    # commit, and announce
    try:
        return await commit_move(plane, move, now_us=now_us)
    except PreconditionFailedError:  # the job ended meanwhile: the next heartbeat is answered so
        return job


async def give_back(plane: Plane, dispatched: Sequence[DispatchedJob]) -> None:
    """Queue dispatched jobs again whose worker closed its connection before they were sent: nobody
    can have begun them."""
    for item in dispatched:
        with contextlib.suppress(UnavailableError):  # it left a doubt, so the tick retries
            await take_back(plane, item.job)


async def hand_back(plane: Plane, subject: Subject, job_id: str, lease_id: str) -> Job:
    """Queue a job again that its worker has not begun: a worker does this when it stops. Raises as
    `complete`, and IllegalStateError when the worker has reported the start of the job."""
    # load
    job = await require_lease(plane, subject, job_id, lease_id, what="hand_back")
    # decide
    assert job.lease is not None
    actor = _grant(subject, job.lease.worker).worker_id
    # The worker has seen the ticket, so an approval that the dispatch consumed stays consumed.
    move = Move(job=job, event=Event.RETURNED, actor=actor, fields={"approval": job.approval})
    # commit, and announce: a worker is woken as the job is queued
    try:
        return await commit_move(plane, move, now_us=plane.clock.now_us(), first=True)
    except IllegalStateError as error:  # the worker has reported the start of this job
        await record_refusal(plane, subject, error.code, what="hand_back", job=job)
        raise
