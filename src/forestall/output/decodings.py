"""Decode a text as its reader will: escapes undone, invisible characters dropped, runs decoded.

A decoding is a text and the way back: which bytes of its parent each place came from. A run that
was decoded as a whole maps back to the whole run. No decoding takes more bytes than its budget.
"""

import binascii
import re
import unicodedata
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cache
from html import unescape
from typing import Any, NamedTuple

import re2


class DecodeBudget:
    """How many bytes may still be decoded. `exceeded` is set once something did not fit."""

    def __init__(self, left_bytes: int) -> None:
        self.left_bytes = left_bytes
        self.exceeded = False

    def take(self, size: int) -> bool:
        """Take `size` bytes from the budget; False when they do not fit."""
        if size > self.left_bytes:
            self.exceeded = True
            return False
        self.left_bytes -= size
        return True


class Segment(NamedTuple):
    """One decoded run: where it stands in the decoding, and where its run stands in the parent."""

    start: int
    parent_start: int
    parent_end: int
    label: str


class DecodedText:
    """The decoded runs of a text, one on each line."""

    def __init__(self, data: bytes, segments: list[Segment]) -> None:
        self.data = data
        self._segments = segments
        self._starts = [each.start for each in segments]

    def origin(self, start: int, end: int) -> tuple[int, int, tuple[str, ...]]:
        """The place in the parent, and the names of what was decoded there."""
        first = self._segments[bisect_right(self._starts, start) - 1]
        last = self._segments[bisect_right(self._starts, max(start, end - 1)) - 1]
        return first.parent_start, last.parent_end, tuple(first.label.split())


class UnescapedText:
    """A text with its escapes undone and its invisible characters dropped. The way back is computed
    when it is first asked for, since most texts hold no finding."""

    def __init__(self, data: bytes, parent: bytes) -> None:
        self.data = data
        self._parent = parent
        self._places: list[int] = []  # where each undone escape stands in `data`
        self._origins: list[tuple[int, int, int]] = []  # the same, and its start and end in parent

    def origin(self, start: int, end: int) -> tuple[int, int, tuple[str, ...]]:
        """The place in the parent, and the names of what was decoded there."""
        return self.parent_place(start, False), self.parent_place(end, True), ("escapes",)

    def _find_places(self) -> None:
        here = there = 0
        for found in _ESCAPED.finditer(self._parent):
            here += found.start() - there
            there = found.end()
            self._places.append(here)
            self._origins.append((here, found.start(), there))
            here += len(_UNESCAPED[found[0]])

    def parent_place(self, place: int, behind: bool) -> int:
        """The place in the parent. A place inside of an undone escape becomes the start of the
        escape, or with `behind` its end."""
        if not self._places:
            self._find_places()
        found = (
            bisect_right(self._places, place - 1) - 1
            if behind
            else bisect_right(self._places, place) - 1
        )
        if found < 0:
            return place
        here, start, end = self._origins[found]
        size = len(_UNESCAPED[self._parent[start:end]])
        if place >= here + size:
            return end + place - here - size
        return end if behind else start


class PartlyUnescapedText:
    """As `UnescapedText`, of the surroundings of escapes alone: the rest of the text is searched as
    it stands, so it need not be searched again."""

    def __init__(self, data: bytes, parent: bytes, pieces: list[tuple[int, int, int]]) -> None:
        self.data = data
        self._parent = parent
        self._pieces = pieces  # start in `data`, start and end in the parent
        self._starts = [each[0] for each in pieces]
        self._inner: dict[int, UnescapedText] = {}

    def origin(self, start: int, end: int) -> tuple[int, int, tuple[str, ...]]:
        """The place in the parent, and the names of what was decoded there."""
        return self._parent_place(start, False), self._parent_place(end, True), ("escapes",)

    def _parent_place(self, place: int, behind: bool) -> int:
        found = bisect_right(self._starts, place - behind) - 1
        here, start, end = self._pieces[max(found, 0)]
        following = self._starts[found + 1] if found + 1 < len(self._starts) else len(self.data)
        if following - here == end - start and self._parent[start:end] == self.data[here:following]:
            return min(start + place - here, end)
        inner = self._inner.get(here)
        if inner is None:
            inner = self._inner[here] = UnescapedText(b"", self._parent[start:end])
        return start + inner.parent_place(place - here, behind)


