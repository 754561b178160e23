"""The numbering plans of the world: which digits are a telephone number somewhere.

The tables of the library `phonenumbers` become one linear-time pattern for each country code; the
code of the library that reads numbers does not run. Loaded when the first number is looked up.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import msgspec

from forestall.data_tables import read_table
from forestall.output.patterns import compiled

_NUMBERS_KEPT = 4_096
_PLAN_MEMORY_BYTES = 64 << 20


class Plans(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which plans are looked up: `sorts` of numbers, by their names in `phonenumbers`, and the
    regions where a number without a country code may be from, the commonest first."""

    sorts: tuple[str, ...]
    regions: tuple[str, ...]


@cache
def _plans() -> Plans:
    return read_table("forestall.output", "data/numbering_plans.yaml", Plans).value


def _patterns(region: str, code: int) -> list[str]:
    """What the plan of a region says of its numbers, as patterns of digits."""
    from phonenumbers.phonemetadata import PhoneMetadata

    if region == "001":
        plan = PhoneMetadata.metadata_for_nongeo_region(code, None)
    else:
        plan = PhoneMetadata.metadata_for_region(region, None)
    sorts = (getattr(plan, name, None) for name in _plans().sorts)
    return [sort.national_number_pattern for sort in sorts if sort and sort.national_number_pattern]


@cache
def _plan(code: int) -> Any:
    """The pattern of the numbers behind a country code; None when there is no such code."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    regions = COUNTRY_CODE_TO_REGION_CODE.get(code, ())
    patterns = [pattern for region in regions for pattern in _patterns(region, code)]
    return _plan_pattern(patterns) if patterns else None


@cache
def _dialled() -> Any:
    """The pattern of the numbers of the commonest regions, as they are dialled there."""
    from phonenumbers.phonemetadata import PhoneMetadata

    patterns = []
    for region in _plans().regions:
        plan = PhoneMetadata.metadata_for_region(region, None)
        prefix = plan.national_prefix if plan is not None else None
        front = f"(?:{prefix})?" if prefix else ""
        patterns.append(f"{front}(?:{'|'.join(_patterns(region, 0))})")
    return _plan_pattern(patterns)


def _plan_pattern(patterns: Sequence[str]) -> Any:
    return compiled("|".join(patterns), captures=False, memory_bytes=_PLAN_MEMORY_BYTES)


@lru_cache(maxsize=_NUMBERS_KEPT)
def is_international(digits: str) -> bool:
    """Whether a numbering plan has the number; `digits` begin with the country code."""
    if not 7 <= len(digits) <= 15:
        return False
    for size in (1, 2, 3):
        plan = _plan(int(digits[:size]))
        if plan is not None:
            number = digits[size:].encode()
            if plan.fullmatch(number) is not None:
                return True
            # Once more without a trunk zero that was kept behind the country code: +44 (0)20 ...
            return number[:1] == b"0" and plan.fullmatch(number[1:]) is not None
    return False


def has_country(digits: str) -> bool:
    """Whether the digits begin with the code of a country and are as many as a number has."""
    return 10 <= len(digits) <= 13 and any(_plan(int(digits[:size])) for size in (1, 2, 3))


@lru_cache(maxsize=_NUMBERS_KEPT)
def is_national(digits: str) -> bool:
    """Whether one of the commonest numbering plans has the number, as it is dialled there."""
    return _dialled().fullmatch(digits.encode()) is not None
