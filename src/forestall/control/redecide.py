"""Decide again what people are asked, when what their approval rests on changed (control 5).

A policy comes into force, an entry of the registry changes, the key of a requester ends: what a
person reads in the list must be a question that can still be answered. So each open approval is put
before the gate again, as a repair does, and its job follows the decision (`jobs/transitions.py`,
the column `repair`). The theory of what is the same question stands in `jobs/approval.py`.

Theory
======

* *Who does it.* The server's loop (`redecide_stale`), a batch at a time; and every verb that shows
  an approval or takes a vote, for that approval, so that nobody is shown one that the loop has
  not reached. The commit expects the job at its revision, so one of two wins.
* *Under which policy.* The commit expects the policy that decided to be in force, and the registry
  entries to be as they were, so an approval is never bound to a policy that ended before. When the
  policy changes twice, approvals that were decided again after the first change are stale again.
* *After a crash.* Each approval is a commit of its own, and says to which policy it is bound. An
  approval that was not decided again is stale at the next start, also when the policy changed while
  the server was down.
* *What it costs.* The gate of one approval is evaluated in one step of the event loop, with a pause
  after each; the commits of a batch go to the store together.
* *Throttles.* The gate is rehearsed and counts nothing: the dispatch gate counts a job that it
  allows, and a question that stays was counted, if at all, when it was first asked.

Refuses nothing by itself; where the gate can make no decision, the approval stays as it is, stale.
"""

import asyncio
import contextlib
from collections.abc import Sequence

import msgspec

from forestall.control.agent_layer import agent_of, agent_unchanged
from forestall.control.gate import (
    GateResult,
    PayloadInfo,
    lost_right,
    rehearse,
    submitter_ended,
    tightened_by,
)
from forestall.control.moves import Move, commit_move, move_of
from forestall.control.offload import InspectionBusyError
from forestall.control.plane import Plane
from forestall.control.records import SYSTEM_ACTOR
from forestall.errors import UnavailableError
from forestall.jobs.agent_rights import facts_digest
from forestall.jobs.approval import drift, registry_drift, terms_of
from forestall.jobs.job import (
    Job,
    JobState,
    Stage,
    decision_record,
    stored_job_hash,
    stored_request,
)
from forestall.jobs.lifecycle import Event
from forestall.jobs.transitions import Asker, after_decision, rests_on_question
from forestall.jobs.votes import asked_approval
from forestall.limits import REDECIDED_AT_ONCE
from forestall.policy.rules import Effect
from forestall.ports.store import JobView, PreconditionFailedError
from forestall.projections.leases import JobName


class Redecision(msgspec.Struct, frozen=True):
    """A job after its approval was decided again.

    `drift` are the differences from what people had been asked, as sentences for people. `stays`:
    people are asked the same question as before.
    """

    job: Job
    drift: tuple[str, ...]
    stays: bool


def is_current(plane: Plane, job: Job) -> bool:
    """Whether a job's open approval is bound to the policy in force, to the registry as it is, and
    to a requester whose key and agent have not ended; an agent must have the right to the job, and
    the risk tier and data classes of which people were told."""
    approval = asked_approval(job)
    entries = plane.registry.bindings(job.tenant, job.topic)
    return (
        approval.snapshot == plane.policy.digest
        and not registry_drift(approval.registry, entries)
        and not submitter_ended(plane, job, now_us=plane.clock.now_us())
        and not lost_right(plane, job)
        and approval.agent_facts == facts_digest(agent_of(plane, job.key_id))
    )


async def redecide_stale(plane: Plane) -> int:
    """Decide a batch of stale approvals again, and return how many there were. Raises
    StoreUnavailableError and StoreBusyError; what was not decided is stale still."""
    if plane.snapshot is None or plane.is_tightening:
        return 0  # memory is about to learn of another policy or registry
    names = plane.open_approvals.stale(plane.policy.digest, limit=REDECIDED_AT_ONCE)
    await _redecide_batch(plane, names)
    return len(names)


async def with_current_approvals(plane: Plane, jobs: Sequence[Job]) -> list[Job]:
    """These jobs, each with its approval decided again where that was stale; as they were where no
    decision can be had now."""
    stale = [
        (job.tenant, job.id)
        for job in jobs
        if rests_on_question(job) and not is_current(plane, job)
    ]
    changed: dict[JobName, Job] = {}
    with contextlib.suppress(UnavailableError):
        changed = await _redecide_batch(plane, stale)
    return [changed.get((job.tenant, job.id), job) for job in jobs]


async def _redecide_batch(plane: Plane, names: Sequence[JobName]) -> dict[JobName, Job]:
    """Decide these approvals again. Returns the jobs that changed, by name."""
    moves: list[Move] = []
    for tenant, job_id in names:
        # When too many inspections wait, the approval stays stale and comes in a later batch.
        with contextlib.suppress(InspectionBusyError):
            move = await _move_if_stale(plane, tenant, job_id)
            if move is not None:
                moves.append(move)
        await asyncio.sleep(0)  # a batch must not hold the event loop
    outcomes = await asyncio.gather(
        *(_commit_unless_moved(plane, move) for move in moves), return_exceptions=True
    )
    changed: dict[JobName, Job] = {}
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome is not None:
            changed[outcome.tenant, outcome.id] = outcome
    return changed