Decoding = UnescapedText | PartlyUnescapedText | DecodedText

# -- escapes and invisible characters --

_ESCAPES = (
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\u[0-9a-fA-F]{4}|\\u\{[0-9a-fA-F]{1,6}\}|\\U[0-9a-fA-F]{8}"
    rb"|\\x[0-9a-fA-F]{2}|\\\r?\n|\\[\"'\\/bfnrt]"
)
_PERCENT = rb"(?:%[0-9a-fA-F]{2}){1,64}"
_ENTITIES = rb"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|quot|amp|lt|gt|apos|nbsp|shy|zwj|zwnj);"
_COLOURS = rb"\x1b\[[0-9;]{0,16}[A-Za-z]"
_CONTROLS = rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]{1,64}"
# Characters that a reader does not see, or sees as another one; in UTF-8, by lead bytes.
_FOLDED = (
    rb"(?:\xc2[\xa0\xad]|\xcc[\x80-\xbf]|\xcd[\x80-\xaf]|\xd8\x9c|\xe1\x85[\x9f\xa0]"
    rb"|\xe1\x9e[\xb4\xb5]|\xe1\xa0[\x8b-\x8f]|\xe2\x80[\x80-\x8f\xa8-\xaf]"
    rb"|\xe2\x81[\x9f-\xbf]|\xe2\x82[\x80-\x9f]|\xe2\x84[\x80-\xbf]|\xe2\x91[\xa0-\xbf]"
    rb"|\xe2\x92[\x80-\xbf]|\xe2\x93[\x80-\xbf]|\xe3\x80\x80|\xe3\x85\xa4|\xef\xac[\x80-\x86]"
    rb"|\xef\xb8[\x80-\x8f]|\xef\xbb\xbf|\xef[\xbc-\xbe][\x80-\xbf]|\xef\xbf[\x80-\xbb]"
    rb"|\xf0\x9d[\x90-\x9f][\x80-\xbf]|\xf0\x9f[\x84-\x87][\x80-\xbf]"
    rb"|\xf3\xa0[\x80-\x87][\x80-\xbf]){1,64}"
)
_ANY = b"|".join((_ESCAPES, _PERCENT, _ENTITIES, _COLOURS, _CONTROLS, _FOLDED))
_ESCAPED = re.compile(_ANY)
_NEAR_BYTES = 320  # a match that an escape changes begins or ends within this distance
_EDGE_BYTES = 128  # how far to search for white space, so that no token is cut
_DENSE_BYTES = 24  # with more than one escape in so many bytes, all of the text is undone at once
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\x08", b"f": b"\x0c"}
_INVISIBLE = dict.fromkeys(
    (
        *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
        *(*range(0x180B, 0x1810), *range(0x200B, 0x2010), *range(0x202A, 0x202F)),
        *(*range(0x2060, 0x2070), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),
    )
)
_TAGS = {0xE0000 + code: chr(code) if code > 31 else None for code in range(0x7F)}
_PLAIN_KEPT = 16_384
_KEPT_BYTES_MAX = 256


class _Undo(dict[bytes, bytes]):
    """A bounded cache: escape → what it stands for."""

    def __init__(self, undo: Callable[[bytes], bytes]) -> None:
        self._undo = undo

    def __missing__(self, found: bytes) -> bytes:
        plain = self._undo(found)
        if len(found) <= _KEPT_BYTES_MAX:
            if len(self) >= _PLAIN_KEPT:
                self.clear()
            self[found] = plain
        return plain


def _undo_escape(found: bytes) -> bytes:
    lead = found[:1]
    if lead == b"\\":
        return _unescaped(found)
    if lead == b"%":
        return _valid(bytes.fromhex(found.replace(b"%", b"").decode()))
    if lead == b"&":
        text = unescape(found.decode())
        return b"" if ord(text[0]) in _INVISIBLE else text.encode("utf-8", "replace")
    if lead < b" " or lead == b"\x7f":
        return b""
    text = found.decode("utf-8", "replace").translate(_INVISIBLE).translate(_TAGS)
    folded = unicodedata.normalize("NFKC", text)
    return "".join(c for c in folded if not unicodedata.combining(c)).encode("utf-8", "replace")


