"""A copy without what was found, in which looking again finds nothing of it; or none."""

from collections.abc import Sequence

import msgspec

from forestall.limits import REDACTIONS_MAX
from forestall.output.findings import Detector, Finding, ScanBudget
from forestall.output.redact import redact
from forestall.output.scan import scan

_DECODE = msgspec.json.Decoder().decode


def redacted(
    content: bytes, remove: Sequence[Finding], *, is_json: bool | None = None
) -> bytes | None:
    """The content without these findings; None when what was JSON would be none any more."""
    copy = redact(content, remove, json=is_json)
    if is_json:
        try:
            _DECODE(copy)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
    return copy


def clean_copy(
    content: bytes,
    remove: Sequence[Finding],
    *,
    detectors: Sequence[Detector],
    left: Sequence[Finding] = (),
    budget: ScanBudget | None = None,
    is_json: bool | None = None,
) -> bytes | None:
    """The content without these findings; None when something is left of what had to go.

    `left` are findings that may stay, because a rule names other kinds only: what has their kind is
    no matter, unless the kind has to go as well.

    A copy is looked at as the original was. Of a changed text a reader may think otherwise: what
    only a reader sees in the copy goes as well, and the next copy is looked at.
    """
    removed = {finding.detector for finding in remove}
    may_stay = {(one.detector, one.kind) for one in left}
    may_stay -= {(one.detector, one.kind) for one in remove}
    wanted = [each for each in detectors if each.name in removed]
    readers = {each.name for each in wanted if each.reader is not None}
    for _ in range(REDACTIONS_MAX):
        copy = redacted(content, remove, is_json=is_json)
        if copy is None:
            return None
        again = scan(copy, detectors=wanted, budget=budget or ScanBudget())
        if not again.complete:
            return None
        remove = [one for one in again.findings if (one.detector, one.kind) not in may_stay]
        if not remove:
            return copy
        if any(finding.detector not in readers for finding in remove):
            return None
        content = copy
    return None
