"""Jobs ↔ JSON: the outcome of a submission, one job, a page. Texts are empty, never null."""

import base64
import json
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from forestall.errors import InvalidRequestError
from forestall.identity.agents import Agent
from forestall.jobs.job import (
    WITHHELD_PAYLOAD,
    DecisionRecord,
    Job,
    JobState,
    Priority,
)
from forestall.limits import CURSOR_CHARS_MAX
from forestall.output.findings import Finding
from forestall.policy.rules import Effect
from forestall.ports.change import OutputEntry
from forestall.wire.compat import (
    DECISION_WORD,
    ConstraintsObject,
    DecisionWord,
    RemediationObject,
    constraints_object,
    iso_time,
    iso_time_or_none,
    remediation_objects,
    status_word,
)
from forestall.wire.errors import ErrorObject
from forestall.wire.objects import WireObject
from forestall.wire.output import SafetyObject, safety_object

# Fields that published clients read, and of which the plane knows nothing.
_NEVER_SET = ("context_ptr", "result_ptr", "workflow_id", "run_id", "step_id")


class InvalidCursorError(InvalidRequestError):
    """The cursor is not one that we gave out."""

    code, http_status = "INVALID_CURSOR", 400


class SubmissionOutcome(WireObject, frozen=True):
    """What every answer to a submission says: the job, and the decision on it."""

    job_id: str
    trace_id: str
    state: JobState
    decision: DecisionWord
    rule_id: str
    reason: str
    policy_snapshot: str
    job_hash: str


class SubmittedObject(SubmissionOutcome, frozen=True):
    """A job that was taken, or that awaits approval."""

    constraints: ConstraintsObject | None
    status: Literal["accepted", "approval_required"]
    idempotent_replay: bool | UnsetType = UNSET
    approval_required: bool | UnsetType = UNSET
    approval_ref: str | UnsetType = UNSET
    approval_shared: bool | UnsetType = UNSET  # the job of an identical request, which was there


class DeniedObject(SubmissionOutcome, frozen=True):
    """A job that policy denied: kept, and an error to whoever submitted it."""

    error: str
    message: str
    code: Literal["policy_denied"]
    decision_code: str  # how the denial came about: `rule`, `default`, `agent_right_missing`, …
    status: int
    remediations: list[RemediationObject]
    request_id: str
    idempotent_replay: bool | UnsetType = UNSET


class BlindRetryObject(ErrorObject, frozen=True, kw_only=True):
    """Why a dead letter that policy denied is not tried again as it is, and what to do instead."""

    remediations: list[RemediationObject]


class CancelledObject(WireObject, frozen=True):
    """What a job is after its cancellation; `reason` where it had ended before."""

    id: str
    job_id: str
    state: JobState
    reason: str | UnsetType = UNSET


class JobSummaryObject(WireObject, frozen=True):
    """One entry of a job list."""

    id: str
    job_id: str
    trace_id: str
    state: JobState
    topic: str
    tenant: str
    tenant_id: str
    principal: str
    actor_id: str
    actor_type: str
    capability: str
    risk_tags: list[str]
    requires: list[str]
    pack_id: str
    priority: Priority
    idempotency_key: str
    attempts: int
    worker_id: str
    parent_job_id: str
    remediation_id: str
    safety_decision: DecisionWord | Literal[""]
    safety_reason: str
    safety_rule_id: str
    safety_snapshot: str
    failure_code: str
    failure_reason: str
    created_at: str
    updated_at: str


class DeadLetterObject(JobSummaryObject, frozen=True):
    """One entry of the dead letters; `created_at` is when the job died."""

    status: str
    reason: str
    reason_code: str
    last_state: JobState


class ProgressObject(WireObject, frozen=True):
    """What the worker said last."""

    message: str
    percent: int


class JobObject(JobSummaryObject, frozen=True, kw_only=True):
    """One job, whole. `context` is the stored payload; the fields of the output come with a checked
    result. `payload_withheld`: the key lacks `payloads.read`, so `context` and `result` are null,
    and labels and the message of the progress empty."""

    labels: dict[str, str]
    tags: list[str]
    context_ptr: str
    context: Any
    result_ptr: str
    result: Any
    result_digest: str
    progress: ProgressObject
    idempotent: bool
    not_before: str
    deadline_at: str
    error_message: str
    error_code: str
    error_status: str
    safety_constraints: ConstraintsObject | None
    safety_remediations: list[RemediationObject]
    safety_job_hash: str
    job_hash: str
    approval_required: bool
    approval_ref: str
    approval_status: str
    approval_changes: list[str]
    agent_id: str
    agent_name: str
    agent_risk_tier: str
    workflow_id: str
    run_id: str
    step_id: str
    output_decision: str | UnsetType = UNSET
    output_safety: SafetyObject | UnsetType = UNSET
    payload_withheld: bool | UnsetType = UNSET


