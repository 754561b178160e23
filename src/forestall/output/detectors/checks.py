"""What a pattern cannot say: is this value random, is it a placeholder, does its checksum hold?

Facts about values, used by the tables. Never about where a value stands, except for the few words
around it that a candidate carries.
"""

import binascii
import math
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from operator import add
from typing import Any

import re2

from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, ValidatorInput
from forestall.output.findings import Candidate, Check

# How much likelier one letter follows another in words and names of programs than by chance, as
# log2 plus 4: a row for the first letter, a column for the second. Counted over the standard
# library of Python and the documentation of this repository.
_FOLLOWS = [
    "04540130403645040656331230",
    "52426000540620520442600051",
    "60306005405510700426400020",
    "51047100600412500352410030",
    "41563420100446142665032420",
    "50225500700401610534500030",
    "40107025500425410553520000",
    "60007000600121600414300010",
    "33544430001547530455030203",
    "50107000303000720140600020",
    "40128120600405210262304000",
    "50147200600601520144411050",
    "64027000500241560042400010",
    "50555360402303510056330020",
    "23452320203457340645534000",
    "60126001400600650635401040",
    "11020000000301012320900000",
    "51337230502244510455311040",
    "40417114502222440157502030",
    "50327106600310520554402040",
    "44435330400556250666000000",
    "70008000600011400000010000",
    "61126006600304500540002100",
    "52625202600320260137000430",
    "23314210500445560366024022",
    "50218100600231510121100021",
]
_WORDLIKE_MIN = 0.2  # mean over a value: names are above 0.27, random letters below 0.15
_LETTERS = Expression(r"[A-Z]?[a-z]+|[A-Z]+")
_A = ord("a")


def holder(pattern: str) -> Callable[[str], bool]:
    """Whether a pattern, in any case, is somewhere in a value. RE2: long alternatives of words cost
    ten times as much in `re`, and hostile texts are full of what has to be judged. Compiled when
    first asked."""

    @cache
    def compiled() -> Any:
        options = re2.Options()
        options.case_sensitive = False
        options.never_capture = True
        return re2.compile(pattern, options)

    return lambda value: compiled().search(value.encode("utf-8", "replace")) is not None


_is_placeholder = holder(
    r"example|sample|placeholder|change[-_]?(?:me|it)|your[-_]|[-_<]your|dummy|redacted|replace"
    r"|insert[-_]|x{4,}|\*{3,}|\.{3}|…|#{4,}|-{5,}|_{5,}|<[\pL\pN_ -]+>|\$[{(]|^\$\w"
    r"|\{\{|\}\}|%\(|%[sdr]\b"
    r"|#\{|^%\w+%$|\$\$|^\{[\w.:-]*\}|\[[\pL\pN_-]+\]|my[-_](?:secret|token|password|api|key)"
    r"|process\.env|os\.environ|getenv|secret://|vault:|^arn:|^projects/"
    r"|^(?:true|false|null|none|nil|undefined|unset|empty|string|secret|password|passwd|token|key"
    r"|value|todo|tbd|n/?a|test|default|optional|required|disabled|enabled|hidden|masked|admin)$"
)
_RUN = Expression(r"abcdefg[a-z]*|1234567[890]*|0123456[789]*", re.IGNORECASE)
_STEPS = frozenset(chr(a) + chr(b) for a in range(128) for b in (a, a + 1))
_LOOKED_AT_CHARS = 192  # of a value: enough to judge, and a bound on what judging costs
_HEX = Expression(r"[0-9a-f]{16,}|[0-9A-F]{16,}")
_WRONG_CHECKSUM = 0.7
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def entropy(value: str) -> float:
    """Bits a character, by how often each occurs in the value itself."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values()) if size else 0.0


def wordlike(value: str) -> bool:
    """Whether the letters follow each other as in words and in names of programs."""
    score = pairs = 0
    for word in _LETTERS.findall(value):
        codes = [ord(letter) - _A for letter in word.lower()]
        for first, second in pairwise(codes):
            score += int(_FOLLOWS[first][second]) - 4
            pairs += 1
    return pairs > 0 and score / pairs >= _WORDLIKE_MIN


def monotonous(value: str) -> bool:
    """One character again and again, or a run along the alphabet or the digits."""
    if len(value) < 4:
        return True
    commonest = Counter(value.lower()).most_common(1)[0][1]
    if commonest * 2 > len(value):
        return True
    if value.isascii():
        steps = sum(map(_STEPS.__contains__, map(add, value, value[1:])))
    else:
        steps = sum(ord(b) - ord(a) in (0, 1) for a, b in pairwise(value))
    return steps * 2 > len(value)


def placeholder(value: str) -> bool:
    """Something that stands for a secret: a variable, an example, a mask, a word for it."""
    value = value[:_LOOKED_AT_CHARS]
    if monotonous(value) or _is_placeholder(value):
        return True
    run = _RUN.search(value)
    return run is not None and 3 * len(run[0]) >= len(value)


def random(value: str, *, length_min: int = 12) -> bool:
    """Whether a value looks drawn, not written: long enough, mixed, and no words in it."""
    value = value[:_LOOKED_AT_CHARS]
    if len(value) < length_min or placeholder(value):
        return False
    digits = sum(map(str.isdigit, value))
    letters = sum(map(str.isalpha, value))
    if _HEX.fullmatch(value) and digits * 4 >= len(value) and letters:
        return entropy(value) > 2.0
    if entropy(value) < min(3.0, math.log2(len(value)) - 1.0):
        return False
    if digits == 0:
        return letters >= 16 and not wordlike(value) and not ("_" in value and value.islower())
    if letters == 0:
        return digits >= 20
    return not wordlike(value) or (digits * 5 >= len(value) and switches(value) * 4 >= len(value))


def switches(value: str) -> int:
    """How often digits and letters follow each other."""
    return sum(a.isdigit() != b.isdigit() for a, b in pairwise(value))


# -- validators --


def _not_placeholder(given: ValidatorInput) -> Check:
    """Refuses what stands for a secret."""
    return lambda candidate: (
        None if placeholder(candidate.value[given.skip :]) else given.confidence
    )


def _random(given: ValidatorInput) -> Check:
    """Refuses what looks written."""

    def check(candidate: Candidate) -> float | None:
        drawn = random(candidate.value[given.skip :], length_min=given.length_min)
        return given.confidence if drawn else None

    return check


def crc32_base62(body: str, checksum: str) -> bool:
    """Whether the checksum at the end of tokens of GitHub and npm holds."""
    number, text = binascii.crc32(body.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        text = _BASE62[digit] + text
    return text.rjust(6, "0") == checksum


def _crc32_base62(given: ValidatorInput) -> Check:
    """Surest when the checksum in the last six characters holds. One that does not is a token
    with a mistake in it, or an invented one: kept, but less sure."""

    def check(candidate: Candidate) -> float | None:
        body = candidate.value[given.skip : -6]
        if placeholder(candidate.value[given.skip :]):
            return None
        return given.confidence if crc32_base62(body, candidate.value[-6:]) else _WRONG_CHECKSUM

    return check


VALIDATORS: dict[str, Validator] = {
    "not_placeholder": _not_placeholder,
    "random": _random,
    "crc32_base62": _crc32_base62,
}
