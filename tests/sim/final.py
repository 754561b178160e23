"""What must hold once faults are over: nothing is lost, every view says what the store says."""

import asyncio
from collections.abc import Callable, Sequence

from forestall.control.follow_log import load_entries
from forestall.control.plane import Plane
from forestall.control.recover import recover
from forestall.control.verify import verify_log
from forestall.jobs.job import JobState
from forestall.jobs.lifecycle import TERMINAL
from forestall.ports.entries import EntryKind
from forestall.ports.store import JobFilter
from forestall.server.bootstrap import NoTelemetry
from tests.sim.agents import Operator
from tests.sim.doors import read_everything
from tests.sim.policies import TENANTS
from tests.sim.scanning import PURGE_EVERY_S, RETENTION_S
from tests.sim.world import SimRandom, World, short

_SETTLE_S = 20.0  # within so long every view has found what a fault hid from it
_LIVE_S = 2_400.0  # within so long every job that may run has come to its end


async def settled(world: World, *, what: str) -> None:
    """With no fault and nobody asking, queue and leases become what a fresh start would make."""
    problem = await _until(world, lambda: _disagreement(world), _SETTLE_S)
    if problem:
        raise world.violate("5", f"{what}: {problem}")


async def all_ended(world: World) -> None:
    """Every job that may run comes to its end; what waits for an approval may go on waiting."""
    problem = await _until(world, lambda: _unfinished(world), _LIVE_S)
    if problem:
        raise world.violate("3", problem)


async def _until(world: World, look: Callable[[], object], seconds: float) -> str:
    end_s = world.loop.time() + seconds
    problem = "?"
    while problem and world.loop.time() < end_s:
        await world.until_violated(0.5 if seconds <= _SETTLE_S else 5.0)
        found = look()
        problem = str(await found if asyncio.iscoroutine(found) else found)
    return problem


async def _disagreement(world: World) -> str:
    process = world.process
    if process is None:
        return "the plane is down"
    fresh = Plane(
        store=world.disk.memory,
        clock=world.clock,
        random=SimRandom(world.chance("fresh")),
        telemetry=NoTelemetry(),
        signer=world.signer,
    )
    await load_entries(fresh)
    await recover(fresh)
    _forget_ended(world, process.plane)
    wrong = world.checks.questions.all_current(
        [told.job for told in world.checks.jobs.values()], world.checks.in_force
    )
    if wrong:
        return str(wrong)
    for name, view in _VIEWS.items():
        ours, theirs = view(process.plane), view(fresh)
        if ours != theirs:
            return f"the view of {name} is {_short(ours)}, a fresh start gives {_short(theirs)}"
    return ""


def _forget_ended(world: World, plane: Plane) -> None:
    """Known and tolerated, and counted: a submit whose answer of the store comes after the job has
    ended queues it once more. Dispatch drops such an entry; without a worker for it, it stays."""
    for entry in plane.queue:
        if world.checks.jobs[entry.lane.tenant, entry.job_id].job.state in TERMINAL:
            world.counts["ended jobs that were still queued"] += 1
            plane.queue.remove(entry.lane.tenant, entry.job_id)


def _queue(plane: Plane) -> object:
    return sorted((*entry.lane, entry.job_id, entry.priority) for entry in plane.queue)


def _queue_counts(plane: Plane) -> object:
    return [(tenant, plane.queue.count(tenant)) for tenant in TENANTS]


def _leases(plane: Plane) -> object:
    return sorted((held.job.tenant, held.job.id, held.job.revision) for held in plane.leases)


def _workers(plane: Plane) -> object:
    of = {(held.job.tenant, held.job.lease.worker) for held in plane.leases if held.job.lease}
    return sorted((name, plane.leases.count_of_worker(name)) for name in of)


def _rules(plane: Plane) -> object:
    rules = {(t, f"rule-{name}{end}") for t in TENANTS for name in _RULES for end in _ENDS}
    return sorted((rule, plane.leases.count_of_rule(rule)) for rule in rules)


