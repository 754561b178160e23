"""Make, change, suspend, resume and revoke agents (control 1). All of it while the server runs.

An agent is found in the store by its name, which never changes and stays taken: so no record means
two agents, and no new agent inherits the jobs of an old one. A revocation ends the keys and worker
credentials of the agent in the same commit. Whatever is left over then (a key that was made at that
very moment) carries nothing, since its agent is revoked, and `withdraw.py` ends it.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from forestall.audit.record import Record, Value
from forestall.control.keys import (
    AgentNotActiveError,
    agent_of_tenant,
    revocation,
)
from forestall.control.plane import Plane, uuid_text
from forestall.control.records import record_of
from forestall.errors import ConflictError
from forestall.identity.agents import (
    AGENT_ID_PREFIX,
    Agent,
    AgentChange,
    AgentFinding,
    AgentInvalidError,
    AgentStatus,
    RiskTier,
    findings_of,
    problem_of_agent,
    with_change,
)
from forestall.identity.credentials import ApiKey, Subject
from forestall.jobs.agent_rights import problem_of_rights
from forestall.limits import AGENTS_PER_TENANT_MAX
from forestall.ports.change import Change, Put, PutEntry
from forestall.ports.entries import EntryKind, entry_after
from forestall.ports.store import PreconditionFailedError

_TRIES = 8  # an admin's change is repeated on what another admin left, unless it names a revision
_STATUS_RECORDS = {
    AgentStatus.SUSPENDED: "agent.suspended",
    AgentStatus.ACTIVE: "agent.resumed",
    AgentStatus.REVOKED: "agent.revoked",
}


class AgentNameTakenError(ConflictError):
    """An agent of this tenant has, or had, this name; a revoked agent keeps it."""

    code, http_status = "AGENT_NAME_CONFLICT", 409


class AgentsFullError(ConflictError):
    """The tenant has as many agents as it may have; revoked ones count."""

    code, http_status = "AGENTS_FULL", 409


class AgentVersionError(ConflictError):
    """Another request changed the agent in the meantime; read it again. Nothing was changed."""

    code, http_status = "AGENT_VERSION_CONFLICT", 409


class AgentReport(msgspec.Struct, frozen=True, kw_only=True):
    """An agent, with what people want to know of it."""

    agent: Agent
    revision: int
    findings: tuple[AgentFinding, ...]
    keys: tuple[ApiKey, ...]  # that are not revoked, worker credentials among them
    last_used_us: int | None = None  # when one of its keys was last used, if a use is known


class AgentChangeResult(msgspec.Struct, frozen=True, kw_only=True):
    """An agent after a change, and the keys that the change revoked."""

    report: AgentReport
    revoked: tuple[ApiKey, ...] = ()


class AgentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which agents of a tenant to list. A field with its default does not narrow the list."""

    name: str = ""
    team: str = ""
    status: AgentStatus | None = None
    risk_tier: RiskTier | None = None


def read_agent(plane: Plane, tenant: str, agent_id: str) -> AgentReport:
    """One agent. Raises AgentNotFoundError."""
    return _report(plane, agent_of_tenant(plane, tenant, agent_id))


def list_agents(
    plane: Plane, tenant: str, wanted: AgentFilter, *, limit: int, after: str = ""
) -> tuple[Sequence[AgentReport], str]:
    """A page of agents, oldest first, and the id of its last one when more follow. `after` is such
    an id. Raises AgentInvalidError when it is none."""
    last = plane.agents.by_id(after) if after else None
    if after and (last is None or last.tenant != tenant):
        raise AgentInvalidError("`cursor` is none that we gave out; begin again without one")
    since = (last.created_at_us, last.id) if last is not None else (0, "")
    found = [
        agent
        for agent in plane.agents.of_tenant(tenant)
        if (agent.created_at_us, agent.id) > since
        and wanted.name in ("", agent.name)
        and wanted.team in ("", agent.team)
        and wanted.status in (None, agent.status)
        and wanted.risk_tier in (None, agent.risk_tier)
    ]
    page = found[:limit]
    return [_report(plane, agent) for agent in page], page[-1].id if len(found) > limit else ""


