"""The API of results: list, inspect, release and discard withheld ones; check a caller's own."""

from forestall.control.check_output import check_content
from forestall.control.plane import Plane
from forestall.control.quarantine import confirm, inspect, release
from forestall.control.read import list_jobs
from forestall.identity.roles import Permission
from forestall.jobs.job import JobState
from forestall.limits import FINDINGS_KEPT_MAX
from forestall.ports.store import JobCursor, JobFilter
from forestall.server.http import Answer, Call, Endpoint
from forestall.server.query import limit_of
from forestall.wire.jobs import decode_cursor, encode_cursor
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
    decode_confirm,
    decode_content,
    decode_release,
    inspected_object,
    released_answer,
    rule_objects,
    stats_object,
    withheld_object,
)


async def _list(plane: Plane, call: Call) -> Answer:
    """Lists discarded results only with `include_resolved=true`; without it a page may be shorter
    than its limit."""
    wanted = JobFilter(
        tenant=call.who.tenant,
        state=JobState.OUTPUT_QUARANTINED,
        topic=call.query.get("topic", ""),
    )
    cursor = call.query.get("cursor")
    after = JobCursor(*decode_cursor(cursor)) if cursor else None
    jobs, following = await list_jobs(plane, wanted, limit=limit_of(call.query), after=after)
    resolved_too = call.query.get("include_resolved") == "true"
    items = [
        withheld_object(job)
        for job in jobs
        if job.output is not None and (resolved_too or not job.output.resolution)
    ]
    more = encode_cursor(following.updated_at_us, following.job_id) if following else ""
    return Answer(200, {"items": items, "next_cursor": more})


async def _inspect(plane: Plane, call: Call) -> Answer:
    for_reviewer = call.who.may(Permission.OUTPUT_RELEASE)
    seen = await inspect(plane, call.who, call.params[0], context=for_reviewer)
    return Answer(200, inspected_object(seen, for_reviewer=for_reviewer))


async def _release(plane: Plane, call: Call) -> Answer:
    reason, mode = decode_release(call.body)
    job = await release(plane, call.who, call.params[0], reason=reason, mode=mode)
    return Answer(200, released_answer(job))


async def _confirm(plane: Plane, call: Call) -> Answer:
    job = await confirm(plane, call.who, call.params[0], reason=decode_confirm(call.body))
    return Answer(200, released_answer(job))


async def _check(plane: Plane, call: Call) -> Answer:
    request, content, is_json = decode_content(
        call.body, tenant=call.who.tenant, principal=call.who.principal
    )
    checked = await check_content(plane, call.who, request, content, is_json=is_json)
    return Answer(200, checked_object(checked, is_json=is_json, limit=FINDINGS_KEPT_MAX))


async def _rules(plane: Plane, call: Call) -> Answer:
    policies = plane.snapshot.policies if plane.snapshot is not None else ()
    return Answer(200, {"items": rule_objects(policies, tenant=call.who.tenant)})


async def _stats(plane: Plane, call: Call) -> Answer:
    now_us = plane.clock.now_us()
    counts, last_us = plane.output_stats.of_day(call.who.tenant, now_us=now_us)
    return Answer(200, stats_object(counts, last_us=last_us, since_us=plane.output_stats.since_us))


P = Permission
_OUTPUT = "/api/v1/jobs/{job_id}/output"

ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/quarantine",
        P.JOBS_READ,
        _list,
        "List withheld results, the newest first",
        {200: Page[WithheldObject]},
        query=("include_resolved", "topic", "cursor", "limit"),
    ),
    Endpoint(
        "GET",
        _OUTPUT,
        P.JOBS_READ,
        _inspect,
        "What the check of a result found",
        {200: InspectedObject},
    ),
    Endpoint(
        "POST",
        _OUTPUT + "/release",
        P.OUTPUT_RELEASE,
        _release,
        "Make a withheld result readable; nothing runs again",
        {200: ReleasedObject},
        ReleaseBody,
    ),
    Endpoint(
        "POST",
        _OUTPUT + "/confirm",
        P.OUTPUT_RELEASE,
        _confirm,
        "Discard a withheld result",
        {200: ReleasedObject},
        ConfirmBody,
    ),
    Endpoint(
        "POST",
        "/api/v1/output/check",
        P.POLICY_CHECK,
        _check,
        "Look at a content that the caller itself releases; leaves a record without it",
        {200: CheckedObject},
        CheckBody,
    ),
    Endpoint(
        "GET",
        "/api/v1/policy/output/rules",
        P.POLICY_READ,
        _rules,
        "The output rules in force",
        {200: ItemList[OutputRuleObject]},
    ),
    Endpoint(
        "GET",
        "/api/v1/policy/output/stats",
        P.POLICY_READ,
        _stats,
        "Results looked at in the last 24 hours, since the start at most",
        {200: OutputStatsObject},
    ),
)
