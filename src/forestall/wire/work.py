"""The worker protocol ↔ values. Strict: an unknown or mistyped field of a worker is refused.

A report of work that is done is not refused: `worker_reports` reads what is left of it.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from forestall.errors import Detail, InvalidRequestError
from forestall.identity.credentials import ApiKey, WorkerGrant
from forestall.jobs.job import Budget, Job, JobState, Priority
from forestall.jobs.worker import (
    DispatchedJob,
    Heartbeat,
    WorkerAnswer,
    WorkerOffer,
    WorkerStatus,
)
from forestall.limits import (
    LEASE_JOBS_MAX,
    LEASE_WAIT_SECONDS_MAX,
    LIST_ITEMS_PER_FIELD_MAX,
    NAME_CHARS_MAX,
    PROGRESS_CHARS_MAX,
    WORKER_PARALLEL_MAX,
    WORKER_WILDCARDS_MAX,
)
from forestall.policy.request import ToolCall
from forestall.wire.compat import (
    ConstraintsObject,
    constraints_object,
    iso_time,
    iso_time_or_none,
)
from forestall.wire.objects import WireObject
from forestall.wire.strict_json import decode_struct
from forestall.wire.worker_reports import (
    cut,
    failed_answer,
    reported_answer,
    reported_answers,
    reported_beats,
    succeeded_answer,
)

HEARTBEATS_PER_LEASE = 3  # two heartbeats may be lost before a lease ends


class RegisterBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /workers/{id}/register."""

    topics: list[str] = []
    capabilities: list[str] = []
    max_parallel: int = 1


class LeaseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /workers/{id}/lease. `wait_ms` bounds the long poll."""

    limit: int = 1
    wait_ms: int = 0


class BeatBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The report on one job in a heartbeat."""

    job_id: str
    lease_id: str
    started: bool = True
    progress: str = ""
    percent: int = 0


class HeartbeatBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /workers/{id}/heartbeat. `wait_ms` bounds the long poll."""

    leases: list[BeatBody] = []
    wait_ms: int = 0


class ErrorBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The error of an attempt."""

    code: str = "worker_failed"
    message: str = ""


class ResultBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /jobs/{id}/result. `result_problem` says that the job succeeded and why the
    worker cannot send its result; `result` is then a part of it, or left out."""

    lease_id: str
    status: str
    result: Any = None
    result_problem: str = ""
    error: ErrorBody | None = None
    retryable: bool = False


class NamedResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer of a batch."""

    job_id: str
    answer: ResultBody


class ResultsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /workers/{id}/results."""

    results: list[NamedResult]


class ReturnBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /jobs/{id}/return."""

    lease_id: str


class CredentialBody(msgspec.Struct, frozen=True):
    """The body of POST /workers/credentials."""

    worker_id: str
    allowed_topics: list[str] = []
    allowed_pools: list[str] = []
    allowed_capabilities: list[str] = []
    agent_id: str = ""
    expires_in_seconds: int | None = None


class RegisteredObject(WireObject, frozen=True):
    """What a worker is told when it registers."""

    worker_id: str
    tenant: str
    max_parallel: int
    topics: list[str]
    capabilities: list[str]
    lease_ms: int
    heartbeat_ms: int
    wait_ms_max: int
    ticket_keys: list[str]


class DispatchedObject(WireObject, frozen=True):
    """A job as its worker is handed it. `payload` is JSON as text: its digest is in the hash."""

    job_id: str
    lease_id: str
    ticket: str
    attempt: int
    lease_expires_at_us: int
    deadline_at_us: int
    trace_id: str
    tenant: str
    principal: str
    actor_id: str
    actor_type: str
    topic: str
    capability: str
    pack_id: str
    priority: Priority
    requires: list[str]
    risk_tags: list[str]
    tags: list[str]
    labels: dict[str, str]
    mcp: ToolCall
    budget: Budget
    idempotent: bool
    max_retries: int | None
    job_hash: str
    constraints: ConstraintsObject | None
    payload: str


class LeasedObject(WireObject, frozen=True):
    """The jobs that a worker gets; none where none came in time."""

    jobs: list[DispatchedObject]


class RenewedObject(WireObject, frozen=True):
    """Until when a lease lasts now."""

    job_id: str
    state: JobState
    lease_expires_at_us: int


class LostObject(WireObject, frozen=True):
    """A job that the worker must stop."""

    job_id: str
    state: str
    reason: str


class HeartbeatObject(WireObject, frozen=True):
    """The jobs that the worker must stop."""

    lost: list[LostObject]


class CompletedObject(WireObject, frozen=True):
    """What a job is once its answer was taken."""

    job_id: str
    state: JobState
    code: str


class AnsweredItemObject(WireObject, frozen=True):
    """One answer of several: taken where `status` is 200, else with the fields of a refusal."""

    job_id: str
    status: int
    code: str
    state: JobState | UnsetType = UNSET
    error: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    request_id: str | UnsetType = UNSET
    details: dict[str, Detail] | UnsetType = UNSET
    limit: str | UnsetType = UNSET
    current: int | UnsetType = UNSET
    allowed: int | UnsetType = UNSET


