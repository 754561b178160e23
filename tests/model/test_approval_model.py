"""Every order in which things can happen to one held job, over the real verbs, exhaustively.

First whole verbs: every sequence, with states that are alike visited once, until nothing new comes.
Then two verbs at once: every interleaving of their steps at the store, and a crash after each step.
Wherever the job is handed to a worker, the log alone is asked whether that was allowed.
`make model` goes all the way and prints the counts; `make test` goes a shorter way round.
"""

import itertools
import os
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from forestall.control.approve import approve, reject
from forestall.control.cancel import cancel
from forestall.control.dispatch import dispatch_one
from forestall.control.expire import tick
from forestall.control.follow_log import load_entries
from forestall.control.keys import authenticate, create_key, revoke_key
from forestall.control.plane import Plane
from forestall.control.publish import compile_files, publish
from forestall.control.recover import recover, take_back
from forestall.control.repair import ask_again
from forestall.control.submit import submit
from forestall.control.verify import verify_log
from forestall.errors import ForestallError
from forestall.identity.credentials import NewKey, Subject
from forestall.identity.roles import Role
from forestall.jobs import approval as approvals
from forestall.jobs.approval import VoteRequest
from forestall.jobs.job import Job, Submission
from forestall.ports.change import Change, Receipt
from forestall.ports.store import JobView
from forestall.server.bootstrap import NoTelemetry
from forestall.server.signing import FileSigner
from forestall.store.memory import MemoryStore
from tests.asgi import HandClock, SeededRandom
from tests.model.recorded_history import told

IS_FULL = os.environ.get("FORESTALL_MODEL") == "full"
DAY_SECONDS = 24 * 3_600
_RULE = "  - {{id: r, decision: {effect}, match: {{topics: ['job.a']}}{terms}}}\n"
POLICIES = {
    "one": _RULE.format(effect="require_approval", terms=""),
    "two": _RULE.format(effect="require_approval", terms=", approval: {quorum: 2}"),
    "deny": _RULE.format(effect="deny", terms=""),
    "allow": _RULE.format(effect="allow", terms=""),
}
QUORUM = {"one": 1, "two": 2}


class _Gate:
    """A place where another verb may come first."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class SteppingStore(MemoryStore):
    """A memory store that lets others in before each read of a job, and round each commit."""

    stepping = False

    async def job(self, tenant: str, job_id: str) -> JobView | None:
        """See `Store.job`."""
        if self.stepping:
            await _Gate()
        return await super().job(tenant, job_id)

    async def commit(self, change: Change) -> Receipt:
        """See `Store.commit`."""
        if self.stepping:
            await _Gate()
        receipt = await super().commit(change)
        if self.stepping:
            await _Gate()
        return receipt


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Drive a verb to its end by hand; nothing here needs an event loop."""
    while True:
        try:
            work.send(None)
        except StopIteration as done:
            return done.value


