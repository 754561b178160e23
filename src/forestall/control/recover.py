"""After a start: queue, leases and deadlines from what the store holds. A crash loses nothing."""

from forestall.control.follow import follow, watch_deadline
from forestall.control.plane import Plane
from forestall.control.ports import OpenCursor
from forestall.limits import PAGE_ITEMS_MAX


async def recover(plane: Plane) -> int:
    """Take up every unfinished job; how many there are. Every lease gets one full term anew."""
    now_us = plane.clock.now_us()
    after, count = OpenCursor(), 0
    while True:
        page = await plane.store.open_jobs(after=after, limit=PAGE_ITEMS_MAX * 4)
        for job in page:
            follow(plane, job, now_us=now_us)
            if job.deadline_at_us and job.revision > 0:
                watch_deadline(plane, job)
        if not page:
            return count
        count += len(page)
        last = page[-1]
        after = OpenCursor(last.created_at_us, last.tenant, last.id)
