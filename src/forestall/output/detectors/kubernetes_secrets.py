"""Reads the values of a Kubernetes Secret, which no single pattern can reach: they stand below
`data` and `stringData` of the object that says `kind: Secret`, in front of it or behind it.

Here are the readers of JSON and YAML, for `structures`. Each reads one object round its anchor
(`kind: Secret`), and no farther from the anchor than one reach.
"""

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from forestall.output.detectors.value_checks import is_placeholder
from forestall.output.findings import REACH_BYTES_MAX, ValuePlace

_CONFIDENCE = 0.85
_VALUE_CHARS_MIN = 4
_DATA_KEYS = (b"data", b"stringData")


def _is_value(value: bytes) -> bool:
    text = value.decode("utf-8", "replace")
    return len(text) >= _VALUE_CHARS_MIN and not is_placeholder(text)


# -- JSON --

_JSON_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)


class _OpenJson:
    """An object or an array that is open. A text in it is a value where `values_here` is a list."""

    __slots__ = ("data_values", "is_secret", "key", "values_here")

    def __init__(self, values_here: list[ValuePlace] | None) -> None:
        self.key = b""  # that waits for its value
        self.is_secret = False  # it says that it is of kind Secret
        self.data_values: list[ValuePlace] = []  # the texts below its `data` and `stringData`
        self.values_here = values_here


def json_secret(data: bytes, start: int, end: int, low: int) -> tuple[int, list[ValuePlace]]:
    """The StructureReader of Secrets in JSON: every text below `data` and `stringData` of each
    object that is of kind Secret."""
    low, high = max(low, start - REACH_BYTES_MAX), min(len(data), end + REACH_BYTES_MAX)
    quote = data.find(b'"', low, start)
    # Where reading begins inside of a text, its closing quote seems to open one: so a reading that
    # does not see the anchor as a text of its own is done again behind that quote.
    for first in (low, quote + 1 if quote >= 0 else low):
        places, stop, saw_anchor = _json_values(data, first, high, start)
        if saw_anchor:
            return stop, places
    return end, []


def _json_values(
    data: bytes, low: int, high: int, anchor: int
) -> tuple[list[ValuePlace], int, bool]:
    """The values, where the outermost object round the anchor ends, and whether the anchor was read
    as a text of its own."""
    places: list[ValuePlace] = []
    stack = [_OpenJson(None)]
    saw_anchor, stop = False, high
    for token in _JSON_TOKEN.finditer(data, low, high):
        text, top = token[0], stack[-1]
        if text in b"{[":
            is_data = top.values_here is None and top.key in _DATA_KEYS
            stack.append(_OpenJson(top.data_values if is_data else top.values_here))
        elif text in b"}]":
            places += top.data_values if top.is_secret else ()
            stack.pop()
            if not stack:  # reading began inside of this object
                stack = [_OpenJson(None)]
            stack[-1].key = b""
            if saw_anchor and len(stack) == 1:
                stop = token.end()
                break
        else:
            first, last = token.start() + 1, token.end() - 1
            saw_anchor = saw_anchor or token.start() == anchor
            if data[last + 1 : last + 65].lstrip().startswith(b":"):
                top.key = data[first:last]
                continue
            if top.key == b"kind" and data[first:last] == b"Secret":
                top.is_secret = True
            elif top.values_here is not None and _is_value(data[first:last]):
                top.values_here.append(ValuePlace(first, last, _CONFIDENCE))
            top.key = b""
    for still_open in stack:
        places += still_open.data_values if still_open.is_secret else ()
    return places, stop, saw_anchor


# -- YAML --

# The first line of a document that stands in a text of JSON has the quote in front of it.
_YAML_KEY = re.compile(
    rb"^(?:[^\n]{0,200}?[\"'](?=(?:data|stringData):))?((?:[ ]|-[ ])*)"
    rb"([\w./-]+|\"[^\"\n]*\"|'[^'\n]*'):(?:[ \t]+|\r?$)"
)
_BLOCK_SCALAR = re.compile(rb"[|>][+-]?[0-9]?[ \t]*(?:#.*)?")
_FLOW_VALUE = re.compile(rb":\s*[\"']?([^\s\"',{}]+)")
_INDENT_BYTES_MAX = 256


