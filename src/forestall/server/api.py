"""The API as a table of endpoints, and handlers of a few lines: decode, verb, encode."""

from urllib.parse import urlencode

from forestall.control.cancel import cancel
from forestall.control.check import CheckResult, check
from forestall.control.dead_letters import BlindRetryError, dismiss, retry
from forestall.control.gate import PolicyUnavailableError
from forestall.control.keys import create_key, list_keys, revoke_key
from forestall.control.plane import Plane
from forestall.control.publish import kept_policy
from forestall.control.read import list_activations, list_jobs, read_decisions
from forestall.control.remediate import remediate
from forestall.control.simulate import explain, simulate
from forestall.control.submit import SubmitResult, submit
from forestall.errors import (
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
)
from forestall.identity.roles import Permission
from forestall.limits import (
    ACTIVATIONS_SEARCHED_MAX,
    DECISIONS_PER_JOB_PAGE_MAX,
    PAGE_ITEMS_MAX,
)
from forestall.ports.entries import PLATFORM_TENANT
from forestall.ports.store import JobCursor, JobFilter
from forestall.server.api_approvals import ENDPOINTS as APPROVAL_ENDPOINTS
from forestall.server.api_output import ENDPOINTS as OUTPUT_ENDPOINTS
from forestall.server.api_registry import ENDPOINTS as REGISTRY_ENDPOINTS
from forestall.server.api_webhooks import ENDPOINTS as WEBHOOK_ENDPOINTS
from forestall.server.api_work import ENDPOINTS as WORK_ENDPOINTS
from forestall.server.http import Answer, Call, Endpoint
from forestall.server.query import instant_us, limit_of, state_of
from forestall.server.stream import open_stream
from forestall.server.waits import read_when_changed
from forestall.wire.compat import remediation_objects
from forestall.wire.decisions import check_answer, decision_object, explain_object
from forestall.wire.errors import error_object
from forestall.wire.jobs import (
    RemediateBody,
    RetryBody,
    dead_letter,
    decode_cursor,
    decode_remediate,
    decode_retry,
    encode_cursor,
    job_object,
    job_summary,
    submitted_answer,
)
from forestall.wire.keys import NewKeyBody, decode_new_key, key_object
from forestall.wire.policy import activation_object, kept_policy_object
from forestall.wire.submissions import (
    TENANT_ACCESS_DENIED,
    SubmissionBody,
    TenantAccessError,
    decode_check,
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


# -- policy --


def _check_body(checked: CheckResult, job_id: str) -> dict[str, object]:
    return check_answer(
        checked.decision, job_id=job_id, job_hash=checked.job_hash, at_us=checked.at_us
    )


async def _evaluate(plane: Plane, call: Call) -> Answer:
    submission, job_id = decode_check(call.body, tenant=call.who.tenant)
    return Answer(200, _check_body(await check(plane, call.who, submission), job_id))


async def _simulate(plane: Plane, call: Call) -> Answer:
    submission, job_id = decode_check(call.body, tenant=call.who.tenant)
    return Answer(200, _check_body(await simulate(plane, call.who, submission), job_id))


async def _explain(plane: Plane, call: Call) -> Answer:
    submission, job_id = decode_check(call.body, tenant=call.who.tenant)
    checked, explanation = await explain(plane, call.who, submission)
    request = submission.request(tenant=call.who.tenant, principal=call.who.principal)
    return Answer(
        200, {**_check_body(checked, job_id), "explain": explain_object(explanation, request)}
    )


async def _list_snapshots(plane: Plane, call: Call) -> Answer:
    activations = await list_activations(plane, limit=limit_of(call.query))
    in_force = plane.snapshot.digest if plane.snapshot is not None else ""
    first = next((each for each in activations if each.digest == in_force), None)
    return Answer(200, [activation_object(each, in_force=each is first) for each in activations])


async def _read_snapshot(plane: Plane, call: Call) -> Answer:
    digest = call.params[0]
    if call.who.tenant != PLATFORM_TENANT:  # one policy holds the rules of every tenant
        raise ForbiddenError("only keys of the platform's own tenant may read a whole policy")
    kept, entry = await kept_policy(plane, digest)
    activations = await list_activations(plane, limit=ACTIVATIONS_SEARCHED_MAX)
    body = kept_policy_object(
        digest,
        kept,
        [each for each in activations if each.digest == digest],
        kept_at_us=entry.updated_at_us,
        in_force=plane.snapshot is not None and plane.snapshot.digest == digest,
    )
    return Answer(200, body)


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


P = Permission
_JOBS, _POLICY, _KEYS = "/api/v1/jobs", "/api/v1/policy", "/api/v1/auth/keys"
_DLQ = "/api/v1/dlq"

ENDPOINTS = (
    Endpoint("POST", _JOBS, P.JOBS_WRITE, _submit_job, "Submit a job", SubmissionBody),
    Endpoint("GET", _JOBS, P.JOBS_READ, _list_jobs, "List jobs, newest change first"),
    Endpoint(
        "GET",
        _JOBS + "/{job_id}",
        P.JOBS_READ,
        _read_job,
        "Read one job; `wait_ms` waits for a change",
    ),
    Endpoint(
        "GET",
        _JOBS + "/{job_id}/decisions",
        P.JOBS_READ,
        _read_decisions,
        "Read the decisions on one job, newest first",
    ),
    Endpoint("POST", _JOBS + "/{job_id}/cancel", P.JOBS_WRITE, _cancel_job, "Cancel a job"),
    Endpoint(
        "POST",
        _JOBS + "/{job_id}/remediate",
        P.JOBS_WRITE,
        _remediate_job,
        "Submit a denied job as an offered remediation rewrites it",
        RemediateBody,
    ),
    Endpoint("GET", "/api/v1/traces/{trace_id}", P.JOBS_READ, _read_trace, "The jobs of one trace"),
    Endpoint("GET", _DLQ, P.JOBS_READ, _list_dead_letters, "The newest dead letters"),
    Endpoint("GET", _DLQ + "/page", P.JOBS_READ, _page_dead_letters, "Dead letters in pages"),
    Endpoint(
        "POST",
        _DLQ + "/{job_id}/retry",
        P.JOBS_WRITE,
        _retry_dead_letter,
        "Submit a dead letter again, through the submit gate",
        RetryBody,
    ),
    Endpoint(
        "DELETE",
        _DLQ + "/{job_id}",
        P.JOBS_WRITE,
        _dismiss_dead_letter,
        "Take a job off the dead letters",
    ),
    Endpoint(
        "POST",
        _POLICY + "/evaluate",
        P.POLICY_CHECK,
        _evaluate,
        "Decide an action that the caller itself enforces; leaves a record",
        SubmissionBody,
    ),
    Endpoint(
        "POST",
        _POLICY + "/simulate",
        P.POLICY_READ,
        _simulate,
        "What the submit gate would decide; leaves no trace",
        SubmissionBody,
    ),
    Endpoint(
        "POST",
        _POLICY + "/explain",
        P.POLICY_READ,
        _explain,
        "The same, with what held and what failed; leaves no trace",
        SubmissionBody,
    ),
    Endpoint(
        "GET",
        _POLICY + "/snapshots",
        P.POLICY_READ,
        _list_snapshots,
        "The snapshots that were in force, newest first",
    ),
    Endpoint(
        "GET",
        _POLICY + "/snapshots/{digest}",
        P.POLICY_READ,
        _read_snapshot,
        "The content of a policy that was in force, who activated it and when",
    ),
    Endpoint("POST", _KEYS, P.KEYS_WRITE, _create_key, "Create an API key", NewKeyBody),
    Endpoint("GET", _KEYS, P.KEYS_READ, _list_keys, "List API keys"),
    Endpoint("DELETE", _KEYS + "/{key_id}", P.KEYS_WRITE, _revoke_key, "Revoke an API key"),
    Endpoint("GET", "/api/v1/stream", P.JOBS_READ, open_stream, "Follow the log as it grows"),
    Endpoint("GET", _JOBS + "/{job_id}/stream", P.JOBS_READ, open_stream, "Follow one job"),
    Endpoint("GET", "/api/v1/health", P.JOBS_READ, _health, "Can the plane decide?"),
    Endpoint("GET", "/health", None, _health, "Can the plane decide?"),
    Endpoint("GET", "/healthz", None, _ready, "Can the plane decide and read its store?"),
    Endpoint("GET", "/readyz", None, _ready, "Send traffic here?"),
    Endpoint("GET", "/livez", None, _alive, "Is the process alive?"),
    *WORK_ENDPOINTS,
    *APPROVAL_ENDPOINTS,
    *REGISTRY_ENDPOINTS,
    *OUTPUT_ENDPOINTS,
    *WEBHOOK_ENDPOINTS,
)
