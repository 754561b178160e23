"""What the words around a number say about it.

Lists hold words of several languages. A short word counts only as a word of its own, a long word
also inside of names (`customerPhone`). Linear: RE2 over the little text that a candidate carries.
"""

import string
from collections.abc import Callable
from functools import cache
from typing import Any

import re2

from forestall.output.detectors.expressions import Expression
from forestall.output.findings import Candidate, is_keyword
from forestall.output.patterns import compiled

_BEFORE_CHARS, _AFTER_CHARS = 64, 24
_LONG_CHARS = 5  # shorter words count only where no letter touches them
_WORD_MEMORY_BYTES = 16 << 20
_WORD_ENDS = f"{string.punctuation}{string.whitespace}"

# A group of a code table: four hexadecimal digits.
_CODE_BEFORE = Expression(r"\b(?=[a-fA-F]{0,3}\d)[0-9A-Fa-f]{4}[ .-]$")
_CODE_AFTER = Expression(r"^[ .-](?=[a-fA-F]{0,3}\d)[0-9A-Fa-f]{4}(?:[ .\n\]-]|$)")

_ASCII_RUN = Expression(r"[a-z][a-z_ .#-]*[a-z]")

# Whether one word of a list stands in a text.
Words = Callable[[str], bool]


def words(listed: str) -> Words:
    """A function that says whether one of the words, which bars separate, stands in a text, in any
    case. Compiled when first called."""
    of_list = listed.split("|")

    @cache
    def pattern() -> Any:
        short = "|".join(re2.escape(word) for word in of_list if _is_short(word))
        long = "|".join(re2.escape(word) for word in of_list if not _is_short(word))
        short_alone = rf"(?:^|[^\pL])(?:{short})s?(?:[^\pL]|$)" if short else ""
        either = "|".join(filter(None, (short_alone, long)))
        return compiled(either, any_case=True, memory_bytes=_WORD_MEMORY_BYTES)

    return lambda text: pattern().search(text.encode("utf-8", "replace")) is not None


def keywords(listed: str) -> tuple[str, ...]:
    """The words of a list, which bars separate, as keywords of a kind."""
    per_word = (_keywords_of_word(word) for word in listed.lower().split("|"))
    return tuple(dict.fromkeys(keyword for found in per_word for keyword in found))


def _keywords_of_word(word: str) -> tuple[str, ...]:
    if _is_short(word):
        # With what may stand behind it, so that `tin` does not make the scan look at every
        # `testing`. Two letters and a digit are hexadecimal more often than a word.
        digits = string.digits if len(word) > 2 else ""
        return tuple(word + end for end in _WORD_ENDS + digits)
    # The scan folds the case of ASCII only: of `RODNÉ ČÍSLO` it can look for `rodn`; a word of
    # another script is looked for in each case.
    ascii_part = max(_ASCII_RUN.findall(word), key=len, default="")
    if len(ascii_part) >= _LONG_CHARS - 1:
        return (ascii_part,)
    if word.isascii():
        return (word,)
    return tuple(filter(is_keyword, (word, word.capitalize(), word.upper())))


def _is_short(word: str) -> bool:
    return len(word) < _LONG_CHARS and word.isascii()


def matched_in_front(candidate: Candidate) -> str:
    """The part of the match in front of the value."""
    return candidate.matched.partition(candidate.value)[0]


def in_front(candidate: Candidate) -> str:
    """The text in front of the value, in the match and in front of it."""
    return candidate.before + matched_in_front(candidate)


def is_near(candidate: Candidate, stand_in: Words, *, before: int = _BEFORE_CHARS) -> bool:
    """Whether one of the words stands close in front of the value (within `before` characters), or
    right behind."""
    return stand_in(f"{in_front(candidate)[-before:]}\n{candidate.after[:_AFTER_CHARS]}")


def is_alone(candidate: Candidate) -> bool:
    """Whether nothing else is in the text: then the value is an answer to a question for it."""
    return not in_front(candidate).strip() and not candidate.after.strip()


def is_in_code_table(candidate: Candidate) -> bool:
    """Whether groups as those of the value stand beside it: a table of codes, and no number."""
    return (
        _CODE_BEFORE.search(candidate.before[-8:]) is not None
        or _CODE_AFTER.match(candidate.after[:8]) is not None
    )


def is_part_of_more(candidate: Candidate) -> bool:
    """Whether the value is a part of a decimal, of a longer number with points, or of an id. A
    comma is no such sign: it separates the columns of a table."""
    before, after = in_front(candidate)[-2:], candidate.after[:2]
    if before[-1:] in ("-", "_", ".", ":", "/") and before[:1].isalnum() and len(before) == 2:
        is_labelled = before[-1] == ":" and before[0].isalpha()  # as in `tel:`
        return not is_labelled
    return after[:1] in ("-", "_", ".", ":", "/", "+", "=") and after[1:].isalnum()


def digits_of(value: str) -> str:
    """The digits of a number, without what separates them."""
    return "".join(filter(str.isdigit, value))


def separators_of(value: str) -> set[str]:
    """The characters of a number that are no digits."""
    return {character for character in value if not character.isdigit()}
