"""The API as a table of endpoints, and handlers of a few lines: decode, verb, encode."""

import asyncio
from functools import cache
from urllib.parse import urlencode

import msgspec

from forestall.control.cancel import cancel
from forestall.control.dead_letters import BlindRetryError, dismiss, retry
from forestall.control.gate import PolicyUnavailableError
from forestall.control.keys import create_key, list_keys, revoke_key
from forestall.control.plane import Plane
from forestall.control.read import list_jobs, read_decisions
from forestall.control.remediate import remediate
from forestall.control.submit import SubmitResult, submit
from forestall.errors import InvalidRequestError, NotFoundError, UnavailableError
from forestall.identity.roles import Permission
from forestall.limits import DECISIONS_PER_JOB_PAGE_MAX, PAGE_ITEMS_MAX
from forestall.ports.store import JobCursor, JobFilter
from forestall.server.api_approvals import ENDPOINTS as APPROVAL_ENDPOINTS
from forestall.server.api_output import ENDPOINTS as OUTPUT_ENDPOINTS
from forestall.server.api_policy import ENDPOINTS as POLICY_ENDPOINTS
from forestall.server.api_registry import ENDPOINTS as REGISTRY_ENDPOINTS
from forestall.server.api_webhooks import ENDPOINTS as WEBHOOK_ENDPOINTS
from forestall.server.api_work import ENDPOINTS as WORK_ENDPOINTS
from forestall.server.http import Answer, Call, Endpoint
from forestall.server.openapi import document
from forestall.server.query import instant_us, limit_of, state_of
from forestall.server.stream import open_stream
from forestall.server.waits import read_when_changed
from forestall.wire.compat import remediation_objects
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
    decode_cursor,
    decode_remediate,
    decode_retry,
    encode_cursor,
    job_object,
    job_summary,
    submitted_answer,
)
from forestall.wire.keys import KeyObject, NewKeyBody, NewKeyObject, decode_new_key, key_object
from forestall.wire.objects import ItemList, Page
from forestall.wire.service import HealthObject, OpenApiObject, ProbeObject
from forestall.wire.stream import EventObject
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


# -- jobs --


def _submitted(submitted: SubmitResult) -> Answer:
    status, body = submitted_answer(submitted.job, submitted.decision, replayed=submitted.replayed)
    return Answer(status, body, ((b"x-trace-id", submitted.job.trace_id.encode()),))


async def _submit_job(plane: Plane, call: Call) -> Answer:
    key, other = call.header(b"idempotency-key"), call.header(b"x-idempotency-key")
    if key and other and key != other:
        raise InvalidRequestError("Idempotency-Key and X-Idempotency-Key differ; send one of them")
    key = key or other
    submission = decode_submission(call.body, tenant=call.who.tenant, header_key=key)
    return _submitted(await submit(plane, call.who, submission))


async def _cancel_job(plane: Plane, call: Call) -> Answer:
    job, cancelled = await cancel(plane, call.who, call.params[0])
    body = {"id": job.id, "job_id": job.id, "state": job.state.value}
    return Answer(200, body if cancelled else {**body, "reason": "job already terminal"})


async def _remediate_job(plane: Plane, call: Call) -> Answer:
    remediation_id = decode_remediate(call.body)
    return _submitted(await remediate(plane, call.who, call.params[0], remediation_id))


async def _read_trace(plane: Plane, call: Call) -> Answer:
    wanted = JobFilter(tenant=call.who.tenant, trace_id=call.params[0])
    jobs, _ = await list_jobs(plane, wanted, limit=PAGE_ITEMS_MAX, after=None)
    if not jobs:
        raise TraceNotFoundError("no job of your tenant has this trace id")
    return Answer(200, [job_summary(job) for job in jobs])


async def _list_dead_letters(plane: Plane, call: Call) -> Answer:
    """Answers with a bare array, since published clients read one; `/dlq/page` has a cursor."""
    page = await _page_dead_letters(plane, call)
    return Answer(200, page.body["items"])


async def _page_dead_letters(plane: Plane, call: Call) -> Answer:
    cursor = call.query.get("cursor")
    wanted = JobFilter(tenant=call.who.tenant, dead=True, topic=call.query.get("topic", ""))
    after = JobCursor(*decode_cursor(cursor)) if cursor else None
    jobs, following = await list_jobs(plane, wanted, limit=limit_of(call.query), after=after)
    more = encode_cursor(following.updated_at_us, following.job_id) if following else ""
    return Answer(200, {"items": [dead_letter(job) for job in jobs], "next_cursor": more})


