"""Validators of numbers of payment cards: length and first digits are an issuer's, and Luhn holds.

Numbers made for tests count: they are built as real ones are.
"""

from functools import cache

import msgspec

from forestall.data_tables import read_table
from forestall.output.detectors.check_digits import luhn
from forestall.output.detectors.context import (
    digits_of,
    is_in_code_table,
    is_near,
    is_part_of_more,
    separators_of,
)
from forestall.output.detectors.validation import Validator, ValidatorInput, own_confidence
from forestall.output.findings import Candidate, Check

_UNNAMED_DIGITS_MIN = 14  # shorter numbers need a word


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A range of first digits, both ends included, and how many digits such numbers have.

    `weak`: so many other numbers begin alike that a word for cards has to stand near."""

    network: str
    first: str
    last: str
    lengths: tuple[int, ...]
    weak: bool = False


class Ranges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table of the ranges; of several that fit, the first counts."""

    ranges: tuple[Range, ...]


@cache
def _ranges() -> tuple[Range, ...]:
    return read_table("forestall.output", "data/payment_card_ranges.yaml", Ranges).value.ranges


def _range_of(digits: str) -> Range | None:
    """The range of the issuer that may have given the number out."""
    for issued in _ranges():
        first_digits = digits[: len(issued.first)]
        if len(digits) in issued.lengths and issued.first <= first_digits <= issued.last:
            return issued
    return None


def _is_valid(digits: str) -> bool:
    """Whether Luhn holds, and not for one digit again and again."""
    return luhn(digits) and len(set(digits)) >= 2


def _may_be_card(candidate: Candidate, digits: str) -> bool:
    return _is_valid(digits) and not is_part_of_more(candidate) and not is_in_code_table(candidate)


def _card(entry: ValidatorInput) -> Check:
    """By its form: first digits and length of a network that gives cards to many."""
    card, other = entry.words["card"], entry.words["not_a_card"]

    def check(candidate: Candidate) -> float | None:
        value = candidate.value
        digits = digits_of(value)
        if not _may_be_card(candidate, digits):
            return None
        issued = _range_of(digits)
        if is_near(candidate, card):
            return 0.98 if issued is not None else 0.6
        if issued is None or issued.weak or len(digits) < _UNNAMED_DIGITS_MIN:
            return None
        separators = separators_of(value)
        if separators:
            return 0.9 if len(separators) == 1 and separators != {"."} else None
        return None if is_near(candidate, other, before=24) else 0.75

    return check


def _card_behind_word(entry: ValidatorInput) -> Check:
    """By a word for cards: any number will do, unless a word for other things is nearer. Or by a
    word of paying: then the number has to be an issuer's."""
    card, other, paying = (entry.words[name] for name in ("card", "not_a_card", "paying"))

    def check(candidate: Candidate) -> float | None:
        digits = digits_of(candidate.value)
        if not _may_be_card(candidate, digits):
            return None
        is_issued = _range_of(digits) is not None
        if is_near(candidate, card):
            if is_issued:
                return 0.98
            return None if is_near(candidate, other, before=16) else 0.6
        is_paid = is_near(candidate, paying) and not is_near(candidate, other, before=24)
        return 0.6 if is_issued and is_paid else None

    return check


def _card_alone(candidate: Candidate) -> float | None:
    """A number that is all of the text, as an answer is: then a shorter number needs no word."""
    digits = digits_of(candidate.value)
    return 0.55 if _is_valid(digits) and _range_of(digits) is not None else None


VALIDATORS: dict[str, Validator] = {
    "payment_card": _card,
    "payment_card_behind_word": _card_behind_word,
    "payment_card_alone": own_confidence(_card_alone),
}
