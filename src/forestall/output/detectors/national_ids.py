"""Numbers that states give to persons, a row for each: its shapes, its check, the words for it.

To add one: its check in `national_numbers`, a row here, a sample in `tests/unit/output/personal`.
"""

from collections.abc import Callable
from typing import NamedTuple

from forestall.output.detectors import national_numbers as numbers


class Id(NamedTuple):
    """One kind of number. `valid` sees it in capitals, without separators."""

    name: str
    words: str  # that name it, with bars between
    valid: Callable[[str], bool]
    shape: str  # RE2: how it is written behind one of the words
    free: str = ""  # RE2: how it has to be written to be found without one; empty: it is not
    sure: float = 0.0  # then
    unchecked: Callable[[str], bool] | None = None  # behind a word: a number that has no check


_ELEVEN = "[0-9]{11}"
_NINO = "[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]"
_MBI_LETTER, _MBI_EITHER = "[AC-HJKMNP-RT-Y]", "[0-9AC-HJKMNP-RT-Y]"
_MBI = (
    f"[1-9]{_MBI_LETTER}{_MBI_EITHER}[0-9]-?{_MBI_LETTER}{_MBI_EITHER}[0-9]"
    f"-?{_MBI_LETTER}{{2}}[0-9]{{2}}"
)
_CODICE = "[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]"
_CURP = "[A-Z][AEIOUX][A-Z]{2}[0-9]{6}[HMX][A-Z]{2}[B-DF-HJ-NP-TV-Z]{3}[0-9A-Z][0-9]"
_DAY = "(?:0[1-9]|[12][0-9]|3[01])"
_MONTH = "(?:0[1-9]|1[0-2])"
_CN = rf"[1-8][0-9]{{5}}(?:18|19|20)[0-9]{{2}}{_MONTH}{_DAY}[0-9]{{3}}[0-9Xx]"

