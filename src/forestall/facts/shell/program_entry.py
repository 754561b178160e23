"""What the program table knows of one program, and the classes that the words of a command add.

Options and subcommands that change the answer are read here. The table is closed: where a command
could be `read`, an option or a word that the entry does not list adds `unknown`. This module
refuses to guess: a subcommand that cannot be read is `unknown`, and so is a word that may turn out
to be an option with an effect.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from forestall.facts.shell.arguments import Arg, Args, is_option
from forestall.facts.shell.command_classes import (
    DESTRUCTIVE,
    NOTHING,
    READ,
    UNKNOWN,
    Classes,
    CommandClass,
)
from forestall.facts.shell.program_spec import Handler, WrapperSpec, WritesSpec

WORDS_ANY: Final = 1 << 30  # no command line has so many words
_SHORT_OPTION_CHARS: Final = 2  # of `-x`


class ProgramEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What a program or a subcommand does, and which of its words change that."""

    classes: Classes
    options: Mapping[str, Classes] = {}
    value_options: frozenset[str] = frozenset()  # their value is the next word, unless joined
    plain_options: frozenset[str] = frozenset()  # they add nothing; `-x?`: may have a joined value
    marks: Mapping[str, Classes] = {}  # what a word adds that holds one, or that is not literal
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


# The effect of a subcommand, and those above it whose options may stand behind the subcommand. The
# first of them that lists an option decides what the option does.
Scopes = tuple[ProgramEffect, ...]


def option_effect(scopes: Scopes, word: str) -> OptionEffect:
    """What an option word does, seen through `=`, abbreviation and clustering."""
    name, equals, _ = word.partition("=")
    unlisted = UNKNOWN if scopes[0].closed and "*" not in scopes[0].plain_options else NOTHING
    listed = _listed(scopes, word) or _listed(scopes, name)
    if listed is None and word.startswith("--") and len(name) > _SHORT_OPTION_CHARS + 1:
        listed = _listed(scopes, name[1:])  # Go programs take `--destroy` for `-destroy`
    if listed is not None:
        return OptionEffect(listed.classes, listed.takes_next and not equals)
    number = _listed(scopes, f"{word[0]}NUM") if word[1:].isdigit() else None
    if number is not None or word[0] == "+":
        return number or OptionEffect(unlisted)
    if word.startswith("--"):
        return OptionEffect(_abbreviated(scopes, name) or unlisted)
    return _cluster_effect(scopes, word, unlisted)


def _abbreviated(scopes: Scopes, name: str) -> Classes:
    """What the long options add that `name` may be short for: GNU programs take any unambiguous
    beginning of an option."""
    possible = [
        classes
        for scope in scopes
        for option, classes in scope.options.items()
        if option.startswith(name)
    ]
    return NOTHING.union(*possible)


def _cluster_effect(scopes: Scopes, word: str, unlisted: Classes) -> OptionEffect:
    """`-xvf`: each letter is an option, up to one that takes the rest for its value."""
    added: Classes = NOTHING
    for at, letter in enumerate(word[1:], 1):
        option = _listed(scopes, f"-{letter}")
        added |= option.classes if option else unlisted
        if option and (option.takes_next or option.joined):
            return OptionEffect(added, option.takes_next and at == len(word) - 1)
    return OptionEffect(added)


def _listed(scopes: Scopes, name: str) -> OptionEffect | None:
    """What the first scope that lists an option of exactly this name says of it."""
    for scope in scopes:
        takes_value = name in scope.value_options
        joined = f"{name}?" in scope.plain_options
        if takes_value or joined or name in scope.options or name in scope.plain_options:
            return OptionEffect(scope.options.get(name, NOTHING), takes_value, joined)
    return None


def only_looking(effect: ProgramEffect) -> ProgramEffect:
    """The effect of a program whose words say that it changes nothing: closed, as for `read`."""
    return msgspec.structs.replace(effect, classes=READ, closed=True, looking_options=frozenset())


