"""Move a job: the one way in which the state of a job changes after its birth.

A move is an event of the lifecycle with its audit record, in one change. Queue and leases follow
from the job as it was committed, never from the event.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from forestall.audit.record import Record, Value
from forestall.control.plane import Plane
from forestall.control.records import decided_data, record_of
from forestall.jobs.approval import settled
from forestall.jobs.job import DecisionRecord, Job
from forestall.jobs.lifecycle import TERMINAL, Event, after
from forestall.jobs.transitions import Transition
from forestall.ports.change import Change, MoveJob, Precondition, Put

# A job that one of these events ends has not had its effect: it becomes a dead letter.
_DEAD = frozenset(
    {
        Event.DENIED,
        Event.EXPIRED,
        Event.FAILED,
        Event.LOST,
        Event.QUARANTINED,
        Event.REJECTED,
        Event.TIMED_OUT,
    }
)


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One event that happens to a job, and everything that is committed with it."""

    job: Job  # as it was read: the commit expects its state and revision
    event: Event
    actor: str  # who did it, for the record: a principal, a worker or SYSTEM_ACTOR
    fields: Mapping[str, Any] = {}  # fields of the job that change beside its state
    data: Mapping[str, Value] = {}  # further data of the record
    decision: DecisionRecord | None = None  # appended to the decisions of the job
    result: bytes | None = None  # JSON: becomes the answer of the last attempt
    expect: tuple[Precondition, ...] = ()  # preconditions beside that of the job
    puts: tuple[Put, ...] = ()  # puts beside that of the job


def move_of(
    job: Job,
    transition: Transition,
    *,
    actor: str,
    decision: DecisionRecord | None = None,
    expect: tuple[Precondition, ...] = (),
    data: Mapping[str, Value] | None = None,
) -> Move:
    """A transition of a job as a move. `data` is further data of the record."""
    return Move(
        job=job,
        event=transition.event,
        actor=actor,
        fields=transition.fields,
        data={**transition.data, **(data or {})},
        decision=decision,
        result=transition.result,
        expect=expect,
    )


def moved(move: Move, *, now_us: int) -> Job:
    """The job after the move. Raises IllegalStateError when the lifecycle has no such event in the
    job's state."""
    job = move.job
    fields = dict(move.fields)
    state = after(job.state, move.event)
    if state in TERMINAL and move.event in _DEAD:
        fields.setdefault("dead_at_us", now_us)
    fields.setdefault("approval", settled(job.approval, move.event))
    # The clock may be set back; the instants of one job never decrease.
    updated_at_us = max(now_us, job.updated_at_us)
    return msgspec.structs.replace(
        job, state=state, revision=job.revision + 1, updated_at_us=updated_at_us, **fields
    )


async def commit_move(plane: Plane, move: Move, *, now_us: int, first: bool = False) -> Job:
    """Commit a move; the job as it is then. `first`: see `Plane.commit`.

    Raises PreconditionFailedError when another verb moved the job since it was read, or another
    precondition does not hold, and IllegalStateError: nothing was changed. Raises
    StoreUnavailableError and StoreBusyError as `Plane.commit` does.
    """
    job = moved(move, now_us=now_us)
    put = MoveJob(
        job=job, was=move.job.state, event=move.event, decision=move.decision, result=move.result
    )
    record = _record(plane, move, job, now_us=now_us)
    change = Change(expect=move.expect, puts=(put, *move.puts), records=(record,))
    await plane.commit(change, first=first)
    plane.telemetry.moved(move.event.value, job.topic, job.failure_code)
    return job


def _record(plane: Plane, move: Move, job: Job, *, now_us: int) -> Record:
    """The record of a move; `job` is the job after it."""
    data: dict[str, Value] = {}
    if move.decision is not None:
        data |= decided_data(move.decision, job.topic)
    if job.failure_code:
        data |= {"failure_code": job.failure_code, "failure_reason": job.failure_reason}
    if job.result_digest:
        data |= {"result_digest": job.result_digest, "result_bytes": job.result_bytes}
    data |= {
        **move.data,
        "state_before": move.job.state.value,
        "state": job.state.value,
        "revision": job.revision,
        "attempt": job.attempt,
        "job_hash": job.job_hash,
        "topic": job.topic,
    }
    return record_of(
        plane,
        f"job.{move.event.value}",
        at_us=now_us,
        tenant=job.tenant,
        actor=move.actor,
        job_id=job.id,
        data=data,
    )
