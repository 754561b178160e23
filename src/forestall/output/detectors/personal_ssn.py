"""Personal data: social security numbers and taxpayer numbers of the United States. They have no
check digit; what was never given out is refused, and the form or a word has to tell."""

from forestall.output.detectors.context import alone, keywords, near, part_of_more, words
from forestall.output.findings import Candidate, Kind

_NAMED_WORDS = (
    "ssn|ssns|social security|socialsecurity|social_security|soc sec|ss#|taxpayer|tax id|"
    "taxid|itin|tin|seguro social|w-2|w2"
)
_NAMED = words(_NAMED_WORDS)
_OTHER = words(
    "sku|order|part|ticket|invoice|model|item|serial|case|ref|phone|catalog|lot|tracking|"
    "product|article|version|build|docket|zip|id|iban|konto|isbn|tel|fax"
)
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


def _number(found: Candidate) -> float | None:
    value = found.value
    digits = "".join(filter(str.isdigit, value))
    if not _given(digits) or part_of_more(found):
        return None
    separators = {each for each in value if not each.isdigit()}
    if len(separators) > 1:
        return None
    if near(found, _NAMED):
        return 0.95
    if not separators or digits >= "9" or near(found, _OTHER, before=24):
        return None
    if "-" in separators:
        return 0.75
    return 0.55 if alone(found) or " " in separators else None


def _shown(value: str) -> str:
    """The last four digits, as forms show them."""
    return "*" * 8 + value[-4:]


KINDS: tuple[Kind, ...] = (
    Kind(
        name="us_ssn",
        pattern=r"\b[0-9]{3}[- .][0-9]{2}[- .][0-9]{4}\b",
        check=_number,
        mask=_shown,
    ),
    Kind(
        name="us_ssn",
        pattern=r"\b[0-9]{9}\b",
        keywords=keywords(_NAMED_WORDS),
        before=0,
        after=32,
        check=_number,
        mask=_shown,
    ),
)
