"""A person approves or rejects a job that is awaiting approval (control 5): what is approved runs.

A vote counts for the binding alone: snapshot, rule, job hash, constraints, requester, expiry. An
approval that a change of policy or registry made stale is decided again first (`redecide`); when
people are then asked something else, the vote is refused. At each approving vote the gate decides
again; a difference from the binding is drift, which undoes the approval, and the refusal names it.
"""

import hmac
from collections.abc import Collection

import msgspec

from forestall.control.agent_layer import agent_unchanged
from forestall.control.check_output import clean_texts
from forestall.control.gate import ended_votes
from forestall.control.moves import commit_move, move_of
from forestall.control.plane import Plane
from forestall.control.read import JobNotFoundError, find_job
from forestall.control.records import SYSTEM_ACTOR
from forestall.control.redecide import drift_of, is_current, redecide
from forestall.control.refusals import commit_refusal
from forestall.control.second_person import makers_of, requester_reason
from forestall.errors import ConflictError, ForbiddenError, ForestallError
from forestall.identity.credentials import Subject
from forestall.jobs.approval import ApprovalStatus, Vote, VoteRequest, registry_drift
from forestall.jobs.job import Job, JobState
from forestall.jobs.lifecycle import Event
from forestall.jobs.transitions import expired
from forestall.jobs.votes import after_drift, after_vote, asked_approval
from forestall.ports.change import Precondition
from forestall.ports.store import JobView, PreconditionFailedError

APPROVAL_REJECTED, APPROVAL_EXPIRED = "approval_rejected", "approval_expired"
_TRIES = 32  # when many approvers vote at once, all but one must read the job again


class ApprovalNotFoundError(JobNotFoundError):
    """No job of this tenant with this id was ever awaiting approval."""

    code, http_status = "approval_not_found", 404


class SelfApprovalError(ForbiddenError):
    """The requester may not approve: not with the same key, not as the same principal, not with a
    key that the requester made (itself or through other keys), and not a retry by somebody else."""

    code, http_status = "self_approval_denied", 403


class SamePersonError(ForbiddenError):
    """Another principal has approved, and one of the two made the other's key. A rule that demands
    two people demands two who cannot act for each other; `details.principal` names the other."""

    code, http_status = "approver_not_distinct", 403


class NotEligibleError(ForbiddenError):
    """The rule demands approvers with another role; `details.roles` names them."""

    code, http_status = "approver_not_eligible", 403


class AlreadyResolvedError(ConflictError):
    """The approval was decided already, or the job has ended; `details` name status and state."""

    code, http_status = "approval_already_resolved", 409


class NotActionableError(ConflictError):
    """The approval has expired or was invalidated. `repair` asks for it again."""

    code, http_status = "approval_not_actionable", 409


class StaleRequestError(ConflictError):
    """The job that the approver was shown is not the job to be approved: the hashes differ. Read
    the job again."""

    code, http_status = "approval_stale_request", 409


class StaleSnapshotError(ConflictError):
    """The policy in force would not ask for this approval now; `details.drift` says why."""

    code, http_status = "approval_stale_snapshot", 409


class HashRequiredError(ConflictError):
    """This server takes an approval only with the `job_hash` that the approver was shown."""

    code, http_status = "approval_hash_required", 409


class VoteResult(msgspec.Struct, frozen=True):
    """The job after the vote. `repeated`: this person had cast the same vote before, and nothing
    was changed."""

    job: Job
    repeated: bool = False


async def approve(plane: Plane, subject: Subject, job_id: str, request: VoteRequest) -> VoteResult:
    """Count one approving vote. With enough of them the job is queued; a job that its caller runs
    ends as succeeded instead.

    Raises the errors above, JobNotFoundError, PolicyUnavailableError, StoreUnavailableError.
    """
    return await _vote(plane, subject, job_id, request, approves=True)


async def reject(plane: Plane, subject: Subject, job_id: str, request: VoteRequest) -> VoteResult:
    """Reject the job: one vote is enough. Raises as `approve`, but SelfApprovalError: requesters
    may reject their own jobs, as they may cancel them."""
    return await _vote(plane, subject, job_id, request, approves=False)


