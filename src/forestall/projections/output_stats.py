"""The number of results of each tenant checked in the last day, by verdict.

Counted since the start of this process, in intervals of ten minutes. Lost with the process: the log
and the metrics of a monitoring system keep the history.
"""

from forestall.jobs.checked_output import OutputCounts
from forestall.policy.rules import Verdict

_PIECE_US = 600 * 1_000_000
_PIECES = 24 * 6
_NAMES = {
    Verdict.ALLOW: "allowed",
    Verdict.REDACT: "redacted",
    Verdict.QUARANTINE: "quarantined",
}
TENANTS_MAX = 10_000  # about 15 KB each; past it the tenant longest without a result is forgotten


class OutputStats:
    """Counts of checked results by tenant, since `since_us` (µs, UTC). For one thread."""

    __slots__ = ("_last_us", "_pieces", "since_us")

    def __init__(self, now_us: int) -> None:
        self.since_us = now_us
        self._pieces: dict[str, dict[int, OutputCounts]] = {}
        self._last_us: dict[str, int] = {}

    def checked(self, tenant: str, verdict: Verdict, spent_us: int, *, now_us: int) -> None:
        """Count one checked result; its check took `spent_us` microseconds."""
        pieces = self._pieces.pop(tenant, {})
        if len(self._pieces) >= TENANTS_MAX:
            forgotten = next(iter(self._pieces))
            del self._pieces[forgotten], self._last_us[forgotten]
        self._pieces[tenant] = pieces
        self._last_us[tenant] = now_us
        number = now_us // _PIECE_US
        for old in [each for each in pieces if not 0 <= number - each < _PIECES]:
            del pieces[old]
        one = OutputCounts(spent_us=spent_us)
        setattr(one, _NAMES[verdict], 1)
        pieces.setdefault(number, OutputCounts()).add(one)

    def of_day(self, tenant: str, *, now_us: int) -> tuple[OutputCounts, int]:
        """The counts of the last 24 hours, and the instant (µs, UTC) of the tenant's last checked
        result; 0: none since the start."""
        number = now_us // _PIECE_US
        counts = OutputCounts()
        for piece, those in self._pieces.get(tenant, {}).items():
            if 0 <= number - piece < _PIECES:
                counts.add(those)
        return counts, self._last_us.get(tenant, 0)
