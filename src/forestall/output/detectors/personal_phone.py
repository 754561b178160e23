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
    in_a_row,
    in_front,
    near,
    part_of_more,
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


def _refused(found: Candidate) -> bool:
    value = found.value
    return (
        part_of_more(found)
        or _DATE.fullmatch(value) is not None
        or _DECIMAL.fullmatch(value) is not None
        or not _varied(_digits(value))
        or in_a_row(found)
        or in_front(found)[-1:] in ("+", "$", "€", "£", "#", "@", "<")
        or found.after[:1] in ("%", "€")
    )


def _with_country(found: Candidate, lists: _Lists) -> float | None:
    """A plus or two zeros, and a number that the plan of the country has."""
    value = found.value
    plain = _EXTENSION_END.sub("", value)
    digits = _digits(plain)
    if value[0] == "0":
        if value.isdigit() and not near(found, lists.phone):  # or a number filled up with zeros
            return None
        digits = digits[2:]
    before = found.before[-1:]
    if (before.isalnum() or before in ("+", "=")) and not near(found, lists.phone):
        return None
    if found.after[:1].isalnum() or (found.after[:1] == "." and found.after[1:2].isdigit()):
        return None
    if plans.international(digits):
        return 0.97
    if len(digits) > 8 and (near(found, lists.phone, before=24) or lists.call(found.before[-24:])):
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


def _american(found: Candidate, lists: _Lists) -> float | None:
    """Three, three, four: a form of its own; areas and exchanges do not begin with 0 or 1."""
    value = _EXTENSION_END.sub("", found.value)
    if ("." in value and "-" in value) or not _areas(_digits(value)) or _refused(found):
        return None
    if near(found, lists.phone):
        return 0.95
    if near(found, lists.call):
        return 0.85
    if near(found, lists.other, before=20):
        return None
    if "(" in value or "-" in value:
        return 0.75
    return 0.6 if alone(found) or "." in value else None


def _trunk(found: Candidate, lists: _Lists) -> float | None:
    """A leading zero and groups, as most of the world dials: 020 7946 0958."""
    digits = _digits(found.value)
    if not 9 <= len(digits) <= 12 or _refused(found) or not plans.national(digits):
        return None
    if _NO_TRUNK.fullmatch(found.value) is not None:
        return None
    if _DAY_AND_TIME.fullmatch(found.value) is not None and not lists.phone(in_front(found)[-24:]):
        return None
    if near(found, lists.phone) or near(found, lists.call):
        return 0.9
    if near(found, lists.other, before=20) or found.value.isdigit():
        return 0.5 if alone(found) else None
    return 0.6


def _by_form(found: Candidate, lists: _Lists) -> float | None:
    value = found.value
    if value[0] == "+" or (value.startswith("00") and value[2:3] in "123456789"):
        return _with_country(found, lists)
    return _american(found, lists) if _AMERICAN_FORM.match(value) else _trunk(found, lists)


def _behind_word(found: Candidate, lists: _Lists) -> float | None:
    """Behind a word for telephones: any grouping will do."""
    digits = _digits(found.value)
    if not 7 <= len(digits) <= 13 or _refused(found):
        return None
    in_front_of_it = found.before[-32:]
    if lists.phone(in_front_of_it):
        if lists.other(in_front_of_it[-12:]) and not lists.phone(in_front_of_it[-12:]):
            return None
        return 0.9 if plans.national(digits) else 0.65
    return 0.7 if lists.call(in_front_of_it) and plans.national(digits) else None


def _behind_call(found: Candidate, lists: _Lists) -> float | None:
    """Behind a word for calling, which has other meanings: groups, and no word for other things."""
    digits = _digits(found.value)
    if not 7 <= len(digits) <= 12 or _refused(found):
        return None
    in_front_of_it = found.before[-40:]
    if not lists.call(in_front_of_it) or lists.other(in_front_of_it[-16:]):
        return None
    if found.value.isdigit():  # counts and times are called too: only what an American dials
        if lists.asked(in_front_of_it) and plans.national(digits):
            return 0.6
        return 0.55 if len(digits) == 10 and _areas(digits) else None
    if plans.national(digits):
        return 0.7
    return 0.5 if "-" in found.value or "(" in found.value else None  # or a row of figures


def _with_lists(judge: Callable[[Candidate, _Lists], float | None]) -> Validator:
    def validator(given: ValidatorInput) -> Check:
        lists = _of(given)
        return lambda found: judge(found, lists)

    return validator


VALIDATORS: dict[str, Validator] = {
    "phone_by_form": _with_lists(_by_form),
    "phone_behind_word": _with_lists(_behind_word),
    "phone_behind_call": _with_lists(_behind_call),
}
