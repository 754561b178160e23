"""What must hold, looked at while it happens. The numbers are those of the README.

Knows the plane only from outside: what the store applied, what workers were handed and what they
ran. Nothing here asks the plane whether the plane is right.
"""

from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec

from forestall.control.plane import Plane, instant
from forestall.identity.credentials import ApiKey, WorkerGrant
from forestall.jobs.job import (
    DecisionRecord,
    Job,
    JobState,
    Stage,
    stored_job_hash,
    stored_request,
)
from forestall.jobs.lifecycle import LEASED, MOVES, TERMINAL, Event
from forestall.limits import RETRIES_DEFAULT
from forestall.policy import Decision, Effect, evaluate
from forestall.policy.compile import Snapshot
from forestall.ports.change import (
    Change,
    IdempotencyEntry,
    MoveJob,
    PutEntry,
    PutIdempotency,
    PutJob,
    Receipt,
)
from forestall.ports.entries import EntryKind
from forestall.projections.policy_in_force import digest_in
from tests.recorded_kinds import require_described
from tests.sim.output_rules import treatment_in
from tests.sim.policies import compiled
from tests.sim.questions import Questions
from tests.sim.results import Results

if TYPE_CHECKING:
    from tests.sim.world import World

ALLOWED = (Effect.ALLOW, Effect.ALLOW_WITH_CONSTRAINTS)
Name = tuple[str, str]  # tenant and job id


class Told(msgspec.Struct):
    """What is known of one job from outside the plane."""

    job: Job
    payload: bytes
    retried: int = 0  # RETRIED moves so far
    runs: list[int] = []  # attempts that a worker ran
    harmless: set[int] = set()  # attempts of which the worker said `retryable`
    dead: bool = False
    tickets: dict[str, int] = {}  # lease id → attempt, of what a worker was handed


def _is_approved(job: Job, ended: set[str]) -> bool:
    """Whether enough different people approved the job with keys that have not ended."""
    assert job.approval is not None
    votes = [vote for vote in job.approval.votes if vote.approves and vote.key_id not in ended]
    demands = job.approval.demands.each if job.approval.demands is not None else ()
    quorum = max((demand.quorum for demand in demands), default=1)
    return len({vote.principal for vote in votes}) >= quorum


