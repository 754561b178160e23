"""One entry of the program table: its schema, and the classes that the words of a command add.

The schema is public: `docs/reference/programs.md` describes it. Options and subcommands that change
the answer are read here. The table is closed: where a command could be `read`, an option or a word
that the entry does not list adds `unknown`. This module refuses to guess: a subcommand that cannot
be read is `unknown`, and so is a word that may turn out to be an option with an effect.
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
    BUILD = "build"
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
WORDS_ANY: Final = 1 << 30  # no command line has so many words
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
    splits: bool = False  # it may be several words, or none
    environment: bool = False  # the value of a variable that the text itself never sets
    wildcards: bool = False


# -- the schema: what a data file may hold --


# Names with blanks between them, or a list of names.
OptionNames = str | tuple[str, ...]


def option_names(spec: OptionNames) -> frozenset[str]:
    """The names of options that a data file lists."""
    return names(spec) if isinstance(spec, str) else frozenset(spec)


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
    value_options: OptionNames = ()
    plain_options: OptionNames = ()
    looking_options: OptionNames = ()
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


# -- the entry: what the deriver works with --


class ProgramEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What a program or a subcommand does, and which of its words change that."""

    classes: Classes
    options: Mapping[str, Classes] = {}
    value_options: frozenset[str] = frozenset()  # their value is the next word, unless joined
    plain_options: frozenset[str] = frozenset()  # they add nothing; `-x?`: may have a joined value
    marks: Mapping[str, Classes] = {}  # what a word adds that holds one, or that is not sure
    looking_options: frozenset[str] = frozenset()  # with one of these it only looks
    options_anywhere: bool = False  # these options may stand after a subcommand, too
    subcommands: Mapping[str, "ProgramEffect"] = {}
    words_max: int = WORDS_ANY  # more words than these, options aside, add `extra`
    extra: Classes = NOTHING
    closed: bool = False  # what is not listed adds `unknown`


