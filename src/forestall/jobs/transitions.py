"""What happens to a job when a gate decides on it or time passes. Pure; no other place says it.

Three verbs put a job before the gate: submit, dispatch and repair (an approval is asked for again,
because somebody wants that, or because what it rests on changed: `control/redecide.py`). Each turns
the decision into what becomes of the job with the functions below, so that no verb can forget a
check that another makes. Where each decision leads:

| decision         | submit                 | dispatch                        | repair             |
|------------------|------------------------|---------------------------------|--------------------|
| allow            | born PENDING           | `dispatched`                    | `cleared`          |
| require_approval | born APPROVAL_REQUIRED | `approval_demanded`             | `approval_demanded`|
| throttle         | not born               | `held`; `failed` after too long | `cleared`          |
| deny             | born DENIED            | `denied`                        | `denied`           |

A repair of an approval that nobody has answered is `rebound` instead of `approval_demanded` where
the policy asks the same question. A repair leaves a granted job that the policy allows or throttles
in the queue, for the dispatch gate. A repair that is throttled clears the job: the dispatch gate
then holds it for as long as the rule says. At dispatch and repair two facts that no rule reads come
first (`tightened`): a submitter whose credential or agent has ended, and a stored job that is not
the one that was submitted. Both deny. The rights of an agent enter at every gate (`control/gate`).
"""

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any

import msgspec

from forestall.audit.record import Value
from forestall.identity.agents import AGENT_EXPIRED, AGENT_REVOKED, AGENT_SUSPENDED
from forestall.identity.credentials import ApiKey
from forestall.jobs.agent_rights import AGENT_RIGHT_MISSING
from forestall.jobs.approval import (
    NO_GROUNDS,
    ApprovalStatus,
    Grounds,
    is_usable,
    new_approval,
    rebound,
    terms_of,
)
from forestall.jobs.attempts import (
    may_retry,
    retry_after_s,
    retry_delay_us,
    throttle_delay_us,
    throttled_too_long,
)
from forestall.jobs.job import BIRTH_STATE, POLICY_DENIED, Job, JobState, Lease
from forestall.jobs.lifecycle import LEASED, TERMINAL, WAITING, Event
from forestall.policy.rules import Decision, Effect

APPROVED = "approved"  # the code of a decision that stands on an approval
# Codes of denials that come from no rule.
SUBMITTER_REVOKED, SUBMITTER_EXPIRED = "submitter_revoked", "submitter_expired"
JOB_CHANGED = "job_changed"
_OWN_CODES = (
    *(SUBMITTER_REVOKED, SUBMITTER_EXPIRED, JOB_CHANGED),
    *(AGENT_SUSPENDED, AGENT_REVOKED, AGENT_EXPIRED, AGENT_RIGHT_MISSING),
)
APPROVER_REVOKED, TENANT_SUSPENDED = "approver_revoked", "tenant_suspended"
_WITHDRAWN: Mapping[str, str] = {
    SUBMITTER_REVOKED: "the credential it was submitted with is revoked",
    SUBMITTER_EXPIRED: "the credential it was submitted with has expired",
    AGENT_SUSPENDED: "the agent that submitted it is suspended; an admin may resume it",
    AGENT_REVOKED: "the agent that submitted it is revoked",
    AGENT_EXPIRED: "the agent that submitted it has expired; an admin may give it a later end",
    APPROVER_REVOKED: "a credential with which it was approved is revoked or has expired",
    TENANT_SUSPENDED: "its tenant is suspended",
}
RUN_TIME_SPENT, AMBIGUOUS = "max_runtime_exceeded", "lease_expired"
DEADLINE_EXCEEDED, THROTTLED_TOO_LONG = "deadline_exceeded", "throttled_too_long"
APPROVAL_EXPIRED = "approval_expired"
_ALLOWED = (Effect.ALLOW, Effect.ALLOW_WITH_CONSTRAINTS)
# Cleared when a job leaves the queue for a worker or a person: it is no longer throttled.
_UNTHROTTLED: Mapping[str, Any] = {
    "not_before_us": 0,
    "held_since_us": 0,
    "holds": 0,
    "failure_code": "",
    "failure_reason": "",
}


