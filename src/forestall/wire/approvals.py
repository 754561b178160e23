"""Approvals ↔ JSON: what an approver sees, sends, and receives.

What an approver sees is rendered from the stored bytes that the job hash covers, together with that
hash. The approver's client sends the hash back, so that what was seen is what runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from forestall.errors import InvalidRequestError
from forestall.jobs.approval import Approval, ApprovalStatus, Vote, VoteRequest
from forestall.jobs.job import (
    WITHHELD_PAYLOAD,
    Budget,
    Job,
    JobState,
    Priority,
)
from forestall.jobs.registry import RegistryBinding
from forestall.limits import APPROVAL_NOTE_CHARS_MAX
from forestall.policy.request import ToolCall
from forestall.wire.compat import (
    ConstraintsObject,
    constraints_object,
    iso_time,
    iso_time_or_none,
    status_word,
)
from forestall.wire.jobs import JobSummaryObject, job_summary
from forestall.wire.objects import WireObject
from forestall.wire.strict_json import decode_struct

_DECIDED = {
    ApprovalStatus.APPROVED: "approve",
    ApprovalStatus.CONSUMED: "approve",
    ApprovalStatus.REJECTED: "reject",
    ApprovalStatus.EXPIRED: "expire",
    ApprovalStatus.INVALIDATED: "invalidate",
}
# The decision of an item as published clients read it: a closed list. Every status but pending and
# approved reads as a rejection.
_DECISION_WORD = {
    ApprovalStatus.PENDING: "PENDING",
    ApprovalStatus.APPROVED: "APPROVED",
    ApprovalStatus.CONSUMED: "APPROVED",
}


class DecideBody(msgspec.Struct, frozen=True):
    """The body of POST /approvals/{job_id}/approve and /reject; every field may be left out."""

    job_hash: str | None = None
    policy_snapshot: str | None = None
    reason: str | None = None
    note: str | None = None
    comment: str | None = None


class RepairBody(msgspec.Struct, frozen=True):
    """The body of POST /approvals/{job_id}/repair; without `apply` nothing changes."""

    apply: bool | None = None
    note: str | None = None


class DemandObject(WireObject, frozen=True):
    """So many people of one of these roles have to approve; no role: any of them."""

    roles: list[str]
    quorum: int


class VoteObject(WireObject, frozen=True):
    """What one approver decided."""

    principal: str
    roles: list[str]
    decision: Literal["approve", "reject"]
    at: str
    saw_hash: bool
    reason: str
    note: str


class DecisionSummaryObject(WireObject, frozen=True):
    """An approval in sentences."""

    source: str
    completeness: str
    title: str
    subject: str
    why: str
    next_effect: str


class ApprovalObject(WireObject, frozen=True):
    """One approval. `changes` says why people are asked again; `first_asked_at` is when they were
    asked first, `requested_at` when last."""

    job: JobSummaryObject
    decision: Literal["PENDING", "APPROVED", "REJECTED"]
    policy_decision: Literal["REQUIRE_APPROVAL"]
    policy_snapshot: str
    policy_rule_id: str
    policy_reason: str
    constraints: ConstraintsObject | None
    job_hash: str
    approval_required: bool
    approval_ref: str
    approval_status: str
    approval_actionability: Literal["actionable", "resolved", "expired", "invalidated"]
    approval_revision: int
    approval_decision: str
    submitted_by: str
    resolved_by: str
    resolved_comment: str
    resolution: str
    resolved_at: str
    demands: list[DemandObject]
    votes: list[VoteObject]
    drift: list[str]
    changes: list[str]
    first_asked_at: str
    decision_summary: DecisionSummaryObject
    job_id: str
    topic: str
    tenant_id: str
    capability: str
    risk_tags: list[str]
    reason: str
    created_at: str
    requested_at: str
    decided_at: str | None
    decided_by: str
    expires_at: str


class WillRunObject(WireObject, frozen=True):
    """What the job hash covers, beside the payload."""

    topic: str
    capability: str
    pack_id: str
    principal: str
    actor_id: str
    actor_type: str
    priority: Priority
    requires: list[str]
    risk_tags: list[str]
    tags: list[str]
    labels: dict[str, str]
    tool_call: ToolCall
    budget: Budget
    idempotent: bool
    max_retries: int | None


class MatchedRuleObject(WireObject, frozen=True):
    """The rule that demands the approval."""

    id: str
    description: str
    decision: str


class SnapshotSummaryObject(WireObject, frozen=True):
    """The policy that demands the approval."""

    policy_version: str
    matched_rule: MatchedRuleObject


class BlastRadiusObject(WireObject, frozen=True):
    """Always empty: the plane does not know it. Published clients read it."""

    systems: list[str]
    namespaces: list[str]
    resources: list[str]
    scope_description: str


class PriorApprovalObject(WireObject, frozen=True):
    """How an approval of the same topic went."""

    job_id: str
    topic: str
    tenant: str
    decision: str
    resolved_by: str
    resolved_at: int
    was_approved: bool


class ApprovalContextObject(WireObject, frozen=True):
    """Everything that will run, and why it awaits approval. `registry` holds the entries that the
    approval rests on. `payload_withheld`: the key lacks `payloads.read`, so `job_input` is null and
    the labels are empty."""

    approval: ApprovalObject
    job_hash: str
    policy_snapshot: str
    will_run: WillRunObject
    job_input: Any
    constraints: ConstraintsObject | None
    facts: dict[str, str]
    registry: list[RegistryBinding]
    drift: list[str]
    time_remaining_ms: int
    policy_snapshot_summary: SnapshotSummaryObject
    blast_radius: BlastRadiusObject
    rollback_hint: str
    prior_approvals: list[PriorApprovalObject]
    payload_withheld: bool | UnsetType = UNSET


class DecidedObject(WireObject, frozen=True):
    """What an approval is after a vote; the last fields say who ended it, and how."""

    job_id: str
    trace_id: str
    state: JobState
    job_hash: str
    policy_snapshot: str
    approval_status: str
    approval_revision: int
    votes: int
    demands: list[DemandObject]
    status: str
    approved_by: str | UnsetType = UNSET
    approved_at: str | UnsetType = UNSET
    rejected_by: str | UnsetType = UNSET
    rejected_at: str | UnsetType = UNSET


class RepairStateObject(WireObject, frozen=True):
    """The approval that is to be asked for again."""

    status: str
    drift: list[str]


class RepairPlanObject(WireObject, frozen=True):
    """What asking again would mend."""

    job_id: str
    kind: Literal["none", "invalidate_stale_snapshot"]
    repairable: bool
    reason: str
    current_state: JobState
    topic: str
    request_hash: str


class RepairObject(WireObject, frozen=True):
    """What asking again would mend, or did."""

    job_id: str
    apply: bool
    applied: bool
    repairable: bool
    state: JobState
    trace_id: str
    approval: RepairStateObject
    plan: RepairPlanObject
    drift: list[str]


def decode_decide(body: bytes) -> VoteRequest:
    """The vote in a body. Raises InvalidRequestError."""
    request = decode_struct(body, DecideBody)
    for name in ("reason", "note", "comment"):
        if len(getattr(request, name) or "") > APPROVAL_NOTE_CHARS_MAX:
            raise InvalidRequestError(
                f"`{name}` is longer than {APPROVAL_NOTE_CHARS_MAX} characters"
            )
    return VoteRequest(
        job_hash=request.job_hash or "",
        policy_snapshot=request.policy_snapshot or "",
        reason=request.reason or "",
        note=request.note or request.comment or "",
    )


def approval_object(job: Job, *, now_us: int) -> ApprovalObject:
    """One entry of the list of approvals, with the flat fields that published clients read."""
    approval = _approval(job)
    asked_at = iso_time(approval.asked_at_us)
    resolved_at = iso_time_or_none(approval.resolved_at_us)
    return ApprovalObject.of(
        approval,
        job,
        job=job_summary(job),
        decision=_DECISION_WORD.get(approval.status, "REJECTED"),
        policy_decision="REQUIRE_APPROVAL",
        policy_snapshot=approval.snapshot,
        policy_rule_id=approval.rule_id,
        policy_reason=approval.reason,
        constraints=constraints_object(approval.constraints),
        approval_required=job.state is JobState.APPROVAL_REQUIRED,
        approval_ref=job.id,
        approval_status=status_word(approval.status),
        approval_actionability=_actionability(job, approval, now_us=now_us),
        approval_revision=job.revision,
        approval_decision=_DECIDED.get(approval.status, ""),
        submitted_by=approval.requester,
        resolved_comment=_last(approval, "note"),
        resolution=_last(approval, "reason"),
        resolved_at=resolved_at,
        demands=demands_object(approval),
        votes=[_vote_object(vote) for vote in approval.votes],
        decision_summary=DecisionSummaryObject(
            source="job",
            completeness="full",
            title=job.topic,
            subject=job.topic,
            why=approval.reason,
            next_effect=_next_effect(job, approval),
        ),
        job_id=job.id,
        tenant_id=job.tenant,
        first_asked_at=iso_time(approval.first_asked_at_us or approval.asked_at_us),
        created_at=asked_at,
        requested_at=asked_at,
        decided_at=resolved_at or None,
        decided_by=approval.resolved_by,
        expires_at=iso_time(approval.expires_at_us),
    )


def context_object(
    job: Job,
    payload: bytes,
    *,
    facts: Mapping[str, str],
    drift: Sequence[str],
    prior: Sequence[Job],
    now_us: int,
) -> ApprovalContextObject:
    """Everything that will run, and why it awaits approval.

    `job_input` is the stored payload itself; `job_hash` is to be sent back with the vote. `facts`
    are those of the decision that asks.
    """
    approval = _approval(job)
    rule = MatchedRuleObject(approval.rule_id, approval.reason, "require_approval")
    return ApprovalContextObject(
        approval=approval_object(job, now_us=now_us),
        job_hash=approval.job_hash,
        policy_snapshot=approval.snapshot,
        will_run=WillRunObject.of(job, tool_call=job.mcp),
        job_input=msgspec.Raw(payload),
        constraints=constraints_object(approval.constraints),
        facts=dict(facts),
        registry=list(approval.registry),
        drift=list(drift),
        time_remaining_ms=max(0, approval.expires_at_us - now_us) // 1_000,
        policy_snapshot_summary=SnapshotSummaryObject(approval.snapshot, rule),
        blast_radius=BlastRadiusObject([], [], [], ""),
        rollback_hint="",
        prior_approvals=[_prior_object(each) for each in prior if each.id != job.id],
        payload_withheld=payload == WITHHELD_PAYLOAD or UNSET,
    )


def decided_object(job: Job, *, repeated: bool) -> DecidedObject:
    """The body of the answer to approve and reject."""
    approval = _approval(job)
    rejected = approval.status is ApprovalStatus.REJECTED
    word = "rejected" if rejected else "approved"
    status = status_word(approval.status)
    if repeated:
        status = f"already_{word}"
    elif approval.status is ApprovalStatus.PENDING:
        status = "more_approvals_needed"
    resolved = {
        f"{word}_by": approval.resolved_by,
        f"{word}_at": iso_time_or_none(approval.resolved_at_us),
    }
    return DecidedObject.of(
        job,
        job_id=job.id,
        job_hash=approval.job_hash,
        policy_snapshot=approval.snapshot,
        approval_status=status_word(approval.status),
        approval_revision=job.revision,
        votes=len(approval.votes),
        demands=demands_object(approval),
        status=status,
        **resolved,
    )


def repair_object(job: Job, drift: Sequence[str], *, apply: bool, applied: bool) -> RepairObject:
    """The body of the answer to repair: what it would change, or did."""
    approval = _approval(job)
    plan = RepairPlanObject.of(
        job,
        job_id=job.id,
        kind="none" if not drift else "invalidate_stale_snapshot",
        repairable=bool(drift),
        reason="; ".join(drift),
        current_state=job.state,
        request_hash=job.job_hash,
    )
    return RepairObject.of(
        job,
        job_id=job.id,
        apply=apply,
        applied=applied,
        repairable=bool(drift) and not applied,
        approval=RepairStateObject.of(approval, status=status_word(approval.status)),
        plan=plan,
        drift=list(drift),
    )


def demands_object(approval: Approval) -> list[DemandObject]:
    """Who must approve; any one approver where no rule sets terms."""
    if approval.demands is None:
        return [DemandObject(roles=[], quorum=1)]
    return [DemandObject.of(each) for each in approval.demands.each]


def _approval(job: Job) -> Approval:
    assert job.approval is not None, "only jobs with an approval come here"
    return job.approval


def _actionability(job: Job, approval: Approval, *, now_us: int) -> str:
    if approval.status is ApprovalStatus.INVALIDATED:
        return "invalidated"
    if job.state is not JobState.APPROVAL_REQUIRED:
        return "expired" if approval.status is ApprovalStatus.EXPIRED else "resolved"
    return "expired" if now_us >= approval.expires_at_us else "actionable"


def _next_effect(job: Job, approval: Approval) -> str:
    if approval.status is not ApprovalStatus.PENDING:
        return f"none: the approval is {approval.status}"
    return f"`{job.topic}` is dispatched once, under the policy in force now"


def _last(approval: Approval, field: str) -> str:
    return next((text for vote in reversed(approval.votes) if (text := getattr(vote, field))), "")


def _vote_object(vote: Vote) -> VoteObject:
    decision = "approve" if vote.approves else "reject"
    return VoteObject.of(vote, decision=decision, at=iso_time(vote.at_us))


def _prior_object(job: Job) -> PriorApprovalObject:
    approval = _approval(job)
    decision = _DECIDED.get(approval.status, "")
    return PriorApprovalObject.of(
        job,
        job_id=job.id,
        decision=decision,
        resolved_by=approval.resolved_by,
        resolved_at=approval.resolved_at_us,  # published clients read an integer here
        was_approved=decision == "approve",
    )
