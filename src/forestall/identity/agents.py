"""Agents: programs that act by themselves, each with an owner, a purpose, an end and its rights.

A value and its bounds. What an agent may do is judged in `jobs/agent_rights.py`, which knows jobs.
An empty list of rights is no right, never every right.
"""

from enum import StrEnum

import msgspec

from forestall.errors import InvalidRequestError
from forestall.identity.credentials import CALLER_PREFIX, WORKER_PREFIX, require_name
from forestall.limits import AGENT_LIST_ITEMS_MAX, DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX

AGENT_ID_PREFIX = "agt-"  # no agent may have a name with this prefix
# Why an agent may do nothing any more, as codes.
AGENT_SUSPENDED, AGENT_REVOKED = "agent_suspended", "agent_revoked"
AGENT_EXPIRED = "agent_expired"


class AgentInvalidError(InvalidRequestError):
    """The agent cannot be made or changed as asked: a field is wrong. The message names it."""

    code, http_status = "AGENT_REQUEST_INVALID", 400


class AgentStatus(StrEnum):
    """Whether an agent may act. A revoked agent never acts again, and its name stays taken."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class RiskTier(StrEnum):
    """How much harm an agent can do, as whoever registered it judged. Rules may read it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Agent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One agent as stored. Times are microseconds since the Unix epoch, UTC.

    `name` is the principal of the agent's keys and never changes. The `allowed_*` lists are its
    rights, as globs; `data_classifications` says what data it handles, and only rules read that.
    `workspace` and `purpose` are for people.
    """

    id: str
    tenant: str
    name: str
    risk_tier: RiskTier
    created_at_us: int
    updated_at_us: int
    created_by: str  # the principal that made it
    owner: str = ""  # who answers for it; empty is a finding
    team: str = ""
    purpose: str = ""
    description: str = ""
    workspace: str = ""
    data_classifications: tuple[str, ...] = ()
    allowed_topics: tuple[str, ...] = ()
    allowed_capabilities: tuple[str, ...] = ()
    allowed_pools: tuple[str, ...] = ()
    allowed_servers: tuple[str, ...] = ()  # MCP servers
    allowed_tools: tuple[str, ...] = ()  # MCP tools
    allowed_resources: tuple[str, ...] = ()  # MCP resources
    status: AgentStatus = AgentStatus.ACTIVE
    status_reason: str = ""  # why it was suspended, resumed or revoked, as the admin said
    status_changed_at_us: int = 0  # 0: never since it was made
    expires_at_us: int | None = None  # None is a finding


RIGHTS = (
    "allowed_topics",
    "allowed_capabilities",
    "allowed_pools",
    "allowed_servers",
    "allowed_tools",
    "allowed_resources",
)
LISTS = ("data_classifications", *RIGHTS)
_LINES = ("owner", "team", "workspace")
_TEXTS = ("purpose", "description", "status_reason")


def ended_agent(agent: Agent | None, *, now_us: int) -> str:
    """Why the agent may do nothing at this instant: AGENT_REVOKED, AGENT_SUSPENDED or
    AGENT_EXPIRED; empty while it may act. An agent that is not there counts as revoked."""
    if agent is None or agent.status is AgentStatus.REVOKED:
        return AGENT_REVOKED
    if agent.status is not AgentStatus.ACTIVE:
        return AGENT_SUSPENDED
    if agent.expires_at_us is not None and now_us >= agent.expires_at_us:
        return AGENT_EXPIRED
    return ""


def problem_of_agent(agent: Agent) -> str:
    """Why the agent cannot be kept as it is; empty when it can. Globs are judged elsewhere
    (`jobs.agent_rights.problem_of_rights`)."""
    try:
        require_name(agent.name, "agent name")
    except InvalidRequestError as error:
        return error.message
    for prefix in (AGENT_ID_PREFIX, WORKER_PREFIX, CALLER_PREFIX):
        if agent.name.startswith(prefix):
            return f"an agent name does not begin with `{prefix}`, as names of other things do"
    for field in _LINES:
        text = getattr(agent, field)
        if len(text) > NAME_CHARS_MAX or not text.isprintable():
            return f"`{field}` is one line of at most {NAME_CHARS_MAX} characters"
    for field in _TEXTS:
        if len(getattr(agent, field)) > DESCRIPTION_CHARS_MAX:
            return f"`{field}` has at most {DESCRIPTION_CHARS_MAX} characters"
    for field in LISTS:
        if problem := _problem_of_list(getattr(agent, field), field):
            return problem
    return ""


def _problem_of_list(items: tuple[str, ...], field: str) -> str:
    if len(items) > AGENT_LIST_ITEMS_MAX:
        return f"`{field}` has at most {AGENT_LIST_ITEMS_MAX} entries"
    if len(set(items)) < len(items):
        return f"`{field}` names something twice"
    if any(not 1 <= len(item) <= NAME_CHARS_MAX or not item.isprintable() for item in items):
        return f"an entry of `{field}` is one line of 1 to {NAME_CHARS_MAX} characters"
    return ""


class AgentFinding(StrEnum):
    """What an agent lacks. Nothing is forbidden for it; people should know."""

    NO_OWNER = "no_owner"
    NO_EXPIRY = "no_expiry"
    EXPIRED = "expired"
    NO_RIGHTS = "no_rights"  # it may do nothing
    UNBOUND_KEY = "unbound_key"  # a key acts under its name without its bounds


def findings_of(agent: Agent, *, now_us: int, has_unbound_key: bool) -> tuple[AgentFinding, ...]:
    """What people should know of an agent; empty for a revoked one.

    `has_unbound_key`: an unrevoked key names the agent as its principal and is not bound to it.
    """
    if agent.status is AgentStatus.REVOKED:
        return ()
    found = {
        AgentFinding.NO_OWNER: not agent.owner,
        AgentFinding.NO_EXPIRY: agent.expires_at_us is None,
        AgentFinding.EXPIRED: ended_agent(agent, now_us=now_us) == AGENT_EXPIRED,
        AgentFinding.NO_RIGHTS: not agent.allowed_topics,
        AgentFinding.UNBOUND_KEY: has_unbound_key,
    }
    return tuple(finding for finding, there in found.items() if there)


class AgentChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be set of an agent, new or there already; None keeps what is there.

    `expires_at_us` of 0 takes the end away. `revision`: only if the agent is at this revision.
    """

    name: str | None = None
    risk_tier: RiskTier | None = None
    owner: str | None = None
    team: str | None = None
    purpose: str | None = None
    description: str | None = None
    workspace: str | None = None
    data_classifications: tuple[str, ...] | None = None
    allowed_topics: tuple[str, ...] | None = None
    allowed_capabilities: tuple[str, ...] | None = None
    allowed_pools: tuple[str, ...] | None = None
    allowed_servers: tuple[str, ...] | None = None
    allowed_tools: tuple[str, ...] | None = None
    allowed_resources: tuple[str, ...] | None = None
    expires_at_us: int | None = None
    status: AgentStatus | None = None
    reason: str = ""  # of a new status
    revision: int | None = None


_SET = ("risk_tier", "owner", "team", "purpose", "description", "workspace", *LISTS)


def with_change(agent: Agent, change: AgentChange, *, now_us: int) -> Agent:
    """The agent as the change leaves it; the same value when it changes nothing. Whether it may be
    so is judged by `problem_of_agent`."""
    fields = {name: value for name in _SET if (value := getattr(change, name)) is not None}
    if change.expires_at_us is not None:
        fields["expires_at_us"] = change.expires_at_us or None
    if change.status is not None and change.status is not agent.status:
        fields |= {
            "status": change.status,
            "status_reason": change.reason,
            "status_changed_at_us": now_us,
        }
    after = msgspec.structs.replace(agent, **fields)
    return agent if after == agent else msgspec.structs.replace(after, updated_at_us=now_us)
