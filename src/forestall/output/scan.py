"""Scan a content and everything encoded in it: the findings, and whether all of it was scanned.

The scan has no clock and does no I/O; the time allowed is an argument. The theory is in
`docs/internals/output-scan.md`. A content is scanned in blocks of a fixed size at fixed places,
whatever pieces it arrives in, so that the pieces cannot change the findings. Blocks overlap by
twice the reach of a match: every match stands in one block with all of its surroundings.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from forestall.output.content_text import ContentText
from forestall.output.decoded_search import DecodedSearch, TextHit
from forestall.output.engine import Hit
from forestall.output.findings import (
    REACH_BYTES_MAX,
    Detector,
    Finding,
    IncompleteReason,
    Scan,
    ScanBudget,
    masked,
)

BLOCK_BYTES = 1024 * 1024
_CARRIED_BYTES = 2 * REACH_BYTES_MAX
_CORRELATION_HEX_CHARS = 32
_CORRELATION_DOMAIN = b"forestall.finding.v1\0"
_CONTINUATION = bytes(range(0x80, 0xC0))
_NOT_ASTRAL = bytes([*range(0xF0), *range(0xF5, 0x100)])
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


class _CharPlace(NamedTuple):
    """A place in a text: how many characters stand in front of it, and how many of those have two
    units in UTF-16."""

    chars: int
    astrals: int


class _PlacedHit(NamedTuple):
    """A hit at its place in the whole content. `start` and `end` are bytes of its UTF-8 form."""

    start: int
    end: int
    text_start: _CharPlace
    text_end: _CharPlace
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
        self._search = DecodedSearch(detectors, budget)
        self._key = key
        self._budget = budget
        self._text = ContentText()
        self._reasons: set[IncompleteReason] = set()
        self._stopped = False
        self._pending: list[bytes] = []  # text that stands in no block yet
        self._pending_bytes = 0
        self._carried = b""  # what the next block begins with
        self._block_start = 0  # of the next block, in bytes
        self._place = _CharPlace(0, 0)  # of the next block
        self._owned_from = 0  # what begins in front of it belongs to an earlier block
        self._placed_hits: dict[tuple[str, int, int], _PlacedHit] = {}  # by kind, start and end

    def feed(self, piece: bytes) -> None:
        """The next bytes of the content."""
        self._add_text(self._text.add(piece))

    def feed_utf8(self, piece: bytes) -> None:
        """The next bytes of a content that is text already; its encoding is not doubted."""
        self._add_text(self._text.add_utf8(piece))

    def finish(self) -> Scan:
        """The result of the scan. The content ends here."""
        self._add_text(self._text.end())
        self._scan_blocks(last=True)
        reasons = self._reasons | self._search.reasons
        if not self._text.is_text:
            reasons.add(IncompleteReason.NOT_TEXT)
        return Scan(
            findings=tuple(islice(self._findings(), self._budget.findings_max)),
            complete=not reasons,
            reasons=tuple(sorted(reasons)),
            size_bytes=self._text.size_bytes,
            encoding=self._text.encoding or "utf-8",
        )

    # -- text becomes blocks --

    def _add_text(self, piece: bytes) -> None:
        if self._text.size_bytes > self._budget.bytes_max:
            self._stop(IncompleteReason.TOO_LARGE)
        if self._stopped:
            return
        self._pending.append(piece)
        self._pending_bytes += len(piece)
        if self._pending_bytes >= BLOCK_BYTES:
            self._scan_blocks(last=False)

    def _scan_blocks(self, *, last: bool) -> None:
        """Scan every block that is full; at the end what is left too."""
        if self._stopped:
            return
        data = memoryview(b"".join(self._pending))
        full_blocks = (len(data) - last) // BLOCK_BYTES  # the last block is never empty
        left = bytes(data[full_blocks * BLOCK_BYTES :])
        for start in range(0, full_blocks * BLOCK_BYTES, BLOCK_BYTES):
            self._scan_block(self._carried + data[start : start + BLOCK_BYTES], last=False)
        self._pending, self._pending_bytes = [left], len(left)
        if last:
            self._scan_block(self._carried + left, last=True)

    def _scan_block(self, data: bytes, *, last: bool) -> None:
        if self._stopped:
            return
        owned_to = self._block_start + len(data) - (0 if last else REACH_BYTES_MAX)
        hits: list[TextHit] = []
        for hit in self._search.hits(data, last=last):
            begins_owned = self._block_start + hit.start < owned_to
            if begins_owned and self._block_start + hit.end > self._owned_from:
                hits.append(hit)
            if len(hits) + len(self._placed_hits) > 2 * self._budget.findings_max:
                self._stop(IncompleteReason.TOO_MANY_FINDINGS)
                break
        self._stopped = self._stopped or self._search.stopped
        self._keep_hits(data, hits)
        if len(self._placed_hits) > self._budget.findings_max:
            self._stop(IncompleteReason.TOO_MANY_FINDINGS)
        self._owned_from = owned_to
        if not last:
            cut = max(0, len(data) - _CARRIED_BYTES)
            self._place = _place_behind(self._place, data[:cut])
            self._block_start += cut
            self._carried = data[cut:]

    def _stop(self, reason: IncompleteReason) -> None:
        """End the scan: what follows is not looked at, and what was found stands."""
        self._reasons.add(reason)
        self._stopped = True
        self._pending, self._pending_bytes = [], 0

    # -- hits become findings --

    def _keep_hits(self, data: bytes, hits: list[TextHit]) -> None:
        """Keep the hits of a block; of two that find one kind at one place, the better one."""
        text_places = _text_places(data, {place for hit in hits for place in (hit.start, hit.end)})
        for text_hit in hits:
            placed = _PlacedHit(
                self._block_start + text_hit.start,
                self._block_start + text_hit.end,
                _place_sum(self._place, text_places[text_hit.start]),
                _place_sum(self._place, text_places[text_hit.end]),
                text_hit.hit,
                text_hit.seen_in,
            )
            place = (placed.hit.kind.name, placed.start, placed.end)
            other = self._placed_hits.get(place)
            if other is None or _rank(placed) < _rank(other):
                self._placed_hits[place] = placed

    def _findings(self) -> Iterator[Finding]:
        is_utf16 = self._text.encoding.startswith("utf-16")
        for placed in _outermost(self._placed_hits.values()):
            hit, start, end = placed.hit, placed.start, placed.end
            if is_utf16:
                start, end = _utf16_place(placed.text_start), _utf16_place(placed.text_end)
            yield Finding(
                kind=hit.kind.name,
                detector=hit.detector,
                start=placed.text_start.chars,
                end=placed.text_end.chars,
                start_byte=start,
                end_byte=end,
                confidence=hit.confidence,
                masked=masked(hit.kind, hit.value.decode("utf-8", "replace")),
                correlation=self._correlation(hit.value),
                seen_in=placed.seen_in,
            )

    def _correlation(self, value: bytes) -> str:
        if not self._key:
            return ""
        digest = hmac.new(self._key, _CORRELATION_DOMAIN + value, hashlib.sha256).hexdigest()
        return digest[:_CORRELATION_HEX_CHARS]


def _place_sum(first: _CharPlace, second: _CharPlace) -> _CharPlace:
    return _CharPlace(first.chars + second.chars, first.astrals + second.astrals)


def _place_behind(place: _CharPlace, text: bytes) -> _CharPlace:
    """The place behind a UTF-8 text that begins at `place`."""
    if text.isascii():
        return _CharPlace(place.chars + len(text), place.astrals)
    chars = len(text.translate(None, _CONTINUATION))
    astrals = len(text.translate(None, _NOT_ASTRAL))
    return _CharPlace(place.chars + chars, place.astrals + astrals)


def _text_places(data: bytes, places: set[int]) -> dict[int, _CharPlace]:
    """For each place in bytes of a UTF-8 text, the same in characters."""
    if data.isascii():
        return {place: _CharPlace(place, 0) for place in places}
    text_places: dict[int, _CharPlace] = {}
    text_place, last = _CharPlace(0, 0), 0
    for place in sorted(places):
        text_place = _place_behind(text_place, data[last:place])
        text_places[place] = text_place
        last = place
    return text_places


def _utf16_place(place: _CharPlace) -> int:
    """The place in bytes of UTF-16, behind its mark. That mark is no character of the text, the
    mark of UTF-8 is one, as in Python."""
    return 2 + 2 * (place.chars + place.astrals)


def _rank(placed: _PlacedHit) -> tuple[int, float]:
    """A sort key for hits at one place: less decoding first, then the higher confidence."""
    return len(placed.seen_in), -placed.hit.confidence


def _outermost(hits: Iterable[_PlacedHit]) -> list[_PlacedHit]:
    """The hits by place, without each one that stands inside another hit of the same detector whose
    confidence is at least as high."""
    kept: list[_PlacedHit] = []
    around_of_detector: dict[str, list[_PlacedHit]] = {}  # those that go on at the current place
    order = sorted(hits, key=lambda hit: (hit.start, -hit.end, -hit.hit.confidence, _rank(hit)))
    for placed in order:
        around = around_of_detector.setdefault(placed.hit.detector, [])
        around[:] = [other for other in around if other.end > placed.start]
        if any(
            other.end >= placed.end and other.hit.confidence >= placed.hit.confidence
            for other in around
        ):
            continue
        around.append(placed)
        kept.append(placed)
    return kept
