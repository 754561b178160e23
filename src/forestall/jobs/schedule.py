"""The queue: which waiting job runs next. Reads no clock.

Fair between tenants: the tenant with the fewest picks is served first. Fair between priorities:
each gets its share (stride scheduling). Within one priority the oldest job comes first. A lane
holds jobs that the same workers can serve (same tenant, topic, capability, requirements). The queue
is a projection of the store, rebuilt at start: losing an entry costs time, never a job.
"""

import heapq
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple, TypeVar

from forestall.jobs.job import Job, Priority

# Picks for each priority out of 21 at full load: urgent jobs go first, and no priority starves.
SHARES = {Priority.CRITICAL: 16, Priority.INTERACTIVE: 4, Priority.BATCH: 1}
_STRIDES = {priority: 16 // share for priority, share in SHARES.items()}
_SWEEP_EVERY = 1_000  # removals before a sweep, beyond the number of waiting entries


class Lane(NamedTuple):
    """The properties of a job that decide which workers can serve it."""

    tenant: str
    topic: str
    capability: str
    requires: tuple[str, ...]


class QueueEntry(NamedTuple):
    """One queued job. `since_us` is when it was created; a throttled job waits until
    `not_before_us`."""

    lane: Lane
    job_id: str
    priority: Priority
    since_us: int
    not_before_us: int
    key_id: str = ""  # of the submitter, whose share of the queue it takes from


Serves = Callable[[Lane], bool]


def entry_of(job: Job) -> QueueEntry:
    """The queue entry of a waiting job."""
    lane = Lane(job.tenant, job.topic, job.capability, tuple(sorted(job.requires)))
    return QueueEntry(lane, job.id, job.priority, job.created_at_us, job.not_before_us, job.key_id)


class _Line:
    """The lanes of one tenant. A priority that was idle gets no credit for its idle time."""

    __slots__ = ("_lined", "_openers", "_passes", "lanes", "lanes_of_key", "served")

    def __init__(self, served: int) -> None:
        # picks so far; a new tenant starts at the lowest count of the waiting ones
        self.served = served
        self.lanes: dict[Lane, dict[Priority, deque[QueueEntry]]] = {}
        self.lanes_of_key: dict[str, int] = {}  # lanes by the key whose job came first in each
        self._openers: dict[Lane, str] = {}
        self._passes = dict.fromkeys(Priority, 0)
        self._lined = dict.fromkeys(Priority, 0)

    def add(self, entry: QueueEntry, *, first: bool) -> None:
        """Put an entry in its lane. A priority that was empty resumes at the lowest pass of the
        busy ones."""
        priority = entry.priority
        if not self._lined[priority]:
            busy = [self._passes[other] for other in Priority if self._lined[other]]
            self._passes[priority] = max(self._passes[priority], min(busy, default=0))
        self._lined[priority] += 1
        if entry.lane not in self.lanes:
            self._openers[entry.lane] = key = entry.key_id
            self.lanes_of_key[key] = self.lanes_of_key.get(key, 0) + 1
        entries = self.lanes.setdefault(entry.lane, {}).setdefault(priority, deque())
        if first:
            entries.appendleft(entry)
        else:
            entries.append(entry)

    def pick(self, serves: Serves, waits: Callable[[QueueEntry], bool]) -> QueueEntry | None:
        """The oldest entry of the priority with the lowest pass, among the lanes that the worker
        serves.

        Stride scheduling: each pick advances its priority's pass by a stride that is inverse to its
        share.
        """
        heads: dict[Priority, QueueEntry] = {}
        for lane in [lane for lane in self.lanes if serves(lane)]:
            for priority in list(self.lanes[lane]):
                entry = self._head(lane, priority, waits)
                if entry is not None:
                    best = heads.get(priority)
                    if best is None or entry.since_us < best.since_us:
                        heads[priority] = entry
        if not heads:
            return None
        priority = min(heads, key=lambda name: (self._passes[name], _STRIDES[name]))
        self._passes[priority] += _STRIDES[priority]
        entry = heads[priority]
        self._pop(entry.lane, priority)
        return entry

    def sweep(self, waits: Callable[[QueueEntry], bool]) -> None:
        """Drop entries that were removed from the queue."""
        for lane, by_priority in list(self.lanes.items()):
            for priority, entries in list(by_priority.items()):
                kept = deque(entry for entry in entries if waits(entry))
                self._lined[priority] -= len(entries) - len(kept)
                by_priority[priority] = kept
                self._tidy(lane, priority)

    def _head(
        self, lane: Lane, priority: Priority, waits: Callable[[QueueEntry], bool]
    ) -> QueueEntry | None:
        entries = self.lanes[lane][priority]
        while entries and not waits(entries[0]):
            entries.popleft()  # removed from the queue while it was in line
            self._lined[priority] -= 1
        head = entries[0] if entries else None
        self._tidy(lane, priority)
        return head

    def _pop(self, lane: Lane, priority: Priority) -> None:
        self.lanes[lane][priority].popleft()
        self._lined[priority] -= 1
        self._tidy(lane, priority)

    def _tidy(self, lane: Lane, priority: Priority) -> None:
        by_priority = self.lanes[lane]
        if not by_priority[priority]:
            del by_priority[priority]
            if not by_priority:
                del self.lanes[lane]
                _count_down(self.lanes_of_key, self._openers.pop(lane))


class Queue:
    """All jobs that wait for a worker. Not thread-safe."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], QueueEntry] = {}
        self._lines: dict[str, _Line] = {}
        self._later: list[tuple[int, int, QueueEntry]] = []
        self._parked: dict[Hashable, deque[QueueEntry]] = {}
        self._counts: dict[str, int] = {}
        self._counts_of_key: dict[tuple[str, str], int] = {}
        self._number = 0
        self._taken_out = 0  # removals since the last sweep

    def __len__(self) -> int:
        return len(self._entries)

    def count(self, tenant: str) -> int:
        """The number of waiting jobs of a tenant."""
        return self._counts.get(tenant, 0)

    def count_of_key(self, tenant: str, key_id: str) -> int:
        """The number of waiting jobs that came with a key."""
        return self._counts_of_key.get((tenant, key_id), 0)

    def lane_count(self, tenant: str) -> int:
        """The number of lanes of a tenant. The cost of a pick grows with it."""
        line = self._lines.get(tenant)
        return len(line.lanes) if line is not None else 0

    def lane_count_of_key(self, tenant: str, key_id: str) -> int:
        """The number of lanes of a tenant in which a job of this key came first."""
        line = self._lines.get(tenant)
        return line.lanes_of_key.get(key_id, 0) if line is not None else 0

    def has_lane(self, lane: Lane) -> bool:
        """Whether a job of this lane is in line."""
        line = self._lines.get(lane.tenant)
        return line is not None and lane in line.lanes

    def get(self, tenant: str, job_id: str) -> QueueEntry | None:
        """The entry of a job, whether in line, throttled or parked; None without one."""
        return self._entries.get((tenant, job_id))

    def __iter__(self) -> Iterator[QueueEntry]:
        return iter(list(self._entries.values()))

    def add(self, entry: QueueEntry, *, now_us: int, first: bool = False) -> None:
        """Add a job; a job that is queued already is moved. `first`: in front of its lane, because
        it had reached the front before."""
        self.remove(entry.lane.tenant, entry.job_id)
        self._enter(entry)
        if entry.not_before_us > now_us:
            self._number += 1
            heapq.heappush(self._later, (entry.not_before_us, self._number, entry))
        else:
            self._line_up(entry, first=first)

    def remove(self, tenant: str, job_id: str) -> None:
        """Remove a job, whether in line, throttled or parked. Does nothing when the job is not
        queued."""
        entry = self._entries.pop((tenant, job_id), None)
        if entry is not None:
            _count_down(self._counts, tenant)
            _count_down(self._counts_of_key, (tenant, entry.key_id))
            self._taken_out += 1
            if self._taken_out > len(self._entries) + _SWEEP_EVERY:
                self._sweep()

    def park(self, entry: QueueEntry, key: Hashable) -> None:
        """Park a picked job until `unpark(key)`: a bound on concurrent jobs leaves no room for it
        now."""
        # The job may have been queued again since the pick.
        self.remove(entry.lane.tenant, entry.job_id)
        self._enter(entry)
        self._parked.setdefault(key, deque()).append(entry)

    def unpark(self, key: Hashable) -> bool:
        """Put the first job parked under the key back in front of its lane; True when there was
        one."""
        parked = self._parked.get(key)
        found = False
        while parked and not found:
            entry = parked.popleft()
            if self._waits(entry):
                self._line_up(entry, first=True)
                found = True
        if not parked:
            self._parked.pop(key, None)
        return found

    def unpark_all(self) -> bool:
        """Put all parked jobs back in line, because a changed policy may have changed their
        bounds."""
        parked, self._parked = self._parked, {}
        for entries in parked.values():
            for entry in reversed(entries):
                if self._waits(entry):
                    self._line_up(entry, first=True)
        return bool(parked)

    def due_us(self) -> int | None:
        """When the next throttled job is due, in µs (UTC); None without any."""
        while self._later and not self._waits(self._later[0][2]):
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None

    def ripen(self, now_us: int) -> list[QueueEntry]:
        """Put the throttled jobs whose time has come in line, and return them."""
        ripe = []
        while (due := self.due_us()) is not None and due <= now_us:
            entry = heapq.heappop(self._later)[2]
            self._line_up(entry, first=False)
            ripe.append(entry)
        return ripe

    def pick(self, serves: Serves) -> QueueEntry | None:
        """Remove and return the next job that the worker can serve; None without any."""
        for tenant, line in sorted(self._lines.items(), key=lambda item: (item[1].served, item[0])):
            entry = line.pick(serves, self._waits)
            if not line.lanes:
                del self._lines[tenant]
            if entry is not None:
                line.served += 1
                self.remove(tenant, entry.job_id)
                return entry
        return None

    def _sweep(self) -> None:
        """Drop removed entries. Picks drop them too, but without workers nothing is picked."""
        self._taken_out = 0
        for tenant, line in list(self._lines.items()):
            line.sweep(self._waits)
            if not line.lanes:
                del self._lines[tenant]
        self._later = [item for item in self._later if self._waits(item[2])]
        heapq.heapify(self._later)
        for key, parked in list(self._parked.items()):
            self._parked[key] = kept = deque(entry for entry in parked if self._waits(entry))
            if not kept:
                del self._parked[key]

    def _enter(self, entry: QueueEntry) -> None:
        tenant = entry.lane.tenant
        of_key = (tenant, entry.key_id)
        self._entries[tenant, entry.job_id] = entry
        self._counts[tenant] = self._counts.get(tenant, 0) + 1
        self._counts_of_key[of_key] = self._counts_of_key.get(of_key, 0) + 1

    def _waits(self, entry: QueueEntry) -> bool:
        return self._entries.get((entry.lane.tenant, entry.job_id)) is entry

    def _line_up(self, entry: QueueEntry, *, first: bool) -> None:
        line = self._lines.get(entry.lane.tenant)
        if line is None:
            served = min((line.served for line in self._lines.values()), default=0)
            line = self._lines[entry.lane.tenant] = _Line(served)
        line.add(entry, first=first)


_Name = TypeVar("_Name", bound=Hashable)


def _count_down(counts: dict[_Name, int], name: _Name) -> None:
    """One less; a name with none is forgotten."""
    counts[name] -= 1
    if not counts[name]:
        del counts[name]
