"""The leases: which worker runs which job. A projection of the store; decides nothing.

The theory (what can go wrong, and why each guard is there) is in
`docs/internals/leases-and-doubt.md`. Kept here: every leased job, the number of leases under each
rule, the instants at which leases end, and the jobs in doubt. The expiry of a lease is kept in
memory alone: after a restart every lease gets one full term, so that a worker which outlived the
restart loses nothing.
"""

import contextlib
import heapq
from collections.abc import Iterator

from forestall.jobs.job import Job
from forestall.ports.store import OpenCursor

JobName = tuple[str, str]  # tenant and job id
WorkerName = tuple[str, str]  # tenant and worker id
RuleName = tuple[str, str]  # tenant and rule id
_FOUND_AGAIN_US = 1_000_000  # after this, an ended lease whose job has not moved is found again


class Doubt:
    """What must wait until a job is read again. A job is in doubt when the store may know more of
    it than memory does: the answer to a commit was lost, or a precondition failed."""

    __slots__ = ("slots", "unsent")

    def __init__(self) -> None:
        self.unsent: list[str] = []  # ids of leases whose dispatch was sent to no worker
        self.slots: list[RuleName] = []  # concurrency slots reserved until the job is read

    def add(self, other: "Doubt") -> None:
        """Add the leases and slots of another doubt on the same job."""
        self.unsent += other.unsent
        self.slots += other.slots


class LeasedJob:
    """One leased job: the lease itself is a field of `job`.

    `expires_at_us` (µs, UTC) is when the lease ends unless a heartbeat renews it. `percent` is the
    progress from 0 to 100 that the worker reports.
    """

    __slots__ = (
        "earlier_progress_end",
        "expires_at_us",
        "job",
        "percent",
        "progress",
        "reported_progress",
    )

    def __init__(self, job: Job, expires_at_us: int) -> None:
        self.job = job
        self.expires_at_us = expires_at_us
        self.reported_progress = ""  # not durable, not scanned, never shown
        self.earlier_progress_end = ""  # of the reports before that one; never shown
        self.progress = ""  # the reported text after its scan, as it may be shown
        self.percent = 0


class _ReadsUnderWay:
    """The questions to the store about one job that are not answered yet."""

    __slots__ = ("count", "newest_revision")

    def __init__(self) -> None:
        self.count = 0
        self.newest_revision = -1  # of the job, among those taken up meanwhile


