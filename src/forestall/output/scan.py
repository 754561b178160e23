"""Look at all of a content, decoded where it is encoded, and say what was found and whether all of
it was seen. No clock and no I/O; the time allowed is an argument.
"""

from collections.abc import Sequence

from forestall.output.findings import Budget, Detector, Scan

_DEFAULT_BUDGET = Budget()


def scan(
    content: str | bytes,
    *,
    detectors: Sequence[Detector],
    content_type: str = "text/plain",
    key: bytes = b"",
    budget: Budget = _DEFAULT_BUDGET,
) -> Scan:
    """Find everything of the detectors' kinds. `key` makes correlation hashes; without one they
    are empty. Never partial in silence: see `Scan.complete`."""
    raise RuntimeError("under construction")
