"""The programs that policy files describe: made ready for reading commands, tried on examples.

The programs of a file count for the rules of that file, and of each file that names it under
`use_programs`. Every other file still judges their commands as `unknown`, and the strictest
decision stands; so no file can weaken what another file decides (`derivations`).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from forestall.policy.rules import OwnProgram

if TYPE_CHECKING:
    from forestall.facts.shell.program_table import ProgramTable

_TABLES_KEPT = 256  # of some files each; a policy has one or two


@lru_cache(maxsize=_TABLES_KEPT)
def table_of(programs: tuple[OwnProgram, ...]) -> "ProgramTable":
    """The program table with some own programs. The same programs give the same table while it is
    kept. Raises OwnProgramError."""
    # Imported here: few policies describe a program, and the shell room reads tables.
    from forestall.facts.shell import own_programs
    from forestall.facts.shell.program_spec import ProgramDescription

    descriptions = {
        own.name: msgspec.json.decode(own.entry, type=ProgramDescription) for own in programs
    }
    return own_programs.table_of(descriptions)


def without_examples(programs: Sequence[OwnProgram]) -> tuple[OwnProgram, ...]:
    """The programs as they decide, sorted by name."""
    decide = (msgspec.structs.replace(own, examples=()) for own in programs)
    return tuple(sorted(decide, key=lambda own: own.name))


def failed_example(
    own: OwnProgram, text: str, classes: tuple[str, ...], programs: Sequence[OwnProgram]
) -> str:
    """What is wrong with an example, read with the programs of its file; empty if it is right."""
    from forestall.facts.shell.own_programs import classes_in

    found = classes_in(text, table_of(without_examples(programs)))
    if own.name not in found.programs:
        return f"it does not run `{own.name}`"
    return "" if set(found.classes) == set(classes) else f"it is {', '.join(found.classes)}"
