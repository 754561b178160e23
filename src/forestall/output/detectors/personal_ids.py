"""The kinds of numbers that states give to persons, made from the table `national_numbers.yaml`.

A number that a chance one is unlikely to be is found wherever it stands; one that is digits and one
check digit needs a word that names it, or to be all of the text. A check that fails is no finding,
whatever the words say, but for the few states that stopped giving checks.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from forestall.output.detectors.context import (
    Words,
    is_in_code_table,
    is_part_of_more,
    keywords,
    words,
)
from forestall.output.detectors.entries import StateNumber, as_tuple
from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.forms import REACHES, between_word_ends
from forestall.output.detectors.national_numbers import VALIDATORS, Valid
from forestall.output.findings import Candidate, Check, Kind

_SEPARATOR = Expression(r"[^0-9A-Za-z+]")
_REACH = REACHES["number"]
_UNCHECKED_CONFIDENCE = 0.7
_ALONE_CONFIDENCE, _ALONE_IN_GROUPS_CONFIDENCE = 0.55, 0.65
_SHOWN_END = 2


class _WrittenForm(NamedTuple):
    """A form in which a number is written, and the check of a number in that form."""

    form: Expression
    valid: Valid
    confidence: float

    def holds(self, written: str, number: str) -> bool:
        """Whether a number is written in this form, and its check holds. `number` is the same in
        capitals without separators."""
        return self.form.fullmatch(written) is not None and self.valid(number)


def kinds_of(numbers: Sequence[StateNumber], resolve: Callable[[str], str]) -> tuple[Kind, ...]:
    """The kinds of a table: one for each number behind its words, and two for all of them without
    a word. `resolve` writes the definitions of a pattern out."""
    return (
        *(_behind_word(number, resolve(number.pattern)) for number in numbers),
        _anywhere(numbers, resolve),
        _alone(numbers, resolve),
    )


def _behind_word(number: StateNumber, pattern: str) -> Kind:
    listed = "|".join(as_tuple(number.words))
    return Kind(
        name=f"national_id_{number.kind}",
        pattern=between_word_ends(pattern),
        keywords=keywords(listed),
        before=_REACH.before,
        after=_REACH.after,
        confidence=number.confidence,
        check=_check_behind_word(number, words(listed)),
        shown_end=_SHOWN_END,
    )


def _check_behind_word(number: StateNumber, stands_in: Words) -> Check:
    valid = VALIDATORS[number.validator]
    valid_unchecked = VALIDATORS[number.unchecked] if number.unchecked else None

    def check(candidate: Candidate) -> float | None:
        value = _without_separators(candidate.value)
        if valid(value):
            confidence = number.confidence
        elif valid_unchecked is not None and valid_unchecked(value):
            confidence = _UNCHECKED_CONFIDENCE
        else:
            return None
        if is_part_of_more(candidate):
            return None
        return confidence if stands_in(candidate.before[-_REACH.after :]) else None

    return check


def _anywhere(numbers: Sequence[StateNumber], resolve: Callable[[str], str]) -> Kind:
    """A number of whatever state, by its form and its check alone."""
    patterns: list[str] = []
    forms: list[_WrittenForm] = []
    for number in numbers:
        if number.without_word is not None:
            pattern, confidence = (
                resolve(number.without_word.pattern),
                number.without_word.confidence,
            )
            patterns.append(pattern)
            valid = VALIDATORS[number.validator]
            forms.append(_WrittenForm(Expression(pattern), valid, confidence))

    def check(candidate: Candidate) -> float | None:
        if is_in_code_table(candidate) or is_part_of_more(candidate):
            return None
        value = _without_separators(candidate.value)
        return next((form.confidence for form in forms if form.holds(candidate.value, value)), None)

    return Kind(
        name="national_id",
        pattern=between_word_ends(*patterns),
        check=check,
        shown_end=_SHOWN_END,
    )


def _alone(numbers: Sequence[StateNumber], resolve: Callable[[str], str]) -> Kind:
    """A number that is all of the text, as an answer is: in digits, where few numbers of so many
    digits pass its check; or in groups of its own, which a long number in thousands does not
    have."""
    in_digits = [VALIDATORS[number.alone] for number in numbers if number.alone]
    in_groups = [
        _WrittenForm(
            Expression(resolve(number.alone_in_groups.pattern)),
            VALIDATORS[number.alone_in_groups.validator],
            _ALONE_IN_GROUPS_CONFIDENCE,
        )
        for number in numbers
        if number.alone_in_groups is not None
    ]

    def check(candidate: Candidate) -> float | None:
        value = _without_separators(candidate.value)
        if value != candidate.value:
            is_number = any(form.holds(candidate.value, value) for form in in_groups)
            return _ALONE_IN_GROUPS_CONFIDENCE if is_number else None
        return _ALONE_CONFIDENCE if any(valid(value) for valid in in_digits) else None

    return Kind(
        name="national_id",
        pattern=r"\A\s*([0-9]{2,6}(?:[ -][0-9]{1,5}){2,3}|[0-9]{9,15})\s*\z",
        check=check,
        shown_end=_SHOWN_END,
    )


def _without_separators(text: str) -> str:
    return _SEPARATOR.sub("", text).upper()
