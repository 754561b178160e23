"""The queue: which waiting job runs next. Reads no clock.

* Tenants: the tenant with the fewest picks so far is served first.
* Priorities of a tenant: each gets its share of the picks by stride scheduling (Waldspurger and
  Weihl, 1995). A pick adds the stride of its priority, which is inverse to the share, to the pass
  of the priority, and the priority with the lowest pass is picked next.
* Jobs of one priority: the oldest comes first.

A *lane* has the jobs that the same workers can serve (same tenant, topic, capability,
requirements). A throttled job waits beside the lanes until its instant, and a *parked* job until a
concurrency slot is free.

An entry that is removed stays in its lane, and is dropped when it comes to the front or at a sweep:
so a removal costs the same wherever the entry stands. The queue is a projection of the store,
rebuilt at start: losing an entry costs time, never a job.
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


Serves = Callable[[Lane], bool]  # whether a worker can serve the jobs of a lane
IsQueued = Callable[[QueueEntry], bool]  # whether an entry was not removed since it was added


def entry_of(job: Job) -> QueueEntry:
    """The queue entry of a waiting job."""
    lane = Lane(job.tenant, job.topic, job.capability, tuple(sorted(job.requires)))
    return QueueEntry(lane, job.id, job.priority, job.created_at_us, job.not_before_us, job.key_id)


class _TenantLanes:
    """The lanes of one tenant."""

    __slots__ = ("_first_keys", "_passes", "_waiting", "lanes", "lanes_of_key", "picks")

    def __init__(self, picks: int) -> None:
        """A new tenant starts at the lowest number of `picks` of the waiting ones."""
        self.picks = picks
        self.lanes: dict[Lane, dict[Priority, deque[QueueEntry]]] = {}
        # Number of lanes by the key whose job came first in the lane.
        self.lanes_of_key: dict[str, int] = {}
        self._first_keys: dict[Lane, str] = {}
        self._passes = dict.fromkeys(Priority, 0)
        self._waiting = dict.fromkeys(Priority, 0)  # number of entries

    def add(self, entry: QueueEntry, *, first: bool) -> None:
        """Put an entry in its lane. A priority that was empty resumes at the lowest pass of the
        busy ones, so that it gets no credit for its idle time."""
        priority = entry.priority
        if not self._waiting[priority]:
            busy = [self._passes[other] for other in Priority if self._waiting[other]]
            self._passes[priority] = max(self._passes[priority], min(busy, default=0))
        self._waiting[priority] += 1
        if entry.lane not in self.lanes:
            self._first_keys[entry.lane] = key = entry.key_id
            self.lanes_of_key[key] = self.lanes_of_key.get(key, 0) + 1
        entries = self.lanes.setdefault(entry.lane, {}).setdefault(priority, deque())
        if first:
            entries.appendleft(entry)
        else:
            entries.append(entry)

    def pick(self, serves: Serves, is_queued: IsQueued) -> QueueEntry | None:
        """Take out the oldest entry of the priority with the lowest pass, among the lanes that the
        worker serves."""
        heads: dict[Priority, QueueEntry] = {}
        for lane in [lane for lane in self.lanes if serves(lane)]:
            for priority in list(self.lanes[lane]):
                entry = self._head(lane, priority, is_queued)
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

    def sweep(self, is_queued: IsQueued) -> None:
        """Drop entries that were removed from the queue."""
        for lane, by_priority in list(self.lanes.items()):
            for priority, entries in list(by_priority.items()):
                kept = deque(entry for entry in entries if is_queued(entry))
                self._waiting[priority] -= len(entries) - len(kept)
                by_priority[priority] = kept
                self._drop_if_empty(lane, priority)

    def _head(self, lane: Lane, priority: Priority, is_queued: IsQueued) -> QueueEntry | None:
        entries = self.lanes[lane][priority]
        while entries and not is_queued(entries[0]):
            entries.popleft()  # it was removed from the queue
            self._waiting[priority] -= 1
        head = entries[0] if entries else None
        self._drop_if_empty(lane, priority)
        return head

    def _pop(self, lane: Lane, priority: Priority) -> None:
        self.lanes[lane][priority].popleft()
        self._waiting[priority] -= 1
        self._drop_if_empty(lane, priority)

    def _drop_if_empty(self, lane: Lane, priority: Priority) -> None:
        by_priority = self.lanes[lane]
        if not by_priority[priority]:
            del by_priority[priority]
            if not by_priority:
                del self.lanes[lane]
                _decrement(self.lanes_of_key, self._first_keys.pop(lane))


class Queue:
    """All jobs that wait for a worker. Not thread-safe."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], QueueEntry] = {}
        self._by_tenant: dict[str, _TenantLanes] = {}
        # A heap by the instant of an entry, and by the order of arrival at one instant.
        self._throttled: list[tuple[int, int, QueueEntry]] = []
        self._parked: dict[Hashable, deque[QueueEntry]] = {}
        self._counts: dict[str, int] = {}
        self._counts_of_key: dict[tuple[str, str], int] = {}
        self._throttle_order = 0
        self._removals = 0  # since the last sweep

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
        tenant_lanes = self._by_tenant.get(tenant)
        return len(tenant_lanes.lanes) if tenant_lanes is not None else 0

    def lane_count_of_key(self, tenant: str, key_id: str) -> int:
        """The number of lanes of a tenant in which a job of this key came first."""
        tenant_lanes = self._by_tenant.get(tenant)
        return tenant_lanes.lanes_of_key.get(key_id, 0) if tenant_lanes is not None else 0

    def has_lane(self, lane: Lane) -> bool:
        """Whether the lane has an entry."""
        tenant_lanes = self._by_tenant.get(lane.tenant)
        return tenant_lanes is not None and lane in tenant_lanes.lanes

    def get(self, tenant: str, job_id: str) -> QueueEntry | None:
        """The entry of a job, in its lane, throttled or parked; None without one."""
        return self._entries.get((tenant, job_id))

    def __iter__(self) -> Iterator[QueueEntry]:
        return iter(list(self._entries.values()))

    def add(self, entry: QueueEntry, *, now_us: int, first: bool = False) -> None:
        """Add a job; a job that is queued already is moved. `first`: in front of its lane, because
        it had reached the front before."""
        self.remove(entry.lane.tenant, entry.job_id)
        self._register(entry)
        if entry.not_before_us > now_us:
            self._throttle_order += 1
            heapq.heappush(self._throttled, (entry.not_before_us, self._throttle_order, entry))
        else:
            self._put_in_lane(entry, first=first)

    def remove(self, tenant: str, job_id: str) -> None:
        """Remove a job, in its lane, throttled or parked. Does nothing when the job is not
        queued."""
        entry = self._entries.pop((tenant, job_id), None)
        if entry is not None:
            _decrement(self._counts, tenant)
            _decrement(self._counts_of_key, (tenant, entry.key_id))
            self._removals += 1
            if self._removals > len(self._entries) + _SWEEP_EVERY:
                self._sweep()

    def park(self, entry: QueueEntry, key: Hashable) -> None:
        """Park a picked job until `unpark(key)`: a bound on concurrent jobs leaves no room for it
        now."""
        # The job may have been queued again since the pick.
        self.remove(entry.lane.tenant, entry.job_id)
        self._register(entry)
        self._parked.setdefault(key, deque()).append(entry)

    def unpark(self, key: Hashable) -> bool:
        """Put the first job parked under the key back in front of its lane; True when there was
        one."""
        parked = self._parked.get(key)
        unparked = False
        while parked and not unparked:
            entry = parked.popleft()
            if self._is_queued(entry):
                self._put_in_lane(entry, first=True)
                unparked = True
        if not parked:
            self._parked.pop(key, None)
        return unparked

    def unpark_all(self) -> bool:
        """Put all parked jobs back in their lanes, because a changed policy may have changed their
        bounds."""
        parked, self._parked = self._parked, {}
        for entries in parked.values():
            for entry in reversed(entries):
                if self._is_queued(entry):
                    self._put_in_lane(entry, first=True)
        return bool(parked)

    def due_us(self) -> int | None:
        """When the next throttled job is due, in µs (UTC); None without any."""
        while self._throttled and not self._is_queued(self._throttled[0][2]):
            heapq.heappop(self._throttled)
        return self._throttled[0][0] if self._throttled else None

    def ripen(self, now_us: int) -> list[QueueEntry]:
        """Put the throttled jobs whose time has come in their lanes, and return them."""
        ripe = []
        while (due := self.due_us()) is not None and due <= now_us:
            entry = heapq.heappop(self._throttled)[2]
            self._put_in_lane(entry, first=False)
            ripe.append(entry)
        return ripe

    def pick(self, serves: Serves) -> QueueEntry | None:
        """Remove and return the next job that the worker can serve; None without any."""
        for tenant, tenant_lanes in sorted(
            self._by_tenant.items(), key=lambda item: (item[1].picks, item[0])
        ):
            entry = tenant_lanes.pick(serves, self._is_queued)
            if not tenant_lanes.lanes:
                del self._by_tenant[tenant]
            if entry is not None:
                tenant_lanes.picks += 1
                self.remove(tenant, entry.job_id)
                return entry
        return None

    def _sweep(self) -> None:
        """Drop removed entries. Picks drop them too, but without workers nothing is picked."""
        self._removals = 0
        for tenant, tenant_lanes in list(self._by_tenant.items()):
            tenant_lanes.sweep(self._is_queued)
            if not tenant_lanes.lanes:
                del self._by_tenant[tenant]
        self._throttled = [item for item in self._throttled if self._is_queued(item[2])]
        heapq.heapify(self._throttled)
        for key, parked in list(self._parked.items()):
            self._parked[key] = kept = deque(entry for entry in parked if self._is_queued(entry))
            if not kept:
                del self._parked[key]

    def _register(self, entry: QueueEntry) -> None:
        tenant = entry.lane.tenant
        of_key = (tenant, entry.key_id)
        self._entries[tenant, entry.job_id] = entry
        self._counts[tenant] = self._counts.get(tenant, 0) + 1
        self._counts_of_key[of_key] = self._counts_of_key.get(of_key, 0) + 1

    def _is_queued(self, entry: QueueEntry) -> bool:
        """Whether this very entry is the job's own: not removed, and not replaced."""
        return self._entries.get((entry.lane.tenant, entry.job_id)) is entry

    def _put_in_lane(self, entry: QueueEntry, *, first: bool) -> None:
        tenant_lanes = self._by_tenant.get(entry.lane.tenant)
        if tenant_lanes is None:
            picks = min((other.picks for other in self._by_tenant.values()), default=0)
            tenant_lanes = self._by_tenant[entry.lane.tenant] = _TenantLanes(picks)
        tenant_lanes.add(entry, first=first)


_Name = TypeVar("_Name", bound=Hashable)


def _decrement(counts: dict[_Name, int], name: _Name) -> None:
    """Count one less of a name, and forget a name with none left."""
    counts[name] -= 1
    if not counts[name]:
        del counts[name]
