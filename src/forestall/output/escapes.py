"""Undo the escapes of a text, and drop or fold the characters that its reader does not see.

The escapes are those of JSON and program text, percent encoding, entities, colours of a terminal
and control characters. One call undoes one layer; what it yields may hold escapes again.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from functools import cache
from html import unescape
from typing import Any, NamedTuple

from forestall.output.decodings import ParentPlace, valid_utf8
from forestall.output.patterns import compiled

_BACKSLASHES = (
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
_ANY_ESCAPE = b"|".join((_BACKSLASHES, _PERCENT, _ENTITIES, _COLOURS, _CONTROLS, _FOLDED))
_ESCAPE = re.compile(_ANY_ESCAPE)
_NEAR_BYTES = 320  # a match that an escape changes begins or ends within this distance
_EDGE_BYTES = 128  # how far to search for white space, so that no token is cut
_DENSE_BYTES = 24  # with more than one escape in so many bytes, all of the text is undone at once
_BACKSLASH_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\x08", b"f": b"\x0c"}
_INVISIBLE = dict.fromkeys(
    (
        *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
        *(*range(0x180B, 0x1810), *range(0x200B, 0x2010), *range(0x202A, 0x202F)),
        *(*range(0x2060, 0x2070), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),
    )
)
# Tag characters are a second, unseen ASCII.
_TAGS = {0xE0000 + code: chr(code) if code > 31 else None for code in range(0x7F)}
_CACHED_MAX = 16_384
_CACHED_BYTES_MAX = 256


class _UndoCache(dict[bytes, bytes]):
    """A bounded cache: an escape, or a run of them → what it stands for."""

    def __init__(self, undo: Callable[[bytes], bytes]) -> None:
        self._undo = undo

    def __missing__(self, escape: bytes) -> bytes:
        plain = self._undo(escape)
        if len(escape) <= _CACHED_BYTES_MAX:
            if len(self) >= _CACHED_MAX:
                self.clear()
            self[escape] = plain
        return plain


def _undo_escape(escape: bytes) -> bytes:
    lead = escape[:1]
    if lead == b"\\":
        return _undo_backslash(escape)
    if lead == b"%":
        return valid_utf8(bytes.fromhex(escape.replace(b"%", b"").decode()))
    if lead == b"&":
        text = unescape(escape.decode())
        return b"" if ord(text[0]) in _INVISIBLE else text.encode("utf-8", "replace")
    if lead < b" " or lead == b"\x7f":
        return b""
    text = escape.decode("utf-8", "replace").translate(_INVISIBLE).translate(_TAGS)
    folded = unicodedata.normalize("NFKC", text)
    return "".join(c for c in folded if not unicodedata.combining(c)).encode("utf-8", "replace")


def _undo_backslash(escape: bytes) -> bytes:
    letter = escape[1:2]
    if letter in b"\r\n":
        return b""  # a continued line
    if letter not in b"uUx":
        return _BACKSLASH_LETTERS.get(letter, letter)
    codes = [int(part.strip(b"{}"), 16) for part in re.split(rb"\\[uUx]", escape)[1:]]
    if len(codes) == 2:
        codes = [0x10000 + ((codes[0] - 0xD800) << 10) + codes[1] - 0xDC00]
    if codes[0] in _INVISIBLE or codes[0] > 0x10FFFF or 0xD800 <= codes[0] < 0xE000:
        return b""  # nothing to see, half a surrogate pair included
    return chr(codes[0]).encode("utf-8", "replace")


def _undo_all(data: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: _UNDONE[match[0]], data)


_UNDONE = _UndoCache(_undo_escape)
_UNDONE_RUNS = _UndoCache(_undo_all)


class UnescapedText:
    """A text with its escapes undone and its invisible characters dropped. The way back is computed
    when it is first asked for, since most texts hold no finding."""

    def __init__(self, data: bytes, parent: bytes) -> None:
        self.data = data
        self._parent = parent
        self._starts: list[int] = []  # of each undone escape, in `data`
        self._spans: list[tuple[int, int]] = []  # of each escape, in the parent

    def origin(self, start: int, end: int) -> ParentPlace:
        """See `Decoding.origin`."""
        parent_start = self.parent_place(start, is_end=False)
        return ParentPlace(parent_start, self.parent_place(end, is_end=True), ("escapes",))

    def parent_place(self, place: int, *, is_end: bool) -> int:
        """The place in the parent. A place inside of an undone escape becomes the start of the
        escape, or with `is_end` its end."""
        if not self._starts:
            self._find_escapes()
        number = bisect_right(self._starts, place - is_end) - 1
        if number < 0:
            return place
        start, end = self._spans[number]
        behind = place - self._starts[number] - len(_UNDONE[self._parent[start:end]])
        if behind >= 0:
            return end + behind
        return end if is_end else start

    def _find_escapes(self) -> None:
        place = parent_place = 0
        for match in _ESCAPE.finditer(self._parent):
            place += match.start() - parent_place
            parent_place = match.end()
            self._starts.append(place)
            self._spans.append(match.span())
            place += len(_UNDONE[match[0]])


class _TextPiece(NamedTuple):
    """A piece of a text: where it stands in the decoding, and where in the parent."""

    start: int
    parent_start: int
    parent_end: int


class PartlyUnescapedText:
    """As `UnescapedText`, of the surroundings of escapes alone: the rest of the text is searched as
    it stands, so it need not be searched again."""

    def __init__(self, data: bytes, parent: bytes, pieces: list[_TextPiece]) -> None:
        self.data = data
        self._parent = parent
        self._pieces = pieces
        self._starts = [piece.start for piece in pieces]
        self._unescaped: dict[int, UnescapedText] = {}  # the pieces that changed, by their start

    def origin(self, start: int, end: int) -> ParentPlace:
        """See `Decoding.origin`."""
        parent_start = self._parent_place(start, is_end=False)
        return ParentPlace(parent_start, self._parent_place(end, is_end=True), ("escapes",))

    def _parent_place(self, place: int, *, is_end: bool) -> int:
        number = bisect_right(self._starts, place - is_end) - 1
        start, parent_start, parent_end = self._pieces[max(number, 0)]
        is_last = number + 1 == len(self._starts)
        end = len(self.data) if is_last else self._starts[number + 1]
        original = self._parent[parent_start:parent_end]
        if original == self.data[start:end]:
            return min(parent_start + place - start, parent_end)
        unescaped_piece = self._unescaped.get(start)
        if unescaped_piece is None:
            unescaped_piece = self._unescaped[start] = UnescapedText(b"", original)
        return parent_start + unescaped_piece.parent_place(place - start, is_end=is_end)


@cache
def _escape_runs() -> Any:
    """One or more of `_ESCAPE`, as RE2: much faster than `re` on a text without escapes."""
    return compiled(b"(?:" + _ANY_ESCAPE + b")+")


def unescaped(data: bytes) -> UnescapedText | PartlyUnescapedText | None:
    """The text with one layer of escapes undone; None when there is nothing to undo. Of a text with
    few escapes, only their surroundings."""
    few = len(data) // _DENSE_BYTES + 64
    runs: list[tuple[int, int]] = []
    for match in _escape_runs().finditer(data):
        runs.append(match.span())
        if len(runs) > few:
            return _unescaped_all(data)
    return _unescaped_near(data, runs) if runs else None


def unescaped_whole(data: bytes) -> UnescapedText | None:
    """All of the text with one layer of escapes undone; None when there is nothing to undo."""
    return _unescaped_all(data) if _escape_runs().search(data) is not None else None


def _unescaped_all(data: bytes) -> UnescapedText | None:
    undone = _undo_all(data)
    return UnescapedText(undone, data) if undone != data else None


def _unescaped_near(data: bytes, runs: list[tuple[int, int]]) -> PartlyUnescapedText | None:
    texts: list[bytes] = []
    pieces: list[_TextPiece] = []
    size = 0  # of `texts`
    copied_to = 0  # the end of what `texts` hold of `data`
    changed = False
    for number, (start, end) in enumerate(runs):
        near_start = max(copied_to, start - _NEAR_BYTES)
        if near_start > copied_to:  # a gap: what follows begins on a line of its own
            near_start = max(copied_to, _space_before(data, near_start))
            texts.append(b"\n")
            size += 1
        if near_start < start:
            texts.append(data[near_start:start])
            pieces.append(_TextPiece(size, near_start, start))
            size += start - near_start
        run = data[start:end]
        undone = _UNDONE_RUNS[run]
        changed = changed or undone != run
        texts.append(undone)
        pieces.append(_TextPiece(size, start, end))
        size += len(undone)
        copied_to = runs[number + 1][0] if number + 1 < len(runs) else len(data)
        if copied_to - end > _NEAR_BYTES:
            copied_to = min(copied_to, _space_behind(data, end + _NEAR_BYTES))
        if end < copied_to:
            texts.append(data[end:copied_to])
            pieces.append(_TextPiece(size, end, copied_to))
            size += copied_to - end
    return PartlyUnescapedText(b"".join(texts), data, pieces) if changed else None


def _space_before(data: bytes, place: int) -> int:
    """The place behind the nearest white space in front of a place, within _EDGE_BYTES."""
    low = max(0, place - _EDGE_BYTES)
    found = max(data.rfind(b" ", low, place), data.rfind(b"\n", low, place))
    return found + 1 if found >= 0 else low


def _space_behind(data: bytes, place: int) -> int:
    """The nearest white space behind a place, within _EDGE_BYTES."""
    high = min(len(data), place + _EDGE_BYTES)
    found = (data.find(space, place, high) for space in (b" ", b"\n"))
    return min((space for space in found if space >= 0), default=high)
