"""Replace findings in a content by marks. A content that was JSON stays JSON.

Spans that overlap become one, named after the finding with the highest confidence. Nothing else is
changed, and redacting the copy again changes nothing. Whoever releases a copy must scan it first.
"""

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from forestall.output.findings import Finding, redaction_mark

Content = TypeVar("Content", str, bytes)

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# The tokens of JSON that may be replaced: string literals, and other scalars.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^\s\[\]{},:"]+', re.DOTALL)
_ESCAPE = re.compile(rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2})?\\u[0-9a-fA-F]{4}|\\.|[^\\]+", re.DOTALL)
_COLON = re.compile(rb"\s*:")


class RemovedSpan(NamedTuple):
    """A span of the content that a mark replaces, and the kind that the mark names."""

    start: int
    end: int
    kind: str


class _Replacement(NamedTuple):
    start: int
    end: int
    by: bytes


def redact(content: Content, findings: Sequence[Finding], *, json: bool | None = None) -> Content:
    """The content with `[REDACTED:kind]` for each finding of a scan of just this content. `json`
    says whether it is JSON; None: `is_json` finds out."""
    if not findings:
        return content
    if isinstance(content, str):
        raw = content.encode("utf-8", "surrogatepass")
        return _redacted(raw, findings, json).decode("utf-8", "surrogatepass")
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            text = content[len(mark) :].decode(encoding, "surrogatepass")
            raw = text.encode("utf-8", "surrogatepass")
            copy = _redacted(raw, _in_utf8(findings, text), json)
            return mark + copy.decode("utf-8", "surrogatepass").encode(encoding, "surrogatepass")
    return _redacted(content, findings, json)


def is_json(content: str | bytes) -> bool:
    """Whether the content is one JSON value, as far as its depth lets us read it."""
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False
    return True


def _in_utf8(findings: Sequence[Finding], text: str) -> list[Finding]:
    """The findings of a text in UTF-16, with their places in bytes of its UTF-8 form."""
    return [
        msgspec.structs.replace(
            finding,
            start_byte=len(text[: finding.start].encode("utf-8", "surrogatepass")),
            end_byte=len(text[: finding.end].encode("utf-8", "surrogatepass")),
        )
        for finding in findings
    ]


def _redacted(raw: bytes, findings: Sequence[Finding], json: bool | None) -> bytes:
    spans = _merged_spans(findings)
    in_json = is_json(raw) if json is None else json
    pieces: list[bytes] = []
    copied_to = 0
    for start, end, by in (
        _replacements_in_json(raw, spans) if in_json else _replacements_in_text(spans)
    ):
        pieces += (raw[copied_to:start], by)
        copied_to = end
    return b"".join([*pieces, raw[copied_to:]])


def _merged_spans(findings: Iterable[Finding]) -> list[RemovedSpan]:
    """The spans of the findings, in order, with those that overlap merged."""
    spans: list[RemovedSpan] = []
    surest = 0.0  # confidence of the finding that the last span is named after
    for finding in sorted(findings, key=lambda each: (each.start_byte, -each.end_byte)):
        if spans and finding.start_byte < spans[-1].end:
            last = spans[-1]
            kind = finding.kind if finding.confidence > surest else last.kind
            spans[-1] = RemovedSpan(last.start, max(last.end, finding.end_byte), kind)
            surest = max(surest, finding.confidence)
        else:
            spans.append(RemovedSpan(finding.start_byte, finding.end_byte, finding.kind))
            surest = finding.confidence
    return spans


def _replacements_in_text(spans: list[RemovedSpan]) -> Iterator[_Replacement]:
    for start, end, kind in spans:
        yield _Replacement(start, end, redaction_mark(kind))


def _replacements_in_json(raw: bytes, spans: list[RemovedSpan]) -> Iterator[_Replacement]:
    """The replacements in a JSON text: parts of string literals; any other scalar as a whole, by a
    string. Structure is never replaced."""
    later_spans = iter(spans)
    span = next(later_spans, None)
    marked_names = 0
    for token in _TOKEN.finditer(raw):
        start, end = token.span()
        while span is not None and span.end <= start:
            span = next(later_spans, None)
        if span is None:
            return
        if raw[start : start + 1] != b'"':
            if span.start < end:
                yield _Replacement(start, end, b'"' + redaction_mark(span.kind) + b'"')
            continue
        is_closed = end - start > 1 and raw[end - 1 : end] == b'"'
        inner_end = end - 1 if is_closed else end
        is_name = _COLON.match(raw, end) is not None
        replaced_to = start
        while span is not None and span.start < inner_end:
            low, high = _whole_escapes(raw, start + 1, inner_end, span)
            low = max(low, replaced_to)
            if low < high:
                marked_names += is_name  # the marks are numbered, so that the names differ
                number = marked_names if is_name else 0
                yield _Replacement(low, high, redaction_mark(span.kind, number))
                replaced_to = high
            if span.end > inner_end:
                break
            span = next(later_spans, None)


def _whole_escapes(raw: bytes, start: int, end: int, span: RemovedSpan) -> tuple[int, int]:
    """The part of a span inside of a string literal, widened so that it cuts no escape."""
    low, high = max(start, span.start), min(end, span.end)
    if low >= high or b"\\" not in raw[start:end]:
        return low, high
    for match in _ESCAPE.finditer(raw, start, end):
        escape_start, escape_end = match.span()
        if raw[escape_start : escape_start + 1] != b"\\":
            continue
        if escape_start < low < escape_end:
            low = escape_start
        if escape_start < high < escape_end:
            high = escape_end
        if escape_start > high:
            break
    return low, high
