"""Read jobs, decisions and snapshots. For a subject, those of another tenant do not exist, nor do
jobs of principals that it may not see (`identity/visibility.py`): an agent reads its own alone.

Every read of a job on behalf of a subject goes through here.
"""

from collections.abc import Sequence

import msgspec

from forestall.control.plane import Plane
from forestall.errors import NotFoundError
from forestall.identity.credentials import Subject
from forestall.identity.visibility import (
    may_see,
    may_see_facts,
    may_see_payloads,
    visible_principals,
)
from forestall.jobs.job import WITHHELD_PAYLOAD, DecisionRecord, Job
from forestall.limits import PAGE_ITEMS_MAX
from forestall.ports.entries import PLATFORM_TENANT, Activation, EntryKind
from forestall.ports.store import (
    JobCursor,
    JobFilter,
    JobView,
    listed_at_us,
)


class JobNotFoundError(NotFoundError):
    """There is no job with this id in this tenant, or it is none of yours and your role sees only
    its own."""

    code, http_status = "job_not_found", 404


async def find_job(plane: Plane, subject: Subject, job_id: str) -> JobView | None:
    """One job that the subject may see; None for every other id, whether such a job exists or not.
    Nothing of a job is loaded before it is known that the subject may see it, so that neither the
    answer nor its time depends on a hidden job."""
    if await _is_hidden(plane, subject, job_id):
        return None
    return await plane.store.job(subject.tenant, job_id)


async def _is_hidden(plane: Plane, subject: Subject, job_id: str) -> bool:
    if visible_principals(subject) is None:
        return False
    submitters = await plane.store.submitters(subject.tenant, (job_id,))
    return not may_see(subject, submitters.get(job_id))


async def read_job(plane: Plane, subject: Subject, job_id: str) -> JobView:
    """One job that the subject may see. Raises JobNotFoundError."""
    view = await find_job(plane, subject, job_id)
    if view is None:
        raise JobNotFoundError(
            "job not found; `GET /api/v1/jobs` lists the jobs that your key may see"
        )
    return view


async def read_decisions(
    plane: Plane, subject: Subject, job_id: str, *, limit: int
) -> Sequence[DecisionRecord]:
    """The decisions on one job, newest first. Raises JobNotFoundError."""
    decisions: Sequence[DecisionRecord] = ()
    # Facts hold labels as they were sent, and pieces of the payload.
    if not await _is_hidden(plane, subject, job_id):
        decisions = await plane.store.decisions(subject.tenant, job_id, limit=limit)
    if not decisions:
        await read_job(plane, subject, job_id)  # raises when there is no such job
    if may_see_facts(subject):
        return decisions
    return [msgspec.structs.replace(each, facts=(), conflicts=()) for each in decisions]


def shown(subject: Subject, view: JobView) -> JobView:
    """The job as the subject may read it. Without `payloads.read` it has no labels, and
    WITHHELD_PAYLOAD stands for its payload."""
    if may_see_payloads(subject):
        return view
    return JobView(msgspec.structs.replace(view.job, labels={}), WITHHELD_PAYLOAD)


async def read_result(plane: Plane, subject: Subject, job: Job) -> bytes | None:
    """The released result of a job that the subject was shown; None: there is none, or the subject
    may not read it."""
    if not may_see_payloads(subject):
        return None
    return await plane.store.result(job.tenant, job.id)


def read_progress(plane: Plane, subject: Subject, job: Job) -> tuple[str, int]:
    """What the worker said last of a job, and its percentage. The text needs `payloads.read`."""
    leased = plane.leases.get(job.tenant, job.id)
    if leased is None:
        return "", 0
    return leased.progress if may_see_payloads(subject) else "", leased.percent


async def list_jobs(
    plane: Plane,
    subject: Subject,
    job_filter: JobFilter,
    *,
    limit: int,
    after: JobCursor | None,
) -> tuple[Sequence[Job], JobCursor | None]:
    """A page of the jobs that the subject may see, newest change first, and the cursor of the next
    page (None at the end). Tenant and principals of the filter are the subject's, whatever it
    says."""
    limit = max(1, min(limit, PAGE_ITEMS_MAX))
    job_filter = msgspec.structs.replace(
        job_filter, tenant=subject.tenant, principals=visible_principals(subject)
    )
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
