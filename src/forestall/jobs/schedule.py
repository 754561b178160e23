"""Which queued job runs next: fair between tenants, no priority starves, oldest first. No clock.

The queue is a view of the store, rebuilt at start; losing an entry costs time, never a job. A lane
holds jobs that the same workers can serve (same tenant, topic, capability, requirements).
"""

import heapq
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from forestall.jobs.job import Job, Priority

# Of 21 picks at full load, so many go to each priority: urgent first, yet none waits for ever.
SHARES = {Priority.CRITICAL: 16, Priority.INTERACTIVE: 4, Priority.BATCH: 1}
_STRIDES = {priority: 16 // share for priority, share in SHARES.items()}
_SWEEP_EVERY = 1_000  # entries taken out, beyond as many as still wait


class Lane(NamedTuple):
    """What decides who can serve a job."""

    tenant: str
    topic: str
    capability: str
    requires: tuple[str, ...]


class QueueEntry(NamedTuple):
    """One queued job. `since_us` orders jobs of one priority."""

    lane: Lane
    job_id: str
    priority: Priority
    since_us: int
    not_before_us: int


Serves = Callable[[Lane], bool]


def entry_of(job: Job) -> QueueEntry:
    """The queue's view of a waiting job."""
    lane = Lane(job.tenant, job.topic, job.capability, tuple(sorted(job.requires)))
    return QueueEntry(lane, job.id, job.priority, job.created_at_us, job.not_before_us)


class _Line:
    """The lanes of one tenant. A priority that was idle gets no credit for it."""

    __slots__ = ("_lined", "_passes", "lanes", "served")

    def __init__(self, served: int) -> None:
        self.served = served  # picks so far, never behind the tenants that were waiting
        self.lanes: dict[Lane, dict[Priority, deque[QueueEntry]]] = {}
        self._passes = dict.fromkeys(Priority, 0)
        self._lined = dict.fromkeys(Priority, 0)

    def add(self, entry: QueueEntry, *, first: bool) -> None:
        priority = entry.priority
        if not self._lined[priority]:
            busy = [self._passes[other] for other in Priority if self._lined[other]]
            self._passes[priority] = max(self._passes[priority], min(busy, default=0))
        self._lined[priority] += 1
        entries = self.lanes.setdefault(entry.lane, {}).setdefault(priority, deque())
        if first:
            entries.appendleft(entry)
        else:
            entries.append(entry)

    def pick(self, serves: Serves, waits: Callable[[QueueEntry], bool]) -> QueueEntry | None:
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
        """Forget what was taken out."""
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
            entries.popleft()  # it was taken out meanwhile
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


class Queue:
    """Everything that waits for a worker. For one thread."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], QueueEntry] = {}
        self._lines: dict[str, _Line] = {}
        self._later: list[tuple[int, int, QueueEntry]] = []
        self._parked: dict[Hashable, deque[QueueEntry]] = {}
        self._counts: dict[str, int] = {}
        self._number = 0
        self._taken_out = 0  # since the last sweep

    def __len__(self) -> int:
        return len(self._entries)

    def count(self, tenant: str) -> int:
        """How many jobs of a tenant wait."""
        return self._counts.get(tenant, 0)

    def lane_count(self, tenant: str) -> int:
        """How many kinds of work of a tenant wait; the cost of a pick grows with it."""
        line = self._lines.get(tenant)
        return len(line.lanes) if line is not None else 0

    def has_lane(self, lane: Lane) -> bool:
        """Whether such work waits already."""
        line = self._lines.get(lane.tenant)
        return line is not None and lane in line.lanes

    def get(self, tenant: str, job_id: str) -> QueueEntry | None:
        """The entry of a job, wherever it waits."""
        return self._entries.get((tenant, job_id))

    def __iter__(self) -> Iterator[QueueEntry]:
        return iter(list(self._entries.values()))

    def add(self, entry: QueueEntry, *, now_us: int, first: bool = False) -> None:
        """Queue a job; one that is queued already is moved. `first`: it had waited its turn."""
        self.remove(entry.lane.tenant, entry.job_id)
        tenant = entry.lane.tenant
        self._entries[tenant, entry.job_id] = entry
        self._counts[tenant] = self._counts.get(tenant, 0) + 1
        if entry.not_before_us > now_us:
            self._number += 1
            heapq.heappush(self._later, (entry.not_before_us, self._number, entry))
        else:
            self._line_up(entry, first=first)

    def remove(self, tenant: str, job_id: str) -> None:
        """Take a job out, wherever it waits; nothing happens when it does not."""
        if self._entries.pop((tenant, job_id), None) is not None:
            left = self._counts[tenant] - 1
            if left:
                self._counts[tenant] = left
            else:
                del self._counts[tenant]
            self._taken_out += 1
            if self._taken_out > len(self._entries) + _SWEEP_EVERY:
                self._sweep()

    def park(self, entry: QueueEntry, key: Hashable) -> None:
        """Keep a picked job until `unpark(key)`: it waits for another of its kind to end."""
        tenant = entry.lane.tenant
        self.remove(tenant, entry.job_id)  # should it have been queued again meanwhile
        self._entries[tenant, entry.job_id] = entry
        self._counts[tenant] = self._counts.get(tenant, 0) + 1
        self._parked.setdefault(key, deque()).append(entry)

    def unpark(self, key: Hashable) -> bool:
        """Let the first of those that were parked under the key line up again, in front."""
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
        """Let all of them line up again: what bound them may have changed."""
        parked, self._parked = self._parked, {}
        for entries in parked.values():
            for entry in reversed(entries):
                if self._waits(entry):
                    self._line_up(entry, first=True)
        return bool(parked)

    def due_us(self) -> int | None:
        """When the next held job may run; None when none is held."""
        while self._later and not self._waits(self._later[0][2]):
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None

    def ripen(self, now_us: int) -> list[QueueEntry]:
        """Line up the held jobs whose instant has come."""
        ripe = []
        while (due := self.due_us()) is not None and due <= now_us:
            entry = heapq.heappop(self._later)[2]
            self._line_up(entry, first=False)
            ripe.append(entry)
        return ripe

    def pick(self, serves: Serves) -> QueueEntry | None:
        """Take the next job that the asking worker can serve; None when there is none."""
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
        """Forget what was taken out: without workers nothing else would."""
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

    def _waits(self, entry: QueueEntry) -> bool:
        return self._entries.get((entry.lane.tenant, entry.job_id)) is entry

    def _line_up(self, entry: QueueEntry, *, first: bool) -> None:
        line = self._lines.get(entry.lane.tenant)
        if line is None:
            served = min((line.served for line in self._lines.values()), default=0)
            line = self._lines[entry.lane.tenant] = _Line(served)
        line.add(entry, first=first)
