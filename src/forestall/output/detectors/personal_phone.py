"""Personal data: telephone numbers. A number with its country is looked up in the numbering plans;
one without needs a form that only telephones have, or a word that says so.

Not a number: orders, dates, times, measures, runs of any digits that nobody calls a telephone.
"""

import re

from forestall.output.detectors import numbering_plans as plans
from forestall.output.detectors.context import (
    alone,
    in_a_row,
    in_front,
    keywords,
    near,
    part_of_more,
    words,
)
from forestall.output.findings import Candidate, Kind

_PHONE_WORDS = (
    "phone|phones|tel|telephone|mobile|cell|cellphone|fax|msisdn|whatsapp|sms|telefon|"
    "telefonnummer|handy|mobil|mobilnummer|rufnummer|téléphone|portable|téléphonique|"
    "teléfono|telefono|móvil|celular|cellulare|telefone|telemóvel|telefoon|telefonní|"
    "telefonu|puhelin|puhelinnumero|телефон|тел.|電話|电话|手机|携帯|전화|هاتف|phone_number|"
    "phonenumber|contact_number|hotline|voicemail|extension"
)
_CALL_WORDS = (
    "call|calls|called|calling|dial|reach|texted|contact|answering|callback|registered|"
    "anrufen|erreichbar|appelez|joindre|llame|llámame|chiama|chiamare|ligue|bel me|bel ons|"
    "bel naar|zadzwoń|ring mig|soita|text me|texting|my number|number is|new number|line is|"
    "landline|helpline|toll free|toll-free"
)
_ASKED = words("call me|call us|reach me|reach us|text me|contact me|my number|number is|dial")
_PHONE = words(_PHONE_WORDS)
_CALL = words(_CALL_WORDS)
_OTHER = words(
    "order|invoice|tracking|ticket|id|ids|sku|part|serial|isbn|issn|account|version|ref|"
    "reference|zip|case|ssn|score|room|lot|iban|bestellung|rechnung|commande|pedido|amount|"
    "total|price|error|code|pid|pids|port|ports|epoch|offset|bytes|card|tin|sin|nhs"
)
_DATE = re.compile(
    r"(?:19|20)\d{2}[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])\b"
    r"|(?:0?[1-9]|[12]\d|3[01])[-./ ](?:0?[1-9]|[12]\d|3[01])[-./ ](?:19|20)?\d{2}\b(?![-. ]\d)"
    r"|(?:(?:19|20)\d{2}[-./ ]{0,2}){2,}"
)
# Grouped as a social security number, a postal code, or with points as no telephone is.
_NO_TRUNK = re.compile(
    r"\d{3}[- .]\d{2}[- .]\d{4}|\d{5}-\d{4}|\d{4} \d{4} \d{4}|(?!(?:\d\d\.){4}\d\d$)[\d.]+\.[\d.]+"
)
_DECIMAL = re.compile(r"\d+\.\d+")


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _refused(found: Candidate) -> bool:
    value = found.value
    return (
        part_of_more(found)
        or _DATE.fullmatch(value) is not None
        or _DECIMAL.fullmatch(value) is not None
        or not _varied(_digits(value))
        or in_a_row(found)
        or in_front(found)[-1:] in ("+", "$", "€", "£", "#", "@", "<")
        or found.after[:1] in ("%", "€")
    )


def _with_country(found: Candidate) -> float | None:
    """A plus or two zeros, and a number that the plan of the country has."""
    value = found.value
    plain = _EXTENSION_END.sub("", value)
    digits = _digits(plain)
    if value[0] == "0":
        if value.isdigit() and not near(found, _PHONE):  # or a number filled up with zeros
            return None
        digits = digits[2:]
    before = found.before[-1:]
    if (before.isalnum() or before in ("+", "=")) and not near(found, _PHONE):
        return None
    if found.after[:1].isalnum() or (found.after[:1] == "." and found.after[1:2].isdigit()):
        return None
    if plans.international(digits):
        return 0.97
    if len(digits) > 8 and (near(found, _PHONE, before=24) or _CALL(found.before[-24:])):
        return 0.5
    written = _GROUPED.fullmatch(plain) is not None and _DATE.search(plain) is None
    return 0.5 if written and plans.country(digits) and _varied(digits) else None


def _varied(digits: str) -> bool:
    return len(set(digits)) >= 3


def _areas(digits: str) -> bool:
    """Whether area and exchange are such as North America gives out."""
    if len(digits) == 11:
        if digits[0] != "1":
            return False
        digits = digits[1:]
    return not (
        digits[0] in "01" or digits[3] in "01" or digits[1:3] == "11" or digits[4:6] == "11"
    )


