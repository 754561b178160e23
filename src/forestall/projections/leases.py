"""Who runs what now: a view of the store kept in memory, rebuilt at start. Decides nothing.

When a lease runs out is kept here alone: after a restart every lease gets one full term anew, so
that a worker which lived through it loses nothing.
"""

import contextlib
import heapq
from collections.abc import Iterator

from forestall.jobs.job import Job
from forestall.ports.store import OpenCursor

Name = tuple[str, str]  # tenant and job id
WorkerName = tuple[str, str]  # tenant and worker id
RuleName = tuple[str, str]  # tenant and rule id


class Doubt:
    """A job of which the store may know more than the views: an answer of it was lost, say."""

    __slots__ = ("places", "unsent")

    def __init__(self) -> None:
        self.unsent: list[str] = []  # leases of dispatches that no worker was told of
        self.places: list[RuleName] = []  # kept until it is known whether they are taken

    def add(self, other: "Doubt") -> None:
        """Take over what another doubt on the same job keeps."""
        self.unsent += other.unsent
        self.places += other.places


class LeasedJob:
    """One job in the hands of a worker."""

    __slots__ = ("expires_at_us", "job", "percent", "progress", "said")

    def __init__(self, job: Job, expires_at_us: int) -> None:
        self.job = job
        self.expires_at_us = expires_at_us
        self.said = ""  # what the worker says of it; not durable, and not to be shown
        self.progress = ""  # the same, as it may be shown
        self.percent = 0


