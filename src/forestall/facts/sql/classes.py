"""The classes of SQL statements, and sets of them. It refuses nothing: it only names."""

from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from typing import Final


class SqlClass(StrEnum):
    """The kinds of effect a statement can have."""

    READ = "read"
    WRITE = "write"
    SCHEMA = "schema"
    PRIVILEGE = "privilege"
    DESTRUCTIVE = "destructive"
    TRANSACTION = "transaction"
    UNKNOWN = "unknown"


Classes = frozenset[SqlClass]
_KIND_OF_LETTER: Final = {kind.value[0]: kind for kind in SqlClass}


@cache
def classes(letters: str) -> Classes:
    """The set of classes whose first letters are given: `classes("wd")`."""
    return frozenset(_KIND_OF_LETTER[letter] for letter in letters)


def named(kinds: Iterable[str]) -> Classes:
    """The set of classes that are given by name."""
    return frozenset(map(SqlClass, kinds))


NOTHING: Final = classes("")
READ: Final = classes("r")
UNKNOWN: Final = classes("u")
DESTRUCTIVE: Final = classes("d")


def tidy(kinds: Classes) -> Classes:
    """The set without READ where another class stands: READ means that a statement only looks."""
    return (kinds - READ) or READ
