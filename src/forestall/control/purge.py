"""Originals that were not released end after their time; the job and its findings stay."""

from forestall.control.plane import Plane
from forestall.control.records import SALT_BYTES, original_purged
from forestall.limits import PURGED_AT_ONCE_MAX
from forestall.ports.change import Change, DropSealed


async def purge(plane: Plane) -> int:
    """Remove what is past its time now; how many. Raises StoreUnavailableError; then it is due."""
    now_us = plane.clock.now_us()
    before_us = now_us - plane.output.sealed_us
    due = await plane.store.sealed_before(before_us, limit=PURGED_AT_ONCE_MAX)
    if not due:
        return 0
    records = tuple(
        original_purged(each, at_us=now_us, salt=plane.random.token(SALT_BYTES)) for each in due
    )
    drops = tuple(DropSealed(each.tenant, each.job_id) for each in due)
    await plane.commit(Change(records=records, puts=drops))
    return len(due)