async def _vote(
    plane: Plane, subject: Subject, job_id: str, request: VoteRequest, *, approves: bool
) -> VoteResult:
    for attempt in range(_TRIES):
        # load
        view = await read_asked(plane, subject, job_id)
        job, now_us = view.job, plane.clock.now_us()
        ended_keys = ended_votes(plane, job, now_us=now_us)
        try:
            if _is_repeated(job, subject, ended_keys, approves=approves):
                return VoteResult(job, repeated=True)
            _require_open(job, ended_keys)
            _require_eligible(plane, job, subject, ended_keys, approves=approves)
            _require_shown(plane, job, request, approves=approves)
        except ForestallError as refusal:
            await commit_refusal(
                plane,
                subject,
                "approval.refused",
                refusal.code,
                what="approve" if approves else "reject",
                job=job,
            )
            raise
        try:
            has_expired = now_us >= asked_approval(job).expires_at_us
            if approves and not has_expired and not is_current(plane, job):
                await _require_same_question(plane, view)
                continue
            job = await _resolve(plane, subject, view, request, now_us, approves=approves)
            return VoteResult(job)
        except PreconditionFailedError:
            if attempt == _TRIES - 1:
                raise
    raise StaleSnapshotError("the policy changes again and again; look at it again")


async def _require_same_question(plane: Plane, view: JobView) -> None:
    """Decide a stale approval again. Raises StaleSnapshotError unless the same is asked of people:
    the person who votes has not seen any other question."""
    decided = await redecide(plane, view)
    if decided is not None and not decided.stays:
        raise _drift_error(decided.drift)


def _drift_error(drift: Collection[str]) -> StaleSnapshotError:
    differences = "; ".join(drift)
    return StaleSnapshotError(
        f"what was asked is not what would run now: {differences}", details={"drift": differences}
    )


async def read_asked(plane: Plane, subject: Subject, job_id: str) -> JobView:
    """A job that the subject may see, and that is, or was, awaiting approval. Raises
    ApprovalNotFoundError."""
    view = await find_job(plane, subject, job_id)
    if view is None or view.job.approval is None:
        raise ApprovalNotFoundError(
            "no job that your key may see has this id and waits for an approval"
        )
    return view


def _is_repeated(
    job: Job, subject: Subject, ended_keys: Collection[str], *, approves: bool
) -> bool:
    """Whether this person cast the same vote before, with a key that has not ended."""
    votes = asked_approval(job).without_votes(ended_keys).votes
    earlier = next((vote for vote in votes if vote.principal == subject.principal), None)
    return earlier is not None and earlier.approves is approves


def _require_open(job: Job, ended_keys: Collection[str]) -> None:
    """Raises AlreadyResolvedError and NotActionableError when nothing is left to decide."""
    approval = asked_approval(job).without_votes(ended_keys)
    if job.state is not JobState.APPROVAL_REQUIRED:
        raise AlreadyResolvedError(
            f"the approval is {approval.status} already; the job is {job.state}",
            details={"status": approval.status.value, "state": job.state.value},
        )
    if approval.status is not ApprovalStatus.PENDING:
        raise NotActionableError(
            f"the approval is {approval.status}: {'; '.join(approval.drift) or 'ask for it again'}",
            details={"status": approval.status.value},
        )


def _require_eligible(
    plane: Plane, job: Job, subject: Subject, ended_keys: Collection[str], *, approves: bool
) -> None:
    """Refuse an approving vote of a requester, or of a person who has approved already; and any
    vote of a subject without one of the roles that the rule demands. Raises SelfApprovalError,
    SamePersonError, NotEligibleError."""
    if approves:
        _require_another_person(plane, job, subject, ended_keys)
    approval = asked_approval(job)
    if approval.demands is None:
        return
    roles_of_demands = [set(demand.roles) for demand in approval.demands.each]
    if any(not roles or not roles.isdisjoint(subject.roles) for roles in roles_of_demands):
        return
    demanded = ", ".join(sorted(set().union(*roles_of_demands)))
    raise NotEligibleError(
        f"the rule `{approval.rule_id}` wants approvers with one of these roles: {demanded}",
        details={"roles": demanded},
    )


def _require_another_person(
    plane: Plane, job: Job, subject: Subject, ended_keys: Collection[str]
) -> None:
    """Require that the voter is no requester, and has not approved already with a key that has not
    ended. Raises SelfApprovalError, SamePersonError."""
    if why := requester_reason(plane, job, subject):
        raise SelfApprovalError(f"self-approval not permitted: {why}")
    new_vote = _vote_of(plane, subject, VoteRequest(), approves=True, now_us=0)
    for vote in asked_approval(job).without_votes(ended_keys).votes:
        if vote.approves and vote.is_same_person(new_vote):
            raise SamePersonError(
                f"`{vote.principal}` has approved already, and one of you made the other's key:"
                " both count as one person",
                details={"principal": vote.principal},
            )


