"""Statistics of the approvals of a tenant, read from the store page by page, within a bound."""

from forestall.control.plane import Plane
from forestall.control.read import list_jobs
from forestall.identity.credentials import Subject
from forestall.jobs.approval_stats import ApprovalAnalytics, GroupBy, tally
from forestall.jobs.job import Job
from forestall.limits import ANALYTICS_APPROVALS_MAX, PAGE_ITEMS_MAX
from forestall.ports.store import JobCursor, JobFilter


async def approval_analytics(
    plane: Plane, subject: Subject, *, since_us: int, until_us: int, group_by: GroupBy | None
) -> ApprovalAnalytics:
    """The statistics of approvals asked for from `since_us` on and before `until_us` (µs, UTC)."""
    job_filter = JobFilter(tenant=subject.tenant, asked=True)
    jobs: list[Job] = []
    # Pages run from the last asked to the first, so the cursor is where the window ends.
    after: JobCursor | None = JobCursor(until_us, "")
    truncated = False
    while after is not None:
        page, after = await list_jobs(plane, subject, job_filter, limit=PAGE_ITEMS_MAX, after=after)
        in_window = [job for job in page if job.asked_at_us >= since_us]
        jobs += in_window
        if len(in_window) < len(page):
            break
        if len(jobs) >= ANALYTICS_APPROVALS_MAX:
            truncated = after is not None
            break
    whole, groups = tally(jobs, group_by)
    return ApprovalAnalytics(
        since_us=since_us, until_us=until_us, whole=whole, groups=groups, truncated=truncated
    )
