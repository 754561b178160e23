"""Look at all of a content, decoded where it is encoded, and say what was found and whether all of
it was seen. No clock and no I/O; the time allowed is an argument.

A content is looked at in blocks of a fixed size at fixed places, whatever pieces it arrives in, so
that the pieces do not change what is found. Blocks overlap by twice the reach of a match: every
match stands in one block with all of its surroundings.
"""

import codecs
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from forestall.output.decodings import DecodedText, Room, View, decoded, plain, whole
from forestall.output.engine import Hit, engine_of
from forestall.output.findings import (
    REACH_BYTES_MAX,
    Detector,
    Finding,
    Scan,
    ScanBudget,
    Unread,
    masked,
)
from forestall.output.prose_readers import ProseReading, ReaderFailedError

BLOCK_BYTES = 1024 * 1024
_CARRIED_BYTES = 2 * REACH_BYTES_MAX
_CORRELATION_HEX_CHARS = 32
_CORRELATION_DOMAIN = b"forestall.finding.v1\0"
_CONTINUATION = bytes(range(0x80, 0xC0))
_NOT_ASTRAL = bytes([*range(0xF0), *range(0xF5, 0x100)])
_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DEFAULT_BUDGET = ScanBudget()


def scan(
    content: str | bytes,
    *,
    detectors: Sequence[Detector],
    key: bytes = b"",
    budget: ScanBudget = _DEFAULT_BUDGET,
) -> Scan:
    """Find everything of the detectors' kinds. `key` makes correlation hashes; without one they
    are empty. Never partial in silence: see `Scan.complete`."""
    scanner = Scanner(detectors=detectors, key=key, budget=budget)
    if isinstance(content, str):
        # A lone surrogate, as strict JSON may hold one, has no UTF-8 and is no reason to stop.
        scanner.feed_utf8(content.encode("utf-8", "surrogatepass"))
    else:
        scanner.feed(content)
    return scanner.finish()


class _ScannedText(NamedTuple):
    """A hit at its place in the whole content: bytes of its UTF-8 form, then characters and
    characters beyond the basic plane in front of that place."""

    start: int
    end: int
    chars: tuple[int, int]
    astrals: tuple[int, int]
    hit: Hit
    seen_in: tuple[str, ...]