class Asker(Enum):
    """The verb that put a stored job before the gate."""

    DISPATCH = "dispatch"
    REPAIR = "repair"


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its effects: the changed fields of the job and the data of the audit record.

    `result` is the result of the job where the event gives it one.
    """

    event: Event
    fields: Mapping[str, Any] = {}
    data: Mapping[str, Value] = {}
    result: bytes | None = None


def ended_submitter(key: ApiKey | None, *, now_us: int) -> str:
    """Why the credential that submitted a job carries it no longer: SUBMITTER_REVOKED or
    SUBMITTER_EXPIRED; empty while it does. A key that is not there counts as revoked."""
    if key is None or key.revoked_at_us is not None:
        return SUBMITTER_REVOKED
    return "" if key.usable(now_us) else SUBMITTER_EXPIRED


def tightened(decision: Decision, *, submitter_ended: str, changed: bool) -> Decision:
    """The decision, unless a fact that no rule reads forbids the job.

    `submitter_ended`: the code of `ended_submitter`. `changed`: the stored job does not have the
    job hash that was decided at submit. Both deny.
    """
    if submitter_ended:
        return denied(decision, submitter_ended, _WITHDRAWN[submitter_ended])
    if changed:
        return denied(decision, JOB_CHANGED, "the stored job is not the one that was submitted")
    return decision


def within_rights(decision: Decision, *, agent_ended: str, missing: str) -> Decision:
    """The decision, unless the agent that asks has ended (`agent_ended`: its code) or has no right
    to the action (`missing`: the reason). A denial of the policy stands as it is."""
    if decision.decision is Effect.DENY:
        return decision
    if agent_ended:
        return denied(decision, agent_ended, _WITHDRAWN[agent_ended])
    return denied(decision, AGENT_RIGHT_MISSING, missing) if missing else decision


def denied(decision: Decision, code: str, reason: str) -> Decision:
    """The decision turned into a denial that no rule asked for."""
    return msgspec.structs.replace(
        decision,
        decision=Effect.DENY,
        code=code,
        reason=reason,
        rule_id="",
        constraints=None,
        approval=None,
        throttle=None,
        clauses=(),
        remediations=(),
    )


def under_approval(
    job: Job,
    decision: Decision,
    grounds: Grounds,
    *,
    ended_votes: Collection[str],
    now_us: int,
) -> Decision:
    """The decision, or an allow in place of require_approval when the job has an approval of
    exactly these terms. The dispatch consumes that approval.

    `ended_votes` are the ids of voters' keys that are revoked or expired; their votes do not count.
    """
    approval = job.approval.without_votes(ended_votes) if job.approval is not None else None
    if decision.decision is not Effect.REQUIRE_APPROVAL or not is_usable(
        approval, terms_of(decision, job.job_hash, grounds), now_us=now_us
    ):
        return decision
    bound = decision.constraints is not None
    effect = Effect.ALLOW_WITH_CONSTRAINTS if bound else Effect.ALLOW
    return msgspec.structs.replace(decision, decision=effect, code=APPROVED, approval=None)


def at_birth(
    decision: Decision,
    *,
    job_hash: str,
    requester: str,
    now_us: int,
    grounds: Grounds = NO_GROUNDS,
) -> Mapping[str, Any]:
    """The fields of a new job by the decision of the submit gate. Raises KeyError for a throttle,
    under which no job is created."""
    fields: dict[str, Any] = {"state": BIRTH_STATE[decision.decision]}
    if decision.decision is Effect.DENY:
        fields |= {
            "failure_code": _failure_code(decision),
            "failure_reason": decision.reason,
            "dead_at_us": now_us,
        }
    elif decision.decision is Effect.REQUIRE_APPROVAL:
        terms = terms_of(decision, job_hash, grounds)
        fields["approval"] = new_approval(terms, requester=requester, now_us=now_us)
    return fields


def after_decision(
    job: Job,
    decision: Decision,
    asker: Asker,
    *,
    passed: tuple[str, ...],
    now_us: int,
    chance: int = 0,
    lease: Lease | None = None,
    grounds: Grounds = NO_GROUNDS,
) -> Transition:
    """The transition of a stored job by a decision, as in the table above. The decision is
    `tightened`.

    `passed` are the throttle rules that counted the action; `chance` is 16 random bits for the
    jitter of a throttled job; `lease` is the lease of an allowed dispatch; on `grounds` an approval
    rests that is asked for.
    """
    fields: dict[str, Any] = {"throttles_passed": passed}
    effect = decision.decision
    if effect is Effect.DENY:
        reason = decision.reason or f"denied by the policy in force at {asker.value}"
        fields |= {"failure_code": _failure_code(decision), "failure_reason": reason}
        return Transition(event=Event.DENIED, fields=fields)
    if effect is Effect.REQUIRE_APPROVAL:
        return _demanded(job, decision, fields, grounds, now_us=now_us)
    if asker is Asker.REPAIR:
        return Transition(event=Event.CLEARED, fields=fields)
    if effect is Effect.THROTTLE:
        return _throttled(job, decision, fields, now_us=now_us, chance=chance)
    assert lease is not None, "an allowed dispatch gives a lease"
    return _dispatched(job, decision, fields, lease)


def _failure_code(decision: Decision) -> str:
    """The failure code of a job that a decision denies: one of our own, or that of the policy."""
    return decision.code if decision.code in _OWN_CODES else POLICY_DENIED


def _demanded(
    job: Job, decision: Decision, fields: Mapping[str, Any], grounds: Grounds, *, now_us: int
) -> Transition:
    terms, before = terms_of(decision, job.job_hash, grounds), job.approval
    if before is not None and job.state is JobState.APPROVAL_REQUIRED:
        bound = rebound(before, terms)
        if bound is not None:
            data = {"snapshot_before": before.snapshot}
            fields = {**fields, "approval": bound}
            return Transition(event=Event.REBOUND, fields=fields, data=data)
    approval = new_approval(terms, requester=job.principal, now_us=now_us, before=before)
    return Transition(
        event=Event.APPROVAL_DEMANDED,
        fields={**fields, **_UNTHROTTLED, "approval": approval},
        data={"drift": approval.changes} if approval.changes else {},
    )


def _dispatched(
    job: Job, decision: Decision, fields: Mapping[str, Any], lease: Lease
) -> Transition:
    approval = job.approval
    if approval is not None and decision.code == APPROVED:
        approval = msgspec.structs.replace(approval, status=ApprovalStatus.CONSUMED)
    fields = {
        **fields,
        **_UNTHROTTLED,
        "attempt": job.attempt + 1,
        "lease": lease,
        "approval": approval,
    }
    return Transition(event=Event.DISPATCHED, fields=fields, data={"worker": lease.worker})


def _throttled(
    job: Job, decision: Decision, fields: Mapping[str, Any], *, now_us: int, chance: int
) -> Transition:
    """The job waits for an instant, or fails when it has been throttled for too long."""
    delay_us = throttle_delay_us(job.holds, retry_after_s(decision), chance)
    waits = {
        "not_before_us": now_us + delay_us,
        "holds": job.holds + 1,
        "held_since_us": job.held_since_us or now_us,
    }
    if not throttled_too_long(job, now_us=now_us):
        return Transition(event=Event.THROTTLED, fields={**fields, **waits})
    failure = {
        "not_before_us": 0,
        "failure_code": THROTTLED_TOO_LONG,
        "failure_reason": decision.reason or "a rule throttled it for too long",
    }
    return Transition(event=Event.FAILED, fields={**fields, **waits, **failure})


def withdrawn(job: Job, *, submitter_ended: str, ended_votes: Collection[str]) -> str:
    """Why a job that runs must stop: the code of `ended_submitter`, or APPROVER_REVOKED when its
    dispatch stood on an approval that the votes left over would not give. Empty: it may go on."""
    if submitter_ended:
        return submitter_ended
    approval = job.approval
    if approval is None or not runs_on_approval(job):
        return ""
    left = approval.without_votes(ended_votes)
    return "" if left.is_enough(left.votes) else APPROVER_REVOKED


def runs_on_approval(job: Job) -> bool:
    """Whether the job's last dispatch consumed its approval. False when an earlier one did."""
    approval, lease = job.approval, job.lease
    if approval is None or lease is None or approval.status is not ApprovalStatus.CONSUMED:
        return False
    return (lease.snapshot, lease.rule_id) == (approval.snapshot, approval.rule_id)


