"""The words of one command in one spelling, for patterns such as `git push *`.

A command has many spellings: options stand before, between and behind the words, short ones are
joined, and a program has a path. Here each command gets one: program, words, options. Where the
program table cannot say which words are options, the order stays and the text begins with
UNRESOLVED. This module refuses to resolve a word that reading cannot resolve: it stays UNRESOLVED.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from forestall.facts.derive import UNRESOLVED  # read as ASCII, no shell text can forge it
from forestall.facts.shell.arguments import Arg, Args
from forestall.facts.shell.command_classes import UNKNOWN, Classes
from forestall.facts.shell.program_entry import ProgramEffect
from forestall.facts.shell.program_table import BUILT_IN, ProgramTable

BLANK: Final = "\u2423"  # for a blank inside a word
RUNS: Final = "\u21d2"  # between a command that only runs another one and that other one
HYPHEN: Final = "\u2010"  # for the `-` of a word that is a value, not an option
WORDS_MAX: Final = 64  # words that are kept; the others are UNRESOLVED together
WORD_CHARS_MAX: Final = 256  # a longer word is UNRESOLVED
CLUSTER_CHARS_MAX: Final = 6  # of `-xzvf`; a longer word is one option of a program such as find
_GAPS: Final = re.compile(r"\s")
_CLUSTER: Final = re.compile(r"-[A-Za-z]{2,}")


class OrderedWords(NamedTuple):
    """The words of a command, options apart."""

    words: list[str]  # the program and its words
    options: list[str]  # each before its value, where the value is a word of its own


def command_text(name: str, args: Args, classes: Classes, programs: ProgramTable = BUILT_IN) -> str:
    """The one spelling of a command; `classes` are its own, and `name` is "" if not known."""
    words = [_word(arg) for arg in args[:WORDS_MAX]]
    if len(args) > WORDS_MAX:
        words.append(UNRESOLVED)
    if not name:
        return " ".join((UNRESOLVED, UNRESOLVED, *words))
    if classes >= UNKNOWN:
        return " ".join((UNRESOLVED, name, *_words_in_order(words)))
    ordered = ordered_words(name, words, programs)
    return " ".join((*ordered.words, *ordered.options))


def text_by_path(words: Sequence[Arg]) -> str:
    """The spelling of a command by the path of its program, as the path is written."""
    path, *args = [_word(arg) for arg in words[: WORDS_MAX + 1]]
    ordered = ordered_words(path, args, BUILT_IN)
    dropped = [UNRESOLVED] if len(words) > WORDS_MAX + 1 else []
    return " ".join((*ordered.words, *ordered.options, *dropped))


def _word(arg: Arg) -> str:
    if not arg.literal or len(arg.text) > WORD_CHARS_MAX:
        return UNRESOLVED
    return _GAPS.sub(BLANK, arg.text) or "''"


def _as_value(word: str) -> str:
    """A word that is no option, spelled so that no pattern takes it for one."""
    return HYPHEN + word[1:] if word.startswith("-") else word


def _words_in_order(words: Sequence[str]) -> list[str]:
    """The words as they stand, with clusters of options taken apart."""
    spelled: list[str] = []
    for at, word in enumerate(words):
        if word == "--":
            return [*spelled, word, *map(_as_value, words[at + 1 :])]
        spelled.extend(separate_options(word)[0])
    return spelled


def ordered_words(name: str, words: Sequence[str], programs: ProgramTable) -> OrderedWords:
    """Words, options and values apart, by what the program table says of the program."""
    entry = programs.entry(name)
    effect = entry.effect if entry is not None else None
    value_options = _value_options(effect)
    if entry is not None and entry.wrapper is not None:
        value_options |= entry.wrapper.value_options
    has_clusters = entry is None or entry.handler != "find"
    ordered = OrderedWords([name], [])
    is_value = False
    for at, word in enumerate(words):
        if is_value:
            is_value = False
            ordered.options.append(_as_value(word))
        elif word == "--":
            ordered.words.extend((word, *map(_as_value, words[at + 1 :])))
            break
        elif word.startswith("-") and len(word) > 1:
            if not has_clusters or (effect is not None and word in effect.plain_options):
                ordered.options.append(word)
            else:
                options, is_value = separate_options(word, value_options)
                ordered.options.extend(options)
        else:
            ordered.words.append(word)
            effect = effect.subcommands.get(word) if effect is not None else None
            value_options |= _value_options(effect)
    return ordered


def _value_options(effect: ProgramEffect | None) -> frozenset[str]:
    return effect.value_options if effect is not None else frozenset()


def separate_options(
    word: str, value_options: frozenset[str] = frozenset()
) -> tuple[list[str], bool]:
    """The options in a word, and whether the value of the last one is the next word.

    `-xvf` is `-x -v -f`; a letter that takes a value takes the rest of the word, if any.
    """
    if word in value_options:
        return [word], True
    if not _CLUSTER.fullmatch(word) or len(word) > CLUSTER_CHARS_MAX:
        return [word], False
    options: list[str] = []
    for at, letter in enumerate(word[1:], 1):
        options.append(f"-{letter}")
        if f"-{letter}" in value_options:
            rest = word[at + 1 :]
            return ([*options, rest], False) if rest else (options, True)
    return options, False
