"""Make queue, leases and deadlines follow the store: for every open job at a start, later for each
job in doubt. So neither a crash nor a lost answer of the store loses a job.

The theory is in `docs/internals/leases-and-doubt.md`. The only decision about a job here is to take
back a dispatch that was sent to no worker.
"""

from forestall.control.moves import Move, commit_move
from forestall.control.plane import Plane
from forestall.control.records import SYSTEM_ACTOR
from forestall.jobs.job import Job, JobState
from forestall.jobs.lifecycle import LEASED, WAITING, Event
from forestall.jobs.transitions import rests_on_question
from forestall.limits import PAGE_ITEMS_MAX
from forestall.ports.store import OpenCursor, PreconditionFailedError
from forestall.projections.catch_up import follow_job
from forestall.projections.leases import Doubt

SWEEP_EVERY_US = 1_000_000
_RECOVERY_PAGE = PAGE_ITEMS_MAX * 4  # nobody waits for an answer yet, so a page may be longer


async def recover(plane: Plane) -> int:
    """Take up every open job at a start, and return how many there are. Every lease gets one full
    term from now on, since the store does not know when a lease expires."""
    now_us = plane.clock.now_us()
    count = 0
    page = await plane.store.open_jobs(after=OpenCursor(), limit=_RECOVERY_PAGE)
    while page:
        for job in page:
            follow_job(plane.projections, job, now_us=now_us, whole=True)
        count += len(page)
        page = await plane.store.open_jobs(after=_cursor(page[-1]), limit=_RECOVERY_PAGE)
    return count


def _cursor(job: Job) -> OpenCursor:
    return OpenCursor(job.created_at_us, job.tenant, job.id)


async def sweep(plane: Plane) -> None:
    """Once a second: compare one page of open jobs with memory, and doubt each job that differs.

    Finds a job that a verb picked or moved and then lost to an error before memory followed. The
    log cannot show such a job when nothing of it was committed.
    """
    leases, now_us = plane.leases, plane.clock.now_us()
    if 0 <= now_us - leases.swept_at_us < SWEEP_EVERY_US:
        return
    leases.swept_at_us = now_us
    page = await plane.store.open_jobs(after=leases.swept_to, limit=PAGE_ITEMS_MAX)
    leases.swept_to = _cursor(page[-1]) if len(page) == PAGE_ITEMS_MAX else OpenCursor()
    for job in page:
        if not _is_in_memory(plane, job):
            leases.doubt(job.tenant, job.id)


def _is_in_memory(plane: Plane, job: Job) -> bool:
    """Whether memory has this state of the job, or a newer one. False also for a job that a
    dispatch has picked and not committed yet; reading such a job again does no harm."""
    leased = plane.leases.get(job.tenant, job.id)
    if leased is not None:
        return leased.job.revision >= job.revision
    if rests_on_question(job) and not plane.open_approvals.has(job):
        return False
    if job.state in WAITING:
        return plane.queue.get(job.tenant, job.id) is not None
    return job.state not in LEASED


async def read_jobs_in_doubt(plane: Plane) -> None:
    """Read every job in doubt, make memory follow, and finish dispatches whose answer was lost.
    Raises StoreUnavailableError; a job that was not read stays in doubt."""
    for tenant, job_id in plane.leases.doubtful():
        # Remove the doubt first: one that is raised during the reading must outlive the reading.
        doubt = plane.leases.take_doubt(tenant, job_id)
        try:
            with plane.leases.under_way(tenant, job_id):
                view = await plane.store.job(tenant, job_id)
                if view is not None:
                    _take_up(plane, view.job)
        except BaseException:
            plane.leases.doubt(tenant, job_id).add(doubt)
            raise
        await _finish_dispatch(plane, view.job if view is not None else None, doubt)


def _take_up(plane: Plane, job: Job) -> None:
    """Take up a job as it was read. A job that memory has in the queue already keeps its turn: to
    take it up again would put it at the end of its lane."""
    queued = plane.queue.get(job.tenant, job.id)
    if (
        job.state in WAITING
        and queued is not None
        and plane.leases.get(job.tenant, job.id) is None
        and job.not_before_us <= queued.not_before_us
    ):
        return
    follow_job(plane.projections, job, now_us=plane.clock.now_us(), whole=True)


async def _finish_dispatch(plane: Plane, job: Job | None, doubt: Doubt) -> None:
    """Finish a dispatch whose answer was lost: release its reserved slot, and take it back if it is
    durable, since no worker was sent it."""
    for rule in doubt.slots:
        plane.leases.release(rule)
    if job is None or job.lease is None or job.state is not JobState.DISPATCHED:
        return
    if job.lease.id in doubt.unsent:
        await take_back(plane, job)


async def take_back(plane: Plane, job: Job) -> None:
    """Queue a dispatched job again that was sent to no worker, so that nobody can have begun it.

    Raises StoreUnavailableError and StoreBusyError; the job is in doubt then, and the next tick
    tries again.
    """
    # load: the caller did
    assert job.lease is not None
    # decide
    move = Move(job=job, event=Event.RETURNED, actor=SYSTEM_ACTOR)
    # commit, and announce: a worker is woken as the job is queued
    try:
        await commit_move(plane, move, now_us=plane.clock.now_us(), first=True)
    except PreconditionFailedError:
        return  # another verb moved the job meanwhile: a cancellation, say
    except BaseException:
        plane.leases.doubt(job.tenant, job.id).unsent.append(job.lease.id)
        raise