def rests_on_question(job: Job) -> bool:
    """Whether people are asked about the job, or have allowed it and it waits for a worker: then a
    change of the policy or of the registry concerns its approval."""
    if job.state is JobState.APPROVAL_REQUIRED:
        return job.approval is not None
    granted = job.approval is not None and job.approval.status is ApprovalStatus.APPROVED
    return granted and job.state in WAITING


def after_withdrawal(code: str) -> Transition:
    """The transition of a job that runs and must stop for this code of `withdrawn`."""
    fields = {"failure_code": code, "failure_reason": _WITHDRAWN[code]}
    return Transition(event=Event.CANCELLED, fields=fields)


def is_joinable(job: Job) -> bool:
    """Whether an identical request may share the approval of this job: both were sent with that
    wish, and people are asked about this one now."""
    return (
        job.share_approval
        and job.state is JobState.APPROVAL_REQUIRED
        and job.approval is not None
        and job.approval.status is ApprovalStatus.PENDING
    )


# -- what the passing of time does --


def after_lease_end(job: Job, *, now_us: int, chance: int) -> Transition:
    """The transition of a job whose lease ended: its run time is over, or its worker fell silent.

    A job that is not idempotent never runs again by itself, because nobody knows what was done.
    """
    lease = job.lease
    assert lease is not None, "only a leased job has a lease that ends"
    if 0 < lease.runs_until_us <= now_us:
        fields: dict[str, Any] = {
            "failure_code": RUN_TIME_SPENT,
            "failure_reason": "it ran longer than its constraints allow",
        }
        return Transition(event=Event.TIMED_OUT, fields=fields)
    fields = {
        "failure_code": AMBIGUOUS,
        "failure_reason": f"the worker `{lease.worker}` fell silent; nobody knows what was done",
    }
    if job.idempotent and may_retry(job, now_us=now_us):
        fields["not_before_us"] = now_us + retry_delay_us(job.attempt, chance)
        return Transition(event=Event.RETRIED, fields=fields)
    return Transition(event=Event.LOST, fields=fields)


