"""Names of variables that choose what runs: `PATH`, `GIT_PAGER`, `LD_PRELOAD`.

The names that may get a value are listed; every other one may choose what a later name stands for.
This module looks at names and literal values only, and refuses to follow what a value would do.
"""

import re
from itertools import pairwise
from typing import Final

from forestall.facts.shell.arguments import Args
from forestall.facts.shell.word_lists import SHELL_WORDS

_HARMLESS: Final = SHELL_WORDS.set("harmless_variables")
_LOCALE: Final = SHELL_WORDS.set("locale_variables")
_SCRIPT: Final = SHELL_WORDS.set("script_variables")
_RISKY_LOWER: Final = tuple(SHELL_WORDS.words("risky_lower_case_variables"))
_PLAIN_VALUE: Final = re.compile(r"(?!.*\.\.)[\w.,+@=% -][\w.,:+@=%/ -]*", re.ASCII)
_NAMES_A_PROGRAM: Final = ("PAGER", "EDITOR", "VISUAL")  # how the names of such variables end
_HARMLESS_PROGRAMS: Final = frozenset(("cat", "less", "more", "true", ":", ""))
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
    if name.endswith(_NAMES_A_PROGRAM):
        return value not in _HARMLESS_PROGRAMS
    if exported:
        return True
    return name not in _SCRIPT and (name.lower() != name or name.startswith(_RISKY_LOWER))


def reads_variable_names(program: str) -> bool:
    """Whether the builtin sets variables that its words name, or evaluates subscripts in them."""
    return program in _SET_BY_NAME or program in _EVALUATE


def sets_risky_variable(program: str, args: Args) -> bool:
    """Whether the builtin sets a variable by name that can change what runs."""
    words = [arg.text for arg in args]
    if program in ("set", "shopt"):
        return "allexport" in words
    option = _SET_BY_OPTION.get(program)
    if option is not None:
        words = _values_of(option, words)
    elif program not in _SET_BY_NAME:
        return False
    exported = exports(program, args)
    return any(
        word.startswith("-n") or (word.isidentifier() and is_risky(word, exported=exported))
        for word in words
    )


def _values_of(option: str, words: list[str]) -> list[str]:
    """The values of a short option, as words of their own or joined to it."""
    values = []
    for before, word in pairwise(["", *words]):
        if before == option:
            values.append(word)
        elif word.startswith(option) and word != option:
            values.append(word.removeprefix(option))
    return values


def exports(program: str, args: Args) -> bool:
    """Whether other programs see the variables that this command sets."""
    if program == "export":
        return True
    return program in _DECLARE and any(
        arg.ambiguous or (arg.text.startswith("-") and "x" in arg.text) for arg in args
    )
