"""The program table: from the name of a program to its entry in `data/programs`.

A file of the table holds one family of programs. An entry that is `same_as` another takes over what
it does not say itself, but for `why`, `examples`, `any_case` and `help`. Whatever is not in the
table is not known; nothing is looked up elsewhere. Nothing is read before the first shell text.

A `ProgramTable` holds programs that policy files describe beside the built-in ones. It is a value
that whoever reads a text hands on; this module keeps none, so two policies never share one.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final, Protocol, TypeVar

import msgspec

from forestall.facts.data_files import EntryTable
from forestall.facts.shell.arguments import option_names
from forestall.facts.shell.command_classes import READ, UNKNOWN, Classes, CommandClass
from forestall.facts.shell.program_entry import WORDS_ANY, ProgramEffect, ProgramEntry
from forestall.facts.shell.program_spec import (
    ClassesSpec,
    ProgramDescription,
    ProgramSpec,
    SubcommandSpec,
    class_set,
)

FAMILIES: Final = (
    "builtins", "cloud", "containers", "databases", "development", "editors", "files", "git",
    "infrastructure", "inspection", "interpreters", "kubernetes", "network", "packages",
    "shells", "storage", "system", "text", "windows", "wrappers",
)  # fmt: skip
_SpecT = TypeVar("_SpecT", bound=SubcommandSpec)
_NEVER_TAKEN_OVER: Final = frozenset(("why", "same_as", "examples", "any_case", "help"))
SAME_AS_MAX: Final = 4  # entries that lead to one another; two are enough
PROGRAMS: Final = EntryTable("programs", [f"{family}.yaml" for family in FAMILIES], ProgramSpec)


def program(name: str) -> ProgramEntry | None:
    """The entry of a program, by the name as it is written; None when it is not known.

    A name of any case counts here only in the spelling of the table, and only with capitals in it:
    `del` is a program of Windows and a word of many languages. Raises DataFileError.
    """
    entry = _built(name) if name in PROGRAMS.names() else None
    return None if entry is None or (entry.any_case and name == name.lower()) else entry


def program_of_any_case(name: str) -> tuple[str, ProgramEntry] | None:
    """The entry, with its name, of a program that Windows finds in any case; or None."""
    spelling = _by_folded_name().get(name.lower())
    entry = _built(spelling) if spelling is not None else None
    return (spelling, entry) if spelling and entry is not None and entry.any_case else None


def interpreter_entry(name: str) -> ProgramEntry | None:
    """The entry of a shell or an interpreter whose name ends with a version: `python3.11`."""
    entry = program(name.rstrip("0123456789.-"))
    return entry if entry is not None and entry.handler in ("shell", "interpreter") else None


def dotted_entry(name: str) -> ProgramEntry | None:
    """The entry of a program that is called by names with a dot: `mkfs.ext4` is `mkfs`."""
    base, dot, _ = name.partition(".")
    entry = program(base) if dot else None
    return entry if entry is not None and entry.dotted_names else None


def leads_to_built_in(name: str) -> bool:
    """Whether a name is one of a built-in program, in whatever case, or leads to one."""
    folded = name.lower()
    return (
        folded in _by_folded_name()
        or interpreter_entry(folded) is not None
        or dotted_entry(folded) is not None
    )


def effect_of(name: str) -> ProgramEffect:
    """What a program of the table does. Raises KeyError when the table does not say."""
    entry = program(name)
    if entry is None or entry.effect is None:
        raise KeyError(name)
    return entry.effect


@cache
def _by_folded_name() -> Mapping[str, str]:
    """The names in lower case. Where two are alike, the one with capitals is found in any case."""
    return {name.lower(): name for name in sorted(PROGRAMS.names(), reverse=True)}


class ProgramTable:
    """The built-in programs, and beside them own ones that policy files describe.

    An own program is never looked up where the name is of a built-in one.
    """

    __slots__ = ("own",)

    def __init__(self, own: Mapping[str, ProgramEntry]) -> None:
        self.own = own

    def entry(self, name: str) -> ProgramEntry | None:
        """The entry of a program; None when it is not known. Raises DataFileError."""
        return program(name) or self.own.get(name)


BUILT_IN: Final = ProgramTable({})


class ProgramDescriptions(Protocol):
    """Where descriptions of programs come from: the data files, or a policy file."""

    def get(self, name: str) -> ProgramDescription | None:
        """The description of a program, or None."""

    def error(self, name: str, message: str) -> Exception:
        """The exception to raise for a wrong description."""


@cache  # of the names of the table only: texts hold any number of others
def _built(name: str) -> ProgramEntry:
    spec = PROGRAMS.get(name)
    assert spec is not None
    return entry_of(name, spec, PROGRAMS)


def entry_of(
    name: str, description: ProgramDescription, descriptions: ProgramDescriptions
) -> ProgramEntry:
    """The entry that a description makes. Raises the error of `descriptions`."""
    spec = _completed(description, name, descriptions)
    if spec.does is None and not spec.handler and spec.wrapper is None:
        raise descriptions.error(name, "needs `does`, `same_as`, `wrapper` or `handler`")
    effect = _effect(spec, name, descriptions) if spec.does is not None else None
    runs_unknown = effect is not None and CommandClass.UNKNOWN in effect.classes
    return ProgramEntry(
        effect=effect,
        wrapper=spec.wrapper,
        writes=spec.writes,
        handler=spec.handler,
        help=not runs_unknown if spec.help is None else spec.help,
        short_help=spec.short_help,
        any_case=spec.any_case,
        dotted_names=spec.dotted_names,
    )


def _completed(
    spec: _SpecT, name: str, descriptions: ProgramDescriptions, steps: int = 0
) -> _SpecT:
    """The entry with what it takes over from the entry that it is `same_as`.

    `name` is the program, with its subcommands, that the entry describes.
    """
    if not spec.same_as:
        return spec
    if steps == SAME_AS_MAX:
        raise descriptions.error(
            name.split(" ")[0], f"`{name}` leads to itself, or through too many"
        )
    base = _described(spec.same_as, descriptions)
    if base is None:
        raise descriptions.error(
            name.split(" ")[0], f"`{name}` is the same as `{spec.same_as}`, which has no entry"
        )
    base = _completed(base, spec.same_as, descriptions, steps + 1)
    taken_over = {
        field.name: getattr(base, field.name)
        for field in msgspec.structs.fields(base)
        if field.name not in _NEVER_TAKEN_OVER
        and field.name in spec.__struct_fields__
        and getattr(spec, field.name) in (None, "", {}, (), False)
    }
    return msgspec.structs.replace(spec, same_as="", **taken_over)


def _described(line: str, descriptions: ProgramDescriptions) -> SubcommandSpec | None:
    """The description of a program, `npm`, or of one of its subcommands, `docker compose`."""
    program_name, *subcommands = line.split(" ")
    spec: ClassesSpec | SubcommandSpec | None = descriptions.get(program_name)
    for word in subcommands:
        below = spec.subcommands if isinstance(spec, SubcommandSpec) else {}
        spec = next((sub for names, sub in below.items() if word in names.split(" ")), None)
    return spec if isinstance(spec, SubcommandSpec) else None


def _effect(spec: SubcommandSpec, name: str, descriptions: ProgramDescriptions) -> ProgramEffect:
    spec = _completed(spec, name, descriptions)
    if spec.does is None:
        raise descriptions.error(name.split(" ")[0], f"`{name}` needs `does` or `same_as`")
    classes = class_set(spec.does)
    subcommands: dict[str, ProgramEffect] = {}
    for words, sub in spec.subcommands.items():
        below = (
            _effect(sub, f"{name} {words}", descriptions)
            if isinstance(sub, SubcommandSpec)
            else _effect_of_classes(class_set(sub))
        )
        subcommands.update(dict.fromkeys(words.split(" "), below))
    closed = classes == READ or any(sub.closed for sub in subcommands.values())
    words_max = WORDS_ANY if spec.words == "any" or not closed else spec.words
    extra = spec.extra_words
    return ProgramEffect(
        classes=classes,
        options={option: class_set(added) for option, added in spec.options.items()},
        value_options=option_names(spec.value_options),
        plain_options=option_names(spec.plain_options) | option_names(spec.looking_options),
        marks={mark: class_set(added) for mark, added in spec.words_with.items()},
        looking_options=option_names(spec.looking_options),
        options_anywhere=spec.options_anywhere,
        subcommands=subcommands,
        words_max=extra.above if extra is not None else words_max,
        extra=class_set(extra.add) if extra is not None else UNKNOWN,
        closed=closed,
    )


@cache
def _effect_of_classes(classes: Classes) -> ProgramEffect:
    """The effect of a subcommand of which an entry names the classes, and nothing else."""
    closed = classes == READ
    return ProgramEffect(
        classes=classes, words_max=0 if closed else WORDS_ANY, extra=UNKNOWN, closed=closed
    )
