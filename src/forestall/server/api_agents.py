"""The API of agents: register, read, list, change, suspend, resume and revoke them."""

from forestall.control.agents import (
    AgentFilter,
    AgentReport,
    change_agent,
    create_agent,
    list_agents,
    read_agent,
    revoke_agent,
)
from forestall.control.plane import Plane
from forestall.identity.agents import AgentChange, AgentStatus, RiskTier
from forestall.identity.roles import Permission
from forestall.server.endpoints import Answer, Call, EndpointTable
from forestall.server.query import limit_of
from forestall.wire.agents import (
    AgentBody,
    AgentObject,
    AgentPage,
    AgentReasonBody,
    RevokedAgentObject,
    agent_object,
    decode_agent,
    decode_agent_reason,
    revoked_agent_object,
    word_of,
)

_READ, _WRITE = Permission.AGENTS_READ, Permission.AGENTS_WRITE
_AGENTS = "/api/v1/agents"
_AGENT = _AGENTS + "/{agent_id}"
_TABLE = EndpointTable()


def _object(report: AgentReport) -> AgentObject:
    return agent_object(
        report.agent,
        revision=report.revision,
        findings=report.findings,
        key_count=len(report.keys),
        last_used_us=report.last_used_us,
    )


@_TABLE.row("POST", _AGENTS, _WRITE, {201: AgentObject}, AgentBody)
async def _create(plane: Plane, call: Call) -> Answer:
    """Register an agent."""
    report = await create_agent(plane, call.who, await call.decoded(decode_agent))
    return Answer(201, _object(report))


@_TABLE.row(
    "GET",
    _AGENTS,
    _READ,
    {200: AgentPage},
    query=("name", "status", "risk_tier", "team", "cursor", "limit"),
)
async def _list(plane: Plane, call: Call) -> Answer:
    """List agents, oldest first."""
    query = call.query
    wanted = AgentFilter(
        name=query.get("name", ""),
        team=query.get("team", ""),
        status=word_of(AgentStatus, query.get("status"), "status"),
        risk_tier=word_of(RiskTier, query.get("risk_tier"), "risk_tier"),
    )
    reports, cursor = list_agents(
        plane, call.who.tenant, wanted, limit=limit_of(query), after=query.get("cursor", "")
    )
    return Answer(200, AgentPage([_object(each) for each in reports], cursor, cursor))


@_TABLE.row("GET", _AGENT, _READ, {200: AgentObject})
async def _read(plane: Plane, call: Call) -> Answer:
    """Read one agent."""
    return Answer(200, _object(read_agent(plane, call.who.tenant, call.params[0])))


@_TABLE.row("PUT", _AGENT, _WRITE, {200: AgentObject}, AgentBody)
async def _change(plane: Plane, call: Call) -> Answer:
    """Change an agent; what is left out stays."""
    change = await call.decoded(decode_agent)
    changed = await change_agent(plane, call.who, call.params[0], change)
    return Answer(200, _object(changed.report))


@_TABLE.row("POST", _AGENT + "/suspend", _WRITE, {200: AgentObject}, AgentReasonBody)
async def _suspend(plane: Plane, call: Call) -> Answer:
    """Let an agent do nothing until it is resumed."""
    return await _with_status(plane, call, AgentStatus.SUSPENDED)


@_TABLE.row("POST", _AGENT + "/resume", _WRITE, {200: AgentObject}, AgentReasonBody)
async def _resume(plane: Plane, call: Call) -> Answer:
    """Let a suspended agent act again."""
    return await _with_status(plane, call, AgentStatus.ACTIVE)


async def _with_status(plane: Plane, call: Call, status: AgentStatus) -> Answer:
    reason = await call.decoded(decode_agent_reason)
    change = AgentChange(status=status, reason=reason)
    changed = await change_agent(plane, call.who, call.params[0], change)
    return Answer(200, _object(changed.report))


@_TABLE.row("DELETE", _AGENT, _WRITE, {200: RevokedAgentObject}, query=("reason",))
async def _revoke(plane: Plane, call: Call) -> Answer:
    """Revoke an agent for good, with its keys and worker credentials."""
    reason = call.query.get("reason", "")
    revoked = await revoke_agent(plane, call.who, call.params[0], reason=reason)
    return Answer(200, revoked_agent_object(revoked.report.agent, revoked.revoked))


ENDPOINTS = tuple(_TABLE)
