"""Fields of a query string → values. Raises InvalidRequestError, which names the field."""

from datetime import datetime

from forestall.errors import InvalidRequestError
from forestall.jobs.job import JobState
from forestall.limits import PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX


def limit_of(query: dict[str, str]) -> int:
    """The greatest number of items on a page."""
    text = query.get("limit", "")
    if text and (not text.isdecimal() or len(text) > 9 or int(text) == 0):
        raise InvalidRequestError(f"`limit` is a whole number from 1 to {PAGE_ITEMS_MAX}")
    return min(int(text), PAGE_ITEMS_MAX) if text else PAGE_ITEMS_DEFAULT


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
