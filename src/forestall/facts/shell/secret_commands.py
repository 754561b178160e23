"""Commands that print credentials, told by their words alone: `kubectl get secret -o yaml`.

The word lists `secret_commands` and `harmless_forms_of_secret_commands` name them. This module
refuses to call a command harmless when a word of it cannot be resolved.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

from forestall.facts.shell.arguments import Args, joined
from forestall.facts.shell.command_classes import Classes
from forestall.facts.shell.command_patterns import (
    CommandPattern,
    CommandUnresolvedError,
    any_holds,
    is_spelled_option,
)
from forestall.facts.shell.command_spelling import command_text
from forestall.facts.shell.word_lists import SHELL_WORDS

_WILDCARD: Final = re.compile(r"[*?]|\[.*?\]")


class _ListedPattern(NamedTuple):
    """A pattern of a word list, and a text that every command holds which the pattern matches."""

    needle: str
    pattern: CommandPattern


def shows_secret(name: str, args: Args, classes: Classes) -> bool:
    """Whether the command is one of those that print credentials, by its words alone."""
    listed = _patterns("secret_commands").get(name)
    if not listed:
        return False
    literal_text = joined([arg for arg in args if arg.literal])
    resolved = all(arg.literal for arg in args)
    possible = [one.pattern for one in listed if one.needle in literal_text or not resolved]
    if not possible:
        return False
    text = command_text(name, args, classes)
    try:
        if not any_holds(possible, text):
            return False
        harmless = _patterns("harmless_forms_of_secret_commands").get(name, ())
        return not (resolved and any_holds([one.pattern for one in harmless], text))
    except CommandUnresolvedError:
        return True


@cache
def _patterns(word_list: str) -> Mapping[str, tuple[_ListedPattern, ...]]:
    """The patterns of a word list, by the program that each one names."""
    patterns: dict[str, list[_ListedPattern]] = {}
    for text in SHELL_WORDS.words(word_list):
        names, _, words = text.partition(" ")
        needle = _needle(words)
        for name in names.split("|"):
            pattern = CommandPattern(f"{name} {words}")
            patterns.setdefault(name, []).append(_ListedPattern(needle, pattern))
    return {name: tuple(listed) for name, listed in patterns.items()}


def _needle(words: str) -> str:
    """The longest text of a pattern's words that stands between wildcards."""
    plain = [word for word in words.split() if not is_spelled_option(word)]
    pieces = [piece for word in plain for piece in _WILDCARD.split(word)]
    return max(pieces, key=len, default="")
