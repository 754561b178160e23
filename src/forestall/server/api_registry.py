"""The API of the registry: topics, pools and input schemas."""

from forestall.control.plane import Plane
from forestall.control.pools import (
    PoolInUseError,
    change_pool,
    create_pool,
    drain_pool,
    end_pool,
    list_pools,
    queued_jobs,
    read_pool,
)
from forestall.control.schemas import end_schema, list_schemas, put_schema, read_schema
from forestall.control.topics import (
    active_workers,
    declare_topic,
    end_topic,
    list_topics,
    route_topic,
)
from forestall.errors import InvalidRequestError
from forestall.identity.roles import Permission
from forestall.server.endpoints import Answer, Call, EndpointTable
from forestall.wire.objects import ItemList
from forestall.wire.registry import (
    DrainBody,
    PoolBody,
    PoolChangeBody,
    PoolDeclaredObject,
    PoolObject,
    PoolSummaryObject,
    SchemaBody,
    SchemaListObject,
    SchemaObject,
    TopicBody,
    TopicListObject,
    TopicObject,
    decode_drain,
    decode_pool,
    decode_pool_change,
    decode_schema,
    decode_topic,
    pool_declared,
    pool_object,
    pool_summary,
    topic_object,
)

_READ, _WRITE = Permission.REGISTRY_READ, Permission.REGISTRY_WRITE
_TOPICS = "/api/v1/topics"
_POOLS = "/api/v1/pools"
_POOL = _POOLS + "/{name}"
_SCHEMAS = "/api/v1/schemas"
_BOOLEANS = {"": False, "false": False, "0": False, "true": True, "1": True}
_TABLE = EndpointTable()


@_TABLE.row("GET", _TOPICS, _READ, {200: TopicListObject})
async def _list_topics(plane: Plane, call: Call) -> Answer:
    """List the declared topics."""
    topics = list_topics(plane, call.who.tenant)
    items = [topic_object(topic, workers) for topic, workers in topics]
    return Answer(200, TopicListObject(items, registry_empty=not items))


@_TABLE.row("POST", _TOPICS, _WRITE, {200: TopicObject, 201: TopicObject}, TopicBody)
async def _declare_topic(plane: Plane, call: Call) -> Answer:
    """Declare a topic."""
    topic = await call.decoded(decode_topic)
    new = await declare_topic(plane, call.who, topic)
    workers = active_workers(plane, call.who.tenant, topic.name)
    return Answer(201 if new else 200, topic_object(topic, workers))


@_TABLE.row("DELETE", _TOPICS + "/{name}", _WRITE, {204: None})
async def _end_topic(plane: Plane, call: Call) -> Answer:
    """End a topic."""
    await end_topic(plane, call.who, call.params[0])
    return Answer(204, None)


@_TABLE.row("GET", _POOLS, _READ, {200: ItemList[PoolSummaryObject]})
async def _list_pools(plane: Plane, call: Call) -> Answer:
    """List the pools of workers."""
    pools = list_pools(plane, call.who.tenant)
    return Answer(200, ItemList([pool_summary(load) for load in pools]))


@_TABLE.row("GET", _POOL, _READ, {200: PoolObject})
async def _read_pool(plane: Plane, call: Call) -> Answer:
    """Read one pool."""
    return Answer(200, pool_object(read_pool(plane, call.who.tenant, call.params[0])))


@_TABLE.row("PUT", _POOL, _WRITE, {201: PoolDeclaredObject}, PoolBody)
async def _create_pool(plane: Plane, call: Call) -> Answer:
    """Create a pool."""
    pool = await call.decoded(lambda body: decode_pool(body, call.params[0]))
    await create_pool(plane, call.who, pool)
    return Answer(201, pool_declared(pool, pool.status))


@_TABLE.row("PATCH", _POOL, _WRITE, {200: PoolDeclaredObject}, PoolChangeBody)
async def _change_pool(plane: Plane, call: Call) -> Answer:
    """Change a pool."""
    requires, description, status = await call.decoded(decode_pool_change)
    pool = await change_pool(
        plane,
        call.who,
        call.params[0],
        requires=requires,
        description=description,
        status=status,
    )
    return Answer(200, pool_declared(pool, pool.status_at(plane.clock.now_us())))


@_TABLE.row("DELETE", _POOL, _WRITE, {204: None}, query=("force",))
async def _end_pool(plane: Plane, call: Call) -> Answer:
    """End a pool."""
    force = _BOOLEANS.get(call.query.get("force", ""))
    if force is None:
        raise InvalidRequestError("`force` is true or false")
    load = await end_pool(plane, call.who, call.params[0], force=force)
    if load is None:
        return Answer(204, None)
    raise PoolInUseError(
        "topics or workers name this pool; move them, or end it with force=true",
        told={
            "pool": load.pool.name,
            "pool_status": load.status.value,
            "queued_jobs": queued_jobs(plane, call.who.tenant, load.topics),
            "agent_ids": list(load.workers),
            "topics": list(load.topics),
        },
    )


@_TABLE.row("POST", _POOL + "/drain", _WRITE, {200: PoolDeclaredObject}, DrainBody)
async def _drain_pool(plane: Plane, call: Call) -> Answer:
    """Give the workers of a pool nothing new."""
    seconds = await call.decoded(decode_drain)
    pool = await drain_pool(plane, call.who, call.params[0], seconds=seconds)
    return Answer(200, pool_declared(pool, pool.status_at(plane.clock.now_us())))


@_TABLE.row("PUT", _POOL + "/topics/{topic}", _WRITE, {204: None})
async def _route_to_pool(plane: Plane, call: Call) -> Answer:
    """Let only this pool serve a topic."""
    read_pool(plane, call.who.tenant, call.params[0])
    await route_topic(plane, call.who, *call.params, to=True)
    return Answer(204, None)


@_TABLE.row("DELETE", _POOL + "/topics/{topic}", _WRITE, {204: None})
async def _route_away(plane: Plane, call: Call) -> Answer:
    """Let any worker serve the topic again."""
    read_pool(plane, call.who.tenant, call.params[0])
    await route_topic(plane, call.who, *call.params, to=False)
    return Answer(204, None)


@_TABLE.row("GET", _SCHEMAS, _READ, {200: SchemaListObject})
async def _list_schemas(plane: Plane, call: Call) -> Answer:
    """List the input schemas."""
    return Answer(200, SchemaListObject(list_schemas(plane, call.who.tenant)))


@_TABLE.row("GET", _SCHEMAS + "/{id}", _READ, {200: SchemaObject})
async def _read_schema(plane: Plane, call: Call) -> Answer:
    """Read one input schema."""
    schema_id = call.params[0]
    return Answer(200, SchemaObject(schema_id, read_schema(plane, call.who.tenant, schema_id)))


@_TABLE.row("POST", _SCHEMAS, _WRITE, {204: None}, SchemaBody)
async def _put_schema(plane: Plane, call: Call) -> Answer:
    """Add an input schema."""
    await put_schema(plane, call.who, *await call.decoded(decode_schema))
    return Answer(204, None)


@_TABLE.row("DELETE", _SCHEMAS + "/{id}", _WRITE, {204: None})
async def _end_schema(plane: Plane, call: Call) -> Answer:
    """End an input schema."""
    await end_schema(plane, call.who, call.params[0])
    return Answer(204, None)


ENDPOINTS = tuple(_TABLE)
