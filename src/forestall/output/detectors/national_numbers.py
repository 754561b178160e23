"""Is this a number that some state gives to persons? One validator for each kind of number.

The text has the shape that `national_numbers.yaml` gives it, without separators, and in capitals.
The rules are those that states publish: the length, a date of birth, check digits. "Modulo 11" and
the like mean the weighted sum of the digits. Dates are checked as far as a number tells its
century. A function named here is what `validator` in the table names.
"""

from collections.abc import Callable
from datetime import date
from functools import wraps

from forestall.output.detectors.check_digits import (
    check_mod_10,
    check_mod_11,
    luhn,
    mod_11_2,
    mod_11_10,
    verhoeff,
    weighted,
)

Valid = Callable[[str], bool]

VALIDATORS: dict[str, Valid] = {}

_ES_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_FI_LETTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_IT_ODD_VALUES = (
    *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18),
    *(20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
)
_MX_ALPHABET = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"


def _validator(valid: Valid) -> Valid:
    """Register a validator under the name of its function."""
    VALIDATORS[valid.__name__] = valid
    return valid


def _of_digits(size: int) -> Callable[[Valid], Valid]:
    """Register a validator of numbers that have `size` digits, not all of them the same."""

    def register(valid: Valid) -> Valid:
        @wraps(valid)
        def valid_digits(text: str) -> bool:
            return _are_digits(text, size) and valid(text)

        return _validator(valid_digits)

    return register


def _are_digits(text: str, size: int) -> bool:
    return len(text) == size and text.isdigit() and len(set(text)) > 1


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _is_short_date(year: str, month: int, day: int) -> bool:
    """Whether this is a date, where the year has two digits, in either of two centuries."""
    return _is_date(2000 + int(year), month, day) or _is_date(1900 + int(year), month, day)


def _is_yymmdd(text: str) -> bool:
    return _is_short_date(text[:2], int(text[2:4]), int(text[4:6]))


def _is_ddmmyy(text: str) -> bool:
    return _is_short_date(text[4:6], int(text[2:4]), int(text[:2]))


@_validator
def always(text: str) -> bool:
    """The form alone says that it is such a number."""
    return bool(text)


# -- Europe --


@_validator
def fr_nir(text: str) -> bool:
    """France, social security: sex, year, month, place, order; the check is 97 less the remainder
    by 97. The departments of Corsica, 2A and 2B, count as 19 and 18."""
    if len(text) != 15 or not text[-2:].isdigit():
        return False
    digits = text[:13]
    if text[5] == "2":
        digits = digits.replace("2A", "19").replace("2B", "18")
    if not digits.isdigit():
        return False
    month = int(digits[3:5])
    if not (1 <= month <= 12 or month == 20 or 30 <= month <= 42 or month >= 50):
        return False
    return 97 - int(digits) % 97 == int(text[13:])


@_validator
def it_codice_fiscale(text: str) -> bool:
    """Italy, tax code: letters of the name, date and place of birth, a check letter modulo 26."""
    total = 0
    for place, character in enumerate(text[:15]):
        value = int(character) if character.isdigit() else ord(character) - ord("A")
        total += value if place % 2 else _IT_ODD_VALUES[value]
    return len(text) == 16 and ord(text[15]) - ord("A") == total % 26


@_validator
def es_dni(text: str) -> bool:
    """Spain, identity card: the letter is the remainder by 23. A date of our time is none."""
    digits = text[:8]
    if len(text) != 9 or not digits.isdigit() or len(set(digits)) < 2:
        return False
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:])
    if digits[:2] in ("19", "20") and _is_date(year, month, day):
        return False
    return _ES_LETTERS[int(digits) % 23] == text[8]


@_validator
def es_nie(text: str) -> bool:
    """Spain, foreigners: as the identity card, with X, Y, Z for 0, 1, 2."""
    if len(text) != 9:
        return False
    number = int(f"{'XYZ'.index(text[0])}{text[1:8]}")
    return _ES_LETTERS[number % 23] == text[8]