def _report(plane: Plane, agent: Agent) -> AgentReport:
    entry = plane.agents.entry(agent.id)
    keys = [key for key in plane.keys.of_agent(agent.id) if key.revoked_at_us is None]
    unbound = any(
        key.revoked_at_us is None and key.agent_id != agent.id
        for key in plane.keys.of_principal(agent.tenant, agent.name)
    )
    uses = [plane.key_uses.last_us(key.id) for key in plane.keys.of_agent(agent.id)]
    now_us = plane.clock.now_us()
    return AgentReport(
        agent=agent,
        revision=entry.revision if entry is not None else 0,
        findings=findings_of(agent, now_us=now_us, has_unbound_key=unbound),
        keys=tuple(keys),
        last_used_us=max((used for used in uses if used is not None), default=None),
    )


async def create_agent(plane: Plane, subject: Subject, wanted: AgentChange) -> AgentReport:
    """Make an agent. It has no credential yet. Raises AgentInvalidError, AgentNameTakenError,
    AgentsFullError, StoreUnavailableError."""
    # load
    now_us, tenant = plane.clock.now_us(), subject.tenant
    # decide
    if wanted.name is None or wanted.risk_tier is None:
        raise AgentInvalidError(
            f"`name` and `risk_tier` are required; `risk_tier` is one of {', '.join(RiskTier)}"
        )
    new = Agent(
        id=AGENT_ID_PREFIX + uuid_text(now_us, plane.random.token(10)),
        tenant=tenant,
        name=wanted.name,
        risk_tier=wanted.risk_tier,
        created_at_us=now_us,
        updated_at_us=now_us,
        created_by=subject.principal,
    )
    agent = with_change(new, msgspec.structs.replace(wanted, status=None), now_us=now_us)
    _require_valid(agent, new, now_us=now_us)
    if plane.agents.by_name(tenant, agent.name) is not None:
        raise _name_taken(agent.name)
    if plane.agents.count(tenant) >= AGENTS_PER_TENANT_MAX:
        raise AgentsFullError(
            f"a tenant has at most {AGENTS_PER_TENANT_MAX} agents, revoked ones too: give several"
            " copies of one program one agent with several keys"
        )
    entry = entry_after(None, tenant, EntryKind.AGENT, agent.name, agent, now_us=now_us)
    record = record_of(
        plane,
        "agent.created",
        tenant=tenant,
        actor=subject.principal,
        at_us=now_us,
        data=_data(agent, 1),
    )
    # commit
    try:
        await plane.commit(Change(puts=(PutEntry(entry),), records=(record,)))
    except PreconditionFailedError as cause:
        raise _name_taken(agent.name) from cause
    # announce
    return _report(plane, agent)


def _name_taken(name: str) -> AgentNameTakenError:
    return AgentNameTakenError(
        f"there is, or was, an agent `{name}`; a revoked agent keeps its name, so that its records"
        " mean one agent. Choose another name"
    )


def _require_valid(agent: Agent, before: Agent, *, now_us: int) -> None:
    problem = problem_of_agent(agent) or problem_of_rights(agent)
    ends_at_us = agent.expires_at_us
    if ends_at_us is not None and ends_at_us != before.expires_at_us and ends_at_us <= now_us:
        problem = problem or "`expires_at` is in the past; suspend or revoke the agent instead"
    if problem:
        raise AgentInvalidError(problem)


async def change_agent(
    plane: Plane, subject: Subject, agent_id: str, change: AgentChange
) -> AgentChangeResult:
    """Set fields of an agent, its status among them. A change that changes nothing leaves no
    record. Revoked for good: only a revocation may be repeated.

    Raises AgentNotFoundError, AgentInvalidError, AgentNotActiveError, AgentVersionError,
    StoreUnavailableError.
    """
    name = agent_of_tenant(plane, subject.tenant, agent_id).name
    for _ in range(_TRIES):
        # load: from the store, since memory may not know yet what another admin changed
        entry = await plane.store.entry(subject.tenant, EntryKind.AGENT, name)
        assert entry is not None, "an agent is never removed"
        agent = msgspec.json.decode(entry.body, type=Agent)
        now_us = plane.clock.now_us()
        # decide
        after = _after(agent, entry.revision, change, now_us=now_us)
        ends = after.status is AgentStatus.REVOKED
        keys = _unrevoked(plane, agent) if ends else []
        if after is agent and not keys:
            return AgentChangeResult(report=_report(plane, agent))
        put = entry_after(entry, agent.tenant, EntryKind.AGENT, name, after, now_us=now_us)
        records = _records(plane, subject, agent, after, put.revision, keys, now_us=now_us)
        puts: list[Put] = [PutEntry(put)]
        for key in keys:
            revoked = await revocation(plane, key, actor=subject.principal, now_us=now_us)
            puts += revoked.puts
            records += revoked.records
        # commit
        try:
            await plane.commit(Change(puts=tuple(puts), records=tuple(records)))
        except PreconditionFailedError:
            await asyncio.sleep(0)  # the other change has to reach memory
            continue
        # announce: sessions of its workers ended as the agent was taken up; `withdraw` cancels
        # what runs for it
        return AgentChangeResult(report=_report(plane, after), revoked=tuple(keys))
    raise _changed_meanwhile(name)