class World:
    """One held job, two approvers, a worker and an operator."""

    def __init__(self, policy: str) -> None:
        self.store = SteppingStore()
        self.clock = HandClock()
        self.random = SeededRandom()
        self.quorums: dict[str, int] = {}  # of snapshots that hold the job
        self.handed: list[tuple[int, str]] = []  # log position and policy of each hand-over
        self.plane = self._plane()
        self.activate(policy)
        self.people = {
            name: self._person(name, role)
            for name, role in (
                ("agent", Role.AGENT),
                ("ann", Role.APPROVER),
                ("bob", Role.APPROVER),
                ("boss", Role.ADMIN),
            )
        }
        asked = Submission(topic="job.a", payload=b'{"prompt":"x","context":null}', prompt="x")
        self.job_id = run(submit(self.plane, self.people["agent"], asked)).job.id

    def _plane(self) -> Plane:
        return Plane(
            store=self.store,
            clock=self.clock,
            random=self.random,
            telemetry=NoTelemetry(),
            signer=FileSigner(Ed25519PrivateKey.from_private_bytes(bytes(32))),
        )

    def _person(self, name: str, role: Role) -> Subject:
        wanted = NewKey(tenant="t", name=name, role=role)
        _, text = run(create_key(self.plane, wanted, actor="model"))
        return authenticate(self.plane, text)

    def activate(self, policy: str) -> None:
        run(self.activating(policy))

    async def activating(self, policy: str) -> None:
        text = f"name: p\nrules:\n{POLICIES[policy]}"
        snapshot = compile_files([("p.yaml", text.encode())])
        if policy in QUORUM:
            self.quorums[snapshot.digest] = QUORUM[policy]
        await publish(self.plane, [("p.yaml", text.encode())], actor="model")
        self.policy = policy

    @property
    def job(self) -> Job:
        was, self.store.stepping = self.store.stepping, False
        view = run(self.store.job("t", self.job_id))
        self.store.stepping = was
        assert isinstance(view, JobView)
        return view.job

    # -- what can happen; each is one verb --

    async def approve(self, who: str) -> None:
        await approve(self.plane, self.people[who], self.job_id, VoteRequest())

    async def reject(self) -> None:
        await reject(self.plane, self.people["bob"], self.job_id, VoteRequest())

    async def cancel(self) -> None:
        await cancel(self.plane, self.people["agent"], self.job_id)

    async def again(self) -> None:
        await ask_again(self.plane, self.people["agent"], self.job_id)

    async def revoke(self) -> None:
        await revoke_key(self.plane, "t", self.people["agent"].key_id, actor="model")

    async def pass_day(self) -> None:
        self.clock.forward(DAY_SECONDS + 1)
        await tick(self.plane)

    async def dispatch(self) -> None:
        entry = next(iter(self.plane.queue), None)
        if entry is None:
            return
        self.plane.queue.remove("t", self.job_id)
        given = await dispatch_one(self.plane, "worker", entry)
        if given is not None:
            self.handed.append((len(self.store._log), self.policy))

    async def return_it(self) -> None:
        held = self.plane.leases.get("t", self.job_id)
        if held is not None:
            await take_back(self.plane, held.job)
            self.handed.clear()  # it never left

    async def crash(self) -> None:
        policy, self.plane = self.policy, self._plane()
        await load_entries(self.plane)
        await self.activating(policy)
        await recover(self.plane)

    # -- what must hold --

    def check(self, what: str = "") -> None:
        for position, policy in self.handed:
            good = told(self.store, self.job_id, position, self.quorums)
            assert good, f"handed out under `{policy}` without a valid approval: {what}"
        was, self.store.stepping = self.store.stepping, False
        report = run(verify_log(self.store))
        self.store.stepping = was
        assert report.ok, report.problems

    def likeness(self) -> tuple[Any, ...]:
        """What can still matter; worlds that are alike here behave alike."""
        job, now_us = self.job, self.clock.at_us
        asked = job.approval
        snapshot = self.plane.snapshot.digest if self.plane.snapshot else ""
        key = self.plane.keys.by_id(self.people["agent"].key_id)
        return (
            job.state,
            job.attempt,
            self.policy,
            key is not None and key.revoked_at_us is not None,
            len(list(self.plane.queue)),
            len(self.plane.leases),
            asked
            and (
                asked.status,
                asked.snapshot == snapshot,
                asked.demands,
                tuple(vote.principal for vote in asked.votes),
                now_us >= asked.expires_at_us,
            ),
        )


VERBS: dict[str, Callable[[World], Coroutine[Any, Any, None]]] = {
    "ann approves": lambda world: world.approve("ann"),
    "bob approves": lambda world: world.approve("bob"),
    "agent approves": lambda world: world.approve("agent"),
    "bob rejects": lambda world: world.reject(),
    "cancel": lambda world: world.cancel(),
    "ask again": lambda world: world.again(),
    "revoke": lambda world: world.revoke(),
    "a day passes": lambda world: world.pass_day(),
    "dispatch": lambda world: world.dispatch(),
    "undelivered": lambda world: world.return_it(),
    "crash": lambda world: world.crash(),
    **{
        f"policy {name}": (
            # mypy infers no type for a parameter with a default
            lambda world, name=name: world.activating(name)  # type: ignore[misc]  # see above
        )
        for name in POLICIES
    },
}


def played(policy: str, path: Sequence[str]) -> World:
    """A world in which these verbs happened one after another."""
    world = World(policy)
    for name in path:
        try:
            run(VERBS[name](world))
        except ForestallError:
            continue  # refused: nothing may have changed, and the checks look
    return world


DEPTH_MAX = 7 if IS_FULL else 4


@pytest.mark.parametrize("policy", ["one", "two"])
def test_every_sequence_of_verbs(policy: str) -> None:
    """Breadth first, each state once; the depth is far beyond the longest way to anything new."""
    seen = {World(policy).likeness()}
    front: list[tuple[str, ...]] = [()]
    transitions = hand_overs = 0
    depth = 0
    while front and depth < DEPTH_MAX:
        depth += 1
        following = []
        for path, name in itertools.product(front, VERBS):
            world = played(policy, (*path, name))
            transitions += 1
            hand_overs += len(world.handed)
            world.check()
            if world.likeness() not in seen:
                seen.add(world.likeness())
                following.append((*path, name))
        front = following
    print(
        f"{policy}: {len(seen)} states, {transitions} transitions, {hand_overs} hand-overs,"
        f" depth {depth}, {len(front)} states not followed"
    )
    assert hand_overs > 0


