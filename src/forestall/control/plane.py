"""What the verbs share: the ports, and what is kept in memory of what the store holds.

Snapshot and keys are replaced whole after the commit that changed them; queue and leases follow
each job as it was committed (`control/follow.py`), and are rebuilt at start (`control/recover.py`).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from forestall.control.offload import Inspections
from forestall.errors import UnavailableError
from forestall.identity.credentials import ApiKey
from forestall.jobs.schedule import Queue
from forestall.limits import (
    DECISION_CACHE_ENTRIES_MAX,
    DECISION_CACHE_TTL_MS,
    LEASE_SECONDS,
    LEASE_SECONDS_MAX,
)
from forestall.policy.cache import DecisionCache
from forestall.policy.compile import Snapshot
from forestall.ports.change import Change, Receipt
from forestall.ports.output import OutputMeans
from forestall.ports.runtime import Clock, Random, Signer, Telemetry
from forestall.ports.store import Store
from forestall.projections.blind_retries import BlindRetries
from forestall.projections.leases import Leases
from forestall.projections.log_listeners import Announcer
from forestall.projections.log_reader import Tail
from forestall.projections.output_stats import OutputStats
from forestall.projections.registry import Registry
from forestall.projections.throttle_counters import Throttles
from forestall.projections.webhooks import Hooks
from forestall.projections.worker_sessions import Workers

COMMIT_FAILURE_REMEMBERED_US = 30_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Plane:
    """The running control plane, without any door.

    `snapshot` is the policy in force, or None when none could be had: then every gate refuses.
    """

    __slots__ = (
        "_commit_failed_at_us",
        "_keys_by_hash",
        "_keys_by_id",
        "_tightening",
        "announcer",
        "approvals_need_hash",
        "blind_retries",
        "cache",
        "clock",
        "deadlines",
        "hooks",
        "inspections",
        "is_activating",
        "keys_doubt",
        "lease_us",
        "leases",
        "output",
        "output_stats",
        "policy_doubt",
        "queue",
        "random",
        "registry",
        "signer",
        "snapshot",
        "store",
        "tail",
        "telemetry",
        "throttles",
        "workers",
    )

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
        output: OutputMeans | None = None,
        inspections: Inspections | None = None,
    ) -> None:
        assert 1 <= lease_seconds <= LEASE_SECONDS_MAX, "a lease has a bounded term"
        self.lease_us = lease_seconds * 1_000_000
        self.approvals_need_hash = approvals_need_hash
        self.store = store
        self.clock = clock
        self.random = random
        self.telemetry = telemetry
        self.throttles = Throttles()
        self.cache = DecisionCache(
            entries_max=DECISION_CACHE_ENTRIES_MAX, ttl_ms=DECISION_CACHE_TTL_MS
        )
        self.snapshot: Snapshot | None = None
        self.is_activating = False
        # What left it open whether the store has another policy, or ended a key that works here.
        self.policy_doubt: BaseException | None = None
        self.keys_doubt: BaseException | None = None
        self._tightening = 0  # changes on their way after which less may run
        self.queue = Queue()
        self.leases = Leases()
        self.registry = Registry()
        self.hooks = Hooks()
        self.workers = Workers(
            lambda tenant, topic: self.registry.pool_of(tenant, topic), self.is_run_by_caller
        )
        self.signer = signer
        self.inspections = inspections if inspections is not None else Inspections()
        self.output_stats = OutputStats(clock.now_us())
        self.output = output if output is not None else OutputMeans()
        self.blind_retries = BlindRetries()
        self.deadlines: list[tuple[int, str, str]] = []  # a heap of instant, tenant, job id
        self._keys_by_hash: dict[str, ApiKey] = {}
        self._keys_by_id: dict[str, ApiKey] = {}
        self._commit_failed_at_us: int | None = None
        self.announcer = Announcer()
        self.tail = Tail(store, self.announcer)

    async def commit(self, change: Change) -> Receipt:
        """Make a change durable, and remember whether that could be done."""
        try:
            receipt = await self.store.commit(change)
        except UnavailableError as error:
            self._commit_failed_at_us = self.clock.now_us()
            self.telemetry.commit_failed(error.code)
            raise
        self._commit_failed_at_us = None
        self.announcer.grew(change.records)
        return receipt

    def is_run_by_caller(self, topic: str) -> bool:
        """Whether the policy in force says that who submits such a job does the work itself."""
        return self.snapshot is not None and self.snapshot.is_run_by_caller(topic)

    @contextmanager
    def tightening(self) -> Iterator[None]:
        """While a policy or the end of a key is on its way to the store and back: what was decided
        before may be wrong already, so nothing is handed to a worker."""
        self._tightening += 1
        try:
            yield
        finally:
            self._tightening -= 1
            self.workers.wake_all()

    @property
    def is_tightening(self) -> bool:
        """Such a change is on its way, or may have arrived without our knowing."""
        return self._tightening > 0 or self.policy_doubt is not None or self.keys_doubt is not None

    def commits_fail(self) -> bool:
        """The last commit failed, a moment ago. Later nobody knows, so later it may be tried."""
        failed_at_us = self._commit_failed_at_us
        return (
            failed_at_us is not None
            and self.clock.now_us() - failed_at_us < COMMIT_FAILURE_REMEMBERED_US
        )

    def hold_keys(self, keys: Iterable[ApiKey]) -> None:
        """Replace what is known of API keys."""
        self._keys_by_hash = {key.hash: key for key in keys}
        self._keys_by_id = {key.id: key for key in self._keys_by_hash.values()}

    def hold_key(self, key: ApiKey) -> None:
        """Take up one key as it was just committed. A list read earlier must not undo that."""
        self._keys_by_hash[key.hash] = key
        self._keys_by_id[key.id] = key

    def key_by_hash(self, key_hash: str) -> ApiKey | None:
        """The key with this hash, revoked or not."""
        return self._keys_by_hash.get(key_hash)

    def key_by_id(self, key_id: str) -> ApiKey | None:
        """The key with this id, revoked or not."""
        return self._keys_by_id.get(key_id)


def instant(at_us: int) -> datetime:
    """Microseconds since the epoch as an aware UTC datetime, exactly."""
    return _EPOCH + timedelta(microseconds=at_us)


def uuid_text(at_us: int, random: bytes) -> str:
    """A version 7 UUID (RFC 9562): ordered by time, 74 random bits, so ids cluster on disk."""
    assert len(random) == 10, "a version 7 UUID takes ten random bytes"
    head = (at_us // 1000).to_bytes(6, "big")
    raw = bytearray(head + random)
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
