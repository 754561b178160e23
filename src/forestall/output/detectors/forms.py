"""The forms of entries: what is put round a pattern, so that it finds a token by itself, a value
behind a name, a phrase, a number.

Patterns are RE2. `(?&name)` in a pattern stands for a definition of the file, as in PCRE.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from forestall.output.detectors.entries import DetectorEntry, Form

REFERENCE = "(?&"  # what a reference to a definition begins with
_REFERENCE = re.compile(r"\(\?&(\w+)\)")
_NAME_END = r"[\w.-]*"
_ASSIGNED = (
    r"[\"'`\]]{0,2}(?:\s{0,4}(?:=>|:=|->|[:=,(>])[ \t]{0,4}|[ \t]{1,3})(?:bearer |[\"'`]){0,2}"
)


class PatternReach(NamedTuple):
    """How far from a keyword a match may be, in bytes, where an entry does not say."""

    before: int
    after: int


REACHES: Mapping[Form, PatternReach] = {
    "exact": PatternReach(64, 512),
    "token": PatternReach(40, 512),
    "assigned": PatternReach(8, 200),
    "phrase": PatternReach(48, 200),
    "number": PatternReach(0, 64),
}


def references(pattern: str) -> tuple[str, ...]:
    """The names of the definitions that a pattern uses."""
    return tuple(_REFERENCE.findall(pattern))


def resolved(pattern: str, definitions: Mapping[str, str]) -> str:
    """The pattern with its definitions written out, each in a group of its own."""
    return _REFERENCE.sub(lambda match: f"(?:{definitions[match[1]]})", pattern)


def in_form(entry: DetectorEntry, pattern: str, name: str) -> str:
    """The whole pattern of an entry: `pattern` in the form of the entry, behind `name` where the
    form is `assigned`."""
    if entry.form == "assigned":
        return rf"(?i:{name}{_NAME_END}){_ASSIGNED}({pattern})(?:[^0-9A-Za-z_-]|$)"
    return _FORMS[entry.form](pattern)


def _token(pattern: str) -> str:
    # A pattern that is open at its end takes all there is; with an end behind it, a match that goes
    # on out of reach would not be found.
    end = "" if pattern.endswith(",}") else r"(?:[^0-9A-Za-z_-]|[_-]?$|[_-][^0-9A-Za-z])"
    return rf"(?:^|[^0-9A-Za-z])({pattern}){end}"


def _phrase(pattern: str) -> str:
    return pattern.replace(" ?", r"\s*").replace(" ", r"\s+")


def between_word_ends(*patterns: str) -> str:
    """Any of the patterns as whole words. One that ends with a parenthesis needs no word end."""
    whole = (
        pattern if pattern.rstrip(")").endswith("\\") else rf"(?:{pattern})\b"
        for pattern in patterns
    )
    return rf"\b(?:{'|'.join(whole)})"


_FORMS: Mapping[Form, Callable[[str], str]] = {
    "exact": str,
    "token": _token,
    "phrase": _phrase,
    "number": between_word_ends,
}
