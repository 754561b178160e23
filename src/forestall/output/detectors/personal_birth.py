"""Validator of dates of birth: any date is one, behind a word that says so."""

from forestall.output.detectors.expressions import Expression
from forestall.output.detectors.validation import Validator, ValidatorInput
from forestall.output.findings import Candidate, Check

_GAP_CHARS = 28
_PARTS = Expression(r"\d+")


def _birth_date(entry: ValidatorInput) -> Check:
    says_birth = entry.words["birth"]

    def check(candidate: Candidate) -> float | None:
        is_named = says_birth(candidate.before[-_GAP_CHARS:] + candidate.matched[:1])
        return entry.confidence if is_named and _may_be_date(candidate.value) else None

    return check


def _may_be_date(value: str) -> bool:
    """Whether the numbers may be those of a date. Which of them is the month is not known."""
    numbers = [int(part) for part in _PARTS.findall(value)]
    if len(numbers) == 1:  # yyyymmdd
        year, month_day = divmod(numbers[0], 10_000)
        numbers = [year, *divmod(month_day, 100)]
    if len(numbers) != 3:
        return 1 <= min(numbers) <= 31
    smaller, larger = sorted(numbers[1:] if numbers[0] > 99 else numbers[:2])
    return 1 <= smaller <= 12 and 1 <= larger <= 31


VALIDATORS: dict[str, Validator] = {"birth_date": _birth_date}
