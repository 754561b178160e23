"""The texts that echo and printf may write: a later command of the same text may run them.

A text may be hidden in base64. This module refuses to fill in more of a format than `%s` and `%b`.
"""

import base64
from collections.abc import Sequence
from typing import Final

from forestall.facts.shell.word_expansion import ansi_text

FORMAT_WORDS_MAX: Final = 16  # words of one printf that are filled in
DECODED_WORDS_MAX: Final = 4  # words of one command that are tried as base64
_DECODED_CHARS_MIN: Final = 8  # a shorter text hides no command
_PRINTS: Final = frozenset(("echo", "printf", "set", "Write-Output"))  # `set` keeps its words
_ECHO_OPTIONS: Final = frozenset(("-e", "-n", "-ne", "-en", "-E", "--"))


def printed_texts(program: str, words: Sequence[str]) -> list[str]:
    """The texts that a command may write, or keep in the positional parameters."""
    if program not in _PRINTS:
        return []
    words = [word for word in words if word not in _ECHO_OPTIONS]
    texts = [ansi_text(" ".join(words))]
    if program == "printf" and len(words) > 1:
        filled, *values = words
        for value in values[: FORMAT_WORDS_MAX - 1]:
            filled = filled.replace("%s", value, 1).replace("%b", value, 1)
        texts += [ansi_text(filled), "".join(values), " ".join(values)]
    return texts + [hidden for hidden in map(_decoded, words[:DECODED_WORDS_MAX]) if hidden]


def _decoded(text: str) -> str:
    """The text that is hidden in base64; "" without one."""
    if len(text) < _DECODED_CHARS_MIN or len(text) % 4 or not text.isascii() or " " in text:
        return ""
    try:
        decoded = base64.b64decode(text, validate=True).decode("utf-8")
    except ValueError:
        return ""
    return decoded if decoded.replace("\n", "").isprintable() else ""