def _unescaped(found: bytes) -> bytes:
    letter = found[1:2]
    if letter in b"\r\n":
        return b""  # a continued line
    if letter not in b"uUx":
        return _LETTERS.get(letter, letter)
    codes = [int(part.strip(b"{}"), 16) for part in re.split(rb"\\[uUx]", found)[1:]]
    if len(codes) == 2:
        codes = [0x10000 + ((codes[0] - 0xD800) << 10) + codes[1] - 0xDC00]
    if codes[0] in _INVISIBLE or codes[0] > 0x10FFFF or 0xD800 <= codes[0] < 0xE000:
        return b""  # nothing to see, half a surrogate pair included
    return chr(codes[0]).encode("utf-8", "replace")


_UNESCAPED = _Undo(_undo_escape)
_UNESCAPED_RUNS = _Undo(lambda run: _ESCAPED.sub(lambda found: _UNESCAPED[found[0]], run))


@cache
def _escaped_runs() -> Any:
    """One or more of `_ESCAPED`, as RE2: much faster than `re` on a text without escapes."""
    return re2.compile(b"(?:" + _ANY + b")+", _bytes_options())


def _bytes_options() -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    return options


def unescaped(data: bytes) -> UnescapedText | PartlyUnescapedText | None:
    """The text with one layer of escapes undone; None when there is nothing to undo."""
    dense = len(data) // _DENSE_BYTES + 64
    runs: list[tuple[int, int]] = []
    for found in _escaped_runs().finditer(data):
        runs.append(found.span())
        if len(runs) > dense:
            undone = _ESCAPED.sub(lambda found: _UNESCAPED[found[0]], data)
            return UnescapedText(undone, data) if undone != data else None
    return _unescaped_near(data, runs) if runs else None


def unescaped_whole(data: bytes) -> UnescapedText | None:
    """All of the text with one layer of escapes undone; None when there is nothing to undo."""
    if _escaped_runs().search(data) is None:
        return None
    undone = _ESCAPED.sub(lambda found: _UNESCAPED[found[0]], data)
    return UnescapedText(undone, data) if undone != data else None


def _unescaped_near(data: bytes, runs: list[tuple[int, int]]) -> PartlyUnescapedText | None:
    texts: list[bytes] = []
    pieces: list[tuple[int, int, int]] = []
    here = done = 0
    changed = False
    for number, (start, end) in enumerate(runs):
        low = max(done, start - _NEAR_BYTES)
        if low > done:  # a gap: what follows begins on a line of its own
            low = max(done, _space_before(data, low))
            texts.append(b"\n")
            here += 1
        if low < start:
            texts.append(data[low:start])
            pieces.append((here, low, start))
            here += start - low
        run = data[start:end]
        undone = _UNESCAPED_RUNS[run]
        changed = changed or undone != run
        texts.append(undone)
        pieces.append((here, start, end))
        here += len(undone)
        done = runs[number + 1][0] if number + 1 < len(runs) else len(data)
        if done - end > _NEAR_BYTES:
            done = min(done, _space_behind(data, end + _NEAR_BYTES))
        if end < done:
            texts.append(data[end:done])
            pieces.append((here, end, done))
            here += done - end
    return PartlyUnescapedText(b"".join(texts), data, pieces) if changed else None


def _space_before(data: bytes, place: int) -> int:
    low = max(0, place - _EDGE_BYTES)
    found = max(data.rfind(b" ", low, place), data.rfind(b"\n", low, place))
    return found + 1 if found >= 0 else low


def _space_behind(data: bytes, place: int) -> int:
    high = min(len(data), place + _EDGE_BYTES)
    return min(at if at >= 0 else high for at in (data.find(each, place, high) for each in _SPACES))


_SPACES = (b" ", b"\n")


# -- encoded runs --

# Base64 of seven-bit text, at whatever place its groups of four begin: the bit in front of each
# byte is 0, which halves what three of the four characters may be. Random runs fail it soon.
_GROUP = r"[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589+-][A-Za-z0-9+/_-]\r?\n?"
_ISLAND = re2.compile(
    rf"(?:{_GROUP}){{4,}}(?:[A-Za-f][A-HQ-Xg-nw-z0-3][A-Za-z0-9+/_-]?={{0,2}})?"
    r"|(?:0[9aAdD]|[2-7][0-9a-fA-F]){10,}"
    r"|(?:^|[^A-Za-z0-9+/_-])((?:H4sI|eJ[w-z]|eN[o-r]|eA[E-H]|eF[4-7])"
    r"(?:[A-Za-z0-9+/_-]\r?\n?){12,})"
)
_HEX = re.compile(rb"(?:0[9aAdD]|[2-7][0-9a-fA-F])+")
_RUN_BEHIND = re.compile(rb"[A-Za-z0-9+/_-]*=*")
_NO_TEXT = bytes([*range(1, 9), 11, 12, *range(14, 32), *range(127, 256)])
_URL_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"