class Leases:
    """Every job that is dispatched and not answered for. For one thread."""

    def __init__(self) -> None:
        self._held: dict[Name, LeasedJob] = {}
        self._of_worker: dict[WorkerName, set[Name]] = {}
        self._of_rule: dict[RuleName, int] = {}
        self._ends: list[tuple[int, str, str]] = []
        self._under_way: dict[Name, list[int]] = {}  # how many, and the last revision followed
        self._doubts: dict[Name, Doubt] = {}  # to be read again (`control/recover.py`)
        self.swept_to, self.swept_at_us = OpenCursor(), 0  # how far `control/recover.py` compared
        self._bounds: dict[RuleName, int] = {}  # how many may run, of rules that made a job wait

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[LeasedJob]:
        return iter(list(self._held.values()))

    def get(self, tenant: str, job_id: str) -> LeasedJob | None:
        """The lease on a job."""
        return self._held.get((tenant, job_id))

    def hold(self, job: Job, *, expires_at_us: int) -> None:
        """Take up a dispatched job as it was just committed; a known one keeps its expiry."""
        assert job.lease is not None, "a dispatched job has a lease"
        name = (job.tenant, job.id)
        held = self._held.get(name)
        if held is not None and held.job.lease is not None and held.job.lease.id == job.lease.id:
            held.job = job
            return
        self.drop(*name)
        self._held[name] = LeasedJob(job, expires_at_us)
        self._of_worker.setdefault((job.tenant, job.lease.worker), set()).add(name)
        self.reserve((job.tenant, job.lease.rule_id))
        self._watch(name, job.lease.runs_until_us or expires_at_us)
        self._watch(name, expires_at_us)

    def drop(self, tenant: str, job_id: str) -> LeasedJob | None:
        """The job is no worker's any more; the lease that it had."""
        held = self._held.pop((tenant, job_id), None)
        if held is None:
            return None
        assert held.job.lease is not None
        worker = (tenant, held.job.lease.worker)
        self._of_worker[worker].discard((tenant, job_id))
        if not self._of_worker[worker]:
            del self._of_worker[worker]
        self.release((tenant, held.job.lease.rule_id))
        return held

    def renew(self, held: LeasedJob, *, expires_at_us: int) -> None:
        """The worker is alive and still at it."""
        held.expires_at_us = max(held.expires_at_us, expires_at_us)

    def forget_progress(self) -> None:
        """Show nothing of what workers say of their jobs until they say it again."""
        for held in self._held.values():
            held.said = held.progress = ""

    def count_of_worker(self, worker: WorkerName) -> int:
        """How many jobs a worker holds."""
        return len(self._of_worker.get(worker, ()))

    def of_worker(self, worker: WorkerName) -> list[LeasedJob]:
        """What a worker holds."""
        return [self._held[name] for name in sorted(self._of_worker.get(worker, ()))]

    @contextlib.contextmanager
    def under_way(self, tenant: str, job_id: str) -> Iterator[None]:
        """While the store is asked about a job: its answers may come in another order."""
        asked = self._under_way.setdefault((tenant, job_id), [0, -1])
        asked[0] += 1
        try:
            yield
        finally:
            asked[0] -= 1
            if not asked[0]:
                del self._under_way[tenant, job_id]

    def is_newest(self, job: Job) -> bool:
        """Whether no later state of the job was followed while this one was under way."""
        held = self._held.get((job.tenant, job.id))
        if held is not None and held.job.revision > job.revision:
            return False
        asked = self._under_way.get((job.tenant, job.id))
        if asked is None:
            return True
        newest = job.revision >= asked[1]
        asked[1] = max(asked[1], job.revision)
        return newest

    # How many run under one rule, for `max_concurrent_jobs`; reserved before the commit, since
    # two dispatches at once must not both take the last place.

    def count_of_rule(self, rule: RuleName) -> int:
        """How many jobs run, or are about to run, under a rule."""
        return self._of_rule.get(rule, 0)

    def reserve(self, rule: RuleName) -> None:
        """Count one more."""
        self._of_rule[rule] = self._of_rule.get(rule, 0) + 1

    def release(self, rule: RuleName) -> None:
        """Count one less."""
        left = self._of_rule.get(rule, 0) - 1
        if left > 0:
            self._of_rule[rule] = left
        else:
            self._of_rule.pop(rule, None)

    def has_place(self, rule: RuleName) -> bool:
        """Whether one more may run under a rule that made a job wait."""
        bound = self._bounds.get(rule)
        return bound is None or self.count_of_rule(rule) < bound

    def bind(self, rule: RuleName, bound: int | None) -> None:
        """How many may run under a rule now; None: as many as there are."""
        if bound is None:
            self._bounds.pop(rule, None)
        else:
            self._bounds[rule] = bound

    def bound_rules(self) -> list[RuleName]:
        """The rules that bound how many may run."""
        return list(self._bounds)

    def doubt(self, tenant: str, job_id: str) -> Doubt:
        """Have a job read again."""
        return self._doubts.setdefault((tenant, job_id), Doubt())

    def doubtful(self) -> list[Name]:
        """The jobs to be read again."""
        return list(self._doubts)

    def take_doubt(self, tenant: str, job_id: str) -> Doubt:
        """What is kept until a job in doubt was read again; the job is in doubt no more."""
        return self._doubts.pop((tenant, job_id))

    def ended(self, now_us: int) -> list[LeasedJob]:
        """Leases whose term or whose run time is over."""
        found: dict[Name, LeasedJob] = {}
        while self._ends and self._ends[0][0] <= now_us:
            _, tenant, job_id = heapq.heappop(self._ends)
            held = self._held.get((tenant, job_id))
            if held is None:
                continue
            if self.over(held, now_us):
                found[tenant, job_id] = held
                # Should the move fail, it is looked at again.
                self._watch((tenant, job_id), now_us + _AGAIN_US)
            else:
                self._watch((tenant, job_id), held.expires_at_us)
        return list(found.values())

    def over(self, held: LeasedJob, now_us: int) -> bool:
        """Whether this is a lease that is held, and its term or its run time is over."""
        lease = held.job.lease
        if lease is None or self._held.get((held.job.tenant, held.job.id)) is not held:
            return False
        return held.expires_at_us <= now_us or 0 < lease.runs_until_us <= now_us

    def due_us(self) -> int | None:
        """When `ended` should be asked next; None when nothing is held."""
        return self._ends[0][0] if self._ends else None

    def _watch(self, name: Name, at_us: int) -> None:
        heapq.heappush(self._ends, (at_us, *name))


_AGAIN_US = 1_000_000
