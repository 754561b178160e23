"""Is this a number that some state gives to persons? One function for each, over the bare text.

The text has the shape that `national_numbers.yaml` gives it, without separators, and in capitals.
The rules are those that states publish. Dates are looked at as far as a number says its century.
"""

from collections.abc import Callable
from datetime import date

from forestall.output.detectors.check_digits import (
    check_mod_10,
    check_mod_11,
    luhn,
    mod_11_2,
    mod_11_10,
    verhoeff,
    weighted,
)

_ES_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_FI_LETTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_IT_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24)
_IT_ODD_VALUES = (*_IT_ODD, 23)
_MX_ALPHABET = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"


def always(text: str) -> bool:
    """A form that says all there is to say."""
    return bool(text)


def _day(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _short_date(year: str, month: int, day: int) -> bool:
    """A day of a year of two digits: of either century."""
    return _day(2000 + int(year), month, day) or _day(1900 + int(year), month, day)


def _numbers(text: str, size: int) -> bool:
    return len(text) == size and text.isdigit() and len(set(text)) > 1


# -- Europe --


def fr_nir(text: str) -> bool:
    """France, social security: sex, year, month, place, order; 97 less the remainder."""
    if len(text) != 15 or not text[-2:].isdigit():
        return False
    plain = text[:13].replace("2A", "19").replace("2B", "18") if text[5] == "2" else text[:13]
    if not plain.isdigit():
        return False
    month = int(plain[3:5])
    if not (1 <= month <= 12 or month == 20 or 30 <= month <= 42 or month >= 50):
        return False
    return 97 - int(plain) % 97 == int(text[13:])


def it_codice_fiscale(text: str) -> bool:
    """Italy, tax code: letters of the name, date, place, a letter that checks."""
    total = 0
    for place, each in enumerate(text[:15]):
        value = int(each) if each.isdigit() else ord(each) - ord("A")
        total += value if place % 2 else _IT_ODD_VALUES[value]
    return len(text) == 16 and ord(text[15]) - ord("A") == total % 26


def es_dni(text: str) -> bool:
    """Spain, identity card: the letter is the remainder by 23. A day is none."""
    digits = text[:8]
    if len(text) != 9 or not digits.isdigit() or len(set(digits)) < 2:
        return False
    if _day(int(digits[:4]) or 1, int(digits[4:6]), int(digits[6:])) and digits[:2] in ("19", "20"):
        return False
    return _ES_LETTERS[int(digits) % 23] == text[8]


def es_nie(text: str) -> bool:
    """Spain, foreigners: X, Y, Z stand for 0, 1, 2."""
    return len(text) == 9 and _ES_LETTERS[int(f"{'XYZ'.index(text[0])}{text[1:8]}") % 23] == text[8]


def fi_hetu(text: str) -> bool:
    """Finland: day of birth, century, order; the remainder by 31."""
    # Without separators an old century's sign may be gone.
    digits = text[:6] + text[-4:-1]
    return (
        len(text) in (10, 11)
        and digits.isdigit()
        and _short_date(text[4:6], int(text[2:4]), int(text[:2]))
        and int(text[-4:-1]) >= 2
        and _FI_LETTERS[int(digits) % 31] == text[-1]
    )


def se_personnummer(text: str) -> bool:
    """Sweden: day of birth (60 more where it is coordinated), order, Luhn over the last ten."""
    text = text.replace("+", "")
    if len(text) not in (10, 12) or not text.isdigit():
        return False
    last = text[-10:]
    day = int(last[4:6])
    born = _short_date(last[:2], int(last[2:4]), day - 60 if day > 60 else day)
    return born and last[6:9] != "000" and luhn(last)


def se_personnummer_bare(text: str) -> bool:
    """The same in twelve digits, and not a time of day behind the date."""
    if len(text) != 12 or not se_personnummer(text):
        return False
    return "1900" <= text[:4] <= "2099" and not (text[8:10] < "24" and text[10:12] < "60")


def no_fodselsnummer(text: str) -> bool:
    """Norway: day (40 more for a D-number), month (40 or 80 more for tests), two checks."""
    if not _numbers(text, 11):
        return False
    day, month = int(text[:2]) % 40, int(text[2:4]) % 40
    return (
        _short_date(text[4:6], month, day)
        and check_mod_11(text[:10], (3, 7, 6, 1, 8, 9, 4, 5, 2))
        and check_mod_11(text, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2))
    )


