"""Replace findings in a content by marks. A content that was JSON stays JSON.

Spans that overlap become one, named after the finding with the highest confidence. Nothing else is
changed, and redacting the copy again changes nothing. Whoever releases a copy must scan it first.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from forestall.output.findings import Finding

Content = TypeVar("Content", str, bytes)

_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^\s\[\]{},:"]+', re.DOTALL)
_ESCAPE = re.compile(rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2})?\\u[0-9a-fA-F]{4}|\\.|[^\\]+", re.DOTALL)
_NAME_FOLLOWS = re.compile(rb"\s*:")


class RemovedSpan(NamedTuple):
    """A span of the content that a mark replaces, and the kind that the mark names."""

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
        done = _redacted(raw, _merged_spans(findings), is_json(raw) if json is None else json)
        return done.decode("utf-8", "surrogatepass")
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if content.startswith(mark):
            text = content[2:].decode(encoding, "surrogatepass")
            return mark + _by_characters(text, findings, json).encode(encoding, "surrogatepass")
    return _redacted(content, _merged_spans(findings), is_json(content) if json is None else json)


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
    done = _redacted(raw, _merged_spans(places), is_json(raw) if json is None else json)
    return done.decode("utf-8", "surrogatepass")


def _merged_spans(findings: Iterable[Finding]) -> list[RemovedSpan]:
    """The spans of the findings, in order, with those that overlap merged."""
    spans: list[RemovedSpan] = []
    surest = 0.0
    for each in sorted(findings, key=lambda each: (each.start_byte, -each.end_byte)):
        if spans and each.start_byte < spans[-1].end:
            last = spans[-1]
            kind = each.kind if each.confidence > surest else last.kind
            spans[-1] = RemovedSpan(last.start, max(last.end, each.end_byte), kind)
            surest = max(surest, each.confidence)
        else:
            spans.append(RemovedSpan(each.start_byte, each.end_byte, each.kind))
            surest = each.confidence
    return spans


def _redacted(raw: bytes, spans: list[RemovedSpan], json: bool) -> bytes:
    out: list[bytes] = []
    done = 0
    for start, end, replacement in (
        _replacements_in_json(raw, spans) if json else _replacements_in_text(spans)
    ):
        out += (raw[done:start], replacement)
        done = end
    out.append(raw[done:])
    return b"".join(out)


def _mark(kind: str, again: int = 0) -> bytes:
    return f"[REDACTED:{kind}#{again}]".encode() if again else f"[REDACTED:{kind}]".encode()


def _replacements_in_text(spans: list[RemovedSpan]) -> Iterator[tuple[int, int, bytes]]:
    for start, end, kind in spans:
        yield start, end, _mark(kind)


def _replacements_in_json(raw: bytes, spans: list[RemovedSpan]) -> Iterator[tuple[int, int, bytes]]:
    """The replacements in a JSON text: parts of string literals; any other scalar as a whole, by a
    string. Structure is never replaced."""
    waiting = iter(spans)
    span = next(waiting, None)
    names = 0
    for token in _TOKENS.finditer(raw):
        start, end = token.span()
        while span is not None and span.end <= start:
            span = next(waiting, None)
        if span is None:
            return
        if raw[start : start + 1] != b'"':
            if span.start < end:
                yield start, end, b'"' + _mark(span.kind) + b'"'
            continue
        inner_end = end - 1 if end - start > 1 and raw[end - 1 : end] == b'"' else end
        is_name = _NAME_FOLLOWS.match(raw, end) is not None
        last = start
        while span is not None and span.start < inner_end:
            low, high = _whole_escapes(raw, start + 1, inner_end, span)
            low = max(low, last)
            if low < high:
                names += is_name  # the mark is numbered, so that the names of an object differ
                yield low, high, _mark(span.kind, names if is_name else 0)
                last = high
            if span.end > inner_end:
                break
            span = next(waiting, None)


def _whole_escapes(raw: bytes, start: int, end: int, span: RemovedSpan) -> tuple[int, int]:
    """The part of a span inside of a string literal, widened so that it cuts no escape."""
    low, high = max(start, span.start), min(end, span.end)
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
