"""Every projection of a process: the state that it keeps in memory of what the store holds.

`catch_up` is their only writer; every other room reads. State that belongs to this process alone is
marked: no other process could learn it from the log.
"""

from forestall.identity.agents import Agent
from forestall.jobs.agent_rights import may_be_offered
from forestall.jobs.schedule import Lane, Queue
from forestall.jobs.webhook import Reach
from forestall.limits import DECISION_CACHE_ENTRIES_MAX, DECISION_CACHE_TTL_MS
from forestall.policy.cache import DecisionCache
from forestall.projections.agents import Agents
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
from forestall.projections.worker_sessions import WorkerSession, WorkerSessions


class Projections:
    """The projections of one process. `lease_us` is how long a lease lasts from its dispatch."""

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
        self.agents = Agents()
        self.policy = PolicyInForce()
        self.blind_retries = BlindRetries()
        self.output_stats = OutputStats(now_us)
        self.announcer = LogListeners()
        # Of this process alone: its workers, the counters of its gates, the last uses of
        # keys, and its cached decisions.
        self.workers = WorkerSessions(
            lambda tenant, topic: self.registry.pool_of(tenant, topic),
            self.is_run_by_caller,
            self.is_within_agent,
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

    def agent_of(self, key_id: str) -> Agent | None:
        """The agent that a key belongs to; None for a key of no agent, and for an agent that is not
        there."""
        key = self.keys.by_id(key_id)
        return self.agents.by_id(key.agent_id) if key is not None and key.agent_id else None

    def is_within_agent(self, session: WorkerSession, lane: Lane) -> bool:
        """Whether the jobs of a lane are within the rights of the agent that a worker is; true for
        a worker that is none."""
        key = self.keys.by_id(session.key_id)
        if key is None or not key.agent_id:
            return key is not None
        agent = self.agents.by_id(key.agent_id)
        if agent is None:
            return False
        topic = self.registry.topics(lane.tenant).get(lane.topic)
        pool = topic.value.pool if topic is not None else ""
        return may_be_offered(agent, topic=lane.topic, capability=lane.capability, pool=pool)
