"""Planes that are broken on purpose. Each must be caught, or the checks prove nothing.

Every entry patches one function of the plane for the length of a run.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import msgspec

from forestall.control import (
    complete,
    dispatch,
    expire,
    gate,
    lease_holder,
    moves,
    recover,
    worker_protocol,
)
from forestall.control import plane as plane_module
from forestall.control.gate import GateResult
from forestall.control.moves import Move
from forestall.control.plane import Plane
from forestall.jobs import transitions
from forestall.jobs.approval import Approval
from forestall.jobs.job import Job
from forestall.jobs.lifecycle import Event
from forestall.jobs.schedule import Queue
from forestall.jobs.transitions import Transition
from forestall.policy.request import Request
from forestall.policy.rules import Effect
from forestall.ports.change import Change
from forestall.ports.entries import RegistryEntry
from forestall.projections import catch_up
from forestall.projections.keys import Keys
from forestall.projections.leases import Leases
from forestall.projections.worker_sessions import WorkerSession
from tests.sim.mutants_of_questions import MUTANTS_OF_QUESTIONS
from tests.sim.mutants_of_results import MUTANTS_OF_RESULTS

Patch = Any


def _gate_skipped() -> Patch:
    real = gate.decide

    async def allows(plane: Plane, request: Request, **more: Any) -> GateResult:
        gated = await real(plane, request, **more)
        allowed = msgspec.structs.replace(
            gated.decision, decision=Effect.ALLOW, constraints=None, remediations=(), throttle=None
        )
        return GateResult(allowed, gated.passed, gated.grounds)

    return mock.patch.object(dispatch, "decide", allows)


def _lease_ignored() -> Patch:
    return mock.patch.object(lease_holder, "_is_leased_to", return_value=True)


def _queue_forgotten() -> Patch:
    def only_leases(state: Any, job: Job, **more: Any) -> None:
        if job.lease is not None:
            catch_up.follow_job(state, job, **more)

    return mock.patch.multiple(
        recover, follow_job=only_leases, _is_in_memory=lambda plane, job: True
    )


def _lost_run_again() -> Patch:
    real = transitions.after_lease_end

    def again(job: Job, *, now_us: int, chance: int) -> Transition:
        transition = real(job, now_us=now_us, chance=chance)
        if transition.event is not Event.LOST:
            return transition
        return Transition(event=Event.RETRIED)

    return mock.patch.object(expire, "after_lease_end", again)


def _any_worker_serves() -> Patch:
    return mock.patch.object(WorkerSession, "serves", return_value=True)


def _old_policy_kept() -> Patch:
    return mock.patch.multiple(
        dispatch,
        _decision_holds=lambda *_: True,
        _preconditions=lambda *_: (),
        _is_leased_as_dispatched=lambda *_: True,
    )


def _bound_ignored() -> Patch:
    return mock.patch.object(Leases, "has_free_slot", return_value=True)


def _retries_unbounded() -> Patch:
    return mock.patch.object(complete, "may_retry", return_value=True)


def _deadline_ignored() -> Patch:
    real = dispatch._decide_one

    async def undated(plane: Plane, taker: str, entry: Any, view: Any) -> Any:
        job = msgspec.structs.replace(view.job, deadline_at_us=0)
        return await real(plane, taker, entry, msgspec.structs.replace(view, job=job))

    return mock.patch.object(dispatch, "_decide_one", undated)


def _dead_letters_left_out() -> Patch:
    return mock.patch.object(moves, "_DEAD", frozenset({Event.DENIED}))


def _parked_forgotten() -> Patch:
    return mock.patch.object(Queue, "unpark", return_value=False)


def _answer_given_up() -> Patch:
    return mock.patch.object(complete, "_TRIES", 1)


def _outage_denies() -> Patch:
    real = gate.tightened_by

    def denies(plane: Plane, view: Any, decision: Any, *, now_us: int) -> Any:
        if plane.commits_fail():
            return transitions.denied(decision, "policy_denied", "the store is away")
        return real(plane, view, decision, now_us=now_us)

    return mock.patch.object(dispatch, "tightened_by", denies)


def _doubts_dropped() -> Patch:
    """As the plane was before: what an error hid is hidden until the next start."""

    async def nothing(plane: Plane) -> None:
        return None

    return mock.patch.multiple(
        expire, read_jobs_in_doubt=nothing, sweep=nothing, follow_log=nothing
    )


def _keys_forgotten() -> Patch:
    real = Plane.commit

    async def without_keys(plane: Plane, change: Change) -> Any:
        puts = tuple(put for put in change.puts if type(put).__name__ != "PutIdempotency")
        expect = tuple(e for e in change.expect if type(e).__name__ != "IdempotencyKeyAbsent")
        return await real(plane, msgspec.structs.replace(change, puts=puts, expect=expect))

    return mock.patch.object(Plane, "commit", without_keys)


def _revocation_missed() -> Patch:
    real = Keys.put

    def keeps(keys: Keys, entry: RegistryEntry) -> None:
        if entry.revision == 1:
            real(keys, entry)

    return mock.patch.object(Keys, "put", keeps)


def _revoked_submitter_runs() -> Patch:
    """Neither the gate nor what is expected of the store asks who submitted the job."""
    return mock.patch.multiple(
        dispatch,
        tightened_by=lambda plane, view, decision, now_us: decision,
        _decision_holds=lambda *_: True,
        _preconditions=lambda *_: (),
    )


def _nothing_taken_up() -> Patch:
    """What a commit made durable reaches memory only when it is read again."""
    return mock.patch.object(plane_module, "catch_up", return_value=None)


def _ended_votes_count() -> Patch:
    return mock.patch.object(Approval, "without_votes", lambda approval, ended: approval)


def _approval_given_back() -> Patch:
    """A worker that has seen its ticket returns the job, and the approval is usable again."""

    def without_fields(**given: Any) -> Move:
        return Move(**{**given, "fields": {}})

    return mock.patch.object(worker_protocol, "Move", without_fields)


def _runs_on() -> Patch:
    return mock.patch.object(worker_protocol, "withdrawal", return_value="")


MUTANTS: dict[str, Callable[[], Patch]] = {
    "dispatch skips the gate": _gate_skipped,
    "complete ignores whose lease it is": _lease_ignored,
    "recovery forgets queued jobs": _queue_forgotten,
    "a lost job that is not idempotent runs again": _lost_run_again,
    "any worker is offered any job": _any_worker_serves,
    "a ticket leaves under the policy before": _old_policy_kept,
    "max_concurrent_jobs is ignored": _bound_ignored,
    "max_retries is ignored": _retries_unbounded,
    "the deadline is ignored at dispatch": _deadline_ignored,
    "failed jobs are no dead letters": _dead_letters_left_out,
    "parked jobs are forgotten": _parked_forgotten,
    "an answer that races a heartbeat is refused": _answer_given_up,
    "an outage is recorded as a denial": _outage_denies,
    "what an error hid is never looked at again": _doubts_dropped,
    "idempotency keys are not kept": _keys_forgotten,
    "a revoked key works on": _revocation_missed,
    "a job of a revoked submitter runs": _revoked_submitter_runs,
    "a vote counts although its key has ended": _ended_votes_count,
    "an approval that a worker has seen is used again": _approval_given_back,
    "a heartbeat does not look at ended keys": _runs_on,
    "a commit is not taken up in memory": _nothing_taken_up,
    **MUTANTS_OF_QUESTIONS,
    **MUTANTS_OF_RESULTS,
}


@contextlib.contextmanager
def broken(name: str) -> Iterator[None]:
    """The plane with one mutant in it."""
    with MUTANTS[name]():
        yield
