"""Validators of telephone numbers.

A number with its country code is looked up in the numbering plans; a number without one needs a
form that only telephone numbers have, or a word that says so. Refused: orders, dates, times,
measures, and runs of any digits that no word calls a telephone.
"""

from collections.abc import Callable
from typing import NamedTuple

from forestall.output.detectors import numbering_plans as plans
from forestall.output.detectors.context import (
    Words,
    digits_of,
    in_front,
    is_alone,
    is_in_code_table,
    is_near,
    is_part_of_more,
)
from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, ValidatorInput
from forestall.output.findings import Candidate, Check

_DATE = Expression(
    r"(?:19|20)\d{2}[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])\b"
    r"|(?:0?[1-9]|[12]\d|3[01])[-./ ](?:0?[1-9]|[12]\d|3[01])[-./ ](?:19|20)?\d{2}\b(?![-. ]\d)"
    r"|(?:(?:19|20)\d{2}[-./ ]{0,2}){2,}"
)
# Grouped as a social security number, a postal code, or with points as no telephone is.
_NO_TRUNK = Expression(
    r"\d{3}[- .]\d{2}[- .]\d{4}|\d{5}-\d{4}|\d{4} \d{4} \d{4}|(?!(?:\d\d\.){4}\d\d$)[\d.]+\.[\d.]+"
)
# A day and a time of a log without marks: 081110 120247.
_DAY_AND_TIME = Expression(
    r"(?:\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d\d)"
    r"[ ./-]{1,3}(?:[01]\d|2[0-3])[ .:-]?[0-5]\d(?:[ .:-]?[0-5]\d)?(?:[ .-]\d{1,6})*"
)
_DECIMAL = Expression(r"\d+\.\d+")
_AMERICAN_FORM = Expression(r"(?:1[-. ])?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?!\d)")
_EXTENSION_END = Expression(r"(?<=\d),? ?(?:x|ext\.?|#) ?\d{1,6}$")
# Nothing but a telephone number is written so, with or without a plan: a country code, then two to
# four groups.
_GROUPED = Expression(
    r"(?:\+|00)\d{1,3}(?:[ -]\(?\d{2,5}\)?){2,4}|\+\d{1,3}[ -]?\(\d{1,4}\)[ -]?[\d -]{5,12}"
)


class _PhoneWords(NamedTuple):
    """The words that may stand round a number."""

    phone: Words  # for telephones
    call: Words  # for calling
    call_me: Words  # for asking to be called
    not_a_phone: Words  # for other things that have numbers


def _is_varied(digits: str) -> bool:
    return len(set(digits)) >= 3


def _is_refused(candidate: Candidate) -> bool:
    """Whether the value, or what stands beside it, says that this is another kind of number."""
    value = candidate.value
    return (
        is_part_of_more(candidate)
        or _DATE.fullmatch(value) is not None
        or _DECIMAL.fullmatch(value) is not None
        or not _is_varied(digits_of(value))
        or is_in_code_table(candidate)
        or in_front(candidate)[-1:] in ("+", "$", "€", "£", "#", "@", "<")
        or candidate.after[:1] in ("%", "€")
    )


def _with_country(candidate: Candidate, words: _PhoneWords) -> float | None:
    """A plus or two zeros, and a number that the plan of the country has."""
    value = candidate.value
    number = _EXTENSION_END.sub("", value)
    digits = digits_of(number)
    if value[0] == "0":
        if value.isdigit() and not is_near(candidate, words.phone):
            return None  # a number filled up with zeros
        digits = digits[2:]
    before, after = candidate.before[-1:], candidate.after
    if (before.isalnum() or before in ("+", "=")) and not is_near(candidate, words.phone):
        return None
    if after[:1].isalnum() or (after[:1] == "." and after[1:2].isdigit()):
        return None
    if plans.is_international(digits):
        return 0.97
    if len(digits) > 8 and (
        is_near(candidate, words.phone, before=24) or words.call(candidate.before[-24:])
    ):
        return 0.5
    has_form = _GROUPED.fullmatch(number) is not None and _DATE.search(number) is None
    return 0.5 if has_form and plans.has_country(digits) and _is_varied(digits) else None


