"""The API of approvals, and of callers that run their approved jobs themselves."""

from forestall.control.analytics import approval_analytics
from forestall.control.approve import approve, read_asked, reject
from forestall.control.claim import claim
from forestall.control.plane import Plane
from forestall.control.read import list_jobs, read_decisions, shown
from forestall.control.redecide import drift_of, with_current_approvals
from forestall.control.repair import ask_again, plan
from forestall.control.worker_protocol import renew
from forestall.errors import InvalidRequestError
from forestall.identity.roles import Permission
from forestall.jobs.approval import ApprovalStatus
from forestall.jobs.job import Job, JobState
from forestall.jobs.votes import asked_approval
from forestall.ports.store import JobFilter, JobView
from forestall.server.api_work import answer_for_job
from forestall.server.endpoints import Answer, Call, EndpointTable
from forestall.server.query import instant_us, limit_of, page_of
from forestall.wire.analytics import AnalyticsObject, analytics_object, parse_group_by, parse_window
from forestall.wire.approvals import (
    ApprovalContextObject,
    ApprovalObject,
    DecideBody,
    DecidedObject,
    RepairBody,
    RepairObject,
    approval_object,
    context_object,
    decided_object,
    decode_decide,
    repair_object,
)
from forestall.wire.objects import Page
from forestall.wire.work import (
    CompletedObject,
    DispatchedObject,
    RenewedObject,
    ResultBody,
    ReturnBody,
    decode_lease_id,
    dispatched_object,
)


def _status(text: str) -> ApprovalStatus | None:
    if not text:
        return None
    try:
        return ApprovalStatus(text.lower())
    except ValueError:
        raise InvalidRequestError("`status` is one of " + ", ".join(ApprovalStatus)) from None


P = Permission
_APPROVALS = "/api/v1/approvals"
_PRIOR_SHOWN = 10
_TABLE = EndpointTable()


@_TABLE.row(
    "GET",
    _APPROVALS,
    P.JOBS_READ,
    {200: Page[ApprovalObject]},
    query=("status", "include_resolved", "topic", "cursor", "limit"),
)
async def _list(plane: Plane, call: Call) -> Answer:
    """List approvals, the last asked first."""
    query = call.query
    status = _status(query.get("status", ""))
    pending = status is ApprovalStatus.PENDING or query.get("include_resolved") == "false"
    job_filter = JobFilter(
        tenant=call.who.tenant,
        asked=True,
        state=JobState.APPROVAL_REQUIRED if pending else None,
        topic=query.get("topic", ""),
    )
    page, cursor = await page_of(plane, call, job_filter)
    jobs = await with_current_approvals(plane, page)
    now_us = plane.clock.now_us()
    items = [
        approval_object(job, now_us=now_us)
        for job in jobs
        if (status is None or asked_approval(job).status is status)
        and not (pending and not _can_be_answered(job, now_us=now_us))
    ]
    return Answer(200, Page(items, cursor))


def _can_be_answered(job: Job, *, now_us: int) -> bool:
    """Whether people may still decide: the list of what is pending holds nothing else."""
    return job.state is JobState.APPROVAL_REQUIRED and now_us < asked_approval(job).expires_at_us


async def _current(plane: Plane, call: Call) -> JobView:
    """The job that the path names, its approval decided again where it was stale."""
    view = await read_asked(plane, call.who, call.params[0])
    (job,) = await with_current_approvals(plane, [view.job])
    return JobView(job, view.payload)


@_TABLE.row("GET", _APPROVALS + "/{job_id}", P.JOBS_READ, {200: ApprovalObject})
async def _read(plane: Plane, call: Call) -> Answer:
    """Read one approval."""
    view = await _current(plane, call)
    return Answer(200, approval_object(view.job, now_us=plane.clock.now_us()))


