"""The rights of an agent over an action: a layer of its own that can only tighten (control 2).

Pure. What the policy says is decided elsewhere, and first: a right never allows what a rule denies,
and a rule never allows what the agent has no right to. An empty list is no right. What an action
does not name (no capability, no MCP server) needs no right.

Globs are case-sensitive and match the whole value, as in rules. A resource that is written so that
a reader may see another one (`..`, encoded slashes) is covered only by the very same text.
"""

import re
import shlex
from typing import NamedTuple, Protocol

import msgspec

from forestall.canonical import canonical_struct, digest
from forestall.identity.agents import RIGHTS, Agent, RiskTier
from forestall.policy.globs import GlobError, compile_globs, is_literal
from forestall.policy.request import Request, ToolCall

AGENT_RIGHT_MISSING = "agent_right_missing"  # the code of a denial for want of a right
_OPTIONS = {  # the option of `forestall agents update` that grants the right, and its word
    "allowed_topics": ("--allow-topic", "topic"),
    "allowed_capabilities": ("--allow-capability", "capability"),
    "allowed_pools": ("--allow-pool", "pool"),
    "allowed_servers": ("--allow-server", "MCP server"),
    "allowed_tools": ("--allow-tool", "MCP tool"),
    "allowed_resources": ("--allow-resource", "MCP resource"),
}
# `.` or `..` as a segment of a path; a backslash; a dot, slash, backslash or percent sign encoded.
_DISGUISED = re.compile(r"(?:^|[/\\])\.{1,2}(?=$|[/\\?#])|\\|%(?:2e|2f|5c|25)", re.IGNORECASE)
_SHOWN_CHARS = 120


class Action(Protocol):
    """What rights are asked of: a request at a gate, or a stored job."""

    @property
    def topic(self) -> str:
        """The kind of work."""
        ...

    @property
    def capability(self) -> str:
        """What is to be done; empty: not named."""
        ...

    @property
    def mcp(self) -> ToolCall:
        """The MCP tool call that the action is about."""
        ...


class MissingRight(NamedTuple):
    """A right that an action needs and its agent has not: the list that would grant it, and the
    value that no glob of the list covers."""

    right: str
    value: str


def missing_right(agent: Agent, action: Action, *, pool: str) -> MissingRight | None:
    """The first right that the action needs and the agent has not; None: it has them all.

    `pool`: the pool that the registered topic belongs to; empty: every worker may serve it.
    """
    call = action.mcp
    needed = (action.topic, action.capability, pool, call.server, call.tool, call.resource)
    for right, value in zip(RIGHTS, needed, strict=True):
        if value and not _covers(
            getattr(agent, right), value, is_path=right == "allowed_resources"
        ):
            return MissingRight(right, value)
    return None


def _covers(globs: tuple[str, ...], value: str, *, is_path: bool) -> bool:
    if is_path and _DISGUISED.search(value):
        return value in globs
    return compile_globs(globs)(value)


def may_be_offered(agent: Agent, *, topic: str, capability: str, pool: str) -> bool:
    """Whether a worker that is this agent may be offered such jobs: it gets none that the agent
    could not ask for itself."""
    return missing_right(agent, Request(topic=topic, capability=capability), pool=pool) is None


def reason_for(agent: Agent, missing: MissingRight) -> str:
    """Why the action is denied, in words for people: the right, and who may grant it."""
    option, word = _OPTIONS[missing.right]
    shown = missing.value[:_SHOWN_CHARS]
    # Whoever copies the command grants what it says: never a wildcard that the agent wrote.
    is_plain = is_literal(missing.value) and missing.value.isprintable() and shown == missing.value
    granted = shlex.quote(missing.value) if is_plain else "GLOB"
    owner = f"ask its owner `{agent.owner}`; " if agent.owner else ""
    return (
        f"the agent `{agent.name}` has no right to the {word} `{shown}` (`{missing.right}`);"
        f" {owner}an admin may grant it: forestall agents update {shlex.quote(agent.name)}"
        f" {option} {granted}"
    )


def problem_of_rights(agent: Agent) -> str:
    """Why the rights of the agent cannot be kept; empty when they can."""
    for right in RIGHTS:
        try:
            compile_globs(getattr(agent, right))
        except GlobError as error:
            return f"`{right}`: {error}"
    return ""


class _AgentFacts(msgspec.Struct, frozen=True):
    """What rules may read of an agent."""

    id: str
    name: str
    risk_tier: RiskTier
    data_classifications: tuple[str, ...]


def facts_digest(agent: Agent | None) -> str:
    """SHA-256 (hex) of what rules may read of an agent; empty without one. An approval binds it:
    people were asked about an agent of this tier, with these data."""
    if agent is None:
        return ""
    facts = _AgentFacts(agent.id, agent.name, agent.risk_tier, agent.data_classifications)
    return digest("agent-facts", canonical_struct(facts))


def with_agent(request: Request, agent: Agent) -> Request:
    """The request with what the plane knows of the agent that makes it, for rules to read."""
    return msgspec.structs.replace(
        request,
        agent=agent.name,
        agent_risk_tier=agent.risk_tier.value,
        agent_data_classes=agent.data_classifications,
    )
