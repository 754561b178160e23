"""What the server says of itself, as JSON: its health, and the description of its API."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from forestall.wire.objects import WireObject


class HealthObject(WireObject, frozen=True):
    """Whether the plane can decide. As every answer from 400 on, a bad one has a `request_id`."""

    status: Literal["healthy", "unhealthy"]
    request_id: str | UnsetType = UNSET


class ProbeObject(WireObject, frozen=True):
    """What a probe of the process looked at, and how that is."""

    status: Literal["ok", "degraded"]
    checks: dict[str, str]
    request_id: str | UnsetType = UNSET


class OpenApiObject(WireObject, frozen=True):
    """An OpenAPI document; its parts are those of the OpenAPI specification."""

    openapi: str
    info: dict[str, Any]
    tags: list[dict[str, str]]
    paths: dict[str, Any]
    components: dict[str, Any]


class BuildObject(WireObject, frozen=True):
    """Which version answers."""

    version: str


class BrokerObject(WireObject, frozen=True):
    """How jobs get to workers: inside this process."""

    connected: bool
    status: str


class StorageObject(WireObject, frozen=True):
    """How the store is: inside this process. Not `ok` while it takes no commits."""

    ok: bool
    status: str


class StatusObject(WireObject, frozen=True):
    """What the server is and how it is. `nats` and `redis` are what published clients call the
    broker and the store; `workers` counts those of the caller's tenant."""

    time: str
    uptime_seconds: int
    build: BuildObject
    nats: BrokerObject
    redis: StorageObject
    workers: int
    policy_snapshot: str
