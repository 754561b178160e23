"""The tables that a parsed statement names, and those that it changes.

A name that a WITH clause defines is no table while that clause is in force, and a table again
everywhere else. It refuses to guess what a view, a synonym or a search path would make of a name.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from forestall.facts.sql import keywords
from forestall.facts.sql.where import Target

if TYPE_CHECKING:
    from sqlglot import exp

ANCESTORS_MAX: Final = 200  # nodes above a table that are searched for a WITH clause
CHANGES: Final = ("Insert", "Update", "Delete", "Merge")
TABLES_MAX: Final = 48  # tables reported for one statement; honest joins need ten
NAME_CHAIN: Final = re.compile(r"[^\W\d][\w$]*(?:\s*\.\s*[^\W\d][\w$]*)*")
_BEFORE_TABLE: Final = re.compile(
    rf"\b(?:{'|'.join(sorted(keywords.BEFORE_TABLES))})\s+(?={NAME_CHAIN.pattern})", re.IGNORECASE
)
_DROP_QUOTES: Final = {ord(char): None for char in '"`[]'}


def tables_of(root: "exp.Expr") -> tuple[str, ...]:
    """The tables named in the tree."""
    names = (
        ".".join(name_parts(node))
        for node in root.walk()
        if type(node).__name__ == "Table" and not _is_defined(node)
    )
    return tuple(dict.fromkeys(name for name in names if name))


def name_parts(table: "exp.Expr") -> list[str]:
    """The parts of a table's name; none for a function or a sub-query in a table's place."""
    catalog, schema, name = (table.args.get(key) for key in ("catalog", "db", "this"))
    if type(name).__name__ not in ("Identifier", "Dot", "Parameter"):
        return []
    parts: list[str] = []
    for part in (catalog, schema, name):
        if part is None:
            continue
        for node in part.walk() if type(part).__name__ == "Dot" else (part,):
            kind = type(node).__name__
            if kind == "Identifier":
                written = str(node.this).lower()
                parts.append(f'"{written}"' if "." in written else written)
            elif kind in ("Parameter", "Placeholder"):
                parts.append("?")
    return parts


def _is_defined(table: "exp.Expr") -> bool:
    """Whether the name stands for a WITH clause that is in force here, not for a table."""
    if table.args.get("db") is not None:
        return False
    name = str(table.name).lower()
    child, parent = table, table.parent
    for _ in range(ANCESTORS_MAX):
        if parent is None:
            break
        kind = type(parent).__name__
        if kind in CHANGES and child.arg_key == "this":
            return False  # what is changed is always a table
        clause = parent if kind == "With" else parent.args.get("with_")
        if clause is not None and child is not clause:
            # Inside a WITH that is not recursive, only the definitions before this one are known.
            sees_earlier_only = kind == "With" and not clause.args.get("recursive")
            for definition in clause.expressions:
                if sees_earlier_only and definition is child:
                    break
                if str(definition.alias).lower() == name:
                    return True
        child, parent = parent, parent.parent
    return False


def target_of(node: "exp.Expr", *, zero_matches: bool) -> Target:
    """The tables that an UPDATE or DELETE changes."""
    tables = _own_tables(node)
    main = node.args.get("this")
    listed = node.args.get("tables") or []  # DELETE a, b FROM ...
    if listed:
        changed = list(listed)
    elif main is not None and main.args.get("joins"):
        changed = tables  # SET may name a column of any of them
    else:
        changed = [table for table in tables if table is main] or tables
    names = {str(name).lower() for table in changed for name in (table.name, table.alias) if name}
    full_names = {".".join(name_parts(table)) for table in tables}
    return Target(
        names=frozenset(names),
        alone=len(tables) < 2,
        joins=len(full_names) == len(tables),
        zero_matches=zero_matches,
    )


def _own_tables(node: "exp.Expr") -> list["exp.Expr"]:
    """The tables of a statement outside its sub-queries."""
    walked = node.walk(prune=lambda inner: type(inner).__name__ in ("Select", "Union", "With"))
    return [inner for inner in walked if type(inner).__name__ == "Table"]


def names_in(clean: str, skip: int = 1) -> tuple[str, ...]:
    """Every dotted name in a text that was not parsed, without the first `skip`: more than its
    tables, never fewer."""
    return _tables(NAME_CHAIN.findall(clean.translate(_DROP_QUOTES))[skip:])


def tables_of_definition(clean: str) -> tuple[str, ...]:
    """The tables of a plain definition that was not parsed: they stand only after some words."""
    text = clean.translate(_DROP_QUOTES)
    starts = (match.end() for match in _BEFORE_TABLE.finditer(text))
    return _tables(match[0] for start in starts if (match := NAME_CHAIN.match(text, start)))


def _tables(chains: Iterable[str]) -> tuple[str, ...]:
    names = dict.fromkeys("".join(chain.split()).lower() for chain in chains)
    return tuple(name for name in names if name not in keywords.NO_TABLES)[:TABLES_MAX]
