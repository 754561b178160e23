"""The API as a table of endpoints: each handler, a few lines of decode, verb, encode, below its
row."""

import asyncio
from functools import cache
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET

from forestall import __version__
from forestall.control.cancel import cancel
from forestall.control.dead_letters import BlindRetryError, dismiss, retry
from forestall.control.gate import PolicyUnavailableError
from forestall.control.keys import create_key, list_keys, revoke_key
from forestall.control.plane import Plane
from forestall.control.read import (
    list_jobs,
    read_decisions,
    read_progress,
    read_result,
    shown,
)
from forestall.control.remediate import remediate
from forestall.control.submit import SubmitResult, submit
from forestall.errors import InvalidRequestError, NotFoundError, UnavailableError
from forestall.identity.roles import Permission
from forestall.limits import DECISIONS_PER_JOB_PAGE_MAX, PAGE_ITEMS_MAX
from forestall.ports.store import JobFilter
from forestall.server.api_approvals import ENDPOINTS as APPROVAL_ENDPOINTS
from forestall.server.api_output import ENDPOINTS as OUTPUT_ENDPOINTS
from forestall.server.api_policy import ENDPOINTS as POLICY_ENDPOINTS
from forestall.server.api_registry import ENDPOINTS as REGISTRY_ENDPOINTS
from forestall.server.api_tenants import ENDPOINTS as TENANT_ENDPOINTS
from forestall.server.api_webhooks import ENDPOINTS as WEBHOOK_ENDPOINTS
from forestall.server.api_work import ENDPOINTS as WORK_ENDPOINTS
from forestall.server.endpoints import Answer, Call, EndpointTable
from forestall.server.openapi import document
from forestall.server.query import instant_us, limit_of, page_of, state_of
from forestall.server.stream import open_stream
from forestall.server.waits import read_when_changed
from forestall.wire.compat import iso_time, remediation_objects
from forestall.wire.decisions import DecisionObject, decision_object
from forestall.wire.errors import error_object
from forestall.wire.jobs import (
    BlindRetryObject,
    CancelledObject,
    DeadLetterObject,
    DeniedObject,
    JobObject,
    JobSummaryObject,
    RemediateBody,
    RetryBody,
    SubmittedObject,
    dead_letter,
    job_object,
    job_summary,
    submitted_object,
)
from forestall.wire.keys import KeyObject, NewKeyBody, NewKeyObject, decode_new_key, key_object
from forestall.wire.objects import ItemList, Page
from forestall.wire.service import (
    BrokerObject,
    BuildObject,
    HealthObject,
    OpenApiObject,
    ProbeObject,
    StatusObject,
    StorageObject,
)
from forestall.wire.stream import EventObject
from forestall.wire.strict_json import decode_struct
from forestall.wire.submissions import (
    TENANT_ACCESS_DENIED,
    SubmissionBody,
    TenantAccessError,
    decode_submission,
)

_TENANT_FIELDS = ("tenant", "tenant_id", "org_id")


class TraceNotFoundError(NotFoundError):
    """No job of this tenant has this trace id."""

    code, http_status = "trace_not_found", 404


def _submitted(submitted: SubmitResult) -> Answer:
    body = submitted_object(
        submitted.job,
        submitted.decision,
        replayed=submitted.replayed,
        shared=submitted.shared,
    )
    status = 403 if isinstance(body, DeniedObject) else 200
    return Answer(status, body, ((b"x-trace-id", submitted.job.trace_id.encode()),))


@cache
def _openapi() -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(document(ENDPOINTS)))


P = Permission
_JOBS, _KEYS = "/api/v1/jobs", "/api/v1/auth/keys"
_DLQ = "/api/v1/dlq"
_PAGE = ("cursor", "limit")
_HEALTH = {200: HealthObject, 503: HealthObject}
_PROBE = {200: ProbeObject, 503: ProbeObject}
_SUBMITTED = {200: SubmittedObject, 403: DeniedObject}
_TABLE = EndpointTable()


@_TABLE.row("POST", _JOBS, P.JOBS_WRITE, _SUBMITTED, SubmissionBody)
async def _submit_job(plane: Plane, call: Call) -> Answer:
    """Submit a job."""
    key, other = call.header(b"idempotency-key"), call.header(b"x-idempotency-key")
    if key and other and key != other:
        raise InvalidRequestError("Idempotency-Key and X-Idempotency-Key differ; send one of them")
    key = key or other
    submission = await call.decoded(
        lambda body: decode_submission(body, tenant=call.who.tenant, header_key=key)
    )
    return _submitted(await submit(plane, call.who, submission))


