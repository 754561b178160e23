"""Which worker, or caller, holds the lease of a job; a request of anybody else is refused.

A refusal has a code, is recorded and counted, and changes nothing. Whoever was never given a job is
told that there is no such job.
"""

import hmac
import re

from forestall.audit.record import Value
from forestall.control.plane import Plane
from forestall.control.read import JobNotFoundError, find_job
from forestall.control.refusals import commit_refusal
from forestall.errors import ConflictError, ForbiddenError
from forestall.identity.credentials import Subject, holder_name
from forestall.jobs.job import Job
from forestall.jobs.lifecycle import LEASED

_NOT_LEASED_TO_WORKER = "job not found among those that this worker was given"
_NO_NAME = "(the name of nothing here)"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class LeaseNotHeldError(ConflictError):
    """This job is not leased to this worker under this lease; nothing was changed. Stop running
    the job."""

    code, http_status = "lease_not_held", 409


class AlreadyCompletedError(ConflictError):
    """This dispatch was answered, or ended otherwise, before; nothing was changed."""

    code, http_status = "already_completed", 409


class NotThisWorkerError(ForbiddenError):
    """The credential belongs to another worker than the request names."""

    code, http_status = "worker_mismatch", 403


async def require_lease(
    plane: Plane, subject: Subject, job_id: str, lease_id: str, *, what: str
) -> Job:
    """The job leased to the worker under this lease. `what` names the request in the record of a
    refusal. Raises as `complete`."""
    # load
    leased = plane.leases.get(subject.tenant, job_id)
    # decide
    if leased is not None and _is_leased_to(leased.job, subject, lease_id):
        return leased.job
    return await require_stored_lease(plane, subject, job_id, lease_id, what=what)


async def require_stored_lease(
    plane: Plane, subject: Subject, job_id: str, lease_id: str, *, what: str
) -> Job:
    """As `require_lease`, by the job in the store, since memory may be behind."""
    if subject.worker is not None:  # a worker's job is another principal's; its lease is its own
        view = await plane.store.job(subject.tenant, job_id)
    else:
        view = await find_job(plane, subject, job_id)
    # A worker must not learn whether a job exists that was never leased to it.
    if view is None:
        await record_refusal(plane, subject, JobNotFoundError.code, what=what, named=job_id)
        raise JobNotFoundError(_NOT_LEASED_TO_WORKER)
    job = view.job
    if job.lease is None or job.lease.worker != holder_name(subject):
        await record_refusal(plane, subject, LeaseNotHeldError.code, what=what, job=job)
        raise JobNotFoundError(_NOT_LEASED_TO_WORKER)
    if _is_leased_to(job, subject, lease_id):
        if job.state in LEASED:
            return job
        await record_refusal(plane, subject, AlreadyCompletedError.code, what=what, job=job)
        raise AlreadyCompletedError(
            f"the job is {job.state} already; nothing was changed",
            details={"state": job.state.value, "reason": job.failure_reason},
        )
    await record_refusal(plane, subject, LeaseNotHeldError.code, what=what, job=job)
    raise LeaseNotHeldError(
        "the lease is not held any more; stop running the job, its result is not taken",
        details={"state": job.state.value},
    )


def _is_leased_to(job: Job, subject: Subject, lease_id: str) -> bool:
    lease = job.lease
    return (
        lease is not None
        and lease.worker == holder_name(subject)
        and hmac.compare_digest(lease.id.encode(), lease_id.encode("utf-8", "replace"))
    )


async def record_refusal(
    plane: Plane, subject: Subject, code: str, *, what: str, job: Job | None = None, named: str = ""
) -> None:
    """Record and count that a worker was refused. `what` names the request; `named` is the text
    by which the request names a job or a worker, when there is no such job."""
    data: dict[str, Value] = {"key_id": subject.key_id}
    if job is not None:
        data["attempt"] = job.attempt
    else:
        data["named"] = named if _is_name(plane, subject, named) else _NO_NAME
    await commit_refusal(plane, subject, "worker.refused", code, what=what, job=job, **data)


def _is_name(plane: Plane, subject: Subject, text: str) -> bool:
    """Whether a text may stand in a record: an id, or the name of a registered worker. Any other
    text may hold a secret, and people read the log."""
    is_id = _ID.fullmatch(text) is not None
    return is_id or not text or plane.workers.get(subject.tenant, text) is not None
