"""Reads structures whose secrets no single pattern can reach: a Kubernetes Secret with several
keys, a table with a header, a row of a table, the pairs of a cookie header.

A pattern of the detector's file finds the anchor (`kind: Secret`, a cell that names a secret); a
function here reads the structure round it and yields the places of the values. What one structure
took is not read again, and no structure is read farther from its anchor than one reach: one that
goes on there is marked as cut.
"""

import re
from collections.abc import Iterator, Mapping

from forestall.output.detectors.checks import placeholder
from forestall.output.detectors.secret_names import cookie_value, named_password, named_secret
from forestall.output.findings import REACH_BYTES_MAX, StructureReader, ValuePlace

_Line = tuple[int, int]  # where it begins, and where it ends

_SECRET_CONFIDENCE = 0.85
_LINE_BYTES_MAX = 4_096
_VALUE_CHARS_MIN = 4

# -- Kubernetes --

_JSON_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_DATA_KEYS = (b"data", b"stringData")
# The first line of a document that stands in a text of JSON has the quote in front of it.
_YAML_KEY = re.compile(
    rb"^(?:[^\n]{0,200}?[\"'](?=(?:data|stringData):))?((?:[ ]|-[ ])*)"
    rb"([\w./-]+|\"[^\"\n]*\"|'[^'\n]*'):(?:[ \t]+|\r?$)"
)
_BLOCK_SCALAR = re.compile(rb"[|>][+-]?[0-9]?[ \t]*(?:#.*)?")
_FLOW_VALUE = re.compile(rb":\s*[\"']?([^\s\"',{}]+)")


def _json_secret(data: bytes, start: int, end: int, low: int) -> tuple[int, list[ValuePlace]]:
    """Every text below `data` and `stringData` of each object that is of kind Secret."""
    low, high = max(low, start - REACH_BYTES_MAX), min(len(data), end + REACH_BYTES_MAX)
    for shift in (0, 1):  # where reading begins inside of a text, the second quote begins the next
        first = low
        if shift:
            quote = data.find(b'"', low, start)
            first = quote + 1 if quote >= 0 else low
        places, stop, in_step = _json_objects(data, first, high, start)
        if in_step:
            return stop, places
    return end, []


class _JsonObject:
    """An object or an array that is open: the key that waits for its value, whether it is of kind
    Secret, the values of its `data`, and the list that takes a text which stands in it."""

    __slots__ = ("is_secret", "key", "taker", "values")

    def __init__(self, taker: list[ValuePlace] | None) -> None:
        self.key, self.is_secret, self.taker = b"", False, taker
        self.values: list[ValuePlace] = []


def _json_objects(
    data: bytes, low: int, high: int, anchor: int
) -> tuple[list[ValuePlace], int, bool]:
    """The values, where the outermost object round the anchor ends, and whether the anchor is a
    text of its own, as reading in step with the quotes makes it."""
    places: list[ValuePlace] = []
    stack = [_JsonObject(None)]
    in_step, stop = False, high
    for token in _JSON_TOKEN.finditer(data, low, high):
        text, top = token[0], stack[-1]
        if text in b"{[":
            is_data = top.taker is None and top.key in _DATA_KEYS
            stack.append(_JsonObject(top.values if is_data else top.taker))
        elif text in b"}]":
            places += top.values if top.is_secret else ()
            stack.pop()
            if not stack:  # reading began inside of this object
                stack = [_JsonObject(None)]
            stack[-1].key = b""
            if in_step and len(stack) == 1:
                stop = token.end()
                break
        else:
            first, last = token.start() + 1, token.end() - 1
            in_step = in_step or token.start() == anchor
            if data[last + 1 : last + 65].lstrip().startswith(b":"):
                top.key = data[first:last]
                continue
            if top.key == b"kind" and data[first:last] == b"Secret":
                top.is_secret = True
            elif top.taker is not None and _is_value(data[first:last]):
                top.taker.append(ValuePlace(first, last, _SECRET_CONFIDENCE))
            top.key = b""
    for each in stack:
        places += each.values if each.is_secret else ()
    return places, stop, in_step


def _is_value(value: bytes) -> bool:
    text = value.decode("utf-8", "replace")
    return len(text) >= _VALUE_CHARS_MIN and not placeholder(text)


def _yaml_secret(data: bytes, start: int, end: int, low: int) -> tuple[int, list[ValuePlace]]:
    """Every value below `data:` and `stringData:` of the mapping that holds `kind: Secret`."""
    begin = data.rfind(b"\n", low, start) + 1 or low
    anchor = next(_lines(data, begin))
    indent = _indent(data, anchor)
    above: list[_Line] = []
    if not _begins_item(data, anchor, indent):
        for line in _lines_above(data, begin, max(low, start - REACH_BYTES_MAX)):
            if not _belongs(data, line, indent):
                break
            above.append(line)
            if _begins_item(data, line, indent):
                break
    mapping = [*reversed(above), anchor]
    for line in _lines(data, anchor[1] + 1):
        if not _belongs(data, line, indent) or _begins_item(data, line, indent):
            break
        mapping.append(line)
        if line[1] - start > REACH_BYTES_MAX:
            break
    return max(end, mapping[-1][1]), list(_yaml_values(data, mapping, indent))