def _require_shown(plane: Plane, job: Job, request: VoteRequest, *, approves: bool) -> None:
    """Refuse a vote on another job or policy than the approval binds. Raises StaleRequestError,
    StaleSnapshotError, HashRequiredError."""
    approval = asked_approval(job)
    if request.job_hash:
        if not _is_equal(request.job_hash, approval.job_hash):
            raise StaleRequestError(
                "you were shown another job than the one that is asked now; look at it again",
                details={"job_hash": approval.job_hash},
            )
    elif approves and plane.approvals_need_hash:
        raise HashRequiredError(
            "send the `job_hash` that you were shown; this server takes no approval without it"
        )
    if approves and approval.changes and plane.approvals_need_hash and not request.policy_snapshot:
        raise HashRequiredError(
            "this was asked again since; send the `policy_snapshot` that you were shown, too"
        )
    if request.policy_snapshot and not _is_equal(request.policy_snapshot, approval.snapshot):
        raise StaleSnapshotError(
            "you were shown another policy than the one that this was asked under",
            details={"policy_snapshot": approval.snapshot},
        )


def _is_equal(sent: str, bound: str) -> bool:
    return hmac.compare_digest(sent.encode("utf-8", "replace"), bound.encode())


async def _resolve(
    plane: Plane,
    subject: Subject,
    view: JobView,
    request: VoteRequest,
    now_us: int,
    *,
    approves: bool,
) -> Job:
    """Commit the vote and return the job after it. When the approval has expired or has drifted,
    commit that instead, and raise NotActionableError or StaleSnapshotError."""
    job = view.job
    # decide
    expect: tuple[Precondition, ...] = ()
    differences: tuple[str, ...] = ()
    refusal: ForestallError | None = None
    if now_us >= asked_approval(job).expires_at_us:
        transition = expired(job, now_us=now_us)
        refusal = NotActionableError("approval expired", details={"status": "expired"})
    elif approves and (differences := await drift_of(plane, view)):
        transition = after_drift(job, differences, now_us=now_us)
        refusal = _drift_error(differences)
    else:
        # Taken before the next await: the policy that the gate has just decided under.
        expect = _bound_to(plane, job) if approves else ()
        reason, note = await clean_texts(plane, job, (request.reason, request.note))
        request = msgspec.structs.replace(request, reason=reason, note=note)
        vote = _vote_of(plane, subject, request, approves=approves, now_us=now_us)
        transition = after_vote(
            job,
            vote,
            ended_votes=ended_votes(plane, job, now_us=now_us),
            by_caller=plane.is_run_by_caller(job.topic),
        )
    actor = SYSTEM_ACTOR if transition.event is Event.EXPIRED else subject.principal
    # commit
    move = move_of(job, transition, actor=actor, expect=expect)
    job = await commit_move(plane, move, now_us=now_us)
    # announce
    if refusal is not None:
        raise refusal
    return job


def _bound_to(plane: Plane, job: Job) -> tuple[Precondition, ...]:
    """The preconditions that policy, registry entries and agent are those to which the approval is
    bound: an approval may be all that a job needs, and then no other gate follows."""
    assert plane.snapshot is not None, "the gate has just decided under it"
    bound = asked_approval(job).registry
    entries = plane.registry.bindings(job.tenant, job.topic)
    if registry_drift(bound, entries):
        entries = (
            bound  # they changed since the gate decided: the commit fails, and it decides again
        )
    unchanged = plane.registry.unchanged(job.tenant, job.topic, entries)
    agent = agent_unchanged(plane, job.key_id)
    return (plane.policy.unchanged(plane.snapshot), *agent, *unchanged)


def _vote_of(
    plane: Plane, subject: Subject, request: VoteRequest, *, approves: bool, now_us: int
) -> Vote:
    return Vote(
        principal=subject.principal,
        key_id=subject.key_id,
        roles=subject.roles,
        at_us=now_us,
        approves=approves,
        saw_hash=bool(request.job_hash),
        reason=request.reason,
        note=request.note,
        made_by=makers_of(plane, subject),
    )