@_TABLE.row("GET", _APPROVALS + "/{job_id}/context", P.JOBS_READ, {200: ApprovalContextObject})
async def _context(plane: Plane, call: Call) -> Answer:
    """What exactly would run, and why it awaits approval."""
    view = await _current(plane, call)
    is_awaiting = view.job.state is JobState.APPROVAL_REQUIRED
    drift = await drift_of(plane, view) if is_awaiting else asked_approval(view.job).drift
    of_same_topic = JobFilter(tenant=call.who.tenant, asked=True, topic=view.job.topic)
    prior, _ = await list_jobs(plane, call.who, of_same_topic, limit=_PRIOR_SHOWN, after=None)
    decisions = await read_decisions(plane, call.who, view.job.id, limit=1)
    view = shown(call.who, view)
    body = context_object(
        view.job,
        view.payload,
        facts=dict(decisions[0].facts) if decisions else {},
        drift=drift,
        prior=prior,
        now_us=plane.clock.now_us(),
    )
    return Answer(200, body)


@_TABLE.row(
    "POST", _APPROVALS + "/{job_id}/approve", P.JOBS_APPROVE, {200: DecidedObject}, DecideBody
)
async def _approve(plane: Plane, call: Call) -> Answer:
    """Approve a job that awaits approval."""
    request = await call.decoded(decode_decide)
    result = await approve(plane, call.who, call.params[0], request)
    return Answer(200, decided_object(result.job, repeated=result.repeated))


@_TABLE.row(
    "POST", _APPROVALS + "/{job_id}/reject", P.JOBS_APPROVE, {200: DecidedObject}, DecideBody
)
async def _reject(plane: Plane, call: Call) -> Answer:
    """Reject a job that awaits approval."""
    request = await call.decoded(decode_decide)
    result = await reject(plane, call.who, call.params[0], request)
    return Answer(200, decided_object(result.job, repeated=result.repeated))


@_TABLE.row(
    "POST", _APPROVALS + "/{job_id}/repair", P.APPROVALS_REPAIR, {200: RepairObject}, RepairBody
)
async def _repair(plane: Plane, call: Call) -> Answer:
    """Ask again after the policy or the job has drifted."""
    body = await call.decoded_as(RepairBody)
    apply = bool(body.apply)
    verb = ask_again if apply else plan
    repair = await verb(plane, call.who, call.params[0])
    return Answer(200, repair_object(repair.job, repair.drift, apply=apply, applied=repair.applied))


@_TABLE.row(
    "GET",
    "/api/v1/governance/approvals/analytics",
    P.POLICY_READ,
    {200: AnalyticsObject},
    query=("group_by", "since", "until", "window", "limit"),
)
async def _analytics(plane: Plane, call: Call) -> Answer:
    """How approvals went: counts, rates, waiting times, by rule, approver or topic."""
    query = call.query
    group_by = parse_group_by(query.get("group_by", ""))
    until_us = instant_us(query, "until") or plane.clock.now_us()
    since_us = instant_us(query, "since")
    if since_us is None:
        since_us = until_us - parse_window(query.get("window", ""))
    analytics = await approval_analytics(
        plane, call.who, since_us=since_us, until_us=until_us, group_by=group_by
    )
    return Answer(200, analytics_object(analytics, group_by, limit=limit_of(query)))


@_TABLE.row("POST", "/api/v1/jobs/{job_id}/claim", P.JOBS_WRITE, {200: DispatchedObject})
async def _claim(plane: Plane, call: Call) -> Answer:
    """Take one's own job, once, to run it oneself."""
    return Answer(200, dispatched_object(await claim(plane, call.who, call.params[0])))


@_TABLE.row("POST", "/api/v1/jobs/{job_id}/renew", P.JOBS_WRITE, {200: RenewedObject}, ReturnBody)
async def _renew(plane: Plane, call: Call) -> Answer:
    """Renew the lease of a job that one claimed."""
    lease_id = await call.decoded(decode_lease_id)
    job, expires_at_us = await renew(plane, call.who, call.params[0], lease_id)
    return Answer(200, RenewedObject(job.id, job.state, expires_at_us))


_TABLE.row(
    "POST",
    "/api/v1/jobs/{job_id}/complete",
    P.JOBS_WRITE,
    {200: CompletedObject},
    ResultBody,
    summary="Answer for a job that one claimed",
)(answer_for_job)

ENDPOINTS = tuple(_TABLE)
