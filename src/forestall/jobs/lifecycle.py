"""The life of a job as one table: which event leads from which state to which.

Nothing else moves a job. Verbs name events, never states; the store refuses a move in no row.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from forestall.errors import ConflictError
from forestall.jobs.job import BIRTH_STATE, JobState


class Event(StrEnum):
    """An event in the life of a job. Its audit record has the kind `job.<event>`."""

    DISPATCHED = "dispatched"  # the dispatch gate allowed it and a worker holds the lease
    THROTTLED = "held"  # the dispatch gate throttled the job; it waits until an instant
    DENIED = "denied"  # the dispatch gate denied it
    APPROVAL_DEMANDED = "approval_demanded"  # the policy in force requires an approval
    VOTED = "voted"  # one person approved, and more are needed
    APPROVED = "approved"
    FULFILLED = "fulfilled"  # approved, and the submitter does the work itself
    REJECTED = "rejected"
    EXPIRED = "expired"  # the time of the approval passed without a decision
    INVALIDATED = "invalidated"  # what a person was asked to approve is not what would run
    REBOUND = "rebound"  # the policy in force asks the same of people; nobody has answered
    CLEARED = "cleared"  # requested again, and the policy in force now allows the job
    STARTED = "started"  # the worker reported that it began
    SUCCEEDED = "succeeded"
    QUARANTINED = "quarantined"  # the job succeeded, and its result is withheld
    RELEASED = "released"  # a second person made the result readable
    CONFIRMED = "confirmed"  # a second person discarded the result
    FAILED = "failed"
    RETRIED = "retried"  # the attempt ended without its effect, or the job is idempotent
    RETURNED = "returned"  # the job came back before it was begun: nothing was done
    TIMED_OUT = "timed_out"  # the deadline or the run time passed
    LOST = "lost"  # the lease ended without an answer; what was done is unknown
    CANCELLED = "cancelled"
    DISMISSED = "dismissed"  # a person removed the job from the dead letters


_S, _E = JobState, Event
WAITING = (_S.PENDING, _S.SCHEDULED, _S.RETRYING)
LEASED = (_S.DISPATCHED, _S.RUNNING)
TERMINAL = frozenset(
    {_S.SUCCEEDED, _S.FAILED, _S.CANCELLED, _S.TIMEOUT, _S.DENIED, _S.OUTPUT_QUARANTINED}
)
BORN = tuple(dict.fromkeys(BIRTH_STATE.values()))


def _moves() -> dict[tuple[JobState, Event], JobState]:
    """The table: (state, event) → the state after it."""
    moves: dict[tuple[JobState, Event], JobState] = {}
    for state in WAITING:
        moves |= {
            (state, _E.DISPATCHED): _S.DISPATCHED,
            (state, _E.THROTTLED): _S.SCHEDULED,
            (state, _E.DENIED): _S.DENIED,
            (state, _E.APPROVAL_DEMANDED): _S.APPROVAL_REQUIRED,
            (state, _E.FAILED): _S.FAILED,
            (state, _E.TIMED_OUT): _S.TIMEOUT,
            (state, _E.CANCELLED): _S.CANCELLED,
        }
    moves |= {
        (_S.APPROVAL_REQUIRED, _E.VOTED): _S.APPROVAL_REQUIRED,
        (_S.APPROVAL_REQUIRED, _E.APPROVED): _S.PENDING,
        (_S.APPROVAL_REQUIRED, _E.FULFILLED): _S.SUCCEEDED,
        (_S.APPROVAL_REQUIRED, _E.REJECTED): _S.DENIED,
        (_S.APPROVAL_REQUIRED, _E.EXPIRED): _S.TIMEOUT,
        (_S.APPROVAL_REQUIRED, _E.INVALIDATED): _S.APPROVAL_REQUIRED,
        (_S.APPROVAL_REQUIRED, _E.APPROVAL_DEMANDED): _S.APPROVAL_REQUIRED,
        (_S.APPROVAL_REQUIRED, _E.REBOUND): _S.APPROVAL_REQUIRED,
        (_S.APPROVAL_REQUIRED, _E.CLEARED): _S.PENDING,
        (_S.APPROVAL_REQUIRED, _E.DENIED): _S.DENIED,
        (_S.APPROVAL_REQUIRED, _E.TIMED_OUT): _S.TIMEOUT,
        (_S.APPROVAL_REQUIRED, _E.CANCELLED): _S.CANCELLED,
        (_S.DISPATCHED, _E.STARTED): _S.RUNNING,
        (_S.DISPATCHED, _E.RETURNED): _S.PENDING,
    }
    for state in LEASED:
        moves |= {
            (state, _E.SUCCEEDED): _S.SUCCEEDED,
            (state, _E.QUARANTINED): _S.OUTPUT_QUARANTINED,
            (state, _E.FAILED): _S.FAILED,
            (state, _E.RETRIED): _S.RETRYING,
            (state, _E.TIMED_OUT): _S.TIMEOUT,
            (state, _E.LOST): _S.TIMEOUT,
            (state, _E.CANCELLED): _S.CANCELLED,
        }
    moves[_S.OUTPUT_QUARANTINED, _E.RELEASED] = _S.SUCCEEDED
    moves[_S.OUTPUT_QUARANTINED, _E.CONFIRMED] = _S.OUTPUT_QUARANTINED
    for state in sorted(TERMINAL):
        moves[state, _E.DISMISSED] = state
    return moves


MOVES: Mapping[tuple[JobState, Event], JobState] = MappingProxyType(_moves())


class IllegalStateError(ConflictError):
    """The job is in a state in which this cannot happen to it. Nothing was changed."""

    code, http_status = "illegal_state", 409


def after(state: JobState, event: Event) -> JobState:
    """The state to which an event leads. Raises IllegalStateError when the state has no such
    event."""
    try:
        return MOVES[state, event]
    except KeyError:
        raise IllegalStateError(f"a job in state `{state}` cannot be {event}") from None


def diagram() -> str:
    """The table as a Mermaid state diagram, for docs/reference/lifecycle.md."""
    lines = ["stateDiagram-v2"]
    lines += [f"    [*] --> {state}: submitted" for state in BORN]
    arrows: dict[tuple[JobState, JobState], list[str]] = {}
    for (before, event), state in MOVES.items():
        if before not in TERMINAL or event is Event.RELEASED:
            arrows.setdefault((before, state), []).append(event.value)
    lines += [
        f"    {before} --> {state}: {', '.join(events)}"
        for (before, state), events in arrows.items()
    ]
    lines += [f"    {state} --> [*]" for state in sorted(TERMINAL)]
    return "\n".join(lines)
