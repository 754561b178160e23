"""How an entry of the program table is written, and what it makes of the words a program is given.

Flags and subcommands that change the answer are read here. This module refuses to guess: a
subcommand that cannot be read is `unknown`, and so is a word that may turn out to be an option.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class CommandClass(StrEnum):
    """The kinds of effect a command can have."""

    READ = "read"
    WRITE = "write"
    NETWORK = "network"
    PRIVILEGED = "privileged"
    UNKNOWN = "unknown"
    DESTRUCTIVE = "destructive"


_KIND_OF_LETTER: Final = {kind.value[0]: kind for kind in CommandClass}
Classes = frozenset[CommandClass]


def classes(letters: str) -> Classes:
    """The set written in the table's shorthand: the first letter of each class."""
    return frozenset(_KIND_OF_LETTER[letter] for letter in letters)


READ: Final = classes("r")
UNKNOWN: Final = classes("u")
DESTRUCTIVE: Final = classes("d")
NOTHING: Final = classes("")


@dataclass(frozen=True, slots=True)
class Arg:
    """One word handed to a program.

    A word that is not literal holds the best guess. `flaggable` says it may turn out to be an
    option, a subcommand or several words.
    """

    text: str
    literal: bool = True
    flaggable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a program (or subcommand) does, and which words change that."""

    classes: Classes
    flags: Mapping[str, Classes] = field(default_factory=dict)
    valued: frozenset[str] = frozenset()  # options whose value is the next word
    subs: Mapping[str, "Entry"] = field(default_factory=dict)
    most: int = 1 << 30  # more positional words than this add `over`
    over: Classes = NOTHING


def names(text: str) -> frozenset[str]:
    """The set of words in a text; the tables are easier to read this way."""
    return frozenset(text.split())


def _pairs(spec: str) -> list[tuple[Classes, list[str]]]:
    """Read `"d:-f --force;u:--exec"`."""
    found = []
    for part in filter(None, spec.split(";")):
        letters, _, names = part.partition(":")
        found.append((classes(letters.strip()), names.split()))
    return found


def entry(
    letters: str,
    *,
    flags: str = "",
    valued: str = "",
    many: str = "",
    subs: Mapping[str, Entry] | None = None,
    most: int = 1 << 30,
    over: str = "",
) -> Entry:
    """Make an Entry from the table's shorthand; `many` lists subcommands that need no detail."""
    plain = {name: Entry(classes=kind) for kind, names in _pairs(many) for name in names}
    return Entry(
        classes=classes(letters),
        flags={name: kind for kind, names in _pairs(flags) for name in names},
        valued=frozenset(valued.split()),
        subs=plain | dict(subs or {}),
        most=most,
        over=classes(over),
    )


def flag_effect(known: Entry, word: str) -> Classes:
    """The classes that one option word adds, seen through `=`, abbreviation and clustering."""
    name = word.partition("=")[0]
    if word.startswith("--"):
        # GNU programs take any unambiguous abbreviation of a long option.
        hits = [kind for flag, kind in known.flags.items() if flag.startswith(name) and name != "-"]
        alone = known.flags.get(name[1:])  # `-destroy` may be written `--destroy`
        return NOTHING.union(*hits, alone or NOTHING)
    found = known.flags.get(name, NOTHING)
    for letter in word[1:]:
        found |= known.flags.get(f"-{letter}", NOTHING)
        if f"-{letter}" in known.valued:
            break  # the rest of the cluster is this option's value
    return found


def takes_next(valued: frozenset[str], word: str) -> bool:
    """Whether the option's value is the word after it."""
    if "=" in word and word.startswith("--"):
        return False
    if word in valued:
        return True
    if word.startswith("--") or len(word) < 2:
        return False
    cluster = [index for index, letter in enumerate(word[1:], 1) if f"-{letter}" in valued]
    return bool(cluster) and cluster[0] == len(word) - 1


def effect(known: Entry, args: Sequence[Arg]) -> Classes:
    """The classes of a table entry run with these words."""
    added: Classes = NOTHING
    positionals = 0
    skip = False
    options_end = False
    for index, arg in enumerate(args):
        if skip:
            skip = False
            added |= UNKNOWN if arg.flaggable and known.subs else NOTHING
            continue
        if arg.flaggable and not options_end and (known.flags or known.subs):
            added |= UNKNOWN
            if known.subs:
                return added | _any_sub(known, args[index:])
        if arg.text == "--":
            options_end = True
        elif arg.text.startswith("-") and len(arg.text) > 1 and not options_end:
            added |= flag_effect(known, arg.text)
            skip = takes_next(known.valued, arg.text)
        elif known.subs:
            chosen = known.subs.get(arg.text) if arg.literal else None
            if chosen is None:
                return added | UNKNOWN | _any_sub(known, args[index:])
            return added | effect(chosen, args[index + 1 :])
        else:
            positionals += 1
    if positionals > known.most:
        added |= known.over
    return known.classes | added


def _any_sub(known: Entry, args: Sequence[Arg]) -> Classes:
    """Which destructive subcommand may stand somewhere in words whose shape is not known."""
    for arg in args:
        chosen = known.subs.get(arg.text)
        if chosen is not None and CommandClass.DESTRUCTIVE in chosen.classes:
            return DESTRUCTIVE
    return NOTHING