@_validator
def fi_hetu(text: str) -> bool:
    """Finland: date of birth, sign of the century, order; the check is the remainder by 31."""
    # Without separators the sign of an old century may be gone.
    digits = text[:6] + text[-4:-1]
    return (
        len(text) in (10, 11)
        and digits.isdigit()
        and _is_ddmmyy(digits)
        and int(text[-4:-1]) >= 2
        and _FI_LETTERS[int(digits) % 31] == text[-1]
    )


@_validator
def se_personnummer(text: str) -> bool:
    """Sweden: date of birth (day 60 more in a coordination number), order, Luhn over the last
    ten."""
    text = text.replace("+", "")
    if len(text) not in (10, 12) or not text.isdigit():
        return False
    last_ten = text[-10:]
    day = int(last_ten[4:6])
    is_born = _is_short_date(last_ten[:2], int(last_ten[2:4]), day - 60 if day > 60 else day)
    return is_born and last_ten[6:9] != "000" and luhn(last_ten)


@_validator
def se_personnummer_bare(text: str) -> bool:
    """Sweden, in twelve digits of which the last four are no time of day behind a date."""
    if len(text) != 12 or not se_personnummer(text):
        return False
    is_time = text[8:10] < "24" and text[10:12] < "60"
    return "1900" <= text[:4] <= "2099" and not is_time


@_of_digits(11)
def no_fodselsnummer(text: str) -> bool:
    """Norway: day (40 more in a D-number), month (40 or 80 more in test data), two checks modulo
    11."""
    day, month = int(text[:2]) % 40, int(text[2:4]) % 40
    return (
        _is_short_date(text[4:6], month, day)
        and check_mod_11(text[:10], (3, 7, 6, 1, 8, 9, 4, 5, 2))
        and check_mod_11(text, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2))
    )


