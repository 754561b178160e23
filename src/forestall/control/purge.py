"""Remove sealed originals that are past their time. The job and its findings stay."""

import asyncio

from forestall.control.plane import Plane
from forestall.control.records import SYSTEM_ACTOR, record_of
from forestall.limits import PURGED_AT_ONCE_MAX
from forestall.ports.change import Change, DropEntry
from forestall.ports.entries import EntryKind, EntryName
from forestall.ports.store import PreconditionFailedError


async def purge(plane: Plane) -> int:
    """Remove a page of originals that are past their time, and return how many were due. Raises
    StoreUnavailableError; what was not removed stays due."""
    before_us = plane.clock.now_us() - plane.output.sealed_us
    due = await plane.store.entries_before(EntryKind.ORIGINAL, before_us, limit=PURGED_AT_ONCE_MAX)
    outcomes = await asyncio.gather(*(_remove(plane, name) for name in due), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return len(due)


async def _remove(plane: Plane, name: EntryName) -> None:
    # load
    original = await plane.store.entry(name.tenant, EntryKind.ORIGINAL, name.name)
    if original is None:
        return  # a person has released or discarded it meanwhile
    # decide
    record = record_of(
        plane,
        "output.purged",
        tenant=name.tenant,
        actor=SYSTEM_ACTOR,
        job_id=name.name,
        data={"checked_at_us": name.updated_at_us},
    )
    # commit, and announce: the original is read from the store
    try:
        await plane.commit(Change(records=(record,), puts=(DropEntry(original),)))
    except PreconditionFailedError:
        return  # a person has released or discarded it just now
