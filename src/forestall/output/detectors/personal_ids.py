"""Personal data: numbers that states give to persons, by the table `national_numbers.yaml`.

A number that a chance one is unlikely to be is found wherever it stands; one that is digits and one
check digit needs a word that names it, or to be all of the text. A check that fails is no finding,
whatever the words say, but for the few states that stopped giving checks.
"""

from collections.abc import Callable, Sequence

from forestall.output.detectors import national_numbers
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
from forestall.output.findings import Candidate, Check, Kind

_SEPARATOR = Expression(r"[^0-9A-Za-z+]")
_REACH = REACHES["number"]
_UNCHECKED_CONFIDENCE = 0.7
_ALONE_CONFIDENCE, _ALONE_IN_GROUPS_CONFIDENCE = 0.55, 0.65
_SHOWN_END = 2

Valid = Callable[[str], bool]


def validator(name: str) -> Valid | None:
    """The check of a number in capitals without separators; None where there is none so named."""
    return national_numbers.VALIDATORS.get(name)


def kinds_of(numbers: Sequence[StateNumber], resolve: Callable[[str], str]) -> tuple[Kind, ...]:
    """The kinds of a table: one for each number behind its words, and two for all of them without
    a word. `resolve` writes the definitions of a pattern out."""
    free = tuple(
        (resolve(each.without_word.pattern), _valid(each.validator), each.without_word.confidence)
        for each in numbers
        if each.without_word is not None
    )
    alone = tuple(_valid(each.alone) for each in numbers if each.alone)
    groups = tuple(
        (resolve(each.alone_in_groups.pattern), _valid(each.alone_in_groups.validator))
        for each in numbers
        if each.alone_in_groups is not None
    )
    return (
        *(_behind_word(each, resolve(each.pattern)) for each in numbers),
        Kind(
            name="national_id",
            pattern=between_word_ends(*(pattern for pattern, _, _ in free)),
            check=_anywhere(free),
            shown_end=_SHOWN_END,
        ),
        Kind(
            name="national_id",
            pattern=r"\A\s*([0-9]{2,6}(?:[ -][0-9]{1,5}){2,3}|[0-9]{9,15})\s*\z",
            check=_all_of_the_text(alone, groups),
            shown_end=_SHOWN_END,
        ),
    )


def _valid(name: str) -> Valid:
    return national_numbers.VALIDATORS[name]


def _behind_word(each: StateNumber, pattern: str) -> Kind:
    listed = "|".join(as_tuple(each.words))
    return Kind(
        name=f"national_id_{each.kind}",
        pattern=between_word_ends(pattern),
        keywords=keywords(listed),
        before=_REACH.before,
        after=_REACH.after,
        confidence=each.confidence,
        check=_named(each, words(listed)),
        shown_end=_SHOWN_END,
    )


def _named(each: StateNumber, named: Words) -> Check:
    valid = _valid(each.validator)
    unchecked = _valid(each.unchecked) if each.unchecked else None

    def check(candidate: Candidate) -> float | None:
        value = _bare(candidate.value)
        sure = each.confidence if valid(value) else 0.0
        if not sure and unchecked is not None and unchecked(value):
            sure = _UNCHECKED_CONFIDENCE
        if not sure or is_part_of_more(candidate):
            return None
        return sure if named(candidate.before[-_REACH.after :]) else None

    return check


def _anywhere(free: Sequence[tuple[str, Valid, float]]) -> Check:
    """A number of whatever state, by its form and its check alone."""
    forms = [(Expression(pattern), valid, sure) for pattern, valid, sure in free]

    def check(candidate: Candidate) -> float | None:
        if is_in_code_table(candidate) or is_part_of_more(candidate):
            return None
        value = _bare(candidate.value)
        for form, valid, sure in forms:
            if form.fullmatch(candidate.value) is not None and valid(value):
                return sure
        return None

    return check


def _all_of_the_text(alone: Sequence[Valid], groups: Sequence[tuple[str, Valid]]) -> Check:
    """As an answer is: those that few numbers of so many digits are, and those in groups of their
    own, which a long number in thousands does not have."""
    forms = [(Expression(pattern), valid) for pattern, valid in groups]

    def check(candidate: Candidate) -> float | None:
        value = _bare(candidate.value)
        if value != candidate.value:
            grouped = (form.fullmatch(candidate.value) and valid(value) for form, valid in forms)
            return _ALONE_IN_GROUPS_CONFIDENCE if any(grouped) else None
        return _ALONE_CONFIDENCE if any(valid(value) for valid in alone) else None

    return check


def _bare(text: str) -> str:
    return _SEPARATOR.sub("", text).upper()
