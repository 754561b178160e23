"""Give a text to the detectors that have a reader: in pieces of a bounded size, and only its prose.

The structure of JSON, marks of redaction and long runs without a space are replaced by as many
blanks, so that a place in the prose is the same place in the text. Knows nothing of blocks and
encodings.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from forestall.output.engine import Hit
from forestall.output.findings import MARK_PATTERN, Detector, Kind, Reader, Sighting

PIECE_CHARS = 1_024  # between two looks at the clock; a model may take a second for a few thousand
OVERLAP_CHARS = 128  # of two pieces that are not cut at the end of a line; the longest name
_NO_PROSE = re.compile(rf"{MARK_PATTERN}|[A-Za-z0-9+/_=-]{{80,}}")
_MAYBE_STRUCTURE = re.compile(r"[\s\[\]{}:,\"]{2,}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_STRUCTURE = frozenset("[]{}:,")
_LINE = re.compile(r"[^\s](?:[^\n]*[^\s])?")
_CUT_BEHIND = (" ", "\u3002", "\uff01", "\uff1f", "\u3000")  # they end a word or a sentence


class ReaderFailedError(Exception):
    """A reader raised an exception, or answered with an invalid place. The message names the
    detector and the type of the exception, never a text."""


class _DetectorReader(NamedTuple):
    detector: str
    kinds: dict[str, Kind]  # by name
    reader: Reader


class ProseReading:
    """The readers of one scan. They read equal pieces once."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._readers = [
            _DetectorReader(
                detector.name, {kind.name: kind for kind in detector.kinds}, detector.reader
            )
            for detector in detectors
            if detector.reader is not None
        ]
        self._read_before: dict[tuple[str, str], tuple[Sighting, ...]] = {}  # by detector and piece

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
            for reader in self._readers:
                for sighting in self._sightings(reader, prose[start:end]):
                    seen_from, seen_to = start + sighting.start, start + sighting.end
                    first = at_byte + _byte_count(text[start:seen_from])
                    last = first + _byte_count(text[seen_from:seen_to])
                    yield Hit(
                        start=first,
                        end=last,
                        confidence=sighting.confidence,
                        kind=reader.kinds[sighting.kind],
                        detector=reader.detector,
                        value=data[first:last],
                        cut=False,
                    )

    def _sightings(self, reader: _DetectorReader, piece: str) -> tuple[Sighting, ...]:
        if not any(map(str.isalpha, piece)):
            return ()
        key = (reader.detector, piece)
        sightings = self._read_before.get(key)
        if sightings is None:
            sightings = self._read_before[key] = tuple(_checked_sightings(reader, piece))
        return sightings


def _checked_sightings(reader: _DetectorReader, piece: str) -> Iterator[Sighting]:
    """The sightings of a reader in a piece, validated. A reader is code of others: what it raises
    becomes ReaderFailedError."""
    try:
        for kind, start, end, confidence in reader.reader(piece):
            is_place = kind in reader.kinds and 0 <= start <= end <= len(piece)
            if not is_place or not 0 < confidence <= 1:
                raise ValueError("no place in the text")
            # Two lines are two values: no finding reaches across a blank that replaced structure.
            for line in _LINE.finditer(piece, start, end):
                yield Sighting(kind, *line.span(), confidence)
    except Exception as cause:
        raise ReaderFailedError(f"{reader.detector}: {type(cause).__name__}") from cause


def _without_structure(text: str) -> str:
    """The prose of a text: as many characters, with blanks for everything else."""
    text = _SURROGATE.sub("\ufffd", text)
    return _MAYBE_STRUCTURE.sub(_blank_structure, _NO_PROSE.sub(_blank, text))


def _blank(match: re.Match[str]) -> str:
    return "\n" + " " * (len(match[0]) - 1)


def _blank_structure(match: re.Match[str]) -> str:
    run = match[0]
    if '"' not in run or _STRUCTURE.isdisjoint(run):
        return run  # quotation marks in prose
    return _blank(match)


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
        end = max(text.rfind(mark, half, end) for mark in _CUT_BEHIND) + 1 or end
        yield start, end
        space = text.find(" ", end - OVERLAP_CHARS, end - 1)
        start = space + 1 if space >= 0 else end - OVERLAP_CHARS
    if start < size:
        yield start, size


def _byte_count(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
