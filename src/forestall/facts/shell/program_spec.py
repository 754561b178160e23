"""The schema of an entry of the program table: what `data/programs` and policy files may write.

It is public: `docs/reference/programs.md` describes each field. `program_table` turns what is
written into a `ProgramEntry`, and refuses what a schema cannot say.
"""

from typing import Annotated, Literal

import msgspec

from forestall.facts.shell.command_classes import ALONE, Classes, CommandClass

# The code that reads the words of a program where its entry is not enough (`program_handlers`).
Handler = Literal[
    "alias", "at", "awk", "cloud", "container", "crontab", "database", "date", "dd", "editor",
    "eval", "find", "format", "git", "hadoop", "init", "interpreter", "ip", "kill", "modes",
    "pager", "parallel", "redis", "rmdir", "sed", "shell", "source", "ssh", "tar", "trap",
    "truncate", "windows_shell", "xargs",
]  # fmt: skip

ClassesSpec = CommandClass | Annotated[list[CommandClass], msgspec.Meta(min_length=1)]
OptionNamesSpec = str | tuple[str, ...]  # names with blanks between them, or a list of names


def class_set(spec: ClassesSpec) -> Classes:
    """The classes that a data file names: one, or a list."""
    return ALONE[spec] if isinstance(spec, CommandClass) else frozenset(spec)


class _Spec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A part of an entry, as it is written."""


class ExtraWordsSpec(_Spec, frozen=True, kw_only=True):
    """More words than these, options aside, add classes: `uniq in out` writes."""

    above: Annotated[int, msgspec.Meta(ge=0)]
    add: ClassesSpec


class WritesSpec(_Spec, frozen=True, kw_only=True):
    """Which of a program's words are paths that it writes to."""

    to: Literal["last_word", "every_word"]
    not_after: tuple[str, ...] = ()  # options whose value, the next word, is no path
    moves: bool = False  # the other words are gone from where they were


class WrapperSpec(_Spec, frozen=True, kw_only=True):
    """How the words of a program are read that runs the command its words end with."""

    adds: ClassesSpec
    options: dict[str, ClassesSpec] = {}  # what an option of the wrapper itself adds
    value_options: frozenset[str] = frozenset()
    plain_options: frozenset[str] = frozenset()
    shell_text_options: frozenset[str] = frozenset()  # their value is shell text
    words_before: Annotated[int, msgspec.Meta(ge=0, le=8)] | Literal["any"] = 0
    assignments: bool = False  # takes NAME=value words before the command
    starts_shell: bool = False  # without a command it starts a shell


class SubcommandSpec(_Spec, frozen=True, kw_only=True):
    """A subcommand whose effect depends on its words."""

    does: ClassesSpec | None = None
    why: str = ""
    same_as: str = ""
    options: dict[str, ClassesSpec] = {}
    value_options: OptionNamesSpec = ()
    plain_options: OptionNamesSpec = ()
    looking_options: OptionNamesSpec = ()
    options_anywhere: bool = False
    words_with: dict[str, ClassesSpec] = {}
    words: Annotated[int, msgspec.Meta(ge=0)] | Literal["any"] = 0
    extra_words: ExtraWordsSpec | None = None
    subcommands: dict[str, "ClassesSpec | SubcommandSpec"] = {}


class ProgramDescription(SubcommandSpec, frozen=True, kw_only=True):
    """A program, as an entry describes it, without the examples of the entry."""

    wrapper: WrapperSpec | None = None
    writes: WritesSpec | None = None
    handler: Handler | None = None
    help: bool | None = None  # None: unless the program itself is `unknown`
    short_help: bool = False
    any_case: bool = False
    dotted_names: bool = False


class ProgramSpec(ProgramDescription, frozen=True, kw_only=True):
    """A program, as the data files and policy files describe it."""

    examples: Annotated[dict[str, ClassesSpec], msgspec.Meta(min_length=1)]
