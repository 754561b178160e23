"""The API of jobs: submit, list, read, cancel, remediate; traces and dead letters."""

from urllib.parse import urlencode

from msgspec import UNSET

from forestall.control.agent_layer import agent_of
from forestall.control.cancel import cancel
from forestall.control.dead_letters import BlindRetryError, dismiss, retry
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
from forestall.errors import InvalidRequestError, NotFoundError
from forestall.identity.roles import Permission
from forestall.limits import DECISIONS_PER_JOB_PAGE_MAX, PAGE_ITEMS_MAX
from forestall.ports.store import JobFilter
from forestall.server.endpoints import Answer, Call, EndpointTable
from forestall.server.query import (
    TENANT_FIELDS,
    instant_us,
    limit_of,
    page_of,
    require_own_tenant,
    state_of,
)
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
    job_object,
    job_summary,
    submitted_object,
)
from forestall.wire.objects import Page
from forestall.wire.submissions import SubmissionBody, decode_submission

P = Permission
_JOBS, _DLQ = "/api/v1/jobs", "/api/v1/dlq"
_PAGE = ("cursor", "limit")
_SUBMITTED = {200: SubmittedObject, 403: DeniedObject}
_TABLE = EndpointTable()


class TraceNotFoundError(NotFoundError):
    """No job of this tenant has this trace id."""

    code, http_status = "trace_not_found", 404


def _submitted_answer(result: SubmitResult) -> Answer:
    body = submitted_object(
        result.job,
        result.decision,
        replayed=result.replayed,
        shared=result.shared,
    )
    status = 403 if isinstance(body, DeniedObject) else 200
    return Answer(status, body, ((b"x-trace-id", result.job.trace_id.encode()),))


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
    return _submitted_answer(await submit(plane, call.who, submission))


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
        *TENANT_FIELDS,
    ),
)
async def _list_jobs(plane: Plane, call: Call) -> Answer:
    """List jobs, newest change first."""
    query = call.query
    require_own_tenant(call)
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
    findings = await plane.store.output(view.job.tenant, view.job.id) if view.job.output else None
    agent = agent_of(plane, view.job.key_id)
    return Answer(200, job_object(view.job, view.payload, result, progress, findings, agent))


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
    body = await call.decoded_as(RemediateBody)
    result = await remediate(plane, call.who, call.params[0], body.remediation_id)
    return _submitted_answer(result)


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
    body = await call.decoded_as(RetryBody)
    try:
        return _submitted_answer(await retry(plane, call.who, call.params[0], force=body.force))
    except BlindRetryError as error:
        remediations = remediation_objects(error.remediations)
        return Answer(409, BlindRetryObject.of(error_object(error), remediations=remediations))


@_TABLE.row("DELETE", _DLQ + "/{job_id}", P.JOBS_WRITE, {204: None})
async def _dismiss_dead_letter(plane: Plane, call: Call) -> Answer:
    """Take a job off the dead letters."""
    await dismiss(plane, call.who, call.params[0])
    return Answer(204, None)


ENDPOINTS = tuple(_TABLE)
