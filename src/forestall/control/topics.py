"""Declare, list and end topics. The first topic of a tenant turns its topics into an allow-list."""

import msgspec

from forestall.control.plane import Plane
from forestall.control.registry_entries import drop_entry, fields_but_name, put_entry, require_room
from forestall.errors import NotFoundError
from forestall.identity.credentials import Subject
from forestall.jobs.registry import Topic, TopicInvalidError, problem_of_topic
from forestall.limits import TOPICS_PER_TENANT_MAX
from forestall.ports.change import EntryUnchanged, Precondition
from forestall.ports.entries import EntryKind

WORKER_SILENT_US = 60_000_000  # a worker without a request for so long is not counted as active


class TopicNotFoundError(NotFoundError):
    """No topic of this tenant has this name."""

    code, http_status = "TOPIC_NOT_FOUND", 404


def list_topics(plane: Plane, tenant: str) -> list[tuple[Topic, int]]:
    """The topics of a tenant by name, each with the number of workers that serve it now."""
    topics = plane.registry.topics(tenant)
    return [(topics[name].value, active_workers(plane, tenant, name)) for name in sorted(topics)]


def active_workers(plane: Plane, tenant: str, topic: str) -> int:
    """The number of workers that serve a topic and made a request within WORKER_SILENT_US."""
    since_us = plane.clock.now_us() - WORKER_SILENT_US
    return plane.workers.count_of_topic(tenant, topic, since_us=since_us)


async def declare_topic(plane: Plane, subject: Subject, topic: Topic) -> bool:
    """Create or replace a topic. Returns whether it is new.

    Raises TopicInvalidError, RegistryFullError, and PreconditionFailedError when another request
    changed the topic meanwhile.
    """
    # load
    topics = plane.registry.topics(subject.tenant)
    # decide
    problem = problem_of_topic(topic)
    if problem:
        raise TopicInvalidError(problem)
    require_room(topics, topic.name, TOPICS_PER_TENANT_MAX, "topics")
    current = topics.get(topic.name)
    # commit, and announce: workers are routed anew as the entry is taken up
    await put_entry(
        plane,
        subject,
        EntryKind.TOPIC,
        topic.name,
        topic,
        current=current,
        data=fields_but_name(topic),
        expect=_pool_and_schemas_exist(plane, subject.tenant, topic),
    )
    return current is None


def _pool_and_schemas_exist(plane: Plane, tenant: str, topic: Topic) -> tuple[Precondition, ...]:
    """The preconditions that the pool and schema which a topic names exist when it is committed.
    Raises TopicInvalidError when one does not exist now."""
    expect: list[Precondition] = []
    if topic.pool:
        pool = plane.registry.pools(tenant).get(topic.pool)
        if pool is None:
            raise TopicInvalidError(f"there is no pool `{topic.pool}`; create it first")
        expect.append(EntryUnchanged.of(pool.entry))
    for field in ("input_schema_id", "output_schema_id"):
        schema_id = getattr(topic, field)
        if schema_id:
            schema = plane.registry.schemas(tenant).get(schema_id)
            if schema is None:
                raise TopicInvalidError(f"`{field}`: no schema `{schema_id}`; add it first")
            expect.append(EntryUnchanged.of(schema.entry))
    return tuple(dict.fromkeys(expect))


async def route_topic(plane: Plane, subject: Subject, pool: str, name: str, *, to: bool) -> None:
    """Route a topic to a pool (`to`), or back to every worker. Raises as `declare_topic`, and
    TopicNotFoundError."""
    # load and decide; `declare_topic` has the rest
    current = plane.registry.topics(subject.tenant).get(name)
    if current is None:
        raise _not_found(name)
    if not to and current.value.pool != pool:
        raise TopicNotFoundError("the pool does not serve it")
    new_pool = pool if to else ""
    await declare_topic(plane, subject, msgspec.structs.replace(current.value, pool=new_pool))


async def end_topic(plane: Plane, subject: Subject, name: str) -> None:
    """Remove a topic; its queued jobs stay queued. Raises TopicNotFoundError."""
    # load
    current = plane.registry.topics(subject.tenant).get(name)
    # decide
    if current is None:
        raise _not_found(name)
    left = len(plane.registry.topics(subject.tenant)) - 1
    # commit, and announce: workers are routed anew as the entry is taken up
    await drop_entry(plane, subject, current, {"topics_left": left})


def _not_found(name: str) -> TopicNotFoundError:
    return TopicNotFoundError(f"there is no topic `{name[:80]}`")
