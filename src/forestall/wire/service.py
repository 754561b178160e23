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
