"""What the passing of time does: leases end, deadlines pass, held jobs may run again.

`tick` is called by the server's loop, and by simulations with a clock of their own.
"""

import contextlib

from forestall.control.approve import expired
from forestall.control.dispatch import deadline_passed
from forestall.control.follow_log import follow_log
from forestall.control.moves import Move, commit_move
from forestall.control.plane import Plane
from forestall.control.records import SYSTEM_ACTOR
from forestall.control.recover import look_again, sweep
from forestall.jobs.attempts import may_retry, retry_delay_us
from forestall.jobs.job import Job, JobState
from forestall.jobs.lifecycle import HELD_BY_WORKER, TERMINAL, Event
from forestall.ports.store import PreconditionFailedError
from forestall.projections.catch_up import wake_for

RUN_TIME_SPENT, AMBIGUOUS = "max_runtime_exceeded", "lease_expired"


async def tick(plane: Plane) -> None:
    """Do what is due now. Raises StoreUnavailableError; what was not done stays due."""
    await follow_log(plane)
    now_us = plane.clock.now_us()
    for entry in plane.queue.ripen(now_us):
        wake_for(plane.projections, entry.lane)
    await look_again(plane)
    await sweep(plane)
    for held in plane.leases.ended(now_us):
        if not plane.leases.over(held, now_us):
            continue  # answered, or renewed, while the others were ended
        with contextlib.suppress(PreconditionFailedError):  # answered at this very moment
            await commit_move(plane, _end_of_lease(plane, held.job, now_us=now_us), now_us=now_us)
    _offer_places(plane)
    while (due := plane.deadlines.pop_due(now_us)) is not None:
        try:
            await _past_deadline(plane, due[1], due[2], now_us=now_us)
        except PreconditionFailedError:  # it moved at this very moment: it is due all the same
            plane.deadlines.put_back(due)
            return
        except BaseException:
            plane.deadlines.put_back(due)
            raise


def _offer_places(plane: Plane) -> None:
    """A dispatch that was allowed may still have ended in another way; the place that it reserved
    under its rule must then be offered to the next job."""
    for rule in plane.leases.bound_rules():
        if plane.leases.has_place(rule) and plane.queue.unpark(rule):
            plane.workers.wake_all()


def _end_of_lease(plane: Plane, job: Job, *, now_us: int) -> Move:
    lease = job.lease
    assert lease is not None
    if 0 < lease.runs_until_us <= now_us:
        fields = {
            "failure_code": RUN_TIME_SPENT,
            "failure_reason": "it ran longer than its constraints allow",
        }
        return Move(job=job, event=Event.TIMED_OUT, actor=SYSTEM_ACTOR, fields=fields)
    fields = {
        "failure_code": AMBIGUOUS,
        "failure_reason": f"the worker `{lease.worker}` fell silent; nobody knows what was done",
    }
    if job.idempotent and may_retry(job, now_us=now_us):
        chance = int.from_bytes(plane.random.token(2), "big")
        again = {**fields, "not_before_us": now_us + retry_delay_us(job.attempt, chance)}
        return Move(job=job, event=Event.RETRIED, actor=SYSTEM_ACTOR, fields=again)
    return Move(job=job, event=Event.LOST, actor=SYSTEM_ACTOR, fields=fields)


async def _past_deadline(plane: Plane, tenant: str, job_id: str, *, now_us: int) -> None:
    view = await plane.store.job(tenant, job_id)
    if view is None or view.job.state in TERMINAL:
        return
    move = _too_late(view.job, now_us=now_us)
    if move is not None:
        with contextlib.suppress(PreconditionFailedError):  # it ended at this very moment
            await commit_move(plane, move, now_us=now_us)


def _too_late(job: Job, *, now_us: int) -> Move | None:
    """What a job's deadline, or the end of its approval, does to it now."""
    if 0 < job.deadline_at_us <= now_us:
        if job.state not in HELD_BY_WORKER:
            return deadline_passed(job)
        fields = {
            "failure_code": "deadline_exceeded",
            "failure_reason": "the deadline passed while it ran; the worker was told to stop",
        }
        return Move(job=job, event=Event.TIMED_OUT, actor=SYSTEM_ACTOR, fields=fields)
    approval = job.approval
    waits = job.state is JobState.APPROVAL_REQUIRED and approval is not None
    if waits and approval is not None and approval.expires_at_us <= now_us:
        return expired(job, now_us=now_us)
    return None