class AnsweredObject(WireObject, frozen=True):
    """What became of each answer, in the order in which they were sent."""

    results: list[AnsweredItemObject]


class ReturnedObject(WireObject, frozen=True):
    """What a job is once it was given back."""

    job_id: str
    state: JobState


class CredentialObject(WireObject, frozen=True):
    """A worker's credential. `token` is there once: in the answer that issued it. Published clients
    read a time wherever they find a text, so `expires_at` and `revoked_at` are left out where there
    is none; so is `agent_id` of a worker that is no agent."""

    worker_id: str
    tenant_id: str
    key_id: str
    allowed_topics: list[str]
    allowed_pools: list[str]
    allowed_capabilities: list[str]
    created_by: str
    created_at: str
    expires_at: str | UnsetType = UNSET
    revoked_at: str | UnsetType = UNSET
    agent_id: str | UnsetType = UNSET
    token: str | UnsetType = UNSET


class WorkerObject(WireObject, frozen=True):
    """One worker that is there now."""

    worker_id: str
    pool: str
    pools: list[str]
    topics: list[str]
    capabilities: list[str]
    active_jobs: int
    max_parallel_jobs: int
    last_heartbeat_at: str
    last_heartbeat: str
    heartbeat_age_seconds: int
    session_state: str
    session_valid: bool
    online: bool


class SessionRevokedObject(WireObject, frozen=True):
    """A session that was forgotten."""

    worker_id: str
    tenant: str
    revoked: bool


def decode_register(body: bytes) -> WorkerOffer:
    """The offer of a worker at its registration."""
    request = decode_struct(body, RegisterBody)
    _bound(request.max_parallel, "max_parallel", 1, WORKER_PARALLEL_MAX)
    return WorkerOffer(
        topics=_globs(request.topics, "topics"),
        capabilities=_names(request.capabilities, "capabilities"),
        max_parallel=request.max_parallel,
    )


def decode_lease(body: bytes) -> tuple[int, float]:
    """The number of jobs wanted, and the seconds that the worker will wait for the first one."""
    request = decode_struct(body, LeaseBody)
    _bound(request.limit, "limit", 1, LEASE_JOBS_MAX)
    return request.limit, _wait_seconds(request.wait_ms)


def decode_heartbeat(body: bytes) -> tuple[list[Heartbeat], float]:
    """The report on each leased job, and the seconds that the worker will wait for a job to be
    lost. A heartbeat that is not valid still renews the leases that it names."""
    try:
        return _beats(body)
    except InvalidRequestError as refusal:
        return reported_beats(body, refusal), 0.0


def _beats(body: bytes) -> tuple[list[Heartbeat], float]:
    request = decode_struct(body, HeartbeatBody)
    _bound(len(request.leases), "leases", 0, WORKER_PARALLEL_MAX)
    beats = []
    for report in request.leases:
        _bound(report.percent, "percent", 0, 100)
        beats.append(
            Heartbeat(
                job_id=_text(report.job_id, "job_id"),
                lease_id=_text(report.lease_id, "lease_id"),
                started=report.started,
                progress=cut(report.progress, PROGRESS_CHARS_MAX),
                percent=report.percent,
            )
        )
    return beats, _wait_seconds(request.wait_ms)


def decode_result(body: bytes) -> tuple[str, WorkerAnswer]:
    """The lease, and the outcome of the attempt. Refuses only what names no lease."""
    try:
        return _answer(decode_struct(body, ResultBody))
    except InvalidRequestError as refusal:
        return reported_answer(body, refusal)


def decode_results(body: bytes) -> list[tuple[str, str, WorkerAnswer]]:
    """Several answers: job, lease, and the outcome of the attempt."""
    try:
        results = decode_struct(body, ResultsBody).results
        answers = [(_text(each.job_id, "job_id"), *_answer(each.answer)) for each in results]
    except InvalidRequestError as refusal:
        answers = reported_answers(body, refusal)
    _bound(len(answers), "results", 1, LEASE_JOBS_MAX)
    if len({job_id for job_id, _, _ in answers}) < len(answers):
        raise InvalidRequestError("`results` answers twice for one job")
    return answers


def _answer(result: ResultBody) -> tuple[str, WorkerAnswer]:
    lease_id = _text(result.lease_id, "lease_id")
    if result.status == "succeeded":
        if result.error is not None:
            raise InvalidRequestError("`error` goes with status `failed`")
        encoded = msgspec.json.encode(result.result)
        return lease_id, succeeded_answer(encoded, result.result_problem)
    if result.status != "failed":
        raise InvalidRequestError("`status` is `succeeded` or `failed`")
    error = result.error or ErrorBody()
    return lease_id, failed_answer(error.code, error.message, retryable=result.retryable)


def decode_lease_id(body: bytes) -> str:
    """The id of the lease that a worker gives back or renews."""
    return _text(decode_struct(body, ReturnBody).lease_id, "lease_id")