async def _move_if_stale(plane: Plane, tenant: str, job_id: str) -> Move | None:
    """The move of a job whose approval is stale; None when the job needs no change."""
    # load: the basis first, so that a change of policy or registry during the reading makes the
    # approval stale again
    basis = plane.open_approvals.current_basis(tenant, plane.policy.digest)
    view = await plane.store.job(tenant, job_id)
    if view is None or not rests_on_question(view.job):
        plane.leases.doubt(tenant, job_id)  # memory is behind the store: have the job read again
        return None
    # decide
    move = None
    if not is_current(plane, view.job):
        move = await _move_by_gate(plane, view, SYSTEM_ACTOR)
    if move is None:
        plane.open_approvals.mark_decided(tenant, job_id, basis)
    return move


async def _commit_unless_moved(plane: Plane, move: Move) -> Job | None:
    """The job after the move; None when another verb moved the job first, or the policy changed:
    the approval is then still stale, or the job is read again."""
    # commit, and announce: projections follow the job as it was committed
    try:
        return await commit_move(plane, move, now_us=plane.clock.now_us())
    except PreconditionFailedError:
        return None


async def redecide(plane: Plane, view: JobView, *, actor: str = SYSTEM_ACTOR) -> Redecision | None:
    """Decide one approval again; None when its job needs no change.

    Raises PreconditionFailedError when another verb moved the job meanwhile,
    PolicyUnavailableError, InspectionBusyError, StoreUnavailableError.
    """
    # load: the caller did
    # decide
    move = await _move_by_gate(plane, view, actor)
    if move is None:
        return None
    # commit, and announce
    job = await commit_move(plane, move, now_us=plane.clock.now_us())
    recorded_drift = move.data.get("drift")
    drift_texts = tuple(map(str, recorded_drift)) if isinstance(recorded_drift, tuple) else ()
    return Redecision(job, drift_texts, stays=move.event is Event.REBOUND)


async def drift_of(plane: Plane, view: JobView) -> tuple[str, ...]:
    """The differences between the binding and what the gate would decide now, as sentences for
    people; empty when there is none."""
    return _differences(plane, view, await _rehearse_stored(plane, view))


async def _rehearse_stored(plane: Plane, view: JobView) -> GateResult:
    """What the gate would decide now on a stored job; nothing is counted."""
    payload = PayloadInfo(len(view.payload), view.job.key_id)
    request = stored_request(view.job, view.payload)
    return await rehearse(plane, request, payload=payload, passed=view.job.throttles_passed)


def _differences(plane: Plane, view: JobView, gate_result: GateResult) -> tuple[str, ...]:
    job, decision = view.job, gate_result.decision
    sentences: list[str] = []
    if submitter_ended(plane, job, now_us=plane.clock.now_us()):
        sentences.append(
            "requester: the credential or agent that asked is suspended, revoked or has expired"
        )
    if lost := lost_right(plane, job):
        sentences.append(f"agent: {lost}")
    if decision.decision is not Effect.REQUIRE_APPROVAL:
        sentences.append(f"decision: require_approval became {decision.decision}")
    terms = terms_of(decision, stored_job_hash(job, view.payload), gate_result.grounds)
    return (*sentences, *drift(asked_approval(job), terms))


async def _move_by_gate(plane: Plane, view: JobView, actor: str) -> Move | None:
    """The move of a job by what the gate decides now. None for a job that waits for a worker and
    may run without an approval, and for one whose approval has expired: the deadlines end that."""
    job = view.job
    gate_result = await _rehearse_stored(plane, view)
    now_us, snapshot = plane.clock.now_us(), plane.snapshot
    assert snapshot is not None, "the gate decides under the snapshot in force"
    decision = tightened_by(plane, view, gate_result.decision, now_us=now_us)
    if job.state is JobState.APPROVAL_REQUIRED:
        if now_us >= asked_approval(job).expires_at_us:
            return None
    elif decision.decision not in (Effect.REQUIRE_APPROVAL, Effect.DENY):
        return None
    transition = after_decision(
        job,
        decision,
        Asker.REPAIR,
        passed=job.throttles_passed,
        now_us=now_us,
        grounds=gate_result.grounds,
    )
    ends_question = transition.event in (Event.DENIED, Event.CLEARED)
    return move_of(
        job,
        transition,
        actor=actor,
        decision=decision_record(
            decision,
            gate_result.grounds,
            stage=Stage.DISPATCH,
            job_hash=job.job_hash,
            now_us=now_us,
        ),
        expect=(
            plane.policy.unchanged(snapshot),
            *agent_unchanged(plane, job.key_id),
            *plane.registry.unchanged(job.tenant, job.topic, gate_result.grounds.registry),
        ),
        data={"drift": _differences(plane, view, gate_result)} if ends_question else None,
    )