def _has_looking_option(scopes: Scopes, args: Args) -> bool:
    """Whether an option, and not the value of one, says that the program only looks."""
    looking = scopes[0].looking_options
    is_value = False
    for arg in args:
        if arg.text == "--" and not is_value:
            return False
        if is_value or not is_option(arg.text):
            is_value = False
            continue
        in_cluster = any(f"-{letter}" in looking for letter in _letters(scopes, arg.text))
        if arg.literal and (arg.text in looking or (in_cluster and not _listed(scopes, arg.text))):
            return True
        is_value = option_effect(scopes, arg.text).takes_next
    return False


def _letters(scopes: Scopes, word: str) -> str:
    """The letters of a cluster before the first one that takes a value."""
    letters = word[1:] if word[1] != "-" else ""
    for at, letter in enumerate(letters):
        option = _listed(scopes, f"-{letter}")
        if option and (option.takes_next or option.joined):
            return letters[:at]
    return letters


def classes_of(effect: ProgramEffect, args: Args, above: Scopes = ()) -> Classes:
    """The classes of a program or a subcommand that is run with these words.

    `above` are the effects over a subcommand whose options may stand after it.
    """
    if effect.looking_options and _has_looking_option((effect, *above), args):
        effect = only_looking(effect)
    scopes = (effect, *above)
    has_effects = any(scope.options for scope in scopes)
    added: Classes = NOTHING
    positionals = 0
    is_value = options_ended = False
    for index, arg in enumerate(args):
        if effect.marks:
            added |= _mark_classes(effect.marks, arg)
        if is_value:
            is_value = False
            added |= _doubt_of_value(effect, arg, has_effects=has_effects)
            continue
        if arg.ambiguous and not options_ended and (has_effects or effect.subcommands):
            added |= UNKNOWN
            if effect.subcommands:
                return added | _possible_subcommand(effect, args[index:])
        if arg.text == "--":
            options_ended = True
        elif arg.text in effect.subcommands and is_option(arg.text) and not options_ended:
            return added | classes_of(effect.subcommands[arg.text], args[index + 1 :], above)
        elif not options_ended and is_option(arg.text) and (arg.text[0] == "-" or effect.closed):
            option = option_effect(scopes, arg.text)
            added |= option.classes
            is_value = option.takes_next
        elif effect.subcommands:
            chosen = effect.subcommands.get(arg.text) if arg.literal else None
            if chosen is None:
                return added | UNKNOWN | _possible_subcommand(effect, args[index:])
            inherited = scopes if effect.options_anywhere else above
            return added | classes_of(chosen, args[index + 1 :], inherited)
        else:
            positionals += 1
            if arg.splits and effect.words_max < WORDS_ANY:
                added |= effect.extra
    if positionals > effect.words_max:
        added |= effect.extra
    return effect.classes | added


def _doubt_of_value(effect: ProgramEffect, arg: Arg, *, has_effects: bool) -> Classes:
    """`unknown` when the value of an option may be more words than one, and those may matter."""
    may_choose = arg.ambiguous and bool(effect.subcommands)
    may_add = arg.splits and effect.closed and has_effects
    return UNKNOWN if may_choose or may_add else NOTHING


def _mark_classes(marks: Mapping[str, Classes], arg: Arg) -> Classes:
    """What a word adds for the marks that it holds, or may hold."""
    return NOTHING.union(
        *(classes for mark, classes in marks.items() if mark in arg.text or not arg.literal)
    )


def _possible_subcommand(effect: ProgramEffect, args: Iterable[Arg]) -> Classes:
    """`destructive` when such a subcommand stands somewhere in words whose shape is not known."""
    for arg in args:
        chosen = effect.subcommands.get(arg.text)
        if chosen is not None and CommandClass.DESTRUCTIVE in chosen.classes:
            return DESTRUCTIVE
    return NOTHING
