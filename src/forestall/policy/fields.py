"""Every field of `match`, once: where its patterns are in a rule and its values in a request.

Compile, index and explain read this table, so a field cannot mean two things. An absent fact (an
empty text, an empty list) matches no pattern, not even `*`.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from operator import attrgetter
from typing import NamedTuple

from forestall.policy.request import Request
from forestall.policy.rules import Match

Labels = Mapping[str, str]


class FieldKind(Enum):
    """How the patterns of a field are compared with its values."""

    GLOB = "any of the globs matches"
    WORD = "any of the words is there"
    ALL_WORDS = "all of the words are there"


class MatchField(NamedTuple):
    """One field of `match`.

    `wanted` gives the patterns of a rule, `values` the values of a request. `attribute` is the path
    of the attribute for a field that reads one text; empty for a list. `claimed` says that the
    client fills the field in and nothing but the policy depends on it (`claims`).
    """

    name: str
    kind: FieldKind
    wanted: Callable[[Match], tuple[str, ...]]
    values: Callable[[Request], Sequence[str]]
    attribute: str = ""
    claimed: bool = False


def _about(name: str, kind: FieldKind, attribute: str, *, claimed: bool = False) -> MatchField:
    """A field that reads one text; an empty text is an absent fact."""
    value_of: Callable[[Request], str] = attrgetter(attribute)

    def values(request: Request) -> Sequence[str]:
        value = value_of(request)
        return (value,) if value else ()

    return MatchField(name, kind, attrgetter(name), values, attribute, claimed)


def _list(name: str, kind: FieldKind, *, claimed: bool = False) -> MatchField:
    """A field that reads a list; the list has the same name in the match and in the request."""
    return MatchField(name, kind, attrgetter(name), attrgetter(name), claimed=claimed)


FIELDS: tuple[MatchField, ...] = (
    _about("topics", FieldKind.GLOB, "topic"),
    _about("tenants", FieldKind.GLOB, "tenant"),
    _about("capabilities", FieldKind.GLOB, "capability"),
    _about("pack_ids", FieldKind.GLOB, "pack_id", claimed=True),
    _about("actor_ids", FieldKind.GLOB, "actor_id"),
    _about("agents", FieldKind.GLOB, "agent"),
    _about("actor_types", FieldKind.WORD, "actor_type", claimed=True),
    _about("agent_risk_tiers", FieldKind.WORD, "agent_risk_tier"),
    _list("agent_data_classes", FieldKind.WORD),
    _list("risk_tags", FieldKind.WORD, claimed=True),
    _list("requires", FieldKind.ALL_WORDS),
    _about("mcp.servers", FieldKind.GLOB, "mcp.server"),
    _about("mcp.tools", FieldKind.GLOB, "mcp.tool"),
    _about("mcp.resources", FieldKind.GLOB, "mcp.resource"),
    _about("mcp.actions", FieldKind.GLOB, "mcp.action"),
)
