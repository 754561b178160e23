"""Approval analytics → JSON. Times are in seconds, null where there is none."""

import re
from typing import Any

from msgspec import UNSET, UnsetType

from forestall.errors import InvalidRequestError
from forestall.jobs.approval_stats import (
    ApprovalAnalytics,
    GroupBy,
    Tally,
    average,
    percentile,
)
from forestall.limits import ANALYTICS_DAYS_DEFAULT, ANALYTICS_DAYS_MAX
from forestall.wire.compat import iso_time
from forestall.wire.objects import WireObject

_WINDOW = re.compile(r"([0-9]{1,6})([mhd])")
_UNIT_US = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


class WindowObject(WireObject, frozen=True):
    """From when to when."""

    since: str
    until: str


class TallyObject(WireObject, frozen=True):
    """Some approvals, counted."""

    total: int
    approved: int
    rejected: int
    expired: int
    pending: int
    invalidated: int
    cancelled: int
    auto_resolved: int
    manual_resolved: int
    approve_rate: float | None
    avg_time_to_approve_seconds: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    avg_time_to_decide_seconds: float | None


class GroupTallyObject(TallyObject, frozen=True):
    """The approvals of one group; some counts stand under a second name."""

    key: str
    label: str
    auto_count: int
    manual_count: int
    avg_ttar_seconds: float | None
    p90_seconds: float | None


class AnalyticsObject(WireObject, frozen=True):
    """How approvals went; the groups come with `group_by`."""

    window: WindowObject
    summary: TallyObject
    truncated: bool
    group_by: GroupBy | UnsetType = UNSET
    groups: list[GroupTallyObject] | UnsetType = UNSET
    groups_left_off: int | UnsetType = UNSET


def parse_window(text: str) -> int:
    """The microseconds of a length of time such as `24h` or `7d`. Raises InvalidRequestError."""
    if not text:
        return ANALYTICS_DAYS_DEFAULT * _UNIT_US["d"]
    parts = _WINDOW.fullmatch(text)
    length_us = int(parts[1]) * _UNIT_US[parts[2]] if parts else 0
    if not 0 < length_us <= ANALYTICS_DAYS_MAX * _UNIT_US["d"]:
        raise InvalidRequestError(
            f"`window` is a time such as 90m, 24h or 7d, up to {ANALYTICS_DAYS_MAX}d"
        )
    return length_us


def parse_group_by(text: str) -> GroupBy | None:
    """The property to group by; None for `overall` or an empty text. Raises InvalidRequestError."""
    if text in ("", "overall"):
        return None
    try:
        return GroupBy(text.lower())
    except ValueError:
        raise InvalidRequestError("`group_by` is one of " + ", ".join(GroupBy)) from None


def analytics_object(
    analytics: ApprovalAnalytics, group_by: GroupBy | None, *, limit: int
) -> AnalyticsObject:
    """The body of the answer, with at most `limit` groups: those with the most approvals."""
    groups: dict[str, Any] = {}
    if group_by is not None:
        ordered = sorted(analytics.groups.items(), key=lambda item: (-item[1].total, item[0]))
        groups = {
            "group_by": group_by,
            "groups": [_group_object(name, tally) for name, tally in ordered[:limit]],
            "groups_left_off": max(0, len(ordered) - limit),
        }
    return AnalyticsObject(
        window=WindowObject(since=iso_time(analytics.since_us), until=iso_time(analytics.until_us)),
        summary=_tally_object(analytics.whole),
        truncated=analytics.truncated,
        **groups,
    )


def _group_object(name: str, tally: Tally) -> GroupTallyObject:
    counts = _tally_object(tally)
    # The same numbers again, under the names that published clients read in a group.
    return GroupTallyObject.of(
        counts,
        key=name,
        label=name,
        auto_count=counts.auto_resolved,
        manual_count=counts.manual_resolved,
        avg_ttar_seconds=counts.avg_time_to_approve_seconds,
        p90_seconds=counts.p90,
    )


def _tally_object(tally: Tally) -> TallyObject:
    after_us = tally.approved_after_us
    return TallyObject.of(
        tally,
        auto_resolved=tally.expired + tally.invalidated + tally.cancelled,
        manual_resolved=tally.decided,
        avg_time_to_approve_seconds=_seconds(average(after_us)),
        avg_time_to_decide_seconds=_seconds(average(tally.decided_after_us)),
        **{f"p{part}": _seconds(percentile(after_us, part)) for part in (50, 90, 99)},
    )


def _seconds(value_us: float | None) -> float | None:
    return None if value_us is None else value_us / 1_000_000