class _YamlLine(NamedTuple):
    """A line: its place in the data, its text without the line end, and the column of its first
    key; the dash of an item counts as a space."""

    start: int
    end: int
    text: bytes
    indent: int

    @property
    def is_blank(self) -> bool:
        return not self.text.strip()

    def begins_item(self, indent: int) -> bool:
        """Whether an item of a list begins here whose keys stand in this column."""
        return self.indent == indent and self.text[:indent].lstrip(b" ").startswith(b"-")

    def is_inside(self, indent: int) -> bool:
        """Whether the line may belong to a mapping whose keys stand in this column."""
        if self.is_blank or self.text.lstrip().startswith(b"#"):
            return True
        return self.indent >= indent and not self.text.startswith((b"---", b"..."))


def _line(data: bytes, start: int, end: int) -> _YamlLine:
    text = data[start:end].rstrip(b"\r")
    head = text[:_INDENT_BYTES_MAX]
    return _YamlLine(start, end, text, len(head) - len(head.lstrip(b" -")))


def _lines_from(data: bytes, start: int) -> Iterator[_YamlLine]:
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        yield _line(data, start, end)
        start = end + 1


def _lines_above(data: bytes, start: int, low: int) -> Iterator[_YamlLine]:
    """The lines in front of the line that begins at `start`, the nearest first."""
    while start > low:
        above = data.rfind(b"\n", low, start - 1) + 1 or low
        yield _line(data, above, start - 1)
        start = above


def yaml_secret(data: bytes, start: int, end: int, low: int) -> tuple[int, list[ValuePlace]]:
    """The StructureReader of Secrets in YAML: every value below `data` and `stringData` of the
    mapping that holds `kind: Secret`."""
    line_start = data.rfind(b"\n", low, start) + 1 or low
    lines = _lines_from(data, line_start)
    anchor = next(lines)
    indent = anchor.indent
    above: list[_YamlLine] = []
    if not anchor.begins_item(indent):
        for line in _lines_above(data, line_start, max(low, start - REACH_BYTES_MAX)):
            if not line.is_inside(indent):
                break
            above.append(line)
            if line.begins_item(indent):
                break
    mapping = [*reversed(above), anchor]
    for line in lines:
        if not line.is_inside(indent) or line.begins_item(indent):
            break
        mapping.append(line)
        if line.end - start > REACH_BYTES_MAX:
            break
    return max(end, mapping[-1].end), list(_yaml_values(data, mapping, indent))


def _yaml_values(data: bytes, mapping: list[_YamlLine], indent: int) -> Iterator[ValuePlace]:
    number = 0
    while number < len(mapping):
        line = mapping[number]
        number += 1
        match = _YAML_KEY.match(line.text)
        if match is None or len(match[1]) != indent or match[2].strip(b"\"'") not in _DATA_KEYS:
            continue
        for value in _FLOW_VALUE.finditer(data, line.start + match.end(), line.end):
            if _is_value(value[1]):
                yield ValuePlace(*value.span(1), _CONFIDENCE)
        below = list(
            takewhile(lambda line: line.is_blank or line.indent > indent, mapping[number:])
        )
        yield from _yaml_entries(data, below)
        number += len(below)


def _yaml_entries(data: bytes, lines: list[_YamlLine]) -> Iterator[ValuePlace]:
    """The values of a mapping of texts, a value with all of its lines."""
    column = min((line.indent for line in lines if not line.is_blank), default=0)
    places: list[tuple[int, int]] = []
    for line in lines:
        match = _YAML_KEY.match(line.text)
        text_end = line.start + len(line.text)
        if match is not None and len(match[1]) == column:
            places.append((line.start + match.end(), text_end))
        elif places and not line.is_blank:
            first, last = places[-1]
            behind_key = data[first:last]
            if not behind_key or _BLOCK_SCALAR.fullmatch(behind_key):
                first = text_end - len(line.text.lstrip())
            places[-1] = (first, text_end)
    for first, last in places:
        value = data[first:last].rstrip()
        is_quoted = len(value) > 1 and value[:1] in (b'"', b"'") and value[-1:] == value[:1]
        first, last = first + is_quoted, first + len(value) - is_quoted
        if _is_value(data[first:last]) and not _BLOCK_SCALAR.fullmatch(data[first:last]):
            cut = last - lines[0].start >= REACH_BYTES_MAX
            yield ValuePlace(first, last, _CONFIDENCE, cut)
