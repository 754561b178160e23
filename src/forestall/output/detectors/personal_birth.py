"""Personal data: dates of birth. Any date is one only behind a word that says so."""

import re

from forestall.output.detectors.context import keywords, words
from forestall.output.findings import Candidate, Kind

_SHORT = "dob|d.o.b|born|geb|né le|née le|nato|nata|född|født"
_LONG = (
    "birth|birthday|birthdate|geboren|geburtsdatum|geburtstag|naissance|nacimiento|nacido|"
    "nacida|nascita|nascimento|nascido|nascida|geboorte|fødselsdato|födelse|syntymä|"
    "syntynyt|urodzeni|urodzon|narozen|született|рождени|родил|doğum|生年月日|出生|생년월일|الميلاد|"
    "γέννησης|naskimi"
)
_BIRTH = words(f"{_SHORT}|{_LONG}")
_MONTH = (
    r"(?i:jan|feb|fév|mar|mär|maa|mrt|apr|avr|abr|may|mai|maj|mei|mag|jun|juin|giu|jul|juil|lug"
    r"|aug|août|ago|aoû|sep|set|oct|okt|oth|ott|out|nov|dec|dez|déc|dic|ene|gen)\pL{0,8}\.?"
)
_YEAR = r"(?:18|19|20)[0-9]{2}"
_DATE = (
    rf"{_YEAR}[-./][0-9]{{1,2}}[-./][0-9]{{1,2}}"
    rf"|[0-9]{{1,2}}[-./ ][0-9]{{1,2}}[-./ ](?:{_YEAR}|[0-9]{{2}})"
    rf"|[0-9]{{1,2}}(?:st|nd|rd|th|er|\.|º)?(?: de| of)?[ -]{_MONTH},?(?: de| of|-)? ?{_YEAR}"
    rf"|{_MONTH} [0-9]{{1,2}}(?:st|nd|rd|th)?,? {_YEAR}"
    rf"|{_YEAR}\s?[年년]\s?[0-9]{{1,2}}\s?[月월]\s?[0-9]{{1,2}}\s?[日일]"
    r"|(?:19|20)[0-9]{6}"
)
_GAP_CHARS = 28
_PARTS = re.compile(r"\d+")


def _born(found: Candidate) -> float | None:
    if not _BIRTH(found.before[-_GAP_CHARS:] + found.matched[:1]):
        return None
    numbers = [int(each) for each in _PARTS.findall(found.value)]
    if len(numbers) == 1:
        year, rest = divmod(numbers[0], 10_000)
        numbers = [year, *divmod(rest, 100)]
    if len(numbers) == 3:
        small = sorted(numbers[1:] if numbers[0] > 99 else numbers[:2])
        if not (1 <= small[0] <= 12 and 1 <= small[1] <= 31):
            return None
    elif not 1 <= min(numbers) <= 31:
        return None
    return 0.9


KINDS: tuple[Kind, ...] = (
    Kind(
        name="birth_date",
        pattern=rf"(?:^|[^0-9A-Za-z])({_DATE})(?:[^0-9A-Za-z]|$)",
        keywords=keywords(f"{_SHORT}|{_LONG}"),
        before=0,
        after=56,
        check=_born,
    ),
)
