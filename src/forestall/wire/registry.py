"""Topics, pools and schemas ↔ JSON. Unknown fields are refused.

Otherwise a topic with a misspelled `requires` would require nothing.
"""

from typing import Any, TypeVar

import msgspec

from forestall.errors import InvalidRequestError
from forestall.jobs.registry import (
    Pool,
    PoolInvalidError,
    PoolLoad,
    PoolStatus,
    Topic,
    TopicInvalidError,
    TopicStatus,
)
from forestall.jobs.schemas import SchemaInvalidError
from forestall.limits import DRAIN_SECONDS_DEFAULT
from forestall.wire.objects import WireObject
from forestall.wire.strict_json import decode_json

B = TypeVar("B", bound=msgspec.Struct)


class TopicBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /topics."""

    name: str | None = None
    pool: str | None = None
    input_schema_id: str | None = None
    output_schema_id: str | None = None
    pack_id: str | None = None
    requires: list[str] | None = None
    risk_tags: list[str] | None = None
    status: str | None = None


class PoolBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of PUT /pools/{name}."""

    requires: list[str] | None = None
    description: str | None = None


class PoolChangeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of PATCH /pools/{name}; a field that is left out keeps its value."""

    requires: list[str] | None = None
    description: str | None = None
    status: str | None = None


class DrainBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /pools/{name}/drain."""

    timeout_seconds: int | None = None


class SchemaBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /schemas."""

    id: str | None = None
    schema: Any = None


class TopicObject(WireObject, frozen=True):
    """One topic."""

    name: str
    pool: str
    input_schema_id: str
    output_schema_id: str
    pack_id: str
    requires: list[str]
    risk_tags: list[str]
    status: TopicStatus
    active_worker_count: int


class TopicListObject(WireObject, frozen=True):
    """Every topic. Where none is declared, any topic is taken."""

    items: list[TopicObject]
    registry_empty: bool


class PoolSummaryObject(WireObject, frozen=True):
    """One pool of a list; `utilization` is the part of `capacity` that is in use."""

    name: str
    status: PoolStatus
    workers: int
    active_jobs: int
    capacity: int
    utilization: float


class PoolDeclaredObject(WireObject, frozen=True):
    """A pool as it was declared."""

    name: str
    status: PoolStatus
    requires: list[str]
    description: str


class PoolObject(PoolDeclaredObject, frozen=True):
    """One pool, with the workers and topics that name it."""

    active_jobs: int
    capacity: int
    utilization: float
    topics: list[str]
    workers: list[str]


class SchemaListObject(WireObject, frozen=True):
    """The ids of the input schemas."""

    schemas: list[str]


class SchemaObject(WireObject, frozen=True):
    """One input schema, as it was added."""

    id: str
    schema: Any


def _read(body: bytes, kind: type[B], error: type[InvalidRequestError]) -> B:
    value = decode_json(body) if body else {}
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as cause:
        raise error(f"the request is malformed: {cause}") from cause


def decode_topic(body: bytes) -> Topic:
    """The topic in a body. Raises TopicInvalidError."""
    asked = _read(body, TopicBody, TopicInvalidError)
    if asked.status is not None and asked.status not in set(TopicStatus):
        raise TopicInvalidError("`status` is active, deprecated or disabled")
    return Topic(
        name=asked.name or "",
        pool=asked.pool or "",
        input_schema_id=asked.input_schema_id or "",
        output_schema_id=asked.output_schema_id or "",
        pack_id=asked.pack_id or "",
        requires=tuple(asked.requires or ()),
        risk_tags=tuple(asked.risk_tags or ()),
        status=TopicStatus(asked.status or "active"),
    )


def decode_pool(body: bytes, name: str) -> Pool:
    """The pool in a body. Raises PoolInvalidError."""
    asked = _read(body, PoolBody, PoolInvalidError)
    return Pool(
        name=name, requires=tuple(asked.requires or ()), description=asked.description or ""
    )


def decode_pool_change(body: bytes) -> tuple[tuple[str, ...] | None, str | None, PoolStatus | None]:
    """The fields to change: requirements, description, status. Raises PoolInvalidError."""
    asked = _read(body, PoolChangeBody, PoolInvalidError)
    if asked.status is not None and asked.status not in set(PoolStatus):
        raise PoolInvalidError("`status` is active or inactive")
    return (
        None if asked.requires is None else tuple(asked.requires),
        asked.description,
        None if asked.status is None else PoolStatus(asked.status),
    )


def decode_drain(body: bytes) -> int:
    """Seconds until the drained pool becomes inactive. Raises PoolInvalidError."""
    asked = _read(body, DrainBody, PoolInvalidError)
    return DRAIN_SECONDS_DEFAULT if asked.timeout_seconds is None else asked.timeout_seconds


def decode_schema(body: bytes) -> tuple[str, Any]:
    """The id and the schema. Raises SchemaInvalidError."""
    asked = _read(body, SchemaBody, SchemaInvalidError)
    if not asked.id or asked.schema is None:
        raise SchemaInvalidError("`id` and `schema` are required")
    return asked.id, asked.schema


def topic_object(topic: Topic, active_workers: int) -> dict[str, Any]:
    """One topic."""
    return {
        "name": topic.name,
        "pool": topic.pool,
        "input_schema_id": topic.input_schema_id,
        "output_schema_id": topic.output_schema_id,
        "pack_id": topic.pack_id,
        "requires": list(topic.requires),
        "risk_tags": list(topic.risk_tags),
        "status": topic.status.value,
        "active_worker_count": active_workers,
    }


def pool_summary(load: PoolLoad) -> dict[str, Any]:
    """One pool of a list."""
    return {
        "name": load.pool.name,
        "status": load.status.value,
        "workers": len(load.workers),
        "active_jobs": load.active_jobs,
        "capacity": load.capacity,
        "utilization": load.active_jobs / load.capacity if load.capacity else 0.0,
    }


def pool_object(load: PoolLoad) -> dict[str, Any]:
    """One pool."""
    return {
        **pool_summary(load),
        **pool_declared(load.pool, load.status),
        "topics": list(load.topics),
        "workers": list(load.workers),
    }


def pool_declared(pool: Pool, status: PoolStatus) -> dict[str, Any]:
    """A pool as it was declared."""
    return {
        "name": pool.name,
        "status": status.value,
        "requires": list(pool.requires),
        "description": pool.description,
    }
