"""Withdraw what runs for an agent that was suspended, revoked or has expired.

The gates refuse such an agent by themselves. What a worker holds already is cancelled here at the
next tick, so that its worker is told at once and not at its next heartbeat; and a key that was left
over by the revocation of its agent is revoked. Decides nothing about other jobs.
"""

import contextlib

from forestall.control.agent_layer import agent_of
from forestall.control.gate import withdrawal
from forestall.control.keys import end_key
from forestall.control.moves import commit_move, move_of
from forestall.control.plane import Plane
from forestall.control.records import SYSTEM_ACTOR
from forestall.identity.agents import Agent, AgentStatus
from forestall.jobs.job import Job
from forestall.jobs.transitions import after_withdrawal
from forestall.ports.store import PreconditionFailedError


async def withdraw_ended(plane: Plane) -> None:
    """Cancel the leased jobs of every agent that has ended since the last call, and revoke the keys
    that its revocation left over. Raises StoreUnavailableError; the next call does the rest."""
    now_us = plane.clock.now_us()
    ended = plane.agents.take_ended(now_us)
    if not ended:
        return
    try:
        # load
        for leased in plane.leases:
            agent = agent_of(plane, leased.job.key_id)
            # decide
            if agent is None or agent.id not in ended:
                continue
            if code := withdrawal(plane, leased.job, now_us=now_us):
                await stop_work(plane, leased.job, code, now_us=now_us)
                since_us = _ended_at_us(agent)
                plane.telemetry.withdrawn((plane.clock.now_us() - since_us) / 1_000_000)
        for agent_id in ended:
            agent = plane.agents.by_id(agent_id)
            if agent is not None and agent.status is AgentStatus.REVOKED:
                await _end_keys(plane, agent_id)
    except BaseException:
        plane.agents.put_back(ended)
        raise


def _ended_at_us(agent: Agent) -> int:
    """Since when the agent may do nothing."""
    if agent.status is AgentStatus.ACTIVE:
        assert agent.expires_at_us is not None, "an active agent ends by expiring"
        return agent.expires_at_us
    return agent.status_changed_at_us


async def _end_keys(plane: Plane, agent_id: str) -> None:
    for key in plane.keys.of_agent(agent_id):
        if key.revoked_at_us is None:
            with contextlib.suppress(PreconditionFailedError):  # somebody has just revoked it
                await end_key(plane, key, actor=SYSTEM_ACTOR)


async def stop_work(plane: Plane, job: Job, code: str, *, now_us: int) -> Job:
    """Cancel a job that runs, for this code of `withdrawal`; the job as it is then."""
    # load: the caller did
    # decide
    move = move_of(job, after_withdrawal(code), actor=SYSTEM_ACTOR)
    # commit, and announce: the lease leaves memory, and its worker is told
    with contextlib.suppress(PreconditionFailedError):  # the job ended meanwhile
        job = await commit_move(plane, move, now_us=now_us)
    return job
