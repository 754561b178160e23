"""Validators of telephone numbers. A number with its country is looked up in the numbering plans;
one without needs a form that only telephones have, or a word that says so.

Not a number: orders, dates, times, measures, runs of any digits that nobody calls a telephone.
"""

from collections.abc import Callable
from typing import NamedTuple

from forestall.output.detectors import numbering_plans as plans
from forestall.output.detectors.context import (
    Words,
    alone,
    in_front,
    is_in_code_table,
    is_part_of_more,
    near,
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
# No plan has it, but nothing else is written so: a country, then two to four groups.
_GROUPED = Expression(
    r"(?:\+|00)\d{1,3}(?:[ -]\(?\d{2,5}\)?){2,4}|\+\d{1,3}[ -]?\(\d{1,4}\)[ -]?[\d -]{5,12}"
)


class _Lists(NamedTuple):
    """The words round a number: for telephones, for calling, for asking to be called, and for
    other things that have numbers."""

    phone: Words
    call: Words
    asked: Words
    other: Words


def _of(given: ValidatorInput) -> _Lists:
    words = given.words
    return _Lists(words["phone"], words["call"], words["call_me"], words["not_a_phone"])


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _refused(candidate: Candidate) -> bool:
    value = candidate.value
    return (
        is_part_of_more(candidate)
        or _DATE.fullmatch(value) is not None
        or _DECIMAL.fullmatch(value) is not None
        or not _varied(_digits(value))
        or is_in_code_table(candidate)
        or in_front(candidate)[-1:] in ("+", "$", "€", "£", "#", "@", "<")
        or candidate.after[:1] in ("%", "€")
    )


def _with_country(candidate: Candidate, lists: _Lists) -> float | None:
    """A plus or two zeros, and a number that the plan of the country has."""
    value = candidate.value
    plain = _EXTENSION_END.sub("", value)
    digits = _digits(plain)
    if value[0] == "0":
        if value.isdigit() and not near(candidate, lists.phone):  # or a number filled up with zeros
            return None
        digits = digits[2:]
    before = candidate.before[-1:]
    if (before.isalnum() or before in ("+", "=")) and not near(candidate, lists.phone):
        return None
    if candidate.after[:1].isalnum() or (
        candidate.after[:1] == "." and candidate.after[1:2].isdigit()
    ):
        return None
    if plans.international(digits):
        return 0.97
    if len(digits) > 8 and (
        near(candidate, lists.phone, before=24) or lists.call(candidate.before[-24:])
    ):
        return 0.5
    written = _GROUPED.fullmatch(plain) is not None and _DATE.search(plain) is None
    return 0.5 if written and plans.country(digits) and _varied(digits) else None


def _varied(digits: str) -> bool:
    return len(set(digits)) >= 3


def _areas(digits: str) -> bool:
    """Whether area and exchange are such as North America gives out."""
    if len(digits) == 11:
        if digits[0] != "1":
            return False
        digits = digits[1:]
    return not (
        digits[0] in "01" or digits[3] in "01" or digits[1:3] == "11" or digits[4:6] == "11"
    )


def _american(candidate: Candidate, lists: _Lists) -> float | None:
    """Three, three, four: a form of its own; areas and exchanges do not begin with 0 or 1."""
    value = _EXTENSION_END.sub("", candidate.value)
    if ("." in value and "-" in value) or not _areas(_digits(value)) or _refused(candidate):
        return None
    if near(candidate, lists.phone):
        return 0.95
    if near(candidate, lists.call):
        return 0.85
    if near(candidate, lists.other, before=20):
        return None
    if "(" in value or "-" in value:
        return 0.75
    return 0.6 if alone(candidate) or "." in value else None


def _trunk(candidate: Candidate, lists: _Lists) -> float | None:
    """A leading zero and groups, as most of the world dials: 020 7946 0958."""
    digits = _digits(candidate.value)
    if not 9 <= len(digits) <= 12 or _refused(candidate) or not plans.national(digits):
        return None
    if _NO_TRUNK.fullmatch(candidate.value) is not None:
        return None
    if _DAY_AND_TIME.fullmatch(candidate.value) is not None and not lists.phone(
        in_front(candidate)[-24:]
    ):
        return None
    if near(candidate, lists.phone) or near(candidate, lists.call):
        return 0.9
    if near(candidate, lists.other, before=20) or candidate.value.isdigit():
        return 0.5 if alone(candidate) else None
    return 0.6


def _by_form(candidate: Candidate, lists: _Lists) -> float | None:
    value = candidate.value
    if value[0] == "+" or (value.startswith("00") and value[2:3] in "123456789"):
        return _with_country(candidate, lists)
    return _american(candidate, lists) if _AMERICAN_FORM.match(value) else _trunk(candidate, lists)


def _behind_word(candidate: Candidate, lists: _Lists) -> float | None:
    """Behind a word for telephones: any grouping will do."""
    digits = _digits(candidate.value)
    if not 7 <= len(digits) <= 13 or _refused(candidate):
        return None
    in_front_of_it = candidate.before[-32:]
    if lists.phone(in_front_of_it):
        if lists.other(in_front_of_it[-12:]) and not lists.phone(in_front_of_it[-12:]):
            return None
        return 0.9 if plans.national(digits) else 0.65
    return 0.7 if lists.call(in_front_of_it) and plans.national(digits) else None


def _behind_call(candidate: Candidate, lists: _Lists) -> float | None:
    """Behind a word for calling, which has other meanings: groups, and no word for other things."""
    digits = _digits(candidate.value)
    if not 7 <= len(digits) <= 12 or _refused(candidate):
        return None
    in_front_of_it = candidate.before[-40:]
    if not lists.call(in_front_of_it) or lists.other(in_front_of_it[-16:]):
        return None
    if candidate.value.isdigit():  # counts and times are called too: only what an American dials
        if lists.asked(in_front_of_it) and plans.national(digits):
            return 0.6
        return 0.55 if len(digits) == 10 and _areas(digits) else None
    if plans.national(digits):
        return 0.7
    return 0.5 if "-" in candidate.value or "(" in candidate.value else None  # or a row of figures


def _with_lists(judge: Callable[[Candidate, _Lists], float | None]) -> Validator:
    def validator(given: ValidatorInput) -> Check:
        lists = _of(given)
        return lambda candidate: judge(candidate, lists)

    return validator


VALIDATORS: dict[str, Validator] = {
    "phone_by_form": _with_lists(_by_form),
    "phone_behind_word": _with_lists(_behind_word),
    "phone_behind_call": _with_lists(_behind_call),
}
