"""Refuse texts that look like an operator of another language, and values that no deriver gives.

Texts in a rule are globs or exact words. `!users` is the text `!users` here, not "all but users",
so the rule would match nothing and nobody would notice. Such a text is a problem that says how the
meaning is written; an author who means the text itself writes `{literal: "!users"}`.
"""

import re
from functools import lru_cache

from forestall.facts.label_values import CLOSED_VALUES
from forestall.policy.globs import GlobError, compile_globs
from forestall.policy.problems import did_you_mean

LITERAL_KEY = "literal"
_TEXTS_KEPT = 4_096  # whose hints are remembered

_UNLESS = "write what is excepted under `unless`, or as `{not: [a]}`"
_NUMBERS = (
    "numbers are compared in a label as `{gt: 100}`, and under `args`, such as"
    " `args: {$.amount: {gt: 100}}`"
)
_PATTERN = (
    "this is a glob: `*` stands for any run of characters; a regular expression stands under"
    " `args`, as `matches`"
)
_LIST = "write a list: any of its entries is enough"
# What the beginning of a text means elsewhere, and how that is written here.
_OPERATORS = (
    (re.compile(r"(?:=~|!~|~)\s*[^\s/\\~]"), _PATTERN),
    (re.compile(r"!=?\s*[^\s!=]|(?:not|NOT|Not)[\s:(]"), _UNLESS),
    (re.compile(r"(?:[<>]=?|=[<>])\s*[^\s<>=]"), _NUMBERS),
    (re.compile(r"==?\s*[^\s=]"), "write the value alone"),
    (re.compile(r"\^\s*[^\s^]|\(\?[A-Za-z:=!<]"), _PATTERN),
    (re.compile(r"(?:re|regex|regexp|pattern|matches|like)\s*[:(=]\s*\S", re.IGNORECASE), _PATTERN),
    (re.compile(r"(?:gte?|ge|lte?|le)\s*[:(=]\s*\S", re.IGNORECASE), _NUMBERS),
    (re.compile(r"(?:ne|neq|nin|not_in)\s*[:(=]\s*\S", re.IGNORECASE), _UNLESS),
    (re.compile(r"(?:eq|glob|literal|exact)\s*[:(=]\s*\S"), "write the value alone"),
    (re.compile(r"(?:in|any|oneof|one_of)\s*[(\[:]\s*\S", re.IGNORECASE), _LIST),
)


@lru_cache(maxsize=_TEXTS_KEPT)  # named lists stand in many rules
def operator_hint(text: str) -> str:
    """How to write what a text means in a language with operators; empty for no such text."""
    for pattern, hint in _OPERATORS:
        if pattern.match(text):
            return f"{hint}; the text itself is written {{{LITERAL_KEY}: …}}"
    return ""


def glob_of_literal(text: str) -> str:
    """The glob that matches this text and no other."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)


def value_problem(label: str, glob: str) -> tuple[str, str]:
    """Why no value of a derived label matches the glob, and a hint; two empty texts otherwise."""
    values = CLOSED_VALUES.get(label)
    if values is None or glob in values:
        return "", ""
    try:
        if any(map(compile_globs([glob]), values)):
            return "", ""
    except GlobError:
        return "", ""  # the reader has noted that it is no glob
    message = f"`{label}` never has the value `{glob[:80]}`: it is one of {', '.join(values)}"
    return message, did_you_mean(glob, values)
