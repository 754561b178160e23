"""Instants at which a job must be read again: its deadline, or the end of its approval."""

import heapq

Due = tuple[int, str, str]  # instant (µs, UTC), tenant, job id


class Deadlines:
    """A heap of instants. An instant may be out of date: the job is read before it is judged."""

    def __init__(self) -> None:
        self._heap: list[Due] = []

    def watch(self, at_us: int, tenant: str, job_id: str) -> None:
        """Have a job read again at an instant."""
        heapq.heappush(self._heap, (at_us, tenant, job_id))

    def pop_due(self, now_us: int) -> Due | None:
        """The earliest instant that has come, taken out; None when none has."""
        if self._heap and self._heap[0][0] <= now_us:
            return heapq.heappop(self._heap)
        return None

    def put_back(self, due: Due) -> None:
        """Put an instant back whose job could not be read or moved: the job is still due."""
        heapq.heappush(self._heap, due)

    def clear(self) -> None:
        """Watch nothing any more."""
        self._heap.clear()
