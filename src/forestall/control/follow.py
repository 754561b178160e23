"""Queue, leases and deadlines follow a job as it was just committed: a function of the job alone.

Every verb that puts or moves a job calls this after the commit; nothing else touches those views.
"""

import heapq

from forestall.control.plane import Plane
from forestall.jobs.job import Job, JobState
from forestall.jobs.lifecycle import HELD_BY_WORKER, TERMINAL, WAITING
from forestall.jobs.schedule import Lane, entry_of
from forestall.projections.worker_sessions import Session

# Where a worker's own answer leads: it needs no notice of that.
_ITS_OWN_WORD = (
    JobState.SUCCEEDED,
    JobState.FAILED,
    JobState.OUTPUT_QUARANTINED,
    JobState.PENDING,
)


def follow(plane: Plane, job: Job, *, now_us: int, first: bool = False) -> None:
    """Take up the state of a job. `first`: it had waited its turn already."""
    if not plane.leases.is_newest(job):
        return  # the answer of the store came late: a later move was followed already
    if job.state not in HELD_BY_WORKER:
        held = plane.leases.drop(job.tenant, job.id)
        if held is not None and held.job.lease is not None:
            lease = held.job.lease
            session = plane.workers.get(job.tenant, lease.worker)
            if session is not None and job.state not in _ITS_OWN_WORD:
                session.notice.set()
            if plane.queue.unpark((job.tenant, lease.rule_id)):
                plane.workers.wake_all()
    if job.state in WAITING:
        plane.queue.add(entry_of(job), now_us=now_us, first=first)
        if job.not_before_us <= now_us:
            wake(plane, entry_of(job).lane)
    else:
        plane.queue.remove(job.tenant, job.id)
        if job.state in HELD_BY_WORKER:
            plane.leases.hold(job, expires_at_us=now_us + plane.lease_us)
    if job.deadline_at_us and job.state not in TERMINAL and job.revision == 0:
        watch(plane, job, job.deadline_at_us)
    if job.state is JobState.APPROVAL_REQUIRED and job.approval is not None:
        watch(plane, job, job.approval.expires_at_us)


def watch(plane: Plane, job: Job, at_us: int) -> None:
    """Look at the job again at this instant: a deadline, or the end of an approval."""
    heapq.heappush(plane.deadlines, (at_us, job.tenant, job.id))


def wake(plane: Plane, lane: Lane) -> None:
    """Wake the least loaded worker that waits for such work."""
    plane.workers.wake(lane, lambda session: load(plane, session))


def load(plane: Plane, session: Session) -> float:
    """How full a worker is: 0 idle, 1 full."""
    return plane.leases.count_of_worker(session.name) / session.max_parallel
