"""The table of moves: what it allows, what it must not, and that every state leads to an end."""

import pytest

from forestall.jobs.job import BIRTH_STATE, JobState
from forestall.jobs.lifecycle import (
    BORN,
    LEASED,
    MOVES,
    TERMINAL,
    WAITING,
    Event,
    IllegalStateError,
    after,
    diagram,
)

STATES = list(JobState)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", list(Event))
def test_a_move_stands_in_the_table_or_is_refused(state: JobState, event: Event) -> None:
    if (state, event) in MOVES:
        assert after(state, event) is MOVES[state, event]
    else:
        with pytest.raises(IllegalStateError):
            after(state, event)


def test_every_state_is_of_exactly_one_kind() -> None:
    kinds = [*WAITING, *LEASED, *TERMINAL, JobState.APPROVAL_REQUIRED]
    assert sorted(kinds) == sorted(STATES)


def test_an_end_is_an_end() -> None:
    """But for a result that was withheld: a person releases or discards it; nothing runs again."""
    withheld = JobState.OUTPUT_QUARANTINED
    of_withheld = {(Event.RELEASED, JobState.SUCCEEDED), (Event.CONFIRMED, withheld)}
    for (state, event), then in MOVES.items():
        if state in TERMINAL and not (state is withheld and (event, then) in of_withheld):
            assert (event, then) == (Event.DISMISSED, state)


def test_only_a_dispatch_gives_a_job_to_a_worker() -> None:
    for (state, event), then in MOVES.items():
        if then in LEASED and state not in LEASED:
            assert event is Event.DISPATCHED
            assert state in WAITING


def test_what_waits_for_a_person_reaches_no_worker_by_itself() -> None:
    """Promise 3: from APPROVAL_REQUIRED back into the queue only by a yes, or a changed policy."""
    ways = {
        event
        for (state, event), then in MOVES.items()
        if state is JobState.APPROVAL_REQUIRED and then in WAITING
    }
    assert ways == {Event.APPROVED, Event.CLEARED}


def test_after_a_lost_lease_nothing_runs_again() -> None:
    assert {then for (_, event), then in MOVES.items() if event is Event.LOST} == {JobState.TIMEOUT}


def test_what_a_worker_began_is_not_given_back() -> None:
    assert (JobState.RUNNING, Event.RETURNED) not in MOVES


@pytest.mark.parametrize("state", [state for state in STATES if state not in TERMINAL])
def test_every_unfinished_job_can_be_cancelled_and_timed_out(state: JobState) -> None:
    assert after(state, Event.CANCELLED) is JobState.CANCELLED
    assert after(state, Event.TIMED_OUT) is JobState.TIMEOUT


def test_every_state_but_one_is_reached_from_birth_and_reaches_an_end() -> None:
    reached = set(BORN)
    while True:
        more = {then for (state, _), then in MOVES.items() if state in reached} | reached
        if more == reached:
            break
        reached = more
    assert set(STATES) - reached <= {JobState.OUTPUT_QUARANTINED}
    for state in reached - TERMINAL:
        assert any(then in TERMINAL for (start, _), then in MOVES.items() if start is state)


def test_jobs_are_born_as_the_submit_gate_decides() -> None:
    assert set(BORN) == set(BIRTH_STATE.values())
    assert not set(BORN) & set(LEASED)


def test_the_diagram_shows_every_arrow() -> None:
    text = diagram()
    for (state, event), then in MOVES.items():
        if state not in TERMINAL:
            line = next(line for line in text.splitlines() if f"{state} --> {then}:" in line)
            assert event.value in line