def _american(found: Candidate) -> float | None:
    """Three, three, four: a form of its own; areas and exchanges do not begin with 0 or 1."""
    value = _EXTENSION_END.sub("", found.value)
    if ("." in value and "-" in value) or not _areas(_digits(value)) or _refused(found):
        return None
    if near(found, _PHONE):
        return 0.95
    if near(found, _CALL):
        return 0.85
    if near(found, _OTHER, before=20):
        return None
    if "(" in value or "-" in value:
        return 0.75
    return 0.6 if alone(found) or "." in value else None


def _trunk(found: Candidate) -> float | None:
    """A leading zero and groups, as most of the world dials: 020 7946 0958."""
    digits = _digits(found.value)
    if not 9 <= len(digits) <= 12 or _refused(found) or not plans.national(digits):
        return None
    if _NO_TRUNK.fullmatch(found.value) is not None:
        return None
    if near(found, _PHONE) or near(found, _CALL):
        return 0.9
    if near(found, _OTHER, before=20) or found.value.isdigit():
        return 0.5 if alone(found) else None
    return 0.6


def _by_form(found: Candidate) -> float | None:
    value = found.value
    if value[0] == "+" or (value.startswith("00") and value[2:3] in "123456789"):
        return _with_country(found)
    return _american(found) if _AMERICAN_FORM.match(value) else _trunk(found)


def _said(found: Candidate) -> float | None:
    """Behind a word for telephones: any grouping will do."""
    digits = _digits(found.value)
    if not 7 <= len(digits) <= 13 or _refused(found):
        return None
    in_front_of_it = found.before[-32:]
    if _PHONE(in_front_of_it):
        if _OTHER(in_front_of_it[-12:]) and not _PHONE(in_front_of_it[-12:]):
            return None
        return 0.9 if plans.national(digits) else 0.65
    return 0.7 if _CALL(in_front_of_it) and plans.national(digits) else None


def _called(found: Candidate) -> float | None:
    """Behind a word for calling, which has other meanings: groups, and no word for other things."""
    digits = _digits(found.value)
    if not 7 <= len(digits) <= 12 or _refused(found):
        return None
    in_front_of_it = found.before[-40:]
    if not _CALL(in_front_of_it) or _OTHER(in_front_of_it[-16:]):
        return None
    if found.value.isdigit():  # counts and times are called too: only what an American dials
        if _ASKED(in_front_of_it) and plans.national(digits):
            return 0.6
        return 0.55 if len(digits) == 10 and _areas(digits) else None
    if plans.national(digits):
        return 0.7
    return 0.5 if "-" in found.value or "(" in found.value else None  # or a row of figures


def _shown(value: str) -> str:
    """The last two digits."""
    return "*" * 8 + value[-2:]


_GROUPS = r"(?:[ .\-/\x{2010}-\x{2013}\x{a0}]{0,2}\(?[0-9]\)?)"
_EXTENSION = r"(?:,? ?(?:x|ext\.?|#) ?[0-9]{1,6})?"
_COUNTRY = rf"(?:\+ ?|\b00)\(?[1-9]{_GROUPS}{{6,16}}{_EXTENSION}\b"
_AMERICAN = (
    r"(?:\b1[-. ])?(?:\([0-9]{3}\) ?|\b[0-9]{3}[-. ])[0-9]{3}[-. ][0-9]{4}" + _EXTENSION + r"\b"
)
# Not behind what makes it the end of a date, a path, a decimal: there are many of those in a log.
_TRUNK = (
    r"(?:^|[^0-9A-Za-z_./-])((?:\(0[1-9][0-9]{0,3}\)|0[1-9][0-9]{0,4})[ ./-]{1,3}"
    r"[0-9]{2,8}(?:[ .-][0-9]{2,4}){0,4}|0[1-9][0-9]{8,10})\b"
)
_AMERICAN_FORM = re.compile(r"(?:1[-. ])?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?!\d)")
_EXTENSION_END = re.compile(r"(?<=\d),? ?(?:x|ext\.?|#) ?\d{1,6}$")
# No plan has it, but nothing else is written so: a country, then two to four groups.
_GROUPED = re.compile(
    r"(?:\+|00)\d{1,3}(?:[ -]\(?\d{2,5}\)?){2,4}|\+\d{1,3}[ -]?\(\d{1,4}\)[ -]?[\d -]{5,12}"
)
_ANY = rf"(?:\b|\()[0-9]\)?{_GROUPS}{{6,14}}\b"

KINDS: tuple[Kind, ...] = (
    # One pattern for three forms: each of them alone would look through all of the text.
    Kind(
        name="phone",
        pattern=f"{_COUNTRY}|{_AMERICAN}|{_TRUNK}",
        check=_by_form,
        mask=_shown,
    ),
    Kind(
        name="phone",
        pattern=_ANY,
        keywords=keywords(_PHONE_WORDS),
        before=0,
        after=48,
        check=_said,
        mask=_shown,
    ),
    Kind(
        name="phone",
        pattern=_ANY,
        keywords=keywords(_CALL_WORDS),
        before=0,
        after=48,
        check=_called,
        mask=_shown,
    ),
)
