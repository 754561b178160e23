"""Give a text to the detectors that read: in pieces of a bounded size, without what is no prose.

What stands between the strings of JSON, marks of what was redacted and long runs without a space
are made blank, so that a place in what is read is the same place in the text. Knows nothing of
blocks and encodings.
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
_PART = re.compile(r"[^\s](?:[^\n]*[^\s])?")
_ENDS = (" ", "\u3002", "\uff01", "\uff1f", "\u3000")  # where a line may be cut


class ReaderFailedError(Exception):
    """A reader raised, or answered what cannot be. Names the detector and a type, never a text."""


class ProseReading:
    """What the readers of one scan see. A piece that comes again is not read again."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._readers: list[tuple[str, dict[str, Kind], Reader]] = [
            (each.name, {kind.name: kind for kind in each.kinds}, each.reader)
            for each in detectors
            if each.reader is not None
        ]
        self._read: dict[tuple[str, str], tuple[Sighting, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._readers)

    def hits(self, data: bytes, expired: Callable[[], bool]) -> Iterator[Hit]:
        """What is seen in a text, piece by piece. Stops where it stands once the time has expired.

        Raises ReaderFailedError.
        """
        text = data.decode("utf-8", "surrogateescape")
        prose = _prose(text)
        at_char = at_byte = 0
        for start, end in _pieces(prose):
            if expired():
                return
            at_byte += _size(text[at_char:start])
            at_char = start
            for name, kinds, reader in self._readers:
                for seen in self._seen(name, kinds, reader, prose[start:end]):
                    first = at_byte + _size(text[start : start + seen.start])
                    last = first + _size(text[start + seen.start : start + seen.end])
                    kind, value = kinds[seen.kind], data[first:last]
                    yield Hit(first, last, seen.confidence, kind, name, value, cut=False)

    def _seen(
        self, name: str, kinds: dict[str, Kind], reader: Reader, piece: str
    ) -> tuple[Sighting, ...]:
        if not any(map(str.isalpha, piece)):
            return ()
        known = self._read.get((name, piece))
        if known is None:
            known = self._read[name, piece] = tuple(_asked(name, kinds, reader, piece))
        return known


def _asked(name: str, kinds: dict[str, Kind], reader: Reader, piece: str) -> Iterator[Sighting]:
    """What the reader sees in a piece. It is not ours: whatever it raises is one error."""
    try:
        for kind, start, end, confidence in reader(piece):
            if kind not in kinds or not 0 <= start <= end <= len(piece) or not 0 < confidence <= 1:
                raise ValueError("no place in the text")
            # Two lines are two values: one finding never reaches over what was made blank.
            for part in _PART.finditer(piece, start, end):
                yield Sighting(kind, *part.span(), confidence)
    except Exception as cause:
        raise ReaderFailedError(f"{name}: {type(cause).__name__}") from cause


def _prose(text: str) -> str:
    """The text with as many characters, and without what is no prose."""
    text = _SURROGATE.sub("\ufffd", text)
    return _BETWEEN.sub(_blank_structure, _NO_PROSE.sub(_blank, text))


def _blank(found: re.Match[str]) -> str:
    return "\n" + " " * (len(found[0]) - 1)


def _blank_structure(found: re.Match[str]) -> str:
    run = found[0]
    if '"' not in run or _STRUCTURE.isdisjoint(run):
        return run  # a quotation in prose, or no quotation
    return _blank(found)


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Where to cut: at the end of a line, or else of a sentence or a word, and then overlapping."""
    start, size = 0, len(text)
    while size - start > PIECE_CHARS:
        half, end = start + PIECE_CHARS // 2, start + PIECE_CHARS
        line = text.rfind("\n", half, end)
        if line >= 0:
            yield start, line + 1
            start = line + 1
            continue
        end = max((text.rfind(each, half, end) for each in _ENDS), default=-1) + 1 or end
        yield start, end
        space = text.find(" ", end - OVERLAP_CHARS, end - 1)
        start = space + 1 if space >= 0 else end - OVERLAP_CHARS
    if start < size:
        yield start, size


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
