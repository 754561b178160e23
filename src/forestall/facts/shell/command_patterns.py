"""Patterns over commands in their one spelling: `git push --force *`.

This module refuses to decide whether a pattern matches a command that reading cannot resolve: it
raises.
"""

import fnmatch
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from forestall.facts.derive import UNRESOLVED
from forestall.facts.shell.command_spelling import (
    BLANK,
    RUNS,
    ordered_words,
    separate_options,
)
from forestall.facts.shell.program_name import base_name
from forestall.facts.shell.program_table import BUILT_IN, ProgramTable
from forestall.limits import GLOB_CHARS_MAX

ABBREVIATED_CHARS_MIN: Final = 3  # `--f` may be short for `--force`
_SHELL_MARKS: Final = frozenset("\"'`$\\;|&<>(){}")
_WordPattern = re.Pattern[str] | None  # None, for a `*`: any words, or none


class CommandPatternError(ValueError):
    """The text is no pattern of a command; the message says why, and what to write."""


class CommandUnresolvedError(ValueError):
    """A command holds words that cannot be resolved by reading, and a pattern may match them."""

    def __init__(self, pattern: str) -> None:
        super().__init__(
            f"`commands`: `{pattern}` may match, but a word of the command, or the place of an"
            " option, cannot be told by reading; write the command out"
        )


class CommandPattern:
    """A command as a rule names it: words with wildcards; `*` alone stands for any words, or none.

    Options match wherever they stand in the command.
    """

    def __init__(self, text: str, programs: ProgramTable = BUILT_IN) -> None:
        """Raises CommandPatternError."""
        words = text.split()
        _refuse_no_pattern(text, words)
        self.text = text
        written = [words[0]]  # the words in their order, with clusters of options taken apart
        for at, word in enumerate(words[1:], 1):
            written.extend([word] if "--" in words[1:at] else separate_options(word)[0])
        ordered = ordered_words(words[0], words[1:], programs)
        values = [word for word in ordered.options if not is_spelled_option(word)]
        if values and "*" in ordered.words:
            values.append("*")
        self._matches_anything = words == ["*"]
        self._options = [
            _OptionPattern(option, _compiled(option))
            for option in written
            if is_spelled_option(option)
        ]
        self._written = [_word_pattern(word) for word in written if not is_spelled_option(word)]
        self._ordered = [_word_pattern(word) for word in (*ordered.words, *values)]

    def holds(self, text: str) -> bool:
        """Whether the pattern matches a command, given in the spelling of `command_text`, or one of
        the commands that it runs and does nothing else.

        Raises CommandUnresolvedError when it may match, and reading the command cannot tell.
        """
        if self._matches_anything:
            return True
        return any(map(self._matches, text.split(f" {RUNS} ")))

    def _matches(self, command: str) -> bool:
        words = command.split(" ")
        order_unknown = words[0] == UNRESOLVED
        if order_unknown:
            words = words[1:] or [UNRESOLVED]
        pattern = self._written if order_unknown else self._ordered
        unresolved = UNRESOLVED in words
        others, abbreviated = self._without_options(words)
        certain = not abbreviated and not (order_unknown and unresolved)
        if others is not None and certain and _matches_words(pattern, others, loosely=False):
            return True
        if others is None and not unresolved:
            return False
        doubtful = order_unknown or unresolved or abbreviated
        if doubtful and _matches_words(pattern, words, loosely=True):
            raise CommandUnresolvedError(self.text)
        return False

    def _without_options(self, words: Sequence[str]) -> tuple[list[str] | None, bool]:
        """The words without the options of the pattern (None: one is missing), and whether one of
        the options may be there only as an abbreviation."""
        others = list(words)
        abbreviated = False
        for option in self._options:
            match = next((word for word in others if option.is_in(word)), None)
            if match is not None:
                others.remove(match)
            elif any(option.may_be(word) for word in others):
                abbreviated = True
            else:
                return None, False
        return others, abbreviated


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


def _refuse_no_pattern(text: str, words: Sequence[str]) -> None:
    """Raises CommandPatternError for a text that is no pattern."""
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
    program = words[0]
    is_system_path = "/" in program and base_name(program)[1]
    if program.startswith("-") or "=" in program or is_system_path:
        raise CommandPatternError(f"begins with `{program}`; write the name of the program alone")


def is_spelled_option(word: str) -> bool:
    """Whether the word of a pattern, or of a command in its spelling, is an option."""
    return word.startswith("-") and word not in ("-", "--")


class _OptionPattern(NamedTuple):
    """An option of a pattern."""

    text: str
    pattern: re.Pattern[str]

    def is_in(self, word: str) -> bool:
        """Whether a word is this option, with its value or without."""
        name = word.partition("=")[0]
        return is_spelled_option(word) and bool(
            self.pattern.match(word) or self.pattern.match(name)
        )

    def may_be(self, word: str) -> bool:
        """Whether a word may be short for this option."""
        name = word.partition("=")[0]
        is_long = name.startswith("--") and len(name) >= len("--") + ABBREVIATED_CHARS_MIN
        return is_long and self.text.startswith(name)


def _compiled(word: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(word))


def _word_pattern(word: str) -> _WordPattern:
    return None if word == "*" else _compiled(word)


def _matches_words(pattern: Sequence[_WordPattern], words: Sequence[str], *, loosely: bool) -> bool:
    """Whether the pattern matches all of the words.

    All readings of the stars are followed at once: a state is how many parts of the pattern have
    matched. `loosely`: options, and the words after them, which may be their values, may stand
    anywhere; and a word that is UNRESOLVED may be any words.
    """
    end = len(pattern)
    states = _past_stars({0}, pattern)
    for at, word in enumerate(words):
        near_option = is_spelled_option(word) or (at > 0 and is_spelled_option(words[at - 1]))
        following = set(states) if loosely and near_option else set()
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


def _past_stars(states: set[int], pattern: Sequence[_WordPattern]) -> set[int]:
    """The states, and those that are reached when stars stand for no word."""
    for state, part in enumerate(pattern):
        if state in states and part is None:
            states.add(state + 1)
    return states
