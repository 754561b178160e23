"""The clock of a server: it follows the machine's clock, but never goes back.

What has expired (a key, an approval, a lease, a deadline, a link) must stay expired when somebody
sets the machine's clock back, also over a restart: a start begins no earlier than the last record
of the log and the latest time that an earlier run has seen (`last_seen.py`). While the machine's
clock is behind, this clock runs at half speed until the machine's clock has caught up. Corrects no
clock that is ahead.
"""

import logging
import time
from collections.abc import Callable

_LOG = logging.getLogger("forestall.clock")
_LOGGED_NS = 1_000_000_000  # a smaller step is how machines keep their clock right


class ForwardClock:
    """See above. For one thread. `wall_ns` is the machine's clock (ns since the Unix epoch, UTC),
    `elapsed_ns` a clock that nobody can set."""

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        elapsed_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns, self._elapsed_ns = wall_ns, elapsed_ns
        self._latest_ns = 0
        self._elapsed_before_ns = elapsed_ns()  # at the answer before
        self._is_behind = False  # and that was logged

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC; never less than any earlier answer."""
        wall, elapsed = self._wall_ns(), self._elapsed_ns()
        if wall >= self._latest_ns:
            self._latest_ns = wall
            if self._is_behind:
                self._is_behind = False
                _LOG.warning("the system clock has caught up with the time of this server")
        else:
            if not self._is_behind and self._latest_ns - wall >= _LOGGED_NS:
                self._is_behind = True
                _LOG.warning(
                    "the system clock is %d seconds behind the latest time that this server has"
                    " seen: it was set back, or was ahead before. What has expired stays expired;"
                    " set the system clock right",
                    (self._latest_ns - wall) // 1_000_000_000,
                )
            self._latest_ns += max(0, elapsed - self._elapsed_before_ns) // 2
        self._elapsed_before_ns = elapsed
        return self._latest_ns // 1_000

    def not_before(self, at_us: int) -> None:
        """Answer no instant before this one (µs since the epoch) from now on."""
        self._latest_ns = max(self._latest_ns, at_us * 1_000)
