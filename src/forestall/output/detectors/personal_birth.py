"""Validator of dates of birth. Any date is one only behind a word that says so."""

from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, ValidatorInput
from forestall.output.findings import Candidate, Check

_GAP_CHARS = 28
_PARTS = Expression(r"\d+")


def _born(given: ValidatorInput) -> Check:
    birth = given.words["birth"]

    def check(candidate: Candidate) -> float | None:
        named = birth(candidate.before[-_GAP_CHARS:] + candidate.matched[:1])
        return given.confidence if named and _a_day(candidate.value) else None

    return check


def _a_day(value: str) -> bool:
    """Whether the numbers of a date may be those of a day; which is the month, is not known."""
    numbers = [int(each) for each in _PARTS.findall(value)]
    if len(numbers) == 1:
        year, rest = divmod(numbers[0], 10_000)
        numbers = [year, *divmod(rest, 100)]
    if len(numbers) == 3:
        small = sorted(numbers[1:] if numbers[0] > 99 else numbers[:2])
        if not (1 <= small[0] <= 12 and 1 <= small[1] <= 31):
            return False
    elif not 1 <= min(numbers) <= 31:
        return False
    return True


VALIDATORS: dict[str, Validator] = {"birth_date": _born}
