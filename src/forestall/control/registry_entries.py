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
from forestall.identity.credentials import Subject
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
    subject: Subject,
    kind: EntryKind,
    name: str,
    value: msgspec.Struct | bytes,
    *,
    current: DecodedEntry[T] | None,
    data: Mapping[str, Value],
    expect: tuple[Precondition, ...] = (),
) -> None:
    """Commit an entry of the subject's tenant with its record. `current` is the entry that it
    replaces; None: it is new. Bytes are JSON already. Raises PreconditionFailedError."""
    now_us = plane.clock.now_us()
    before = current.entry if current is not None else None
    entry = entry_after(before, subject.tenant, kind, name, value, now_us=now_us)
    what = "changed" if current else "created"
    await commit_entries(
        plane,
        f"{kind}.{what}",
        subject.tenant,
        subject.principal,
        {"name": name, "revision": entry.revision, **data},
        puts=(entry,),
        at_us=now_us,
        expect=expect,
    )


async def drop_entry(
    plane: Plane,
    subject: Subject,
    current: DecodedEntry[T],
    data: Mapping[str, Value] | None = None,
) -> None:
    """Commit the removal of an entry with its record. Raises PreconditionFailedError."""
    entry = current.entry
    data = {"name": entry.name, "revision": entry.revision, **(data or {})}
    await commit_entries(
        plane, f"{entry.kind}.removed", entry.tenant, subject.principal, data, drops=(entry,)
    )


def require_room(entries: Mapping[str, object], name: str, most: int, what: str) -> None:
    """Raises RegistryFullError when an entry of this name is new and there are `most` already.
    `what` names the entries in the message."""
    if name not in entries and len(entries) >= most:
        raise RegistryFullError(f"a tenant has at most {most} {what}; remove one first")


def fields_but_name(value: msgspec.Struct) -> dict[str, Value]:
    """The fields of a value as a record holds them, without its name."""
    fields = msgspec.to_builtins(value)
    del fields["name"]
    return {
        field: tuple(item) if isinstance(item, list) else item for field, item in fields.items()
    }
