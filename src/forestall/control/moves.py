"""Move a job: the one way in which its state changes after its birth.

A move is an event of the lifecycle with its audit record, in one change. What the verbs know of it
afterwards (queue, leases) follows from the job as it was committed.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from forestall.audit.record import Value
from forestall.control.plane import Plane
from forestall.control.records import SALT_BYTES, job_moved
from forestall.jobs.approval import settled
from forestall.jobs.job import DecisionRecord, Job
from forestall.jobs.lifecycle import TERMINAL, Event, after
from forestall.jobs.transitions import Transition
from forestall.ports.change import Change, MoveJob, Precondition, Put

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
    """What happened to a job as it was read, and what of it changes beside the state."""

    job: Job
    event: Event
    actor: str
    fields: Mapping[str, Any] = {}
    data: Mapping[str, Value] = {}  # goes into the record
    decision: DecisionRecord | None = None
    result: bytes | None = None
    expect: tuple[Precondition, ...] = ()  # what else must hold
    puts: tuple[Put, ...] = ()  # what else stands or falls with it


def move_of(
    job: Job,
    transition: Transition,
    *,
    actor: str,
    decision: DecisionRecord | None = None,
    expect: tuple[Precondition, ...] = (),
    data: Mapping[str, Value] | None = None,
) -> Move:
    """The move that a transition of a job is, by whom and on which decision."""
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
    """The job after the event. Raises IllegalStateError when it cannot happen."""
    job = move.job
    fields = dict(move.fields)
    state = after(job.state, move.event)
    if state in TERMINAL and move.event in _DEAD:
        fields.setdefault("dead_at_us", now_us)
    fields.setdefault("approval", settled(job.approval, move.event))
    # Time does not run backwards for a job, whatever the clock does.
    updated_at_us = max(now_us, job.updated_at_us)
    return msgspec.structs.replace(
        job, state=state, revision=job.revision + 1, updated_at_us=updated_at_us, **fields
    )


async def commit_move(plane: Plane, move: Move, *, now_us: int, first: bool = False) -> Job:
    """Make a move durable and let the projections follow.

    Raises PreconditionFailedError when another verb moved the job since it was read, or when
    something else that it expects does not hold, IllegalStateError, StoreUnavailableError; in each
    case nothing was changed.
    """
    job = moved(move, now_us=now_us)
    record = job_moved(
        job,
        move.job.state,
        move.event,
        actor=move.actor,
        at_us=now_us,
        salt=plane.random.token(SALT_BYTES),
        decision=move.decision,
        data=move.data,
    )
    put = MoveJob(
        job=job, was=move.job.state, event=move.event, decision=move.decision, result=move.result
    )
    change = Change(expect=move.expect, puts=(put, *move.puts), records=(record,))
    await plane.commit(change, first=first)
    plane.telemetry.moved(move.event.value, job.topic, job.failure_code)
    return job
