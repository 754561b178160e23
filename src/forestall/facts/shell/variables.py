"""Names of variables that choose what runs, and texts that hide other text.

It looks at names and literal values only, and refuses to follow what a value would do.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Final

from forestall.facts.shell.word_expansion import ansi_text
from forestall.facts.shell.words import WORDS

WORDS_MAX: Final = 16  # words of one printf that are filled in
_ECHO_OPTIONS: Final = frozenset(("-e", "-n", "-ne", "-en", "-E", "--"))
# Setting one of these changes which program a later name stands for, or runs its value.
_RISKY: Final = WORDS.set("risky_variables")
_RISKY_BEGINNINGS: Final = tuple(WORDS.words("risky_variable_beginnings"))
_SAFE_GIT: Final = WORDS.set("safe_git_variables")
_HARMLESS_VALUES: Final = frozenset(("cat", "less", "more", "true", ":", ""))
_VALUE_RUNS: Final = ("PAGER", "EDITOR", "VISUAL")
_SET_BY_NAME: Final = frozenset(
    ("export", "declare", "typeset", "local", "readonly", "printf", "read", "mapfile", "readarray",
     "getopts", "let", "unset", "test", "[", "wait", "coproc", "set", "shopt")
)  # fmt: skip


def is_risky(name: str) -> bool:
    """Whether assigning this variable can change what runs."""
    name = name.rstrip("+").partition("[")[0]
    return name in _RISKY or (name.startswith(_RISKY_BEGINNINGS) and name not in _SAFE_GIT)


def is_harmless(name: str, value: str) -> bool:
    """Whether a risky variable gets a value that only shows text."""
    return name.endswith(_VALUE_RUNS) and value in _HARMLESS_VALUES


def names_matter(program: str) -> bool:
    """Whether the builtin sets variables that its words name."""
    return program in _SET_BY_NAME


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
