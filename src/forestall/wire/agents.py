"""Agents ↔ JSON. Unknown fields are refused.

Otherwise an agent with a misspelled right would have another right than its maker meant. In a
change an absent field and an empty text keep what is there, as published clients expect; `[]`
empties a list.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from forestall.identity.agents import (
    LISTS,
    Agent,
    AgentChange,
    AgentFinding,
    AgentInvalidError,
    AgentStatus,
    RiskTier,
)
from forestall.identity.credentials import ApiKey
from forestall.limits import INSTANT_US_MAX
from forestall.wire.compat import iso_time
from forestall.wire.objects import WireObject
from forestall.wire.strict_json import decode_struct

_Word = TypeVar("_Word", bound=StrEnum)
_NEVER = "never"
_TEXTS = ("name", "owner", "team", "purpose", "description", "workspace")


class AgentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /agents and PUT /agents/{id}. `expires_at` is a time, or `never`;
    `revision` in a change: only if the agent is at this revision."""

    name: str | None = None
    owner: str | None = None
    risk_tier: str | None = None
    team: str | None = None
    purpose: str | None = None
    description: str | None = None
    workspace: str | None = None
    data_classifications: list[str] | None = None
    allowed_topics: list[str] | None = None
    allowed_capabilities: list[str] | None = None
    allowed_pools: list[str] | None = None
    allowed_servers: list[str] | None = None
    allowed_tools: list[str] | None = None
    allowed_resources: list[str] | None = None
    entitlements: list[str] | None = None
    preapproved_mutating_tools: list[str] | None = None
    expires_at: str | None = None
    status: str | None = None
    reason: str | None = None
    revision: int | None = None


class AgentReasonBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /agents/{id}/suspend and /resume."""

    reason: str | None = None


class AgentObject(WireObject, frozen=True, kw_only=True):
    """One agent. A list without entries is left out, and so is an end that it has not."""

    id: str
    tenant: str
    name: str
    owner: str
    team: str
    purpose: str
    description: str
    workspace: str
    risk_tier: RiskTier
    data_classifications: list[str] | UnsetType = UNSET
    allowed_topics: list[str] | UnsetType = UNSET
    allowed_capabilities: list[str] | UnsetType = UNSET
    allowed_pools: list[str] | UnsetType = UNSET
    allowed_servers: list[str] | UnsetType = UNSET
    allowed_tools: list[str] | UnsetType = UNSET
    allowed_resources: list[str] | UnsetType = UNSET
    preapproved_mutating_tools: list[str]  # published clients read it; no tool is pre-approved
    status: AgentStatus
    status_reason: str
    status_changed_at: str | UnsetType = UNSET
    expires_at: str | UnsetType = UNSET
    findings: list[AgentFinding]
    key_count: int
    last_active: int | UnsetType = UNSET  # seconds since 1970; left out where no use is known
    revision: int
    created_by: str
    created_at: str
    updated_at: str


class RevokedAgentObject(WireObject, frozen=True, kw_only=True):
    """An agent that was revoked, with the ids of the keys and of the workers that ended with it."""

    id: str
    name: str
    status: AgentStatus
    revoked_keys: list[str]
    revoked_workers: list[str]


class AgentPage(WireObject, frozen=True):
    """One page of agents; `cursor` and `next_cursor` are one text, which asks for the next page."""

    items: list[AgentObject]
    cursor: str
    next_cursor: str


def decode_agent(body: bytes) -> AgentChange:
    """What a body sets of an agent. Raises AgentInvalidError."""
    request = decode_struct(body, AgentBody, AgentInvalidError)
    for field in ("entitlements", "preapproved_mutating_tools"):
        if getattr(request, field):
            raise AgentInvalidError(
                f"`{field}` is not supported: what an agent may do stands in its `allowed_…` lists,"
                " and what needs a person stands in the policy"
            )
    texts: dict[str, Any] = {name: getattr(request, name) or None for name in _TEXTS}
    lists: dict[str, Any] = {
        name: tuple(items) for name in LISTS if (items := getattr(request, name)) is not None
    }
    return AgentChange(
        **texts,
        **lists,
        risk_tier=word_of(RiskTier, request.risk_tier, "risk_tier"),
        status=word_of(AgentStatus, request.status, "status"),
        expires_at_us=_end_us(request.expires_at),
        reason=request.reason or "",
        revision=request.revision,
    )


def decode_agent_reason(body: bytes) -> str:
    """Why an agent is suspended or resumed. Raises AgentInvalidError."""
    return decode_struct(body, AgentReasonBody, AgentInvalidError).reason or ""


def word_of(kind: type[_Word], word: str | None, field: str) -> _Word | None:
    """One word of a closed list; None for an empty or absent text. Raises AgentInvalidError."""
    if not word:
        return None
    try:
        return kind(word)
    except ValueError:
        raise AgentInvalidError(f"`{field}` is one of {', '.join(kind)}") from None


def _end_us(text: str | None) -> int | None:
    """When the agent expires; 0: never; None: nothing is said."""
    if not text:
        return None
    if text == _NEVER:
        return 0
    try:
        at = datetime.fromisoformat(text)
        at_us = round(at.timestamp() * 1_000_000) if at.tzinfo is not None else -1
    except (OverflowError, ValueError):
        at_us = -1
    if not 0 < at_us <= INSTANT_US_MAX:
        raise AgentInvalidError("`expires_at` is a time such as 2027-01-31T12:00:00Z, or `never`")
    return at_us


def agent_object(
    agent: Agent,
    *,
    revision: int,
    findings: tuple[AgentFinding, ...],
    key_count: int,
    last_used_us: int | None,
) -> AgentObject:
    """One agent, with what people want to know of it."""
    lists = {name: list(items) if (items := getattr(agent, name)) else UNSET for name in LISTS}
    changed_us, ends_us = agent.status_changed_at_us, agent.expires_at_us
    return AgentObject.of(
        agent,
        **lists,
        preapproved_mutating_tools=[],
        status_changed_at=iso_time(changed_us) if changed_us else UNSET,
        expires_at=iso_time(ends_us) if ends_us is not None else UNSET,
        findings=list(findings),
        key_count=key_count,
        last_active=last_used_us // 1_000_000 if last_used_us is not None else UNSET,
        revision=revision,
        created_at=iso_time(agent.created_at_us),
        updated_at=iso_time(agent.updated_at_us),
    )


def revoked_agent_object(agent: Agent, keys: tuple[ApiKey, ...]) -> RevokedAgentObject:
    """What a revocation ended."""
    return RevokedAgentObject.of(
        agent,
        revoked_keys=[key.id for key in keys],
        revoked_workers=[key.worker.worker_id for key in keys if key.worker is not None],
    )
