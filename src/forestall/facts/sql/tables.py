"""The tables that a parsed statement names, and those that it changes.

A name that a WITH clause defines is no table while that clause is in force, and a table again
everywhere else. It refuses to guess what a view, a synonym or a search path would make of a name.
"""

import re
from typing import TYPE_CHECKING, Final, Literal

from forestall.facts.sql import keywords as known
from forestall.facts.sql.where import Target

if TYPE_CHECKING:
    from sqlglot import exp

ANCESTORS_MAX: Final = 200  # nodes above a table that are searched for a WITH clause
CHANGES: Final = ("Insert", "Update", "Delete", "Merge")
TABLES_MAX: Final = 48  # tables reported for one statement; honest joins need ten
NAME_CHAIN: Final = re.compile(r"[^\W\d][\w$]*(?:\s*\.\s*[^\W\d][\w$]*)*")
_BEFORE_TABLE: Final = re.compile(
    rf"\b(?:{'|'.join(sorted(known.BEFORE_TABLES))})\s+(?={NAME_CHAIN.pattern})", re.IGNORECASE
)
_DROP_QUOTES: Final = {ord(char): None for char in '"`[]'}


def tables_of(root: "exp.Expr") -> tuple[str, ...]:
    """The tables named in the tree."""
    found: dict[str, None] = {}
    for node in root.walk():
        if type(node).__name__ != "Table" or _is_defined(node):
            continue
        parts = name_parts(node)
        if parts:
            found.setdefault(".".join(parts))
    return tuple(found)


def name_parts(table: "exp.Expr") -> list[str]:
    """The parts of a table's name; none for a function or a sub-query in a table's place."""
    keys: tuple[Literal["catalog", "db", "this"], ...] = ("catalog", "db", "this")
    nodes = [table.args.get(key) for key in keys]
    names: list[str] = []
    for node in nodes:
        if node is None:
            continue
        for one in node.walk() if type(node).__name__ == "Dot" else (node,):
            if type(one).__name__ in ("Identifier", "Parameter", "Placeholder"):
                name = str(one.this).lower() if type(one).__name__ == "Identifier" else "?"
                names.append(f'"{name}"' if "." in name else name)
    return names if type(nodes[-1]).__name__ in ("Identifier", "Dot", "Parameter") else []


def _is_defined(table: "exp.Expr") -> bool:
    """Whether the name stands for a WITH clause that is in force here, not for a table."""
    if table.args.get("db") is not None:
        return False
    name = str(table.name).lower()
    child, parent = table, table.parent
    for _ in range(ANCESTORS_MAX):
        if parent is None:
            break
        if type(parent).__name__ in CHANGES and child.arg_key == "this":
            return False  # what is changed is always a table
        clause = parent if type(parent).__name__ == "With" else parent.args.get("with_")
        if clause is not None and child is not clause:
            inside = type(parent).__name__ == "With" and not clause.args.get("recursive")
            for one in clause.expressions:
                if inside and one is child:
                    break
                if str(one.alias).lower() == name:
                    return True
        child, parent = parent, parent.parent
    return False


def target_of(node: "exp.Expr", zero_matches: bool) -> Target:
    """The tables that an UPDATE or DELETE changes."""
    every = _own_tables(node)
    main = node.args.get("this")
    listed = node.args.get("tables") or []  # DELETE a, b FROM ...
    changed = list(listed) or [one for one in every if one is main] or every
    if not listed and main is not None and main.args.get("joins"):
        changed = every  # SET may name a column of any of them
    names = {name.lower() for one in changed for name in (str(one.name), str(one.alias)) if name}
    real = [".".join(name_parts(one)) for one in every]
    return Target(
        names=frozenset(names),
        alone=len(every) < 2,
        joins=len(set(real)) == len(real),
        zero_matches=zero_matches,
    )


def _own_tables(node: "exp.Expr") -> list["exp.Expr"]:
    """The tables of a statement outside its sub-queries."""
    inside = ("Select", "Union", "With")
    walked = node.walk(prune=lambda one: type(one).__name__ in inside)
    return [one for one in walked if type(one).__name__ == "Table"]


def names_in(clean: str, skip: int = 1) -> tuple[str, ...]:
    """Every dotted name in a text that was not parsed: more than its tables, never fewer."""
    return _tables(NAME_CHAIN.findall(clean.translate(_DROP_QUOTES))[skip:])


def tables_of_definition(clean: str) -> tuple[str, ...]:
    """The tables of a plain definition that was not parsed: they stand only after some words."""
    text = clean.translate(_DROP_QUOTES)
    starts = [match.end() for match in _BEFORE_TABLE.finditer(text)]
    return _tables([match[0] for at in starts if (match := NAME_CHAIN.match(text, at))])


def _tables(chains: list[str]) -> tuple[str, ...]:
    names = dict.fromkeys("".join(name.split()).lower() for name in chains)
    return tuple(name for name in names if name not in known.NO_TABLES)[:TABLES_MAX]
