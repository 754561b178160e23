"""What a scan found, and the shape of what looks for it. Values only.

A finding says where, of which kind and how sure; it never holds the text that was found. A detector
is a table of kinds; a kind is a linear-time pattern, the words that must be near, and a check. A
detector with a reader has no patterns: its reader is given text and says where something stands.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One place of the scanned content, and what stands there.

    `correlation` is a keyed hash of the value: equal values have equal hashes; empty without a key.
    `seen_in` names what had to be decoded to see the value, outermost first; the place is then that
    of the whole encoded run.
    """

    kind: str
    detector: str
    start: int  # in characters
    end: int  # behind the last character
    start_byte: int  # in bytes of the content as it was given
    end_byte: int
    confidence: float  # 0 to 1
    masked: str  # may be shown: what belongs to the format, and stars
    correlation: str = ""
    seen_in: tuple[str, ...] = ()


class IncompleteReason(StrEnum):
    """Why a scan is not complete: the content may hold more than was found, so it is withheld."""

    NOT_TEXT = "not_text"  # neither UTF-8 nor UTF-16 with its mark
    TOO_LARGE = "too_large"
    TOO_MANY_FINDINGS = "too_many_findings"
    TOO_LONG_A_FINDING = "too_long_a_finding"  # it began, and its end is out of reach
    ENCODINGS = "encodings"  # more is encoded, or deeper, than the budget looks into
    TIME = "time"
    READER_FAILED = "reader_failed"  # a detector's reader raised, or answered an invalid place


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What one scan saw. Only a complete scan without findings says that a content is clean."""

    findings: tuple[Finding, ...]  # by place; none inside a stronger one of the same detector
    complete: bool
    reasons: tuple[IncompleteReason, ...]  # empty exactly when complete
    size_bytes: int
    encoding: str  # of the content: utf-8, utf-16-le, utf-16-be

    def __post_init__(self) -> None:
        if self.complete == bool(self.reasons):
            raise ValueError("a scan is complete or it says why not")


def _never() -> bool:
    return False


class ScanBudget(msgspec.Struct, frozen=True, kw_only=True):
    """How much a scan may do. It calls `expired` again and again, and stops once that is True: the
    caller has the clock."""

    bytes_max: int = 64 * 1024 * 1024
    findings_max: int = 10_000
    decoded_bytes_max: int = 64 * 1024 * 1024  # of all encodings together
    depth_max: int = 4  # encodings inside encodings
    expired: Callable[[], bool] = _never


_BEFORE_BYTES, _AFTER_BYTES = 128, 64  # of the text round a match


class Candidate:
    """What a pattern matched, for the check of a kind.

    Only the value is decoded at once, since most candidates are refused for their value alone.
    Bytes that are no UTF-8 are replaced.
    """

    __slots__ = ("_data", "_spans", "value")

    def __init__(self, data: bytes, spans: tuple[tuple[int, int], ...]) -> None:
        """`spans` are those of the match and of its groups; (-1, -1) for a group that took no
        part."""
        self._data = data
        self._spans = spans
        start, end = self.span
        self.value = data[start:end].decode("utf-8", "replace")

    @property
    def span(self) -> tuple[int, int]:
        """Where the value stands: the first group that took part, or else the whole match."""
        for span in self._spans[1:]:
            if span[0] >= 0:
                return span
        return self._spans[0]

    @property
    def matched(self) -> str:
        """The text of the whole match."""
        return self._text(*self._spans[0])

    @property
    def before(self) -> str:
        """Up to 128 bytes in front of the match."""
        start = self._spans[0][0]
        return self._text(max(0, start - _BEFORE_BYTES), start)

    @property
    def after(self) -> str:
        """Up to 64 bytes behind the match."""
        end = self._spans[0][1]
        return self._text(end, end + _AFTER_BYTES)

    def _text(self, start: int, end: int) -> str:
        return self._data[start:end].decode("utf-8", "replace")


# Refuses a candidate (None), or gives the confidence of the finding.
Check = Callable[[Candidate], float | None]


class ValuePlace(NamedTuple):
    """A value inside of a structure: bytes of the text, how sure, and whether it may go on behind
    the reach of a match."""

    start: int
    end: int
    confidence: float
    cut: bool = False


# Takes a text, start and end of the anchor in it, and the end of the structure in front. Returns
# where the structure round the anchor ends, and the values in it.
StructureReader = Callable[[bytes, int, int, int], tuple[int, list[ValuePlace]]]


class Kind(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One kind of finding.

    `pattern` is RE2 over UTF-8. `keywords` are looked for first, in any case (ASCII; others as
    written): the pattern runs only from `before` bytes in front of a keyword to `after` bytes
    behind it, and a match has to stand in there. Without keywords the pattern runs over everything,
    which costs much, so few kinds have none. Without `check`, each match is a finding with
    `confidence`. The mask shows the first `shown` characters and the last `shown_end`, which belong
    to the format and not to the secret; or `mask` makes the whole masked form. With `structure` the
    pattern finds an anchor, and the function reads the values round it. A kind without a pattern is
    found by the reader of its detector.
    """

    name: str
    pattern: str = ""
    keywords: tuple[str, ...] = ()
    any_case: bool = False
    before: int = 64
    after: int = 512
    confidence: float = 0.9
    check: Check | None = None
    structure: StructureReader | None = None
    shown: int = 0
    shown_end: int = 0
    mask: Callable[[str], str] | None = None

    def __post_init__(self) -> None:
        if not all(map(is_keyword, self.keywords)):
            raise ValueError(f"keywords of `{self.name}` are lower case, two characters or more")
        if max(self.before, self.after) > REACH_BYTES_MAX:
            raise ValueError(f"`{self.name}` reaches farther than blocks overlap")


def is_keyword(word: str) -> bool:
    """Whether a word is lower case in ASCII, and long enough not to be everywhere. A scan folds the
    case of ASCII only, so a word of another script may be written in any case."""
    return len(word) >= 2 and word.encode().lower() == word.encode()


class Sighting(NamedTuple):
    """What a reader saw in a text, and how sure it is; `start` and `end` are characters."""

    kind: str
    start: int
    end: int
    confidence: float


Reader = Callable[[str], Iterable[Sighting]]


class Detector(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A named table of kinds. Build one again only when its configuration changes: patterns are
    compiled once for each set of detectors.

    With `reader`, the kinds have no patterns, and what the reader sees is found. It is called from
    several threads, with about a thousand characters at a time; when it raises, the scan is
    incomplete.
    """

    name: str
    kinds: tuple[Kind, ...]
    reader: Reader | None = None

    def __post_init__(self) -> None:
        if any(bool(kind.pattern) == (self.reader is not None) for kind in self.kinds):
            raise ValueError(f"kinds of `{self.name}` have patterns, or it has a reader")


REACH_BYTES_MAX = 16 * 1024  # the overlap of two blocks


def masked(kind: Kind, value: str) -> str:
    """A form of the value that may be shown: what belongs to the format, and stars."""
    if kind.mask is not None:
        return kind.mask(value)
    end = value[max(0, len(value) - kind.shown_end) :]
    return value[: kind.shown] + "*" * 8 + end


# What `redaction_mark` makes: a scan takes it for no name and no value.
MARK_PATTERN = r"\[REDACTED:[a-z0-9_ ]{1,64}(?:#[0-9]{1,9})?\]"


def redaction_mark(kind: str, number: int = 0) -> bytes:
    """What stands in a redacted copy for a finding. `number` above 0 tells equal marks apart."""
    return f"[REDACTED:{kind}#{number}]".encode() if number else f"[REDACTED:{kind}]".encode()
