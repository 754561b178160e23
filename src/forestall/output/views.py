"""See a text as its reader will: escapes undone, invisible characters dropped, runs decoded.

A view is another text and the way back: which bytes of the parent a piece of it came from. What
was decoded as a whole maps back to the whole encoded run. Never more than the room that is given.
"""

import binascii
import re
import unicodedata
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

import re2


class Room:
    """What may still be decoded, in bytes; `short` once something did not fit."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.short = False

    def take(self, size: int) -> bool:
        """Whether `size` more bytes fit."""
        if size > self.left:
            self.short = True
            return False
        self.left -= size
        return True


class Segment(NamedTuple):
    """A piece of a view and the piece of the parent that it came from."""

    start: int
    parent_start: int
    parent_end: int
    label: str


class Decoded:
    """The encoded runs of a text, decoded, one on each line."""

    def __init__(self, data: bytes, segments: list[Segment]) -> None:
        self.data = data
        self._segments = segments
        self._starts = [each.start for each in segments]

    def origin(self, start: int, end: int) -> tuple[int, int, tuple[str, ...]]:
        """Place in the parent, and what was undone."""
        first = self._segments[bisect_right(self._starts, start) - 1]
        last = self._segments[bisect_right(self._starts, max(start, end - 1)) - 1]
        return first.parent_start, last.parent_end, tuple(first.label.split())


class Plain:
    """A text with its escapes and invisible characters undone. The way back is made when asked."""

    def __init__(self, data: bytes, parent: bytes) -> None:
        self.data = data
        self._parent = parent
        self._places: list[int] = []  # of what was undone: here, there, there behind it
        self._origins: list[tuple[int, int, int]] = []

    def origin(self, start: int, end: int) -> tuple[int, int, tuple[str, ...]]:
        """Place in the parent, and what was undone."""
        if not self._places:
            self._find_places()
        return self._there(start, False), self._there(end, True), ("escapes",)

    def _find_places(self) -> None:
        here = there = 0
        for found in _UNDONE.finditer(self._parent):
            here += found.start() - there
            there = found.end()
            self._places.append(here)
            self._origins.append((here, found.start(), there))
            here += len(_PLAIN[found[0]])

    def _there(self, place: int, behind: bool) -> int:
        """A place in the parent; inside of what was undone: its start, or its end."""
        found = (
            bisect_right(self._places, place - 1) - 1
            if behind
            else bisect_right(self._places, place) - 1
        )
        if found < 0:
            return place
        here, start, end = self._origins[found]
        size = len(_PLAIN[self._parent[start:end]])
        if place >= here + size:
            return end + place - here - size
        return end if behind else start


View = Plain | Decoded

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
# What a reader does not see, or sees as another character; in UTF-8, by lead bytes.
_FOLDED = (
    rb"(?:\xc2[\xa0\xad]|\xcc[\x80-\xbf]|\xcd[\x80-\xaf]|\xd8\x9c|\xe1\x85[\x9f\xa0]"
    rb"|\xe1\x9e[\xb4\xb5]|\xe1\xa0[\x8b-\x8f]|\xe2\x80[\x80-\x8f\xa8-\xaf]"
    rb"|\xe2\x81[\x9f-\xbf]|\xe2\x82[\x80-\x9f]|\xe2\x84[\x80-\xbf]|\xe2\x91[\xa0-\xbf]"
    rb"|\xe2\x92[\x80-\xbf]|\xe2\x93[\x80-\xbf]|\xe3\x80\x80|\xe3\x85\xa4|\xef\xac[\x80-\x86]"
    rb"|\xef\xb8[\x80-\x8f]|\xef\xbb\xbf|\xef[\xbc-\xbe][\x80-\xbf]|\xef\xbf[\x80-\xbb]"
    rb"|\xf0\x9d[\x90-\x9f][\x80-\xbf]|\xf0\x9f[\x84-\x87][\x80-\xbf]"
    rb"|\xf3\xa0[\x80-\x87][\x80-\xbf]){1,64}"
)
_UNDONE = re.compile(
    b"|".join((_ESCAPES, _PERCENT, _ENTITIES, _COLOURS, _CONTROLS, _FOLDED)),
)
_HAS_UNDONE = re2.compile(
    r"[\\%&\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|[^\x00-\x7f]",
)
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


class _Undo(dict[bytes, bytes]):
    """What stands for an escape; remembered, within bounds."""

    def __missing__(self, found: bytes) -> bytes:
        if len(self) >= _PLAIN_KEPT:
            self.clear()
        plain = self[found] = _undone(found)
        return plain


def _undone(found: bytes) -> bytes:
    lead = found[:1]
    if lead == b"\\":
        return _unescaped(found)
    if lead == b"%":
        return bytes.fromhex(found.replace(b"%", b"").decode())
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
    if codes[0] in _INVISIBLE or codes[0] > 0x10FFFF:
        return b""
    return chr(codes[0]).encode("utf-8", "replace")


_PLAIN = _Undo()


def plain(data: bytes) -> Plain | None:
    """The text with one layer of escapes undone; None when there is nothing to undo."""
    if _HAS_UNDONE.search(data) is None:
        return None
    undone, times = _UNDONE.subn(lambda found: _PLAIN[found[0]], data)
    return Plain(undone, data) if times and undone != data else None


# -- encoded runs --

_RUN = re2.compile(r"[A-Za-z0-9+/_-]{20,}(?:\r?\n[A-Za-z0-9+/_-]{4,})*")
_HEX = re.compile(rb"[0-9a-fA-F]+")
_LINE_ENDS = b"\r\n"
_URL_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_READABLE = bytes([9, 10, 13, *range(32, 127)])
_ASCII_CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])
_READABLE_BYTES_MIN = 8


def decoded(data: bytes, room: Room, *, first: bool, last: bool) -> Decoded | None:
    """The base64, hexadecimal and compressed runs of a text. `first` and `last` say whether the
    text begins and ends here; a run at an open end may go on beyond it."""
    pieces: list[bytes] = []
    segments: list[Segment] = []
    size = 0
    for found in _RUN.finditer(data):
        start, end = found.span()
        open_start, open_end = not first and start == 0, not last and end == len(data)
        for text, label in _texts(data[start:end], room, open_start, open_end):
            segments.append(Segment(size, start, _padded(data, end), label))
            pieces.append(text)
            size += len(text) + 1
    return Decoded(b"\n".join(pieces), segments) if pieces else None


def _padded(data: bytes, end: int) -> int:
    while data[end : end + 1] == b"=":
        end += 1
    return end


def _texts(run: bytes, room: Room, open_start: bool, open_end: bool) -> Iterator[tuple[bytes, str]]:
    joined = run.translate(None, _LINE_ENDS)
    if _HEX.fullmatch(joined):
        raw = bytes.fromhex(joined[: len(joined) // 2 * 2].decode())
        text = _readable(raw)
        if text is not None and room.take(len(text)):
            yield text, "hex"
            return
    standard = joined.translate(_URL_TO_STANDARD)
    for skipped in range(4):
        if skipped and not (open_start or b"/" in joined[:64] or b"-" in joined[:64]):
            return
        part = standard[skipped:]
        usable = len(part) - (len(part) % 4 == 1)
        raw = binascii.a2b_base64(part[:usable] + b"=" * (-usable % 4))
        inner, label = _inflated(raw, room, open_end), "base64 gzip"
        if inner is None:
            inner, label = _readable(raw), "base64"
        if inner is not None and room.take(len(inner)):
            yield inner, label
            return


def _inflated(raw: bytes, room: Room, open_end: bool) -> bytes | None:
    """What gzip or zlib made of it; None when it is neither."""
    if raw[:3] != b"\x1f\x8b\x08" and not (raw[:1] == b"\x78" and raw[1:2] in b"\x01\x5e\x9c\xda"):
        return None
    machine = zlib.decompressobj(wbits=47)
    try:
        inner = machine.decompress(raw, room.left + 1)
    except zlib.error:
        return None
    if len(inner) > room.left or open_end:
        room.short = True
        return None
    return inner


def _readable(raw: bytes) -> bytes | None:
    """The bytes if a person could read them: text without controls. UTF-16 of ASCII becomes it."""
    if len(raw) > 3 and not raw[1::2].strip(b"\0") and raw[::2].isascii():
        raw = raw[::2]
    if len(raw) < _READABLE_BYTES_MIN:
        return None
    if not raw.translate(None, _READABLE):
        return raw
    if raw.isascii() or raw.translate(None, _ASCII_CONTROLS) != raw:
        return None
    # The ends may be cut inside of a character.
    trimmed = raw.lstrip(bytes(range(0x80, 0xC0)))
    try:
        trimmed[:-3].decode()
    except UnicodeDecodeError as error:
        if error.end < len(trimmed) - 6:
            return None
    return raw