class Scanner:
    """One scan of a content that arrives in pieces: `feed` them, then `finish` once."""

    def __init__(
        self,
        *,
        detectors: Sequence[Detector],
        key: bytes = b"",
        budget: ScanBudget = _DEFAULT_BUDGET,
    ) -> None:
        self._engine = engine_of(tuple(each for each in detectors if each.reader is None))
        self._reading = ProseReading([each for each in detectors if each.reader is not None])
        self._key = key
        self._budget = budget
        self._room = Room(budget.decoded_bytes_max)
        self._reasons: set[Unread] = set()
        self._seen: dict[tuple[str, int, int], _ScannedText] = {}
        self._encoding = ""  # not known yet
        self._decoder: codecs.IncrementalDecoder | None = None
        self._head = b""
        self._size_bytes = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._block = b""  # what the next block begins with
        self._block_start = 0
        self._owned_from = 0
        self._chars = self._astrals = 0  # in front of the next block
        self._over = False

    def feed(self, piece: bytes) -> None:
        """The next bytes of the content."""
        if not self._encoding:
            piece = self._begin(self._head + piece)
        if self._decoder is None or not piece:
            return
        self._size_bytes += len(piece)
        if self._encoding == "utf-8":
            self._check_utf8(piece)
            self._take(piece)
        else:
            self._transcode(piece, last=False)

    def feed_utf8(self, piece: bytes) -> None:
        """The next bytes of a content that is text already; its encoding is not doubted."""
        self._encoding = "utf-8"
        self._size_bytes += len(piece)
        self._take(piece)

    def finish(self) -> Scan:
        """What was seen. The content ends here."""
        if not self._encoding and self._head:
            self._encoding = "utf-8"
            self._decoder = codecs.getincrementaldecoder("utf-8")()
            self._size_bytes += len(self._head)
            self._check_utf8(self._head)
            self._take(self._head)
        if self._decoder is not None:
            if self._encoding == "utf-8":
                self._check_utf8(b"", last=True)
            else:
                self._transcode(b"", last=True)
        self._blocks(last=True)
        if self._room.short:
            self._reasons.add(Unread.ENCODINGS)
        return Scan(
            findings=tuple(islice(self._findings(), self._budget.findings_max)),
            complete=not self._reasons,
            reasons=tuple(sorted(self._reasons)),
            size_bytes=self._size_bytes,
            encoding=self._encoding or "utf-8",
        )

    # -- bytes become UTF-8 --

    def _begin(self, head: bytes) -> bytes:
        if len(head) < 2:
            self._head = head
            return b""
        self._encoding = next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
        self._decoder = codecs.getincrementaldecoder(self._encoding)()
        if self._encoding == "utf-8":
            return head
        self._size_bytes = 2
        return head[2:]

    def _check_utf8(self, piece: bytes, *, last: bool = False) -> None:
        assert self._decoder is not None
        if Unread.NOT_TEXT in self._reasons:
            return
        try:
            self._decoder.decode(piece, last)
        except UnicodeDecodeError:
            self._reasons.add(Unread.NOT_TEXT)

    def _transcode(self, piece: bytes, *, last: bool) -> None:
        assert self._decoder is not None
        if Unread.NOT_TEXT in self._reasons:
            return
        try:
            self._take(self._decoder.decode(piece, last).encode())
        except UnicodeDecodeError:
            self._reasons.add(Unread.NOT_TEXT)

    # -- UTF-8 becomes blocks --

    def _take(self, piece: bytes) -> None:
        if self._size_bytes > self._budget.bytes_max:
            self._reasons.add(Unread.TOO_LARGE)
            self._over = True
        if self._over:
            return
        self._pending.append(piece)
        self._pending_bytes += len(piece)
        if self._pending_bytes >= BLOCK_BYTES:
            self._blocks(last=False)

    def _blocks(self, *, last: bool) -> None:
        """Look at every block that is full; at the end also at the rest."""
        if self._over:
            return
        data = memoryview(b"".join(self._pending))
        full = (len(data) - last) // BLOCK_BYTES  # the last block is never empty
        for place in range(0, full * BLOCK_BYTES, BLOCK_BYTES):
            self._look(self._block + data[place : place + BLOCK_BYTES], last=False)
        rest = bytes(data[full * BLOCK_BYTES :])
        self._pending, self._pending_bytes = [rest], len(rest)
        if last:
            self._look(self._block + rest, last=True)

    def _look(self, data: bytes, *, last: bool) -> None:
        if self._over:
            return
        owned_to = self._block_start + len(data) - (0 if last else REACH_BYTES_MAX)
        block = _Block(data, last)
        places: list[tuple[int, int, Hit, tuple[str, ...]]] = []
        for start, end, hit, seen_in in self._walk(block):
            begin = self._block_start + start
            if begin < owned_to and self._block_start + end > self._owned_from:
                places.append((start, end, hit, seen_in))
            if len(places) + len(self._seen) > 2 * self._budget.findings_max:
                self._stop(Unread.TOO_MANY_FINDINGS)
                break
        self._keep(data, places)
        if len(self._seen) > self._budget.findings_max:
            self._stop(Unread.TOO_MANY_FINDINGS)
        self._owned_from = owned_to
        if not last:
            cut = max(0, len(data) - _CARRIED_BYTES)
            self._chars += _chars(data[:cut])
            self._astrals += _astrals(data[:cut])
            self._block_start += cut
            self._block = data[cut:]

    def _walk(self, block: "_Block") -> Iterator[tuple[int, int, Hit, tuple[str, ...]]]:
        """Hits of the block and of everything decoded from it, at their place in the block."""
        engine, budget = self._engine, self._budget
        waiting: list[tuple[bytes, tuple[View, ...]]] = [(block.data, ())]
        while waiting:
            data, views = waiting.pop()
            for hit in engine.hits(data, budget.expired):
                if hit.cut:
                    self._reasons.add(Unread.TOO_LONG_A_FINDING)
                yield (*_home(hit, views), hit, _undone(hit, views))
            if self._reading and (not views or isinstance(views[-1], DecodedText)):
                yield from self._read(data, views)
                if Unread.READER_FAILED in self._reasons:
                    return
            if budget.expired():
                self._stop(Unread.TIME)
                return
            waiting.extend((each.data, (*views, each)) for each in self._inside(data, views, block))

    def _read(
        self, data: bytes, views: tuple[View, ...]
    ) -> Iterator[tuple[int, int, Hit, tuple[str, ...]]]:
        """What readers see in a text, given to them once, as plain as it gets."""
        for _ in range(self._budget.depth_max):
            undone = whole(data)
            if undone is None or not self._room.take(len(undone.data) if views else 0):
                break
            data, views = undone.data, (*views, undone)
        try:
            for hit in self._reading.hits(data, self._budget.expired):
                yield (*_home(hit, views), hit, _undone(hit, views))
        except ReaderFailedError:
            self._stop(Unread.READER_FAILED)

    def _inside(self, data: bytes, views: tuple[View, ...], block: "_Block") -> list[View]:
        """What else the text may be read as."""
        found: list[View] = []
        runs = decoded(data, self._room, last=bool(views) or block.last)
        if runs is not None:
            found.append(runs)
        undone = plain(data)
        if undone is not None and self._room.take(len(undone.data) if views else 0):
            found.append(undone)
        if found and len(views) >= self._budget.depth_max:
            # Deeper than we look. An escape in what was undone already is ordinary text.
            if runs is not None:
                self._reasons.add(Unread.ENCODINGS)
            return []
        return found

    def _stop(self, reason: Unread) -> None:
        self._reasons.add(reason)
        self._over = True
        self._pending, self._pending_bytes = [], 0

    # -- places become findings --

    def _keep(self, data: bytes, places: list[tuple[int, int, Hit, tuple[str, ...]]]) -> None:
        counted = _counted(data, {place for each in places for place in each[:2]})
        base = self._block_start
        for start, end, hit, seen_in in places:
            (c0, a0), (c1, a1) = counted[start], counted[end]
            seen = _ScannedText(
                base + start,
                base + end,
                (self._chars + c0, self._chars + c1),
                (self._astrals + a0, self._astrals + a1),
                hit,
                seen_in,
            )
            place = (hit.kind.name, seen.start, seen.end)
            known = self._seen.get(place)
            if known is None or _rank(seen) < _rank(known):
                self._seen[place] = seen

    def _findings(self) -> Iterator[Finding]:
        wide = self._encoding.startswith("utf-16")
        for seen in _outermost(self._seen.values()):
            start, end = seen.start, seen.end
            if wide:
                start = 2 + 2 * (seen.chars[0] + seen.astrals[0])
                end = 2 + 2 * (seen.chars[1] + seen.astrals[1])
            # The mark of UTF-16 is no character of the text, that of UTF-8 is one, as in Python.
            yield Finding(
                kind=seen.hit.kind.name,
                detector=seen.hit.detector,
                start=seen.chars[0],
                end=seen.chars[1],
                start_byte=start,
                end_byte=end,
                confidence=seen.hit.confidence,
                masked=masked(seen.hit.kind, seen.hit.value.decode("utf-8", "replace")),
                correlation=self._correlation(seen.hit.value),
                seen_in=seen.seen_in,
            )

    def _correlation(self, value: bytes) -> str:
        if not self._key:
            return ""
        digest = hmac.new(self._key, _CORRELATION_DOMAIN + value, hashlib.sha256).hexdigest()
        return digest[:_CORRELATION_HEX_CHARS]