@_validator
def dk_cpr(text: str) -> bool:
    """Denmark: date of birth, and 0 modulo 11."""
    return dk_cpr_unchecked(text) and weighted(text, (4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


@_of_digits(10)
def dk_cpr_unchecked(text: str) -> bool:
    """Denmark, given since 2007: the date of birth only."""
    return _is_ddmmyy(text)


@_of_digits(11)
def be_rijksregister(text: str) -> bool:
    """Belgium: date of birth, order; the check is 97 less the remainder by 97, of a number with a 2
    in front for who is born from 2000 on."""
    month, day = int(text[2:4]), int(text[4:6])
    if month > 52 or month % 20 > 12 or day > 31:
        return False
    number, check = text[:9], int(text[9:])
    return check in (97 - int(number) % 97, 97 - int("2" + number) % 97)


@_of_digits(13)
def ch_ahv(text: str) -> bool:
    """Switzerland: 756, and the check of an article number (EAN-13), modulo 10."""
    return check_mod_10(text, (1, 3) * 6)


@_of_digits(9)
def nl_bsn(text: str) -> bool:
    """The Netherlands: 0 modulo 11, where the last weight is -1."""
    return weighted(text, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


@_of_digits(11)
def pl_pesel(text: str) -> bool:
    """Poland: date of birth, the century in the month, a check modulo 10."""
    century, month = divmod(int(text[2:4]), 20)
    year = (1900, 2000, 2100, 2200, 1800)[century] + int(text[:2])
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)
    return _is_date(year, month, int(text[4:6])) and check_mod_10(text, weights)


@_of_digits(9)
def pt_nif(text: str) -> bool:
    """Portugal, tax: persons begin with 1, 2, 3 or 45; a check modulo 11."""
    if not (text[0] in "123" or text[:2] == "45"):
        return False
    remainder = weighted(text, (9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return int(text[8]) == (0 if remainder < 2 else 11 - remainder)


@_of_digits(11)
def de_tax_id(text: str) -> bool:
    """Germany, tax: MOD 11,10."""
    return text[0] != "0" and mod_11_10(text)


@_validator
def de_tax_id_strict(text: str) -> bool:
    """Germany, tax, as given out: of the first ten digits one comes twice or thrice, the others
    once."""
    counts = sorted(text[:10].count(digit) for digit in set(text[:10]))
    return de_tax_id(text) and counts[-1] in (2, 3) and counts[:-1] == [1] * (len(counts) - 1)


@_validator
def uk_nino(text: str) -> bool:
    """United Kingdom, insurance: some prefixes are not given out."""
    return len(text) == 9 and text[:2] not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")


@_of_digits(10)
def uk_nhs(text: str) -> bool:
    """United Kingdom, health: a check modulo 11."""
    return check_mod_11(text, (10, 9, 8, 7, 6, 5, 4, 3, 2))


@_validator
def ie_pps(text: str) -> bool:
    """Ireland: a check letter modulo 23, W for 0; a second letter counts nine times."""
    if len(text) not in (8, 9) or not text[:7].isdigit():
        return False
    second = (ord(text[8]) - 64) % 23 if len(text) == 9 else 0
    remainder = (weighted(text[:7], (8, 7, 6, 5, 4, 3, 2)) + 9 * second) % 23
    return text[7] == (chr(64 + remainder) if remainder else "W")


@_of_digits(10)
def cz_rodne_cislo(text: str) -> bool:
    """Czechia and Slovakia, from 1954: date of birth (month 50 more for women, and 20 more where
    the numbers of a day ran out), divisible by 11."""
    month = int(text[2:4]) % 50
    month -= 20 if month > 20 else 0
    holds = int(text) % 11 == 0 or (int(text[:9]) % 11 == 10 and text[9] == "0")
    return holds and _is_short_date(text[:2], month, int(text[4:6]))


@_of_digits(13)
def ro_cnp(text: str) -> bool:
    """Romania: sex and century, date of birth, county, a check modulo 11 where 10 is 1."""
    if not (1 <= int(text[7:9]) <= 52 or text[7:9] in ("70", "80")):
        return False
    remainder = weighted(text, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return _is_yymmdd(text[1:7]) and int(text[12]) == (1 if remainder == 10 else remainder)


@_of_digits(10)
def bg_egn(text: str) -> bool:
    """Bulgaria: date of birth, the century in the month, a check modulo 11 where 10 is 0."""
    if not _is_short_date(text[:2], int(text[2:4]) % 20, int(text[4:6])):
        return False
    return weighted(text, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10 == int(text[9])


@_of_digits(11)
def ee_lt_code(text: str) -> bool:
    """Estonia and Lithuania: sex and century, date of birth, a check modulo 11; where that is 10,
    once more with other weights."""
    if text[0] not in "123456" or not _is_yymmdd(text[1:7]):
        return False
    remainder = weighted(text, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if remainder == 10:
        remainder = weighted(text, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return remainder == int(text[10])


@_of_digits(11)
def gr_amka(text: str) -> bool:
    """Greece: date of birth, and Luhn."""
    return _is_ddmmyy(text) and luhn(text)


@_of_digits(11)
def hr_oib(text: str) -> bool:
    """Croatia: MOD 11,10."""
    return mod_11_10(text)


# -- elsewhere --


@_of_digits(11)
def br_cpf(text: str) -> bool:
    """Brazil: two checks modulo 11."""
    first = weighted(text[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(text[:10], range(11, 1, -1)) * 10 % 11 % 10
    return text[9:] == f"{first}{second}"


@_of_digits(9)
def ca_sin(text: str) -> bool:
    """Canada: Luhn; none begins with 0 or 8."""
    return text[0] not in "08" and luhn(text)


@_of_digits(12)
def in_aadhaar(text: str) -> bool:
    """India: Verhoeff; none begins with 0 or 1."""
    return text[0] not in "01" and verhoeff(text)


@_validator
def in_pan(text: str) -> bool:
    """India, tax: the fourth letter says that it is a person's, or a family's."""
    return len(text) == 10 and text[3] in "PH" and text[5:9] != "0000"


@_validator
def au_tfn(text: str) -> bool:
    """Australia, tax: 0 modulo 11, of nine digits, or of eight in old numbers."""
    if _are_digits(text, 9):
        return weighted(text, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0
    return _are_digits(text, 8) and weighted(text, (10, 7, 8, 4, 6, 3, 5, 1)) % 11 == 0


@_of_digits(10)
def au_medicare(text: str) -> bool:
    """Australia, health: the ninth digit checks the eight in front, modulo 10."""
    return weighted(text, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(text[8])


@_validator
def kr_rrn(text: str) -> bool:
    """Korea: date of birth, sex and century, a check modulo 11, which is two more for
    foreigners."""
    if not kr_rrn_unchecked(text):
        return False
    remainder = weighted(text, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11
    check, is_foreigner = int(text[12]), text[6] in "5678"
    return (11 - remainder) % 10 == check or (is_foreigner and (13 - remainder) % 10 == check)


@_of_digits(13)
def kr_rrn_unchecked(text: str) -> bool:
    """Korea, given since October 2020: behind the date of birth and the sex all is chance."""
    if text[6] not in "12345678":
        return False
    year = (1900 if text[6] in "1256" else 2000) + int(text[:2])
    return _is_date(year, int(text[2:4]), int(text[4:6]))


@_validator
def cn_resident_id(text: str) -> bool:
    """China: region, date of birth, order, MOD 11-2."""
    return (
        len(text) == 18
        and "11" <= text[:2] <= "83"
        and _is_date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
        and mod_11_2(text)
    )


@_of_digits(13)
def za_id(text: str) -> bool:
    """South Africa: date of birth, order, citizenship, Luhn."""
    return text[10] in "012" and _is_yymmdd(text) and luhn(text)


@_of_digits(11)
def tr_kimlik(text: str) -> bool:
    """Turkey: the tenth digit from odd and even places, the eleventh from all ten."""
    if text[0] == "0":
        return False
    digits = [int(digit) for digit in text]
    tenth = (7 * sum(digits[:9:2]) - sum(digits[1:8:2])) % 10
    return tenth == digits[9] and sum(digits[:10]) % 10 == digits[10]


@_of_digits(13)
def th_id(text: str) -> bool:
    """Thailand: a check modulo 11; none begins with 0 or 9."""
    if text[0] in "09":
        return False
    return (11 - weighted(text, range(13, 1, -1)) % 11) % 10 == int(text[12])


@_validator
def mx_curp(text: str) -> bool:
    """Mexico: letters of the name, date of birth, sex, state, a check modulo 10."""
    if len(text) != 18 or not _is_yymmdd(text[4:10]):
        return False
    total = sum(
        _MX_ALPHABET.index(character) * (18 - place) for place, character in enumerate(text[:17])
    )
    return -total % 10 == int(text[17])


@_validator
def sg_nric(text: str) -> bool:
    """Singapore: a check letter modulo 11; which letters stand for it, says the first letter."""
    if len(text) != 9 or not text[1:8].isdigit():
        return False
    kind = text[0]
    total = weighted(text[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(kind, 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "XWUTRQPNJLK"}
    return letters.get(kind, "XWUTRQPNMLK")[total % 11] == text[8]


@_validator
def cl_rut(text: str) -> bool:
    """Chile: a check modulo 11 with weights from the right, K for 10."""
    body, check = text[:-1], text[-1:]
    remainder = -weighted(body[::-1], (2, 3, 4, 5, 6, 7) * 2) % 11
    return (
        len(text) in (8, 9)
        and body.isdigit()
        and check == ("K" if remainder == 10 else str(remainder))
    )


@_validator
def hk_id(text: str) -> bool:
    """Hong Kong: 0 modulo 11, where A is 10, and a missing first letter 36."""
    total = 0
    for weight, character in zip(range(9, 0, -1), text.rjust(9, " "), strict=False):
        total += weight * (36 if character == " " else int(character, 36))
    return len(text) in (8, 9) and total % 11 == 0


@_of_digits(9)
def il_id(text: str) -> bool:
    """Israel: Luhn over nine digits."""
    return luhn(text)


@_of_digits(12)
def jp_my_number(text: str) -> bool:
    """Japan: a check modulo 11, where a remainder below 2 checks as 0."""
    remainder = weighted(text, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return int(text[11]) == (0 if remainder < 2 else 11 - remainder)