class ProgramEntry(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one program. `effect` is None where only code knows what it does."""

    effect: ProgramEffect | None
    wrapper: WrapperSpec | None
    writes: WritesSpec | None
    handler: Handler | None
    help: bool  # whether --help, or a lone --version, makes it do nothing else
    short_help: bool  # whether -h does so, too
    any_case: bool
    dotted_names: bool  # `mkfs.ext4` is `mkfs`


class OptionEffect(msgspec.Struct, frozen=True):
    """What one option word adds, and whether its value is the word after it."""

    classes: Classes
    takes_next: bool = False
    joined: bool = False  # it may have a value, which is then part of the word


def option_effect(scopes: Sequence[ProgramEffect], word: str) -> OptionEffect:
    """What an option word does, seen through `=`, abbreviation and clustering.

    `scopes` are the subcommand and what stands above it: the first that lists an option decides.
    """
    name, equals, _ = word.partition("=")
    unlisted = UNKNOWN if scopes[0].closed and "*" not in scopes[0].plain_options else NOTHING
    if found := _listed(scopes, word) or _listed(scopes, name):
        return OptionEffect(found.classes, found.takes_next and not equals)
    generic = _listed(scopes, f"{word[0]}NUM") if word[1:].isdigit() else None
    if generic is not None or word[0] == "+":
        return generic or OptionEffect(unlisted)
    if word.startswith("--"):
        if len(name) > _SHORT_CHARS + 1 and (found := _listed(scopes, name[1:])):
            return OptionEffect(found.classes, found.takes_next and not equals)
        # GNU programs take any unambiguous abbreviation of a long option.
        hits = [
            kinds
            for scope in scopes
            for flag, kinds in scope.options.items()
            if flag.startswith(name)
        ]
        return OptionEffect(NOTHING.union(*hits) or unlisted)
    return _cluster(scopes, word, unlisted)


_SHORT_CHARS: Final = 2  # of `-x`; Go programs take `-destroy` for `--destroy`, and the other way


def _cluster(scopes: Sequence[ProgramEffect], word: str, unlisted: Classes) -> OptionEffect:
    """`-xvf`: each letter is an option, up to one that takes the rest for its value."""
    added: Classes = NOTHING
    for at, letter in enumerate(word[1:], 1):
        found = _listed(scopes, f"-{letter}")
        added |= found.classes if found else unlisted
        if found and (found.takes_next or found.joined):
            return OptionEffect(added, found.takes_next and at == len(word) - 1)
    return OptionEffect(added)


def _listed(scopes: Sequence[ProgramEffect], name: str) -> OptionEffect | None:
    for scope in scopes:
        valued = name in scope.value_options
        joined = f"{name}?" in scope.plain_options
        if valued or joined or name in scope.options or name in scope.plain_options:
            return OptionEffect(scope.options.get(name, NOTHING), valued, joined)
    return None


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


def only_looks(entry: ProgramEffect) -> ProgramEffect:
    """The entry of a program whose words say that it changes nothing: closed, as for `read`."""
    return msgspec.structs.replace(entry, classes=READ, closed=True, looking_options=frozenset())


def _is_told_to_look(scopes: Sequence[ProgramEffect], args: Sequence[Arg]) -> bool:
    """Whether an option, and not the value of one, says that the program only looks."""
    looking = scopes[0].looking_options
    skip = False
    for arg in args:
        if arg.text == "--" and not skip:
            return False
        if skip or not is_option(arg.text):
            skip = False
            continue
        letters = arg.text[1:] if arg.text[1] != "-" else ""
        for at, letter in enumerate(letters):
            found = _listed(scopes, f"-{letter}")
            if found and (found.takes_next or found.joined):
                letters = letters[:at]
        short = any(f"-{letter}" in looking for letter in letters)
        if arg.literal and (arg.text in looking or (short and not _listed(scopes, arg.text))):
            return True
        skip = option_effect(scopes, arg.text).takes_next
    return False


def is_option(word: str) -> bool:
    """Whether the word is written as an option: `-x`, `--long`, `+x`."""
    return len(word) > 1 and word[0] in "-+"


def classes_of(
    entry: ProgramEffect, args: Sequence[Arg], above: tuple[ProgramEffect, ...] = ()
) -> Classes:
    """The classes of a program or a subcommand that is run with these words.

    `above` are the entries over a subcommand whose options may stand after it.
    """
    if entry.looking_options and _is_told_to_look((entry, *above), args):
        entry = only_looks(entry)
    scopes = (entry, *above)
    has_effects = any(scope.options for scope in scopes)
    added: Classes = NOTHING
    positionals = 0
    skip = False
    options_end = False
    for index, arg in enumerate(args):
        for mark, kinds in entry.marks.items():
            added |= kinds if mark in arg.text or not arg.literal else NOTHING
        if skip:
            skip = False
            added |= UNKNOWN if arg.flaggable and entry.subcommands else NOTHING
            added |= UNKNOWN if arg.splits and entry.closed and has_effects else NOTHING
            continue
        if arg.flaggable and not options_end and (has_effects or entry.subcommands):
            added |= UNKNOWN
            if entry.subcommands:
                return added | _any_subcommand(entry, args[index:])
        if arg.text == "--":
            options_end = True
        elif arg.text in entry.subcommands and is_option(arg.text) and not options_end:
            return added | classes_of(entry.subcommands[arg.text], args[index + 1 :], above)
        elif not options_end and is_option(arg.text) and (arg.text[0] == "-" or entry.closed):
            found = option_effect(scopes, arg.text)
            added |= found.classes
            skip = found.takes_next
        elif entry.subcommands:
            chosen = entry.subcommands.get(arg.text) if arg.literal else None
            if chosen is None:
                return added | UNKNOWN | _any_subcommand(entry, args[index:])
            inherited = scopes if entry.options_anywhere else above
            return added | classes_of(chosen, args[index + 1 :], inherited)
        else:
            positionals += 1
            if arg.splits and entry.words_max < WORDS_ANY:
                added |= entry.extra
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
