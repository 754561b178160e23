"""Cancel a job: its submitter may, and a role with `jobs.control`. Its worker is notified."""

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
_TRIES = 8  # a job moves only a few times in its life; each try reads the job anew


async def cancel(plane: Plane, subject: Subject, job_id: str) -> tuple[Job, bool]:
    """The job, and whether this call cancelled it: a job that has ended stays as it is.

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
    """Raises ForbiddenError unless the subject submitted the job or may control all jobs."""
    if job.principal != subject.principal and not subject.may(Permission.JOBS_CONTROL):
        raise ForbiddenError(
            "only who submitted the job, or a role with `jobs.control`, may do this",
            details={"required": Permission.JOBS_CONTROL.value, "role": subject.role.value},
        )