class _Block(NamedTuple):
    data: bytes
    last: bool


def _home(hit: Hit, views: tuple[View, ...]) -> tuple[int, int]:
    start, end = hit.start, hit.end
    for view in reversed(views):
        start, end, _ = view.origin(start, end)
    return start, end


def _undone(hit: Hit, views: tuple[View, ...]) -> tuple[str, ...]:
    names: tuple[str, ...] = ()
    start, end = hit.start, hit.end
    for view in reversed(views):
        start, end, done = view.origin(start, end)
        names = (*done, *names)
    return names


def _chars(data: bytes) -> int:
    return len(data) if data.isascii() else len(data.translate(None, _CONTINUATION))


def _astrals(data: bytes) -> int:
    return 0 if data.isascii() else len(data.translate(None, _NOT_ASTRAL))


def _counted(data: bytes, places: set[int]) -> dict[int, tuple[int, int]]:
    """Characters, and those beyond the basic plane, in front of each place."""
    if data.isascii():
        return {place: (place, 0) for place in places}
    counted: dict[int, tuple[int, int]] = {}
    chars = astrals = last = 0
    for place in sorted(places):
        piece = data[last:place]
        chars, astrals, last = chars + _chars(piece), astrals + _astrals(piece), place
        counted[place] = (chars, astrals)
    return counted


def _rank(seen: _ScannedText) -> tuple[int, float]:
    """Of two equal places, the one that needed less decoding, then the surer one."""
    return len(seen.seen_in), -seen.hit.confidence


def _outermost(found: Iterable[_ScannedText]) -> list[_ScannedText]:
    """By place, without those inside of one of the same detector that is at least as sure."""
    kept: list[_ScannedText] = []
    open_ends: dict[str, list[_ScannedText]] = {}
    order = sorted(
        found, key=lambda seen: (seen.start, -seen.end, -seen.hit.confidence, _rank(seen))
    )
    for seen in order:
        over = open_ends.setdefault(seen.hit.detector, [])
        over[:] = [each for each in over if each.end > seen.start]
        if any(
            each.end >= seen.end and each.hit.confidence >= seen.hit.confidence for each in over
        ):
            continue
        over.append(seen)
        kept.append(seen)
    return kept
