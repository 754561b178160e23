"""The worker protocol ↔ values. Strict: an unknown or mistyped field of a worker is refused."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from forestall.errors import Detail, InvalidRequestError
from forestall.identity.credentials import ApiKey, WorkerGrant
from forestall.jobs.job import Budget, Job, JobState, Priority
from forestall.jobs.worker import (
    DispatchedJob,
    Heartbeat,
    LeaseLost,
    WorkerAnswer,
    WorkerOffer,
    WorkerStatus,
)
from forestall.limits import (
    ERROR_CHARS_MAX,
    LEASE_JOBS_MAX,
    LEASE_WAIT_SECONDS_MAX,
    LIST_ITEMS_PER_FIELD_MAX,
    NAME_CHARS_MAX,
    PROGRESS_CHARS_MAX,
    WORKER_PARALLEL_MAX,
)
from forestall.policy.request import ToolCall
from forestall.wire.compat import ConstraintsObject, constraints_object, iso_time
from forestall.wire.objects import WireObject
from forestall.wire.strict_json import decode_struct

_CUT = " […]"
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
    """The body of POST /jobs/{id}/result."""

    lease_id: str
    status: str
    result: Any = None
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
    """A worker's credential. `token` is there once: in the answer that issued it."""

    worker_id: str
    tenant_id: str
    key_id: str
    allowed_topics: list[str]
    allowed_pools: list[str]
    allowed_capabilities: list[str]
    created_by: str
    created_at: str
    expires_at: str
    revoked_at: str
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
    asked = decode_struct(body, RegisterBody)
    _bound(asked.max_parallel, "max_parallel", 1, WORKER_PARALLEL_MAX)
    return WorkerOffer(
        topics=_names(asked.topics, "topics"),
        capabilities=_names(asked.capabilities, "capabilities"),
        max_parallel=asked.max_parallel,
    )


def decode_lease(body: bytes) -> tuple[int, float]:
    """The number of jobs wanted, and the seconds that the worker will wait for the first one."""
    asked = decode_struct(body, LeaseBody)
    _bound(asked.limit, "limit", 1, LEASE_JOBS_MAX)
    return asked.limit, _wait_seconds(asked.wait_ms)


def decode_heartbeat(body: bytes) -> tuple[list[Heartbeat], float]:
    """The report on each leased job, and the seconds that the worker will wait for a job to be
    lost."""
    asked = decode_struct(body, HeartbeatBody)
    _bound(len(asked.leases), "leases", 0, WORKER_PARALLEL_MAX)
    beats = []
    for said in asked.leases:
        _bound(said.percent, "percent", 0, 100)
        beats.append(
            Heartbeat(
                job_id=_text(said.job_id, "job_id"),
                lease_id=_text(said.lease_id, "lease_id"),
                started=said.started,
                progress=_cut(said.progress, PROGRESS_CHARS_MAX),
                percent=said.percent,
            )
        )
    return beats, _wait_seconds(asked.wait_ms)


def decode_result(body: bytes) -> tuple[str, WorkerAnswer]:
    """The lease, and the outcome of the attempt."""
    return _answer(decode_struct(body, ResultBody))


def decode_results(body: bytes) -> list[tuple[str, str, WorkerAnswer]]:
    """Several answers: job, lease, and the outcome of the attempt."""
    asked = decode_struct(body, ResultsBody).results
    _bound(len(asked), "results", 1, LEASE_JOBS_MAX)
    if len({each.job_id for each in asked}) < len(asked):
        raise InvalidRequestError("`results` answers twice for one job")
    return [(_text(each.job_id, "job_id"), *_answer(each.answer)) for each in asked]


def _answer(asked: ResultBody) -> tuple[str, WorkerAnswer]:
    lease_id = _text(asked.lease_id, "lease_id")
    if asked.status == "succeeded":
        if asked.error is not None:
            raise InvalidRequestError("`error` goes with status `failed`")
        return lease_id, WorkerAnswer(result=msgspec.json.encode(asked.result))
    if asked.status != "failed":
        raise InvalidRequestError("`status` is `succeeded` or `failed`")
    error = asked.error or ErrorBody()
    return lease_id, WorkerAnswer(
        error_code=_text(error.code, "error.code") or "worker_failed",
        error_message=_cut(error.message, ERROR_CHARS_MAX),
        retryable=asked.retryable,
    )


def _cut(text: str, chars_max: int) -> str:
    """The text, cut to a bound, without the word at the cut.

    The worker may have cut the text at the same bound. A part of a secret would be found by no
    detector, so the last word goes.
    """
    if len(text) < chars_max:
        return text
    words = text[: chars_max - len(_CUT)].rsplit(maxsplit=1)
    return (words[0] if len(words) > 1 else "") + _CUT


def decode_return(body: bytes) -> str:
    """The id of the lease that the worker gives back."""
    return _text(decode_struct(body, ReturnBody).lease_id, "lease_id")