def decoded_runs(data: bytes, budget: DecodeBudget, *, last: bool) -> DecodedText | None:
    """The base64, hexadecimal and compressed runs of a text, decoded. `last`: the text ends here.
    Without it, a compressed run at the end may go on in the next block, and exceeds the budget."""
    pieces: list[bytes] = []
    segments: list[Segment] = []
    size = 0
    for text, start, end, label in _runs(data, budget, last=last):
        if budget.take(len(text)):
            segments.append(Segment(size, start, end, label))
            pieces.append(text)
            size += len(text) + 1
    return DecodedText(b"\n".join(pieces), segments) if pieces else None


def _runs(
    data: bytes, budget: DecodeBudget, *, last: bool
) -> Iterator[tuple[bytes, int, int, str]]:
    """The text of each run, the place of the whole run, and the names of its encodings.

    A base64 run is decoded at up to four alignments: those at which a part of it was recognised.
    """
    start = end = 0
    tried: set[int] = set()  # alignments at which the current run was decoded
    read: set[int] = set()  # those of them that gave text
    for found in _ISLAND.finditer(data):
        low, high = found.span()
        packed = found.span(1)[0]
        if packed >= 0:
            inner = _inflated(data[packed:high], budget, not last and high == len(data))
            if inner is not None:
                yield (_valid(inner), *_whole_run(data, packed, high), "base64 gzip")
            continue
        piece = data[low:high]
        if _HEX.fullmatch(piece) and len(piece) % 2 == 0:
            yield bytes.fromhex(piece.decode()), low, high, "hex"
            continue
        if low >= end:
            start, end = _whole_run(data, low, high)
            tried.clear()
            read.clear()
        skipped = (low - start) % 4
        if skipped not in tried:
            tried.add(skipped)
            whole = _bytes_of(data[start + skipped : end])
            if _mostly_text(whole):
                read.add(skipped)
                yield _narrow(whole), start, end, "base64"
        if skipped not in read:  # binary data: decode the text that was recognised in it
            part = _bytes_of(data[max(start + skipped, low - 4) : min(end, high + 4)])
            yield _narrow(part), start, end, "base64"


def _whole_run(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Start and end of the whole encoded run round a part of it, its padding included."""
    size = 64
    while start > 0:  # in growing steps, since the text in front may be long and the run short
        low = max(0, start - size)
        left = len(data[low:start].rstrip(_ALPHABET))
        start, size = low + left, size * 2
        if left:
            break
    return start, _RUN_BEHIND.match(data, end).end()  # type: ignore[union-attr]


def _mostly_text(raw: bytes) -> bool:
    return 4 * len(raw.translate(None, _NO_TEXT)) >= 3 * len(raw)


def _narrow(raw: bytes) -> bytes:
    """The bytes as UTF-8; UTF-16 of ASCII characters becomes ASCII."""
    return raw[::2] if len(raw) > 3 and not raw[1::2].strip(b"\0") else _valid(raw)


def _valid(raw: bytes) -> bytes:
    """The bytes as valid UTF-8: a pattern must find a character at every byte."""
    return raw if raw.isascii() else raw.decode("utf-8", "replace").encode()


def _bytes_of(run: bytes) -> bytes:
    joined = run.translate(_URL_TO_STANDARD, b"\r\n=")
    usable = len(joined) - (len(joined) % 4 == 1)
    return binascii.a2b_base64(joined[:usable] + b"=" * (-usable % 4))


def _inflated(run: bytes, budget: DecodeBudget, open_end: bool) -> bytes | None:
    """The decompressed run; None when it is neither gzip nor zlib, or exceeds the budget."""
    raw = _bytes_of(run)
    machine = zlib.decompressobj(wbits=47)
    try:
        inner = machine.decompress(raw, budget.left_bytes + 1)
    except zlib.error:
        return None
    if len(inner) > budget.left_bytes or (open_end and not machine.eof):
        budget.exceeded = True
        return None
    return inner