class Checks:
    """Watches one world."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.jobs: dict[Name, Told] = {}
        self.keys: dict[str, ApiKey] = {}
        self.revoked: set[str] = set()  # ids of keys whose revocation was answered
        self.snapshots: dict[str, Snapshot] = {}
        self.in_force = ""  # by the order of the log
        self.answered = ""  # the last activation that somebody was told of
        self.superseded: set[str] = set()  # digests in force before that one
        self.by_idempotency: dict[tuple[str, str], str] = {}
        self.made_by_key: set[tuple[str, str]] = set()
        self.retried: set[Name] = set()  # dead letters that were submitted again
        self.cancelled: set[Name] = set()  # of which a cancellation was answered
        self.approved: dict[str, tuple[str, str, int]] = {}  # lease id → the approval it stands on
        self.spent: set[tuple[str, str, int]] = set()  # approvals that a worker has seen
        self.leases: dict[str, Job] = {}  # lease id → the job as it was dispatched with it
        self.counts: Counter[str] = Counter()
        self.results = Results(world, self.counts, self.keys)
        self.questions = Questions(world, self.counts)

    # -- what the store applied --

    def applied(self, change: Change, receipt: Receipt) -> None:
        """A change is durable."""
        require_described(change.records)
        kinds = " ".join(record.kind for record in change.records)
        jobs = [record.job_id[-6:] for record in change.records if record.job_id]
        self.world.trace("store", f"{receipt.position} {kinds} {' '.join(jobs)}".rstrip())
        self.questions.kept(change)
        for record in change.records:
            if record.kind == "approval.joined":
                job = self.jobs[record.tenant, record.job_id].job
                hashed = str(record.data["job_hash"])
                self.questions.joined(job, record.actor, str(record.data["key_id"]), hashed)
        for put in change.puts:
            if isinstance(put, PutJob):
                self._born(put)
            elif isinstance(put, MoveJob):
                self._moved(put, change)
            elif isinstance(put, PutEntry) and put.entry.kind == EntryKind.POLICY_IN_FORCE:
                self.in_force = digest_in(put.entry)
            elif isinstance(put, PutIdempotency):
                self._stands_for(put.entry)
            elif isinstance(put, PutEntry) and put.entry.kind == EntryKind.KEY:
                self.keys[put.entry.name] = msgspec.json.decode(put.entry.body, type=ApiKey)
        self.results.kept(change)

    def _born(self, put: PutJob) -> None:
        job = put.job
        self.counts["jobs"] += 1
        self.counts[f"born {job.state}"] += 1
        told = Told(job=job, payload=put.payload, dead=job.state is JobState.DENIED)
        self.jobs[job.tenant, job.id] = told
        if job.idempotency_key:
            key = (job.tenant, job.idempotency_key)  # agents of the simulation share none
            if key in self.made_by_key:
                raise self._violated("10", job, "one idempotency key made two jobs")
            self.made_by_key.add(key)
            self.by_idempotency.setdefault(key, job.id)
        if job.lineage is not None and not job.lineage.remediation_id:
            parent = (job.tenant, job.lineage.parent_job_id)
            if parent in self.retried:
                raise self._violated("10", job, "one dead letter was retried as two jobs")
            self.retried.add(parent)
            self.results.retried(job, self.jobs[parent].job)
        allowed = put.decision.decision in ALLOWED
        if allowed != (job.state is JobState.PENDING) or put.decision.stage is not Stage.SUBMIT:
            raise self._violated("1", job, f"born {job.state} by a {put.decision.decision}")

    def _stands_for(self, entry: IdempotencyEntry) -> None:
        """An idempotency key stands for a job from now on: its own, or one whose approval it
        shares."""
        self.by_idempotency[entry.tenant, entry.key.rpartition(" ")[2]] = entry.job_id

    def _moved(self, put: MoveJob, change: Change) -> None:
        job, event = put.job, put.event
        told = self.jobs.get((job.tenant, job.id))
        if told is None:
            raise self._violated("3", job, "moved before it was born")
        before = told.job
        self.counts[f"event {event}"] += 1
        if MOVES.get((before.state, event)) is not job.state:
            raise self._violated("4", job, f"{before.state} → {job.state} by {event}")
        if job.revision != before.revision + 1 or job.updated_at_us < before.updated_at_us:
            raise self._violated("4", job, "its revision or its time runs backwards")
        told.job = job
        self.results.moved(put, before, change, self.in_force)
        self.questions.moved(put, before, told.payload, self.snapshots, self.in_force)
        if event in (Event.DISMISSED, Event.RELEASED, Event.CONFIRMED):
            told.dead = False
        elif job.state in TERMINAL:
            told.dead = event not in (Event.SUCCEEDED, Event.FULFILLED, Event.CANCELLED)
        if event is Event.RETRIED:
            told.retried += 1
            self._check_retries(told, before)
        if put.decision is not None:
            self._decided(told, before, put, put.decision)
        elif event in (Event.DISPATCHED, Event.THROTTLED, Event.DENIED, Event.APPROVAL_DEMANDED):
            raise self._violated("8", job, f"{event} without a decision")

    def _decided(self, told: Told, before: Job, put: MoveJob, decision: DecisionRecord) -> None:
        """A gate decided at dispatch: the record says what the policy says."""
        job, event = put.job, put.event
        if decision.stage is not Stage.DISPATCH or decision.job_hash != job.job_hash:
            raise self._violated("8", job, "the decision is on something else")
        self.counts[f"dispatch {decision.decision}"] += 1
        wanted = {
            Event.DISPATCHED: ALLOWED,
            Event.THROTTLED: (Effect.THROTTLE,),
            Event.FAILED: (Effect.THROTTLE,),
            Event.APPROVAL_DEMANDED: (Effect.REQUIRE_APPROVAL,),
            Event.REBOUND: (Effect.REQUIRE_APPROVAL,),
            Event.CLEARED: (*ALLOWED, Effect.THROTTLE),
            Event.DENIED: (Effect.DENY,),
        }.get(event, ())
        if decision.decision not in wanted:
            raise self._violated("1", job, f"{event} by a {decision.decision}")
        self._decide_anew(told, decision, event)
        if event is Event.DISPATCHED:
            self._dispatched(told, before, decision)

    def _decide_anew(self, told: Told, decision: DecisionRecord, event: Event) -> None:
        job = told.job
        snapshot = self.snapshots.get(decision.snapshot)
        if snapshot is None:
            raise self._violated("1", job, f"{event} under a snapshot that was never in force")
        anew = self._evaluated(told, snapshot, decision)
        if (anew.decision, anew.rule_id) == (decision.decision, decision.rule_id):
            return
        if event is Event.CLEARED and anew.decision is Effect.THROTTLE:
            return  # its limit was not reached, which is looked at again at the dispatch
        asks = anew.decision is Effect.REQUIRE_APPROVAL and anew.rule_id == decision.rule_id
        if event is Event.DISPATCHED and decision.code == "approved" and asks:
            self._spent(job, decision)
            return
        key = self.keys.get(job.key_id)
        revoked = key is not None and key.revoked_at_us is not None
        if event is Event.DENIED and revoked and job.failure_code == "submitter_revoked":
            self.counts["denied: submitter revoked"] += 1
            return
        number = "8" if event is Event.DENIED else "1"
        raise self._violated(
            number, job, f"{event} by {decision.decision}; the policy says {anew.decision}"
        )

    def _spent(self, job: Job, decision: DecisionRecord) -> None:
        """A dispatch stands on an approval: of this job, under this policy, by enough people whose
        keys the log has not ended, and for this dispatch alone."""
        approval = job.approval
        self.counts["dispatches on an approval"] += 1
        if approval is None or (approval.job_hash, approval.snapshot) != (
            decision.job_hash,
            decision.snapshot,
        ):
            raise self._violated("14", job, "dispatched on an approval of something else")
        ended = {key_id for key_id, key in self.keys.items() if key.revoked_at_us is not None}
        if not _is_approved(job, ended):
            raise self._violated("14", job, "dispatched on votes that do not count")
        self.questions.dispatched(job, approval)
        name = (job.tenant, job.id, approval.asked_at_us)
        if name in self.spent:
            raise self._violated("14", job, "a worker has seen this approval before")
        assert job.lease is not None, "checked where a dispatch is"
        self.approved[job.lease.id] = name

    def _evaluated(self, told: Told, snapshot: Snapshot, decision: DecisionRecord) -> Decision:
        request = stored_request(told.job, told.payload)
        lifted = frozenset(told.job.throttles_passed)
        return evaluate(snapshot, request, now=instant(decision.decided_at_us), lifted=lifted)

    def _dispatched(self, told: Told, before: Job, decision: DecisionRecord) -> None:
        job = told.job
        lease = job.lease
        if lease is None or job.attempt != before.attempt + 1:
            raise self._violated("1", job, "dispatched without a lease or an attempt of its own")
        self.leases[lease.id] = job
        if decision.snapshot != self.in_force:
            raise self._violated("1", job, "dispatched under a snapshot that is not in force")
        if stored_job_hash(job, told.payload) != decision.job_hash:
            raise self._violated("1", job, "what was decided is not what is dispatched")
        if before.deadline_at_us and lease.dispatched_at_us >= before.deadline_at_us:
            raise self._violated("6", job, "dispatched after its deadline")
        self._check_bound(job)

    def _check_bound(self, job: Job) -> None:
        lease = job.lease
        if lease is None or lease.constraints is None:
            return
        bound = lease.constraints.budgets.max_concurrent_jobs
        if bound is None:
            return
        self.counts["looks at a bound on concurrency"] += 1
        running = sum(
            other.job.state in LEASED
            and other.job.lease is not None
            and (other.job.tenant, other.job.lease.rule_id) == (job.tenant, lease.rule_id)
            for other in self.jobs.values()
        )
        if running > bound:
            raise self._violated("6", job, f"{running} run under a bound of {bound}")

    def _check_retries(self, told: Told, before: Job) -> None:
        allowed = RETRIES_DEFAULT if before.max_retries is None else before.max_retries
        if before.lease is not None and before.lease.constraints is not None:
            bound = before.lease.constraints.budgets.max_retries
            allowed = allowed if bound is None else min(allowed, bound)
        if told.retried > allowed:
            raise self._violated("6", told.job, f"retried {told.retried} times, {allowed} allowed")

    # -- what people and workers were told --

    def activated(self, snapshot: Snapshot) -> None:
        """Somebody was told that a snapshot is in force now."""
        self.superseded.add(self.answered)
        self.answered = snapshot.digest
        self.superseded.discard(snapshot.digest)

    def will_activate(self, text: str) -> None:
        """Somebody is about to put this into force."""
        snapshot = compiled(text)
        self.snapshots[snapshot.digest] = snapshot
        self.results.treatments[snapshot.digest] = treatment_in(text)

    def must_stop(self, job: Job) -> bool:
        """Whether a heartbeat that is sent now must be answered with an order to stop: a key that
        the job rests on has ended, and somebody was told so."""
        on_approval = job.lease is not None and job.lease.id in self.approved
        return job.key_id in self.revoked or (on_approval and not _is_approved(job, self.revoked))

    def handed_over(
        self, plane: Plane, grant: WorkerGrant, tenant: str, key_id: str, job: Job
    ) -> None:
        """A ticket leaves the plane for a worker."""
        self.counts["tickets"] += 1
        told = self.jobs[job.tenant, job.id]
        lease = job.lease
        if lease is None or lease.worker != grant.worker_id:
            raise self._violated("7", job, f"handed to {grant.worker_id}, who does not hold it")
        if job.tenant != tenant:
            raise self._violated("7", job, f"handed to a worker of {tenant}")
        if not any(fnmatchcase(job.topic, glob) for glob in grant.topics):
            raise self._violated("7", job, f"{job.topic} is outside the grant of the worker")
        for name in job.requires:
            if not any(fnmatchcase(name, glob) for glob in grant.capabilities):
                raise self._violated("7", job, f"`{name}` is outside the grant of the worker")
        if key_id in self.revoked:
            raise self._violated("7", job, "handed to a worker whose credential is revoked")
        if job.key_id in self.revoked:
            raise self._violated("1", job, "handed over although its submitter is revoked")
        if lease.id in self.approved:
            self.counts["tickets on an approval"] += 1
            if not _is_approved(job, self.revoked):
                raise self._violated("14", job, "handed over on the vote of a revoked key")
            self.questions.handed_over(job)
            self.spent.add(self.approved[lease.id])
        if (job.tenant, job.id) in self.cancelled:
            raise self._violated("3", job, "handed over after it was cancelled")
        in_force = plane.snapshot.digest if plane.snapshot is not None else ""
        # A policy can come back into force without anybody being told: the answer was lost, and the
        # plane reads of it in the log.
        is_old = lease.snapshot in self.superseded and lease.snapshot != self.in_force
        if lease.snapshot != in_force or is_old:
            raise self._violated("1", job, "handed over under a snapshot that is not in force")
        if lease.snapshot != self.in_force:
            self.counts["tickets that an unanswered activation overtook"] += 1
        self._check_bound(job)
        told.tickets = {**told.tickets, lease.id: job.attempt}

    def ran(self, job: Job) -> None:
        """A worker does the job: this is the effect in the world."""
        told = self.jobs[job.tenant, job.id]
        self.counts["runs"] += 1
        self.results.ran(job)
        lease = job.lease
        if lease is None or told.tickets.get(lease.id) != job.attempt:
            raise self._violated("1", job, "run with a ticket that was never handed out")
        if told.runs and not job.idempotent:
            known = told.harmless
            if job.attempt in told.runs or not known.issuperset(told.runs):
                raise self._violated("2", job, f"run twice: {[*told.runs, job.attempt]}")
        if told.runs:
            self.counts["runs again"] += 1
        told.runs = [*told.runs, job.attempt]

    def said_retryable(self, job: Job) -> None:
        """The worker is about to say that the attempt did nothing, or does no harm twice."""
        told = self.jobs[job.tenant, job.id]
        told.harmless = told.harmless | {job.attempt}

    def answered_submit(self, tenant: str, key: str, job: Job) -> None:
        """An agent was told of its job."""
        if (tenant, job.id) not in self.jobs:
            raise self._violated("3", job, "answered, but not durable")
        if key and self.by_idempotency.get((tenant, key)) != job.id:
            raise self._violated("10", job, f"the key `{key}` stands for another job")

    def _violated(self, number: str, job: Job, what: str) -> Exception:
        return self.world.violate(
            number, f"job {job.id[-6:]} of {job.tenant} ({job.state}): {what}"
        )
