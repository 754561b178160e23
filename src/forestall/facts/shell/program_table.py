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
from forestall.facts.shell.program_entry import (
    READ,
    UNKNOWN,
    WORDS_ANY,
    Classes,
    ClassesSpec,
    CommandClass,
    ProgramDescription,
    ProgramEffect,
    ProgramEntry,
    ProgramSpec,
    SubcommandSpec,
    class_set,
    option_names,
)

FAMILIES: Final = (
    "builtins",
    "cloud",
    "containers",
    "databases",
    "development",
    "editors",
    "files",
    "git",
    "infrastructure",
    "inspection",
    "interpreters",
    "kubernetes",
    "network",
    "packages",
    "shells",
    "storage",
    "system",
    "text",
    "windows",
    "wrappers",
)
_SpecT = TypeVar("_SpecT", bound=SubcommandSpec)
_OWN: Final = frozenset(("why", "same_as", "examples", "any_case", "help"))  # never taken over
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


def is_built_in(name: str) -> bool:
    """Whether a built-in program has this name in some case; `name` is in lower case."""
    return name in _by_folded_name()


def leads_to_built_in(name: str) -> bool:
    """Whether a name is one of a built-in program, in whatever case, or leads to one."""
    folded = name.lower()
    plain = program(folded.rstrip("0123456789.-"))
    dotted = program(folded.partition(".")[0])
    return (
        is_built_in(folded)
        or (plain is not None and plain.handler in ("shell", "interpreter"))
        or (dotted is not None and dotted.dotted_names)
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


class DescribedPrograms(Protocol):
    """Where descriptions of programs come from."""

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
    name: str, description: ProgramDescription, descriptions: DescribedPrograms
) -> ProgramEntry:
    """The entry that a description makes. Raises the error of `descriptions`."""
    spec = _followed(description, name, descriptions)
    if spec.does is None and not spec.handler and spec.wrapper is None:
        raise descriptions.error(name, "needs `does`, `same_as`, `wrapper` or `handler`")
    effect = _effect(spec, name, descriptions) if spec.does is not None else None
    return ProgramEntry(
        effect=effect,
        wrapper=spec.wrapper,
        writes=spec.writes,
        handler=spec.handler,
        help=(effect is None or CommandClass.UNKNOWN not in effect.classes)
        if spec.help is None
        else spec.help,
        short_help=spec.short_help,
        any_case=spec.any_case,
        dotted_names=spec.dotted_names,
    )


def _followed(spec: _SpecT, name: str, descriptions: DescribedPrograms, steps: int = 0) -> _SpecT:
    """The entry with what it takes over from the entry that it is `same_as`."""
    if not spec.same_as:
        return spec
    if steps == SAME_AS_MAX:
        raise descriptions.error(
            name.split(" ")[0], f"`{name}` leads to itself, or through too many"
        )
    program_name, *subcommands = spec.same_as.split(" ")
    base: ClassesSpec | SubcommandSpec | None = descriptions.get(program_name)
    for word in subcommands:
        below = base.subcommands if isinstance(base, SubcommandSpec) else {}
        base = next((sub for names, sub in below.items() if word in names.split(" ")), None)
    if not isinstance(base, SubcommandSpec):
        raise descriptions.error(
            name.split(" ")[0], f"`{name}` is the same as `{spec.same_as}`, which has no entry"
        )
    base = _followed(base, spec.same_as, descriptions, steps + 1)
    taken = {
        field.name: getattr(base, field.name)
        for field in msgspec.structs.fields(base)
        if field.name not in _OWN
        and field.name in spec.__struct_fields__
        and getattr(spec, field.name) in (None, "", {}, (), False)
    }
    return msgspec.structs.replace(spec, same_as="", **taken)


def _effect(spec: SubcommandSpec, name: str, descriptions: DescribedPrograms) -> ProgramEffect:
    spec = _followed(spec, name, descriptions)
    if spec.does is None:
        raise descriptions.error(name.split(" ")[0], f"`{name}` needs `does` or `same_as`")
    kinds = class_set(spec.does)
    subcommands: dict[str, ProgramEffect] = {}
    for words, sub in spec.subcommands.items():
        below = (
            _effect(sub, f"{name} {words}", descriptions)
            if isinstance(sub, SubcommandSpec)
            else _plain_effect(class_set(sub))
        )
        subcommands.update(dict.fromkeys(words.split(" "), below))
    closed = kinds == READ or any(sub.closed for sub in subcommands.values())
    words_max = WORDS_ANY if spec.words == "any" or not closed else spec.words
    extra = spec.extra_words
    return ProgramEffect(
        classes=kinds,
        options={option: class_set(kinds) for option, kinds in spec.options.items()},
        value_options=option_names(spec.value_options),
        plain_options=option_names(spec.plain_options) | option_names(spec.looking_options),
        marks={mark: class_set(kinds) for mark, kinds in spec.words_with.items()},
        looking_options=option_names(spec.looking_options),
        options_anywhere=spec.options_anywhere,
        subcommands=subcommands,
        words_max=extra.above if extra is not None else words_max,
        extra=class_set(extra.add) if extra is not None else UNKNOWN,
        closed=closed,
    )


@cache
def _plain_effect(kinds: Classes) -> ProgramEffect:
    closed = kinds == READ
    return ProgramEffect(
        classes=kinds, words_max=0 if closed else WORDS_ANY, extra=UNKNOWN, closed=closed
    )
