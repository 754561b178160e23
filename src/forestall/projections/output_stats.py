"""The number of results of each tenant checked in the last day, by verdict.

Counted since the start of this process, in intervals of ten minutes. Lost with the process: the log
and the metrics of a monitoring system keep the history.
"""

from forestall.jobs.checked_output import OutputCounts
from forestall.policy.rules import Verdict

_INTERVAL_US = 600 * 1_000_000
_INTERVALS_PER_DAY = 24 * 6
_NAMES = {
    Verdict.ALLOW: "allowed",
    Verdict.REDACT: "redacted",
    Verdict.QUARANTINE: "quarantined",
}
TENANTS_MAX = 10_000  # about 15 KB each; past it the tenant longest without a result is forgotten


class OutputStats:
    """Counts of checked results by tenant, since `since_us` (µs, UTC). For one thread."""

    __slots__ = ("_intervals", "_last_us", "since_us")

    def __init__(self, now_us: int) -> None:
        self.since_us = now_us
        # By tenant and number of the interval; the tenant with the newest result stands last.
        self._intervals: dict[str, dict[int, OutputCounts]] = {}
        self._last_us: dict[str, int] = {}  # by tenant, the instant of the newest result

    def checked(self, tenant: str, verdict: Verdict, spent_us: int, *, now_us: int) -> None:
        """Count one checked result; its check took `spent_us` microseconds."""
        intervals = self._intervals.pop(tenant, {})
        if len(self._intervals) >= TENANTS_MAX:
            forgotten = next(iter(self._intervals))
            del self._intervals[forgotten], self._last_us[forgotten]
        self._intervals[tenant] = intervals
        self._last_us[tenant] = now_us
        current = now_us // _INTERVAL_US
        for number in [number for number in intervals if not _is_of_last_day(number, current)]:
            del intervals[number]
        counted = OutputCounts(spent_us=spent_us)
        setattr(counted, _NAMES[verdict], 1)
        intervals.setdefault(current, OutputCounts()).add(counted)

    def of_day(self, tenant: str, *, now_us: int) -> tuple[OutputCounts, int]:
        """The counts of the last 24 hours, and the instant (µs, UTC) of the tenant's last checked
        result; 0: none since the start."""
        current = now_us // _INTERVAL_US
        total = OutputCounts()
        for number, counts in self._intervals.get(tenant, {}).items():
            if _is_of_last_day(number, current):
                total.add(counts)
        return total, self._last_us.get(tenant, 0)


def _is_of_last_day(number: int, current: int) -> bool:
    return 0 <= current - number < _INTERVALS_PER_DAY
