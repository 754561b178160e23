"""Commit registry entries, or their removal, with their record.

The verbs (topics.py, pools.py, schemas.py, webhooks.py) judge the request; nothing is decided here.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from forestall.audit.record import Value
from forestall.control.plane import Plane
from forestall.control.records import record_of
from forestall.errors import ConflictError
from forestall.ports.change import Change, DropEntry, Precondition, Put, PutEntry
from forestall.ports.entries import EntryKind, RegistryEntry, entry_after
from forestall.projections.registry import DecodedEntry

T = TypeVar("T")


class RegistryFullError(ConflictError):
    """The tenant has the greatest allowed number of topics, pools or schemas; remove one first."""

    code, http_status = "registry_full", 409


async def commit_entries(
    plane: Plane,
    kind: str,
    tenant: str,
    actor: str,
    data: Mapping[str, Value],
    *,
    puts: Sequence[RegistryEntry] = (),
    drops: Sequence[RegistryEntry] = (),
    at_us: int | None = None,
    job_id: str = "",
    expect: tuple[Precondition, ...] = (),
) -> None:
    """Commit entries and removals of entries with one record of this kind; see `record_of`. Raises
    PreconditionFailedError."""
    record = record_of(
        plane, kind, tenant=tenant, actor=actor, at_us=at_us, job_id=job_id, data=data
    )
    changes: tuple[Put, ...] = (*map(PutEntry, puts), *map(DropEntry, drops))
    # commit
    await plane.commit(Change(expect=expect, puts=changes, records=(record,)))


async def put_entry(
    plane: Plane,
    current: DecodedEntry[T] | None,
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
    before, now_us = current.entry if current is not None else None, plane.clock.now_us()
    entry = entry_after(before, tenant, kind, name, body, now_us=now_us)
    what = "changed" if current else "created"
    data = {"name": name, "revision": entry.revision, **data}
    await commit_entries(
        plane,
        f"{kind}.{what}",
        tenant,
        actor,
        data,
        puts=(entry,),
        at_us=now_us,
        expect=expect,
    )


async def drop_entry(
    plane: Plane, current: DecodedEntry[T], *, actor: str, data: dict[str, Value] | None = None
) -> None:
    """Commit the removal of an entry with its record. Raises PreconditionFailedError."""
    entry = current.entry
    data = {"name": entry.name, "revision": entry.revision, **(data or {})}
    await commit_entries(plane, f"{entry.kind}.removed", entry.tenant, actor, data, drops=(entry,))


def require_room(names: Mapping[str, object], name: str, most: int, what: str) -> None:
    """Raises RegistryFullError when `name` is new and `known` has `most` names already."""
    if name not in names and len(names) >= most:
        raise RegistryFullError(f"a tenant has at most {most} {what}; remove one first")


def fields(value: msgspec.Struct) -> dict[str, Value]:
    """The fields of a value, but its name, as a record holds them."""
    plain = msgspec.to_builtins(value).items()
    return {
        name: tuple(item) if isinstance(item, list) else item
        for name, item in plain
        if name != "name"
    }
