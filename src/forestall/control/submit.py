"""Submit a job: the gate decides before anything is queued (control 3).

A denied job is stored as DENIED with its decision, and never queued. A throttled submission creates
no job; its decision is recorded all the same. A job is in an answer only once it is durable, with
its record.
"""

import msgspec

from forestall.audit.record import Record
from forestall.control.admission import admitted
from forestall.control.gate import PayloadInfo, count, decide
from forestall.control.plane import Plane, uuid_text
from forestall.control.records import SALT_BYTES, action_checked, job_submitted
from forestall.control.share import join
from forestall.errors import ConflictError, ForestallError
from forestall.identity.credentials import Subject
from forestall.jobs.approval import terms_of
from forestall.jobs.attempts import retry_after_s
from forestall.jobs.job import (
    BIRTH_STATE,
    OWN_KEY_PREFIX,
    DecisionRecord,
    Job,
    JobState,
    Lineage,
    Stage,
    Submission,
    decision_record,
    job_hash,
    payload_digest,
)
from forestall.jobs.schedule import Lane
from forestall.jobs.transitions import at_birth
from forestall.limits import (
    QUEUE_LANES_PER_KEY_MAX,
    QUEUE_LANES_PER_TENANT_MAX,
    QUEUED_JOBS_PER_KEY_MAX,
    QUEUED_JOBS_PER_TENANT_MAX,
)
from forestall.policy.rules import Decision, Effect
from forestall.ports.change import (
    Change,
    IdempotencyEntry,
    IdempotencyKeyAbsent,
    JobAbsent,
    Precondition,
    Put,
    PutIdempotency,
    PutJob,
)
from forestall.ports.store import PreconditionFailedError
from forestall.structs import copied

BACK_PRESSURE_RETRY_AFTER_S = 5


class IdempotencyConflictError(ConflictError):
    """This idempotency key was used before, for another request."""

    code, http_status = "IDEMPOTENCY_CONFLICT", 409


class ThrottledError(ForestallError):
    """A rule throttles this action; nothing was queued. Try again after `Retry-After` seconds."""

    code, http_status = "throttled", 429


class QueueFullError(ForestallError):
    """Too many jobs of this key or this tenant, or too many lanes of them, are queued. Try again
    later."""

    code, http_status = "BACKPRESSURE", 429


class SubmitResult(msgspec.Struct, frozen=True):
    """A job as it was born, and the decision that it was born with. `replayed`: this idempotency
    key was used for the same request before, and the answer is the one given then. `shared`: the
    job was there already, and the request shares its approval."""

    job: Job
    decision: DecisionRecord
    replayed: bool = False
    shared: bool = False


