"""Validators of numbers of payment cards. Length and beginning are an issuer's, and Luhn holds.

Numbers made for tests count: they are built as the real ones, and labels call them cards.
"""

from functools import cache

import msgspec

from forestall.data_tables import read_table
from forestall.output.detectors.check_digits import luhn
from forestall.output.detectors.context import is_in_code_table, is_part_of_more, near
from forestall.output.detectors.validation import Validator, ValidatorInput, own_confidence
from forestall.output.findings import Candidate, Check

_ALONE_DIGITS = 14  # shorter ones need a word


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Beginnings of numbers, first to last, both included, and how many digits those numbers have.

    Of a weak one so many other numbers begin alike that a word for cards has to stand near."""

    network: str
    first: str
    last: str
    lengths: tuple[int, ...]
    weak: bool = False


class Ranges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table of them; the first that fits is the one."""

    ranges: tuple[Range, ...]


@cache
def _ranges() -> tuple[Range, ...]:
    return read_table("forestall.output", "data/payment_card_ranges.yaml", Ranges).value.ranges


def _issued(digits: str) -> Range | None:
    """The range by which the number may be one of an issuer."""
    size = len(digits)
    for each in _ranges():
        if size in each.lengths and each.first <= digits[: len(each.first)] <= each.last:
            return each
    return None


def _digits(value: str) -> str:
    return "".join(filter(str.isdigit, value))


def _plain(digits: str) -> bool:
    """What a card's number never is: a check that fails, one digit again and again."""
    return not luhn(digits) or len(set(digits)) < 2


def _card(given: ValidatorInput) -> Check:
    """By its form: the beginning and the length of a network that gives cards to many."""
    card, other = given.words["card"], given.words["not_a_card"]

    def check(candidate: Candidate) -> float | None:
        value = candidate.value
        digits = _digits(value)
        if _plain(digits) or is_part_of_more(candidate) or is_in_code_table(candidate):
            return None
        issuer = _issued(digits)
        if near(candidate, card):
            return 0.98 if issuer else 0.6
        if issuer is None or issuer.weak or len(digits) < _ALONE_DIGITS:
            return None
        separators = {each for each in value if not each.isdigit()}
        if separators:
            return 0.9 if len(separators) == 1 and separators != {"."} else None
        return None if near(candidate, other, before=24) else 0.75

    return check


def _named(given: ValidatorInput) -> Check:
    """By a word for cards: any length and beginning will do, where no other word is nearer. Or by a
    word of paying: what has an issuer's beginning near one is a card, whatever its length."""
    card, other, paying = (given.words[name] for name in ("card", "not_a_card", "paying"))

    def check(candidate: Candidate) -> float | None:
        digits = _digits(candidate.value)
        if _plain(digits) or is_part_of_more(candidate) or is_in_code_table(candidate):
            return None
        issued = _issued(digits) is not None
        if near(candidate, card):
            return 0.98 if issued else None if near(candidate, other, before=16) else 0.6
        return (
            0.6
            if issued and near(candidate, paying) and not near(candidate, other, before=24)
            else None
        )

    return check


def _whole(candidate: Candidate) -> float | None:
    """All of the text, as an answer is: then shorter ones need no word."""
    digits = _digits(candidate.value)
    return None if _plain(digits) or _issued(digits) is None else 0.55


VALIDATORS: dict[str, Validator] = {
    "payment_card": _card,
    "payment_card_behind_word": _named,
    "payment_card_alone": own_confidence(_whole),
}
