"""How approvals went: counts, rates and waiting times over some of them. Pure.

A job has one approval at a time, so one that was asked for again counts once, as it was asked last.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from forestall.jobs.approval import Approval, ApprovalStatus
from forestall.jobs.job import Job


class GroupBy(StrEnum):
    """What approvals are put together by."""

    RULE = "rule"
    APPROVER = "approver"
    TOPIC = "topic"
    AGENT = "agent"  # whoever asked


class Tally(msgspec.Struct):
    """Some approvals, counted. Waiting times are those of what people decided, in microseconds."""

    total: int = 0
    approved: int = 0
    rejected: int = 0
    expired: int = 0
    pending: int = 0
    invalidated: int = 0
    cancelled: int = 0
    approved_after_us: list[int] = []
    decided_after_us: list[int] = []

    @property
    def decided(self) -> int:
        """By people; the others ended by themselves or still wait."""
        return self.approved + self.rejected

    @property
    def approve_rate(self) -> float | None:
        """Of what people decided; None where they decided nothing."""
        return self.approved / self.decided if self.decided else None

    def add(self, outcome: str, after_us: int) -> None:
        """Count one."""
        self.total += 1
        setattr(self, outcome, getattr(self, outcome) + 1)
        if outcome in ("approved", "rejected"):
            self.decided_after_us.append(after_us)
        if outcome == "approved":
            self.approved_after_us.append(after_us)


class ApprovalAnalytics(msgspec.Struct, frozen=True, kw_only=True):
    """The approvals asked for in a window of time. `truncated`: only its newest part."""

    since_us: int
    until_us: int
    whole: Tally
    groups: dict[str, Tally]
    truncated: bool


def tally(jobs: Iterable[Job], group_by: GroupBy | None) -> tuple[Tally, dict[str, Tally]]:
    """Everything together, and by group."""
    whole, groups = Tally(), dict[str, Tally]()
    for job in jobs:
        approval = job.approval
        if approval is None:
            continue
        outcome = _outcome(approval)
        after_us = max(0, approval.resolved_at_us - approval.asked_at_us)
        whole.add(outcome, after_us)
        if group_by is GroupBy.APPROVER:
            for vote in approval.votes:
                word = "approved" if vote.approves else "rejected"
                waited_us = max(0, vote.at_us - approval.asked_at_us)
                groups.setdefault(vote.principal, Tally()).add(word, waited_us)
        elif group_by is not None:
            names = {
                GroupBy.RULE: approval.rule_id,
                GroupBy.TOPIC: job.topic,
                GroupBy.AGENT: approval.requester,
            }
            groups.setdefault(names[group_by], Tally()).add(outcome, after_us)
    return whole, groups


def _outcome(approval: Approval) -> str:
    status = approval.status
    if status is ApprovalStatus.CONSUMED:
        return "approved"
    if approval.resolved_by and status in (ApprovalStatus.CANCELLED, ApprovalStatus.INVALIDATED):
        return "approved"  # and what came of it is another story
    return status.value


def average(values: Sequence[int]) -> float | None:
    """The mean; None of nothing."""
    return sum(values) / len(values) if values else None


def percentile(values: Sequence[int], percent: int) -> int | None:
    """The smallest value that so many percent are not above (nearest rank); None of nothing."""
    if not values:
        return None
    rank = -(-percent * len(values) // 100)
    return sorted(values)[max(0, rank - 1)]
