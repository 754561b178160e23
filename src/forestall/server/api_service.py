"""The API of the server itself: health, readiness, status."""

from forestall import __version__
from forestall.control.gate import PolicyUnavailableError
from forestall.control.plane import Plane
from forestall.errors import UnavailableError
from forestall.identity.roles import Permission
from forestall.server.endpoints import Answer, Call, EndpointTable
from forestall.wire.compat import iso_time
from forestall.wire.service import (
    BrokerObject,
    BuildObject,
    HealthObject,
    ProbeObject,
    StatusObject,
    StorageObject,
)

P = Permission
_HEALTH = {200: HealthObject, 503: HealthObject}
_PROBE = {200: ProbeObject, 503: ProbeObject}
_TABLE = EndpointTable()


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


ENDPOINTS = tuple(_TABLE)
