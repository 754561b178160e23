"""Ask for an approval again after drift: the gate decides anew, under the policy in force now."""

import msgspec

from forestall.control.approve import asked_approval, drift_of, read_asked
from forestall.control.cancel import require_control
from forestall.control.gate import Asked, decide
from forestall.control.moves import Move, commit_move
from forestall.control.plane import Plane
from forestall.control.records import SYSTEM_ACTOR
from forestall.errors import ConflictError
from forestall.identity.credentials import Subject
from forestall.jobs.approval import ApprovalStatus, new_approval, terms_of
from forestall.jobs.job import (
    POLICY_DENIED,
    Job,
    JobState,
    Stage,
    decision_record,
    stored_job_hash,
    stored_request,
)
from forestall.jobs.lifecycle import Event
from forestall.policy.rules import Effect
from forestall.ports.store import JobView, PreconditionFailedError


class NotRepairableError(ConflictError):
    """Nothing drifted: the approval can be decided as it stands, or the job has ended."""

    code, http_status = "not_repairable", 409


class Plan(msgspec.Struct, frozen=True):
    """What stands in the way of an approval, and the job as it is (or became)."""

    job: Job
    drift: tuple[str, ...]
    applied: bool = False


async def plan(plane: Plane, subject: Subject, job_id: str) -> Plan:
    """What asking again would mend. Changes nothing. Raises ApprovalNotFoundError."""
    view = await read_asked(plane, subject, job_id)
    return Plan(view.job, await _drift(plane, view))


async def ask_again(plane: Plane, subject: Subject, job_id: str) -> Plan:
    """Decide the job anew and bind the approval to that. Raises NotRepairableError."""
    view = await read_asked(plane, subject, job_id)
    require_control(subject, view.job)
    found = await _drift(plane, view)
    job, now_us = view.job, plane.clock.now_us()
    if job.state is not JobState.APPROVAL_REQUIRED or not found:
        raise NotRepairableError("nothing drifted, or the job has ended; there is nothing to mend")
    request = stored_request(job, view.payload)
    decision, passed = await decide(
        plane,
        request,
        stage=Stage.DISPATCH,
        now_us=now_us,
        asked=Asked(len(view.payload), subject.key_id),
        passed=job.throttles_passed,
    )
    record = decision_record(
        decision,
        stage=Stage.DISPATCH,
        job_hash=stored_job_hash(job, view.payload),
        now_us=now_us,
    )
    fields: dict[str, object] = {"throttles_passed": passed}
    if record.job_hash != job.job_hash:
        event = Event.DENIED
        fields |= {"failure_code": "job_changed", "failure_reason": "the stored job was changed"}
    elif decision.decision is Effect.REQUIRE_APPROVAL:
        event = Event.APPROVAL_DEMANDED
        fields["approval"] = new_approval(
            terms_of(decision, job.job_hash), requester=job.principal, now_us=now_us
        )
    elif decision.decision in (Effect.ALLOW, Effect.ALLOW_WITH_CONSTRAINTS):
        event = Event.CLEARED  # the dispatch gate decides once more before anything runs
    else:
        event = Event.DENIED
        fields |= {
            "failure_code": POLICY_DENIED,
            "failure_reason": decision.reason or "denied by the policy in force now",
        }
    move = Move(
        job=job,
        event=event,
        actor=subject.principal or SYSTEM_ACTOR,
        fields=fields,
        data={"drift": found},
        decision=record,
    )
    try:
        return Plan(await commit_move(plane, move, now_us=now_us), found, applied=True)
    except PreconditionFailedError as cause:
        raise NotRepairableError("somebody decided at this very moment; look again") from cause


async def _drift(plane: Plane, view: JobView) -> tuple[str, ...]:
    if view.job.state is not JobState.APPROVAL_REQUIRED:
        return ()
    approval = asked_approval(view.job)
    if approval.status is ApprovalStatus.INVALIDATED:
        return approval.drift
    return await drift_of(plane, view)
