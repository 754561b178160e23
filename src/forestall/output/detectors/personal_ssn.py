"""Validator of social security numbers and taxpayer numbers of the United States.

They have no check digit. So numbers that were never given out are refused, and the form of a number
or a word near it has to say what it is.
"""

from forestall.output.detectors.context import (
    digits_of,
    is_alone,
    is_near,
    is_part_of_more,
    separators_of,
)
from forestall.output.detectors.validation import Validator, ValidatorInput
from forestall.output.findings import Candidate, Check

_ADVERTISED = frozenset(("078051120", "219099999", "457555462"))  # printed in public, so void


def _may_be_issued(digits: str) -> bool:
    """Whether area, group and serial are such as are given out."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if group == "00" or serial == "0000" or area in ("000", "666"):
        return False
    if area >= "900":  # a taxpayer number (ITIN), which has groups of its own
        return (
            "50" <= group <= "65"
            or "70" <= group <= "88"
            or group in ("90", "91", "92")
            or group >= "94"
        )
    return digits not in _ADVERTISED and len(set(digits)) > 1


def _us_ssn(entry: ValidatorInput) -> Check:
    us_ssn, other = entry.words["us_ssn"], entry.words["not_a_us_ssn"]

    def check(candidate: Candidate) -> float | None:
        value = candidate.value
        digits = digits_of(value)
        if not _may_be_issued(digits) or is_part_of_more(candidate):
            return None
        separators = separators_of(value)
        if len(separators) > 1:
            return None
        if is_near(candidate, us_ssn):
            return 0.95
        if not separators or digits >= "9" or is_near(candidate, other, before=24):
            return None
        if "-" in separators:
            return 0.75
        return 0.55 if is_alone(candidate) or " " in separators else None

    return check


VALIDATORS: dict[str, Validator] = {"us_ssn": _us_ssn}
