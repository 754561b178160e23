"""Short ways to write a row of a table: a token with a prefix of its own, a key beside a name."""

from forestall.output.detectors.checks import looks_random, not_placeholder
from forestall.output.findings import Check, Kind

HEX = "[0-9a-f]"
UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
NAME_END = r"[\w.-]*"
ASSIGNED = r"[\"'`\]]{0,2}(?:\s{0,4}(?:=>|:=|->|[:=,(>])\s{0,4}|\s{1,3})(?:bearer |[\"'`]){0,2}"


def token(
    name: str,
    pattern: str,
    *keywords: str,
    shown: int = 0,
    sure: float = 0.95,
    check: Check | None = None,
    any_case: bool = False,
    before: int = 40,
    after: int = 512,
) -> Kind:
    """A token known by its own form. Between characters that are not part of it."""
    # What is open at its end takes all there is; a boundary would hide what ends far away.
    end = "" if pattern.endswith(",}") else r"(?:[^0-9A-Za-z_-]|[_-]?$|[_-][^0-9A-Za-z])"
    return Kind(
        name=name,
        pattern=rf"(?:^|[^0-9A-Za-z])({pattern}){end}",
        keywords=keywords,
        any_case=any_case,
        before=before,
        after=after,
        confidence=sure,
        check=check or not_placeholder(sure, skip=shown),
        shown=shown,
    )


def named(
    name: str,
    vendor: str,
    value: str,
    *keywords: str,
    sure: float = 0.85,
    length_min: int = 12,
) -> Kind:
    """A value without a form of its own, right behind the name of whom it opens."""
    return Kind(
        name=name,
        pattern=rf"(?i:{vendor}{NAME_END}){ASSIGNED}({value})(?:[^0-9A-Za-z_-]|$)",
        keywords=keywords or (vendor.lower(),),
        before=8,
        after=200,
        confidence=sure,
        check=looks_random(sure, length_min=length_min),
    )
