"""Agents in memory, by id and by name: every request of a bound key, and every gate, looks one up.

Revoked agents stay: their names stay taken, and jobs that they submitted still name their keys.
"""

import heapq
from collections.abc import Sequence

import msgspec

from forestall.identity.agents import Agent, ended_agent
from forestall.ports.change import EntryUnchanged
from forestall.ports.entries import RegistryEntry

_decode = msgspec.json.Decoder(Agent).decode


class Agents:
    """Every tenant's agents. For one thread."""

    def __init__(self) -> None:
        self._by_id: dict[str, Agent] = {}
        self._by_tenant: dict[str, dict[str, Agent]] = {}  # by name
        self._entries: dict[str, RegistryEntry] = {}  # by agent id
        self._ended: dict[str, None] = {}  # ids whose running work is to be withdrawn
        self._ends: list[tuple[int, str]] = []  # when agents expire, soonest first

    def put(self, entry: RegistryEntry) -> None:
        """Take up an agent as it was committed."""
        agent = _decode(entry.body)
        self._by_id[agent.id] = agent
        self._by_tenant.setdefault(agent.tenant, {})[agent.name] = agent
        self._entries[agent.id] = entry
        if ended_agent(agent, now_us=entry.updated_at_us):
            self._ended[agent.id] = None
        elif agent.expires_at_us is not None:
            heapq.heappush(self._ends, (agent.expires_at_us, agent.id))

    def by_id(self, agent_id: str) -> Agent | None:
        """The agent with this id, revoked or not."""
        return self._by_id.get(agent_id)

    def by_name(self, tenant: str, name: str) -> Agent | None:
        """The agent of a tenant with this name, revoked or not."""
        return self._by_tenant.get(tenant, {}).get(name)

    def of_tenant(self, tenant: str) -> Sequence[Agent]:
        """The agents of one tenant, revoked ones too, oldest first."""
        found = self._by_tenant.get(tenant, {}).values()
        return sorted(found, key=lambda agent: (agent.created_at_us, agent.id))

    def count(self, tenant: str) -> int:
        """The number of agents of one tenant, revoked ones too."""
        return len(self._by_tenant.get(tenant, {}))

    def entry(self, agent_id: str) -> RegistryEntry | None:
        """The registry entry of an agent."""
        return self._entries.get(agent_id)

    def unchanged(self, agent: Agent) -> EntryUnchanged:
        """The precondition of a change that rests on this agent: it is as it is known here, so
        nothing was taken from it since."""
        return EntryUnchanged.of(self._entries[agent.id])

    def take_ended(self, now_us: int) -> list[str]:
        """The ids of agents that were suspended or revoked, or have expired, since the last
        call."""
        while self._ends and self._ends[0][0] <= now_us:
            _, agent_id = heapq.heappop(self._ends)
            if ended_agent(self._by_id[agent_id], now_us=now_us):  # else it has a later end now
                self._ended[agent_id] = None
        ended = list(self._ended)
        self._ended.clear()
        return ended

    def put_back(self, ended: Sequence[str]) -> None:
        """Name these agents again at the next call."""
        self._ended.update(dict.fromkeys(ended))
