"""Do what is due: end leases, pass deadlines, let throttled jobs run again.

The server's loop calls `tick` ten times a second; simulations call it with a clock of their own.
"""

import contextlib

from forestall.control.follow_log import follow_log
from forestall.control.moves import commit_move, move_of
from forestall.control.plane import Plane
from forestall.control.records import SYSTEM_ACTOR
from forestall.control.recover import read_jobs_in_doubt, sweep
from forestall.control.tenants import stop_suspended
from forestall.control.withdraw import withdraw_ended
from forestall.jobs.transitions import after_deadline, after_lease_end
from forestall.ports.store import PreconditionFailedError
from forestall.projections.catch_up import wake_for


async def tick(plane: Plane) -> None:
    """Do everything that is due now. Raises StoreUnavailableError; what was not done stays due."""
    await follow_log(plane)
    now_us = plane.clock.now_us()
    for ripe in plane.queue.ripen(now_us):
        wake_for(plane.projections, ripe.lane)
    await read_jobs_in_doubt(plane)
    await sweep(plane)
    await stop_suspended(plane)
    await withdraw_ended(plane)
    await _end_leases(plane, now_us=now_us)
    _offer_free_slots(plane)
    while (due := plane.deadlines.pop_due(now_us)) is not None:
        _, tenant, job_id = due
        try:
            await _pass_deadline(plane, tenant, job_id, now_us=now_us)
        except PreconditionFailedError:  # another verb moved the job just now: read it at next tick
            plane.deadlines.put_back(due)
            return
        except BaseException:
            plane.deadlines.put_back(due)
            raise


async def _end_leases(plane: Plane, *, now_us: int) -> None:
    # load
    for leased in plane.leases.ended(now_us):
        if not plane.leases.is_over(leased, now_us):
            continue  # its worker answered or renewed it while earlier leases were ended
        # decide
        chance = int.from_bytes(plane.random.token(2), "big")
        transition = after_lease_end(leased.job, now_us=now_us, chance=chance)
        move = move_of(leased.job, transition, actor=SYSTEM_ACTOR)
        # commit, and announce: the worker is notified when its lease leaves memory
        with contextlib.suppress(PreconditionFailedError):  # its worker answered just now
            await commit_move(plane, move, now_us=now_us)


def _offer_free_slots(plane: Plane) -> None:
    """A dispatch that was allowed may still have failed; the concurrency slot that it reserved
    under its rule must then be offered to the next parked job."""
    for rule in plane.leases.bound_rules():
        if plane.leases.has_free_slot(rule) and plane.queue.unpark(rule):
            plane.workers.wake_all()


async def _pass_deadline(plane: Plane, tenant: str, job_id: str, *, now_us: int) -> None:
    # load
    view = await plane.store.job(tenant, job_id)
    if view is None:
        return
    # decide
    transition = after_deadline(view.job, now_us=now_us)
    if transition is None:
        return
    move = move_of(view.job, transition, actor=SYSTEM_ACTOR)
    # commit, and announce: the worker is notified when its lease leaves memory
    with contextlib.suppress(PreconditionFailedError):  # another verb ended the job just now
        await commit_move(plane, move, now_us=now_us)
