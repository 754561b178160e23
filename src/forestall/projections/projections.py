"""Every projection of a process: the state that it keeps in memory of what the store holds.

`catch_up` is their only writer; every other room reads. State that belongs to this process alone is
marked: no other process could learn it from the log.
"""

from forestall.jobs.schedule import Queue
from forestall.jobs.webhook import Reach
from forestall.limits import DECISION_CACHE_ENTRIES_MAX, DECISION_CACHE_TTL_MS
from forestall.policy.cache import DecisionCache
from forestall.projections.blind_retries import BlindRetries
from forestall.projections.deadlines import Deadlines
from forestall.projections.doubts import EntryDoubts
from forestall.projections.key_uses import KeyUses
from forestall.projections.keys import Keys
from forestall.projections.leases import Leases
from forestall.projections.log_listeners import LogListeners
from forestall.projections.log_positions import LogPositions
from forestall.projections.open_approvals import OpenApprovals
from forestall.projections.output_stats import OutputStats
from forestall.projections.policy_in_force import PolicyInForce
from forestall.projections.registry import Registry
from forestall.projections.tenants import Tenants
from forestall.projections.throttle_counters import ThrottleCounters
from forestall.projections.webhooks import Webhooks
from forestall.projections.worker_sessions import WorkerSessions


class Projections:
    """The projections of one process. `lease_us` is how long a lease lasts from its dispatch."""

    __slots__ = (
        "announcer",
        "blind_retries",
        "cache",
        "deadlines",
        "entry_doubts",
        "key_uses",
        "keys",
        "lease_us",
        "leases",
        "open_approvals",
        "output_stats",
        "policy",
        "positions",
        "queue",
        "registry",
        "tenants",
        "throttles",
        "webhooks",
        "workers",
    )

    def __init__(self, *, lease_us: int, webhook_reach: Reach, now_us: int) -> None:
        self.lease_us = lease_us
        self.positions = LogPositions()
        self.entry_doubts = EntryDoubts()
        self.queue = Queue()
        self.leases = Leases()
        self.deadlines = Deadlines()
        self.open_approvals = OpenApprovals()
        self.registry = Registry()
        self.webhooks = Webhooks(webhook_reach)
        self.keys = Keys()
        self.tenants = Tenants()
        self.policy = PolicyInForce()
        self.blind_retries = BlindRetries()
        self.output_stats = OutputStats(now_us)
        self.announcer = LogListeners()
        # Of this process alone: its workers, the counters of its gates, the last uses of
        # keys, and its cached decisions.
        self.workers = WorkerSessions(
            lambda tenant, topic: self.registry.pool_of(tenant, topic), self.is_run_by_caller
        )
        self.throttles = ThrottleCounters()
        self.key_uses = KeyUses()
        self.cache = DecisionCache(
            entries_max=DECISION_CACHE_ENTRIES_MAX, ttl_ms=DECISION_CACHE_TTL_MS
        )

    def is_run_by_caller(self, topic: str) -> bool:
        """Whether, by the policy in force, callers run jobs of this topic themselves."""
        snapshot = self.policy.snapshot
        return snapshot is not None and snapshot.is_run_by_caller(topic)