async def _retry_dead_letter(plane: Plane, call: Call) -> Answer:
    force = decode_retry(call.body)
    try:
        return _submitted(await retry(plane, call.who, call.params[0], force=force))
    except BlindRetryError as error:
        body = error_object(error, "")
        del body["request_id"]
        return Answer(409, {**body, "remediations": remediation_objects(error.remediations)})


async def _dismiss_dead_letter(plane: Plane, call: Call) -> Answer:
    await dismiss(plane, call.who, call.params[0])
    return Answer(204, None)


async def _list_jobs(plane: Plane, call: Call) -> Answer:
    query = call.query
    if any(query.get(name, call.who.tenant) != call.who.tenant for name in _TENANT_FIELDS):
        raise TenantAccessError(TENANT_ACCESS_DENIED)
    wanted = JobFilter(
        tenant=call.who.tenant,
        state=state_of(query.get("state") or query.get("status")),
        topic=query.get("topic", ""),
        trace_id=query.get("trace_id", ""),
        updated_after_us=instant_us(query, "updated_after"),
        updated_before_us=instant_us(query, "updated_before"),
    )
    cursor = query.get("cursor")
    after = JobCursor(*decode_cursor(cursor)) if cursor else None
    jobs, following = await list_jobs(plane, wanted, limit=limit_of(query), after=after)
    body = {"items": [job_summary(job) for job in jobs], "next_cursor": ""}
    if following is None:
        return Answer(200, body)
    body["next_cursor"] = encode_cursor(following.updated_at_us, following.job_id)
    link = urlencode({**query, "cursor": body["next_cursor"]})
    return Answer(200, body, ((b"link", f'</api/v1/jobs?{link}>; rel="next"'.encode()),))


async def _read_job(plane: Plane, call: Call) -> Answer:
    view = await read_when_changed(plane, call)
    result = await plane.store.result(view.job.tenant, view.job.id)
    held = plane.leases.get(view.job.tenant, view.job.id)
    progress = (held.progress, held.percent) if held is not None else ("", 0)
    found = await plane.store.output(view.job.tenant, view.job.id) if view.job.output else None
    return Answer(200, job_object(view.job, view.payload, result, progress, found))


async def _read_decisions(plane: Plane, call: Call) -> Answer:
    job_id = call.params[0]
    limit = min(limit_of(call.query), DECISIONS_PER_JOB_PAGE_MAX)
    decisions = await read_decisions(plane, call.who, job_id, limit=limit)
    return Answer(200, [decision_object(record, job_id=job_id) for record in decisions])


# -- keys --


async def _create_key(plane: Plane, call: Call) -> Answer:
    wanted = decode_new_key(call.body, tenant=call.who.tenant)
    key, secret = await create_key(plane, wanted, actor=call.who.principal)
    return Answer(201, {"key": key_object(key), "secret": secret})


async def _list_keys(plane: Plane, call: Call) -> Answer:
    keys = list_keys(plane, call.who.tenant)
    return Answer(200, {"items": [key_object(key) for key in keys]})


async def _revoke_key(plane: Plane, call: Call) -> Answer:
    await revoke_key(plane, call.who.tenant, call.params[0], actor=call.who.principal)
    return Answer(204, None)


# -- health --


async def _health(plane: Plane, call: Call) -> Answer:
    """Public, so it says only whether the plane can decide."""
    healthy = plane.snapshot is not None
    return Answer(200 if healthy else 503, {"status": "healthy" if healthy else "unhealthy"})


async def _ready(plane: Plane, call: Call) -> Answer:
    try:
        if plane.snapshot is None:
            raise PolicyUnavailableError("no policy is in force")
        await plane.store.log_end()
        if plane.commits_fail():
            raise UnavailableError("the store takes no commits")
    except Exception:  # noqa: BLE001 - whatever failed, no traffic must be sent here
        return Answer(503, {"status": "degraded", "checks": {"policy_and_store": "failing"}})
    return Answer(200, {"status": "ok", "checks": {"policy": "ok", "store": "ok"}})


async def _alive(plane: Plane, call: Call) -> Answer:
    return Answer(200, {"status": "ok", "checks": {}})


# -- the API itself --


async def _read_openapi(plane: Plane, call: Call) -> Answer:
    """Public: it says what this file says, and nothing of this server."""
    return Answer(200, await asyncio.to_thread(_openapi))  # the first time takes 50 ms


@cache
def _openapi() -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(document(ENDPOINTS)))


P = Permission
_JOBS, _KEYS = "/api/v1/jobs", "/api/v1/auth/keys"
_DLQ = "/api/v1/dlq"
_PAGE = ("cursor", "limit")
_SUBMITTED = {200: SubmittedObject, 403: DeniedObject}