def after_deadline(job: Job, *, now_us: int) -> Transition | None:
    """The transition of a job whose deadline or approval time is over; None when neither is."""
    if job.state in TERMINAL:
        return None
    if 0 < job.deadline_at_us <= now_us:
        reason = "the deadline passed before a worker took the job"
        if job.state in LEASED:
            reason = "the deadline passed while it ran; the worker was told to stop"
        fields = {"failure_code": DEADLINE_EXCEEDED, "failure_reason": reason}
        return Transition(event=Event.TIMED_OUT, fields=fields)
    waits = job.state is JobState.APPROVAL_REQUIRED
    if waits and job.approval is not None and job.approval.expires_at_us <= now_us:
        return expired(job, now_us=now_us)
    return None


def expired(job: Job, *, now_us: int) -> Transition:
    """The transition of a job whose approval expired."""
    assert job.approval is not None, "only an approval expires"
    approval = msgspec.structs.replace(
        job.approval, status=ApprovalStatus.EXPIRED, resolved_at_us=now_us
    )
    fields = {
        "approval": approval,
        "failure_code": APPROVAL_EXPIRED,
        "failure_reason": "nobody approved it in time",
    }
    return Transition(event=Event.EXPIRED, fields=fields)


def is_allowed(decision: Decision) -> bool:
    """Whether the decision lets the job run now."""
    return decision.decision in _ALLOWED
