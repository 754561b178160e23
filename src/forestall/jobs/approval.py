"""An approval: what a person is asked to allow, the votes, and whether it still stands (control 5).

It binds snapshot, rule, job hash, demands, constraints, facts and registry entries, and it expires.
A difference between the binding and what a gate decides later is drift. Drift undoes the approval,
so that what was approved is what runs. Pure; who may vote is decided in `control/approve.py`.

Theory
======

A person answers a *question*: may this job run, under these rules, on these facts, within these
constraints, answered by these people? The snapshot names the policy that asked. Most changes of a
policy leave a question as it was: a mail throttle says nothing of a deployment. So:

* A question that nobody has answered stays when the policy in force asks the same one. It is bound
  to the new snapshot (`rebound`), and keeps its age and its end.
* An answer is to a question under one policy. An approval with any vote is undone by every change
  of the policy, even one that leaves the question as it was: the person who voted saw the digest.
* The text of the rules and the facts enter as digests (`rules`, `facts`): the policy before may be
  compiled nowhere any more. An approval that an older version stored has no digests, so it counts
  as another question.
* Registry entries (topic, schemas, pool) are bound by their content. An entry that is removed and
  declared again starts at revision 1, so a revision alone would not tell two contents apart.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum

import msgspec

from forestall.canonical import digest
from forestall.jobs.registry import RegistryBinding
from forestall.limits import APPROVAL_HOURS_DEFAULT
from forestall.policy.approval import is_met
from forestall.policy.rules import ApprovalDemands, Constraints, Decision


class ApprovalStatus(StrEnum):
    """The status of an approval. Only a pending approval takes votes; only an approved one lets a
    job run."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"
    CANCELLED = "cancelled"
    CONSUMED = "consumed"  # used up by the one dispatch that it allowed


class Vote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One person's approval or rejection. `at_us` is in microseconds since the epoch, UTC.

    `saw_hash`: the approver's client sent back the job hash that it displayed.
    """

    principal: str
    key_id: str
    roles: tuple[str, ...]
    at_us: int
    approves: bool
    saw_hash: bool
    reason: str = ""
    note: str = ""
    made_by: tuple[str, ...] = ()  # principals who made the voter's key, and the makers' keys

    def is_same_person(self, other: "Vote") -> bool:
        """Whether both votes may be of one person: one principal, or a key that one made for the
        other, through however many keys."""
        return (
            self.principal == other.principal
            or self.principal in other.made_by
            or other.principal in self.made_by
        )


class Approval(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request to a person to allow a job, bound to what was decided. Times are microseconds, UTC.

    `reason` is that of the rule; `requester` is the principal who submitted the job, and who may
    not vote.
    """

    status: ApprovalStatus
    asked_at_us: int
    expires_at_us: int
    snapshot: str
    rule_id: str
    reason: str
    job_hash: str
    requester: str
    demands: ApprovalDemands | None = None  # None: any one approver is enough
    constraints: Constraints | None = None
    votes: tuple[Vote, ...] = ()
    resolved_at_us: int = 0
    resolved_by: str = ""
    drift: tuple[str, ...] = ()  # the differences that invalidated it
    registry: tuple[RegistryBinding, ...] = ()  # the entries that the decision rests on
    rules: str = ""  # digest of the text of the rules that require it
    facts: str = ""  # digest of the facts that those rules were decided on
    agent_facts: str = ""  # digest of what rules may read of the agent that asks; empty for none
    # why the job is asked about again, in words for people; empty for its first question
    changes: tuple[str, ...] = ()
    first_asked_at_us: int = 0  # when people were first asked; 0: at `asked_at_us`

    def is_enough(self, votes: Sequence[Vote]) -> bool:
        """Whether the people who approved meet the demands of the rules. A person counts once, with
        the roles of the first vote, also under a key that the person made for another principal."""
        people: list[Vote] = []
        for vote in votes:
            if vote.approves and not any(map(vote.is_same_person, people)):
                people.append(vote)
        return is_met(self.demands, [vote.roles for vote in people])

    def without_votes(self, key_ids: Collection[str]) -> "Approval":
        """The approval without the votes that were cast with these keys."""
        votes = tuple(vote for vote in self.votes if vote.key_id not in key_ids)
        return msgspec.structs.replace(self, votes=votes) if votes != self.votes else self


class Grounds(msgspec.Struct, frozen=True):
    """What a decision rests on beside request and snapshot: registry entries, the digest of the
    text of the rules that require an approval (empty without any), and the digest of what rules
    may read of the agent that asks (empty for none)."""

    registry: tuple[RegistryBinding, ...] = ()
    rules: str = ""
    agent_facts: str = ""


NO_GROUNDS = Grounds()


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a gate's decision that an approval binds."""

    snapshot: str
    rule_id: str
    reason: str
    job_hash: str
    demands: ApprovalDemands | None
    constraints: Constraints | None
    registry: tuple[RegistryBinding, ...] = ()
    rules: str = ""
    facts: str = ""
    agent_facts: str = ""


def terms_of(decision: Decision, job_hash: str, grounds: Grounds) -> Terms:
    """The terms that an approval of this decision would bind."""
    facts = msgspec.json.encode((decision.facts, decision.conflicts))
    return Terms(
        snapshot=decision.snapshot,
        rule_id=decision.rule_id,
        reason=decision.reason,
        job_hash=job_hash,
        demands=decision.approval,
        constraints=decision.constraints,
        registry=grounds.registry,
        rules=grounds.rules,
        facts=digest("approval-facts", facts),
        agent_facts=grounds.agent_facts,
    )


