"""The API of results: list, inspect, release and discard withheld ones; check a caller's own."""

from forestall.control.check_output import check_content
from forestall.control.plane import Plane
from forestall.control.quarantine import confirm, inspect, release
from forestall.identity.roles import Permission
from forestall.jobs.job import JobState
from forestall.limits import FINDINGS_KEPT_MAX
from forestall.ports.store import JobFilter
from forestall.server.endpoints import Answer, Call, EndpointTable
from forestall.server.query import page_of
from forestall.wire.objects import ItemList, Page
from forestall.wire.output import (
    CheckBody,
    CheckedObject,
    ConfirmBody,
    InspectedObject,
    OutputRuleObject,
    OutputStatsObject,
    ReleaseBody,
    ReleasedObject,
    WithheldObject,
    checked_object,
    decode_content,
    inspected_object,
    released_object,
    rule_objects,
    stats_object,
    withheld_object,
)

P = Permission
_OUTPUT = "/api/v1/jobs/{job_id}/output"
_TABLE = EndpointTable()


@_TABLE.row(
    "GET",
    "/api/v1/quarantine",
    P.JOBS_READ,
    {200: Page[WithheldObject]},
    query=("include_resolved", "topic", "cursor", "limit"),
)
async def _list(plane: Plane, call: Call) -> Answer:
    """List withheld results, the newest first.

    Lists discarded results only with `include_resolved=true`; without it a page may be shorter
    than its limit.
    """
    job_filter = JobFilter(
        tenant=call.who.tenant,
        state=JobState.OUTPUT_QUARANTINED,
        topic=call.query.get("topic", ""),
    )
    jobs, cursor = await page_of(plane, call, job_filter)
    resolved_too = call.query.get("include_resolved") == "true"
    items = [
        withheld_object(job)
        for job in jobs
        if job.output is not None and (resolved_too or not job.output.resolution)
    ]
    return Answer(200, Page(items, cursor))


@_TABLE.row("GET", _OUTPUT, P.JOBS_READ, {200: InspectedObject})
async def _inspect(plane: Plane, call: Call) -> Answer:
    """What the check of a result found."""
    for_reviewer = call.who.may(Permission.OUTPUT_RELEASE)
    preview = await inspect(plane, call.who, call.params[0], context=for_reviewer)
    return Answer(200, inspected_object(preview, for_reviewer=for_reviewer))


@_TABLE.row("POST", _OUTPUT + "/release", P.OUTPUT_RELEASE, {200: ReleasedObject}, ReleaseBody)
async def _release(plane: Plane, call: Call) -> Answer:
    """Make a withheld result readable; nothing runs again."""
    body = await call.decoded_as(ReleaseBody)
    job = await release(plane, call.who, call.params[0], reason=body.reason, mode=body.mode)
    return Answer(200, released_object(job))


@_TABLE.row("POST", _OUTPUT + "/confirm", P.OUTPUT_RELEASE, {200: ReleasedObject}, ConfirmBody)
async def _confirm(plane: Plane, call: Call) -> Answer:
    """Discard a withheld result."""
    body = await call.decoded_as(ConfirmBody)
    job = await confirm(plane, call.who, call.params[0], reason=body.reason)
    return Answer(200, released_object(job))


@_TABLE.row(
    "POST", "/api/v1/output/check", P.POLICY_CHECK, {200: CheckedObject}, CheckBody, stops=True
)
async def _check(plane: Plane, call: Call) -> Answer:
    """Look at a content that the caller itself releases; leaves a record without it."""
    request, content, is_json = await call.decoded(
        lambda body: decode_content(body, tenant=call.who.tenant, principal=call.who.principal)
    )
    checked = await check_content(plane, call.who, request, content, is_json=is_json)
    return Answer(200, checked_object(checked, is_json=is_json, limit=FINDINGS_KEPT_MAX))


@_TABLE.row("GET", "/api/v1/policy/output/rules", P.POLICY_READ, {200: ItemList[OutputRuleObject]})
async def _rules(plane: Plane, call: Call) -> Answer:
    """The output rules in force."""
    policies = plane.snapshot.policies if plane.snapshot is not None else ()
    return Answer(200, ItemList(rule_objects(policies, tenant=call.who.tenant)))


@_TABLE.row("GET", "/api/v1/policy/output/stats", P.POLICY_READ, {200: OutputStatsObject})
async def _stats(plane: Plane, call: Call) -> Answer:
    """Results looked at in the last 24 hours, since the start at most."""
    now_us = plane.clock.now_us()
    counts, last_us = plane.output_stats.of_day(call.who.tenant, now_us=now_us)
    return Answer(200, stats_object(counts, last_us=last_us, since_us=plane.output_stats.since_us))


ENDPOINTS = tuple(_TABLE)
