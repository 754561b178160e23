"""What the passing of time does: leases end, deadlines pass, held jobs may run again.

`tick` is called by the server's loop, and by simulations with a clock of their own.
"""

import contextlib
import heapq

from forestall.control.dispatch import time_out_waiting
from forestall.control.follow import wake
from forestall.control.moves import Move, commit_move
from forestall.control.plane import Plane
from forestall.control.ports import PreconditionFailedError
from forestall.control.records import SYSTEM_ACTOR
from forestall.jobs.attempts import may_retry, retry_delay_us
from forestall.jobs.job import Job, JobState
from forestall.jobs.lifecycle import HELD_BY_WORKER, TERMINAL, WAITING, Event

RUN_TIME_SPENT, AMBIGUOUS = "max_runtime_exceeded", "lease_expired"


async def tick(plane: Plane) -> None:
    """Do what is due now. Raises StoreUnavailableError; what was not done stays due."""
    now_us = plane.clock.now_us()
    for entry in plane.queue.ripen(now_us):
        wake(plane, entry.lane)
    for held in plane.leases.ended(now_us):
        with contextlib.suppress(PreconditionFailedError):  # answered at this very moment
            await commit_move(plane, _end_of_lease(plane, held.job, now_us=now_us), now_us=now_us)
    while plane.deadlines and plane.deadlines[0][0] <= now_us:
        _, tenant, job_id = plane.deadlines[0]
        await _past_deadline(plane, tenant, job_id, now_us=now_us)
        heapq.heappop(plane.deadlines)


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
    job = view.job
    with contextlib.suppress(PreconditionFailedError):
        if job.state in WAITING or job.state is JobState.APPROVAL_REQUIRED:
            await time_out_waiting(plane, job, now_us=now_us)
        elif job.state in HELD_BY_WORKER:
            fields = {
                "failure_code": "deadline_exceeded",
                "failure_reason": "the deadline passed while it ran; the worker was told to stop",
            }
            move = Move(job=job, event=Event.TIMED_OUT, actor=SYSTEM_ACTOR, fields=fields)
            await commit_move(plane, move, now_us=now_us)
