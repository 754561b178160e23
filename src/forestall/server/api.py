"""The API: the endpoints of all parts in one table, in the order of the documentation."""

import asyncio
from functools import cache

import msgspec

from forestall.control.plane import Plane
from forestall.identity.roles import Permission
from forestall.server import (
    api_agents,
    api_approvals,
    api_jobs,
    api_keys,
    api_output,
    api_policy,
    api_registry,
    api_service,
    api_tenants,
    api_webhooks,
    api_work,
)
from forestall.server.endpoints import Answer, Call, EndpointTable
from forestall.server.openapi import document
from forestall.server.query import TENANT_FIELDS
from forestall.server.stream import open_stream
from forestall.wire.service import OpenApiObject
from forestall.wire.stream import EventObject

_STREAMS = EndpointTable()
for _path, _summary in (
    ("/api/v1/stream", "Follow the log as it grows"),
    ("/api/v1/jobs/{job_id}/stream", "Follow one job"),
):
    _STREAMS.row(
        "GET",
        _path,
        Permission.JOBS_READ,
        {200: EventObject},
        query=("from", "last_event_id", *TENANT_FIELDS),
        streams=True,
        summary=_summary,
    )(open_stream)

_OPENAPI = EndpointTable()


@_OPENAPI.row("GET", "/openapi.json", None, {200: OpenApiObject})
async def _read_openapi(plane: Plane, call: Call) -> Answer:
    """This API, as an OpenAPI 3.1 document.

    Public: it says what this file says, and nothing of this server.
    """
    return Answer(200, await asyncio.to_thread(_openapi))  # the first time takes 50 ms


@cache
def _openapi() -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(document(ENDPOINTS)))


ENDPOINTS = (
    *api_jobs.ENDPOINTS,
    *api_policy.ENDPOINTS,
    *api_keys.ENDPOINTS,
    *_STREAMS,
    *api_service.ENDPOINTS,
    *_OPENAPI,
    *api_work.ENDPOINTS,
    *api_approvals.ENDPOINTS,
    *api_registry.ENDPOINTS,
    *api_output.ENDPOINTS,
    *api_webhooks.ENDPOINTS,
    *api_tenants.ENDPOINTS,
    *api_agents.ENDPOINTS,
)
