"""Claim a job: its submitter runs the job itself, once, under a ticket (guards do this).

A claim is a dispatch: the gate decides again, and an approval is spent by it.
"""

from forestall.control.dispatch import dispatch_one
from forestall.control.plane import Plane
from forestall.control.read import read_job
from forestall.errors import ConflictError, ForbiddenError
from forestall.identity.credentials import Subject, caller_name
from forestall.jobs.lifecycle import WAITING
from forestall.jobs.schedule import entry_of
from forestall.jobs.worker import DispatchedJob


class NotClaimableError(ConflictError):
    """The job cannot be claimed: it is awaiting approval, runs already, was stopped at the gate,
    has ended, or only workers may run it. `details.state` is its state."""

    code, http_status = "not_claimable", 409


async def claim(plane: Plane, subject: Subject, job_id: str) -> DispatchedJob:
    """Dispatch a job to its own submitter. Raises JobNotFoundError, ForbiddenError,
    NotClaimableError, StoreUnavailableError."""
    job = (await read_job(plane, subject, job_id)).job
    if job.principal != subject.principal:
        raise ForbiddenError("only who submitted the job may claim it")
    if plane.registry.pool_of(job.tenant, job.topic) or job.requires:
        raise NotClaimableError(
            "the topic belongs to a pool of workers or is closed, or the job requires what only a"
            " worker has",
            details={"state": job.state.value},
        )
    if job.state in WAITING and job.not_before_us <= plane.clock.now_us():
        plane.queue.remove(job.tenant, job.id)  # so that no worker is offered the job meanwhile
        dispatched = await dispatch_one(plane, caller_name(subject.principal), entry_of(job))
        if dispatched is not None:
            return dispatched
        job = (await read_job(plane, subject, job_id)).job
    raise NotClaimableError(
        f"the job is {job.state}" + (f": {job.failure_reason}" if job.failure_reason else ""),
        details={"state": job.state.value, "code": job.failure_code},
    )
