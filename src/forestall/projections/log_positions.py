"""Which positions of the log this process has taken up: all before `taken_to`, and ranges beyond it
whose predecessors are still in flight. Reads nothing."""


class LogPositions:
    """A prefix of the log and ranges ahead of it, none of which touch. For one thread."""

    __slots__ = ("_ahead", "_seen", "taken_to")

    def __init__(self, taken_to: int = 0) -> None:
        self.taken_to = taken_to
        # A value of `taken_to`, and the instant (µs) at which `waits_since` first saw that value.
        self._seen = (-1, 0)
        self._ahead: dict[int, int] = {}  # start of a range → its end

    def take(self, start: int, count: int) -> bool:
        """Note that `count` records from `start` on are taken up; False: they were before."""
        if start < self.taken_to or start in self._ahead:
            return False
        self._ahead[start] = start + count
        while self.taken_to in self._ahead:
            self.taken_to = self._ahead.pop(self.taken_to)
        return True

    def is_taken(self, position: int) -> bool:
        """Whether the record at a position was taken up."""
        return position < self.taken_to or any(
            start <= position < end for start, end in self._ahead.items()
        )

    def start_at(self, position: int) -> None:
        """Note that everything before this position was loaded from the store."""
        self.taken_to = max(self.taken_to, position)
        self._ahead = {start: end for start, end in self._ahead.items() if start >= self.taken_to}
        while self.taken_to in self._ahead:
            self.taken_to = self._ahead.pop(self.taken_to)

    def waits_since(self, now_us: int) -> int:
        """For how many microseconds `taken_to` has not moved, counted from the first call that saw
        its present value."""
        if self._seen[0] != self.taken_to:
            self._seen = (self.taken_to, now_us)
        return now_us - self._seen[1]