def _is_american(digits: str) -> bool:
    """Whether area code and exchange are such as North America gives out: none begins with 0 or 1,
    or ends with 11."""
    if len(digits) == 11:
        if digits[0] != "1":
            return False
        digits = digits[1:]
    area, exchange = digits[:3], digits[3:6]
    return not any(code[0] in "01" or code[1:] == "11" for code in (area, exchange))


def _in_american_form(candidate: Candidate, words: _PhoneWords) -> float | None:
    """Three digits, three, four: a form of its own."""
    value = _EXTENSION_END.sub("", candidate.value)
    if "." in value and "-" in value:
        return None
    if not _is_american(digits_of(value)) or _is_refused(candidate):
        return None
    if is_near(candidate, words.phone):
        return 0.95
    if is_near(candidate, words.call):
        return 0.85
    if is_near(candidate, words.not_a_phone, before=20):
        return None
    if "(" in value or "-" in value:
        return 0.75
    return 0.6 if is_alone(candidate) or "." in value else None


def _with_trunk_zero(candidate: Candidate, words: _PhoneWords) -> float | None:
    """A leading zero and groups, as most of the world dials: 020 7946 0958."""
    value = candidate.value
    digits = digits_of(value)
    if not 9 <= len(digits) <= 12 or _is_refused(candidate) or not plans.is_national(digits):
        return None
    if _NO_TRUNK.fullmatch(value) is not None:
        return None
    may_be_time = _DAY_AND_TIME.fullmatch(value) is not None
    if may_be_time and not words.phone(in_front(candidate)[-24:]):
        return None
    if is_near(candidate, words.phone) or is_near(candidate, words.call):
        return 0.9
    if is_near(candidate, words.not_a_phone, before=20) or value.isdigit():
        return 0.5 if is_alone(candidate) else None
    return 0.6


def _by_form(candidate: Candidate, words: _PhoneWords) -> float | None:
    value = candidate.value
    if value[0] == "+" or (value.startswith("00") and value[2:3] in "123456789"):
        return _with_country(candidate, words)
    if _AMERICAN_FORM.match(value):
        return _in_american_form(candidate, words)
    return _with_trunk_zero(candidate, words)


def _behind_word(candidate: Candidate, words: _PhoneWords) -> float | None:
    """Behind a word for telephones: any grouping will do."""
    digits = digits_of(candidate.value)
    if not 7 <= len(digits) <= 13 or _is_refused(candidate):
        return None
    before = candidate.before[-32:]
    if words.phone(before):
        nearest = before[-12:]
        if words.not_a_phone(nearest) and not words.phone(nearest):
            return None
        return 0.9 if plans.is_national(digits) else 0.65
    return 0.7 if words.call(before) and plans.is_national(digits) else None


def _behind_call(candidate: Candidate, words: _PhoneWords) -> float | None:
    """Behind a word for calling, which has other meanings: groups, and no word for other things."""
    digits = digits_of(candidate.value)
    if not 7 <= len(digits) <= 12 or _is_refused(candidate):
        return None
    before = candidate.before[-40:]
    if not words.call(before) or words.not_a_phone(before[-16:]):
        return None
    if candidate.value.isdigit():  # counts and times are called too: only what an American dials
        if words.call_me(before) and plans.is_national(digits):
            return 0.6
        return 0.55 if len(digits) == 10 and _is_american(digits) else None
    if plans.is_national(digits):
        return 0.7
    return 0.5 if "-" in candidate.value or "(" in candidate.value else None  # or a row of figures


def _with_words(check: Callable[[Candidate, _PhoneWords], float | None]) -> Validator:
    """A validator that hands the lists of words of its entry to a check."""

    def validator(entry: ValidatorInput) -> Check:
        words = _PhoneWords(*(entry.words[name] for name in _PhoneWords._fields))
        return lambda candidate: check(candidate, words)

    return validator


VALIDATORS: dict[str, Validator] = {
    "phone_by_form": _with_words(_by_form),
    "phone_behind_word": _with_words(_behind_word),
    "phone_behind_call": _with_words(_behind_call),
}
