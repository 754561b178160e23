"""Scan a content and everything encoded in it: the findings, and whether all of it was scanned.

The scan has no clock and does no I/O; the time allowed is an argument. The theory is in
`docs/internals/output-scan.md`. A content is scanned in blocks of a fixed size at fixed places,
whatever pieces it arrives in, so that the pieces cannot change the findings. Blocks overlap by
twice the reach of a match: every match stands in one block with all of its surroundings.
"""

import codecs
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from forestall.output.decodings import (
    DecodeBudget,
    DecodedText,
    Decoding,
    decoded_runs,
    unescaped,
    unescaped_whole,
)
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
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DEFAULT_BUDGET = ScanBudget()


def scan(
    content: str | bytes,
    *,
    detectors: Sequence[Detector],
    key: bytes = b"",
    budget: ScanBudget = _DEFAULT_BUDGET,
) -> Scan:
    """Find everything of the detectors' kinds. `key` makes correlation hashes; without one they
    are empty. A scan that did not see all of the content says so: see `Scan.complete`."""
    scanner = Scanner(detectors=detectors, key=key, budget=budget)
    if isinstance(content, str):
        # A lone surrogate, as strict JSON may hold one, has no UTF-8 and is no reason to stop.
        scanner.feed_utf8(content.encode("utf-8", "surrogatepass"))
    else:
        scanner.feed(content)
    return scanner.finish()


class _PlacedHit(NamedTuple):
    """A hit at its place in the whole content. `start` and `end` are bytes of its UTF-8 form;
    `chars` and `astrals` count all characters, and those beyond the basic plane, before each."""

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
        self._decode_budget = DecodeBudget(budget.decoded_bytes_max)
        self._reasons: set[Unread] = set()
        self._placed_hits: dict[tuple[str, int, int], _PlacedHit] = {}
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
        self._stopped = False

    def feed(self, piece: bytes) -> None:
        """The next bytes of the content."""
        if not self._encoding:
            piece = self._detect_encoding(self._head + piece)
        if self._decoder is None or not piece:
            return
        self._size_bytes += len(piece)
        if self._encoding == "utf-8":
            self._check_utf8(piece)
            self._add_text(piece)
        else:
            self._transcode(piece, last=False)

    def feed_utf8(self, piece: bytes) -> None:
        """The next bytes of a content that is text already; its encoding is not doubted."""
        self._encoding = "utf-8"
        self._size_bytes += len(piece)
        self._add_text(piece)

    def finish(self) -> Scan:
        """The result of the scan. The content ends here."""
        if not self._encoding and self._head:
            self._encoding = "utf-8"
            self._decoder = codecs.getincrementaldecoder("utf-8")()
            self._size_bytes += len(self._head)
            self._check_utf8(self._head)
            self._add_text(self._head)
        if self._decoder is not None:
            if self._encoding == "utf-8":
                self._check_utf8(b"", last=True)
            else:
                self._transcode(b"", last=True)
        self._scan_blocks(last=True)
        if self._decode_budget.exceeded:
            self._reasons.add(Unread.ENCODINGS)
        return Scan(
            findings=tuple(islice(self._findings(), self._budget.findings_max)),
            complete=not self._reasons,
            reasons=tuple(sorted(self._reasons)),
            size_bytes=self._size_bytes,
            encoding=self._encoding or "utf-8",
        )

    # -- bytes become UTF-8 --

    def _detect_encoding(self, head: bytes) -> bytes:
        if len(head) < 2:
            self._head = head
            return b""
        self._encoding = next(
            (name for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)), "utf-8"
        )
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
            self._add_text(self._decoder.decode(piece, last).encode())
        except UnicodeDecodeError:
            self._reasons.add(Unread.NOT_TEXT)

    # -- UTF-8 becomes blocks --

    def _add_text(self, piece: bytes) -> None:
        if self._size_bytes > self._budget.bytes_max:
            self._reasons.add(Unread.TOO_LARGE)
            self._stopped = True
        if self._stopped:
            return
        self._pending.append(piece)
        self._pending_bytes += len(piece)
        if self._pending_bytes >= BLOCK_BYTES:
            self._scan_blocks(last=False)

    def _scan_blocks(self, *, last: bool) -> None:
        """Scan every block that is full; at the end the rest too."""
        if self._stopped:
            return
        data = memoryview(b"".join(self._pending))
        full = (len(data) - last) // BLOCK_BYTES  # the last block is never empty
        for place in range(0, full * BLOCK_BYTES, BLOCK_BYTES):
            self._scan_block(self._block + data[place : place + BLOCK_BYTES], last=False)
        rest = bytes(data[full * BLOCK_BYTES :])
        self._pending, self._pending_bytes = [rest], len(rest)
        if last:
            self._scan_block(self._block + rest, last=True)

    def _scan_block(self, data: bytes, *, last: bool) -> None:
        if self._stopped:
            return
        owned_to = self._block_start + len(data) - (0 if last else REACH_BYTES_MAX)
        block = _Block(data, last)
        places: list[tuple[int, int, Hit, tuple[str, ...]]] = []
        for start, end, hit, seen_in in self._hits_of_block(block):
            begin = self._block_start + start
            if begin < owned_to and self._block_start + end > self._owned_from:
                places.append((start, end, hit, seen_in))
            if len(places) + len(self._placed_hits) > 2 * self._budget.findings_max:
                self._stop(Unread.TOO_MANY_FINDINGS)
                break
        self._keep_hits(data, places)
        if len(self._placed_hits) > self._budget.findings_max:
            self._stop(Unread.TOO_MANY_FINDINGS)
        self._owned_from = owned_to
        if not last:
            cut = max(0, len(data) - _CARRIED_BYTES)
            self._chars += _count_chars(data[:cut])
            self._astrals += _count_astrals(data[:cut])
            self._block_start += cut
            self._block = data[cut:]

    def _hits_of_block(self, block: "_Block") -> Iterator[tuple[int, int, Hit, tuple[str, ...]]]:
        """The hits in a block and in everything decoded from it, at their places in the block."""
        engine, budget = self._engine, self._budget
        waiting: list[tuple[bytes, tuple[Decoding, ...]]] = [(block.data, ())]
        while waiting:
            data, decodings = waiting.pop()
            for hit in engine.hits(data, budget.expired):
                if hit.cut:
                    self._reasons.add(Unread.TOO_LONG_A_FINDING)
                yield (*_place_in_block(hit, decodings), hit, _decoding_names(hit, decodings))
            if self._reading and (not decodings or isinstance(decodings[-1], DecodedText)):
                yield from self._read_prose(data, decodings)
                if Unread.READER_FAILED in self._reasons:
                    return
            if budget.expired():
                self._stop(Unread.TIME)
                return
            waiting.extend(
                (each.data, (*decodings, each))
                for each in self._decodings_of(data, decodings, block)
            )

    def _read_prose(
        self, data: bytes, decodings: tuple[Decoding, ...]
    ) -> Iterator[tuple[int, int, Hit, tuple[str, ...]]]:
        """The hits of the readers in a text. They get the text once, with every escape undone."""
        for _ in range(self._budget.depth_max):
            undone = unescaped_whole(data)
            if undone is None or not self._decode_budget.take(len(undone.data) if decodings else 0):
                break
            data, decodings = undone.data, (*decodings, undone)
        try:
            for hit in self._reading.hits(data, self._budget.expired):
                yield (*_place_in_block(hit, decodings), hit, _decoding_names(hit, decodings))
        except ReaderFailedError:
            self._stop(Unread.READER_FAILED)

    def _decodings_of(
        self, data: bytes, decodings: tuple[Decoding, ...], block: "_Block"
    ) -> list[Decoding]:
        """The decodings of a text. Deeper than the budget allows, none, and the scan is incomplete
        if there is anything to decode."""
        found: list[Decoding] = []
        runs = decoded_runs(data, self._decode_budget, last=bool(decodings) or block.last)
        if runs is not None:
            found.append(runs)
        undone = unescaped(data)
        if undone is not None and self._decode_budget.take(len(undone.data) if decodings else 0):
            found.append(undone)
        if found and len(decodings) >= self._budget.depth_max:
            # An escape in a text that was undone already is ordinary text: no reason to withhold.
            if runs is not None:
                self._reasons.add(Unread.ENCODINGS)
            return []
        return found

    def _stop(self, reason: Unread) -> None:
        self._reasons.add(reason)
        self._stopped = True
        self._pending, self._pending_bytes = [], 0

    # -- places become findings --

    def _keep_hits(self, data: bytes, places: list[tuple[int, int, Hit, tuple[str, ...]]]) -> None:
        counted = _counts_before(data, {place for each in places for place in each[:2]})
        base = self._block_start
        for start, end, hit, seen_in in places:
            (c0, a0), (c1, a1) = counted[start], counted[end]
            seen = _PlacedHit(
                base + start,
                base + end,
                (self._chars + c0, self._chars + c1),
                (self._astrals + a0, self._astrals + a1),
                hit,
                seen_in,
            )
            place = (hit.kind.name, seen.start, seen.end)
            known = self._placed_hits.get(place)
            if known is None or _rank(seen) < _rank(known):
                self._placed_hits[place] = seen

    def _findings(self) -> Iterator[Finding]:
        wide = self._encoding.startswith("utf-16")
        for seen in _outermost(self._placed_hits.values()):
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


