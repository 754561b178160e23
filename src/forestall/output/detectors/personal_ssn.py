"""Validator of social security numbers and taxpayer numbers of the United States. They have no
check digit; what was never given out is refused, and the form or a word has to tell."""

from forestall.output.detectors.context import alone, is_part_of_more, near
from forestall.output.detectors.validation import Validator, ValidatorInput
from forestall.output.findings import Candidate, Check

_ADVERTISED = frozenset(("078051120", "219099999", "457555462"))  # printed where all could read


def _given(digits: str) -> bool:
    """Whether the number could have been given: an area, a group and a serial that exist."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if group == "00" or serial == "0000" or area in ("000", "666"):
        return False
    if area >= "900":  # a taxpayer's number has its own groups
        return (
            "50" <= group <= "65"
            or "70" <= group <= "88"
            or group in ("90", "91", "92")
            or group >= "94"
        )
    return digits not in _ADVERTISED and len(set(digits)) > 1


def _number(given: ValidatorInput) -> Check:
    named, other = given.words["us_ssn"], given.words["not_a_us_ssn"]

    def check(candidate: Candidate) -> float | None:
        value = candidate.value
        digits = "".join(filter(str.isdigit, value))
        if not _given(digits) or is_part_of_more(candidate):
            return None
        separators = {each for each in value if not each.isdigit()}
        if len(separators) > 1:
            return None
        if near(candidate, named):
            return 0.95
        if not separators or digits >= "9" or near(candidate, other, before=24):
            return None
        if "-" in separators:
            return 0.75
        return 0.55 if alone(candidate) or " " in separators else None

    return check


VALIDATORS: dict[str, Validator] = {"us_ssn": _number}
