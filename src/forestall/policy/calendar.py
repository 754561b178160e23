"""`time`: whether an instant lies in given days and hours of a named zone. Reads no clock.

Zones come from the tzdata package, never from the machine, so that one snapshot means the same
everywhere; the version of tzdata is part of the snapshot digest.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from forestall.policy.rules import TimeMatch

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_PER_DAY = 24 * 60


class CalendarError(ValueError):
    """There is no such time zone, the hours are not well formed, or an instant has no time zone."""


@cache
def zone_rules_version() -> str:
    """The edition of the time zone rules in use."""
    from importlib.metadata import version  # imported here: it takes as long to import as this room

    return version("tzdata")


@cache
def zone(name: str) -> "ZoneInfo":
    """A time zone of the tz database. Raises CalendarError."""
    from importlib.resources import files
    from zoneinfo import ZoneInfo

    parts = name.split("/")
    if not all(
        part and part.replace("_", "").replace("-", "").replace("+", "").isalnum() for part in parts
    ):
        raise CalendarError(f"`{name[:40]}` is not a time zone")
    place = files("tzdata").joinpath("zoneinfo", *parts)
    if not place.is_file():
        raise CalendarError(f"`{name[:40]}` is not a time zone; `Europe/Berlin` is one")
    with place.open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def parse_hours(text: str) -> tuple[int, int]:
    """Minutes of the day: `09:00-17:30` → (540, 1050), the end excluded. `22:00-06:00` goes past
    midnight.

    Raises CalendarError.
    """
    begin, separator, end = text.partition("-")
    minutes = (_minutes(begin), _minutes(end))
    if not separator or minutes[0] == minutes[1] or minutes[0] == MINUTES_PER_DAY:
        raise CalendarError(f"hours are written 09:00-17:30, not `{text[:40]}`")
    return minutes


def _minutes(text: str) -> int:
    hour, separator, minute = text.strip().partition(":")
    digits = hour + minute
    if (
        not separator
        or not (digits.isascii() and digits.isdecimal())
        or len(hour) != 2
        or len(minute) != 2
    ):
        raise CalendarError(f"hours are written 09:00-17:30, not `{text[:40]}`")
    total = int(hour) * 60 + int(minute)
    if int(minute) > 59 or total > MINUTES_PER_DAY:
        raise CalendarError(f"`{text.strip()}` is not a time of day")
    return total


def compile_time(match: TimeMatch) -> Callable[[datetime], bool]:
    """The test whether an instant lies in the days and hours of the match, by the zone's local day.

    The test raises CalendarError for an instant without a time zone.
    """
    where = zone(match.timezone)
    days = frozenset(DAYS.index(day) for day in match.days)

    def holds(now: datetime) -> bool:
        if now.tzinfo is None:  # such an instant would be read in the zone of this machine
            raise CalendarError("the instant of the decision has no time zone")
        local = now.astimezone(where)
        if days and local.weekday() not in days:
            return False
        return in_hours(local.hour * 60 + local.minute, match.hours)

    return holds


def in_hours(minute: int, hours: Sequence[tuple[int, int]]) -> bool:
    """Whether a minute of the day lies in one of the spans of `parse_hours`. No spans: all day."""
    return not hours or any(
        begin <= minute < end if begin < end else minute >= begin or minute < end
        for begin, end in hours
    )
