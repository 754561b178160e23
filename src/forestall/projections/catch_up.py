"""Make memory follow the store: the only writer of every projection.

A process learns of changes in two ways: from the receipts of its own commits, and from the log, for
the commits of others and for its own whose answer was lost (`control/follow_log.py`). Both ways end
here.

Order. The store orders all changes by their position in the log. Answers of the store can arrive in
another order, late, or never. Hence two guards: the records at one position are counted once, and
neither a job nor an entry goes back to an earlier revision. So taking up the same state twice, or
late, does no harm.

A job is followed by its state, not by the event that led there: queue, leases and deadlines are
functions of the jobs in the store, but for the instant at which a lease expires, which every
process counts from when it learns of the dispatch.
"""

from collections.abc import Sequence

from forestall.audit.record import Record
from forestall.identity.agents import ended_agent
from forestall.jobs.agent_rights import facts_digest
from forestall.jobs.approval import registry_drift
from forestall.jobs.job import Job, JobState, payload_digest
from forestall.jobs.lifecycle import LEASED, TERMINAL, WAITING
from forestall.jobs.schedule import Lane, entry_of
from forestall.policy.rules import Verdict
from forestall.ports.change import Change, DropEntry, MoveJob, PutEntry, PutJob
from forestall.ports.entries import EntryKind, RegistryEntry
from forestall.projections import registry as registry_kinds
from forestall.projections import webhooks as webhook_kinds
from forestall.projections.doubts import EntryKey
from forestall.projections.projections import Projections
from forestall.projections.worker_sessions import WorkerSession

# A worker needs no notice of a state that its own answer led to.
_OWN_ANSWER = (
    JobState.SUCCEEDED,
    JobState.FAILED,
    JobState.OUTPUT_QUARANTINED,
    JobState.PENDING,
)
_WITH_VERDICT = ("job.succeeded", "job.quarantined", "output.checked")


def catch_up(
    state: Projections, change: Change, position: int, *, now_us: int, first: bool = False
) -> None:
    """Take up a durable change whose first record stands at `position` in the log.

    `first`: a job that is queued by this change has waited before, so it goes to the front.
    """
    is_first_time = state.positions.take(position, len(change.records))
    for put in change.puts:
        if type(put) is MoveJob:
            follow_job(state, put.job, now_us=now_us, first=first)
        elif type(put) is PutJob:
            follow_job(state, put.job, now_us=now_us)
            if put.job.state is JobState.DENIED:
                payload_name = (put.job.tenant, put.job.principal, payload_digest(put.payload))
                state.blind_retries.denied(payload_name, put.job.id, now_us=now_us)
        elif type(put) is PutEntry:
            take_up_entry(state, put.entry.key, put.entry, position)
        elif type(put) is DropEntry:
            take_up_entry(state, put.entry.key, None, position)
    if is_first_time:  # else `follow_log` took these records up before the store's answer came
        take_up_records(state, change.records, now_us=now_us)


def take_up_records(state: Projections, records: Sequence[Record], *, now_us: int) -> None:
    """Take up what stands in records alone: count the verdicts, and wake the followers of the
    log."""
    for record in records:
        if record.kind in _WITH_VERDICT and "verdict" in record.data:
            verdict = Verdict(record.data["verdict"])
            spent_us = int(record.data.get("check_us", 0))
            state.output_stats.checked(record.tenant, verdict, spent_us, now_us=now_us)
    state.announcer.grew(records)


def take_up_entry(
    state: Projections, key: EntryKey, entry: RegistryEntry | None, position: int
) -> bool:
    """Take up a registry entry as the change at `position` left it; None: that change removed it.

    False, without any effect, when a later change of the same entry was taken up before.
    """
    if not state.entry_doubts.is_newer(key, position, taken_to=state.positions.taken_to):
        return False
    tenant, kind, name = key
    if kind in registry_kinds.KINDS:
        _put_or_drop(state.registry, key, entry)
        state.open_approvals.mark_tenant_stale(tenant)
        state.workers.rerouted()
        state.workers.wake_all()
    elif kind in webhook_kinds.KINDS:
        _put_or_drop(state.webhooks, key, entry)
    elif kind == EntryKind.KEY and entry is not None:
        state.keys.put(entry)
        if entry.revision > 1:  # the key may be revoked, which ends approvals of its jobs
            state.open_approvals.mark_tenant_stale(tenant)
        _end_session_if_revoked(state, name)
    elif kind == EntryKind.AGENT and entry is not None:
        _follow_agent(state, entry)
    elif kind == EntryKind.TENANT and entry is not None:
        state.tenants.put(entry)
        state.workers.wake_all()
    elif kind == EntryKind.POLICY_IN_FORCE and entry is not None:
        _come_into_force(state, entry)
    return True  # no projection has entries of the other kinds; verbs read them from the store