def _lines(data: bytes, first: int) -> Iterator[_Line]:
    while first < len(data):
        last = data.find(b"\n", first)
        last = len(data) if last < 0 else last
        yield first, last
        first = last + 1


def _lines_above(data: bytes, begin: int, low: int) -> Iterator[_Line]:
    while begin > low:
        first = data.rfind(b"\n", low, begin - 1) + 1 or low
        yield first, begin - 1
        begin = first


def _text(data: bytes, line: _Line) -> bytes:
    return data[line[0] : line[1]].rstrip(b"\r")


def _indent(data: bytes, line: _Line) -> int:
    """The column of the first key of a line; the dash of an item counts as a space."""
    text = data[line[0] : min(line[1], line[0] + 256)]
    return len(text) - len(text.lstrip(b" -"))


def _begins_item(data: bytes, line: _Line, indent: int) -> bool:
    text = data[line[0] : line[0] + indent]
    return text.lstrip(b" ").startswith(b"-") and _indent(data, line) == indent


def _belongs(data: bytes, line: _Line, indent: int) -> bool:
    text = _text(data, line)
    if not text.strip() or text.lstrip().startswith(b"#"):
        return True
    return _indent(data, line) >= indent and not text.startswith((b"---", b"..."))


def _yaml_values(data: bytes, lines: list[_Line], indent: int) -> Iterator[ValuePlace]:
    number = 0
    while number < len(lines):
        match = _YAML_KEY.match(_text(data, lines[number]))
        is_data = (
            match is not None and len(match[1]) == indent and match[2].strip(b"\"'") in _DATA_KEYS
        )
        number += 1
        if match is None or not is_data:
            continue
        first = lines[number - 1][0] + match.end()
        for value in _FLOW_VALUE.finditer(data, first, lines[number - 1][1]):
            if _is_value(value[1]):
                yield ValuePlace(*value.span(1), _SECRET_CONFIDENCE)
        below = number
        while below < len(lines) and (
            not _text(data, lines[below]).strip() or _indent(data, lines[below]) > indent
        ):
            below += 1
        yield from _yaml_entries(data, lines[number:below])
        number = below


def _yaml_entries(data: bytes, lines: list[_Line]) -> Iterator[ValuePlace]:
    """The values of a mapping of texts, a value with all of its lines."""
    column = min((_indent(data, line) for line in lines if _text(data, line).strip()), default=0)
    places: list[tuple[int, int]] = []
    for line in lines:
        text = _text(data, line)
        match = _YAML_KEY.match(text)
        if match is not None and len(match[1]) == column:
            places.append((line[0] + match.end(), line[0] + len(text)))
        elif places and text.strip():
            first = places[-1][0]
            begun = data[first : places[-1][1]]
            if not begun or _BLOCK_SCALAR.fullmatch(begun):
                first = line[0] + len(text) - len(text.lstrip())
            places[-1] = (first, line[0] + len(text))
    for first, last in places:
        value = data[first:last].rstrip()
        quotes = len(value) > 1 and value[:1] in (b'"', b"'") and value[-1:] == value[:1]
        first, last = first + quotes, first + len(value) - quotes
        if _is_value(data[first:last]) and not _BLOCK_SCALAR.fullmatch(data[first:last]):
            cut = last - lines[0][0] >= REACH_BYTES_MAX
            yield ValuePlace(first, last, _SECRET_CONFIDENCE, cut)


# -- tables --

_QUOTED_CELL = re.compile(rb'[ ]*"((?:[^"\n]|"")*)"[ ]*')
_RULE = re.compile(rb"[\s|:+=-]*")
_PASSWORD_CELL = re.compile(
    rb"(?:[\w-]+[ ._-])?(?:[\w]*pass(?:w(?:or)?d|phrase|code)?|pwd|pw|passwort|contrase\xc3\xb1a"
    rb"|senha|wachtwoord|\xd0\xbf\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c)",
    re.IGNORECASE,
)
_SECRET_CELL = re.compile(
    rb"[\w .-]{0,40}(?:secret|token|credentials?|api[ ._-]?key|secret[ ._-]?key|access[ ._-]?key"
    rb"|private[ ._-]?key|auth[ ._-]?key|signing[ ._-]?key|encryption[ ._-]?key|license[ ._-]?key)",
    re.IGNORECASE,
)
_CELLS_MAX = 256
_HEADER_CELL = re.compile(rb"[\w .()/#:-]{0,48}")


