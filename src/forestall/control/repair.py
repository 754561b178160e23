"""Ask for an approval again after drift: the gate decides anew, under the policy in force now.

A change of the policy or of the registry needs no repair (`redecide`). A repair is for differences
that come without such a change: a rule that holds at some hours only, or a requester's key that
has ended.
"""

import msgspec

from forestall.control.approve import read_asked
from forestall.control.cancel import require_control
from forestall.control.plane import Plane
from forestall.control.records import SYSTEM_ACTOR
from forestall.control.redecide import drift_of, redecide
from forestall.errors import ConflictError
from forestall.identity.credentials import Subject
from forestall.identity.roles import Permission
from forestall.jobs.approval import ApprovalStatus
from forestall.jobs.job import Job, JobState
from forestall.jobs.votes import asked_approval
from forestall.ports.store import JobView, PreconditionFailedError


class NotRepairableError(ConflictError):
    """Nothing has drifted: the approval can be decided as it is, or the job has ended."""

    code, http_status = "not_repairable", 409


class RepairPlan(msgspec.Struct, frozen=True):
    """The drift of an approval, and what repairing it does or did."""

    job: Job  # after the repair, when it was applied
    drift: tuple[str, ...]  # differences from the binding, as sentences for people
    applied: bool = False  # false for a plan, which changes nothing


async def plan(plane: Plane, subject: Subject, job_id: str) -> RepairPlan:
    """The drift that asking again would resolve. Changes nothing. Raises ApprovalNotFoundError."""
    view = await read_asked(plane, subject, job_id)
    return RepairPlan(view.job, await _drift(plane, view))


async def ask_again(plane: Plane, subject: Subject, job_id: str) -> RepairPlan:
    """Decide the job anew; a demanded approval is bound to the new decision. Raises
    NotRepairableError, ForbiddenError, ApprovalNotFoundError, PolicyUnavailableError,
    InspectionBusyError, StoreUnavailableError."""
    # load
    view = await read_asked(plane, subject, job_id)
    if not subject.may(Permission.JOBS_APPROVE):
        require_control(subject, view.job)
    drift = await _drift(plane, view)
    if view.job.state is not JobState.APPROVAL_REQUIRED or not drift:
        raise NotRepairableError("nothing drifted, or the job has ended; there is nothing to mend")
    # decide, commit
    try:
        decided = await redecide(plane, view, actor=subject.principal or SYSTEM_ACTOR)
    except PreconditionFailedError as cause:
        raise NotRepairableError("somebody decided at this very moment; look again") from cause
    if decided is None:
        raise NotRepairableError("the approval expired; submit the job again")
    # announce
    return RepairPlan(decided.job, decided.drift or drift, applied=True)


async def _drift(plane: Plane, view: JobView) -> tuple[str, ...]:
    if view.job.state is not JobState.APPROVAL_REQUIRED:
        return ()
    approval = asked_approval(view.job)
    if approval.status is ApprovalStatus.INVALIDATED:
        return approval.drift
    return await drift_of(plane, view)