def _put_or_drop(
    projection: registry_kinds.Registry | webhook_kinds.Webhooks,
    key: EntryKey,
    entry: RegistryEntry | None,
) -> None:
    if entry is not None:
        projection.put(entry)
    else:
        projection.drop(key)


def _end_session_if_revoked(state: Projections, key_id: str) -> None:
    """End the session of a worker whose key was revoked."""
    key = state.keys.by_id(key_id)
    if key is None or key.revoked_at_us is None or key.worker is None:
        return
    session = state.workers.get(key.tenant, key.worker.worker_id)
    if session is not None and session.key_id == key.id:
        state.workers.drop(key.tenant, key.worker.worker_id)


def _follow_agent(state: Projections, entry: RegistryEntry) -> None:
    """Take up an agent. What it asked for may be forbidden now, or asked of people anew; a worker
    that it is may be offered other jobs, or has ended."""
    state.agents.put(entry)
    if entry.revision == 1:
        return
    state.open_approvals.mark_tenant_stale(entry.tenant)
    agent = state.agents.by_name(entry.tenant, entry.name)
    ended = ended_agent(agent, now_us=entry.updated_at_us)
    for session in state.workers:
        key = state.keys.by_id(session.key_id)
        if ended and agent is not None and key is not None and key.agent_id == agent.id:
            state.workers.drop(*session.name)
    state.workers.wake_all()


def _come_into_force(state: Projections, entry: RegistryEntry) -> None:
    state.policy.put(entry)
    state.leases.forget_progress()  # its texts were scanned under the policy before
    state.cache.flush()
    state.queue.unpark_all()  # the bounds that parked these jobs may have changed
    state.workers.wake_all()


def follow_job(
    state: Projections, job: Job, *, now_us: int, first: bool = False, whole: bool = False
) -> None:
    """Make queue, leases, deadlines and open approvals follow the state of a job.

    `first`: a queued job goes to the front, since it has waited before. `whole`: memory may know
    nothing of the job, as at a start; its deadline, which is otherwise watched from its birth on,
    is watched from now on.
    """
    if not state.leases.is_newest(job):
        return  # this answer of the store came late: a later move was taken up before
    if job.state not in LEASED:
        _end_lease(state, job)
    if job.state in WAITING:
        state.queue.add(entry_of(job), now_us=now_us, first=first)
        if job.not_before_us <= now_us:
            wake_for(state, entry_of(job).lane)
    else:
        state.queue.remove(job.tenant, job.id)
        if job.state in LEASED:
            state.leases.take_up(job, expires_at_us=now_us + state.lease_us)
    _follow_approval(state, job)
    if job.deadline_at_us and job.state not in TERMINAL and (whole or job.revision == 0):
        state.deadlines.watch(job.deadline_at_us, job.tenant, job.id)
    if job.state is JobState.APPROVAL_REQUIRED and job.approval is not None:
        state.deadlines.watch(job.approval.expires_at_us, job.tenant, job.id)


def _follow_approval(state: Projections, job: Job) -> None:
    approval = job.approval
    if approval is None:
        return
    policy = state.policy.digest
    entries = state.registry.bindings(job.tenant, job.topic)
    is_bound = (
        approval.snapshot == policy
        and not registry_drift(approval.registry, entries)
        and approval.agent_facts == facts_digest(state.agent_of(job.key_id))
    )
    state.open_approvals.follow(job, policy=policy, is_bound=is_bound)


def _end_lease(state: Projections, job: Job) -> None:
    lease = state.leases.drop(job.tenant, job.id)
    if lease is None or lease.job.lease is None:
        return
    session = state.workers.get(job.tenant, lease.job.lease.worker)
    if session is not None and job.state not in _OWN_ANSWER:
        session.notice.set()
    if state.queue.unpark((job.tenant, lease.job.lease.rule_id)):
        state.workers.wake_all()


def wake_for(state: Projections, lane: Lane) -> None:
    """Wake the least loaded worker that waits and can serve a lane."""

    def load(session: WorkerSession) -> float:
        return state.leases.count_of_worker(session.name) / session.max_parallel

    state.workers.wake(lane, load)