@_TABLE.row(
    "GET",
    _JOBS,
    P.JOBS_READ,
    {200: Page[JobSummaryObject]},
    query=(
        "state",
        "status",
        "topic",
        "trace_id",
        "updated_after",
        "updated_before",
        *_PAGE,
        *_TENANT_FIELDS,
    ),
)
async def _list_jobs(plane: Plane, call: Call) -> Answer:
    """List jobs, newest change first."""
    query = call.query
    if any(query.get(name, call.who.tenant) != call.who.tenant for name in _TENANT_FIELDS):
        raise TenantAccessError(TENANT_ACCESS_DENIED)
    job_filter = JobFilter(
        tenant=call.who.tenant,
        state=state_of(query.get("state") or query.get("status")),
        topic=query.get("topic", ""),
        trace_id=query.get("trace_id", ""),
        updated_after_us=instant_us(query, "updated_after"),
        updated_before_us=instant_us(query, "updated_before"),
    )
    jobs, cursor = await page_of(plane, call, job_filter)
    body = Page([job_summary(job) for job in jobs], cursor)
    if not cursor:
        return Answer(200, body)
    link = urlencode({**query, "cursor": cursor})
    return Answer(200, body, ((b"link", f'</api/v1/jobs?{link}>; rel="next"'.encode()),))


@_TABLE.row(
    "GET", _JOBS + "/{job_id}", P.JOBS_READ, {200: JobObject}, query=("wait_ms", "while_state")
)
async def _read_job(plane: Plane, call: Call) -> Answer:
    """Read one job; `wait_ms` waits for a change."""
    view = shown(call.who, await read_when_changed(plane, call))
    result = await read_result(plane, call.who, view.job)
    progress = read_progress(plane, call.who, view.job)
    found = await plane.store.output(view.job.tenant, view.job.id) if view.job.output else None
    return Answer(200, job_object(view.job, view.payload, result, progress, found))


@_TABLE.row(
    "GET", _JOBS + "/{job_id}/decisions", P.JOBS_READ, {200: list[DecisionObject]}, query=("limit",)
)
async def _read_decisions(plane: Plane, call: Call) -> Answer:
    """Read the decisions on one job, newest first."""
    job_id = call.params[0]
    limit = min(limit_of(call.query), DECISIONS_PER_JOB_PAGE_MAX)
    decisions = await read_decisions(plane, call.who, job_id, limit=limit)
    return Answer(200, [decision_object(record, job_id=job_id) for record in decisions])


@_TABLE.row("POST", _JOBS + "/{job_id}/cancel", P.JOBS_WRITE, {200: CancelledObject})
async def _cancel_job(plane: Plane, call: Call) -> Answer:
    """Cancel a job."""
    job, cancelled = await cancel(plane, call.who, call.params[0])
    reason = UNSET if cancelled else "job already terminal"
    return Answer(200, CancelledObject(job.id, job.id, job.state, reason))


@_TABLE.row("POST", _JOBS + "/{job_id}/remediate", P.JOBS_WRITE, _SUBMITTED, RemediateBody)
async def _remediate_job(plane: Plane, call: Call) -> Answer:
    """Submit a denied job as an offered remediation rewrites it."""
    remediation_id = (
        await call.decoded(lambda body: decode_struct(body, RemediateBody))
    ).remediation_id
    return _submitted(await remediate(plane, call.who, call.params[0], remediation_id))


@_TABLE.row("GET", "/api/v1/traces/{trace_id}", P.JOBS_READ, {200: list[JobSummaryObject]})
async def _read_trace(plane: Plane, call: Call) -> Answer:
    """The jobs of one trace."""
    job_filter = JobFilter(tenant=call.who.tenant, trace_id=call.params[0])
    jobs, _ = await list_jobs(plane, call.who, job_filter, limit=PAGE_ITEMS_MAX, after=None)
    if not jobs:
        raise TraceNotFoundError("no job that your key may see has this trace id")
    return Answer(200, [job_summary(job) for job in jobs])


@_TABLE.row("GET", _DLQ, P.JOBS_READ, {200: list[DeadLetterObject]}, query=("topic", *_PAGE))
async def _list_dead_letters(plane: Plane, call: Call) -> Answer:
    """The newest dead letters.

    Answers with a bare array, since published clients read one; `/dlq/page` has a cursor.
    """
    page = await _page_dead_letters(plane, call)
    return Answer(200, page.body.items)


@_TABLE.row(
    "GET", _DLQ + "/page", P.JOBS_READ, {200: Page[DeadLetterObject]}, query=("topic", *_PAGE)
)
async def _page_dead_letters(plane: Plane, call: Call) -> Answer:
    """Dead letters in pages."""
    job_filter = JobFilter(tenant=call.who.tenant, dead=True, topic=call.query.get("topic", ""))
    jobs, cursor = await page_of(plane, call, job_filter)
    return Answer(200, Page([dead_letter(job) for job in jobs], cursor))


@_TABLE.row(
    "POST", _DLQ + "/{job_id}/retry", P.JOBS_WRITE, _SUBMITTED | {409: BlindRetryObject}, RetryBody
)
async def _retry_dead_letter(plane: Plane, call: Call) -> Answer:
    """Submit a dead letter again, through the submit gate."""
    force = (await call.decoded(lambda body: decode_struct(body, RetryBody))).force
    try:
        return _submitted(await retry(plane, call.who, call.params[0], force=force))
    except BlindRetryError as error:
        remediations = remediation_objects(error.remediations)
        return Answer(409, BlindRetryObject.of(error_object(error), remediations=remediations))


