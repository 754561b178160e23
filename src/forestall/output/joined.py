"""Find what stands in no text alone and in two texts that a reader may put together.

A secret halved between two fields, two lines of a list or two reports is found in neither half. So
texts are joined in the order in which they are read, and scanned where they touch. What a scan of
the same texts apart finds as well is not reported: its own scan has dealt with it. Texts with white
space where they touch are not joined, since no credential holds any. No I/O; never raises.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from forestall.output.findings import Detector, Scan, ScanBudget
from forestall.output.scan import scan

_REACH_CHARS = 512  # on each side of the place where two texts touch
_CONTEXT_CHARS = 32  # in front of the run of characters that crosses it: the name of a value
_RUN_CHARS_MIN = 16  # shorter, it is no credential that a detector would find
_BETWEEN_WINDOWS = "\n\n"
_BETWEEN_PIECES = "\n"

_Window = list[str]  # the surroundings of a border, as the pieces of the texts that touch there


def joined_findings(
    groups: Iterable[Sequence[str]],
    *,
    detectors: Sequence[Detector],
    budget: ScanBudget,
    glue: str = "",
) -> Scan | None:
    """The scan of the texts of each group joined with `glue`, all of them and each two neighbours
    (a third one may hide where a secret ends). Its findings are those that no text of the group
    holds alone; their places are not places in a text. None when no two texts touch."""
    windows: list[_Window] = []
    for group in groups:
        texts = [text for text in group if text]
        windows += _windows(texts, glue)
        if len(texts) > 2:
            windows += filter(None, (_window(*two, glue) for two in pairwise(texts)))
    if not windows:
        return None
    joined = scan(
        _BETWEEN_WINDOWS.join(map(glue.join, windows)), detectors=detectors, budget=budget
    )
    if not joined.findings:
        return joined
    pieces, places = _pieces_in_joined(windows, glue)
    apart = scan(_BETWEEN_PIECES.join(pieces), detectors=detectors, budget=budget)
    found_apart = _places_in_joined(apart, pieces, places)
    found_only_joined = tuple(
        finding
        for finding in joined.findings
        if not any(start < finding.end and finding.start < end for start, end in found_apart)
    )
    reasons = tuple(sorted({*joined.reasons, *apart.reasons}))
    return msgspec.structs.replace(
        joined, findings=found_only_joined, complete=not reasons, reasons=reasons
    )


def _pieces_in_joined(windows: list[_Window], glue: str) -> tuple[list[str], list[int]]:
    """All pieces of the windows, and where each one stands in the joined text."""
    pieces: list[str] = []
    places: list[int] = []
    place = 0
    for window in windows:
        for piece in window:
            pieces.append(piece)
            places.append(place)
            place += len(piece) + len(glue)
        place += len(_BETWEEN_WINDOWS) - len(glue)
    return pieces, places


def _places_in_joined(apart: Scan, pieces: list[str], places: list[int]) -> list[tuple[int, int]]:
    """Where the findings of the pieces apart stand, in the joined text."""
    ends = list(accumulate(len(piece) + len(_BETWEEN_PIECES) for piece in pieces))
    moved: list[tuple[int, int]] = []
    number = 0  # of the piece in which the finding begins
    for finding in sorted(apart.findings, key=lambda finding: finding.start):
        while ends[number] <= finding.start:
            number += 1
        piece_start = ends[number] - len(_BETWEEN_PIECES) - len(pieces[number])
        shift = places[number] - piece_start
        moved.append((finding.start + shift, finding.end + shift))
    return moved


def _windows(texts: Sequence[str], glue: str) -> list[_Window]:
    """The surroundings of each border between two texts. One window may hold several borders."""
    joined, borders = "".join(texts), list(accumulate(map(len, texts)))[:-1]
    windows: list[_Window] = []
    end = -1
    for border in borders:
        if border < end:
            continue  # it stands in the window of an earlier border
        low, high = max(0, border - _REACH_CHARS), border + _REACH_CHARS
        window = _window(joined[low:border], joined[border:high], glue)
        if window is not None:
            start, end = border - len(window[0]), border + len(window[1])
            inside = borders[bisect_right(borders, start) : bisect_left(borders, end)]
            windows.append([joined[low:high] for low, high in pairwise([start, *inside, end])])
    return windows


def _window(before: str, behind: str, glue: str) -> _Window | None:
    """The run of characters across the border of two texts, with some context in front of it; None
    when the run is too short, or white space stands at the border."""
    if before[-1].isspace() or behind[0].isspace():
        return None
    left = before[-_REACH_CHARS:].rsplit(None, 1)[-1]
    right = behind[:_REACH_CHARS].split(None, 1)[0]
    if len(left) + len(right) + len(glue) < _RUN_CHARS_MIN:
        return None
    return [before[-len(left) - _CONTEXT_CHARS :], right]


def texts_of(content: bytes) -> list[list[str]]:
    """The texts of a JSON value in the orders in which a reader may put them together: all of them
    as they stand, and those of one name in the objects of one list."""
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    texts: list[str] = []
    columns: list[list[str]] = []
    unvisited: list[Any] = [value]
    while unvisited:
        value = unvisited.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict):
            unvisited.extend(reversed(value.values()))
        elif isinstance(value, list):
            unvisited.extend(reversed(value))
            columns += _columns([item for item in value if isinstance(item, dict)])
    return [texts, *columns] if len(texts) > 1 else []


def _columns(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The texts of each name in several objects; a name that only one of them has is left out."""
    columns: dict[str, list[str]] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, str):
                columns.setdefault(name, []).append(value)
    return [column for column in columns.values() if len(column) > 1]
