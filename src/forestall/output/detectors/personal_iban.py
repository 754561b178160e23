"""Validator of international bank account numbers (ISO 13616): MOD 97-10. The lengths of the
countries are in the pattern."""

from forestall.output.detectors.check_digits import mod_97
from forestall.output.detectors.context import near
from forestall.output.detectors.validation import Validator, ValidatorInput
from forestall.output.findings import Candidate, Check

_NAMED_CONFIDENCE = 0.99


def _account(given: ValidatorInput) -> Check:
    account = given.words["account"]

    def check(candidate: Candidate) -> float | None:
        text = candidate.value.upper().replace(" ", "").replace("-", "")
        if text[2:4] in ("00", "01", "99") or not mod_97(text[4:] + text[:4]):
            return None
        if len(set(text[4:])) < 2:
            return None
        return _NAMED_CONFIDENCE if near(candidate, account) else given.confidence

    return check


VALIDATORS: dict[str, Validator] = {"iban": _account}
