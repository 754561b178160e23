"""What is asked: one action by one subject. Values only."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of an MCP tool, as far as rules may look at it; empty texts are absent."""

    server: str = ""
    tool: str = ""
    resource: str = ""
    action: str = ""


class Delegation(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf a request comes, as a verified token says."""

    depth: int
    issuers: tuple[str, ...]  # from the root to the last link
    scope: tuple[str, ...]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One action that somebody wants to take.

    `labels` are the client's own claims; `credential_labels` are bound to the identity and
    `server_labels` are known to the plane. `payload` is {"prompt": text, "context": JSON value}
    and feeds the derivers. Raises TypeError when a field is of the wrong type.
    """

    topic: str
    tenant: str = "default"
    capability: str = ""
    pack_id: str = ""
    actor_id: str = ""  # who acts, as the client says
    principal: str = ""  # who acts, as the credential proves; empty when nobody proved anything
    actor_type: str = ""
    agent: str = ""
    agent_risk_tier: str = ""
    agent_data_classes: tuple[str, ...] = ()
    mcp: ToolCall = ToolCall()
    args: Any = None  # arguments of a tool call; without them `args` looks at payload.context
    delegation: Delegation | None = None
    risk_tags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    credential_labels: Mapping[str, str] = {}
    server_labels: Mapping[str, str] = {}
    payload: Mapping[str, Any] | None = None
    # No fact: what was seen in the payload while this request is decided, so that views do not
    # look again. `looked_into` makes it.
    memo: dict[Any, Any] | None = None

    def __post_init__(self) -> None:
        # A library caller may pass lists; a bare text would be read as a list of letters.
        for name in ("risk_tags", "requires", "agent_data_classes"):
            value = getattr(self, name)
            if type(value) is not tuple:
                if isinstance(value, str):
                    raise TypeError(f"`{name}` is a list of texts, not one text")
                msgspec.structs.force_setattr(self, name, tuple(value))
        if type(self.topic) is not str or type(self.tenant) is not str:
            raise TypeError("`topic` and `tenant` are texts")


def looked_into(request: Request) -> Request:
    """The request with a memory of its own for what is seen in its payload. A payload that is
    changed afterwards is not looked at again."""
    return msgspec.structs.replace(request, memo={})


def remembered(request: Request, key: Any, look: Callable[[Request], _T]) -> _T:
    """What a look at the payload finds; once for each key where the request has a memory."""
    memo = request.memo
    if memo is None:
        return look(request)
    if key not in memo:
        memo[key] = look(request)
    found: _T = memo[key]
    return found