def new_approval(
    terms: Terms, *, requester: str, now_us: int, before: Approval | None = None
) -> Approval:
    """A pending approval with the given terms. Without a `ttl_ms` it expires after the default
    time. `before` is the approval that this one replaces."""
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
        registry=terms.registry,
        rules=terms.rules,
        facts=terms.facts,
        agent_facts=terms.agent_facts,
        changes=_changes(before, terms, now_us=now_us) if before is not None else (),
        first_asked_at_us=_first_asked(before),
    )


def _changes(before: Approval, terms: Terms, *, now_us: int) -> tuple[str, ...]:
    """Why people are asked again, in words for people; never empty."""
    reasons = list(before.drift or drift(before, terms))
    if before.status is ApprovalStatus.CONSUMED:
        reasons.append("attempt: an approval is good for one dispatch, and that one was used")
    elif now_us >= before.expires_at_us:
        reasons.append("time: the approval before expired")
    if before.votes and before.status is not ApprovalStatus.CONSUMED:
        voters = ", ".join(sorted({vote.principal for vote in before.votes}))
        reasons.append(f"votes: what {voters} decided before counts no more")
    return tuple(reasons) or ("votes: the approval before counts no more",)


def _first_asked(before: Approval | None) -> int:
    """When people were first asked about what they are asked again. A new attempt is another
    question."""
    if before is None or before.status is ApprovalStatus.CONSUMED:
        return 0
    return before.first_asked_at_us or before.asked_at_us


def drift(approval: Approval, terms: Terms) -> tuple[str, ...]:
    """The differences between what a person was asked and what a gate would ask now, in words for
    people; empty without any."""
    differences = []
    if terms.snapshot != approval.snapshot:
        differences.append(f"policy: {approval.snapshot[:12]} became {terms.snapshot[:12]}")
    if terms.rule_id != approval.rule_id:
        differences.append(f"rule: `{approval.rule_id}` became `{terms.rule_id}`")
    if terms.job_hash != approval.job_hash:
        differences.append(f"job: {approval.job_hash[:12]} became {terms.job_hash[:12]}")
    if terms.demands != approval.demands:
        differences.append("approvers: other people are demanded now")
    if terms.constraints != approval.constraints:
        differences.append("constraints: the job would run under other limits")
    if terms.rules != approval.rules and terms.rule_id == approval.rule_id:
        differences.append(f"rule: the text of `{terms.rule_id}` is another one")
    if terms.facts != approval.facts:
        differences.append("facts: the rules read other facts of the job")
    if terms.agent_facts != approval.agent_facts:
        differences.append("agent: it has another risk tier or other data classes now")
    return (*differences, *registry_drift(approval.registry, terms.registry))


def registry_drift(
    bound: Sequence[RegistryBinding], current: Sequence[RegistryBinding]
) -> tuple[str, ...]:
    """The differences between the registry entries that a decision rests on and those of now, in
    words for people; empty while each has the same content."""
    if bound == current:
        return ()
    bound_entries = {(entry.kind, entry.name): entry for entry in bound}
    current_entries = {(entry.kind, entry.name): entry for entry in current}
    differences = []
    for kind, name in dict.fromkeys((*bound_entries, *current_entries)):
        before, now = bound_entries.get((kind, name)), current_entries.get((kind, name))
        subject = f"{kind}: `{name}`"
        if before is None:
            differences.append(f"{subject} came to apply since")
        elif now is None:
            differences.append(f"{subject} was removed, or applies no more")
        elif before.digest != now.digest:
            change = f"changed from revision {before.revision} to {now.revision}"
            differences.append(f"{subject} {change}")
    return tuple(differences)


def rebound(approval: Approval, terms: Terms) -> Approval | None:
    """The approval bound to the snapshot of these terms; None when somebody has answered it, or
    the policy of these terms asks another question."""
    if approval.status is not ApprovalStatus.PENDING or approval.votes:
        return None
    bound = msgspec.structs.replace(approval, snapshot=terms.snapshot)
    if drift(bound, terms):
        return None
    return msgspec.structs.replace(bound, registry=terms.registry)


def is_usable(approval: Approval | None, terms: Terms, *, now_us: int) -> bool:
    """Whether the job may run under this approval now: approved, not consumed, not expired, no
    drift."""
    return (
        approval is not None
        and approval.status is ApprovalStatus.APPROVED
        and now_us < approval.expires_at_us
        and not drift(approval, terms)
        and approval.is_enough(approval.votes)
    )


_OPEN_STATUSES = (ApprovalStatus.PENDING, ApprovalStatus.APPROVED, ApprovalStatus.INVALIDATED)
_CLOSING_EVENTS = ("cancelled", "timed_out", "denied", "failed", "cleared")


def settled(approval: Approval | None, event: str) -> Approval | None:
    """The approval after an event of its job that was no vote.

    A dispatch that reached no worker gives its approval back. A job that ended closes an open
    approval. A worker that returns a job has seen its ticket: that approval stays consumed, which
    `hand_back` says itself.
    """
    if approval is None:
        return None
    status = approval.status
    if event == "returned" and status is ApprovalStatus.CONSUMED:
        return msgspec.structs.replace(approval, status=ApprovalStatus.APPROVED)
    if event in _CLOSING_EVENTS and status in _OPEN_STATUSES:
        return msgspec.structs.replace(approval, status=ApprovalStatus.CANCELLED)
    return approval


class VoteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The vote that an approver sends. `job_hash` and `policy_snapshot` are those that were
    displayed."""

    job_hash: str = ""
    policy_snapshot: str = ""
    reason: str = ""
    note: str = ""
