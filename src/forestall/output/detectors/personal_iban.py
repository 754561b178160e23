"""Personal data: international bank account numbers (ISO 13616). Country, its length, MOD 97-10.

The lengths are our own table: a library for them costs more to import than all of it says.
"""

from collections import defaultdict

from forestall.output.detectors.check_digits import mod_97
from forestall.output.detectors.context import near, words
from forestall.output.findings import Candidate, Kind

_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FI FO GL NL SD FK",
    19: "MK SI",
    20: "AT BA EE KZ LT LU XK MN",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_ACCOUNT = words(
    "iban|bank account|account|konto|kontonummer|bankverbindung|compte|rib|cuenta|"
    "conto corrente|rekening|conta|счет|hesap|bic|swift"
)


def _of_length(size: int, countries: list[str]) -> str:
    full, rest = divmod(size - 4, 4)
    tail = rf"[ -]?[0-9A-Z]{{{rest}}}" if rest else ""
    return rf"(?:{'|'.join(countries)})[0-9]{{2}}(?:[ -]?[0-9A-Z]{{4}}){{{full}}}{tail}"


def _pattern() -> str:
    by_size: defaultdict[int, list[str]] = defaultdict(list)
    for size, countries in _COUNTRIES.items():
        by_size[size] += countries.split()
    return r"\b(?:" + "|".join(_of_length(*each) for each in by_size.items()) + r")\b"


def _account(found: Candidate) -> float | None:
    text = found.value.upper().replace(" ", "").replace("-", "")
    if text[2:4] in ("00", "01", "99") or not mod_97(text[4:] + text[:4]):
        return None
    if len(set(text[4:])) < 2:
        return None
    return 0.99 if near(found, _ACCOUNT) else 0.95


def _shown(value: str) -> str:
    return value[:2] + "*" * 8 + value[-2:]


KINDS: tuple[Kind, ...] = (
    Kind(name="iban", pattern=_pattern(), check=_account, mask=_shown),
    Kind(
        name="iban",
        pattern=_pattern(),
        keywords=("iban",),
        any_case=True,
        before=0,
        after=64,
        check=_account,
        mask=_shown,
    ),
)