def dk_cpr(text: str) -> bool:
    """Denmark: day of birth and a sum by 11."""
    return dk_cpr_unchecked(text) and weighted(text, (4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


def dk_cpr_unchecked(text: str) -> bool:
    """Denmark, since 2007: the day of birth only."""
    return _numbers(text, 10) and _short_date(text[4:6], int(text[2:4]), int(text[:2]))


def be_rijksregister(text: str) -> bool:
    """Belgium: day of birth, order, 97 less the remainder; born from 2000 with a 2 in front."""
    if not _numbers(text, 11):
        return False
    month, day = int(text[2:4]) % 20, int(text[4:6])
    if month > 12 or day > 31 or int(text[2:4]) > 52:
        return False
    check = int(text[9:])
    return check in (97 - int(text[:9]) % 97, 97 - int("2" + text[:9]) % 97)


def ch_ahv(text: str) -> bool:
    """Switzerland: 756 and the check of an article number."""
    return _numbers(text, 13) and check_mod_10(text, (1, 3) * 6)


def nl_bsn(text: str) -> bool:
    """The Netherlands: a sum by 11 whose last weight is less than nothing."""
    return _numbers(text, 9) and weighted(text, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def pl_pesel(text: str) -> bool:
    """Poland: day of birth, the century in the month, a sum by 10."""
    if not _numbers(text, 11):
        return False
    century, month = divmod(int(text[2:4]), 20)
    year = (1900, 2000, 2100, 2200, 1800)[century] + int(text[:2])
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)
    return _day(year, month, int(text[4:6])) and check_mod_10(text, weights)


def pt_nif(text: str) -> bool:
    """Portugal, tax: persons begin with 1, 2, 3 or 45."""
    if not _numbers(text, 9) or not (text[0] in "123" or text[:2] == "45"):
        return False
    rest = weighted(text, (9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return int(text[8]) == (0 if rest < 2 else 11 - rest)


def de_tax_id(text: str) -> bool:
    """Germany, tax: MOD 11,10 over eleven digits."""
    return _numbers(text, 11) and text[0] != "0" and mod_11_10(text)


def de_tax_id_strict(text: str) -> bool:
    """The same as given out: of the first ten digits one comes twice or thrice, the others once."""
    counts = sorted(text[:10].count(each) for each in set(text[:10]))
    return de_tax_id(text) and counts[-1] in (2, 3) and counts[:-1] == [1] * (len(counts) - 1)


def uk_nino(text: str) -> bool:
    """United Kingdom, insurance: some beginnings are not given out."""
    return len(text) == 9 and text[:2] not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")


def uk_nhs(text: str) -> bool:
    """United Kingdom, health: a sum by 11."""
    return _numbers(text, 10) and check_mod_11(text, (10, 9, 8, 7, 6, 5, 4, 3, 2))


def ie_pps(text: str) -> bool:
    """Ireland: a letter for the remainder by 23, W for none; a second letter counts nine times."""
    second = (ord(text[8]) - 64) % 23 if len(text) == 9 else 0
    rest = (weighted(text[:7], (8, 7, 6, 5, 4, 3, 2)) + 9 * second) % 23
    return (
        len(text) in (8, 9) and text[:7].isdigit() and (chr(64 + rest) if rest else "W") == text[7]
    )


def cz_rodne_cislo(text: str) -> bool:
    """Czechia and Slovakia, from 1954: day of birth (women 50 more), divisible by 11."""
    if not _numbers(text, 10):
        return False
    month = int(text[2:4]) % 50
    month -= 20 if month > 20 else 0
    exact = int(text) % 11 == 0 or (int(text[:9]) % 11 == 10 and text[9] == "0")
    return exact and _short_date(text[:2], month, int(text[4:6]))


def ro_cnp(text: str) -> bool:
    """Romania: sex and century, day of birth, county, a sum by 11 whose 10 is 1."""
    if not _numbers(text, 13) or not (1 <= int(text[7:9]) <= 52 or text[7:9] in ("70", "80")):
        return False
    rest = weighted(text, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    day = _short_date(text[1:3], int(text[3:5]), int(text[5:7]))
    return day and int(text[12]) == (1 if rest == 10 else rest)


def bg_egn(text: str) -> bool:
    """Bulgaria: day of birth, the century in the month, a sum by 11 whose 10 is 0."""
    if not _numbers(text, 10):
        return False
    day = _short_date(text[:2], int(text[2:4]) % 20, int(text[4:6]))
    return day and weighted(text, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10 == int(text[9])


def ee_lt_code(text: str) -> bool:
    """Estonia and Lithuania: sex and century, day of birth; a second sum where the first is 10."""
    if not _numbers(text, 11):
        return False
    if text[0] not in "123456" or not _short_date(text[1:3], int(text[3:5]), int(text[5:7])):
        return False
    rest = weighted(text, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if rest == 10:
        rest = weighted(text, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return rest == int(text[10])


def gr_amka(text: str) -> bool:
    """Greece: day of birth and Luhn."""
    return (
        _numbers(text, 11) and _short_date(text[4:6], int(text[2:4]), int(text[:2])) and luhn(text)
    )


def hr_oib(text: str) -> bool:
    """Croatia: MOD 11,10."""
    return _numbers(text, 11) and mod_11_10(text)


# -- elsewhere --


def br_cpf(text: str) -> bool:
    """Brazil: two sums by 11."""
    if not _numbers(text, 11):
        return False
    first = weighted(text[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(text[:10], range(11, 1, -1)) * 10 % 11 % 10
    return text[9:] == f"{first}{second}"


def ca_sin(text: str) -> bool:
    """Canada: Luhn; none begins with 0 or 8."""
    return _numbers(text, 9) and text[0] not in "08" and luhn(text)


def in_aadhaar(text: str) -> bool:
    """India: Verhoeff; none begins with 0 or 1."""
    return _numbers(text, 12) and text[0] not in "01" and verhoeff(text)


def in_pan(text: str) -> bool:
    """India, tax: the fourth letter says that it is a person's, or a family's."""
    return len(text) == 10 and text[3] in "PH" and text[5:9] != "0000"


def au_tfn(text: str) -> bool:
    """Australia, tax: a sum by 11 over nine digits, or eight of old."""
    if _numbers(text, 9):
        return weighted(text, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0
    return _numbers(text, 8) and weighted(text, (10, 7, 8, 4, 6, 3, 5, 1)) % 11 == 0


def au_medicare(text: str) -> bool:
    """Australia, health: the ninth digit checks the eight in front."""
    return _numbers(text, 10) and weighted(text, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(text[8])


def kr_rrn(text: str) -> bool:
    """Korea: day of birth, sex and century, a sum by 11, two more for foreigners."""
    if not kr_rrn_unchecked(text):
        return False
    total = weighted(text, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5))
    foreigner = text[6] in "5678"
    return (11 - total % 11) % 10 == int(text[12]) or (
        foreigner and (13 - total % 11) % 10 == int(text[12])
    )


def kr_rrn_unchecked(text: str) -> bool:
    """Korea, given since October 2020: behind the day of birth and the sex all is chance."""
    if not _numbers(text, 13) or text[6] not in "12345678":
        return False
    year = (1900 if text[6] in "1256" else 2000) + int(text[:2])
    return _day(year, int(text[2:4]), int(text[4:6]))


def cn_resident_id(text: str) -> bool:
    """China: region, day of birth, order, MOD 11-2."""
    return (
        len(text) == 18
        and "11" <= text[:2] <= "83"
        and _day(int(text[6:10]), int(text[10:12]), int(text[12:14]))
        and mod_11_2(text)
    )


def za_id(text: str) -> bool:
    """South Africa: day of birth, order, citizenship, Luhn."""
    return (
        _numbers(text, 13)
        and text[10] in "012"
        and _short_date(text[:2], int(text[2:4]), int(text[4:6]))
        and luhn(text)
    )


def tr_kimlik(text: str) -> bool:
    """Turkey: the tenth digit from odd and even places, the eleventh from all."""
    if not _numbers(text, 11) or text[0] == "0":
        return False
    digits = [int(each) for each in text]
    tenth = (7 * sum(digits[:9:2]) - sum(digits[1:8:2])) % 10
    return tenth == digits[9] and sum(digits[:10]) % 10 == digits[10]


def th_id(text: str) -> bool:
    """Thailand: a sum by 11."""
    if not _numbers(text, 13) or text[0] in "09":
        return False
    return (11 - weighted(text, range(13, 1, -1)) % 11) % 10 == int(text[12])


def mx_curp(text: str) -> bool:
    """Mexico: letters of the name, day of birth, sex, state, a sum by 10."""
    if len(text) != 18 or not _short_date(text[4:6], int(text[6:8]), int(text[8:10])):
        return False
    total = sum(_MX_ALPHABET.index(each) * (18 - n) for n, each in enumerate(text[:17]))
    return -total % 10 == int(text[17])


def sg_nric(text: str) -> bool:
    """Singapore: a letter for the sum by 11; which letters, says the first."""
    if len(text) != 9 or not text[1:8].isdigit():
        return False
    total = weighted(text[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(text[0], 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "XWUTRQPNJLK"}
    return letters.get(text[0], "XWUTRQPNMLK")[total % 11] == text[8]


def cl_rut(text: str) -> bool:
    """Chile: a sum by 11 from the right, K for ten."""
    body = text[:-1]
    rest = -weighted(body[::-1], (2, 3, 4, 5, 6, 7) * 2) % 11
    return len(text) in (8, 9) and body.isdigit() and text[-1] == ("K" if rest == 10 else str(rest))


def hk_id(text: str) -> bool:
    """Hong Kong: letters count from 10, a missing one 36; a sum by 11, A for ten."""
    padded = text.rjust(9, " ")
    total = 0
    for weight, each in zip(range(9, 0, -1), padded, strict=False):
        total += weight * (36 if each == " " else int(each, 36))
    return len(text) in (8, 9) and total % 11 == 0


def il_id(text: str) -> bool:
    """Israel: Luhn over nine digits."""
    return _numbers(text, 9) and luhn(text)


def jp_my_number(text: str) -> bool:
    """Japan: a sum by 11; less than two checks as 0."""
    if not _numbers(text, 12):
        return False
    rest = weighted(text, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return int(text[11]) == (0 if rest < 2 else 11 - rest)


VALIDATORS: dict[str, Callable[[str], bool]] = {
    each.__name__: each
    for each in (
        always,
        fr_nir,
        it_codice_fiscale,
        es_dni,
        es_nie,
        fi_hetu,
        se_personnummer,
        se_personnummer_bare,
        no_fodselsnummer,
        dk_cpr,
        dk_cpr_unchecked,
        be_rijksregister,
        ch_ahv,
        nl_bsn,
        pl_pesel,
        pt_nif,
        de_tax_id,
        de_tax_id_strict,
        uk_nino,
        uk_nhs,
        ie_pps,
        cz_rodne_cislo,
        ro_cnp,
        bg_egn,
        ee_lt_code,
        gr_amka,
        hr_oib,
        br_cpf,
        ca_sin,
        in_aadhaar,
        in_pan,
        au_tfn,
        au_medicare,
        kr_rrn,
        kr_rrn_unchecked,
        cn_resident_id,
        za_id,
        tr_kimlik,
        th_id,
        mx_curp,
        sg_nric,
        cl_rut,
        hk_id,
        il_id,
        jp_my_number,
    )
}
