"""Fields of a query string → values, and the page of jobs that they ask for.

A field that cannot be read raises InvalidRequestError, which names the field.
"""

from collections.abc import Sequence
from datetime import datetime

from forestall.control.plane import Plane
from forestall.control.read import list_jobs
from forestall.errors import InvalidRequestError
from forestall.jobs.job import Job, JobState
from forestall.limits import PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX
from forestall.ports.store import JobCursor, JobFilter
from forestall.server.endpoints import Call
from forestall.wire.jobs import decode_cursor, encode_cursor
from forestall.wire.submissions import TENANT_ACCESS_DENIED, TenantAccessError

TENANT_FIELDS = ("tenant", "tenant_id", "org_id")


def require_own_tenant(call: Call) -> None:
    """Raises TenantAccessError when the query names another tenant than that of the key."""
    tenant = call.who.tenant
    if any(call.query.get(name, tenant) != tenant for name in TENANT_FIELDS):
        raise TenantAccessError(TENANT_ACCESS_DENIED)


def limit_of(query: dict[str, str]) -> int:
    """The greatest number of items on a page."""
    text = query.get("limit", "")
    if text and (not text.isdecimal() or len(text) > 9 or int(text) == 0):
        raise InvalidRequestError(f"`limit` is a whole number from 1 to {PAGE_ITEMS_MAX}")
    return min(int(text), PAGE_ITEMS_MAX) if text else PAGE_ITEMS_DEFAULT


async def page_of(plane: Plane, call: Call, job_filter: JobFilter) -> tuple[Sequence[Job], str]:
    """The jobs of the page that the query asks for, and the cursor of the next page."""
    cursor = call.query.get("cursor")
    after = JobCursor(*decode_cursor(cursor)) if cursor else None
    limit = limit_of(call.query)
    jobs, following = await list_jobs(plane, call.who, job_filter, limit=limit, after=after)
    return jobs, encode_cursor(following.updated_at_us, following.job_id) if following else ""


def state_of(text: str | None) -> JobState | None:
    """The state that jobs of a list are in; None: any state."""
    if not text:
        return None
    try:
        return JobState(text.upper())
    except ValueError:
        raise InvalidRequestError("`state` is one of " + ", ".join(JobState)) from None


def instant_us(query: dict[str, str], field: str) -> int | None:
    """An instant in µs since 1970, from that number or from a time with its zone."""
    text = query.get(field)
    if not text:
        return None
    if text.isdecimal() and len(text) <= 16:
        return int(text)
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))
        return int(at.timestamp() * 1_000_000)
    except (ValueError, OverflowError, OSError):
        raise InvalidRequestError(
            f"`{field}` is a time such as 2026-06-01T12:00:00Z, or microseconds since 1970"
        ) from None
