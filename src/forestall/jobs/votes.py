"""What a vote does to a job that awaits approval, and what drift does to it. Pure.

The verb `control/approve.py` has checked before that the person may vote, and that what the person
saw is what is asked.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from forestall.audit.record import Value
from forestall.jobs.approval import Approval, ApprovalStatus, Vote
from forestall.jobs.job import Job, result_digest
from forestall.jobs.lifecycle import Event
from forestall.jobs.transitions import Transition

APPROVAL_REJECTED = "approval_rejected"


def after_vote(
    job: Job, vote: Vote, *, ended_votes: Collection[str], by_caller: bool
) -> Transition:
    """The transition of a job by a vote.

    `ended_votes` are the ids of voters' keys that have ended: their votes are dropped. `by_caller`:
    the submitter runs the job itself, so the job ends with the approval as its result.
    """
    approval = asked_approval(job).without_votes(ended_votes)
    if not vote.approves:
        return _rejected(approval, vote)
    votes = (*approval.votes, vote)
    data = _vote_data(vote, approval)
    if not approval.is_enough(votes):
        awaiting_more = msgspec.structs.replace(approval, votes=votes)
        return Transition(event=Event.VOTED, fields={"approval": awaiting_more}, data=data)
    granted = msgspec.structs.replace(
        approval,
        votes=votes,
        status=ApprovalStatus.CONSUMED if by_caller else ApprovalStatus.APPROVED,
        resolved_at_us=vote.at_us,
        resolved_by=vote.principal,
    )
    fields: dict[str, Any] = {"approval": granted}
    if not by_caller:
        return Transition(event=Event.APPROVED, fields=fields, data=data)
    result = msgspec.json.encode(_as_result(job, granted))
    fields |= {"result_digest": result_digest(result), "result_bytes": len(result)}
    return Transition(event=Event.FULFILLED, fields=fields, data=data, result=result)


def _rejected(approval: Approval, vote: Vote) -> Transition:
    """The transition by a rejection: one is enough."""
    rejected = msgspec.structs.replace(
        approval,
        votes=(*approval.votes, vote),
        status=ApprovalStatus.REJECTED,
        resolved_at_us=vote.at_us,
        resolved_by=vote.principal,
    )
    fields = {
        "approval": rejected,
        "failure_code": APPROVAL_REJECTED,
        "failure_reason": vote.reason or f"rejected by {vote.principal}",
    }
    return Transition(event=Event.REJECTED, fields=fields, data=_vote_data(vote, approval))


def after_drift(job: Job, differences: Sequence[str], *, now_us: int) -> Transition:
    """The transition of a job whose approval has drifted: the approval is invalidated, and keeps
    the differences."""
    approval = msgspec.structs.replace(
        asked_approval(job),
        status=ApprovalStatus.INVALIDATED,
        resolved_at_us=now_us,
        drift=tuple(differences),
    )
    data = {"drift": tuple(differences)}
    return Transition(event=Event.INVALIDATED, fields={"approval": approval}, data=data)


def asked_approval(job: Job) -> Approval:
    """The approval of a job that has one."""
    assert job.approval is not None, "somebody was asked to approve this job"
    return job.approval


def _as_result(job: Job, approval: Approval) -> dict[str, Any]:
    """The result of a job that its caller runs: the approval itself."""
    return {
        "approved": True,
        "approved_by": [vote.principal for vote in approval.votes],
        "approved_at_us": approval.resolved_at_us,
        "job_hash": job.job_hash,
        "policy_snapshot": approval.snapshot,
        "rule_id": approval.rule_id,
    }


def _vote_data(vote: Vote, approval: Approval) -> Mapping[str, Value]:
    """The fields of the audit record of a vote."""
    return {
        "approver": vote.principal,
        "approver_key_id": vote.key_id,
        "approver_roles": vote.roles,
        "saw_hash": vote.saw_hash,
        "vote_reason": vote.reason,
        "note": vote.note,
        "snapshot": approval.snapshot,
        "rule_id": approval.rule_id,
        "votes": len(approval.votes) + 1,
    }
