"""Give a text to the detectors that have a reader: in pieces of a bounded size, and only its prose.

The structure of JSON, marks of redaction and long runs without a space are replaced by blanks of
the same length, so that a place in the prose is the same place in the text. This module knows
nothing of blocks and encodings.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from forestall.output.engine import Hit
from forestall.output.findings import Detector, Kind, Reader, Sighting

PIECE_CHARS = 1_024  # between two looks at the clock; a model may take a second for a few thousand
OVERLAP_CHARS = 128  # of two pieces that are not cut at the end of a line; the longest name
_NO_PROSE = re.compile(
    r"\[REDACTED:[a-z0-9_ ]{1,64}(?:#[0-9]{1,9})?\]"  # the mark of what was redacted
    r"|[A-Za-z0-9+/_=-]{80,}"
)
_BETWEEN = re.compile(r"[\s\[\]{}:,\"]{2,}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_STRUCTURE = frozenset("[]{}:,")
_ONE_LINE = re.compile(r"[^\s](?:[^\n]*[^\s])?")
_CUT_BEHIND = (
    " ",
    "\u3002",
    "\uff01",
    "\uff1f",
    "\u3000",
)  # characters that end a word or sentence


class ReaderFailedError(Exception):
    """A reader raised an exception, or answered with an invalid place. The message names the
    detector and the type of the exception, never a text."""


class ProseReading:
    """The readers of one scan. They read equal pieces once."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._readers: list[tuple[str, dict[str, Kind], Reader]] = [
            (each.name, {kind.name: kind for kind in each.kinds}, each.reader)
            for each in detectors
            if each.reader is not None
        ]
        self._known: dict[tuple[str, str], tuple[Sighting, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._readers)

    def hits(self, data: bytes, expired: Callable[[], bool]) -> Iterator[Hit]:
        """The hits of all readers in a text, piece by piece, until the time has expired. Raises
        ReaderFailedError."""
        text = data.decode("utf-8", "surrogateescape")
        prose = _without_structure(text)
        at_char = at_byte = 0
        for start, end in _pieces(prose):
            if expired():
                return
            at_byte += _byte_count(text[at_char:start])
            at_char = start
            for name, kinds, reader in self._readers:
                for seen in self._sightings(name, kinds, reader, prose[start:end]):
                    first = at_byte + _byte_count(text[start : start + seen.start])
                    last = first + _byte_count(text[start + seen.start : start + seen.end])
                    kind, value = kinds[seen.kind], data[first:last]
                    yield Hit(first, last, seen.confidence, kind, name, value, cut=False)

    def _sightings(
        self, name: str, kinds: dict[str, Kind], reader: Reader, piece: str
    ) -> tuple[Sighting, ...]:
        if not any(map(str.isalpha, piece)):
            return ()
        known = self._known.get((name, piece))
        if known is None:
            known = self._known[name, piece] = tuple(_checked_sightings(name, kinds, reader, piece))
        return known


def _checked_sightings(
    name: str, kinds: dict[str, Kind], reader: Reader, piece: str
) -> Iterator[Sighting]:
    """The sightings of a reader in a piece, validated. A reader is code of others: what it raises
    becomes ReaderFailedError."""
    try:
        for kind, start, end, confidence in reader(piece):
            if kind not in kinds or not 0 <= start <= end <= len(piece) or not 0 < confidence <= 1:
                raise ValueError("no place in the text")
            # Two lines are two values: no finding reaches across a blank that replaced structure.
            for part in _ONE_LINE.finditer(piece, start, end):
                yield Sighting(kind, *part.span(), confidence)
    except Exception as cause:
        raise ReaderFailedError(f"{name}: {type(cause).__name__}") from cause


def _without_structure(text: str) -> str:
    """The prose of a text: as many characters, with blanks for everything else."""
    text = _SURROGATE.sub("\ufffd", text)
    return _BETWEEN.sub(_blank_structure, _NO_PROSE.sub(_blank, text))


def _blank(found: re.Match[str]) -> str:
    return "\n" + " " * (len(found[0]) - 1)


def _blank_structure(found: re.Match[str]) -> str:
    run = found[0]
    if '"' not in run or _STRUCTURE.isdisjoint(run):
        return run  # quotation marks in prose
    return _blank(found)


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each piece. A piece ends with a line; within a long line, with a sentence
    or a word, and overlaps with the next piece."""
    start, size = 0, len(text)
    while size - start > PIECE_CHARS:
        half, end = start + PIECE_CHARS // 2, start + PIECE_CHARS
        line = text.rfind("\n", half, end)
        if line >= 0:
            yield start, line + 1
            start = line + 1
            continue
        end = max((text.rfind(each, half, end) for each in _CUT_BEHIND), default=-1) + 1 or end
        yield start, end
        space = text.find(" ", end - OVERLAP_CHARS, end - 1)
        start = space + 1 if space >= 0 else end - OVERLAP_CHARS
    if start < size:
        yield start, size


def _byte_count(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
