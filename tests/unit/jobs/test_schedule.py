"""The queue against an obvious model, and its three promises: fair, no starvation, oldest first."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from forestall.jobs.job import Priority
from forestall.jobs.schedule import SHARES, Lane, Queue, QueueEntry, entry_of
from tests.unit.jobs.sample_jobs import a_job

TENANTS = ("a", "b", "c")
LANES = tuple(Lane(tenant, topic, "", ()) for tenant in TENANTS for topic in ("job.x", "job.y"))
NAMES = tuple(f"j{number}" for number in range(8))
KEYS = ("k", "l")


def entry(name: str, lane: Lane = LANES[0], **fields: Any) -> QueueEntry:
    usual = {"priority": Priority.INTERACTIVE, "since_us": 0, "not_before_us": 0}
    return QueueEntry(lane, name, **{**usual, **fields})


def everything(lane: Lane) -> bool:
    return True


class QueueMachine(RuleBasedStateMachine):
    """Any order of calls: the queue holds what the model holds, and picks only what is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue()
        self.now_us = 0
        self.waiting: dict[tuple[str, str], QueueEntry] = {}
        self.parked: dict[tuple[str, str], str] = {}
        self.later: set[tuple[str, str]] = set()

    @rule(
        name=st.sampled_from(NAMES),
        lane=st.sampled_from(LANES),
        priority=st.sampled_from(list(Priority)),
        delay=st.integers(0, 5),
        first=st.booleans(),
    )
    def add(self, name: str, lane: Lane, priority: Priority, delay: int, first: bool) -> None:
        made = QueueEntry(lane, name, priority, self.now_us, self.now_us + delay)
        self.queue.add(made, now_us=self.now_us, first=first)
        key = (lane.tenant, name)
        self._forget(key)
        self.waiting[key] = made
        if delay:
            self.later.add(key)

    @rule(name=st.sampled_from(NAMES), tenant=st.sampled_from(TENANTS))
    def remove(self, name: str, tenant: str) -> None:
        self.queue.remove(tenant, name)
        self._forget((tenant, name))

    @rule(lanes=st.sets(st.sampled_from(LANES)), park=st.sampled_from(("", *KEYS)))
    def pick(self, lanes: set[Lane], park: str) -> None:
        ready = [
            made
            for key, made in self.waiting.items()
            if made.lane in lanes and key not in self.parked and key not in self.later
        ]
        picked = self.queue.pick(lambda lane: lane in lanes)
        if picked is None:
            assert not ready
            return
        assert picked in ready
        key = (picked.lane.tenant, picked.job_id)
        self._forget(key)
        if park:
            self.queue.park(picked, park)
            self.waiting[key] = picked
            self.parked[key] = park

    @rule(key=st.sampled_from(KEYS))
    def unpark(self, key: str) -> None:
        parked = [name for name, under in self.parked.items() if under == key]
        assert self.queue.unpark(key) == bool(parked)
        if parked:
            del self.parked[parked[0]]  # the one that was parked first

    @rule()
    def unpark_all(self) -> None:
        self.queue.unpark_all()
        self.parked.clear()

    @precondition(lambda self: self.later)
    @rule(step=st.integers(0, 6))
    def time_passes(self, step: int) -> None:
        self.now_us += step
        ripe = {key for key in self.later if self.waiting[key].not_before_us <= self.now_us}
        found = self.queue.ripen(self.now_us)
        assert {(made.lane.tenant, made.job_id) for made in found} == ripe
        self.later -= ripe

    def _forget(self, key: tuple[str, str]) -> None:
        self.waiting.pop(key, None)
        self.parked.pop(key, None)
        self.later.discard(key)

    @invariant()
    def holds_what_it_should(self) -> None:
        assert {(made.lane.tenant, made.job_id): made for made in self.queue} == self.waiting
        assert len(self.queue) == len(self.waiting)
        counts = Counter(tenant for tenant, _ in self.waiting)
        assert {tenant: self.queue.count(tenant) for tenant in TENANTS} == {
            tenant: counts[tenant] for tenant in TENANTS
        }
        due = [self.waiting[key].not_before_us for key in self.later]
        assert self.queue.due_us() == min(due, default=None)


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_the_oldest_of_a_lane_first_and_who_had_waited_before_it() -> None:
    queue = Queue()
    for number in range(3):
        queue.add(entry(f"j{number}", since_us=number), now_us=0)
    queue.add(entry("again", since_us=9), now_us=0, first=True)
    picked = [found.job_id for _ in range(4) if (found := queue.pick(everything))]
    assert picked == ["again", "j0", "j1", "j2"]


