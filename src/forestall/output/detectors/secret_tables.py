"""Reads the secrets of a table: the value beside a cell that names a secret, or the values in the
column below it. Here is the reader of tables, for `structures`.

A table is lines with one delimiter: bars, tabs, semicolons or commas. Nothing is read farther from
the header than one reach: a table that goes on there is marked as cut.
"""

import re
from collections.abc import Callable, Mapping

from forestall.output.detectors.secret_names import named_password, named_secret
from forestall.output.findings import REACH_BYTES_MAX, ValuePlace

_LINE_BYTES_MAX = 4_096
_CELLS_MAX = 256
_DELIMITERS = (b"|", b"\t", b";", b",")
_ALSO_IN_PROSE = (b";", b",")  # and in values
_QUOTED_CELL = re.compile(rb'[ ]*"((?:[^"\n]|"")*)"[ ]*')
_RULE = re.compile(rb"[\s|:+=-]*")
_HEADER_CELL = re.compile(rb"[\w .()/#:-]{0,48}")
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

_Cell = tuple[int, int]  # where its text begins and ends
_Judge = Callable[[str], float | None]  # the confidence that a value is what its name says


def table(data: bytes, start: int, end: int, low: int) -> tuple[int, list[ValuePlace]]:
    """The StructureReader of tables. The anchor is a cell that names a secret."""
    first = data.rfind(b"\n", max(low, start - _LINE_BYTES_MAX), start + 1) + 1 or low
    last = _line_end(data, first, max(first, end - 1))
    delimiter = next((each for each in _DELIMITERS if each in data[first:last]), b"")
    if not delimiter or last < end - 1:
        return end, []
    header = _cells(data, first, last, delimiter)
    judges = _judges_of(data, header)
    if not judges:
        return max(end, last), []
    if delimiter in _ALSO_IN_PROSE:
        if not all(_HEADER_CELL.fullmatch(data, *cell) for cell in header):
            return max(end, last), []
    elif places := _values_beside(data, header, judges):
        return last, places
    if _is_row_below_row(data, first, last, low, delimiter):
        return max(end, last), []
    return _values_below(data, last + 1, len(header), judges, delimiter)


def _line_end(data: bytes, start: int, search_from: int) -> int:
    end = data.find(b"\n", search_from, start + _LINE_BYTES_MAX)
    return end if end >= 0 else min(len(data), start + _LINE_BYTES_MAX)


def _judges_of(data: bytes, header: list[_Cell]) -> dict[int, _Judge]:
    """What judges the values below or beside each cell that names a secret, by the number of the
    cell."""
    judges: dict[int, _Judge] = {}
    for number, (start, end) in enumerate(header):
        name = data[start:end]
        if _PASSWORD_CELL.fullmatch(name):
            judges[number] = named_password
        elif _SECRET_CELL.fullmatch(name):
            judges[number] = named_secret
    return judges


def _values_beside(
    data: bytes, header: list[_Cell], judges: Mapping[int, _Judge]
) -> list[ValuePlace]:
    places: list[ValuePlace] = []
    for number, judge in judges.items():
        if number + 1 < len(header) and number + 1 not in judges:
            places += _judged(data, header[number + 1], judge)
    return places


def _is_row_below_row(data: bytes, first: int, last: int, low: int, delimiter: bytes) -> bool:
    """Whether a line continues a table: then it is no header, and has no column below it."""
    if first - 1 <= low:
        return False
    above = data.rfind(b"\n", max(low, first - _LINE_BYTES_MAX), first - 1) + 1
    if data.count(delimiter, above, first) != data.count(delimiter, first, last):
        return False
    return not _RULE.fullmatch(data, above, first)


def _values_below(
    data: bytes, first: int, width: int, judges: Mapping[int, _Judge], delimiter: bytes
) -> tuple[int, list[ValuePlace]]:
    """Where the table ends whose rows begin at `first`, and the values in the named columns."""
    rows_start = first
    places: list[ValuePlace] = []
    while first < len(data):
        last = _line_end(data, first, first)
        if last == first or not _RULE.fullmatch(data, first, last):
            cells = _cells(data, first, last, delimiter)
            if len(cells) != width:
                break
            for number, judge in judges.items():
                places += _judged(data, cells[number], judge)
        if first - rows_start > REACH_BYTES_MAX - _LINE_BYTES_MAX:
            # The table goes on out of reach: the last value is marked, so that nobody takes the
            # rest of the table for clean.
            places[-1:] = [place._replace(cut=True) for place in places[-1:]]
            break
        first = last + 1
    return max(rows_start, first), places


def _cells(data: bytes, first: int, last: int, delimiter: bytes) -> list[_Cell]:
    """The cells of a row, without quotes and spaces; none of a row in disorder."""
    last -= data[last - 1 : last] == b"\r"
    has_quotes = data.find(b'"', first, last) >= 0
    cells: list[_Cell] = []
    while first <= last and len(cells) <= _CELLS_MAX:
        if has_quotes and (match := _QUOTED_CELL.match(data, first, last)) is not None:
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
        cells.append((low + left, low + max(left, len(text.rstrip(b" `*'")))))
        first = end + 1
    return cells


def _judged(data: bytes, cell: _Cell, judge: _Judge) -> list[ValuePlace]:
    confidence = judge(data[cell[0] : cell[1]].decode("utf-8", "replace"))
    return [] if confidence is None else [ValuePlace(*cell, confidence)]
