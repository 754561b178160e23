"""Registered workers: which jobs each may be offered, and which of them to wake for a queued job.

Kept in memory of this process alone: after a restart every worker registers anew.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from forestall.errors import ForestallError
from forestall.identity.credentials import WorkerGrant
from forestall.jobs.schedule import Lane
from forestall.jobs.worker import WorkerStatus
from forestall.limits import GLOB_MEMO_ENTRIES_MAX, WORKER_WAITS_MAX
from forestall.policy.globs import compile_globs

PoolOf = Callable[[str, str], str]  # tenant, topic → pool; empty when any pool will do


class TooManyWaitsError(ForestallError):
    """As many requests of this worker wait for work or for a notice as may wait. Nothing was
    handed over; ask again when one of them has been answered."""

    code, http_status = "too_many_waits", 429


class WorkerSession:
    """One worker since it registered. The topics and capabilities that a worker names only narrow
    what its credential grants.

    `max_parallel` bounds the jobs leased to the worker at once; `last_seen_us` (µs, UTC) is the
    instant of its last request.
    """

    def __init__(
        self,
        tenant: str,
        grant: WorkerGrant,
        *,
        key_id: str,
        topics: tuple[str, ...],
        capabilities: tuple[str, ...],
        max_parallel: int,
        now_us: int,
    ) -> None:
        self.tenant = tenant
        self.grant = grant
        self.id = grant.worker_id
        self.key_id = key_id  # of the credential that the worker registered with
        self.topics = topics
        is_granted = compile_globs(grant.capabilities)
        self.capabilities = frozenset(name for name in capabilities if is_granted(name))
        self.max_parallel = max_parallel
        self.reserved = 0  # places for jobs that are being dispatched to the worker this moment
        self.registered_at_us = self.last_seen_us = now_us
        self.work = asyncio.Event()  # a job that the worker can serve may be queued
        self.notice = asyncio.Event()  # the worker lost a lease: cancelled, timed out, expired
        self._waits = 0
        self._is_granted_topic = compile_globs(grant.topics)
        self._is_offered_topic = compile_globs(topics) if topics else None
        self._serves_lane: dict[Lane, bool] = {}

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """For as long as one request of the worker waits. Raises TooManyWaitsError when too many
        do."""
        if self._waits >= WORKER_WAITS_MAX:
            raise TooManyWaitsError(
                f"{WORKER_WAITS_MAX} requests of this worker wait already; end one first",
                details={"limit": WORKER_WAITS_MAX},
                retry_after_s=1,
            )
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1

    @property
    def name(self) -> tuple[str, str]:
        """Tenant and worker id."""
        return self.tenant, self.id

    def status(self) -> WorkerStatus:
        """The session as operators may see it."""
        return WorkerStatus(
            tenant=self.tenant,
            grant=self.grant,
            topics=self.topics,
            capabilities=self.capabilities,
            max_parallel=self.max_parallel,
            last_seen_us=self.last_seen_us,
        )

    def forget(self) -> None:
        """Forget which lanes the worker serves: topics or pools have changed."""
        self._serves_lane.clear()

    def serves(self, lane: Lane, pool_of: PoolOf) -> bool:
        """Whether the worker may be offered jobs of a lane, and has offered to run their topic."""
        is_served = self._serves_lane.get(lane)
        if is_served is None:
            if len(self._serves_lane) >= GLOB_MEMO_ENTRIES_MAX:
                self._serves_lane.clear()
            is_served = self._serves_lane[lane] = self._serves(lane, pool_of)
        return is_served

    def _serves(self, lane: Lane, pool_of: PoolOf) -> bool:
        if lane.tenant != self.tenant or not self._is_granted_topic(lane.topic):
            return False
        if self._is_offered_topic is not None and not self._is_offered_topic(lane.topic):
            return False
        pool = pool_of(lane.tenant, lane.topic)
        if pool and pool not in self.grant.pools:
            return False
        return self.capabilities.issuperset(lane.requires)


class WorkerSessions:
    """Every session, and which of them wait for work. For one thread. `closed`: the server stops,
    and no session waits any more."""

    def __init__(
        self,
        pool_of: PoolOf,
        is_run_by_caller: Callable[[str], bool],
        is_within_agent: Callable[[WorkerSession, Lane], bool],
    ) -> None:
        self._pool_of = pool_of
        self._is_within_agent = is_within_agent  # whether a lane is within a worker's agent rights
        self._is_run_by_caller = is_run_by_caller  # topic → whether its callers run its jobs
        self._sessions: dict[tuple[str, str], WorkerSession] = {}
        self._idle: dict[tuple[str, str], WorkerSession] = {}
        self.closed = False

    def __iter__(self) -> Iterator[WorkerSession]:
        return iter(list(self._sessions.values()))

    def get(self, tenant: str, worker_id: str) -> WorkerSession | None:
        """The session of a worker."""
        return self._sessions.get((tenant, worker_id))

    def count(self, tenant: str) -> int:
        """The number of registered workers of a tenant."""
        return sum(name[0] == tenant for name in self._sessions)

    def count_of_topic(self, tenant: str, topic: str, *, since_us: int) -> int:
        """The number of workers of a tenant that serve a topic and made a request since an instant
        (µs, UTC)."""
        return sum(
            session.last_seen_us >= since_us and self.serves(session, Lane(tenant, topic, "", ()))
            for session in self._sessions.values()
            if session.tenant == tenant
        )

    def add(self, session: WorkerSession) -> None:
        """Add a session, in place of an earlier one of the same worker, whose waits end."""
        before = self._sessions.get(session.name)
        self._sessions[session.name] = session
        if before is not None:
            before.work.set()
            before.notice.set()

    def drop(self, tenant: str, worker_id: str) -> None:
        """End the session of a worker whose credential was revoked; its waits end."""
        session = self._sessions.pop((tenant, worker_id), None)
        self._idle.pop((tenant, worker_id), None)
        if session is not None:
            session.work.set()
            session.notice.set()

    def rerouted(self) -> None:
        """Forget which lanes each session serves: topics or pools have changed."""
        for session in self._sessions.values():
            session.forget()

    def serves(self, session: WorkerSession, lane: Lane) -> bool:
        """Whether this worker may be offered jobs of a lane."""
        return (
            session.serves(lane, self._pool_of)
            and not self._is_run_by_caller(lane.topic)
            and self._is_within_agent(session, lane)
        )

    def idle(self, session: WorkerSession) -> None:
        """Note that a session waits for work from now on."""
        if self.closed:
            session.work.set()
            return
        session.work.clear()
        self._idle[session.name] = session

    def busy(self, session: WorkerSession) -> None:
        """Note that a session waits for work no more."""
        if self._idle.get(session.name) is session:
            del self._idle[session.name]

    def wake(self, lane: Lane, load: Callable[[WorkerSession], float]) -> None:
        """Wake the least loaded session that waits and can serve a lane; of equally loaded ones the
        one seen longest ago. `load`: leased jobs as a fraction of `max_parallel`."""
        candidates = [session for session in self._idle.values() if self.serves(session, lane)]
        if candidates:
            session = min(candidates, key=lambda session: (load(session), session.last_seen_us))
            self.busy(session)
            session.work.set()

    def wake_all(self) -> None:
        """Wake every session that waits: many jobs may be servable now, or the server stops."""
        for session in list(self._idle.values()):
            self.busy(session)
            session.work.set()

    def close(self) -> None:
        """End every wait, and every later one at once: the server stops."""
        self.closed = True
        self.wake_all()
        for session in self._sessions.values():
            session.work.set()
            session.notice.set()
