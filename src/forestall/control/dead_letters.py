"""Dead letters: jobs that ended without their effect, until a person retries or dismisses them.

A retry is an ordinary submit with a parent: the submit gate decides it anew.
"""

import contextlib

import msgspec

from forestall.control.cancel import require_control
from forestall.control.moves import Move, commit_move
from forestall.control.plane import Plane
from forestall.control.read import read_job
from forestall.control.remediate import child_of, offered_remediations
from forestall.control.submit import IdempotencyConflictError, SubmitResult, submit
from forestall.errors import ConflictError, ForbiddenError, NotFoundError
from forestall.identity.credentials import Subject
from forestall.identity.roles import Permission
from forestall.jobs.job import OWN_KEY_PREFIX, Job, JobState, stored_submission
from forestall.jobs.lifecycle import Event
from forestall.policy.rules import Remediation
from forestall.ports.store import PreconditionFailedError


class DeadLetterNotFoundError(NotFoundError):
    """The job is not on the dead letters of this tenant."""

    code, http_status = "dead_letter_not_found", 404


class BlindRetryError(ConflictError):
    """The job was denied by policy; sending it once more changes nothing. Take a remediation."""

    code, http_status = "retry_denied", 409

    def __init__(self, message: str, remediations: tuple[Remediation, ...]) -> None:
        super().__init__(message)
        self.remediations = remediations


class WithheldRetryError(ConflictError):
    """The job ran and its result is withheld: a retry would run it again. Release or discard it."""

    code, http_status = "retry_withheld", 409


_FORCED = (JobState.DENIED, JobState.OUTPUT_QUARANTINED)  # retried only with `force`


async def retry(
    plane: Plane, subject: Subject, job_id: str, *, force: bool = False
) -> SubmitResult:
    """Submit a dead letter again, unchanged, and dismiss it. Raises as `submit` does, and
    DeadLetterNotFoundError, ForbiddenError, BlindRetryError and WithheldRetryError. `force`
    overrides the last two and needs `jobs.control` there."""
    # load
    view = await read_job(plane, subject, job_id)
    job = view.job
    # decide
    require_control(subject, job)
    if not job.dead_at_us:
        raise _no_dead_letter(job_id)
    if job.state is JobState.DENIED and not force:
        raise BlindRetryError(
            "the policy denied this job; take a remediation, or retry with `force` once the policy"
            " has changed",
            await offered_remediations(plane, job),
        )
    if job.state is JobState.OUTPUT_QUARANTINED and not force:
        raise WithheldRetryError(
            "the job has run, and a retry runs it again; release or discard its result"
            " (`/jobs/{id}/output`), or retry with `force`"
        )
    if job.state in _FORCED and not subject.may(Permission.JOBS_CONTROL):
        raise ForbiddenError("`force` needs `jobs.control`")
    # One idempotency key for all subjects, so that a dead letter is retried once.
    key = f"{OWN_KEY_PREFIX}retry:{job.id}"
    submission = msgspec.structs.replace(stored_submission(job, view.payload), idempotency_key=key)
    try:
        result = await submit(plane, subject, submission, child_of(job))
    except IdempotencyConflictError:  # it was retried before, by a request that did not dismiss it
        entry = await plane.store.idempotency(job.tenant, key)
        with contextlib.suppress(PreconditionFailedError):
            await _dismiss(plane, job, subject, child=entry.job_id if entry else "")
        raise _no_dead_letter(job_id) from None
    with contextlib.suppress(PreconditionFailedError):  # another subject has dismissed it meanwhile
        await _dismiss(plane, job, subject, child=result.job.id)
    return result


async def dismiss(plane: Plane, subject: Subject, job_id: str) -> None:
    """Take a job off the dead letters. Its state stays. Raises DeadLetterNotFoundError."""
    # load
    job = (await read_job(plane, subject, job_id)).job
    # decide
    require_control(subject, job)
    if not job.dead_at_us:
        raise _no_dead_letter(job_id)
    with contextlib.suppress(PreconditionFailedError):
        await _dismiss(plane, job, subject)


async def _dismiss(plane: Plane, job: Job, subject: Subject, *, child: str = "") -> None:
    move = Move(
        job=job,
        event=Event.DISMISSED,
        actor=subject.principal,
        fields={"dead_at_us": 0},
        data={"retried_as": child} if child else {},
    )
    # commit, and announce: the list of dead letters is read from the store
    await commit_move(plane, move, now_us=plane.clock.now_us())


def _no_dead_letter(job_id: str) -> DeadLetterNotFoundError:
    return DeadLetterNotFoundError(
        f"`{job_id[:80]}` is not on the dead letters; `GET /api/v1/dlq` lists them"
    )