def _place_in_block(hit: Hit, decodings: tuple[Decoding, ...]) -> tuple[int, int]:
    start, end = hit.start, hit.end
    for decoding in reversed(decodings):
        start, end, _ = decoding.origin(start, end)
    return start, end


def _decoding_names(hit: Hit, decodings: tuple[Decoding, ...]) -> tuple[str, ...]:
    names: tuple[str, ...] = ()
    start, end = hit.start, hit.end
    for decoding in reversed(decodings):
        start, end, done = decoding.origin(start, end)
        names = (*done, *names)
    return names


def _count_chars(data: bytes) -> int:
    return len(data) if data.isascii() else len(data.translate(None, _CONTINUATION))


def _count_astrals(data: bytes) -> int:
    return 0 if data.isascii() else len(data.translate(None, _NOT_ASTRAL))


def _counts_before(data: bytes, places: set[int]) -> dict[int, tuple[int, int]]:
    """For each place: the characters in front of it, and those beyond the basic plane."""
    if data.isascii():
        return {place: (place, 0) for place in places}
    counted: dict[int, tuple[int, int]] = {}
    chars = astrals = last = 0
    for place in sorted(places):
        piece = data[last:place]
        chars, astrals, last = chars + _count_chars(piece), astrals + _count_astrals(piece), place
        counted[place] = (chars, astrals)
    return counted


def _rank(seen: _PlacedHit) -> tuple[int, float]:
    """A sort key for hits at one place: less decoding first, then the higher confidence."""
    return len(seen.seen_in), -seen.hit.confidence


def _outermost(found: Iterable[_PlacedHit]) -> list[_PlacedHit]:
    """The hits by place, without each one that stands inside another hit of the same detector whose
    confidence is at least as high."""
    kept: list[_PlacedHit] = []
    open_ends: dict[str, list[_PlacedHit]] = {}
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
