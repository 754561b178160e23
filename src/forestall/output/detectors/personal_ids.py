"""Personal data: numbers that states give to persons, by the table in `national_ids`.

A number that a chance one is unlikely to be is found wherever it stands; one that is digits and one
check digit needs a word that names it, or to be all of the text. A check that fails is no finding,
whatever the words say, but for the few states that stopped giving checks.
"""

import re
from collections.abc import Callable
from functools import cache

from forestall.output.detectors import national_numbers as numbers
from forestall.output.detectors.context import Words, in_a_row, keywords, part_of_more, words
from forestall.output.detectors.national_ids import IDS, Id
from forestall.output.findings import Candidate, Kind

_SEPARATOR = re.compile(r"[^0-9A-Za-z+]")
_REACH_BYTES = 64

# Alone in a text, as an answer is: those that few numbers of so many digits are.
_ALONE = (
    *(numbers.no_fodselsnummer, numbers.be_rijksregister, numbers.tr_kimlik, numbers.br_cpf),
    *(numbers.de_tax_id_strict, numbers.pl_pesel, numbers.ee_lt_code, numbers.kr_rrn),
    *(numbers.za_id, numbers.ro_cnp, numbers.se_personnummer_bare, numbers.fr_nir),
)
# And those in groups of their own, which a long number in thousands does not have.
_GROUPED = (
    ("[0-9]{3}[ -][0-9]{3}[ -][0-9]{3}", numbers.ca_sin),
    ("[0-9]{3}[ -][0-9]{3}[ -][0-9]{4}", numbers.uk_nhs),
    ("[0-9]{4} [0-9]{5} [0-9]", numbers.au_medicare),
    ("[0-9]{4} [0-9]{4} [0-9]{4}", numbers.jp_my_number),
    ("[0-9]{2} [0-9]{3} [0-9]{3} [0-9]{3}", numbers.de_tax_id_strict),
    ("[0-9]{6} [0-9]{4} [0-9]{3}", numbers.za_id),
)
_FREE = tuple(each for each in IDS if each.free)


@cache
def _form(shape: str) -> re.Pattern[str]:
    return re.compile(shape)


def _bounded(shapes: list[str]) -> str:
    """The shapes between characters of no word; a parenthesis is an end by itself."""
    ends = (each if each.rstrip(")").endswith("\\") else rf"(?:{each})\b" for each in shapes)
    return rf"\b(?:{'|'.join(ends)})"


def _bare(text: str) -> str:
    return _SEPARATOR.sub("", text).upper()


def _anywhere(found: Candidate) -> float | None:
    """A number of whatever state, by its form and its check alone."""
    if in_a_row(found) or part_of_more(found):
        return None
    value = _bare(found.value)
    for each in _FREE:
        if _form(each.free).fullmatch(found.value) is not None and each.valid(value):
            return each.sure
    return None


def _named(kind: Id, named: Words) -> Callable[[Candidate], float | None]:
    def check(found: Candidate) -> float | None:
        value = _bare(found.value)
        sure = 0.95 if kind.valid(value) else 0.0
        if not sure and kind.unchecked is not None and kind.unchecked(value):
            sure = 0.7
        if not sure or part_of_more(found):
            return None
        return sure if named(found.before[-_REACH_BYTES:]) else None

    return check


def _whole(found: Candidate) -> float | None:
    value = _bare(found.value)
    if value != found.value:
        grouped = (
            _form(shape).fullmatch(found.value) and valid(value) for shape, valid in _GROUPED
        )
        return 0.65 if any(grouped) else None
    return 0.55 if any(valid(value) for valid in _ALONE) else None


def _shown(value: str) -> str:
    """The last two characters."""
    return "*" * 8 + value[-2:]


def _kind(each: Id) -> Kind:
    return Kind(
        name=f"national_id_{each.name}",
        pattern=_bounded([each.shape]),
        keywords=keywords(each.words),
        before=0,
        after=_REACH_BYTES,
        check=_named(each, words(each.words)),
        mask=_shown,
    )


KINDS: tuple[Kind, ...] = (
    *map(_kind, IDS),
    Kind(
        name="national_id",
        pattern=_bounded([each.free for each in _FREE]),
        check=_anywhere,
        mask=_shown,
    ),
    Kind(
        name="national_id",
        pattern=r"\A\s*([0-9]{2,6}(?:[ -][0-9]{1,5}){2,3}|[0-9]{9,15})\s*\z",
        check=_whole,
        mask=_shown,
    ),
)
