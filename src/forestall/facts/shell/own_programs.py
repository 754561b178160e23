"""Programs that a policy file describes: their names, their entries, and what their examples do.

An own program stands beside the built-in table and never in place of an entry of it, so it can make
no built-in program looser. Refused are a name that leads to a built-in program, code of this
package (`handler`) in an entry, and more options than a word can be compared with in good time.
"""

import re
from collections.abc import Iterator, Mapping
from shlex import quote
from typing import Final

import msgspec

from forestall.facts.cluster.tools import tool_name
from forestall.facts.shell.command_facts import CommandDetail
from forestall.facts.shell.commands import commands_in
from forestall.facts.shell.program_entry import ProgramEffect, ProgramEntry
from forestall.facts.shell.program_spec import ProgramDescription
from forestall.facts.shell.program_table import PROGRAMS, ProgramTable, entry_of, leads_to_built_in
from forestall.limits import (
    OWN_PROGRAM_COMMANDS_MAX,
    OWN_PROGRAM_OPTIONS_MAX,
    OWN_PROGRAM_SAME_AS_MAX,
)

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(\.[A-Za-z0-9_+-]+)*")
_NAME_CHARS_MAX: Final = 64
_EXAMPLE_WORDS_MAX: Final = 8  # in one command that shows what an entry says
_BUILT_IN_FIELDS: Final = ("handler", "any_case", "dotted_names")
# Names that a shell reads for itself: no program of such a name is ever run by it.
_RESERVED: Final = frozenset(
    ("case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in",
     "select", "then", "time", "until", "while")
)  # fmt: skip


class OwnProgramError(ValueError):
    """The entry `name` of an own program describes none; the message says why."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def name_problem(name: str) -> str:
    """Why a name is no name of an own program; empty when it is one. Raises DataFileError."""
    if len(name) > _NAME_CHARS_MAX or not _NAME.fullmatch(name):
        return (
            "a program is named as in a command, without a path: letters, digits, `.`, `_`, `+`"
            f" and `-`, first a letter, at most {_NAME_CHARS_MAX}"
        )
    if name.lower() in _RESERVED:
        return "it is a word of the shell's own language"
    if name.lower().endswith(".exe"):
        return "leave out `.exe`: programs are found without it"
    if leads_to_built_in(name) or tool_name(name.lower()):
        return "it is a built-in program, and an own entry never replaces what is known of one"
    return ""


def table_of(descriptions: Mapping[str, ProgramDescription]) -> ProgramTable:
    """The built-in programs, and beside them those that are described. Raises OwnProgramError."""
    own: dict[str, ProgramEntry] = {}
    commands = 0
    for name, description in descriptions.items():
        for field in _BUILT_IN_FIELDS:
            if getattr(description, field):
                raise OwnProgramError(name, f"`{field}` is for built-in programs; leave it out")
        entry = own[name] = entry_of(name, description, _Descriptions(name, descriptions))
        if entry.handler:
            raise OwnProgramError(
                name,
                f"`{description.same_as}` is read by code of its own, which knows no other"
                " program; describe the options and subcommands, or name one of its subcommands",
            )
        for _, effect in _with_subcommands(name, entry.effect):
            commands += 1
            if commands > OWN_PROGRAM_COMMANDS_MAX:
                raise OwnProgramError(
                    name,
                    f"the programs have more than {OWN_PROGRAM_COMMANDS_MAX} subcommands, with"
                    " those of `same_as`; leave out those that are `unknown` anyway",
                )
            if len(effect.options) + len(effect.marks) > OWN_PROGRAM_OPTIONS_MAX:
                raise OwnProgramError(
                    name,
                    f"a command has more than {OWN_PROGRAM_OPTIONS_MAX} `options` with classes;"
                    " leave out those that are `unknown` anyway",
                )
    return ProgramTable(own)


def _with_subcommands(
    line: str, effect: ProgramEffect | None
) -> Iterator[tuple[str, ProgramEffect]]:
    """A command and its subcommands at all depths, with the words that choose each one."""
    if effect is not None:
        yield line, effect
        for word, below in effect.subcommands.items():
            yield from _with_subcommands(f"{line} {quote(word)}", below)


class _Descriptions:
    """The own descriptions, and those of the built-in programs, for the entry of one program."""

    def __init__(self, name: str, own: Mapping[str, ProgramDescription]) -> None:
        self._name, self._own = name, own
        self._same_as_left = OWN_PROGRAM_SAME_AS_MAX

    def get(self, name: str) -> ProgramDescription | None:
        """The description of a program, or None. Raises OwnProgramError when an entry follows too
        many: it leads to itself, or grows with each one."""
        self._same_as_left -= 1
        if self._same_as_left < 0:
            raise self.error(name, f"it follows more than {OWN_PROGRAM_SAME_AS_MAX} `same_as`")
        return self._own.get(name) or PROGRAMS.get(name)

    def error(self, name: str, message: str) -> Exception:
        """The exception for what is wrong, also in an entry that the program is the same as."""
        return OwnProgramError(self._name, message)


class CommandsOfText(msgspec.Struct, frozen=True):
    """The programs of a text, and all classes of its commands, both sorted."""

    programs: tuple[str, ...]
    classes: tuple[str, ...]


def classes_in(text: str, programs: ProgramTable) -> CommandsOfText:
    """What the commands of a text do, as an example of the program table says it."""
    commands = commands_in(text, CommandDetail(programs=programs))
    return CommandsOfText(
        tuple(sorted({command.program for command in commands})),
        tuple(sorted({one.value for command in commands for one in command.classes})),
    )


def commands_of(name: str, programs: ProgramTable) -> Iterator[str]:
    """Commands that show what the entry of a program says: each of its subcommands, alone, with a
    word, and with each of its options. None when there is no entry."""
    entry = programs.entry(name)
    if entry is None:
        return
    if entry.effect is None:
        yield name
        yield f"{name} word"
    for line, effect in _with_subcommands(name, entry.effect):
        yield line
        yield f"{line} word"
        listed = (*effect.options, *effect.value_options, *effect.looking_options)
        for option in (*listed, *effect.plain_options, "--not-listed"):
            yield f"{line} {quote(option)} word"
        yield from (f"{line} {quote(mark)}" for mark in effect.marks)
        yield f"{line} {' '.join(['word'] * min(effect.words_max + 1, _EXAMPLE_WORDS_MAX))}"
    if entry.wrapper is not None:
        yield f"{name} word word ls"
        for option in (*entry.wrapper.options, *entry.wrapper.value_options):
            yield f"{name} {quote(option)} word ls"
        yield f"{name} rm word"
