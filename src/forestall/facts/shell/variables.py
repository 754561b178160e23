"""Names of variables that choose what runs, and texts that hide other text.

It looks at names and literal values only, and refuses to follow what a value would do.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from forestall.facts.shell.program_entry import Arg
from forestall.facts.shell.word_expansion import HOLE, ansi_text
from forestall.facts.shell.words import WORDS

WORDS_MAX: Final = 16  # words of one printf that are filled in
_ECHO_OPTIONS: Final = frozenset(("-e", "-n", "-ne", "-en", "-E", "--"))
# The names that may get a value. Every other one may choose what a later name stands for.
_HARMLESS: Final = WORDS.set("harmless_variables")
_LOCALE: Final = WORDS.set("locale_variables")
_SCRIPT: Final = WORDS.set("script_variables")
_RISKY_LOWER: Final = tuple(WORDS.words("risky_lower_case_variables"))
_PLAIN_VALUE: Final = re.compile(r"(?!.*\.\.)[\w.,+@=% -][\w.,:+@=%/ -]*", re.ASCII)
_HARMLESS_VALUES: Final = frozenset(("cat", "less", "more", "true", ":", ""))
_VALUE_RUNS: Final = ("PAGER", "EDITOR", "VISUAL")
_DECLARE: Final = frozenset(("export", "declare", "typeset", "local", "readonly"))
_SET_BY_NAME: Final = _DECLARE | {"read", "mapfile", "readarray", "getopts", "let", "unset"}
_SET_BY_OPTION: Final = {"printf": "-v", "wait": "-p"}
_EVALUATE: Final = frozenset(("test", "[", "coproc", "set", "shopt", *_SET_BY_OPTION))


def is_risky(name: str, value: str = "", *, exported: bool = False) -> bool:
    """Whether this variable, with this value, can change what runs.

    `exported` says that other programs see it. What is not exported matters where the environment
    has the name already; by custom those names are in capitals.
    """
    name = name.rstrip("+").partition("[")[0]
    if name in _HARMLESS:
        return False
    if name in _LOCALE:
        return bool(value) and _PLAIN_VALUE.fullmatch(value) is None
    if name.endswith(_VALUE_RUNS):
        return value not in _HARMLESS_VALUES
    if exported:
        return True
    return name not in _SCRIPT and (name.lower() != name or name.startswith(_RISKY_LOWER))


def names_matter(program: str) -> bool:
    """Whether the builtin sets variables that its words name, or evaluates subscripts in them."""
    return program in _SET_BY_NAME or program in _EVALUATE


def risky_words(program: str, args: Sequence[Arg]) -> bool:
    """Whether the builtin sets a variable by name that can change what runs."""
    words = [arg.text for arg in args]
    if program in ("set", "shopt"):
        return "allexport" in words
    if option := _SET_BY_OPTION.get(program):
        words = [
            word if before == option else word.removeprefix(option)
            for before, word in pairwise(["", *words])
            if before == option or (word.startswith(option) and word != option)
        ]
    elif program not in _SET_BY_NAME:
        return False
    exported = exports(program, args)
    return any(
        word.startswith("-n") or (word.isidentifier() and is_risky(word, exported=exported))
        for word in words
    )


def exports(program: str, args: Sequence[Arg]) -> bool:
    """Whether other programs see the variables that this command sets."""
    if program == "export":
        return True
    return program in _DECLARE and any(
        arg.flaggable or (arg.text.startswith("-") and "x" in arg.text) for arg in args
    )


def value_text(text: str) -> str:
    """The value of an assignment as shell text."""
    return text.rstrip(HOLE)


def shown(program: str, words: Sequence[str]) -> list[str]:
    """The texts that echo and printf may write (and `set` keep): a later command may run them."""
    if program not in ("echo", "printf", "set", "Write-Output"):
        return []
    texts = [word for word in words if word not in _ECHO_OPTIONS]
    found = [ansi_text(" ".join(texts))]
    if program == "printf" and len(texts) > 1:
        filled = texts[0]
        for text in texts[1:WORDS_MAX]:
            filled = filled.replace("%s", text, 1).replace("%b", text, 1)
        found += [ansi_text(filled), "".join(texts[1:]), " ".join(texts[1:])]
    return found + [hidden for hidden in map(decoded, texts[:4]) if hidden]


def decoded(text: str) -> str:
    """Text hidden in base64, or nothing."""
    if len(text) < 8 or len(text) % 4 or not text.isascii() or " " in text:
        return ""
    try:
        found = base64.b64decode(text, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""
    return found if found.replace("\n", "").isprintable() else ""