@_TABLE.row("DELETE", _DLQ + "/{job_id}", P.JOBS_WRITE, {204: None})
async def _dismiss_dead_letter(plane: Plane, call: Call) -> Answer:
    """Take a job off the dead letters."""
    await dismiss(plane, call.who, call.params[0])
    return Answer(204, None)


_TABLE += POLICY_ENDPOINTS


@_TABLE.row("POST", _KEYS, P.KEYS_WRITE, {201: NewKeyObject}, NewKeyBody)
async def _create_key(plane: Plane, call: Call) -> Answer:
    """Create an API key."""
    new_key = await call.decoded(lambda body: decode_new_key(body, tenant=call.who.tenant))
    key, secret = await create_key(plane, new_key, actor=call.who.principal)
    return Answer(201, NewKeyObject(key_object(key, now_us=key.created_at_us), secret))


@_TABLE.row("GET", _KEYS, P.KEYS_READ, {200: ItemList[KeyObject]}, query=("include_revoked",))
async def _list_keys(plane: Plane, call: Call) -> Answer:
    """List API keys.

    Lists revoked ones only with `include_revoked=true`.
    """
    revoked_too = call.query.get("include_revoked") == "true"
    keys, uses = list_keys(plane, call.who.tenant, revoked_too=revoked_too), plane.key_uses
    now_us = uses.last_us(call.who.key_id) or 0  # when the key of this request was looked at
    return Answer(
        200,
        ItemList([key_object(key, now_us=now_us, used_us=uses.last_us(key.id)) for key in keys]),
    )


@_TABLE.row("DELETE", _KEYS + "/{key_id}", P.KEYS_WRITE, {204: None})
async def _revoke_key(plane: Plane, call: Call) -> Answer:
    """Revoke an API key."""
    await revoke_key(plane, call.who.tenant, call.params[0], actor=call.who.principal)
    return Answer(204, None)


_FOLLOWED = ("from", "last_event_id", *_TENANT_FIELDS)
for _path, _summary in (
    ("/api/v1/stream", "Follow the log as it grows"),
    (_JOBS + "/{job_id}/stream", "Follow one job"),
):
    _TABLE.row(
        "GET",
        _path,
        P.JOBS_READ,
        {200: EventObject},
        query=_FOLLOWED,
        streams=True,
        summary=_summary,
    )(open_stream)


@_TABLE.row("GET", "/health", None, _HEALTH)
@_TABLE.row("GET", "/api/v1/health", P.JOBS_READ, _HEALTH)
async def _health(plane: Plane, call: Call) -> Answer:
    """Can the plane decide?

    Public, so it says only whether the plane can decide.
    """
    if plane.snapshot is None:
        return Answer(503, HealthObject("unhealthy"))
    return Answer(200, HealthObject("healthy"))


@_TABLE.row("GET", "/api/v1/status", P.JOBS_READ, {200: StatusObject})
async def _read_status(plane: Plane, call: Call) -> Answer:
    """Version, time and state of the server."""
    now_us, snapshot = plane.clock.now_us(), plane.snapshot
    body = StatusObject(
        time=iso_time(now_us),
        uptime_seconds=(now_us - plane.started_us) // 1_000_000,
        build=BuildObject(__version__),
        nats=BrokerObject(True, "embedded"),
        redis=StorageObject(not plane.commits_fail(), "embedded"),
        workers=plane.workers.count(call.who.tenant),
        policy_snapshot=snapshot.digest if snapshot is not None else "",
    )
    return Answer(200, body)


@_TABLE.row("GET", "/healthz", None, _PROBE)
async def _ready(plane: Plane, call: Call) -> Answer:
    """Can the plane decide and read its store?"""
    try:
        if plane.snapshot is None:
            raise PolicyUnavailableError("no policy is in force")
        await plane.store.log_end()
        if plane.commits_fail():
            raise UnavailableError("the store takes no commits")
    except Exception:  # noqa: BLE001 - whatever failed, no traffic must be sent here
        return Answer(503, ProbeObject("degraded", {"policy_and_store": "failing"}))
    return Answer(200, ProbeObject("ok", {"policy": "ok", "store": "ok"}))


_TABLE.row("GET", "/readyz", None, _PROBE, summary="Send traffic here?")(_ready)


@_TABLE.row("GET", "/livez", None, {200: ProbeObject})
async def _alive(plane: Plane, call: Call) -> Answer:
    """Is the process alive?"""
    return Answer(200, ProbeObject("ok", {}))


@_TABLE.row("GET", "/openapi.json", None, {200: OpenApiObject})
async def _read_openapi(plane: Plane, call: Call) -> Answer:
    """This API, as an OpenAPI 3.1 document.

    Public: it says what this file says, and nothing of this server.
    """
    return Answer(200, await asyncio.to_thread(_openapi))  # the first time takes 50 ms


_TABLE += WORK_ENDPOINTS + APPROVAL_ENDPOINTS + REGISTRY_ENDPOINTS
_TABLE += OUTPUT_ENDPOINTS + WEBHOOK_ENDPOINTS + TENANT_ENDPOINTS
ENDPOINTS = tuple(_TABLE)
