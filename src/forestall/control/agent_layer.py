"""The layer of the agents at every gate: who has ended, and what an agent has no right to.

It can only turn a decision into a denial. Reads memory alone, and what is there now: rights are
those of this instant, never those of the submit. A key that names an agent which is not there is
the key of an agent that was revoked.
"""

from forestall.control.plane import Plane
from forestall.identity.agents import Agent, ended_agent
from forestall.jobs.agent_rights import Action, missing_right, reason_for
from forestall.jobs.transitions import ended_submitter, within_rights
from forestall.policy.request import Request
from forestall.policy.rules import Decision
from forestall.ports.change import EntryUnchanged


def agent_id_of(plane: Plane, key_id: str) -> str:
    """The id of the agent that a key belongs to; empty for a key of no agent."""
    key = plane.keys.by_id(key_id)
    return key.agent_id if key is not None else ""


def agent_of(plane: Plane, key_id: str) -> Agent | None:
    """The agent that a key belongs to; None for a key of no agent, and for an agent that is not
    there."""
    return plane.projections.agent_of(key_id)


def ended_credential(plane: Plane, key_id: str, *, now_us: int) -> str:
    """Why a key carries nothing any more, as a code: its agent has ended, or it has; empty while it
    stands."""
    key = plane.keys.by_id(key_id)
    if key is not None and key.agent_id:
        ended = ended_agent(plane.agents.by_id(key.agent_id), now_us=now_us)
        if ended:
            return ended
    return ended_submitter(key, now_us=now_us)


def missing_right_reason(plane: Plane, action: Action, *, tenant: str, agent_id: str) -> str:
    """The reason why an agent has no right to an action; empty when it has, and where no agent is
    named."""
    agent = plane.agents.by_id(agent_id) if agent_id else None
    if agent is None:
        return ""  # an agent that is named and not there has ended, and that is asked elsewhere
    topic = plane.registry.topics(tenant).get(action.topic)
    missing = missing_right(agent, action, pool=topic.value.pool if topic is not None else "")
    return reason_for(agent, missing) if missing is not None else ""


def limited(plane: Plane, decision: Decision, request: Request, agent_id: str) -> Decision:
    """The decision of the policy, or a denial where the agent with this id asks and has ended, or
    has no right to the action. An empty id: no agent asks."""
    if not agent_id:
        return decision
    agent = plane.agents.by_id(agent_id)
    return within_rights(
        decision,
        agent_ended=ended_agent(agent, now_us=plane.clock.now_us()),
        missing=missing_right_reason(plane, request, tenant=request.tenant, agent_id=agent_id),
    )


def agent_unchanged(plane: Plane, key_id: str) -> tuple[EntryUnchanged, ...]:
    """The precondition of a change that rests on what the agent of a key may do; none for a key of
    no agent. Checked in the transaction, so that nothing follows in the log on what forbids it."""
    agent = agent_of(plane, key_id)
    return (plane.agents.unchanged(agent),) if agent is not None else ()
