"""One run from one seed: chaos, then calm, then the last checks."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec

from forestall.control.keys import create_key
from forestall.control.worker_credentials import issue_worker
from forestall.identity.credentials import NewKey, WorkerGrant
from tests.sim import final, loop
from tests.sim.agents import Agent, Operator
from tests.sim.checks import Checks
from tests.sim.policies import SAFE, TENANTS, TOPICS, compiled, policy_text
from tests.sim.reviewers import Reviewer
from tests.sim.store import Faults
from tests.sim.workers import Worker
from tests.sim.world import ViolatedError, World

STEPS = 500
CHAOS_S_MAX = 3_600.0
_LAST_DELIVERY_S = 25.0  # the network may keep a request for so long
_DAY_S = 24 * 3_600

_GRANTS = (
    WorkerGrant(worker_id="w0", topics=("job.*",), capabilities=("*",)),
    WorkerGrant(worker_id="w1", topics=("job.alpha.*", "job.beta.*", "job.safe.*")),
    WorkerGrant(worker_id="liar", topics=("job.gamma.*",), capabilities=("net",)),
)


class Outcome(msgspec.Struct):
    """What a run came to; `violated` is empty when everything held."""

    seed: int
    violated: str
    number: str
    digest: str
    counts: dict[str, int]
    tail: list[str]
    seconds: float


def simulate(
    seed: int,
    *,
    steps: int = STEPS,
    printing: bool = False,
    break_it: Callable[[World], None] | None = None,
) -> Outcome:
    """Run one seed to its end. `break_it` breaks the plane on purpose, to test the checks."""
    began = time.perf_counter()
    kept: list[World] = []
    violated = number = ""
    try:
        loop.run(_run(seed, steps, printing, break_it, kept))
    except ViolatedError as error:
        violated, number = str(error), error.number
    except Exception as error:  # noqa: BLE001 - of the simulation or of the plane: both must end
        violated, number = f"property (errors): {error!r}", "errors"
    world = kept[0]
    counts: Counter[str] = Counter(world.counts)
    counts.update(world.checks.counts)
    counts.update(world.disk.counts)
    counts["steps"], counts["lives"] = world.steps, world.lives
    return Outcome(
        seed=seed,
        violated=violated,
        number=number,
        digest=world.trace.digest(),
        counts=dict(sorted(counts.items())),
        tail=list(world.trace.last)[-60:],
        seconds=time.perf_counter() - began,
    )


async def _run(
    seed: int,
    steps: int,
    printing: bool,
    break_it: Callable[[World], None] | None,
    kept: list[World],
) -> None:
    world = World(seed, Checks, printing=printing)
    kept.append(world)
    if break_it is not None:
        break_it(world)
    operators, workers = await _people(world)
    acting = [
        world.loop.create_task(agent.live())
        for operator in operators
        for agent in (operator, *operator.agents)
    ]
    working = [world.loop.create_task(worker.live()) for worker in workers]
    everybody = [*acting, *working]
    for task in everybody:
        task.add_done_callback(lambda done: _watch(world, done))
    chaos = world.loop.create_task(_chaos(world))
    while world.steps < steps and world.loop.time() < CHAOS_S_MAX:
        await world.until_violated(1.0)
        if seed % 2 and world.steps > steps // 2 and not operators[0].content:
            # Half of the runs: no later change of the policy may help what it left behind.
            operators[0].content = True
            await operators[0].put_into_force(policy_text(world.chance("calm"), calm=True))
    # -- calm: no fault any more; what was asked comes to its end --
    world.stopping = True
    chaos.cancel()
    await asyncio.wait([chaos])
    world.disk.faults, world.disk.outage = Faults(network_s=0.01), False
    if world.process is None:
        await world.start()
    world.trace("world", "calm begins")
    await _ended(world, acting)
    await world.until_violated(_LAST_DELIVERY_S)
    await final.settled(world, what="when calm begins")
    calm = policy_text(world.chance("calm"), calm=True)
    if world.checks.answered != compiled(calm).digest:
        await operators[0].put_into_force(calm)
    for operator in operators:  # a request that was delivered twice may have ended a new one
        for grant in _GRANTS:
            await operator.issue(grant)
    for worker in workers:
        worker.patient = True
    await final.all_ended(world)
    await final.settled(world, what="at the end")
    await final.agrees(world)
    await final.nothing_shown(world, operators)
    for task in everybody:
        task.cancel()
    assert world.process is not None
    await world.process.crash()
    world.trace("world", "everything held")


async def _ended(world: World, tasks: list["asyncio.Task[None]"]) -> None:
    while not all(task.done() for task in tasks):
        await world.until_violated(1.0)


def _watch(world: World, task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        error = task.exception()
        if error is not None and not isinstance(error, ViolatedError):
            world.violate("errors", f"an actor met {error!r}")


async def _people(world: World) -> tuple[list[Operator], list[Worker]]:
    """The first policy, the keys and everybody who acts, before anything goes wrong."""
    world.policy = policy_text(world.chance("policy"))
    world.checks.will_activate(world.policy)
    await world.start()
    assert world.process is not None
    plane = world.process.plane
    operators: list[Operator] = []
    workers: list[Worker] = []
    for tenant in TENANTS:
        made: list[Agent] = []
        for name, kind in (
            ("op", Operator),
            ("ann", Agent),
            ("bob", Agent),
            ("eve", Reviewer),
            ("joe", Reviewer),
        ):
            wanted = NewKey(tenant=tenant, name=f"{tenant}-{name}", role=kind.role)
            key, text = await create_key(plane, wanted, actor="setup")
            made.append(kind(world, tenant, wanted.name, text, key.id))
        operator = made.pop(0)
        assert isinstance(operator, Operator)
        operator.agents = made
        operators.append(operator)
        if tenant == "acme":
            for topic in (*TOPICS, SAFE):
                assert await operator.declare(topic), "nothing goes wrong yet"
        for grant in _GRANTS:
            issued = await issue_worker(plane, tenant, grant, actor="setup")
            operator.grants[grant.worker_id] = (grant, issued.token)
            lies = grant.worker_id == "liar"
            workers.append(Worker(world, operator, grant.worker_id, lies=lies))
    return operators, workers


async def _chaos(world: World) -> None:
    """Crashes, outages, jumps of the clock, and how often everything else goes wrong."""
    random = world.chance("chaos")
    world.disk.faults = _faults(random)
    acts = {_crash: 3, _outage: 2, _jump: 3, _change_faults: 2}
    while True:
        await asyncio.sleep(random.random() * 30)
        act = random.choices(list(acts), list(acts.values()))[0]
        await act(world, random)


def _faults(random: Random) -> Faults:
    """A kind of weather: each fault is absent, rare or common."""

    def rate(common: float) -> float:
        return random.choice((0.0, common / 10, common))

    return Faults(
        commit_refused=rate(0.1),
        commit_in_doubt=rate(0.1),
        read_fails=rate(0.05),
        slow=random.choice((0.0, 0.5, 3.0)),
        request_lost=rate(0.1),
        answer_lost=rate(0.1),
        request_twice=rate(0.1),
        scan_fails=rate(0.15),
        scan_busy=rate(0.1),
        scan_s=random.choice((0.0, 0.5, 8.0)),
        network_s=random.choice((0.01, 0.1, 1.0)),
    )


async def _crash(world: World, random: Random) -> None:
    await world.crash()
    await asyncio.sleep(random.random() * random.choice((0.1, 5, 40)))
    await world.start()


async def _outage(world: World, random: Random) -> None:
    world.counts["outages"] += 1
    world.trace("world", "the store is away")
    world.disk.outage = True
    try:
        await asyncio.sleep(random.random() * 15)
    finally:
        world.disk.outage = False
        world.trace("world", "the store is back")


async def _jump(world: World, random: Random) -> None:
    seconds = random.choice((-2.0, -0.5, 3.0, 20.0, 90.0))
    if random.random() < 0.03:
        seconds = _DAY_S + 3_600.0
    world.counts["clock_jumps"] += 1
    world.clock.set_by_us += round(seconds * random.random() * 1_000_000)
    world.trace("world", f"the clock is set by up to {seconds} s")


async def _change_faults(world: World, random: Random) -> None:
    world.disk.faults = _faults(random)
    world.trace("world", f"the weather changes: {world.disk.faults}")
