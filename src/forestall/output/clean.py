"""Make a redacted copy, and scan it again.

A copy in which the scan still finds anything that had to be removed is not clean. Then there is no
copy, and the caller withholds the content.
"""

from collections.abc import Sequence

import msgspec

from forestall.limits import REDACTIONS_MAX
from forestall.output.findings import Detector, Finding, ScanBudget
from forestall.output.redact import redact
from forestall.output.scan import scan


def redacted(
    content: bytes, remove: Sequence[Finding], *, is_json: bool | None = None
) -> bytes | None:
    """The content without these findings; None when a JSON content would not be JSON any more."""
    copy = redact(content, remove, json=is_json)
    if is_json:
        try:
            msgspec.json.decode(copy)
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
    """The content without these findings; None when no copy is clean.

    `left` are findings that may stay, because the rules name other kinds. Findings of their kinds
    do not make a copy unclean, unless `remove` has a finding of the same kind.

    The copy is scanned by the detectors of the removed findings. A reader may find something else
    in a changed text: such findings are removed too, and the next copy is scanned, at most
    REDACTIONS_MAX times. A finding of a pattern ends the attempt.
    """
    removed_by = {finding.detector for finding in remove}
    may_stay = {(finding.detector, finding.kind) for finding in left}
    may_stay -= {(finding.detector, finding.kind) for finding in remove}
    scanning = [detector for detector in detectors if detector.name in removed_by]
    readers = {detector.name for detector in scanning if detector.reader is not None}
    for _ in range(REDACTIONS_MAX):
        copy = redacted(content, remove, is_json=is_json)
        if copy is None:
            return None
        again = scan(copy, detectors=scanning, budget=budget or ScanBudget())
        if not again.complete:
            return None
        remove = [
            finding
            for finding in again.findings
            if (finding.detector, finding.kind) not in may_stay
        ]
        if not remove:
            return copy
        if any(finding.detector not in readers for finding in remove):
            return None
        content = copy
    return None
