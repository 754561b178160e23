"""An approval: what is asked, who said what, and whether it still stands (control 5). Pure.

It binds snapshot, rule, job hash, constraints, requester and expiry. What differs from the binding
when it matters is drift, and drift undoes the approval: what was approved is what runs.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from forestall.limits import APPROVAL_HOURS_DEFAULT
from forestall.policy.approval import is_met
from forestall.policy.rules import ApprovalDemands, Constraints, Decision


class ApprovalStatus(StrEnum):
    """Where an approval stands; only a pending one can be voted on, only an approved one used."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"
    CANCELLED = "cancelled"
    CONSUMED = "consumed"  # by the dispatch that it allowed


class Vote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One person's yes or no. `saw_hash`: they sent back the job hash that they were shown."""

    principal: str
    key_id: str
    roles: tuple[str, ...]
    at_us: int
    approves: bool
    saw_hash: bool
    reason: str = ""
    note: str = ""


class Approval(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person is asked, bound to what was decided. Times are microseconds, UTC."""

    status: ApprovalStatus
    asked_at_us: int
    expires_at_us: int
    snapshot: str
    rule_id: str
    reason: str
    job_hash: str
    requester: str
    demands: ApprovalDemands | None = None  # None: any one person
    constraints: Constraints | None = None
    votes: tuple[Vote, ...] = ()
    resolved_at_us: int = 0
    resolved_by: str = ""
    drift: tuple[str, ...] = ()  # what differed when it was invalidated

    def is_enough(self, votes: Sequence[Vote]) -> bool:
        """Whether these people are those that the rules demand."""
        people = {vote.principal: vote.roles for vote in votes if vote.approves}
        return is_met(self.demands, list(people.values()))


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate decides now, as far as an approval binds it."""

    snapshot: str
    rule_id: str
    reason: str
    job_hash: str
    demands: ApprovalDemands | None
    constraints: Constraints | None


def terms_of(decision: Decision, job_hash: str) -> Terms:
    """What an approval of this decision binds."""
    return Terms(
        snapshot=decision.snapshot,
        rule_id=decision.rule_id,
        reason=decision.reason,
        job_hash=job_hash,
        demands=decision.approval,
        constraints=decision.constraints,
    )


def new_approval(terms: Terms, *, requester: str, now_us: int) -> Approval:
    """A fresh approval for what was just decided."""
    ttl_ms = terms.demands.ttl_ms if terms.demands is not None else None
    ttl_us = ttl_ms * 1_000 if ttl_ms is not None else APPROVAL_HOURS_DEFAULT * 3_600_000_000
    return Approval(
        status=ApprovalStatus.PENDING,
        asked_at_us=now_us,
        expires_at_us=now_us + ttl_us,
        snapshot=terms.snapshot,
        rule_id=terms.rule_id,
        reason=terms.reason,
        job_hash=terms.job_hash,
        requester=requester,
        demands=terms.demands,
        constraints=terms.constraints,
    )


def drift(approval: Approval, terms: Terms) -> tuple[str, ...]:
    """What differs between what was asked and what a gate would ask now; empty when nothing."""
    found = []
    if terms.snapshot != approval.snapshot:
        found.append(f"policy: {approval.snapshot[:12]} became {terms.snapshot[:12]}")
    if terms.rule_id != approval.rule_id:
        found.append(f"rule: `{approval.rule_id}` became `{terms.rule_id}`")
    if terms.job_hash != approval.job_hash:
        found.append(f"job: {approval.job_hash[:12]} became {terms.job_hash[:12]}")
    if terms.demands != approval.demands:
        found.append("approvers: other people are demanded now")
    if terms.constraints != approval.constraints:
        found.append("constraints: the job would run under other limits")
    return tuple(found)


def is_usable(approval: Approval | None, terms: Terms, *, now_us: int) -> bool:
    """Whether this approval lets the job run now: approved, unspent, unexpired, without drift."""
    return (
        approval is not None
        and approval.status is ApprovalStatus.APPROVED
        and now_us < approval.expires_at_us
        and not drift(approval, terms)
        and approval.is_enough(approval.votes)
    )


def settled(approval: Approval | None, event: str) -> Approval | None:
    """The approval after something happened to its job that nobody decided by vote.

    A dispatch that never left the server spends nothing; a job that ended leaves nothing to decide.
    """
    if approval is None:
        return None
    status = approval.status
    if event == "returned" and status is ApprovalStatus.CONSUMED:
        return msgspec.structs.replace(approval, status=ApprovalStatus.APPROVED)
    open_ones = (ApprovalStatus.PENDING, ApprovalStatus.APPROVED, ApprovalStatus.INVALIDATED)
    if event in ("cancelled", "timed_out", "denied", "failed") and status in open_ones:
        return msgspec.structs.replace(approval, status=ApprovalStatus.CANCELLED)
    return approval


class VoteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an approver sends. Hash and snapshot are those that the approver was shown."""

    job_hash: str = ""
    policy_snapshot: str = ""
    reason: str = ""
    note: str = ""
