"""Topics, pools and schemas ↔ JSON. Unknown fields are refused.

Otherwise a topic with a misspelled `requires` would require nothing.
"""

from typing import Any

import msgspec

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
from forestall.wire.strict_json import decode_struct


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


def decode_topic(body: bytes) -> Topic:
    """The topic in a body. Raises TopicInvalidError."""
    request = decode_struct(body, TopicBody, TopicInvalidError)
    if request.status is not None and request.status not in set(TopicStatus):
        raise TopicInvalidError("`status` is active, deprecated or disabled")
    return Topic(
        name=request.name or "",
        pool=request.pool or "",
        input_schema_id=request.input_schema_id or "",
        output_schema_id=request.output_schema_id or "",
        pack_id=request.pack_id or "",
        requires=tuple(request.requires or ()),
        risk_tags=tuple(request.risk_tags or ()),
        status=TopicStatus(request.status or "active"),
    )


def decode_pool(body: bytes, name: str) -> Pool:
    """The pool in a body. Raises PoolInvalidError."""
    request = decode_struct(body, PoolBody, PoolInvalidError)
    return Pool(
        name=name, requires=tuple(request.requires or ()), description=request.description or ""
    )


def decode_pool_change(body: bytes) -> tuple[tuple[str, ...] | None, str | None, PoolStatus | None]:
    """The fields to change: requirements, description, status. Raises PoolInvalidError."""
    request = decode_struct(body, PoolChangeBody, PoolInvalidError)
    if request.status is not None and request.status not in set(PoolStatus):
        raise PoolInvalidError("`status` is active or inactive")
    return (
        None if request.requires is None else tuple(request.requires),
        request.description,
        None if request.status is None else PoolStatus(request.status),
    )


def decode_drain(body: bytes) -> int:
    """Seconds until the drained pool becomes inactive. Raises PoolInvalidError."""
    request = decode_struct(body, DrainBody, PoolInvalidError)
    return DRAIN_SECONDS_DEFAULT if request.timeout_seconds is None else request.timeout_seconds


def decode_schema(body: bytes) -> tuple[str, Any]:
    """The id and the schema. Raises SchemaInvalidError."""
    request = decode_struct(body, SchemaBody, SchemaInvalidError)
    if not request.id or request.schema is None:
        raise SchemaInvalidError("`id` and `schema` are required")
    return request.id, request.schema


def topic_object(topic: Topic, active_workers: int) -> TopicObject:
    """One topic."""
    return TopicObject.of(topic, active_worker_count=active_workers)


def pool_summary(load: PoolLoad) -> PoolSummaryObject:
    """One pool of a list."""
    return PoolSummaryObject.of(
        load,
        name=load.pool.name,
        workers=len(load.workers),
        utilization=_utilization(load),
    )


def pool_object(load: PoolLoad) -> PoolObject:
    """One pool."""
    return PoolObject.of(load, load.pool, utilization=_utilization(load))


def _utilization(load: PoolLoad) -> float:
    return load.active_jobs / load.capacity if load.capacity else 0.0


def pool_declared(pool: Pool, status: PoolStatus) -> PoolDeclaredObject:
    """A pool as it was declared."""
    return PoolDeclaredObject.of(pool, status=status)