class Leases:
    """Every leased job. For one thread."""

    def __init__(self) -> None:
        self._leased: dict[JobName, LeasedJob] = {}
        self._of_worker: dict[WorkerName, set[JobName]] = {}
        self._of_rule: dict[RuleName, int] = {}
        self._ends: list[tuple[int, str, str]] = []
        self._under_way: dict[JobName, _ReadsUnderWay] = {}
        self._doubts: dict[JobName, Doubt] = {}  # jobs to be read again (`control/recover.py`)
        self.swept_to, self.swept_at_us = OpenCursor(), 0  # how far `sweep` has compared, and when
        self._bounds: dict[RuleName, int] = {}  # `max_concurrent_jobs` of a rule, as last decided

    def __len__(self) -> int:
        return len(self._leased)

    def __iter__(self) -> Iterator[LeasedJob]:
        return iter(list(self._leased.values()))

    def get(self, tenant: str, job_id: str) -> LeasedJob | None:
        """The leased job of this name; None when the job is not leased."""
        return self._leased.get((tenant, job_id))

    def take_up(self, job: Job, *, expires_at_us: int) -> None:
        """Take up a leased job as it was committed. A lease that memory has already keeps its
        expiry: only its worker renews it."""
        assert job.lease is not None, "a dispatched job has a lease"
        name = (job.tenant, job.id)
        leased = self._leased.get(name)
        if (
            leased is not None
            and leased.job.lease is not None
            and leased.job.lease.id == job.lease.id
        ):
            leased.job = job
            return
        self.drop(*name)
        self._leased[name] = LeasedJob(job, expires_at_us)
        self._of_worker.setdefault((job.tenant, job.lease.worker), set()).add(name)
        self.reserve((job.tenant, job.lease.rule_id))
        self._watch(name, job.lease.runs_until_us or expires_at_us)
        self._watch(name, expires_at_us)

    def drop(self, tenant: str, job_id: str) -> LeasedJob | None:
        """Forget the lease of a job that is leased no more, and return it; None: there was none."""
        leased = self._leased.pop((tenant, job_id), None)
        if leased is None:
            return None
        assert leased.job.lease is not None
        worker = (tenant, leased.job.lease.worker)
        self._of_worker[worker].discard((tenant, job_id))
        if not self._of_worker[worker]:
            del self._of_worker[worker]
        self.release((tenant, leased.job.lease.rule_id))
        return leased

    def renew(self, leased: LeasedJob, *, expires_at_us: int) -> None:
        """Extend a lease after a heartbeat. A clock that was set back never shortens a lease."""
        leased.expires_at_us = max(leased.expires_at_us, expires_at_us)

    def forget_progress(self) -> None:
        """Forget every reported progress: it was scanned under a policy that has ended. The next
        heartbeat reports it again."""
        for leased in self._leased.values():
            leased.reported_progress = leased.progress = ""

    def count_of_worker(self, worker: WorkerName) -> int:
        """The number of jobs leased to a worker."""
        return len(self._of_worker.get(worker, ()))

    def of_worker(self, worker: WorkerName) -> list[LeasedJob]:
        """The jobs leased to a worker, by job id."""
        return [self._leased[name] for name in sorted(self._of_worker.get(worker, ()))]

    @contextlib.contextmanager
    def under_way(self, tenant: str, job_id: str) -> Iterator[None]:
        """For as long as the store is asked about a job: its answers may come in any order, so
        `is_newest` remembers the newest revision until the last of them has come."""
        reads = self._under_way.setdefault((tenant, job_id), _ReadsUnderWay())
        reads.count += 1
        try:
            yield
        finally:
            reads.count -= 1
            if not reads.count:
                del self._under_way[tenant, job_id]

    def is_newest(self, job: Job) -> bool:
        """Whether no newer revision of the job was taken up. Asked before this one is taken up;
        remembers it while questions about the job are in flight."""
        leased = self._leased.get((job.tenant, job.id))
        if leased is not None and leased.job.revision > job.revision:
            return False
        reads = self._under_way.get((job.tenant, job.id))
        if reads is None:
            return True
        is_newest = job.revision >= reads.newest_revision
        reads.newest_revision = max(reads.newest_revision, job.revision)
        return is_newest

    # Concurrency slots, for `max_concurrent_jobs`. A dispatch reserves its slot before its commit,
    # since two dispatches at once must not both take the last one.

    def count_of_rule(self, rule: RuleName) -> int:
        """The number of slots taken under a rule: its leases and its reservations."""
        return self._of_rule.get(rule, 0)

    def reserve(self, rule: RuleName) -> None:
        """Take one slot under a rule."""
        self._of_rule[rule] = self._of_rule.get(rule, 0) + 1

    def release(self, rule: RuleName) -> None:
        """Give one slot back."""
        left = self._of_rule.get(rule, 0) - 1
        if left > 0:
            self._of_rule[rule] = left
        else:
            self._of_rule.pop(rule, None)

    def has_free_slot(self, rule: RuleName) -> bool:
        """Whether a slot is free under a rule, by the bound of its last decision."""
        bound = self._bounds.get(rule)
        return bound is None or self.count_of_rule(rule) < bound

    def set_bound(self, rule: RuleName, bound: int | None) -> None:
        """Set how many jobs may run under a rule at once; None: no bound."""
        if bound is None:
            self._bounds.pop(rule, None)
        else:
            self._bounds[rule] = bound

    def bound_rules(self) -> list[RuleName]:
        """The rules that bound how many of their jobs may run at once."""
        return list(self._bounds)

    def doubt(self, tenant: str, job_id: str) -> Doubt:
        """Have a job read again at the next tick. What must wait for it is added to the result."""
        return self._doubts.setdefault((tenant, job_id), Doubt())

    def doubtful(self) -> list[JobName]:
        """The jobs in doubt, in the order in which they came into doubt."""
        return list(self._doubts)

    def take_doubt(self, tenant: str, job_id: str) -> Doubt:
        """Remove a doubt, and return what waited for its reading."""
        return self._doubts.pop((tenant, job_id))

    def ended(self, now_us: int) -> list[LeasedJob]:
        """Leases that have expired or whose run time is over. Each is found once a second until
        its job has moved."""
        ended: dict[JobName, LeasedJob] = {}
        while self._ends and self._ends[0][0] <= now_us:
            _, tenant, job_id = heapq.heappop(self._ends)
            leased = self._leased.get((tenant, job_id))
            if leased is None:
                continue
            if self.is_over(leased, now_us):
                ended[tenant, job_id] = leased
                # The move that ends the lease may fail; then the lease is found again.
                self._watch((tenant, job_id), now_us + _FOUND_AGAIN_US)
            else:
                self._watch((tenant, job_id), leased.expires_at_us)
        return list(ended.values())

    def is_over(self, leased: LeasedJob, now_us: int) -> bool:
        """Whether this very lease is still the job's, and has expired or used up its run time."""
        lease = leased.job.lease
        if lease is None or self._leased.get((leased.job.tenant, leased.job.id)) is not leased:
            return False
        return leased.expires_at_us <= now_us or 0 < lease.runs_until_us <= now_us

    def due_us(self) -> int | None:
        """The instant (µs, UTC) at which `ended` should be called next; None: nothing is leased."""
        return self._ends[0][0] if self._ends else None

    def _watch(self, name: JobName, at_us: int) -> None:
        heapq.heappush(self._ends, (at_us, *name))
