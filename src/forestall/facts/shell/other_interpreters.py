"""What cmd, PowerShell or Python could see in a text where bash sees a comment, a quote or a word.

A worker may hand a text to another interpreter than the one that it was judged for, so a text that
only reads in bash must not act elsewhere. Bash's quotes, escapes and comments are no quotes to cmd,
and other ones to PowerShell. What could begin a command there is `unknown`, and worse if the
command is known. This module refuses to say that a text is safe for another interpreter.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from forestall.facts.data_files import WordLists
from forestall.facts.shell.command_classes import UNKNOWN, Classes
from forestall.facts.shell.program_spec import ClassesSpec, class_set

WORDS_MAX: Final = 2_000  # words of one text that are looked up; past it the text is unknown

_LISTS: Final = WordLists("windows.yaml")
# What bash does not read on: a quoted text, an escaped character, a comment.
_INERT: Final = re.compile(r"'[^']*'?|\"(?:[^\"\\]|\\.)*\"?|\\.|(?<![^\s;&|()])#[^\n]*", re.DOTALL)
_ACTIVE_IN_COMMENT: Final = re.compile(r"[&|<>%^]")  # to cmd, which knows no such comment
_SEPARATOR: Final = re.compile(r"[&|;<>\n]|\$\(")
_ESCAPED: Final = re.compile(  # a backslash escapes nothing in cmd and PowerShell
    r"\\(?:[&|<>]|\$\(|[;(]\s*[A-Za-z]|\n\s*[\w.~/$])"
)
_OUTSIDE_QUOTES: Final = re.compile(
    r"\b[A-Za-z]:\\"  # a path of Windows
    # PowerShell would run what stands in these brackets.
    r"|\(\(\s*[A-Za-z_]\w*(?:[-.]\w|\s*[)|;&]|\s+(?:-?\w|['\"$]))"
    r"|[@?*+!=]\(|\[\[[^\]\n]{0,200}\(|\bin\s+\(|;;\s*\("
)
_SORT: Final = re.compile(r"\bsort\s")
_OUTPUT_SWITCH: Final = re.compile(r"\s/o[utp]{0,5}\s", re.IGNORECASE)
_ANYWHERE: Final = re.compile(
    r"(?<!\w)[A-Za-z]:\\|\\\\[\w.-]+\\\w"  # paths of Windows
    r"|<\#|@['\"]\n|(?<!\S)--%"  # a comment, a text over lines, and raw words of PowerShell
    r"|%[A-Z][A-Z_0-9()]{2,}(?::[^%\n]*)?%|%~"  # a variable of cmd, which may hold a separator
    r"|'''|\"\"\""  # a text of Python
)
_CMD_VARIABLE: Final = re.compile(r"%(\w+)(?::[^%\n]*)?%")
_PYTHON_PREFIX: Final = re.compile(r"(?<![\w$])(?:[fF][rR]?|[rR][fF])$")
_PYTHON_PREFIX_CHARS: Final = 3  # the longest prefix, and the character before it
_TYPED_QUOTE: Final = re.compile("[\u2018-\u201f]")  # quotes to PowerShell only
_COMMAND: Final = re.compile(
    r"(?:^|[&|;(){}\n`$<>])[ \t\r@]*([A-Za-z][\w-]*)(?:\.exe|\.com)?(?=(\s+\S|[/\\])|[\s.;&|)}]|$)"
)
_PLAIN: Final = re.compile(r"[\w ./=:,+-]*", re.ASCII)


def other_readings(text: str) -> Iterator[tuple[str, Classes]]:
    """Programs ("" if not known) and the classes that another interpreter could see here."""
    if _PLAIN.fullmatch(text) and " /" not in text:
        return
    differs = _differs_as_a_whole(text)
    quotes_differ = False  # whether quotes open and close elsewhere for another interpreter
    for match in _INERT.finditer(text):
        piece = match[0]
        has_separator = _SEPARATOR.search(piece) is not None
        if piece[0] == "#":
            differs = differs or _ACTIVE_IN_COMMENT.search(piece) is not None
        elif piece[0] == "\\":
            differs = differs or _ESCAPED.match(text, match.start()) is not None
            quotes_differ = quotes_differ or piece[1:] in ("'", '"')
        else:
            quotes_differ = quotes_differ or (piece[0] == '"' and '\\"' in piece[1:-1])
            differs = (
                differs
                or (has_separator and quotes_differ)
                or (piece[0] == "'" and "&" in piece)
                or ("{" in piece and _is_python_template(text, match.start()))
            )
        if has_separator or ";" in piece or "(" in piece:
            yield from windows_commands(piece)
    if differs:
        yield "", UNKNOWN


def _differs_as_a_whole(text: str) -> bool:
    """Whether another interpreter reads the text in another way, quotes and comments aside."""
    unquoted = _INERT.sub(" ", text)
    if (
        _OUTSIDE_QUOTES.search(unquoted)
        or _ANYWHERE.search(text)
        or _has_cmd_variable(text)
        or (_TYPED_QUOTE.search(text) and _SEPARATOR.search(text))
    ):
        return True
    sort = _SORT.search(unquoted)  # cmd's `sort a /o b` writes b
    return sort is not None and _OUTPUT_SWITCH.search(unquoted, sort.end() - 1) is not None


def _is_python_template(text: str, quote: int) -> bool:
    """Whether Python would call what stands in the braces of the quoted text: f'{call()}'."""
    before = text[max(0, quote - _PYTHON_PREFIX_CHARS) : quote]
    return _PYTHON_PREFIX.search(before) is not None


def windows_commands(text: str) -> Iterator[tuple[str, Classes]]:
    """The commands of cmd and PowerShell that stand where one could begin."""
    classes_of_command = _commands()
    for count, match in enumerate(_COMMAND.finditer(text)):
        if count > WORDS_MAX:
            yield "", UNKNOWN
            return
        name = match[1].lower()
        if name in classes_of_command:
            # Without words behind it, it may be a branch of a pattern: `grep 'a|del|b'`.
            yield name, (classes_of_command[name] if match[2] else UNKNOWN)


def _has_cmd_variable(text: str) -> bool:
    if text.count("%") < 2:
        return False
    return any(match[1].lower() in _variables() for match in _CMD_VARIABLE.finditer(text))


@cache
def _commands() -> Mapping[str, Classes]:
    specs: dict[str, ClassesSpec] = _LISTS.meanings(
        "windows_commands",
        ClassesSpec,  # type: ignore[arg-type]  # a union is no type to mypy
    )
    return {name: class_set(spec) for name, spec in specs.items()}


@cache
def _variables() -> frozenset[str]:
    return _LISTS.set("windows_variables")
