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
_APART = "\n"


def joined_findings(
    groups: Iterable[Sequence[str]],
    *,
    detectors: Sequence[Detector],
    budget: ScanBudget,
    glue: str = "",
) -> Scan | None:
    """The scan of the texts of each group joined with `glue`, all of them and each two neighbours
    (a third one may hide where a secret ends); its findings are those that no text
    of the group holds alone, at places of no use. None when no two texts touch."""
    windows: list[list[str]] = []
    for group in groups:
        parts = [part for part in group if part]
        windows += _windows(parts, glue)
        if len(parts) > 2:
            windows += filter(None, (_window(*two, glue) for two in pairwise(parts)))
    if not windows:
        return None
    joined = scan("\n\n".join(map(glue.join, windows)), detectors=detectors, budget=budget)
    if not joined.findings:
        return joined
    pieces, places, place = [], [], 0  # where each piece stands, joined
    for window in windows:
        for piece in window:
            pieces.append(piece)
            places.append(place)
            place += len(piece) + len(glue)
        place += 2 - len(glue)
    apart = scan(_APART.join(pieces), detectors=detectors, budget=budget)
    found_apart = _places_in_joined(apart, pieces, places)
    found_only_joined = tuple(
        each
        for each in joined.findings
        if not any(start < each.end and each.start < end for start, end in found_apart)
    )
    reasons = tuple(sorted({*joined.reasons, *apart.reasons}))
    return msgspec.structs.replace(
        joined, findings=found_only_joined, complete=not reasons, reasons=reasons
    )


def _places_in_joined(apart: Scan, pieces: list[str], places: list[int]) -> list[tuple[int, int]]:
    """Where the findings of the pieces apart stand, in the joined text."""
    ends = list(accumulate(len(piece) + 1 for piece in pieces))
    moved, at = [], 0
    for each in sorted(apart.findings, key=lambda each: each.start):
        while ends[at] <= each.start:
            at += 1
        shift = places[at] - (ends[at] - len(pieces[at]) - 1)
        moved.append((each.start + shift, each.end + shift))
    return moved


def _windows(parts: Sequence[str], glue: str) -> list[list[str]]:
    """The surroundings of each place where texts touch, each as the pieces that touch there."""
    text, borders = "".join(parts), list(accumulate(map(len, parts)))[:-1]
    windows: list[list[str]] = []
    end = -1
    for border in borders:
        if border < end:
            continue  # it stands in the window of an earlier border
        low, high = max(0, border - _REACH_CHARS), border + _REACH_CHARS
        window = _window(text[low:border], text[border:high], glue)
        if window is not None:
            start, end = border - len(window[0]), border + len(window[1])
            inside = borders[bisect_right(borders, start) : bisect_left(borders, end)]
            windows.append([text[low:high] for low, high in pairwise([start, *inside, end])])
    return windows


def _window(before: str, behind: str, glue: str) -> list[str] | None:
    """The characters round the place where two texts touch; None when there is too little of them,
    or white space."""
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
            columns += _columns([each for each in value if isinstance(each, dict)])
    return [texts, *columns] if len(texts) > 1 else []


def _columns(rows: list[dict[str, Any]]) -> list[list[str]]:
    if len(rows) < 2:
        return []
    named: dict[str, list[str]] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, str):
                named.setdefault(name, []).append(value)
    return [column for column in named.values() if len(column) > 1]
