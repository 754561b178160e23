"""Ask for an approval again after drift: the gate decides anew, under the policy in force now."""

import msgspec

from forestall.control.approve import drift_of, read_asked
from forestall.control.cancel import require_control
from forestall.control.gate import PayloadInfo, decide, tightened_by
from forestall.control.moves import commit_move, move_of
from forestall.control.plane import Plane
from forestall.control.records import SYSTEM_ACTOR
from forestall.errors import ConflictError
from forestall.identity.credentials import Subject
from forestall.jobs.approval import ApprovalStatus
from forestall.jobs.job import Job, JobState, Stage, decision_record, stored_request
from forestall.jobs.transitions import Asker, after_decision
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
    require_control(subject, view.job)
    found = await _drift(plane, view)
    job, now_us = view.job, plane.clock.now_us()
    if job.state is not JobState.APPROVAL_REQUIRED or not found:
        raise NotRepairableError("nothing drifted, or the job has ended; there is nothing to mend")
    # decide
    gated = await decide(
        plane,
        stored_request(job, view.payload),
        stage=Stage.DISPATCH,
        now_us=now_us,
        payload=PayloadInfo(len(view.payload), subject.key_id),
        passed=job.throttles_passed,
    )
    decision = tightened_by(plane, view, gated.decision, now_us=now_us)
    record = decision_record(decision, stage=Stage.DISPATCH, job_hash=job.job_hash, now_us=now_us)
    transition = after_decision(job, decision, Asker.REPAIR, passed=gated.passed, now_us=now_us)
    actor = subject.principal or SYSTEM_ACTOR
    move = move_of(job, transition, actor=actor, decision=record, data={"drift": found})
    # commit
    try:
        job = await commit_move(plane, move, now_us=now_us)
    except PreconditionFailedError as cause:
        raise NotRepairableError("somebody decided at this very moment; look again") from cause
    # announce
    return RepairPlan(job, found, applied=True)


async def _drift(plane: Plane, view: JobView) -> tuple[str, ...]:
    if view.job.state is not JobState.APPROVAL_REQUIRED:
        return ()
    approval = asked_approval(view.job)
    if approval.status is ApprovalStatus.INVALIDATED:
        return approval.drift
    return await drift_of(plane, view)