def _keys(plane: Plane) -> object:
    keys = [key for tenant in TENANTS for key in plane.keys.of_tenant(tenant)]
    return sorted((key.id, key.revoked_at_us or 0) for key in keys)


def _policy(plane: Plane) -> object:
    return plane.policy.digest, plane.projections.entry_doubts.is_tightening


def _questions(plane: Plane) -> object:
    return len(plane.open_approvals)


_RULES, _ENDS = ("alpha", "beta", "gamma", "delta", "safe"), ("", "-under")
_VIEWS: dict[str, Callable[[Plane], object]] = {
    "queued jobs": _queue,
    "how many are queued": _queue_counts,
    "leases": _leases,
    "how many each worker holds": _workers,
    "how many run under each rule": _rules,
    "questions to people": _questions,
    "keys": _keys,
    "the policy in force": _policy,
}


def _short(view: object) -> str:
    text = str(view)
    return text if len(text) < 600 else text[:600] + "…"


def _unfinished(world: World) -> str:
    open_jobs = [
        told.job
        for told in world.checks.jobs.values()
        if told.job.state not in TERMINAL and told.job.state is not JobState.APPROVAL_REQUIRED
    ]
    if not open_jobs:
        return ""
    job = open_jobs[0]
    return (
        f"{len(open_jobs)} jobs never end, such as {short(job.id)} of {job.tenant}"
        f" ({job.state}, {job.topic}, attempt {job.attempt}, not before {job.not_before_us})"
    )


async def agrees(world: World) -> None:
    """Store, log and what was seen from outside tell the same story."""
    store = world.disk.memory
    report = await verify_log(store)
    if not report.ok:
        raise world.violate("4", report.problems[0])
    if report.jobs != len(world.checks.jobs):
        raise world.violate("3", f"{report.jobs} jobs in the log of {len(world.checks.jobs)}")
    for (tenant, job_id), told in world.checks.jobs.items():
        view = await store.job(tenant, job_id)
        if view is None or view.job != told.job or view.payload != told.payload:
            raise world.violate("3", f"job {short(job_id)} is not stored as it was committed")
        decisions = await store.decisions(tenant, job_id, limit=10_000)
        dispatches = [made for made in decisions if made.decision.value.startswith("allow")]
        if view.job.attempt > len(dispatches):
            raise world.violate("1", f"job {short(job_id)} was dispatched more often than allowed")
    for tenant in TENANTS:
        dead = await store.jobs(JobFilter(tenant=tenant, dead=True), limit=1_000_000)
        found = {job.id for job in dead}
        wanted = {
            name[1] for name, told in world.checks.jobs.items() if told.dead and name[0] == tenant
        }
        if found != wanted:
            odd = sorted(found ^ wanted)[0]
            raise world.violate("9", f"job {short(odd)} is wrongly on, or off, the dead letters")


async def nothing_shown(world: World, operators: Sequence[Operator]) -> None:
    """What is kept, listed and streamed holds no canary; no seal is past its time."""
    store, results, process = world.disk.memory, world.checks.results, world.process
    assert process is not None
    past_us = world.clock.now_us() - round((RETENTION_S + 2 * PURGE_EVERY_S) * 1_000_000)
    late = await store.entries_before(EntryKind.ORIGINAL, past_us, limit=1)
    if late:
        raise world.violate("13", f"the original of {short(late[0].name)} is past its time")
    for tenant, job_id in world.checks.jobs:
        result = await store.result(tenant, job_id)
        sealed = await store.entry(tenant, EntryKind.ORIGINAL, job_id) is not None
        if sealed != ((tenant, job_id) in results.sealed):
            raise world.violate("13", f"the seal of {short(job_id)} is not as it was committed")
        results.search(result or b"", f"the result of {short(job_id)}")
    for link in await store.links(start=0, limit=1_000_000):
        results.search(link.record, f"record {link.position}")
    for operator in operators:
        await read_everything(world, process, operator.key)
