"""A request: one action by one subject, as the policy evaluates it. Values; decides nothing."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from forestall.facts.payload import Part, is_name
from forestall.facts.payload_places import NAME_ROOTS

_T = TypeVar("_T")


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The MCP tool call that a request is about. An empty text is an absent fact."""

    server: str = ""
    tool: str = ""
    resource: str = ""
    action: str = ""


_NO_CALL = ToolCall()


class Delegation(msgspec.Struct, frozen=True, kw_only=True):
    """The delegation under which a request comes, taken from a verified token. `depth` is the
    number of links in the chain; `scope` lists what was delegated."""

    depth: int
    issuers: tuple[str, ...]  # from the root to the last link
    scope: tuple[str, ...]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One action that a subject wants to take.

    Labels come from three origins: `labels` are claims of the client, `credential_labels` are bound
    to the credential, `server_labels` are facts of the plane. `payload` is {"prompt": text,
    "context": JSON value}. Labels are derived from `payload_parts`. An empty text or list is an
    absent fact. Raises TypeError when a field is of the wrong type.
    """

    topic: str
    tenant: str = "default"
    capability: str = ""
    pack_id: str = ""
    actor_id: str = ""  # who acts, as the client claims
    principal: str = ""  # who acts, as the credential proves; empty without proof
    actor_type: str = ""
    agent: str = ""
    agent_risk_tier: str = ""
    agent_data_classes: tuple[str, ...] = ()
    mcp: ToolCall = ToolCall()
    args: Any = None  # arguments of a tool call
    delegation: Delegation | None = None
    risk_tags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    credential_labels: Mapping[str, str] = {}
    server_labels: Mapping[str, str] = {}
    # Values of `pack_id`, `actor_type` and `risk_tags` for which someone other than the client
    # vouches, by the name of the field. What is not here is a claim (`claims`).
    attested: Mapping[str, tuple[str, ...]] = {}
    payload: Mapping[str, Any] | None = None
    # Not a fact: the document that `args` conditions look at, if it is not `args` itself.
    arguments: Any = msgspec.UNSET
    # Not a fact: results of looking into the payload, kept while this request is decided so that
    # the next label view does not look again. `looked_into` creates the memory.
    memo: dict[Any, Any] | None = None

    def __post_init__(self) -> None:
        # A caller of the library may pass lists. A bare text would become a list of its letters.
        for name in ("risk_tags", "requires", "tags", "agent_data_classes"):
            value = getattr(self, name)
            if type(value) is not tuple:
                if isinstance(value, str):
                    raise TypeError(f"`{name}` is a list of texts, not one text")
                msgspec.structs.force_setattr(self, name, tuple(value))
        if type(self.topic) is not str or type(self.tenant) is not str:
            raise TypeError("`topic` and `tenant` are texts")


def payload_parts(request: Request) -> list[Part]:
    """The payload of a request by its roots: all that a worker or the tool of a caller receives and
    could run (`facts/payload.py`). Names of one word, which rules match as such, are left out where
    no derivation can read them."""
    parts: list[Part] = list(request.payload.items()) if request.payload else []
    if request.args is not None:
        parts.append(("args", request.args))
    if request.mcp != _NO_CALL:
        call = request.mcp
        names = {"server": call.server, "tool": call.tool, "verb": call.action}
        parts.append(("action", {**names, "target_resource": call.resource}))
    if request.labels:
        labels = {
            name: value
            for name, value in request.labels.items()
            if value and not (is_name(name) and is_name(value))
        }
        if labels:
            parts.append(("labels", labels))
    for root in NAME_ROOTS[1:]:
        value = getattr(request, root)
        if not value or (root == "actor_id" and value == request.principal):
            continue
        words = (value,) if isinstance(value, str) else value
        if not all(map(is_name, words)):
            parts.append((root, value))
    return parts


def arguments_of(request: Request) -> Any:
    """The document that conditions on arguments look at."""
    if request.arguments is not msgspec.UNSET:
        return request.arguments
    if request.args is not None:
        return request.args
    return None if request.payload is None else request.payload.get("context")


def looked_into(request: Request) -> Request:
    """The request with an empty memory for what is found in its payload.

    A payload that changes afterwards is not examined again, so nobody may change it.
    """
    return msgspec.structs.replace(request, memo={})


def remembered(request: Request, key: Any, look: Callable[[Request], _T]) -> _T:
    """The result of `look` on the request, computed once for each key if it has a memory."""
    memo = request.memo
    if memo is None:
        return look(request)
    if key not in memo:
        memo[key] = look(request)
    found: _T = memo[key]
    return found