_EUROPE = (
    Id(
        "be_rijksregister",
        "rijksregister|registre national|insz|niss|numéro national|national number",
        numbers.be_rijksregister,
        rf"[0-9]{{2}}\.[0-9]{{2}}\.[0-9]{{2}}-[0-9]{{3}}[.-][0-9]{{2}}|{_ELEVEN}",
        r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}[.-][0-9]{2}",
        0.6,
    ),
    Id("bg_egn", "egn|егн|единен граждански", numbers.bg_egn, "[0-9]{10}"),
    Id(
        "ch_ahv",
        "ahv|avs|sozialversicherungsnummer|ahv-nr",
        numbers.ch_ahv,
        r"756[. ]?[0-9]{4}[. ]?[0-9]{4}[. ]?[0-9]{2}",
        r"756[. ]?[0-9]{4}[. ]?[0-9]{4}[. ]?[0-9]{2}",
        0.85,
    ),
    Id(
        "cz_rodne_cislo",
        "rodné číslo|rodne cislo|rodné čislo|r.č",
        numbers.cz_rodne_cislo,
        "[0-9]{6}/?[0-9]{4}",
        "[0-9]{6}/[0-9]{4}",
        0.6,
    ),
    Id(
        "de_tax_id",
        "steuer-id|steuerid|steuer id|steuerident|identifikationsnummer|idnr|tax id",
        numbers.de_tax_id,
        "[1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}",
    ),
    Id(
        "dk_cpr",
        "cpr|cpr-nummer|personnummer",
        numbers.dk_cpr,
        "[0-3][0-9]{5}-?[0-9]{4}",
        "[0-3][0-9]{5}-[0-9]{4}",
        0.5,
        numbers.dk_cpr_unchecked,
    ),
    Id(
        "ee_lt_code",
        "isikukood|asmens kodas|asmens kod|personal code",
        numbers.ee_lt_code,
        "[1-6][0-9]{10}",
    ),
    Id(
        "es_dni",
        "dni|nif|n.i.f|documento nacional",
        numbers.es_dni,
        r"[0-9]{2}\.?[0-9]{3}\.?[0-9]{3}[ -]?[A-HJ-NP-TV-Za-hj-np-tv-z]",
        r"[0-9]{2}\.?[0-9]{3}\.?[0-9]{3}[ -]?[A-HJ-NP-TV-Z]",
        0.6,
    ),
    Id(
        "es_nie",
        "nie|extranjero|n.i.e",
        numbers.es_nie,
        "[XYZxyz]-?[0-9]{7}-?[A-HJ-NP-TV-Za-hj-np-tv-z]",
        "[XYZ]-?[0-9]{7}-?[A-HJ-NP-TV-Z]",
        0.75,
    ),
    Id(
        "fi_hetu",
        "hetu|henkilötunnus|personbeteckning|henkilotunnus",
        numbers.fi_hetu,
        "[0-9]{6}[-+A-FU-Ya-fu-y][0-9]{3}[0-9A-FHJ-NPR-Ya-fhj-npr-y]",
        "[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]",
        0.9,
    ),
    Id(
        "fr_nir",
        "nir|insee|sécurité sociale|securite sociale|num secu|numéro de sécu",
        numbers.fr_nir,
        "[1-478][ .]?[0-9]{2}[ .]?[0-9]{2}[ .]?[0-9][0-9AB]"
        "[ .]?[0-9]{3}[ .]?[0-9]{3}[ .-]?[0-9]{2}",
        "[1-478][ .][0-9]{2}[ .][0-9]{2}[ .][0-9][0-9AB][ .][0-9]{3}[ .][0-9]{3}[ .-]?[0-9]{2}"
        "|[12][0-9]{4}2[AB][0-9]{8}",
        0.85,
    ),
    Id("gr_amka", "amka|αμκα", numbers.gr_amka, _ELEVEN),
    Id("hr_oib", "oib|osobni identifikacijski", numbers.hr_oib, _ELEVEN),
    Id(
        "ie_pps",
        "pps|ppsn|pps number|personal public service",
        numbers.ie_pps,
        "[0-9]{7}[A-Wa-w][A-IWa-iw]?",
    ),
    Id(
        "it_codice_fiscale",
        "codice fiscale|codicefiscale|cod. fisc|c.f.",
        numbers.it_codice_fiscale,
        f"(?i:{_CODICE})",
        f"(?i:{_CODICE})",
        0.95,
    ),
    Id(
        "nl_bsn",
        "bsn|burgerservicenummer|sofinummer|sofi",
        numbers.nl_bsn,
        "[0-9]{4}[ .]?[0-9]{2}[ .]?[0-9]{3}|[0-9]{3}[ .]?[0-9]{3}[ .]?[0-9]{3}",
    ),
    Id(
        "no_fodselsnummer",
        "fødselsnummer|fodselsnummer|personnummer|fnr",
        numbers.no_fodselsnummer,
        "[0-7][0-9]{5}[ -]?[0-9]{5}",
        "[0-7][0-9]{5}[ -][0-9]{5}",
        0.7,
    ),
    Id("pl_pesel", "pesel", numbers.pl_pesel, _ELEVEN),
    Id(
        "pt_nif",
        "nif|contribuinte|número fiscal|numero fiscal",
        numbers.pt_nif,
        "[1-9][0-9]{2} ?[0-9]{3} ?[0-9]{3}",
    ),
    Id("ro_cnp", "cnp|cod numeric personal", numbers.ro_cnp, "[1-9][0-9]{12}"),
    Id(
        "se_personnummer",
        "personnummer|personnr|samordningsnummer|pnr",
        numbers.se_personnummer,
        "(?:19|20)?[0-9]{6}[-+]?[0-9]{4}",
        "(?:19|20)?[0-9]{6}[-+][0-9]{4}",
        0.7,
    ),
    Id("uk_nhs", "nhs|national health", numbers.uk_nhs, "[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}"),
    Id(
        "uk_nino",
        "nino|national insurance|ni number|insurance number",
        numbers.uk_nino,
        f"(?i:{_NINO})",
        _NINO,
        0.6,
    ),
)

