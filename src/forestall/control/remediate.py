"""Take an offered remediation: the rewritten job is an ordinary submit with a parent.

Control 12. A rewrite that a rule offers passes the submit gate as every other job does.
"""

import msgspec

from forestall.control.cancel import require_control
from forestall.control.plane import Plane
from forestall.control.read import read_job
from forestall.control.submit import SubmitResult, submit
from forestall.errors import ConflictError, InvalidRequestError, NotFoundError
from forestall.identity.credentials import Subject
from forestall.jobs.job import OWN_KEY_PREFIX, Job, JobState, Lineage, stored_submission
from forestall.jobs.remediation import rewritten
from forestall.limits import LINEAGE_DEPTH_MAX
from forestall.policy.rules import Remediation


class NoRemediationsError(ConflictError):
    """The job was not denied, or the rule that denied it offers nothing."""

    code, http_status = "no_remediations", 409


class RemediationRequiredError(InvalidRequestError):
    """Several remediations are offered; name one."""

    code, http_status = "remediation_id_required", 400


class RemediationNotFoundError(NotFoundError):
    """The job is offered no remediation with this id."""

    code, http_status = "remediation_not_found", 404


class LineageTooDeepError(ConflictError):
    """The job is the child of too many remediations and retries; a person should look at it."""

    code, http_status = "lineage_too_deep", 409


async def remediate(
    plane: Plane, subject: Subject, job_id: str, remediation_id: str
) -> SubmitResult:
    """Submit the rewritten job. A second call gets the first answer. Raises as `submit` does, and
    JobNotFoundError, NoRemediationsError, RemediationRequiredError, RemediationNotFoundError,
    LineageTooDeepError."""
    view = await read_job(plane, subject, job_id)
    require_control(subject, view.job)
    offered = await offered_remediations(plane, view.job)
    if not offered:
        raise NoRemediationsError("no remediations are offered for this job")
    chosen = _chosen(offered, remediation_id)
    submission = msgspec.structs.replace(
        rewritten(stored_submission(view.job, view.payload), chosen),
        # A key that no client can send, so that a second call gets the first answer.
        idempotency_key=f"{OWN_KEY_PREFIX}remediation:{job_id}:{chosen.id}:{subject.principal}",
    )
    return await submit(plane, subject, submission, child_of(view.job, remediation_id=chosen.id))


async def offered_remediations(plane: Plane, job: Job) -> tuple[Remediation, ...]:
    """The remediations of the last decision on a denied job; empty for a job in another state."""
    if job.state is not JobState.DENIED:
        return ()
    decisions = await plane.store.decisions(job.tenant, job.id, limit=1)
    return decisions[0].remediations if decisions else ()


def _chosen(offered: tuple[Remediation, ...], remediation_id: str) -> Remediation:
    names = ", ".join(f"`{remediation.id}`" for remediation in offered)
    if not remediation_id:
        if len(offered) > 1:
            raise RemediationRequiredError(f"`remediation_id` is required: one of {names}")
        return offered[0]
    for remediation in offered:
        if remediation.id == remediation_id:
            return remediation
    raise RemediationNotFoundError(f"no such remediation; the job is offered {names}")


def child_of(job: Job, *, remediation_id: str = "") -> Lineage:
    """The lineage of a job made from this one. Raises LineageTooDeepError."""
    lineage = job.lineage
    depth = lineage.depth + 1 if lineage is not None else 1
    earlier = lineage.requesters if lineage is not None else ()
    if depth > LINEAGE_DEPTH_MAX:
        raise LineageTooDeepError(
            f"the job is already {depth - 1} remediations and retries deep; look at the first of"
            " them instead of trying once more"
        )
    return Lineage(
        parent_job_id=job.id,
        trace_id=job.trace_id,
        depth=depth,
        remediation_id=remediation_id,
        requesters=tuple(dict.fromkeys((*earlier, job.principal))),
    )
