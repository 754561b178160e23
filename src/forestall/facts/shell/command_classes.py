"""The classes of effect that a command can have, and the sets of them that derivers add up.

`read` means that a command only looks, so it never stands beside another class in a result.
"""

from enum import StrEnum
from typing import Final


class CommandClass(StrEnum):
    """One kind of effect; `docs/reference/programs.md` says what each one means."""

    READ = "read"
    SECRET = "secret"  # noqa: S105 - the name of a class: it shows or changes credentials
    WRITE = "write"
    BUILD = "build"
    NETWORK = "network"
    PRIVILEGED = "privileged"
    UNKNOWN = "unknown"
    DESTRUCTIVE = "destructive"


Classes = frozenset[CommandClass]

ALONE: Final[dict[CommandClass, Classes]] = {one: frozenset((one,)) for one in CommandClass}
NOTHING: Final[Classes] = frozenset()
READ: Final = ALONE[CommandClass.READ]
SECRET: Final = ALONE[CommandClass.SECRET]
WRITE: Final = ALONE[CommandClass.WRITE]
NETWORK: Final = ALONE[CommandClass.NETWORK]
PRIVILEGED: Final = ALONE[CommandClass.PRIVILEGED]
UNKNOWN: Final = ALONE[CommandClass.UNKNOWN]
DESTRUCTIVE: Final = ALONE[CommandClass.DESTRUCTIVE]