async def submit(
    plane: Plane, subject: Subject, submission: Submission, lineage: Lineage | None = None
) -> SubmitResult:
    """Decide one job before it can be queued, and make job, decision and record durable.

    `lineage` names the job that this one was made from (remediation, retry); it comes from a verb,
    never from a client. Raises PolicyUnavailableError and InspectionBusyError (no decision was
    made), ThrottledError, QueueFullError, IdempotencyConflictError, StoreUnavailableError, and what
    `admitted` raises; in each case nothing was queued.
    """
    who = {"tenant": subject.tenant, "principal": subject.principal}
    request_digest = hash_text = job_hash(submission, **who)
    key = submission.idempotency_key
    if key:
        # load
        earlier = await _earlier_answer(plane, subject, key, request_digest)
        if earlier is not None:
            return earlier
    admitted_submission = admitted(plane, subject.tenant, submission)
    if admitted_submission is not submission:
        # The idempotency key stands for the request as sent. The job also holds what its topic
        # adds, so the hash of the job is another one than the digest of the request.
        submission = admitted_submission
        hash_text = job_hash(submission, **who)
    _require_room(plane, subject, submission)
    now_us = plane.clock.now_us()
    request = submission.request(**who)
    payload = PayloadInfo(len(submission.payload), subject.key_id)
    # decide
    decision, passed, grounds = await decide(
        plane, request, stage=Stage.SUBMIT, now_us=now_us, payload=payload
    )
    decided = decision_record(
        decision, grounds, stage=Stage.SUBMIT, job_hash=hash_text, now_us=now_us
    )
    chance = plane.random.token(20 + SALT_BYTES)
    for_ids, salt = chance[:20], chance[20:]
    if decision.decision is Effect.THROTTLE:
        throttled = action_checked(plane, request, decided, subject, salt=salt)
        # commit
        await plane.commit(Change(records=(throttled,)))
        # announce
        count(plane, decision, request, stage=Stage.SUBMIT)
        raise _throttled_error(decision)
    entry = _idempotency_entry(subject, key, request_digest)
    if submission.share_approval and decision.decision is Effect.REQUIRE_APPROVAL and not lineage:
        shared = await join(plane, subject, terms_of(decision, hash_text, grounds), decided, entry)
        if shared is not None:
            count(plane, decision, request, stage=Stage.SUBMIT)
            return SubmitResult(shared, decided, shared=True)
    job = _new_job(submission, subject, decided, for_ids, lineage, passed)
    state = at_birth(
        decision, job_hash=hash_text, requester=job.principal, now_us=now_us, grounds=grounds
    )
    job = msgspec.structs.replace(job, **state)
    payload_name = (job.tenant, job.principal, payload_digest(submission.payload))
    blind_retry_of = "" if lineage else plane.blind_retries.earlier(payload_name, now_us=now_us)
    record = job_submitted(plane, job, decided, subject, salt=salt, blind_retry_of=blind_retry_of)
    change = _birth(job, submission.payload, entry, decided, record)
    # commit
    earlier = await _commit_unless_repeated(plane, subject, key, request_digest, change)
    if earlier is not None:
        return earlier
    # announce
    count(plane, decision, request, stage=Stage.SUBMIT)
    if blind_retry_of:
        plane.telemetry.refused("submit", "blind_retry")
    return SubmitResult(job, decided)


async def _commit_unless_repeated(
    plane: Plane, subject: Subject, key: str, request_digest: str, change: Change
) -> SubmitResult | None:
    """Commit the birth of a job. When a submission with the same idempotency key was first, commit
    nothing and return the answer to that submission."""
    # commit
    try:
        await plane.commit(change)
    except PreconditionFailedError as cause:
        if not isinstance(cause.failed, IdempotencyKeyAbsent):
            raise
        earlier = await _earlier_answer(plane, subject, key, request_digest)
        if earlier is None:  # the job of the other submission cannot be read: the caller may retry
            raise
        return earlier
    return None


def _throttled_error(decision: Decision) -> ThrottledError:
    return ThrottledError(
        decision.reason or "this action is throttled; try again later",
        details={"rule_id": decision.rule_id},
        retry_after_s=retry_after_s(decision),
    )


def _require_room(plane: Plane, subject: Subject, submission: Submission) -> None:
    """Require a place in the queue. A key has a share of its tenant's jobs and lanes; a key that
    has filled its share is refused, and the other keys of the tenant are not. Raises
    QueueFullError."""
    queue, tenant, key_id = plane.queue, subject.tenant, subject.key_id
    lane = Lane(tenant, submission.topic, submission.capability, tuple(sorted(submission.requires)))
    jobs, jobs_of_key = queue.count(tenant), queue.count_of_key(tenant, key_id)
    tenant_is_full = jobs >= QUEUED_JOBS_PER_TENANT_MAX
    if jobs_of_key >= QUEUED_JOBS_PER_KEY_MAX or tenant_is_full:
        whose = "this tenant" if tenant_is_full else "this API key"
        # A count of the tenant's jobs would tell an agent what others do.
        raise _queue_full(f"too many jobs of {whose} wait for workers", queued=jobs_of_key)
    if queue.has_lane(lane):
        return
    lanes_of_key = queue.lane_count_of_key(tenant, key_id)
    key_is_full = lanes_of_key >= QUEUE_LANES_PER_KEY_MAX
    if key_is_full or queue.lane_count(tenant) >= QUEUE_LANES_PER_TENANT_MAX:
        whose = "this API key" if key_is_full else "this tenant"
        raise _queue_full(
            f"jobs of {whose} wait with too many different topics, capabilities or requirements",
            queued=jobs_of_key,
        )


