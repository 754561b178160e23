"""Statistics of approvals: counts, rates and waiting times. Pure.

A job has one approval at a time. An approval that was requested again counts once, with its last
request.
"""

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from forestall.jobs.approval import Approval, ApprovalStatus
from forestall.jobs.job import Job


class GroupBy(StrEnum):
    """The property by which approvals are grouped."""

    RULE = "rule"
    APPROVER = "approver"
    TOPIC = "topic"
    AGENT = "agent"  # the principal that requested the approval


class Tally(msgspec.Struct):
    """Counts of some approvals by outcome. Waiting times, in microseconds, are of approvals that
    people decided."""

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
        """The number that people approved or rejected. The others ended without a person, or are
        pending."""
        return self.approved + self.rejected

    @property
    def approve_rate(self) -> float | None:
        """The share of decided approvals that were approved; None without any."""
        return self.approved / self.decided if self.decided else None

    def add(self, outcome: str, after_us: int) -> None:
        """Count one approval with its outcome and its waiting time."""
        self.total += 1
        setattr(self, outcome, getattr(self, outcome) + 1)
        if outcome in ("approved", "rejected"):
            self.decided_after_us.append(after_us)
        if outcome == "approved":
            self.approved_after_us.append(after_us)


class ApprovalAnalytics(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of the approvals requested in a window of time. `truncated`: older ones were not
    counted."""

    since_us: int
    until_us: int
    whole: Tally
    groups: dict[str, Tally]
    truncated: bool


def tally(jobs: Iterable[Job], group_by: GroupBy | None) -> tuple[Tally, dict[str, Tally]]:
    """The tally of all approvals, and one for each group."""
    whole = Tally()
    groups: dict[str, Tally] = {}
    for job in jobs:
        approval = job.approval
        if approval is None:
            continue
        outcome = _outcome(approval)
        after_us = max(0, approval.resolved_at_us - approval.asked_at_us)
        whole.add(outcome, after_us)
        if group_by is GroupBy.APPROVER:
            for vote in approval.votes:
                outcome_of_vote = "approved" if vote.approves else "rejected"
                waited_us = max(0, vote.at_us - approval.asked_at_us)
                groups.setdefault(vote.principal, Tally()).add(outcome_of_vote, waited_us)
        elif group_by is not None:
            names = {
                GroupBy.RULE: approval.rule_id,
                GroupBy.TOPIC: job.topic,
                GroupBy.AGENT: approval.requester,
            }
            groups.setdefault(names[group_by], Tally()).add(outcome, after_us)
    return whole, groups


def _outcome(approval: Approval) -> str:
    """The field of a tally that counts the approval."""
    status = approval.status
    if status is ApprovalStatus.CONSUMED:
        return "approved"
    if approval.resolved_by and status in (ApprovalStatus.CANCELLED, ApprovalStatus.INVALIDATED):
        return "approved"  # people approved it; it was withdrawn afterwards
    return status.value


def average(values: Sequence[int]) -> float | None:
    """The mean; None of an empty list."""
    return sum(values) / len(values) if values else None


def percentile(values: Sequence[int], percent: int) -> int | None:
    """The nearest-rank percentile: the smallest value with at least `percent` percent of the values
    at or below it. None of an empty list."""
    if not values:
        return None
    rank = math.ceil(percent * len(values) / 100)
    return sorted(values)[max(0, rank - 1)]