STARTS = {
    "held": (),
    "approved": ("ann approves",),
    "drifted": ("policy two",),
    "given back": ("ann approves", "dispatch", "undelivered"),
}


def interleaved(world: World, names: Sequence[str], turns: Sequence[int]) -> list[int]:
    """Let the verbs take steps in turn; the turns that were really taken."""
    works = [VERBS[name](world) for name in names]
    taken: list[int] = []
    alive = set(range(len(works)))
    order = iter(turns)
    while alive:
        turn = next(order, None)
        if turn is None or turn not in alive:
            turn = min(alive)
        taken.append(turn)
        try:
            works[turn].send(None)
        except StopIteration:
            alive.discard(turn)
        except ForestallError:
            alive.discard(turn)
    return taken


def orders(steps: int) -> Iterator[tuple[int, ...]]:
    """Every order of turns of two verbs of at most so many steps each."""
    for chosen in itertools.combinations(range(2 * steps), steps):
        yield tuple(0 if turn in chosen else 1 for turn in range(2 * steps))


STEPS_MAX = 5
RACERS = [name for name in VERBS if name not in ("crash", "undelivered", "policy one")]
RACES = [
    pair
    for pair in itertools.combinations_with_replacement(RACERS, 2)
    if IS_FULL or "dispatch" in pair  # the verb that others must not overtake
]


@pytest.mark.parametrize("start", STARTS)
def test_two_verbs_at_once(start: str) -> None:
    """Every pair, every interleaving of their steps at the store; then the worker tries again."""
    runs = hand_overs = 0
    for first, second in RACES:
        done: set[tuple[int, ...]] = set()
        for turns in orders(STEPS_MAX):
            if any(turns[: len(known)] == known for known in done):
                continue  # it took no more turns than that
            world = played("one", STARTS[start])
            world.store.stepping = True
            taken = tuple(interleaved(world, (first, second), turns))
            world.store.stepping = False
            done.add(taken)
            runs += 1
            run(world.dispatch())
            hand_overs += len(world.handed)
            world.check(f"{first} and {second}, turns {taken}")
    print(f"{start}: {runs} interleavings, {hand_overs} hand-overs")
    assert runs > 500


def test_a_crash_after_each_step() -> None:
    """What had happened is known again, and what had not has not."""
    runs = 0
    for start, name in itertools.product(STARTS.values(), RACERS):
        for steps in range(1, 8):
            world = played("one", start)
            world.store.stepping = True
            work = VERBS[name](world)
            ended = False
            try:
                for _ in range(steps):
                    work.send(None)
            except (StopIteration, ForestallError):
                ended = True
            work.close()
            world.store.stepping = False
            run(world.crash())
            run(tick(world.plane))
            run(world.dispatch())
            world.check()
            runs += 1
            if ended:
                break
    print(f"{runs} crashes")


# -- the checks can fail --


def _no_drift(approval: approvals.Approval, terms: approvals.Terms) -> tuple[str, ...]:
    return ()


def _self_approval(*given: Any, **more: Any) -> None:
    return None


def _unexpired(approval: approvals.Approval | None, terms: approvals.Terms, *, now_us: int) -> bool:
    return approvals_is_usable(approval, terms, now_us=0)


approvals_is_usable = approvals.is_usable


def _spent(approval: approvals.Approval | None, terms: Any, *, now_us: int) -> bool:
    return approval is not None and approval.status.value in ("approved", "consumed")


MUTANTS = {
    "no drift at dispatch": ("forestall.jobs.approval.drift", _no_drift),
    "self-approval": ("forestall.control.approve._require_eligible", _self_approval),
    "expiry ignored": ("forestall.jobs.transitions.is_usable", _unexpired),
    "approval never spent": ("forestall.jobs.transitions.is_usable", _spent),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_plane_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that passes everything proves nothing."""
    where, broken = MUTANTS[mutant]
    monkeypatch.setattr(where, broken)
    paths = (
        ("ann approves", "policy two", "dispatch"),
        ("agent approves", "dispatch"),
        ("ann approves", "a day passes", "dispatch"),
        ("ann approves", "dispatch", "undelivered", "dispatch", "undelivered", "dispatch"),
        ("ann approves", "policy two", "dispatch", "policy one", "dispatch"),
    )
    with pytest.raises(AssertionError):
        for path in paths:
            played("one", path).check()