_AMERICAS = (
    Id(
        "br_cpf",
        "cpf|cadastro de pessoas",
        numbers.br_cpf,
        rf"[0-9]{{3}}\.[0-9]{{3}}\.[0-9]{{3}}-[0-9]{{2}}|{_ELEVEN}",
        r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}",
        0.9,
    ),
    Id(
        "ca_sin",
        "sin|social insurance|assurance sociale|nas",
        numbers.ca_sin,
        "[1-9][0-9]{2}[ -]?[0-9]{3}[ -]?[0-9]{3}",
    ),
    Id(
        "cl_rut",
        "rut|r.u.t|rol único",
        numbers.cl_rut,
        r"[0-9]{1,2}\.?[0-9]{3}\.?[0-9]{3}-[0-9Kk]",
        r"[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9Kk]",
        0.8,
    ),
    Id("mx_curp", "curp", numbers.mx_curp, f"(?i:{_CURP})", _CURP, 0.95),
    Id("us_mbi", "mbi|medicare", numbers.always, f"(?i:{_MBI})", _MBI, 0.6),
)

_ELSEWHERE = (
    Id("au_medicare", "medicare", numbers.au_medicare, "[2-6][0-9]{3} ?[0-9]{5} ?[0-9]"),
    Id("au_tfn", "tfn|tax file", numbers.au_tfn, "[0-9]{3} ?[0-9]{3} ?[0-9]{2,3}"),
    Id(
        "cn_resident_id",
        "身份证|resident id|shenfenzheng",
        numbers.cn_resident_id,
        _CN,
        _CN,
        0.9,
    ),
    Id(
        "hk_id",
        "hkid|hong kong id|身份證",
        numbers.hk_id,
        r"[A-Z]{1,2}[0-9]{6}(?:[0-9A]\b|\([0-9A]\))",
        r"[A-Z]{1,2}[0-9]{6}\([0-9A]\)",
        0.85,
    ),
    Id("il_id", "teudat zehut|תעודת זהות|israeli id|ת.ז", numbers.il_id, "[0-9]{8}-?[0-9]"),
    Id(
        "in_aadhaar",
        "aadhaar|aadhar|uidai|आधार",
        numbers.in_aadhaar,
        "[2-9][0-9]{3}[ :-]?[0-9]{4}[ :-]?[0-9]{4}",
        "[2-9][0-9]{3}[ :-][0-9]{4}[ :-][0-9]{4}",
        0.75,
    ),
    Id(
        "in_pan",
        "pan|permanent account|pan card|income tax",
        numbers.in_pan,
        "(?i:[A-Z]{3}[PH][A-Z][0-9]{4}[A-Z])",
        "[A-Z]{3}[PH][A-Z][0-9]{4}[A-Z]",
        0.5,
    ),
    Id(
        "jp_my_number",
        "my number|マイナンバー|個人番号|mynumber",
        numbers.jp_my_number,
        "[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}",
    ),
    Id(
        "kr_rrn",
        "rrn|resident registration|주민등록번호|주민번호",
        numbers.kr_rrn,
        "[0-9]{6}-?[1-8][0-9]{6}",
        "[0-9]{6}-[1-8][0-9]{6}",
        0.8,
        numbers.kr_rrn_unchecked,
    ),
    Id(
        "sg_nric",
        "nric|fin number|identity card",
        numbers.sg_nric,
        "[STFGMstfgm][0-9]{7}[A-Za-z]",
        "[STFGM][0-9]{7}[A-Z]",
        0.7,
    ),
    Id(
        "th_id",
        "thai id|เลขประจำตัวประชาชน|บัตรประชาชน|thai national|citizen id",
        numbers.th_id,
        "[1-8]-?[0-9]{4}-?[0-9]{5}-?[0-9]{2}-?[0-9]",
        "[1-8]-[0-9]{4}-[0-9]{5}-[0-9]{2}-[0-9]",
        0.9,
    ),
    Id(
        "tr_kimlik",
        "kimlik|tckn|tc no|t.c.|kişi|vatandaşl",
        numbers.tr_kimlik,
        "[1-9][0-9]{10}",
    ),
    Id(
        "za_id",
        "south african id|id number|id no|id-nommer|sa id|rsa id",
        numbers.za_id,
        "[0-9]{6} ?[0-9]{4} ?[012][0-9]{2}",
        "[0-9]{6} [0-9]{4} ?[012][0-9]{2}",
        0.5,
    ),
)

IDS = (*_EUROPE, *_AMERICAS, *_ELSEWHERE)
