"""The detectors that a policy file defines: made ready for a scan, and tried on their examples.

An own detector stands beside the built-in classes and under a name that none of them has, so it can
find more and never less.
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from forestall.policy.problems import did_you_mean
from forestall.policy.rules import OwnDetector

if TYPE_CHECKING:
    from forestall.output.findings import Check, Detector

CONFIDENCE = 0.9  # of a finding, where the validator gives none
_LENGTH_MIN = 12  # characters of a value that looks random, for the validators that ask
_DETECTORS_KEPT = 1_024
# Of the built-in validators those that look at the value alone; `luhn` at its digits.
VALIDATORS = ("crc32_base62", "iban", "ip_address", "luhn", "not_placeholder", "random")
OPEN, CLOSE = "«", "»"  # round what an example wants to be found


class DetectorError(ValueError):
    """An own detector that cannot be made."""


@lru_cache(maxsize=_DETECTORS_KEPT)
def detector_of(own: OwnDetector) -> "Detector":
    """The detector for a scan. Raises DetectorError."""
    # Imported here: few policies define a detector, and validators load the detector tables.
    from forestall.output.findings import Detector, Kind

    check = _check(own.validator) if own.validator else None
    try:
        kind = Kind(
            name=own.name,
            pattern=f"({own.pattern})",  # the whole match is the value, not the author's group
            keywords=own.keywords,
            confidence=CONFIDENCE,
            check=check,
        )
    except ValueError as cause:
        raise DetectorError(str(cause)) from cause
    return Detector(name=own.name, kinds=(kind,))


def _check(validator: str) -> "Check":
    from forestall.output.detectors.check_digits import luhn
    from forestall.output.detectors.validation import ValidatorInput, entry_confidence
    from forestall.output.detectors.validators import VALIDATORS as BUILT_IN

    if validator not in VALIDATORS:
        hint = did_you_mean(validator, VALIDATORS)
        raise DetectorError(f"there is no validator `{validator}`; {hint}")
    if validator == "luhn":
        make = entry_confidence(lambda found: luhn(re.sub("[^0-9]", "", found.value)))
    else:
        make = BUILT_IN[validator]
    return make(ValidatorInput(CONFIDENCE, 0, _LENGTH_MIN, {}))


def found_in(own: OwnDetector, text: str) -> tuple[str, ...]:
    """What the detector finds in a text, in the order of the text. Raises DetectorError."""
    from forestall.output.scan import scan

    seen = scan(text.encode(), detectors=(detector_of(own),))
    return tuple(text[one.start : one.end] for one in seen.findings)


def failed_example(own: OwnDetector, example: str, *, is_match: bool) -> str:
    """What is wrong with an example of a detector; empty when it is as it should be. Marks round a
    value say what has to be found."""
    found = found_in(own, example.replace(OPEN, "").replace(CLOSE, ""))
    if not is_match:
        return f"found `{found[0]}`" if found else ""
    marked = example.partition(OPEN)[2].partition(CLOSE)[0]
    if not found:
        return "found nothing"
    return f"found `{found[0]}`" if marked and marked not in found else ""