def decode_credential(body: bytes) -> tuple[WorkerGrant, int | None, str]:
    """The grant of a worker's credential, the seconds until the credential expires, and the id of
    the agent that the worker is; empty: of none."""
    request = decode_struct(body, CredentialBody)
    grant = WorkerGrant(
        worker_id=request.worker_id,
        topics=_globs(request.allowed_topics, "allowed_topics"),
        pools=_names(request.allowed_pools, "allowed_pools"),
        capabilities=_globs(request.allowed_capabilities, "allowed_capabilities"),
    )
    if request.expires_in_seconds is not None:
        _bound(request.expires_in_seconds, "expires_in_seconds", 1, 10 * 366 * 86_400)
    return grant, request.expires_in_seconds, _text(request.agent_id, "agent_id")


def registered_object(worker: WorkerStatus, ticket_key: str, *, lease_us: int) -> RegisteredObject:
    """The body of the answer to a registration."""
    return RegisteredObject.of(
        worker,
        worker_id=worker.id,
        topics=worker.topics or worker.grant.topics,
        capabilities=sorted(worker.capabilities),
        lease_ms=lease_us // 1_000,
        heartbeat_ms=lease_us // 1_000 // HEARTBEATS_PER_LEASE,
        wait_ms_max=LEASE_WAIT_SECONDS_MAX * 1_000,
        ticket_keys=[ticket_key],
    )


def dispatched_object(given: DispatchedJob) -> DispatchedObject:
    """A job as delivered to its worker: every field that the job hash covers, and the ticket."""
    job = given.job
    assert job.lease is not None
    ends_us = (job.deadline_at_us, job.lease.runs_until_us)
    return DispatchedObject.of(
        job,
        job_id=job.id,
        lease_id=job.lease.id,
        ticket=given.ticket,
        lease_expires_at_us=given.expires_at_us,
        deadline_at_us=min((at_us for at_us in ends_us if at_us), default=0),
        constraints=constraints_object(job.lease.constraints),
        # As text: the job hash covers the digest of these bytes, so none may be rewritten.
        payload=given.payload.decode(),
    )


def completed_object(job: Job) -> CompletedObject:
    """The body of the answer to a result that was taken."""
    return CompletedObject(job_id=job.id, state=job.state, code=job.failure_code)


def credential_object(key: ApiKey, *, token: str | UnsetType = UNSET) -> CredentialObject:
    """The credential of a worker; its text only where it was just issued."""
    grant = key.worker
    assert grant is not None
    return CredentialObject.of(
        grant,
        key,
        tenant_id=key.tenant,
        key_id=key.id,
        allowed_topics=grant.topics,
        allowed_pools=grant.pools,
        allowed_capabilities=grant.capabilities,
        created_at=iso_time(key.created_at_us),
        expires_at=iso_time_or_none(key.expires_at_us) or UNSET,
        revoked_at=iso_time_or_none(key.revoked_at_us) or UNSET,
        agent_id=key.agent_id or UNSET,
        token=token,
    )


def worker_object(worker: WorkerStatus, *, active: int, now_us: int, lease_us: int) -> WorkerObject:
    """One worker that is registered now."""
    age_us = max(0, now_us - worker.last_seen_us)
    return WorkerObject.of(
        worker,
        worker_id=worker.id,
        pool=worker.grant.pools[0] if worker.grant.pools else "",
        pools=worker.grant.pools,
        topics=worker.topics or worker.grant.topics,
        capabilities=sorted(worker.capabilities),
        active_jobs=active,
        max_parallel_jobs=worker.max_parallel,
        last_heartbeat_at=iso_time(worker.last_seen_us),
        last_heartbeat=iso_time(worker.last_seen_us),
        heartbeat_age_seconds=age_us // 1_000_000,
        session_state="active",
        session_valid=True,
        online=age_us < max(lease_us, 2 * LEASE_WAIT_SECONDS_MAX * 1_000_000),
    )


def _bound(number: int, field: str, least: int, most: int) -> None:
    if not least <= number <= most:
        raise InvalidRequestError(f"`{field}` is a whole number from {least} to {most}")


def _wait_seconds(wait_ms: int) -> float:
    _bound(wait_ms, "wait_ms", 0, LEASE_WAIT_SECONDS_MAX * 1_000)
    return wait_ms / 1_000


def _text(text: str, field: str) -> str:
    if len(text) > NAME_CHARS_MAX:
        raise InvalidRequestError(f"`{field}` is longer than {NAME_CHARS_MAX} characters")
    return text


def _names(names: list[str], field: str) -> tuple[str, ...]:
    if len(names) > LIST_ITEMS_PER_FIELD_MAX:
        raise InvalidRequestError(f"`{field}` has more than {LIST_ITEMS_PER_FIELD_MAX} entries")
    return tuple(dict.fromkeys(_text(name, field) for name in names))


def _globs(names: list[str], field: str) -> tuple[str, ...]:
    """As `_names`, of names that may hold wildcards: each is compiled, and tried on each topic."""
    globs = _names(names, field)
    if sum(glob.count(wildcard) for glob in globs for wildcard in "*?[") > WORKER_WILDCARDS_MAX:
        raise InvalidRequestError(
            f"`{field}` holds more than {WORKER_WILDCARDS_MAX} wildcards in all; write fewer,"
            " wider ones"
        )
    return globs