ENDPOINTS = (
    Endpoint("POST", _JOBS, P.JOBS_WRITE, _submit_job, "Submit a job", _SUBMITTED, SubmissionBody),
    Endpoint(
        "GET",
        _JOBS,
        P.JOBS_READ,
        _list_jobs,
        "List jobs, newest change first",
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
    ),
    Endpoint(
        "GET",
        _JOBS + "/{job_id}",
        P.JOBS_READ,
        _read_job,
        "Read one job; `wait_ms` waits for a change",
        {200: JobObject},
        query=("wait_ms", "while_state"),
    ),
    Endpoint(
        "GET",
        _JOBS + "/{job_id}/decisions",
        P.JOBS_READ,
        _read_decisions,
        "Read the decisions on one job, newest first",
        {200: list[DecisionObject]},
        query=("limit",),
    ),
    Endpoint(
        "POST",
        _JOBS + "/{job_id}/cancel",
        P.JOBS_WRITE,
        _cancel_job,
        "Cancel a job",
        {200: CancelledObject},
    ),
    Endpoint(
        "POST",
        _JOBS + "/{job_id}/remediate",
        P.JOBS_WRITE,
        _remediate_job,
        "Submit a denied job as an offered remediation rewrites it",
        _SUBMITTED,
        RemediateBody,
    ),
    Endpoint(
        "GET",
        "/api/v1/traces/{trace_id}",
        P.JOBS_READ,
        _read_trace,
        "The jobs of one trace",
        {200: list[JobSummaryObject]},
    ),
    Endpoint(
        "GET",
        _DLQ,
        P.JOBS_READ,
        _list_dead_letters,
        "The newest dead letters",
        {200: list[DeadLetterObject]},
        query=("topic", *_PAGE),
    ),
    Endpoint(
        "GET",
        _DLQ + "/page",
        P.JOBS_READ,
        _page_dead_letters,
        "Dead letters in pages",
        {200: Page[DeadLetterObject]},
        query=("topic", *_PAGE),
    ),
    Endpoint(
        "POST",
        _DLQ + "/{job_id}/retry",
        P.JOBS_WRITE,
        _retry_dead_letter,
        "Submit a dead letter again, through the submit gate",
        _SUBMITTED | {409: BlindRetryObject},
        RetryBody,
    ),
    Endpoint(
        "DELETE",
        _DLQ + "/{job_id}",
        P.JOBS_WRITE,
        _dismiss_dead_letter,
        "Take a job off the dead letters",
        {204: None},
    ),
    *POLICY_ENDPOINTS,
    Endpoint(
        "POST",
        _KEYS,
        P.KEYS_WRITE,
        _create_key,
        "Create an API key",
        {201: NewKeyObject},
        NewKeyBody,
    ),
    Endpoint("GET", _KEYS, P.KEYS_READ, _list_keys, "List API keys", {200: ItemList[KeyObject]}),
    Endpoint(
        "DELETE", _KEYS + "/{key_id}", P.KEYS_WRITE, _revoke_key, "Revoke an API key", {204: None}
    ),
    Endpoint(
        "GET",
        "/api/v1/stream",
        P.JOBS_READ,
        open_stream,
        "Follow the log as it grows",
        {200: EventObject},
        query=("from", "last_event_id", *_TENANT_FIELDS),
        streams=True,
    ),
    Endpoint(
        "GET",
        _JOBS + "/{job_id}/stream",
        P.JOBS_READ,
        open_stream,
        "Follow one job",
        {200: EventObject},
        query=("from", "last_event_id", *_TENANT_FIELDS),
        streams=True,
    ),
    Endpoint(
        "GET",
        "/api/v1/health",
        P.JOBS_READ,
        _health,
        "Can the plane decide?",
        {200: HealthObject, 503: HealthObject},
    ),
    Endpoint(
        "GET",
        "/health",
        None,
        _health,
        "Can the plane decide?",
        {200: HealthObject, 503: HealthObject},
    ),
    Endpoint(
        "GET",
        "/healthz",
        None,
        _ready,
        "Can the plane decide and read its store?",
        {200: ProbeObject, 503: ProbeObject},
    ),
    Endpoint(
        "GET", "/readyz", None, _ready, "Send traffic here?", {200: ProbeObject, 503: ProbeObject}
    ),
    Endpoint("GET", "/livez", None, _alive, "Is the process alive?", {200: ProbeObject}),
    Endpoint(
        "GET",
        "/openapi.json",
        None,
        _read_openapi,
        "This API, as an OpenAPI 3.1 document",
        {200: OpenApiObject},
    ),
    *WORK_ENDPOINTS,
    *APPROVAL_ENDPOINTS,
    *REGISTRY_ENDPOINTS,
    *OUTPUT_ENDPOINTS,
    *WEBHOOK_ENDPOINTS,
)
