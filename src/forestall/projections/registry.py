"""Topics, pools and input schemas: a projection of registry entries, for the path of a submit.

A missing entry closes, never opens: a topic without its schema takes no job, and a topic whose pool
is gone or drained is served by no worker.
"""

from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

import msgspec

from forestall.canonical import digest
from forestall.errors import InvalidRequestError
from forestall.jobs.registry import Pool, PoolStatus, RegistryBinding, Topic, TopicStatus
from forestall.jobs.schemas import InputSchema
from forestall.ports.change import EntryUnchanged
from forestall.ports.entries import EntryKind, RegistryEntry
from forestall.projections.doubts import EntryKey

KINDS = (EntryKind.TOPIC, EntryKind.POOL, EntryKind.SCHEMA)
CLOSED_POOL = "!"  # no pool can have this name, so no worker serves it
T = TypeVar("T")


class SchemaText(msgspec.Struct, frozen=True):
    """An input schema: its JSON as stored, and compiled. `compiled` is None when this version
    cannot compile it; a topic that names it takes no job then."""

    id: str
    body: bytes
    compiled: InputSchema | None


class DecodedEntry(NamedTuple, Generic[T]):
    """The value of a registry entry, and the entry itself, whose revision a change expects."""

    value: T
    entry: RegistryEntry


class Registry:
    """The topics, pools and schemas of every tenant. For one thread."""

    def __init__(self) -> None:
        self._topics: dict[str, dict[str, DecodedEntry[Topic]]] = {}
        self._pools: dict[str, dict[str, DecodedEntry[Pool]]] = {}
        self._schemas: dict[str, dict[str, DecodedEntry[SchemaText]]] = {}
        # By tenant and topic; computed when a gate first asks.
        self._bindings: dict[str, dict[str, tuple[RegistryBinding, ...]]] = {}

    def topics(self, tenant: str) -> Mapping[str, DecodedEntry[Topic]]:
        """The topics of a tenant by name. A tenant without any may submit to every topic."""
        return self._topics.get(tenant, {})

    def pools(self, tenant: str) -> Mapping[str, DecodedEntry[Pool]]:
        """The pools of a tenant by name."""
        return self._pools.get(tenant, {})

    def schemas(self, tenant: str) -> Mapping[str, DecodedEntry[SchemaText]]:
        """The schemas of a tenant by id."""
        return self._schemas.get(tenant, {})

    def pool_of(self, tenant: str, topic: str) -> str:
        """The pool whose workers serve a topic; empty when every worker may.

        `CLOSED_POOL`, which no worker serves, for a topic that is disabled or removed, or whose
        pool is gone or not active: its jobs stay queued.
        """
        topics = self.topics(tenant)
        entry = topics.get(topic)
        if entry is None:
            return CLOSED_POOL if topics else ""
        if entry.value.status is TopicStatus.DISABLED:
            return CLOSED_POOL
        if not entry.value.pool:
            return ""
        pool = self.pools(tenant).get(entry.value.pool)
        if pool is None or pool.value.status is not PoolStatus.ACTIVE:
            return CLOSED_POOL
        return pool.value.name

    def bindings(self, tenant: str, topic: str) -> tuple[RegistryBinding, ...]:
        """The entries that a decision on a job of this topic rests on: the topic, its schemas and
        its pool. Empty for a topic that is not declared."""
        entry = self.topics(tenant).get(topic)
        if entry is None:
            return ()
        of_tenant = self._bindings.setdefault(tenant, {})
        if topic not in of_tenant:
            schemas, pools = self.schemas(tenant), self.pools(tenant)
            entries = [entry.entry]
            entries += (schemas[name].entry for name in _schema_ids(entry.value) if name in schemas)
            if entry.value.pool in pools:
                entries.append(pools[entry.value.pool].entry)
            of_tenant[topic] = tuple(map(_binding, entries))
        return of_tenant[topic]

    def unchanged(
        self, tenant: str, topic: str, bound: Sequence[RegistryBinding]
    ) -> tuple[EntryUnchanged, ...]:
        """The preconditions of a change that rests on these entries of a topic. Without any, the
        topic was not declared, and is expected to be so still."""
        if not bound:
            return (EntryUnchanged(tenant, EntryKind.TOPIC, topic, 0),)
        return tuple(
            EntryUnchanged(tenant, entry.kind, entry.name, entry.revision) for entry in bound
        )

    def put(self, entry: RegistryEntry) -> None:
        """Take up an entry as it was committed."""
        self._bindings.pop(entry.tenant, None)
        if entry.kind == EntryKind.TOPIC:
            topic = msgspec.json.decode(entry.body, type=Topic)
            self._topics.setdefault(entry.tenant, {})[entry.name] = DecodedEntry(topic, entry)
        elif entry.kind == EntryKind.POOL:
            pool = msgspec.json.decode(entry.body, type=Pool)
            self._pools.setdefault(entry.tenant, {})[entry.name] = DecodedEntry(pool, entry)
        else:
            text = SchemaText(entry.name, entry.body, _compiled(entry.body))
            self._schemas.setdefault(entry.tenant, {})[entry.name] = DecodedEntry(text, entry)

    def drop(self, key: EntryKey) -> None:
        """Forget an entry that was removed. When it was the last topic, its tenant may submit to
        every topic again."""
        tenant, kind, name = key
        self._bindings.pop(tenant, None)
        if kind == EntryKind.TOPIC:
            _forget(self._topics, tenant, name)
        elif kind == EntryKind.POOL:
            _forget(self._pools, tenant, name)
        else:
            _forget(self._schemas, tenant, name)


def _schema_ids(topic: Topic) -> list[str]:
    """The schemas that a topic names, each once."""
    return list(dict.fromkeys(filter(None, (topic.input_schema_id, topic.output_schema_id))))


def _binding(entry: RegistryEntry) -> RegistryBinding:
    content = digest("registry-entry", entry.body)
    return RegistryBinding(entry.kind, entry.name, entry.revision, content)


def _forget(entries: dict[str, dict[str, DecodedEntry[T]]], tenant: str, name: str) -> None:
    of_tenant = entries.get(tenant, {})
    of_tenant.pop(name, None)
    if not of_tenant:
        entries.pop(tenant, None)


def _compiled(body: bytes) -> InputSchema | None:
    try:
        return InputSchema(body, msgspec.json.decode(body))
    except InvalidRequestError:
        return None
