"""The content without what was found in it. What was JSON stays JSON.

Pieces that overlap become one, named after the surest of their findings. Nothing but the pieces is
changed, and doing it again changes nothing. Whoever hands the copy out scans it again first.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from forestall.output.findings import Finding

Content = TypeVar("Content", str, bytes)

_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^\s\[\]{},:"]+', re.DOTALL)
_ESCAPE = re.compile(rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2})?\\u[0-9a-fA-F]{4}|\\.|[^\\]+", re.DOTALL)
_IS_NAME = re.compile(rb"\s*:")


class Piece(NamedTuple):
    """What is taken out: where, and the name that stands for it."""

    start: int
    end: int
    kind: str


def redact(content: Content, findings: Sequence[Finding], *, json: bool | None = None) -> Content:
    """The content with `[REDACTED:kind]` for each finding of a scan of just this content. `json`
    says whether it is JSON (see `is_json`); unless it does, the content is looked at."""
    if not findings:
        return content
    if isinstance(content, str):
        raw = content.encode("utf-8", "surrogatepass")
        done = _redacted(raw, _pieces(findings), is_json(raw) if json is None else json)
        return done.decode("utf-8", "surrogatepass")
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if content.startswith(mark):
            text = content[2:].decode(encoding, "surrogatepass")
            return mark + _by_characters(text, findings, json).encode(encoding, "surrogatepass")
    return _redacted(content, _pieces(findings), is_json(content) if json is None else json)


def is_json(content: str | bytes) -> bool:
    """Whether the content is one JSON value, as far as its depth lets us read it."""
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False
    return True


def _by_characters(text: str, findings: Sequence[Finding], json: bool | None) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    places = [
        msgspec.structs.replace(
            each,
            start_byte=len(text[: each.start].encode("utf-8", "surrogatepass")),
            end_byte=len(text[: each.end].encode("utf-8", "surrogatepass")),
        )
        for each in findings
    ]
    done = _redacted(raw, _pieces(places), is_json(raw) if json is None else json)
    return done.decode("utf-8", "surrogatepass")


def _pieces(findings: Iterable[Finding]) -> list[Piece]:
    """Findings as pieces that do not overlap, in order."""
    pieces: list[Piece] = []
    surest = 0.0
    for each in sorted(findings, key=lambda each: (each.start_byte, -each.end_byte)):
        if pieces and each.start_byte < pieces[-1].end:
            last = pieces[-1]
            kind = each.kind if each.confidence > surest else last.kind
            pieces[-1] = Piece(last.start, max(last.end, each.end_byte), kind)
            surest = max(surest, each.confidence)
        else:
            pieces.append(Piece(each.start_byte, each.end_byte, each.kind))
            surest = each.confidence
    return pieces


def _redacted(raw: bytes, pieces: list[Piece], json: bool) -> bytes:
    out: list[bytes] = []
    done = 0
    for start, end, replacement in _in_json(raw, pieces) if json else _in_text(pieces):
        out += (raw[done:start], replacement)
        done = end
    out.append(raw[done:])
    return b"".join(out)


def _mark(kind: str, again: int = 0) -> bytes:
    return f"[REDACTED:{kind}#{again}]".encode() if again else f"[REDACTED:{kind}]".encode()


def _in_text(pieces: list[Piece]) -> Iterator[tuple[int, int, bytes]]:
    for start, end, kind in pieces:
        yield start, end, _mark(kind)


def _in_json(raw: bytes, pieces: list[Piece]) -> Iterator[tuple[int, int, bytes]]:
    """Replacements inside of string literals, and of whole other scalars by a string. What lies
    between them is structure, and stays."""
    waiting = iter(pieces)
    piece = next(waiting, None)
    names = 0
    for token in _TOKENS.finditer(raw):
        start, end = token.span()
        while piece is not None and piece.end <= start:
            piece = next(waiting, None)
        if piece is None:
            return
        if raw[start : start + 1] != b'"':
            if piece.start < end:
                yield start, end, b'"' + _mark(piece.kind) + b'"'
            continue
        inner_end = end - 1 if end - start > 1 and raw[end - 1 : end] == b'"' else end
        is_name = _IS_NAME.match(raw, end) is not None
        last = start
        while piece is not None and piece.start < inner_end:
            low, high = _whole_escapes(raw, start + 1, inner_end, piece)
            low = max(low, last)
            if low < high:
                names += is_name  # names of one object stay different
                yield low, high, _mark(piece.kind, names if is_name else 0)
                last = high
            if piece.end > inner_end:
                break
            piece = next(waiting, None)


def _whole_escapes(raw: bytes, start: int, end: int, piece: Piece) -> tuple[int, int]:
    """The part of a piece that lies in the literal, widened so that no escape is cut."""
    low, high = max(start, piece.start), min(end, piece.end)
    if low >= high or b"\\" not in raw[start:end]:
        return low, high
    for found in _ESCAPE.finditer(raw, start, end):
        if raw[found.start() : found.start() + 1] != b"\\":
            continue
        if found.start() < low < found.end():
            low = found.start()
        if found.start() < high < found.end():
            high = found.end()
        if found.start() > high:
            break
    return low, high
