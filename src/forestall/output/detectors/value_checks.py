"""What a pattern cannot say of a value: is it random, is it a placeholder, does its checksum hold?

Here are these checks, and the validators of secrets that need nothing else. None of them looks at
where a value stands.
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

from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, ValidatorInput
from forestall.output.findings import Candidate, Check
from forestall.output.patterns import compiled

# How much likelier one letter follows another in words and in names of programs than by chance, as
# log2 plus 4: a row for the first letter, a column for the second. Counted over the standard
# library of Python and the documentation of this repository.
_LETTER_PAIRS = [
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
_WORD = Expression(r"[A-Z]?[a-z]+|[A-Z]+")  # also one inside of a name in camel case
_A = ord("a")


def search_of(pattern: str) -> Callable[[str], bool]:
    """A function that says whether the pattern, in any case, is somewhere in a value. RE2: long
    alternatives of words cost ten times as much in `re`, and hostile texts are full of what has to
    be judged. Compiled when first called."""

    @cache
    def compiled_pattern() -> Any:
        return compiled(pattern, any_case=True, captures=False)

    return lambda value: compiled_pattern().search(value.encode("utf-8", "replace")) is not None


_stands_for_a_secret = search_of(
    r"example|sample|placeholder|change[-_]?(?:me|it)|your[-_]|[-_<]your|dummy|redacted|replace"
    r"|insert[-_]|x{4,}|\*{3,}|\.{3}|…|#{4,}|-{5,}|_{5,}|<[\pL\pN_ -]+>|\$[{(]|^\$\w"
    r"|\{\{|\}\}|%\(|%[sdr]\b"
    r"|#\{|^%\w+%$|\$\$|^\{[\w.:-]*\}|\[[\pL\pN_-]+\]|my[-_](?:secret|token|password|api|key)"
    r"|process\.env|os\.environ|getenv|secret://|vault:|^arn:|^projects/"
    r"|^(?:true|false|null|none|nil|undefined|unset|empty|string|secret|password|passwd|token|key"
    r"|value|todo|tbd|n/?a|test|default|optional|required|disabled|enabled|hidden|masked|admin)$"
)
_ALPHABET_RUN = Expression(r"abcdefg[a-z]*|1234567[890]*|0123456[789]*", re.IGNORECASE)
_STEPS = frozenset(chr(a) + chr(b) for a in range(128) for b in (a, a + 1))
JUDGED_CHARS = 192  # of a value: enough to judge, and a bound on what judging costs
_HEX = Expression(r"[0-9a-f]{16,}|[0-9A-F]{16,}")
_WRONG_CHECKSUM_CONFIDENCE = 0.7
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def entropy(value: str) -> float:
    """Shannon entropy in bits a character, by how often each occurs in the value itself."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values()) if size else 0.0


def is_wordlike(value: str) -> bool:
    """Whether the letters follow each other as in words and in names of programs."""
    score = pairs = 0
    for word in _WORD.findall(value):
        codes = [ord(letter) - _A for letter in word.lower()]
        for first, second in pairwise(codes):
            score += int(_LETTER_PAIRS[first][second]) - 4
            pairs += 1
    return pairs > 0 and score / pairs >= _WORDLIKE_MIN


def _is_monotonous(value: str) -> bool:
    """Whether a value is one character again and again, or runs along the alphabet or the digits,
    for the most part."""
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


def is_placeholder(value: str) -> bool:
    """Whether a value stands for a secret: a variable, an example, a mask, a word for it."""
    value = value[:JUDGED_CHARS]
    if _is_monotonous(value) or _stands_for_a_secret(value):
        return True
    run = _ALPHABET_RUN.search(value)
    return run is not None and 3 * len(run[0]) >= len(value)


def is_random(value: str, *, length_min: int = 12) -> bool:
    """Whether a value looks drawn, not written: long enough, mixed, and no words in it."""
    value = value[:JUDGED_CHARS]
    if len(value) < length_min or is_placeholder(value):
        return False
    digits = sum(map(str.isdigit, value))
    letters = sum(map(str.isalpha, value))
    if _HEX.fullmatch(value) and digits * 4 >= len(value) and letters:
        return entropy(value) > 2.0
    if entropy(value) < min(3.0, math.log2(len(value)) - 1.0):
        return False
    if digits == 0:
        is_snake_case = "_" in value and value.islower()
        return letters >= 16 and not is_wordlike(value) and not is_snake_case
    if letters == 0:
        return digits >= 20
    if not is_wordlike(value):
        return True
    return digits * 5 >= len(value) and letter_digit_changes(value) * 4 >= len(value)


def letter_digit_changes(value: str) -> int:
    """The number of places where a digit follows another character, or another one a digit."""
    return sum(a.isdigit() != b.isdigit() for a, b in pairwise(value))


# -- validators --


def _not_placeholder(entry: ValidatorInput) -> Check:
    """Refuses what stands for a secret."""
    return lambda candidate: (
        None if is_placeholder(candidate.value[entry.skip :]) else entry.confidence
    )


def _random(entry: ValidatorInput) -> Check:
    """Refuses what looks written, not drawn."""

    def check(candidate: Candidate) -> float | None:
        looks_drawn = is_random(candidate.value[entry.skip :], length_min=entry.length_min)
        return entry.confidence if looks_drawn else None

    return check


def decoded_base64(text: str) -> bytes | None:
    """The bytes of base64 without its padding, or with it; None when it is no base64."""
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return None


def _crc32_in_base62(body: str) -> str:
    """The six characters of checksum that tokens of GitHub and npm end with."""
    number, text = binascii.crc32(body.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        text = _BASE62[digit] + text
    return text.rjust(6, "0")


def _crc32_base62(entry: ValidatorInput) -> Check:
    """Surest when the checksum in the last six characters holds. One that does not is a token
    with a mistake in it, or an invented one: kept, but less sure."""

    def check(candidate: Candidate) -> float | None:
        if is_placeholder(candidate.value[entry.skip :]):
            return None
        body, checksum = candidate.value[entry.skip : -6], candidate.value[-6:]
        holds = _crc32_in_base62(body) == checksum
        return entry.confidence if holds else _WRONG_CHECKSUM_CONFIDENCE

    return check


VALIDATORS: dict[str, Validator] = {
    "not_placeholder": _not_placeholder,
    "random": _random,
    "crc32_base62": _crc32_base62,
}
