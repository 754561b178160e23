"""Workers that are there now: what each may be offered, and whom to wake when work comes.

Kept in memory: a worker that finds itself unknown, after a restart say, registers anew.
"""

import asyncio
from collections.abc import Callable, Iterator

from forestall.identity.credentials import WorkerGrant
from forestall.jobs.schedule import Lane
from forestall.jobs.worker import WorkerStatus
from forestall.limits import GLOB_MEMO_ENTRIES_MAX
from forestall.policy.globs import compile_globs

PoolOf = Callable[[str, str], str]  # tenant, topic → pool; empty when any pool will do


class WorkerSession:
    """One worker since it registered. What it says of itself only narrows its grant."""

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
        self.key_id = key_id  # of the credential that it registered with
        self.topics = topics
        granted = compile_globs(grant.capabilities)
        self.capabilities = frozenset(name for name in capabilities if granted(name))
        self.max_parallel = max_parallel
        self.registered_at_us = self.last_seen_us = now_us
        self.work = asyncio.Event()  # something it can serve may be waiting
        self.notice = asyncio.Event()  # it lost a job: cancelled, timed out, expired
        self._may = compile_globs(grant.topics)
        self._wants = compile_globs(topics) if topics else None
        self._known: dict[Lane, bool] = {}

    @property
    def name(self) -> tuple[str, str]:
        """Tenant and worker id."""
        return self.tenant, self.id

    def status(self) -> WorkerStatus:
        """The session as it may be shown to others."""
        return WorkerStatus(
            tenant=self.tenant,
            grant=self.grant,
            topics=self.topics,
            capabilities=self.capabilities,
            max_parallel=self.max_parallel,
            last_seen_us=self.last_seen_us,
        )

    def forget(self) -> None:
        """Topics were routed anew."""
        self._known.clear()

    def serves(self, lane: Lane, pool_of: PoolOf) -> bool:
        """Whether it may be offered such work, and wants it."""
        known = self._known.get(lane)
        if known is None:
            if len(self._known) >= GLOB_MEMO_ENTRIES_MAX:
                self._known.clear()
            known = self._known[lane] = self._serves(lane, pool_of)
        return known

    def _serves(self, lane: Lane, pool_of: PoolOf) -> bool:
        if lane.tenant != self.tenant or not self._may(lane.topic):
            return False
        if self._wants is not None and not self._wants(lane.topic):
            return False
        pool = pool_of(lane.tenant, lane.topic)
        if pool and pool not in self.grant.pools:
            return False
        return self.capabilities.issuperset(lane.requires)


class WorkerSessions:
    """Every session, and those that wait for work. For one thread."""

    def __init__(self, pool_of: PoolOf, is_run_by_caller: Callable[[str], bool]) -> None:
        self._pool_of = pool_of
        self._is_run_by_caller = is_run_by_caller  # of a topic: no worker is offered it
        self._sessions: dict[tuple[str, str], WorkerSession] = {}
        self._idle: dict[tuple[str, str], WorkerSession] = {}
        self.closed = False

    def __iter__(self) -> Iterator[WorkerSession]:
        return iter(list(self._sessions.values()))

    def get(self, tenant: str, worker_id: str) -> WorkerSession | None:
        """The session of a worker."""
        return self._sessions.get((tenant, worker_id))

    def count(self, tenant: str) -> int:
        """How many workers of a tenant are registered."""
        return sum(name[0] == tenant for name in self._sessions)

    def count_of_topic(self, tenant: str, topic: str, *, since_us: int) -> int:
        """How many workers of a tenant, seen since an instant, serve a topic."""
        return sum(
            session.last_seen_us >= since_us and self.serves(session, Lane(tenant, topic, "", ()))
            for session in self._sessions.values()
            if session.tenant == tenant
        )

    def add(self, session: WorkerSession) -> None:
        """Take up a session in place of an earlier one of the same worker."""
        before = self._sessions.get(session.name)
        self._sessions[session.name] = session
        if before is not None:
            before.work.set()
            before.notice.set()

    def drop(self, tenant: str, worker_id: str) -> None:
        """Its credential was revoked: it is offered nothing more."""
        session = self._sessions.pop((tenant, worker_id), None)
        self._idle.pop((tenant, worker_id), None)
        if session is not None:
            session.work.set()
            session.notice.set()

    def rerouted(self) -> None:
        """Topics belong to other pools now."""
        for session in self._sessions.values():
            session.forget()

    def serves(self, session: WorkerSession, lane: Lane) -> bool:
        """Whether this worker may be offered such work."""
        return session.serves(lane, self._pool_of) and not self._is_run_by_caller(lane.topic)

    def idle(self, session: WorkerSession) -> None:
        """It waits for work from now on."""
        if self.closed:
            session.work.set()
            return
        session.work.clear()
        self._idle[session.name] = session

    def busy(self, session: WorkerSession) -> None:
        """It waits no more."""
        if self._idle.get(session.name) is session:
            del self._idle[session.name]

    def wake(self, lane: Lane, load: Callable[[WorkerSession], float]) -> None:
        """Wake the least loaded of those that wait and can serve such work."""
        fit = [session for session in self._idle.values() if self.serves(session, lane)]
        if fit:
            session = min(fit, key=lambda session: (load(session), session.last_seen_us))
            self.busy(session)
            session.work.set()

    def wake_all(self) -> None:
        """Let everybody look: many things changed, or the server stops."""
        for session in list(self._idle.values()):
            self.busy(session)
            session.work.set()

    def close(self) -> None:
        """The server stops: nobody waits any more."""
        self.closed = True
        self.wake_all()
        for session in self._sessions.values():
            session.work.set()
            session.notice.set()
