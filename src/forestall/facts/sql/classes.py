"""The classes of SQL statements, and sets of them. It refuses nothing: it only names."""

from collections.abc import Iterable
from enum import StrEnum
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


def named(kinds: Iterable[str]) -> Classes:
    """The set of classes that are given by name."""
    return frozenset(map(SqlClass, kinds))


# Each class as a set of its own, to be united: `WRITE | DESTRUCTIVE`.
NOTHING: Final[Classes] = frozenset()
READ: Final = named(["read"])
WRITE: Final = named(["write"])
SCHEMA: Final = named(["schema"])
PRIVILEGE: Final = named(["privilege"])
DESTRUCTIVE: Final = named(["destructive"])
TRANSACTION: Final = named(["transaction"])
UNKNOWN: Final = named(["unknown"])


def without_read(kinds: Classes) -> Classes:
    """The set without READ where another class stands: READ means that a statement only looks."""
    return (kinds - READ) or READ
