"""One entry of the program table: its schema, and the classes that the words of a command add.

The schema is public: `docs/reference/programs.md` describes it. Options and subcommands that change
the answer are read here. This module refuses to guess: a subcommand that cannot be read is
`unknown`, and so is a word that may turn out to be an option.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Annotated, Final, Literal

import msgspec


class CommandClass(StrEnum):
    """The kinds of effect a command can have."""

    READ = "read"
    SECRET = "secret"  # noqa: S105 - the name of a class: it shows or changes credentials
    WRITE = "write"
    NETWORK = "network"
    PRIVILEGED = "privileged"
    UNKNOWN = "unknown"
    DESTRUCTIVE = "destructive"


# The code that reads the words of a program where its entry is not enough.
Handler = Literal[
    "alias",
    "at",
    "awk",
    "cloud",
    "container",
    "crontab",
    "database",
    "date",
    "dd",
    "editor",
    "eval",
    "find",
    "format",
    "git",
    "hadoop",
    "history",
    "init",
    "interpreter",
    "ip",
    "kill",
    "modes",
    "pager",
    "parallel",
    "redis",
    "rmdir",
    "sed",
    "shell",
    "source",
    "ssh",
    "tar",
    "trap",
    "truncate",
    "windows_shell",
    "xargs",
]
_KIND_OF_LETTER: Final = {kind.value[0]: kind for kind in CommandClass}
Classes = frozenset[CommandClass]
ClassesSpec = CommandClass | Annotated[list[CommandClass], msgspec.Meta(min_length=1)]


@cache
def classes(letters: str) -> Classes:
    """The set of classes whose first letters are given: `classes("wd")`."""
    return frozenset(_KIND_OF_LETTER[letter] for letter in letters)


READ: Final = classes("r")
UNKNOWN: Final = classes("u")
DESTRUCTIVE: Final = classes("d")
NOTHING: Final = classes("")
_ALONE: Final = {kind: frozenset((kind,)) for kind in CommandClass}


def class_set(spec: ClassesSpec) -> Classes:
    """The classes that a data file names: one, or a list."""
    return _ALONE[spec] if isinstance(spec, CommandClass) else frozenset(spec)


def names(text: str) -> frozenset[str]:
    """The set of words in a text."""
    return frozenset(text.split())


class Arg(msgspec.Struct, frozen=True):
    """One word handed to a program.

    A word that is not literal holds the best guess. `flaggable` says it may turn out to be an
    option, a subcommand or several words; `wildcards` that it is known but for what they match.
    """

    text: str
    literal: bool = True
    flaggable: bool = False
    wildcards: bool = False


# -- the schema: what a data file may hold --


class _Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
    value_options: tuple[str, ...] = ()
    extra_words: ExtraWordsSpec | None = None
    subcommands: dict[str, "ClassesSpec | SubcommandSpec"] = {}


class ProgramSpec(SubcommandSpec, frozen=True, kw_only=True):
    """A program, as the data files describe it."""

    examples: Annotated[dict[str, ClassesSpec], msgspec.Meta(min_length=1)]
    wrapper: WrapperSpec | None = None
    writes: WritesSpec | None = None
    handler: Handler | None = None
    help: bool = True
    any_case: bool = False
    dotted_names: bool = False


# -- the entry: what the deriver works with --


class ProgramEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What a program or a subcommand does, and which of its words change that."""

    classes: Classes
    options: Mapping[str, Classes] = {}
    value_options: frozenset[str] = frozenset()  # their value is the next word
    subcommands: Mapping[str, "ProgramEffect"] = {}
    words_max: int = 1 << 30  # more words than these, options aside, add `extra`
    extra: Classes = NOTHING


class ProgramEntry(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one program. `effect` is None where only code knows what it does."""

    effect: ProgramEffect | None
    wrapper: WrapperSpec | None
    writes: WritesSpec | None
    handler: Handler | None
    help: bool  # whether a lone --help or --version makes it do nothing else
    any_case: bool
    dotted_names: bool  # `mkfs.ext4` is `mkfs`


def option_classes(entry: ProgramEffect, word: str) -> Classes:
    """The classes that one option word adds, seen through `=`, abbreviation and clustering."""
    name = word.partition("=")[0]
    if word.startswith("--"):
        # GNU programs take any unambiguous abbreviation of a long option.
        hits = [kind for flag, kind in entry.options.items() if flag.startswith(name)]
        alone = entry.options.get(name[1:])  # `-destroy` may be written `--destroy`
        return NOTHING.union(*hits, alone or NOTHING)
    found = entry.options.get(name, NOTHING)
    for letter in word[1:]:
        found |= entry.options.get(f"-{letter}", NOTHING)
        if f"-{letter}" in entry.value_options:
            break  # the rest of the cluster is this option's value
    return found


def takes_next(value_options: frozenset[str], word: str) -> bool:
    """Whether the option's value is the word after it."""
    if "=" in word and word.startswith("--"):
        return False
    if word in value_options:
        return True
    if word.startswith("--") or len(word) < 2:
        return False
    cluster = [index for index, letter in enumerate(word[1:], 1) if f"-{letter}" in value_options]
    return bool(cluster) and cluster[0] == len(word) - 1


def classes_of(entry: ProgramEffect, args: Sequence[Arg]) -> Classes:
    """The classes of a program or a subcommand that is run with these words."""
    added: Classes = NOTHING
    positionals = 0
    skip = False
    options_end = False
    for index, arg in enumerate(args):
        if skip:
            skip = False
            added |= UNKNOWN if arg.flaggable and entry.subcommands else NOTHING
            continue
        if arg.flaggable and not options_end and (entry.options or entry.subcommands):
            added |= UNKNOWN
            if entry.subcommands:
                return added | _any_subcommand(entry, args[index:])
        if arg.text == "--":
            options_end = True
        elif arg.text.startswith("-") and len(arg.text) > 1 and not options_end:
            added |= option_classes(entry, arg.text)
            skip = takes_next(entry.value_options, arg.text)
        elif entry.subcommands:
            chosen = entry.subcommands.get(arg.text) if arg.literal else None
            if chosen is None:
                return added | UNKNOWN | _any_subcommand(entry, args[index:])
            return added | classes_of(chosen, args[index + 1 :])
        else:
            positionals += 1
    if positionals > entry.words_max:
        added |= entry.extra
    return entry.classes | added


def _any_subcommand(entry: ProgramEffect, args: Iterable[Arg]) -> Classes:
    """Whether a destructive subcommand may stand somewhere in words whose shape is not known."""
    for arg in args:
        chosen = entry.subcommands.get(arg.text)
        if chosen is not None and CommandClass.DESTRUCTIVE in chosen.classes:
            return DESTRUCTIVE
    return NOTHING
