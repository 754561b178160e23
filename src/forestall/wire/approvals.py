"""Approvals ↔ JSON: what an approver sees, sends, and receives.

What an approver sees is rendered from the stored bytes that the job hash covers, together with that
hash. The approver's client sends the hash back, so that what was seen is what runs.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from forestall.errors import InvalidRequestError
from forestall.jobs.approval import Approval, ApprovalStatus, VoteRequest
from forestall.jobs.job import Job, JobState
from forestall.limits import APPROVAL_NOTE_CHARS_MAX
from forestall.wire.compat import constraints_object, iso_time
from forestall.wire.jobs import job_summary
from forestall.wire.strict_json import decode_struct

_DECIDED = {
    ApprovalStatus.APPROVED: "approve",
    ApprovalStatus.CONSUMED: "approve",
    ApprovalStatus.REJECTED: "reject",
    ApprovalStatus.EXPIRED: "expire",
    ApprovalStatus.INVALIDATED: "invalidate",
}
# Values of `status` in the list; the peer has no word for a consumed or cancelled approval.
_STATUS = {
    ApprovalStatus.CONSUMED: "approved",
    ApprovalStatus.CANCELLED: "invalidated",
}


# The decision of an item as published clients read it: a closed list. Every status but pending and
# approved reads as a rejection.
_SAID = {
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


def decode_decide(body: bytes) -> VoteRequest:
    """The vote in a body. Raises InvalidRequestError."""
    asked = decode_struct(body, DecideBody)
    for name in ("reason", "note", "comment"):
        text = getattr(asked, name) or ""
        if len(text) > APPROVAL_NOTE_CHARS_MAX:
            raise InvalidRequestError(
                f"`{name}` is longer than {APPROVAL_NOTE_CHARS_MAX} characters"
            )
    return VoteRequest(
        job_hash=asked.job_hash or "",
        policy_snapshot=asked.policy_snapshot or "",
        reason=asked.reason or "",
        note=asked.note or asked.comment or "",
    )


def decode_repair(body: bytes) -> bool:
    """Whether the repair is to be applied; False only reports what it would change."""
    return bool(decode_struct(body, RepairBody).apply)


def status_word(status: ApprovalStatus) -> str:
    """The word of the wire contract for a status."""
    return _STATUS.get(status, status.value)


def approval_object(job: Job, *, now_us: int) -> dict[str, Any]:
    """One entry of the list of approvals, with the flat fields that published clients read."""
    approval = _approval(job)
    pending = job.state is JobState.APPROVAL_REQUIRED
    status = status_word(approval.status)
    return {
        "job": job_summary(job),
        "decision": _SAID.get(approval.status, "REJECTED"),
        "policy_decision": "REQUIRE_APPROVAL",
        "policy_snapshot": approval.snapshot,
        "policy_rule_id": approval.rule_id,
        "policy_reason": approval.reason,
        "constraints": constraints_object(approval.constraints),
        "job_hash": approval.job_hash,
        "approval_required": pending,
        "approval_ref": job.id,
        "approval_status": status,
        "approval_actionability": _actionability(job, approval, now_us=now_us),
        "approval_revision": job.revision,
        "approval_decision": _DECIDED.get(approval.status, ""),
        "submitted_by": approval.requester,
        "resolved_by": approval.resolved_by,
        "resolved_comment": _last(approval, "note"),
        "resolution": _last(approval, "reason"),
        "resolved_at": iso_time(approval.resolved_at_us) if approval.resolved_at_us else "",
        "demands": demands_object(approval),
        "votes": [_vote_object(vote) for vote in approval.votes],
        "drift": list(approval.drift),
        "decision_summary": {
            "source": "job",
            "completeness": "full",
            "title": job.topic,
            "subject": job.topic,
            "why": approval.reason,
            "next_effect": _next_effect(job, approval),
        },
        "job_id": job.id,
        "topic": job.topic,
        "tenant_id": job.tenant,
        "capability": job.capability,
        "risk_tags": list(job.risk_tags),
        "reason": approval.reason,
        "created_at": iso_time(approval.asked_at_us),
        "requested_at": iso_time(approval.asked_at_us),
        "decided_at": iso_time(approval.resolved_at_us) if approval.resolved_at_us else None,
        "decided_by": approval.resolved_by,
        "expires_at": iso_time(approval.expires_at_us),
    }


def context_object(
    job: Job, payload: bytes, *, drift: Sequence[str], prior: Sequence[Job], now_us: int
) -> dict[str, Any]:
    """Everything that will run, and why it awaits approval.

    `job_input` is the stored payload itself; `job_hash` is to be sent back with the vote.
    """
    approval = _approval(job)
    return {
        "approval": approval_object(job, now_us=now_us),
        "job_hash": approval.job_hash,
        "policy_snapshot": approval.snapshot,
        "will_run": {
            "topic": job.topic,
            "capability": job.capability,
            "pack_id": job.pack_id,
            "principal": job.principal,
            "actor_id": job.actor_id,
            "actor_type": job.actor_type,
            "priority": job.priority.value,
            "requires": list(job.requires),
            "risk_tags": list(job.risk_tags),
            "tags": list(job.tags),
            "labels": dict(job.labels),
            "tool_call": msgspec.to_builtins(job.mcp),
            "budget": msgspec.to_builtins(job.budget),
            "idempotent": job.idempotent,
            "max_retries": job.max_retries,
        },
        "job_input": msgspec.Raw(payload),
        "constraints": constraints_object(approval.constraints),
        "facts": dict(job.submit_decision.facts) if job.submit_decision else {},
        "drift": list(drift),
        "time_remaining_ms": max(0, approval.expires_at_us - now_us) // 1_000,
        "policy_snapshot_summary": {
            "policy_version": approval.snapshot,
            "matched_rule": {
                "id": approval.rule_id,
                "description": approval.reason,
                "decision": "require_approval",
            },
        },
        "blast_radius": {"systems": [], "namespaces": [], "resources": [], "scope_description": ""},
        "rollback_hint": "",
        "prior_approvals": [_prior_object(each) for each in prior if each.id != job.id],
    }


def decided_answer(job: Job, *, repeated: bool) -> dict[str, Any]:
    """The body of the answer to approve and reject."""
    approval = _approval(job)
    rejected = approval.status is ApprovalStatus.REJECTED
    body = {
        "job_id": job.id,
        "trace_id": job.trace_id,
        "state": job.state.value,
        "job_hash": approval.job_hash,
        "policy_snapshot": approval.snapshot,
        "approval_status": status_word(approval.status),
        "approval_revision": job.revision,
        "votes": len(approval.votes),
        "demands": demands_object(approval),
    }
    who, when = ("rejected_by", "rejected_at") if rejected else ("approved_by", "approved_at")
    body[who] = approval.resolved_by
    body[when] = iso_time(approval.resolved_at_us) if approval.resolved_at_us else ""
    if repeated:
        body["status"] = "already_rejected" if rejected else "already_approved"
    elif approval.status is ApprovalStatus.PENDING:
        body["status"] = "more_approvals_needed"
    else:
        body["status"] = status_word(approval.status)
    return body


def repair_object(job: Job, drift: Sequence[str], *, apply: bool, applied: bool) -> dict[str, Any]:
    """The body of the answer to repair: what it would change, or did."""
    approval = _approval(job)
    kind = "none" if not drift else "invalidate_stale_snapshot"
    return {
        "job_id": job.id,
        "apply": apply,
        "applied": applied,
        "repairable": bool(drift) and not applied,
        "state": job.state.value,
        "trace_id": job.trace_id,
        "approval": {"status": status_word(approval.status), "drift": list(approval.drift)},
        "plan": {
            "job_id": job.id,
            "kind": kind,
            "repairable": bool(drift),
            "reason": "; ".join(drift),
            "current_state": job.state.value,
            "topic": job.topic,
            "request_hash": job.job_hash,
        },
        "drift": list(drift),
    }


def demands_object(approval: Approval) -> list[dict[str, Any]]:
    """Who must approve; any one approver where no rule sets terms."""
    if approval.demands is None:
        return [{"roles": [], "quorum": 1}]
    return [{"roles": list(each.roles), "quorum": each.quorum} for each in approval.demands.each]


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


def _vote_object(vote: Any) -> dict[str, Any]:
    return {
        "principal": vote.principal,
        "roles": list(vote.roles),
        "decision": "approve" if vote.approves else "reject",
        "at": iso_time(vote.at_us),
        "saw_hash": vote.saw_hash,
        "reason": vote.reason,
        "note": vote.note,
    }


def _prior_object(job: Job) -> dict[str, Any]:
    approval = _approval(job)
    return {
        "job_id": job.id,
        "topic": job.topic,
        "tenant": job.tenant,
        "decision": _DECIDED.get(approval.status, ""),
        "resolved_by": approval.resolved_by,
        "resolved_at": approval.resolved_at_us,  # published clients read an integer here
        "was_approved": _DECIDED.get(approval.status) == "approve",
    }