def decode_credential(body: bytes) -> tuple[WorkerGrant, int | None]:
    """The grant of a worker's credential, and the seconds until the credential expires."""
    asked = decode_struct(body, CredentialBody)
    grant = WorkerGrant(
        worker_id=asked.worker_id,
        topics=_names(asked.allowed_topics, "allowed_topics"),
        pools=_names(asked.allowed_pools, "allowed_pools"),
        capabilities=_names(asked.allowed_capabilities, "allowed_capabilities"),
    )
    if asked.expires_in_seconds is not None:
        _bound(asked.expires_in_seconds, "expires_in_seconds", 1, 10 * 366 * 86_400)
    return grant, asked.expires_in_seconds


def registered_object(worker: WorkerStatus, ticket_key: str, *, lease_us: int) -> dict[str, Any]:
    """The body of the answer to a registration."""
    return {
        "worker_id": worker.id,
        "tenant": worker.tenant,
        "max_parallel": worker.max_parallel,
        "topics": list(worker.topics or worker.grant.topics),
        "capabilities": sorted(worker.capabilities),
        "lease_ms": lease_us // 1_000,
        "heartbeat_ms": lease_us // 1_000 // HEARTBEATS_PER_LEASE,
        "wait_ms_max": LEASE_WAIT_SECONDS_MAX * 1_000,
        "ticket_keys": [ticket_key],
    }


def dispatched_object(given: DispatchedJob) -> dict[str, Any]:
    """A job as delivered to its worker: every field that the job hash covers, and the ticket."""
    job = given.job
    assert job.lease is not None
    return {
        "job_id": job.id,
        "lease_id": job.lease.id,
        "ticket": given.ticket,
        "attempt": job.attempt,
        "lease_expires_at_us": given.expires_at_us,
        "deadline_at_us": _first(job.deadline_at_us, job.lease.runs_until_us),
        "trace_id": job.trace_id,
        "tenant": job.tenant,
        "principal": job.principal,
        "actor_id": job.actor_id,
        "actor_type": job.actor_type,
        "topic": job.topic,
        "capability": job.capability,
        "pack_id": job.pack_id,
        "priority": job.priority.value,
        "requires": list(job.requires),
        "risk_tags": list(job.risk_tags),
        "tags": list(job.tags),
        "labels": dict(job.labels),
        "mcp": msgspec.to_builtins(job.mcp),
        "budget": msgspec.to_builtins(job.budget),
        "idempotent": job.idempotent,
        "max_retries": job.max_retries,
        "job_hash": job.job_hash,
        "constraints": constraints_object(job.lease.constraints),
        # As text: the job hash covers the digest of these bytes, so none may be rewritten.
        "payload": given.payload.decode(),
    }


def _first(*instants_us: int) -> int:
    return min((at_us for at_us in instants_us if at_us), default=0)


def completed_object(job: Job) -> dict[str, Any]:
    """The body of the answer to a result that was taken."""
    return {"job_id": job.id, "state": job.state.value, "code": job.failure_code}


def lost_object(lost: LeaseLost) -> dict[str, str]:
    """A job that the worker must stop."""
    return {"job_id": lost.job_id, "state": lost.state, "reason": lost.reason}


def credential_object(key: ApiKey) -> dict[str, Any]:
    """The credential of a worker without its text."""
    grant = key.worker
    assert grant is not None
    return {
        "worker_id": grant.worker_id,
        "tenant_id": key.tenant,
        "key_id": key.id,
        "allowed_topics": list(grant.topics),
        "allowed_pools": list(grant.pools),
        "allowed_capabilities": list(grant.capabilities),
        "created_by": key.created_by,
        "created_at": iso_time(key.created_at_us),
        "expires_at": iso_time(key.expires_at_us) if key.expires_at_us else "",
        "revoked_at": iso_time(key.revoked_at_us) if key.revoked_at_us else "",
    }


def worker_object(
    worker: WorkerStatus, *, active: int, now_us: int, lease_us: int
) -> dict[str, Any]:
    """One worker that is registered now."""
    age_us = max(0, now_us - worker.last_seen_us)
    return {
        "worker_id": worker.id,
        "pool": worker.grant.pools[0] if worker.grant.pools else "",
        "pools": list(worker.grant.pools),
        "topics": list(worker.topics or worker.grant.topics),
        "capabilities": sorted(worker.capabilities),
        "active_jobs": active,
        "max_parallel_jobs": worker.max_parallel,
        "last_heartbeat_at": iso_time(worker.last_seen_us),
        "last_heartbeat": iso_time(worker.last_seen_us),
        "heartbeat_age_seconds": age_us // 1_000_000,
        "session_state": "active",
        "session_valid": True,
        "online": age_us < max(lease_us, 2 * LEASE_WAIT_SECONDS_MAX * 1_000_000),
    }


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