def _queue_full(what: str, *, queued: int) -> QueueFullError:
    return QueueFullError(
        f"{what}; nothing was queued, try again later",
        details={"queued": queued},
        retry_after_s=BACK_PRESSURE_RETRY_AFTER_S,
    )


def _new_job(
    submission: Submission,
    subject: Subject,
    decision: DecisionRecord,
    chance: bytes,
    lineage: Lineage | None,
    passed: tuple[str, ...],
) -> Job:
    """The job of a submission. `chance` is 20 random bytes for its ids; `passed` are the throttle
    rules that counted it."""
    now_us = decision.decided_at_us
    deadline_ms = submission.budget.deadline_ms
    return copied(
        Job,
        submission,
        subject,
        id=uuid_text(now_us, chance[:10]),
        trace_id=lineage.trace_id if lineage else uuid_text(now_us, chance[10:]),
        state=JobState.PENDING,  # `at_birth` replaces it by the state that the decision leads to
        job_hash=decision.job_hash,
        created_at_us=now_us,
        updated_at_us=now_us,
        actor_id=submission.actor_id or subject.principal,
        lineage=lineage,
        deadline_at_us=now_us + deadline_ms * 1_000 if deadline_ms else 0,
        throttles_passed=passed,
        submit_decision=decision,
    )


def _birth(
    job: Job,
    payload: bytes,
    idempotency: IdempotencyEntry,
    decision: DecisionRecord,
    record: Record,
) -> Change:
    expect: list[Precondition] = [JobAbsent(job.tenant, job.id)]
    puts: list[Put] = [PutJob(job=job, payload=payload, decision=decision)]
    if idempotency.key:
        expect.append(IdempotencyKeyAbsent(job.tenant, idempotency.key))
        puts.append(PutIdempotency(msgspec.structs.replace(idempotency, job_id=job.id)))
    return Change(expect=tuple(expect), puts=tuple(puts), records=(record,))


def _idempotency_entry(subject: Subject, key: str, request_digest: str) -> IdempotencyEntry:
    """The entry of an idempotency key, without the job that it will stand for; the entry of a
    submission without a key has an empty one."""
    scoped = scoped_key(subject.principal, key) if key else ""
    return IdempotencyEntry(
        tenant=subject.tenant, key=scoped, request_digest=request_digest, job_id=""
    )


def scoped_key(principal: str, key: str) -> str:
    """The name under which an idempotency key is stored. A client's key belongs to its principal,
    so that no agent can try or take the keys of another; a key of the plane's own belongs to the
    tenant."""
    return key if key.startswith(OWN_KEY_PREFIX) else f"{principal} {key}"


async def _earlier_answer(
    plane: Plane, subject: Subject, key: str, request_digest: str
) -> SubmitResult | None:
    """The answer that an earlier submission with this idempotency key got; None: there was none.

    Raises IdempotencyConflictError when that submission was another request.
    """
    entry = await plane.store.idempotency(subject.tenant, scoped_key(subject.principal, key))
    if entry is None:
        return None
    if entry.request_digest != request_digest:
        raise IdempotencyConflictError(
            "this idempotency key was used for another request; use a new key for a new request"
        )
    view = await plane.store.job(subject.tenant, entry.job_id)
    if view is None or view.job.submit_decision is None:
        return None
    # The answer is the one given then, so it shows the state at birth, not the state of today.
    job = msgspec.structs.replace(view.job, state=BIRTH_STATE[view.job.submit_decision.decision])
    return SubmitResult(job, view.job.submit_decision, replayed=True)
