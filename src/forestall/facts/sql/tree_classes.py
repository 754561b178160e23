"""What the nodes of a parsed statement do: changes, functions, tables of the server itself.

A function that is not listed may be anybody's own, and is `unknown`. This module refuses to look
into what a function or a view contains.
"""

from typing import TYPE_CHECKING, Final

from forestall.facts.sql import keywords
from forestall.facts.sql.classes import (
    DESTRUCTIVE,
    NOTHING,
    PRIVILEGE,
    UNKNOWN,
    WRITE,
    Classes,
)
from forestall.facts.sql.parse_bounds import LINKS_MAX
from forestall.facts.sql.tables import CHANGES, name_parts, target_of
from forestall.facts.sql.where import narrows

if TYPE_CHECKING:
    from sqlglot import exp

_WRITING_NODES: Final = ("Into", "Lock", "NextValueFor")
_READING_FILES: Final = ("ReadCSV", "ReadParquet", "QueryTransform")
_UNLISTED_FUNCTIONS: Final = (
    "Anonymous", "AnonymousAggFunc", "ParameterizedAgg", "CombinedAggFunc",
    "CombinedParameterizedAgg",
)  # fmt: skip


def is_change(node: "exp.Expr") -> bool:
    """Whether this is a statement of its own, and not a branch of a MERGE."""
    if type(node).__name__ not in CHANGES:
        return False
    return node.parent is None or type(node.parent).__name__ != "When"


def classes_of_change(node: "exp.Expr", *, zero_matches: bool) -> Classes:
    """What INSERT, UPDATE, DELETE and MERGE do, by the rows they take; NOTHING for other nodes.

    `zero_matches`: in this database a text column equals the number 0 in nearly every row.
    """
    kind = type(node).__name__
    if kind == "Insert":
        elsewhere = node.args.get("is_function") or node.args.get("source")
        overwrites = DESTRUCTIVE if node.args.get("overwrite") else NOTHING
        return WRITE | overwrites | (UNKNOWN if elsewhere else NOTHING)
    if kind == "Merge":
        return WRITE | DESTRUCTIVE if _merge_deletes(node) else WRITE
    if kind not in ("Update", "Delete"):
        return NOTHING
    where = node.args.get("where")
    if where is not None and narrows(where.this, target_of(node, zero_matches=zero_matches)):
        return WRITE
    return WRITE | DESTRUCTIVE


def _merge_deletes(node: "exp.Expr") -> bool:
    """Whether a branch of a MERGE deletes, or changes every row that has no match."""
    branches = [inner for inner in node.walk() if type(inner).__name__ == "When"]
    if any(branch.args.get("source") for branch in branches):
        return True
    actions = [branch.args.get("then") for branch in branches]
    return any(
        type(action).__name__ == "Delete" or str(action.name).upper().startswith("DELETE")
        for action in actions
        if action is not None
    )


def classes_of_node(node: "exp.Expr") -> Classes:
    """What one node of the tree adds to the statement that holds it."""
    kind = type(node).__name__
    if kind in _WRITING_NODES:
        return WRITE
    if kind in keywords.OUTSIDE_NODES:
        return PRIVILEGE | UNKNOWN if kind in _READING_FILES else UNKNOWN
    if kind in _UNLISTED_FUNCTIONS:
        return _classes_of_function(node)
    if kind != "Table":
        return NOTHING
    name = ".".join(name_parts(node))
    if not keywords.SECRET_TABLES.isdisjoint((name, name.rpartition(".")[2])):
        return PRIVILEGE
    is_no_name = type(node.args.get("this")).__name__ in ("Var", "Literal", "Parameter")
    return UNKNOWN if is_no_name else NOTHING


def _classes_of_function(node: "exp.Expr") -> Classes:
    """What a function does, by its name, and by its schema if it has one."""
    name = str(node.args.get("this") or "").strip('"`[]').lower()
    is_risky = name in keywords.RISKY_FUNCTIONS or name.startswith(keywords.RISKY_BEGINNINGS)
    parent = node.parent
    if parent is not None and type(parent).__name__ == "Dot":
        schema = _first_name(parent.this)
        if is_risky or schema.startswith(keywords.RISKY_BEGINNINGS):
            return PRIVILEGE | UNKNOWN
        if schema != "pg_catalog" or type(parent.this).__name__ == "Dot":
            return UNKNOWN
    if name in keywords.PURE_FUNCTIONS:
        return NOTHING
    if name in keywords.WRITING_FUNCTIONS:
        return WRITE
    return PRIVILEGE | UNKNOWN if is_risky else UNKNOWN


def _first_name(node: "exp.Expr") -> str:
    """The first part of a dotted name."""
    for _ in range(LINKS_MAX):
        if type(node).__name__ != "Dot":
            break
        node = node.this
    if type(node).__name__ == "Column":
        node = node.args.get("catalog") or node.args.get("db") or node.args.get("table") or node
    return str(node.name).lower()
