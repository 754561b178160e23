"""Commit a topic, a pool or a schema, or its removal, with its record.

The verbs (topics.py, pools.py, schemas.py) judge the request; nothing is decided here.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from forestall.audit.record import Record, Value
from forestall.control.plane import Plane
from forestall.control.records import SALT_BYTES
from forestall.errors import ConflictError
from forestall.ports.change import Change, DropEntry, Precondition, PutEntry
from forestall.ports.entries import EntryKind, RegistryEntry, entry_after
from forestall.projections.registry import DecodedEntry

T = TypeVar("T")


class RegistryFullError(ConflictError):
    """The tenant has the greatest allowed number of topics, pools or schemas; remove one first."""

    code, http_status = "registry_full", 409


async def put_entry(
    plane: Plane,
    known: DecodedEntry[T] | None,
    *,
    tenant: str,
    kind: EntryKind,
    name: str,
    body: bytes,
    actor: str,
    data: dict[str, Value],
    expect: tuple[Precondition, ...] = (),
) -> None:
    """Commit an entry with its record. Raises PreconditionFailedError."""
    now_us = plane.clock.now_us()
    before = known.entry if known is not None else None
    entry = entry_after(before, tenant=tenant, kind=kind, name=name, value=body, now_us=now_us)
    record = _record(plane, entry, "changed" if known else "created", actor, now_us, data)
    await plane.commit(Change(expect=expect, puts=(PutEntry(entry),), records=(record,)))


async def drop_entry(
    plane: Plane, known: DecodedEntry[T], *, actor: str, data: dict[str, Value] | None = None
) -> None:
    """Commit the removal of an entry with its record. Raises PreconditionFailedError."""
    entry, now_us = known.entry, plane.clock.now_us()
    record = _record(plane, entry, "removed", actor, now_us, data or {})
    await plane.commit(Change(puts=(DropEntry(entry),), records=(record,)))


def _record(
    plane: Plane,
    entry: RegistryEntry,
    what: str,
    actor: str,
    now_us: int,
    data: dict[str, Value],
) -> Record:
    return Record(
        kind=f"{entry.kind}.{what}",
        at_us=now_us,
        tenant=entry.tenant,
        actor=actor,
        salt=plane.random.token(SALT_BYTES).hex(),
        data={"name": entry.name, "revision": entry.revision, **data},
    )


def require_room(known: Mapping[str, object], name: str, most: int, what: str) -> None:
    """Raises RegistryFullError when `name` is new and `known` has `most` names already."""
    if name not in known and len(known) >= most:
        raise RegistryFullError(f"a tenant has at most {most} {what}; remove one first")


def fields(value: msgspec.Struct) -> dict[str, Value]:
    """The fields of a value, but its name, as a record holds them."""
    plain = msgspec.to_builtins(value).items()
    return {
        name: tuple(item) if isinstance(item, list) else item
        for name, item in plain
        if name != "name"
    }
