"""Read jobs, decisions and snapshots. For a subject, those of another tenant do not exist."""

from collections.abc import Sequence

import msgspec

from forestall.control.plane import Plane
from forestall.errors import NotFoundError
from forestall.identity.credentials import Subject
from forestall.jobs.job import DecisionRecord, Job
from forestall.limits import PAGE_ITEMS_MAX
from forestall.ports.entries import PLATFORM_TENANT, Activation, EntryKind
from forestall.ports.store import JobCursor, JobFilter, JobView, listed_at_us


class JobNotFoundError(NotFoundError):
    """There is no job with this id in this tenant."""

    code, http_status = "job_not_found", 404


async def read_job(plane: Plane, subject: Subject, job_id: str) -> JobView:
    """One job of the subject's tenant. Raises JobNotFoundError."""
    view = await plane.store.job(subject.tenant, job_id)
    if view is None:
        raise JobNotFoundError("job not found; `GET /api/v1/jobs` lists the jobs of your tenant")
    return view


async def read_decisions(
    plane: Plane, subject: Subject, job_id: str, *, limit: int
) -> Sequence[DecisionRecord]:
    """The decisions on one job, newest first. Raises JobNotFoundError."""
    decisions = await plane.store.decisions(subject.tenant, job_id, limit=limit)
    if not decisions:
        await read_job(plane, subject, job_id)  # raises when there is no such job
    return decisions


async def list_jobs(
    plane: Plane, job_filter: JobFilter, *, limit: int, after: JobCursor | None
) -> tuple[Sequence[Job], JobCursor | None]:
    """A page of jobs, newest change first, and the cursor of the next page (None at the end)."""
    limit = max(1, min(limit, PAGE_ITEMS_MAX))
    jobs = await plane.store.jobs(job_filter, limit=limit + 1, after=after)
    if len(jobs) <= limit:
        return jobs, None
    page = jobs[:limit]
    last = page[-1]
    return page, JobCursor(listed_at_us(last, job_filter), last.id)


async def list_activations(plane: Plane, *, limit: int) -> list[Activation]:
    """The history of policies in force, newest first."""
    kind = EntryKind.ACTIVATION
    entries = await plane.store.latest_entries(PLATFORM_TENANT, kind, limit=limit)
    return [msgspec.json.decode(entry.body, type=Activation) for entry in entries]
