"""Dispatch jobs to a worker: the gate decides again, under the snapshot in force (control 4).

A job that the policy no longer allows is stopped here, with a record that says why. A job on which
no decision could be made stays queued: an outage is never a denial, and never an allow.
`docs/internals/leases-and-doubt.md` says why each guard around the commit is there.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from forestall.control.agent_layer import agent_unchanged, ended_credential
from forestall.control.gate import (
    GateResult,
    PayloadInfo,
    PolicyUnavailableError,
    count,
    decide,
    ended_votes,
    lost_right,
    tightened_by,
    withdrawal,
)
from forestall.control.moves import commit_move, move_of
from forestall.control.offload import InspectionBusyError
from forestall.control.plane import Plane
from forestall.control.records import SYSTEM_ACTOR
from forestall.control.recover import take_back
from forestall.errors import ForestallError, UnavailableError
from forestall.jobs.approval import registry_drift
from forestall.jobs.job import DecisionRecord, Job, Lease, Stage, decision_record, stored_request
from forestall.jobs.lifecycle import WAITING
from forestall.jobs.schedule import QueueEntry
from forestall.jobs.ticket import Ticket
from forestall.jobs.transitions import (
    APPROVED,
    Asker,
    after_deadline,
    after_decision,
    is_allowed,
    runs_on_approval,
    under_approval,
)
from forestall.jobs.worker import DispatchedJob
from forestall.policy.rules import Decision
from forestall.ports.change import Precondition
from forestall.ports.store import JobView, PreconditionFailedError
from forestall.projections.leases import RuleName
from forestall.projections.worker_sessions import WorkerSession
from forestall.structs import copied

OUTAGE_RETRY_US = 5_000_000


async def dispatch(plane: Plane, session: WorkerSession, *, limit: int) -> list[DispatchedJob]:
    """Up to `limit` jobs for a worker, each allowed now and durable as DISPATCHED to this worker.

    Empty for a worker whose key or agent has ended while the worker waited. Raises
    StoreUnavailableError and StoreBusyError when no job could be dispatched because of the store.
    """
    dispatched: list[DispatchedJob] = []
    if not _has_usable_key(plane, session):
        return dispatched
    while True:
        # Other requests of this worker may be in the middle of their own dispatches.
        leased = plane.leases.count_of_worker(session.name) + session.reserved
        places = min(limit - len(dispatched), session.max_parallel - leased)
        entries = _pick_jobs(plane, session, places) if not plane.is_tightening else []
        if not entries:
            return await _still_sendable(plane, session, dispatched)
        failures: list[ForestallError] = []
        session.reserved += len(entries)
        try:
            outcomes = await asyncio.gather(
                *(dispatch_one(plane, session.id, entry) for entry in entries),
                return_exceptions=True,
            )
        finally:
            session.reserved -= len(entries)
        for outcome in outcomes:
            if isinstance(outcome, DispatchedJob):
                dispatched.append(outcome)
            elif isinstance(outcome, UnavailableError):
                failures.append(outcome)
            elif isinstance(outcome, BaseException):
                raise outcome
        if failures:
            if dispatched:
                return await _still_sendable(plane, session, dispatched)
            raise failures[0]


def _has_usable_key(plane: Plane, session: WorkerSession) -> bool:
    """Whether neither the key that the worker registered with, nor the agent that it is, has
    ended, and its tenant is not suspended."""
    if plane.tenants.is_suspended(session.tenant):
        return False
    return not ended_credential(plane, session.key_id, now_us=plane.clock.now_us())


async def _still_sendable(
    plane: Plane, session: WorkerSession, dispatched: list[DispatchedJob]
) -> list[DispatchedJob]:
    """The dispatched jobs that may still be sent; the others are taken back. While the last of them
    committed, a change of the policy or of a key, or a cancellation, may have come after the first.

    For each job returned: the lease is still the worker's, the policy is the one that decided, and
    the keys of submitter and worker are valid. No await follows the last check, so this holds when
    the caller goes on.
    """
    while True:
        leased = [item for item in dispatched if _is_leased_as_dispatched(plane, item.job)]
        worker_may_run = _has_usable_key(plane, session)
        unsendable = [
            item for item in leased if not (worker_may_run and _decision_holds(plane, item.job))
        ]
        if not unsendable:
            return leased
        dispatched = [item for item in leased if item not in unsendable]
        for item in unsendable:
            await _take_back_or_doubt(plane, item.job)


async def _take_back_or_doubt(plane: Plane, job: Job) -> None:
    """Take back a dispatch that was not sent. When the store is unavailable, the job is in doubt,
    and the tick takes it back."""
    with contextlib.suppress(UnavailableError):
        await take_back(plane, job)


def _is_leased_as_dispatched(plane: Plane, job: Job) -> bool:
    """Whether the job is leased as it was dispatched: nothing has moved it since."""
    leased = plane.leases.get(job.tenant, job.id)
    return leased is not None and leased.job.revision == job.revision


def _decision_holds(plane: Plane, job: Job) -> bool:
    """Whether the decision to dispatch still holds: the policy that decided is in force, the
    keys of submitter and voters have not ended, the agent that submitted it has its rights, the
    registry entries that an approval rests on are unchanged, and no change of these is on its
    way."""
    snapshot = plane.snapshot.digest if plane.snapshot is not None else ""
    return (
        job.lease is not None
        and not plane.is_tightening
        and job.lease.snapshot == snapshot
        and not withdrawal(plane, job, now_us=plane.clock.now_us())
        and not lost_right(plane, job)
        and not _has_other_registry(plane, job)
    )


def _has_other_registry(plane: Plane, job: Job) -> bool:
    """Whether the job runs on an approval that rests on registry entries which have changed."""
    if job.approval is None or not runs_on_approval(job):
        return False
    current = plane.registry.bindings(job.tenant, job.topic)
    return bool(registry_drift(job.approval.registry, current))


def _pick_jobs(plane: Plane, session: WorkerSession, places: int) -> list[QueueEntry]:
    entries: list[QueueEntry] = []
    while len(entries) < places:
        entry = plane.queue.pick(lambda lane: plane.workers.serves(session, lane))
        if entry is None:
            break
        entries.append(entry)
    return entries


async def dispatch_one(plane: Plane, taker: str, entry: QueueEntry) -> DispatchedJob | None:
    """Decide one picked job and commit what follows. `taker` is the worker, or the caller that
    claims its own job. None when the job does not go to `taker` now: the job was stopped,
    throttled, parked or moved by another verb, or the gate could make no decision.

    Raises StoreUnavailableError and StoreBusyError; the job is queued again then.
    """
    try:
        # load
        if plane.tenants.is_suspended(entry.lane.tenant):
            now_us = plane.clock.now_us()
            plane.queue.add(entry._replace(not_before_us=now_us + OUTAGE_RETRY_US), now_us=now_us)
            return None
        view = await plane.store.job(entry.lane.tenant, entry.job_id)
        if view is None or view.job.state not in WAITING:
            # Another verb moved the job, so the queue was behind: have the job read again.
            plane.leases.doubt(entry.lane.tenant, entry.job_id)
            return None
        dispatched = await _decide_one(plane, taker, entry, view)
    except PreconditionFailedError:
        return None
    except UnavailableError as error:
        now_us = plane.clock.now_us()
        later = entry._replace(not_before_us=now_us + OUTAGE_RETRY_US)
        plane.queue.add(later, now_us=now_us)
        if isinstance(error, (PolicyUnavailableError, InspectionBusyError)):
            return None
        raise
    if dispatched is None or not _is_leased_as_dispatched(plane, dispatched.job):
        return None
    if not _decision_holds(plane, dispatched.job):
        await _take_back_or_doubt(plane, dispatched.job)
        return None
    return dispatched


async def _decide_one(
    plane: Plane, taker: str, entry: QueueEntry, view: JobView
) -> DispatchedJob | None:
    job, now_us = view.job, plane.clock.now_us()
    # decide
    if job.deadline_at_us and now_us >= job.deadline_at_us:
        transition = after_deadline(job, now_us=now_us)
        assert transition is not None, "a job in the queue has not ended"
        move = move_of(job, transition, actor=SYSTEM_ACTOR)
        # commit
        await commit_move(plane, move, now_us=now_us)
        return None
    request = stored_request(job, view.payload)
    gate_result = await decide(
        plane,
        request,
        stage=Stage.DISPATCH,
        now_us=now_us,
        payload=PayloadInfo(len(view.payload), job.key_id),
        passed=job.throttles_passed,
    )
    decision = tightened_by(plane, view, gate_result.decision, now_us=now_us)
    decision = under_approval(
        job,
        decision,
        gate_result.grounds,
        ended_votes=ended_votes(plane, job, now_us=now_us),
        now_us=now_us,
    )
    record = decision_record(
        decision, gate_result.grounds, stage=Stage.DISPATCH, job_hash=job.job_hash, now_us=now_us
    )
    if is_allowed(decision):
        rule = (job.tenant, decision.rule_id)
        if not _has_free_slot(plane, decision, rule):
            plane.queue.park(entry, rule)
            return None
        leased = await _commit_dispatch(
            plane, taker, job, decision, record, gate_result, now_us=now_us
        )
        # announce
        count(plane, decision, request, stage=Stage.DISPATCH)
        plane.telemetry.waited((now_us - max(job.updated_at_us, job.not_before_us)) / 1_000_000)
        return _with_ticket(plane, leased, view.payload, record, now_us=now_us)
    # The policy in force does not let the job run now: commit the denial, throttle or demand for
    # approval that it decided instead.
    chance = int.from_bytes(plane.random.token(2), "big")
    transition = after_decision(
        job,
        decision,
        Asker.DISPATCH,
        passed=gate_result.passed,
        now_us=now_us,
        chance=chance,
        grounds=gate_result.grounds,
    )
    # commit
    move = move_of(job, transition, actor=SYSTEM_ACTOR, decision=record)
    await commit_move(plane, move, now_us=now_us)
    # announce
    count(plane, decision, request, stage=Stage.DISPATCH)
    return None


def _has_free_slot(plane: Plane, decision: Decision, rule: RuleName) -> bool:
    """Whether one more job may run under this rule, by the bound that the decision gives it."""
    bound = decision.constraints.budgets.max_concurrent_jobs if decision.constraints else None
    plane.leases.set_bound(rule, bound)
    return plane.leases.has_free_slot(rule)


def _preconditions(plane: Plane, job: Job, record: DecisionRecord) -> tuple[Precondition, ...]:
    """The preconditions that policy, tenant, keys of submitter and voters, the agent of the
    submitter, and for an approved job its registry entries, are as they were when the gate decided.
    They are checked in the transaction of the dispatch, so no dispatch follows in the log on a
    change that forbids it."""
    assert plane.snapshot is not None, "the gate decided under a snapshot"
    assert plane.snapshot.digest == record.snapshot, "the gate decides under the one in force"
    key_ids = [job.key_id]
    entries: Sequence[Precondition] = ()
    if record.code == APPROVED:
        votes = job.approval.votes if job.approval is not None else ()
        key_ids += (vote.key_id for vote in votes)
        entries = plane.registry.unchanged(job.tenant, job.topic, record.registry)
    keys = (plane.keys.by_id(key_id) for key_id in dict.fromkeys(key_ids))
    return (
        plane.policy.unchanged(plane.snapshot),
        plane.tenants.unchanged(job.tenant),
        *(plane.keys.unchanged(key) for key in keys if key is not None),
        *agent_unchanged(plane, job.key_id),
        *entries,
    )


async def _commit_dispatch(
    plane: Plane,
    taker: str,
    job: Job,
    decision: Decision,
    record: DecisionRecord,
    gate_result: GateResult,
    *,
    now_us: int,
) -> Job:
    runtime_ms = record.constraints.budgets.max_runtime_ms if record.constraints else None
    lease = Lease(
        id=plane.random.token(16).hex(),
        worker=taker,
        dispatched_at_us=now_us,
        runs_until_us=now_us + runtime_ms * 1_000 if runtime_ms is not None else 0,
        rule_id=record.rule_id,
        snapshot=record.snapshot,
        constraints=record.constraints,
    )
    transition = after_decision(
        job, decision, Asker.DISPATCH, passed=gate_result.passed, now_us=now_us, lease=lease
    )
    expect = _preconditions(plane, job, record)
    move = move_of(job, transition, actor=taker, decision=record, expect=expect)
    rule = (job.tenant, record.rule_id)
    plane.leases.reserve(rule)
    # commit
    try:
        moved = await commit_move(plane, move, now_us=now_us)
    except UnavailableError:
        # The dispatch may be durable; then no worker was sent the job, and its slot is taken. The
        # doubt keeps both facts until the job is read.
        doubt = plane.leases.doubt(job.tenant, job.id)
        doubt.unsent.append(lease.id)
        doubt.slots.append(rule)
        raise
    except BaseException:
        plane.leases.release(rule)
        raise
    plane.leases.release(rule)
    return moved


def _with_ticket(
    plane: Plane, job: Job, payload: bytes, record: DecisionRecord, *, now_us: int
) -> DispatchedJob:
    assert job.lease is not None
    expires_at_us = now_us + plane.lease_us
    ticket = copied(
        Ticket,
        job,
        record,
        job_id=job.id,
        worker=job.lease.worker,
        decision=record.decision.value,
        issued_at_us=now_us,
        expires_at_us=expires_at_us,
    )
    return DispatchedJob(job, payload, plane.signer.ticket(ticket), expires_at_us)
