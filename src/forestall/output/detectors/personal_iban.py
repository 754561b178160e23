"""Validator of international bank account numbers (ISO 13616): MOD 97-10. The pattern knows how
long the numbers of each country are."""

from forestall.output.detectors.check_digits import mod_97
from forestall.output.detectors.context import is_near
from forestall.output.detectors.validation import Validator, ValidatorInput
from forestall.output.findings import Candidate, Check

_NAMED_CONFIDENCE = 0.99


def _iban(entry: ValidatorInput) -> Check:
    account = entry.words["account"]

    def check(candidate: Candidate) -> float | None:
        number = candidate.value.upper().replace(" ", "").replace("-", "")
        country_and_check, account_number = number[:4], number[4:]
        if number[2:4] in ("00", "01", "99"):  # the check digits are 02 to 98
            return None
        if not mod_97(account_number + country_and_check) or len(set(account_number)) < 2:
            return None
        return _NAMED_CONFIDENCE if is_near(candidate, account) else entry.confidence

    return check


VALIDATORS: dict[str, Validator] = {"iban": _iban}
