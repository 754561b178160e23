"""The list of mutants: small patches of the source, each of which a test must notice.

A file `NAME.yaml` of this folder holds the mutants of one room: `tests` names the tests that notice
them, and a mutant may name tests of its own. Reads files only; patches and runs nothing.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import yaml

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "forestall"
FOLDER = Path(__file__).parent


class MutantError(Exception):
    """A mutant cannot be applied: its old text does not occur exactly once."""


class Mutant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One patch. `why` says in one line what a developer did wrong, or what follows from it."""

    name: str
    path: str  # inside src/forestall
    old: str
    new: str
    why: str
    tests: tuple[str, ...] = ()  # as pytest takes them; empty: those of the room
    room: str = ""

    def applied(self, text: str) -> str:
        """The text of the file with the patch. Raises MutantError."""
        found = text.count(self.old)
        if found != 1:
            raise MutantError(
                f"{self.room}: `{self.name}`: the old text occurs {found} times in {self.path};"
                " write it anew so that it occurs once"
            )
        return text.replace(self.old, self.new)


class _Room(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tests: tuple[str, ...]
    mutants: tuple[Mutant, ...]


def every_mutant() -> list[Mutant]:
    """All mutants, room by room."""
    return [mutant for file in sorted(FOLDER.glob("*.yaml")) for mutant in _mutants_in(file)]


def _mutants_in(file: Path) -> Iterator[Mutant]:
    room = msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), _Room)
    for mutant in room.mutants:
        tests = mutant.tests or room.tests
        yield msgspec.structs.replace(mutant, room=file.stem, tests=tests)