async def revoke_agent(
    plane: Plane, subject: Subject, agent_id: str, *, reason: str = ""
) -> AgentChangeResult:
    """Revoke an agent with its keys and worker credentials; once more does no harm. Raises as
    `change_agent`."""
    change = AgentChange(status=AgentStatus.REVOKED, reason=reason)
    return await change_agent(plane, subject, agent_id, change)


def _unrevoked(plane: Plane, agent: Agent) -> list[ApiKey]:
    return [key for key in plane.keys.of_agent(agent.id) if key.revoked_at_us is None]


def _changed_meanwhile(name: str) -> AgentVersionError:
    return AgentVersionError(f"the agent `{name}` was changed in the meantime; read it again")


def _after(agent: Agent, revision: int, change: AgentChange, *, now_us: int) -> Agent:
    """The agent after a change. Raises AgentVersionError, AgentInvalidError,
    AgentNotActiveError."""
    if change.revision is not None and change.revision != revision:
        raise _changed_meanwhile(agent.name)
    if change.name not in (None, agent.name):
        raise AgentInvalidError(
            "the name of an agent never changes, since its records and keys carry it; make another"
            " agent and revoke this one"
        )
    after = with_change(agent, change, now_us=now_us)
    if agent.status is AgentStatus.REVOKED and after != agent:
        raise AgentNotActiveError(
            f"the agent `{agent.name}` is revoked for good; make another agent",
            details={"status": agent.status.value},
        )
    _require_valid(after, agent, now_us=now_us)
    return after


def _records(
    plane: Plane,
    subject: Subject,
    before: Agent,
    after: Agent,
    revision: int,
    keys: Sequence[ApiKey],
    *,
    now_us: int,
) -> list[Record]:
    """One record of the fields that were set, one of a new status."""
    same_status = msgspec.structs.replace(
        after,
        status=before.status,
        status_reason=before.status_reason,
        status_changed_at_us=before.status_changed_at_us,
        updated_at_us=before.updated_at_us,
    )
    found = []
    if same_status != before:
        found.append(
            record_of(
                plane,
                "agent.changed",
                tenant=after.tenant,
                actor=subject.principal,
                at_us=now_us,
                data=_data(after, revision),
            )
        )
    if after.status is not before.status or keys:
        found.append(
            record_of(
                plane,
                _STATUS_RECORDS[after.status],
                tenant=after.tenant,
                actor=subject.principal,
                at_us=now_us,
                data=_status_data(after, revision, keys),
            )
        )
    return found


def _status_data(agent: Agent, revision: int, keys: Sequence[ApiKey]) -> dict[str, Value]:
    """What a record says of a new status; of a revocation, which keys and workers it ended."""
    data: dict[str, Value] = {
        "name": agent.name,
        "agent_id": agent.id,
        "revision": revision,
        "status_reason": agent.status_reason,
    }
    if agent.status is AgentStatus.REVOKED:
        data["keys"] = tuple(key.id for key in keys)
        data["workers"] = tuple(key.worker.worker_id for key in keys if key.worker)
    return data


_UNSAID = frozenset({"id", "tenant", "created_at_us", "updated_at_us", "created_by"})


def _data(agent: Agent, revision: int) -> dict[str, Value]:
    """What a record says of an agent: every field that has a value."""
    plain = msgspec.to_builtins(agent).items()
    return {
        "agent_id": agent.id,
        "revision": revision,
        **{
            name: tuple(item) if isinstance(item, list) else item
            for name, item in plain
            if name not in _UNSAID
        },
    }
