"""Cancel a job: who submitted it may, and who may control jobs. The worker is told to stop."""

from forestall.control.moves import Move, commit_move
from forestall.control.plane import Plane
from forestall.control.read import read_job
from forestall.errors import ForbiddenError
from forestall.identity.credentials import Subject
from forestall.identity.roles import Permission
from forestall.jobs.job import Job
from forestall.jobs.lifecycle import TERMINAL, Event
from forestall.ports.store import PreconditionFailedError

CANCELLED_CODE = "cancelled"
_TRIES = 8  # a job moves a handful of times in its life; each try reads it anew


async def cancel(plane: Plane, subject: Subject, job_id: str) -> tuple[Job, bool]:
    """The job, and whether this call cancelled it (a finished job stays as it ended).

    Raises JobNotFoundError, ForbiddenError, StoreUnavailableError.
    """
    for attempt in range(_TRIES):
        # load
        job = (await read_job(plane, subject, job_id)).job
        # decide
        require_control(subject, job)
        if job.state in TERMINAL:
            return job, False
        fields = {
            "failure_code": CANCELLED_CODE,
            "failure_reason": f"cancelled by {subject.principal}",
        }
        move = Move(job=job, event=Event.CANCELLED, actor=subject.principal, fields=fields)
        # commit
        try:
            job = await commit_move(plane, move, now_us=plane.clock.now_us())
        except PreconditionFailedError:
            if attempt == _TRIES - 1:
                raise
        else:
            # announce
            return job, True
    raise AssertionError("unreachable")


def require_control(subject: Subject, job: Job) -> None:
    """Raises ForbiddenError unless the job is the subject's own or it may control all jobs."""
    if job.principal != subject.principal and not subject.may(Permission.JOBS_CONTROL):
        raise ForbiddenError(
            "only who submitted the job, or a role with `jobs.control`, may do this",
            details={"required": Permission.JOBS_CONTROL.value, "role": subject.role.value},
        )