def test_the_oldest_of_all_lanes_that_are_served() -> None:
    queue = Queue()
    queue.add(entry("young", LANES[0], since_us=2), now_us=0)
    queue.add(entry("old", LANES[1], since_us=1), now_us=0)
    first = queue.pick(everything)
    assert first is not None
    assert first.job_id == "old"


def test_urgent_jobs_first_and_no_priority_starves() -> None:
    queue, number = Queue(), 0
    seen: Counter[Priority] = Counter()
    for _ in range(sum(SHARES.values()) * 20):
        for priority in Priority:  # all of them have work at all times
            number += 1
            queue.add(entry(f"j{number}", priority=priority, since_us=number), now_us=0)
        picked = queue.pick(everything)
        assert picked is not None
        seen[picked.priority] += 1
    assert all(abs(seen[name] - share * 20) <= 20 for name, share in SHARES.items()), seen


@pytest.mark.parametrize("flood", [1, 500])
def test_a_tenant_with_many_jobs_takes_no_more_turns(flood: int) -> None:
    queue = Queue()
    for number in range(flood + 20):
        queue.add(entry(f"many{number}", LANES[0]), now_us=0)
    for number in range(20):
        queue.add(entry(f"few{number}", LANES[2]), now_us=0)
    turns = Counter(found.lane.tenant for _ in range(40) if (found := queue.pick(everything)))
    assert turns == {"a": 20, "b": 20}


def test_a_tenant_that_comes_late_is_owed_nothing() -> None:
    queue = Queue()
    for number in range(100):
        queue.add(entry(f"j{number}", LANES[0]), now_us=0)
    for _ in range(50):
        queue.pick(everything)
    for number in range(100):
        queue.add(entry(f"j{number}", LANES[2]), now_us=0)
    turns = Counter(found.lane.tenant for _ in range(20) if (found := queue.pick(everything)))
    assert turns == {"a": 10, "b": 10}


def test_a_job_that_is_parked_twice_is_there_once() -> None:
    """The simulation: a job in doubt was queued again while its dispatch was under way."""
    queue = Queue()
    queue.add(entry("j"), now_us=0)
    picked = queue.pick(everything)
    assert picked is not None
    queue.add(entry("j"), now_us=0)
    queue.park(picked, "k")
    assert len(queue) == queue.count("a") == 1
    assert queue.pick(everything) is None
    assert queue.unpark("k")
    assert queue.pick(everything) == picked
    assert queue.pick(everything) is None


def test_what_was_taken_out_is_forgotten_without_a_worker() -> None:
    queue = Queue()
    for number in range(5_000):
        queue.add(entry(f"j{number}", not_before_us=number % 2), now_us=0)
        queue.remove("a", f"j{number}")
    assert len(queue) == 0
    assert queue.lane_count("a") <= 1
    in_lanes = [
        len(entries)
        for lanes in queue._by_tenant.values()
        for by_priority in lanes.lanes.values()
        for entries in by_priority.values()
    ]
    assert sum(in_lanes) + len(queue._throttled) < 2_500


def test_an_entry_is_what_the_job_says() -> None:
    job = a_job(requires=("b", "a"), capability="c", not_before_us=7, created_at_us=3)
    assert entry_of(job) == QueueEntry(
        Lane("t", "job.a", "c", ("a", "b")), "j", Priority.INTERACTIVE, 3, 7
    )
