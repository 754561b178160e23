"""The plane that every verb is given: the ports, and the projections of the store.

`commit` is the only way from a verb to the store. Memory follows a durable change before `commit`
returns (`projections/catch_up.py`). A job or entry of a change whose outcome is unknown is read
again (`control/recover.py`, `control/follow_log.py`).
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from forestall.control.offload import Inspections
from forestall.errors import UnavailableError
from forestall.jobs.webhook import Reach
from forestall.limits import LEASE_SECONDS, LEASE_SECONDS_MAX
from forestall.policy.compile import Snapshot
from forestall.ports.change import Change, DropEntry, MoveJob, PutEntry, PutJob, Receipt
from forestall.ports.entries import EntryKind
from forestall.ports.output import OutputMeans
from forestall.ports.runtime import Clock, Random, Signer, Telemetry
from forestall.ports.store import PreconditionFailedError, Store
from forestall.projections.catch_up import catch_up
from forestall.projections.doubts import TIGHTENING
from forestall.projections.log_reader import LogReader
from forestall.projections.projections import Projections

COMMIT_FAILURE_REMEMBERED_US = 30_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Plane:
    """The running control plane, without HTTP. For one event loop.

    `snapshot` is the policy in force; while it is None, every gate refuses. `approvals_need_hash`:
    a vote is taken only with the job hash that the approver was shown. `is_activating`: a change of
    the policy is under way, and a second one is refused. The other attributes are the ports and the
    projections, each under its name.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        random: Random,
        telemetry: Telemetry,
        signer: Signer,
        lease_seconds: int = LEASE_SECONDS,
        approvals_need_hash: bool = False,
        webhook_reach: Reach = Reach.PUBLIC,
        output: OutputMeans | None = None,
        inspections: Inspections | None = None,
    ) -> None:
        assert 1 <= lease_seconds <= LEASE_SECONDS_MAX, "a lease has a bounded term"
        self.approvals_need_hash = approvals_need_hash
        # The ports.
        self.store = store
        self.clock = clock
        self.started_us = clock.now_us()
        self.random = random
        self.telemetry = telemetry
        self.signer = signer
        self.output = output if output is not None else OutputMeans()
        self.inspections = inspections if inspections is not None else Inspections()
        # The projections, by name.
        state = Projections(
            lease_us=lease_seconds * 1_000_000,
            webhook_reach=webhook_reach,
            now_us=self.started_us,
        )
        self.projections = state
        self.agents = state.agents
        self.announcer = state.announcer
        self.blind_retries = state.blind_retries
        self.cache = state.cache
        self.deadlines = state.deadlines
        self.key_uses = state.key_uses
        self.keys = state.keys
        self.leases = state.leases
        self.open_approvals = state.open_approvals
        self.output_stats = state.output_stats
        self.policy = state.policy
        self.queue = state.queue
        self.registry = state.registry
        self.tenants = state.tenants
        self.throttles = state.throttles
        self.webhooks = state.webhooks
        self.workers = state.workers
        self.tail = LogReader(store, self.announcer)
        # What is under way in this process.
        self.is_activating = False
        self._tightening = 0  # number of commits in flight after which less may run
        self._commit_failed_at_us: int | None = None

    @property
    def lease_us(self) -> int:
        """How long a lease lasts, in microseconds, from its dispatch or its renewal."""
        return self.projections.lease_us

    @property
    def snapshot(self) -> Snapshot | None:
        """The policy in force, compiled; None when there is none."""
        return self.policy.snapshot

    async def commit(self, change: Change, *, first: bool = False) -> Receipt:
        """Make a change durable, and make memory follow it.

        `first`: a job that is queued by this change has waited before, so it goes to the front.
        Raises PreconditionFailedError when the state has moved on, so that nothing was changed, and
        StoreUnavailableError or StoreBusyError when this process must not rely on either outcome:
        everything that the change touches is read again then.
        """
        with contextlib.ExitStack() as under_way:
            for put in change.puts:
                if isinstance(put, PutJob | MoveJob):
                    under_way.enter_context(self.leases.under_way(put.job.tenant, put.job.id))
            if any(map(_may_tighten, change.puts)):
                under_way.enter_context(self.tightening())
            try:
                receipt = await self.store.commit(change)
                self._commit_failed_at_us = None
                now_us = self.clock.now_us()
                catch_up(self.projections, change, receipt.position, now_us=now_us, first=first)
            except BaseException as error:
                self._doubt(change, error)
                raise
        return receipt

    def _doubt(self, change: Change, error: BaseException) -> None:
        """Doubt every job and entry of a change that failed: the store may have a newer state of
        them than memory. A job whose birth was refused is not doubted: this change made no job."""
        if isinstance(error, UnavailableError):
            self._commit_failed_at_us = self.clock.now_us()
            self.telemetry.commit_failed(error.code)
        is_refused = isinstance(error, PreconditionFailedError)
        for put in change.puts:
            if isinstance(put, MoveJob) or (isinstance(put, PutJob) and not is_refused):
                self.leases.doubt(put.job.tenant, put.job.id)
            elif isinstance(put, PutEntry | DropEntry):
                self.projections.entry_doubts.add(put.entry.key)

    def is_run_by_caller(self, topic: str) -> bool:
        """Whether, by the policy in force, callers run jobs of this topic themselves."""
        return self.projections.is_run_by_caller(topic)

    @contextmanager
    def tightening(self) -> Iterator[None]:
        """For as long as a commit is in flight after which less may run (`_may_tighten`): earlier
        decisions may be out of date in the store, so no job is dispatched."""
        self._tightening += 1
        try:
            yield
        finally:
            self._tightening -= 1
            self.workers.wake_all()

    @property
    def is_tightening(self) -> bool:
        """Whether such a commit is in flight, or one of unknown outcome has not been settled."""
        return self._tightening > 0 or self.projections.entry_doubts.is_tightening

    def commits_fail(self) -> bool:
        """Whether the last commit failed within COMMIT_FAILURE_REMEMBERED_US. An older failure says
        nothing of today, so a commit may be tried again."""
        failed_at_us = self._commit_failed_at_us
        return (
            failed_at_us is not None
            and self.clock.now_us() - failed_at_us < COMMIT_FAILURE_REMEMBERED_US
        )


def _may_tighten(put: object) -> bool:
    """Whether less may run after this put: it changes the policy in force, an existing key or
    agent, or a registry entry that an approval may rest on."""
    if not isinstance(put, PutEntry | DropEntry):
        return False
    entry = put.entry
    is_new = entry.kind in (EntryKind.KEY, EntryKind.AGENT) and entry.revision == 1
    return entry.kind in TIGHTENING and not is_new


def instant(at_us: int) -> datetime:
    """Microseconds since the epoch as an aware UTC datetime, exactly."""
    return _EPOCH + timedelta(microseconds=at_us)


def uuid_text(at_us: int, random: bytes) -> str:
    """A version 7 UUID (RFC 9562): ordered by time, so that ids of one time lie close on disk.
    `random` is ten bytes, of which 74 bits are used."""
    assert len(random) == 10, "a version 7 UUID takes ten random bytes"
    head = (at_us // 1000).to_bytes(6, "big")
    raw = bytearray(head + random)
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