def _table(data: bytes, start: int, end: int, low: int) -> tuple[int, list[ValuePlace]]:
    """The values beside a cell that names a secret, and those in the column below it."""
    first = data.rfind(b"\n", max(low, start - _LINE_BYTES_MAX), start + 1) + 1 or low
    last = data.find(b"\n", max(first, end - 1), first + _LINE_BYTES_MAX)
    last = last if last >= 0 else min(len(data), first + _LINE_BYTES_MAX)
    line = data[first:last]
    delimiter = next((each for each in (b"|", b"\t", b";", b",") if each in line), b"")
    if not delimiter or last < end - 1:
        return end, []
    header = _cells(data, first, last, delimiter)
    named = {
        number: kind
        for number, place in enumerate(header)
        if (kind := _named_cell(data[place[0] : place[1]])) is not None
    }
    in_lists = delimiter in (b",", b";")  # prose has these, and values
    if not named or (
        in_lists and not all(_HEADER_CELL.fullmatch(data, *place) for place in header)
    ):
        return max(end, last), []
    if delimiter in (b"|", b"\t"):
        places = []
        for number, is_password in named.items():
            if number + 1 < len(header) and number + 1 not in named:
                places += _judged(data, header[number + 1], is_password)
        if places:
            return last, places
    if first - 1 > low:
        above = data.rfind(b"\n", max(low, first - _LINE_BYTES_MAX), first - 1) + 1
        if data.count(delimiter, above, first) == line.count(delimiter) and not _RULE.fullmatch(
            data, above, first
        ):
            return max(end, last), []  # a row, of which no column hangs
    return _columns(data, last + 1, len(header), named, delimiter)


def _columns(
    data: bytes, first: int, width: int, named: Mapping[int, bool], delimiter: bytes
) -> tuple[int, list[ValuePlace]]:
    """The values in the named columns of the rows that follow."""
    begin, places = first, []
    while first < len(data):
        last = data.find(b"\n", first, first + _LINE_BYTES_MAX)
        last = last if last >= 0 else min(len(data), first + _LINE_BYTES_MAX)
        if not _RULE.fullmatch(data, first, last) or last == first:
            cells = _cells(data, first, last, delimiter)
            if len(cells) != width:
                break
            for number, is_password in named.items():
                places += _judged(data, cells[number], is_password)
        if first - begin > REACH_BYTES_MAX - _LINE_BYTES_MAX:
            # The table goes on out of reach: what is found last is marked, so that nobody takes
            # the rest for clean.
            places[-1:] = [place._replace(cut=True) for place in places[-1:]]
            break
        first = last + 1
    return max(begin, first), places


def _cells(data: bytes, first: int, last: int, delimiter: bytes) -> list[tuple[int, int]]:
    """The places of the cells of a row, without quotes and spaces; none of a row in disorder."""
    last -= data[last - 1 : last] == b"\r"
    quoted = data.find(b'"', first, last) >= 0
    places: list[tuple[int, int]] = []
    while first <= last and len(places) <= _CELLS_MAX:
        if quoted and (match := _QUOTED_CELL.match(data, first, last)) is not None:
            low, high = match.span(1)
            end = match.end()
            if end < last and data[end : end + 1] != delimiter:
                return []  # text behind a cell in quotes
        else:
            low, high = first, data.find(delimiter, first, last)
            high = last if high < 0 else high
            end = high
        text = data[low:high]
        left = len(text) - len(text.lstrip(b" `*'"))
        places.append((low + left, low + max(left, len(text.rstrip(b" `*'")))))
        first = end + 1
    return places


def _named_cell(cell: bytes) -> bool | None:
    """Whether a cell names a password (True), another secret (False), or none."""
    if _PASSWORD_CELL.fullmatch(cell):
        return True
    return False if _SECRET_CELL.fullmatch(cell) else None


def _judged(data: bytes, place: tuple[int, int], is_password: bool) -> list[ValuePlace]:
    value = data[place[0] : place[1]].decode("utf-8", "replace")
    sure = named_password(value) if is_password else named_secret(value)
    return [] if sure is None else [ValuePlace(*place, sure)]


# -- cookies --

_COOKIE = re.compile(rb"([\w.$!-]{1,64})=\"?([^;\s\"',]{8,})")


def _cookies(data: bytes, start: int, end: int, low: int) -> tuple[int, list[ValuePlace]]:
    """The values of cookies that name a session or a secret, to the end of the line."""
    last = data.find(b"\n", end, end + REACH_BYTES_MAX)
    last = last if last >= 0 else min(len(data), end + REACH_BYTES_MAX)
    places = []
    for match in _COOKIE.finditer(data, end, last):
        sure = cookie_value(
            match[1].decode("utf-8", "replace"), match[2].decode("utf-8", "replace")
        )
        if sure is not None:
            places.append(ValuePlace(*match.span(2), sure, match.end() - end >= REACH_BYTES_MAX))
    return last, places


STRUCTURES: Mapping[str, StructureReader] = {
    "kubernetes_secret_json": _json_secret,
    "kubernetes_secret_yaml": _yaml_secret,
    "table": _table,
    "cookies": _cookies,
}
