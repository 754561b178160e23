"""The words of one command in one spelling, and patterns over them: `git push *`.

A command has many spellings: options stand before, between and behind the words, short ones are
joined, and a program has a path. Here each command gets one: program, words, options. Where the
program table cannot say which words are options, the order stays and the text begins with
UNRESOLVED. This module refuses to decide whether a pattern matches what cannot be resolved by
reading: it raises.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from forestall.facts.derive import UNRESOLVED  # read as ASCII, no shell text can forge it
from forestall.facts.shell.program_entry import UNKNOWN, Arg, Classes, ProgramEffect
from forestall.facts.shell.program_name import base_name
from forestall.facts.shell.program_table import BUILT_IN, ProgramTable
from forestall.facts.shell.words import WORDS
from forestall.limits import GLOB_CHARS_MAX

BLANK: Final = "\u2423"  # for a blank inside a word
RUNS: Final = "\u21d2"  # between a command that only runs another one and that other one
HYPHEN: Final = "\u2010"  # for the `-` of a word that is a value, not an option
WORDS_MAX: Final = 64  # words that are kept; the others are UNRESOLVED together
WORD_CHARS_MAX: Final = 256  # a longer word is UNRESOLVED
ABBREVIATED_CHARS_MIN: Final = 3  # `--f` may be short for `--force`
JOINED_CHARS_MAX: Final = 6  # of `-xzvf`; a longer word is one option of a program such as find
_WILDCARD: Final = re.compile(r"[*?]|\[.*?\]")
_GAPS: Final = re.compile(r"\s")
_JOINED: Final = re.compile(r"-[A-Za-z]{2,}")


class CommandUnresolvedError(ValueError):
    """A command holds words that cannot be resolved by reading, and a pattern may match them."""

    def __init__(self, pattern: str) -> None:
        super().__init__(
            f"`commands`: `{pattern}` may match, but a word of the command, or the place of an"
            " option, cannot be told by reading; write the command out"
        )


class _WordOrder(NamedTuple):
    words: list[str]  # the program and its words, options aside
    options: list[str]  # each before its value, where that is a word of its own


def command_text(
    name: str, args: Sequence[Arg], kinds: Classes, programs: ProgramTable = BUILT_IN
) -> str:
    """The one spelling of a command; `kinds` are its classes, and `name` is "" if not known."""
    words = [_word(arg) for arg in args[:WORDS_MAX]]
    words += [UNRESOLVED] if len(args) > WORDS_MAX else []
    if not name:
        return " ".join((UNRESOLVED, UNRESOLVED, *words))
    if kinds >= UNKNOWN:
        return " ".join((UNRESOLVED, name, *_in_order(name, words)))
    found = _arranged(name, words, programs)
    return " ".join((*found.words, *found.options))


def text_by_path(words: Sequence[Arg]) -> str:
    """The spelling of a command by the path of its program, as the path is written."""
    path, *rest = [_word(arg) for arg in words[: WORDS_MAX + 1]]
    found = _arranged(path, rest, BUILT_IN)
    return " ".join(
        (*found.words, *found.options, *([UNRESOLVED] if words[WORDS_MAX + 1 :] else ()))
    )


def _word(arg: Arg) -> str:
    if not arg.literal or len(arg.text) > WORD_CHARS_MAX:
        return UNRESOLVED
    return _GAPS.sub(BLANK, arg.text) or "''"


def _hidden(word: str) -> str:
    """A word that is no option, so that no pattern takes it for one."""
    return HYPHEN + word[1:] if word.startswith("-") else word


def _in_order(name: str, words: Sequence[str]) -> list[str]:
    """The words as they stand, joined options apart."""
    found: list[str] = []
    for at, word in enumerate(words):
        if word == "--":
            return found + [word] + [_hidden(rest) for rest in words[at + 1 :]]
        found.extend(_separate(word, frozenset())[0])
    return found


def _arranged(name: str, words: Sequence[str], programs: ProgramTable) -> _WordOrder:
    """Words, options and values apart, by what the program table says of the program."""
    entry = programs.entry(name)
    effect = entry.effect if entry is not None else None
    valued = _value_options(effect)
    joins = True
    if entry is not None:
        joins = entry.handler != "find"
        valued |= entry.wrapper.value_options if entry.wrapper is not None else frozenset()
    found = _WordOrder([name], [])
    takes_value = False
    for at, word in enumerate(words):
        if takes_value:
            takes_value = False
            found.options.append(_hidden(word))
        elif word == "--":
            found.words.extend((word, *(_hidden(rest) for rest in words[at + 1 :])))
            break
        elif word.startswith("-") and len(word) > 1:
            whole = not joins or (effect is not None and word in effect.plain_options)
            options, takes_value = ([word], False) if whole else _separate(word, valued)
            found.options.extend(options)
        else:
            found.words.append(word)
            effect = effect.subcommands.get(word) if effect is not None else None
            valued |= _value_options(effect)
    return found


def _value_options(effect: ProgramEffect | None) -> frozenset[str]:
    return effect.value_options if effect is not None else frozenset()


def _separate(word: str, valued: frozenset[str]) -> tuple[list[str], bool]:
    """The options in a word, and whether the value of the last is the next word."""
    if word in valued:
        return [word], True
    if not _JOINED.fullmatch(word) or len(word) > JOINED_CHARS_MAX:
        return [word], False
    found: list[str] = []
    for at, letter in enumerate(word[1:], 1):
        found.append(f"-{letter}")
        if f"-{letter}" in valued:
            rest = word[at + 1 :]
            return ([*found, rest], False) if rest else (found, True)
    return found, False


# -- patterns --


class CommandPattern:
    """A command as a rule names it: words with wildcards; `*` alone stands for any words, or none.

    Options match wherever they stand in the command.
    """

    def __init__(self, text: str, programs: ProgramTable = BUILT_IN) -> None:
        """Raises CommandPatternError."""
        words = text.split()
        _refuse(text, words)
        self.text = text
        in_order = [words[0]]
        for at, word in enumerate(words[1:], 1):
            in_order.extend(_separate(word, frozenset())[0] if "--" not in words[1:at] else [word])
        found = _arranged(words[0], words[1:], programs)
        values = [word for word in found.options if not _is_option(word)]
        values += ["*"] if values and "*" in found.words else []
        self._anything = words == ["*"]
        self._options = [
            _Option(option, re.compile(fnmatch.translate(option)))
            for option in in_order
            if _is_option(option)
        ]
        self._in_order = [_matcher(word) for word in in_order if not _is_option(word)]
        self._arranged = [_matcher(word) for word in (*found.words, *values)]

    def holds(self, text: str) -> bool:
        """Whether the pattern matches a command, given in the spelling of `command_text`, or one of
        the commands that it runs and does nothing else.

        Raises CommandUnresolvedError when it may match, and reading the command cannot tell.
        """
        if self._anything:
            return True
        return any(map(self._is, text.split(f" {RUNS} ")))

    def _is(self, text: str) -> bool:
        words = text.split(" ")
        doubtful = words[0] == UNRESOLVED
        if doubtful:
            words = words[1:] or [UNRESOLVED]
        pattern = self._in_order if doubtful else self._arranged
        unresolved = UNRESOLVED in words
        left, short = self._without_options(words)
        sure = not short and not (doubtful and unresolved)
        if left is not None and sure and _matches(pattern, left, loosely=False):
            return True
        if left is None and not unresolved:
            return False
        if (doubtful or unresolved or short) and _matches(pattern, words, loosely=True):
            raise CommandUnresolvedError(self.text)
        return False

    def _without_options(self, words: Sequence[str]) -> tuple[list[str] | None, bool]:
        """The words without the options of the pattern (None: one is missing), and whether one of
        them may be there only as an abbreviation."""
        left = list(words)
        short = False
        for option in self._options:
            found = next((word for word in left if option.is_in(word)), None)
            if found is not None:
                left.remove(found)
            elif any(option.may_be(word) for word in left):
                short = True
            else:
                return None, False
        return left, short


def any_holds(patterns: Iterable[CommandPattern], text: str) -> bool:
    """Whether one of the patterns matches a command. Raises CommandUnresolvedError when one may,
    and none certainly does."""
    unresolved: CommandUnresolvedError | None = None
    for pattern in patterns:
        try:
            if pattern.holds(text):
                return True
        except CommandUnresolvedError as cause:
            unresolved = cause
    if unresolved is not None:
        raise unresolved
    return False


class CommandPatternError(ValueError):
    """The text is no pattern of a command; the message says why, and what to write."""


_Word = re.Pattern[str] | None  # None: any words, or none
_SHELL_MARKS: Final = frozenset("\"'`$\\;|&<>(){}")


def _refuse(text: str, words: Sequence[str]) -> None:
    marks = sorted(_SHELL_MARKS & set(text))
    if len(text) > GLOB_CHARS_MAX:
        raise CommandPatternError(f"is longer than {GLOB_CHARS_MAX} characters; write fewer words")
    if not words:
        raise CommandPatternError("names no command; write its words, such as `git push *`")
    if marks:
        raise CommandPatternError(
            f"holds `{marks[0]}`; write the words of one command, as the program gets them"
        )
    if not text.replace(BLANK, "").isascii():
        raise CommandPatternError("holds a character that is not ASCII; write `?` for it")
    path = "/" in words[0] and not base_name(words[0])[1]
    if words[0].startswith("-") or "=" in words[0] or ("/" in words[0] and not path):
        raise CommandPatternError(f"begins with `{words[0]}`; write the name of the program alone")


def _is_option(word: str) -> bool:
    return word.startswith("-") and word not in ("-", "--")


class _Option(NamedTuple):
    """An option of a pattern."""

    text: str
    pattern: re.Pattern[str]

    def is_in(self, word: str) -> bool:
        """Whether a word is this option, with its value or without."""
        name = word.partition("=")[0]
        return _is_option(word) and bool(self.pattern.match(word) or self.pattern.match(name))

    def may_be(self, word: str) -> bool:
        """Whether a word may be short for this option."""
        name = word.partition("=")[0]
        long = name.startswith("--") and len(name) >= len("--") + ABBREVIATED_CHARS_MIN
        return long and self.text.startswith(name)


def _matcher(word: str) -> _Word:
    return None if word == "*" else re.compile(fnmatch.translate(word))


def _matches(pattern: Sequence[_Word], words: Sequence[str], *, loosely: bool) -> bool:
    """Whether the pattern matches all of the words: all readings of the stars at once.

    `loosely`: options, and the words after them, which may be their values, may stand anywhere; and
    a word that is UNRESOLVED may be any words.
    """
    end = len(pattern)
    states = _past_stars({0}, pattern)
    for at, word in enumerate(words):
        passed = _is_option(word) or (at > 0 and _is_option(words[at - 1]))
        following = set(states) if loosely and passed else set()
        for state in states:
            part = pattern[state] if state < end else None
            if state < end and part is None:
                following.add(state)
            elif part is not None and word != UNRESOLVED and part.match(word):
                following.add(state + 1)
            if loosely and word == UNRESOLVED:
                following.update(range(state, end + 1))
        states = _past_stars(following, pattern)
        if not states:
            return False
    return end in states


def _past_stars(states: set[int], pattern: Sequence[_Word]) -> set[int]:
    """The states, and those that are reached when stars stand for no word."""
    for state, part in enumerate(pattern):
        if state in states and part is None:
            states.add(state + 1)
    return states


# -- commands that show secrets --


def shows_secret(name: str, args: Sequence[Arg], kinds: Classes) -> bool:
    """Whether the command is one of those that print credentials, by its words alone."""
    listed = _patterns("secret_commands").get(name)
    if not listed:
        return False
    texts = " ".join([arg.text for arg in args if arg.literal])
    resolved = all(arg.literal for arg in args)
    patterns = [pattern for key, pattern in listed if key in texts or not resolved]
    if not patterns:
        return False
    text = command_text(name, args, kinds)
    try:
        if not any_holds(patterns, text):
            return False
        harmless = _patterns("harmless_forms_of_secret_commands").get(name, ())
        return not (resolved and any_holds([pattern for _, pattern in harmless], text))
    except CommandUnresolvedError:
        return True


@cache
def _patterns(word_list: str) -> Mapping[str, tuple[tuple[str, CommandPattern], ...]]:
    """The patterns of a word list, by the program that each one names, each behind a text that
    every command holds that it matches."""
    found: dict[str, list[tuple[str, CommandPattern]]] = {}
    for text in WORDS.words(word_list):
        names, _, words = text.partition(" ")
        plain = [word for word in words.split() if not _is_option(word)]
        key = max((piece for word in plain for piece in _WILDCARD.split(word)), key=len, default="")
        for name in names.split("|"):
            found.setdefault(name, []).append((key, CommandPattern(f"{name} {words}")))
    return {name: tuple(patterns) for name, patterns in found.items()}
