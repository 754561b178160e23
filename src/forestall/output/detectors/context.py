"""What the words around a number say about it.

Words are told in several languages; a short one counts as a word of its own only, a long one inside
of names too (`customerPhone`). Linear: RE2 over the little text that a candidate carries.
"""

import string
from collections.abc import Callable
from functools import cache
from typing import Any

import re2

from forestall.output.detectors.expressions import Expression
from forestall.output.findings import Candidate, are_keywords

_BEFORE_CHARS, _AFTER_CHARS = 64, 24
_ALONE_CHARS = 5  # shorter words count only where no letter touches them
_WORD_MEMORY_BYTES = 16 << 20
_ENDS = f"{string.punctuation}{string.whitespace}"

_ROW_BEFORE = Expression(r"\b(?=[a-fA-F]{0,3}\d)[0-9A-Fa-f]{4}[ .-]$")
_ROW_AFTER = Expression(r"^[ .-](?=[a-fA-F]{0,3}\d)[0-9A-Fa-f]{4}(?:[ .\n\]-]|$)")

_ASCII_RUN = Expression(r"[a-z][a-z_ .#-]*[a-z]")

Words = Callable[[str], bool]


def words(listed: str) -> Words:
    """Whether one of the words, which bars part, stands in a text, in any case. Compiled when first
    asked."""
    those = listed.split("|")

    @cache
    def compiled() -> Any:
        options = re2.Options()
        options.case_sensitive = False
        options.log_errors = False
        options.max_mem = _WORD_MEMORY_BYTES
        short = "|".join(re2.escape(word) for word in those if _short(word))
        long = "|".join(re2.escape(word) for word in those if not _short(word))
        forms = [rf"(?:^|[^\pL])(?:{short})s?(?:[^\pL]|$)"] if short else []
        return re2.compile("|".join([*forms, long] if long else forms), options)

    return lambda text: compiled().search(text.encode("utf-8", "replace")) is not None


def keywords(listed: str) -> tuple[str, ...]:
    """The same words as keywords of a kind. A short one comes with what may stand behind it, so
    that `tin` does not make the scan look at every `testing`."""
    forms = dict.fromkeys(form for word in listed.lower().split("|") for form in _forms(word))
    return tuple(forms)


def _forms(word: str) -> tuple[str, ...]:
    if _short(word):
        return _with_ends(word)
    ascii_part = _ascii_of(word)
    # The scan folds the case of ASCII only; of another script each case is looked for.
    if ascii_part.isascii():
        return (ascii_part,)
    return tuple(form for form in (word, word.capitalize(), word.upper()) if are_keywords((form,)))


def _with_ends(word: str) -> tuple[str, ...]:
    # Two letters and a digit are hexadecimal more often than a word.
    digits = string.digits if len(word) > 2 else ""
    return tuple(word + end for end in _ENDS + digits)


def _ascii_of(word: str) -> str:
    # The scan folds the case of ASCII only: of `RODNÉ ČÍSLO` it can look for `rodn`.
    longest = max(_ASCII_RUN.findall(word), key=len, default="")
    return longest if len(longest) >= _ALONE_CHARS - 1 else word


def _short(word: str) -> bool:
    return len(word) < _ALONE_CHARS and word.isascii()


def in_front(candidate: Candidate) -> str:
    """The text in front of the value: also that part of it which the pattern took."""
    return candidate.before + candidate.matched.partition(candidate.value)[0]


def near(candidate: Candidate, those: Words, *, before: int = _BEFORE_CHARS) -> bool:
    """Whether one of the words stands close in front, or right behind."""
    return those(f"{in_front(candidate)[-before:]}\n{candidate.after[:_AFTER_CHARS]}")


def alone(candidate: Candidate) -> bool:
    """Whether nothing else is in the text: then it is what was asked for."""
    return not in_front(candidate).strip() and not candidate.after.strip()


def is_in_code_table(candidate: Candidate) -> bool:
    """Whether the groups of a number go on: a table of codes, and no number."""
    return (
        _ROW_BEFORE.search(candidate.before[-8:]) is not None
        or _ROW_AFTER.match(candidate.after[:8]) is not None
    )


def is_part_of_more(candidate: Candidate) -> bool:
    """Whether the value goes on: a decimal, a longer number with points, a piece of an id. A comma
    parts the columns of a table."""
    before, after = in_front(candidate)[-2:], candidate.after[:2]
    if before[-1:] in ("-", "_", ".", ":", "/") and before[:1].isalnum() and len(before) == 2:
        return not (before[-1] == ":" and before[0].isalpha())
    return after[:1] in ("-", "_", ".", ":", "/", "+", "=") and after[1:].isalnum()
