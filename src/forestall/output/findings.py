"""What a scan found, and the shape of what looks for it. Values only.

A finding says where, of which kind and how sure; it never holds what was found. A detector is a
table of kinds; a kind is a linear-time pattern, the words that must be near, and a check.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One place of the scanned content. `end` is after the last character; bytes are those of the
    content as it was given. `seen_in` names what had to be decoded to see it, outermost first; the
    place is then that of the whole encoded run."""

    kind: str
    detector: str
    start: int
    end: int
    start_byte: int
    end_byte: int
    confidence: float  # 0 to 1
    masked: str
    correlation: str = ""  # keyed hash of the value: equal values, equal hashes. Empty: no key
    seen_in: tuple[str, ...] = ()


class Unread(StrEnum):
    """Why a scan is not complete. Whoever asked for the scan quarantines."""

    NOT_TEXT = "not_text"  # neither UTF-8 nor UTF-16 with its mark
    TOO_LARGE = "too_large"
    TOO_MANY_FINDINGS = "too_many_findings"
    TOO_LONG_A_FINDING = "too_long_a_finding"  # it began, and its end is out of reach
    ENCODINGS = "encodings"  # more is encoded, or deeper, than the budget looks into
    TIME = "time"


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What one scan saw. Only a complete one without findings says anything good."""

    findings: tuple[Finding, ...]  # by place; none inside a stronger one of the same detector
    complete: bool
    reasons: tuple[Unread, ...]  # empty exactly when complete
    size_bytes: int
    encoding: str  # of the content: utf-8, utf-16-le, utf-16-be

    def __post_init__(self) -> None:
        if self.complete == bool(self.reasons):
            raise ValueError("a scan is complete or it says why not")


def _never() -> bool:
    return False


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How much a scan may do. `expired` is asked now and then: the caller's clock, not ours."""

    bytes_max: int = 64 * 1024 * 1024
    findings_max: int = 10_000
    decoded_bytes_max: int = 64 * 1024 * 1024  # of all encodings together
    depth_max: int = 4  # encodings inside encodings
    expired: Callable[[], bool] = _never


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What a pattern matched, for a kind's check. Undecodable bytes are replaced."""

    value: str  # group 1 of the pattern if it has one and it took part, or else all of the match
    matched: str  # all of the match
    groups: tuple[str, ...]  # all groups; empty text for one that took no part
    before: str  # up to 128 bytes in front of the match
    after: str  # up to 64 bytes behind it


Check = Callable[[Candidate], float | None]


class Kind(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One kind of finding.

    `pattern` is RE2 over UTF-8. `keywords` are looked for first, in any case (ASCII; others as
    written): the pattern runs only from `before` bytes in front of one to `after` bytes behind it,
    and a match has to stand in there. Without keywords it runs over everything: dear, for few.
    `check` refuses (None) or gives the confidence; without one it is `confidence`.
    `shown` leading characters belong to the format, not to the secret, and may stand in the mask;
    or `mask` makes the whole masked form.
    """

    name: str
    pattern: str
    keywords: tuple[str, ...] = ()
    any_case: bool = False
    before: int = 64
    after: int = 512
    confidence: float = 0.9
    check: Check | None = None
    shown: int = 0
    mask: Callable[[str], str] | None = None

    def __post_init__(self) -> None:
        if any(word != word.lower() or len(word) < 2 for word in self.keywords):
            raise ValueError(f"keywords of `{self.name}` are lower case, two characters or more")
        if max(self.before, self.after) > REACH_BYTES_MAX:
            raise ValueError(f"`{self.name}` reaches farther than blocks overlap")


class Detector(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A named table of kinds. Build one again only when its configuration changes: patterns are
    compiled once for each set of detectors."""

    name: str
    kinds: tuple[Kind, ...]


REACH_BYTES_MAX = 16 * 1024  # the overlap of two blocks


def masked(kind: Kind, value: str) -> str:
    """A form of the value that may be shown: what belongs to the format, and stars."""
    if kind.mask is not None:
        return kind.mask(value)
    return value[: kind.shown] + "*" * 8