def submitted_object(
    job: Job, decision: DecisionRecord, *, replayed: bool, shared: bool = False
) -> SubmittedObject | DeniedObject:
    """The body of the answer to POST /jobs; a replay gets the original one."""
    fields: dict[str, Any] = {
        "job_id": job.id,
        "state": job.state,
        "decision": DECISION_WORD[decision.decision],
        "policy_snapshot": decision.snapshot,
        "idempotent_replay": replayed or UNSET,
    }
    if decision.decision is Effect.DENY:
        reason = decision.reason or "denied by policy"
        return DeniedObject.of(
            decision,
            job,
            **fields,
            error=reason,
            message=reason,
            code="policy_denied",
            decision_code=decision.code,
            status=403,
            remediations=remediation_objects(decision.remediations),
            request_id="",
        )
    status = "accepted"
    if decision.decision is Effect.REQUIRE_APPROVAL:
        status = "approval_required"
        fields |= {"approval_required": True, "approval_ref": job.id}
        fields |= {"approval_shared": True} if shared else {}
    return SubmittedObject.of(
        decision, job, **fields, constraints=constraints_object(decision.constraints), status=status
    )


def job_summary(job: Job) -> JobSummaryObject:
    """One entry of a list of jobs."""
    return JobSummaryObject.of(job, **_summary(job))


def _summary(job: Job) -> dict[str, Any]:
    """The fields of a summary that have another name or form in a job."""
    decision, lineage = job.submit_decision, job.lineage
    return {
        "job_id": job.id,
        "tenant_id": job.tenant,
        "attempts": job.attempt,
        "worker_id": job.lease.worker if job.lease else "",
        "parent_job_id": lineage.parent_job_id if lineage else "",
        "remediation_id": lineage.remediation_id if lineage else "",
        "safety_decision": DECISION_WORD[decision.decision] if decision else "",
        "safety_reason": decision.reason if decision else "",
        "safety_rule_id": decision.rule_id if decision else "",
        "safety_snapshot": decision.snapshot if decision else "",
        "created_at": iso_time(job.created_at_us),
        "updated_at": iso_time(job.updated_at_us),
    }


def dead_letter(job: Job) -> DeadLetterObject:
    """One entry of the list of dead letters."""
    return DeadLetterObject.of(
        job_summary(job),
        status=f"JOB_STATUS_{job.state.value}",
        reason=job.failure_reason,
        reason_code=job.failure_code,
        last_state=job.state,
        created_at=iso_time(job.dead_at_us),
    )


def job_object(
    job: Job,
    payload: bytes,
    result: bytes | None = None,
    progress: tuple[str, int] = ("", 0),
    output: OutputEntry | None = None,
    agent: Agent | None = None,
) -> JobObject:
    """One whole job, without its lease id, which proves the right to answer for the job. `agent`:
    whose key submitted it, as it is now."""
    decision = job.submit_decision
    awaits_approval = job.state is JobState.APPROVAL_REQUIRED
    return JobObject.of(
        job,
        **_summary(job),
        **dict.fromkeys(_NEVER_SET, ""),
        agent_id=agent.id if agent is not None else "",
        agent_name=agent.name if agent is not None else "",
        agent_risk_tier=agent.risk_tier.value if agent is not None else "",
        context=msgspec.Raw(payload),
        result=msgspec.Raw(result) if result is not None else None,
        progress=ProgressObject(*progress),
        not_before=iso_time_or_none(job.not_before_us),
        deadline_at=iso_time_or_none(job.deadline_at_us),
        error_message=job.failure_reason,
        error_code=job.failure_code,
        error_status=job.state.value if job.failure_code else "",
        safety_constraints=constraints_object(decision.constraints if decision else None),
        safety_remediations=remediation_objects(decision.remediations if decision else ()),
        safety_job_hash=job.job_hash,
        approval_required=awaits_approval,
        approval_ref=job.id if awaits_approval else "",
        approval_status=status_word(job.approval.status) if job.approval else "",
        approval_changes=list(job.approval.changes) if job.approval else [],
        **_output(job, output),
        payload_withheld=payload == WITHHELD_PAYLOAD or UNSET,
    )


def _output(job: Job, entry: OutputEntry | None) -> dict[str, Any]:
    if job.output is None:
        return {}
    encoded = entry.findings if entry is not None else b"[]"
    findings = msgspec.json.decode(encoded, type=list[Finding])
    return {
        "output_decision": (job.output.resolution or job.output.verdict.value).upper(),
        "output_safety": safety_object(job.output, findings),
    }


class RemediateBody(msgspec.Struct, frozen=True):
    """The body of POST /jobs/{id}/remediate; an empty body chooses the only remediation."""

    remediation_id: str = ""


class RetryBody(msgspec.Struct, frozen=True):
    """The body of POST /dlq/{job_id}/retry."""

    force: bool = False


def encode_cursor(updated_at_us: int, job_id: str) -> str:
    """An opaque text for the place after one job in a list."""
    raw = json.dumps([updated_at_us, job_id], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_cursor(text: str) -> tuple[int, str]:
    """The place in a text of `encode_cursor`. Raises InvalidCursorError."""
    try:
        if len(text) > CURSOR_CHARS_MAX:
            raise ValueError
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        updated_at_us, job_id = json.loads(raw)
        if type(updated_at_us) is not int or type(job_id) is not str or abs(updated_at_us) > 2**62:
            raise ValueError
    except (ValueError, TypeError, RecursionError) as cause:
        raise InvalidCursorError("`cursor` is not one that this server gave out") from cause
    return updated_at_us, job_id
