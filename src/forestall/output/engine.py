"""Find what the kinds describe in one piece of text: keywords first, then patterns, then checks.

One Aho-Corasick pass over all keywords says where each pattern has to look; patterns are RE2, one
at a time. The cost is linear in the text. Knows nothing of blocks, encodings or characters.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import ahocorasick
import re2

from forestall.output.findings import REACH_BYTES_MAX, Candidate, Detector, Kind

_PATTERN_MEMORY_BYTES = 16 << 20
_KEYWORDS_MEMORY_BYTES = 64 << 20
_WIDER_BYTES = 4_096  # how much farther a match that meets the end of its window may look at once
_ENGINES_KEPT = 64
_STRETCH_BYTES = 4_096  # looked through for all keywords behind the first of them
_DENSE_BYTES = 4_096  # with a keyword of its own that often, a pattern is tried on all of it first
_TRIES = 256  # matches, or windows, between two looks at the time: some milliseconds
_MARK_BEGINS = b"[REDACTED:"
_MARK = re.compile(rb"\[REDACTED:[a-z0-9_ ]{1,64}(?:#[0-9]{1,9})?\]")


class Hit(NamedTuple):
    """One accepted match: bytes of the text that was searched."""

    start: int
    end: int
    confidence: float
    kind: Kind
    detector: str
    value: bytes
    cut: bool  # it may go on behind the reach of a match


_SearchReach = tuple[int, int, int]  # group, bytes to look at in front of and behind a keyword
_KeywordOccurrences = tuple[
    list[int], int, int
]  # where one keyword ends, and how far to look from there


class Engine:
    """The compiled form of some detectors. Patterns are compiled when first needed."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._kinds = [(kind, each.name) for each in detectors for kind in each.kinds]
        self._patterns: list[tuple[Any, range] | None] = [None] * len(self._kinds)
        self._without_keywords = [n for n, (kind, _) in enumerate(self._kinds) if not kind.keywords]
        # Kinds that look in the same windows share them.
        self._groups: dict[tuple[frozenset[str], int, int], list[int]] = {}
        for number, (kind, _) in enumerate(self._kinds):
            if kind.keywords:
                place = (frozenset(kind.keywords), kind.before, kind.after)
                self._groups.setdefault(place, []).append(number)
        users: dict[str, list[_SearchReach]] = {}
        for group, (words, before, after) in enumerate(self._groups):
            for word in words:
                back = len(word.encode()) + before
                users.setdefault(word, []).append((group, back, after))
        self._kinds_of_group = list(self._groups.values())
        self._reaches_of_word = list(users.values())
        self._any_keyword = _any_keyword_pattern(users) if users else None
        self._longest = max((len(word.encode()) for word in users), default=0)
        self._automaton = ahocorasick.Automaton()
        for number, word in enumerate(users):
            self._automaton.add_word(word.encode().decode("latin-1"), number)
        if users:
            self._automaton.make_automaton()

    def hits(self, data: bytes, expired: Callable[[], bool]) -> Iterator[Hit]:
        """Every accepted match, kind by kind. Stops where it stands once the time has expired."""
        if _MARK_BEGINS in data:  # a mark of what was redacted is no name and no value
            data = _MARK.sub(lambda mark: b"*" * len(mark[0]), data)
        for group, occurrences in self._occurrences(data).items():
            dense = sum(len(ends) for ends, _, _ in occurrences) * _DENSE_BYTES > len(data)
            windows: list[list[int]] = []
            for number in self._kinds_of_group[group]:
                if expired():
                    return
                if dense and self._pattern(number)[0].search(data) is None:
                    continue  # it matches nowhere, so in no window
                if self._kinds[number][0].structure is not None:
                    yield from self._structures(number, data, expired)
                    continue
                windows = windows or _windows(occurrences, len(data))
                for place, (low, high) in enumerate(windows):
                    if place % _TRIES == _TRIES - 1 and expired():
                        return
                    yield from self._search(number, data, low, high, expired)
        for number in self._without_keywords:
            if expired():
                return
            yield from self._search(number, data, 0, len(data), expired)

    def _occurrences(self, data: bytes) -> dict[int, list[_KeywordOccurrences]]:
        """Where the keywords of each group of kinds end, and how far to look round each."""
        ends: dict[int, list[int]] = {}
        size, find = len(data), self._any_keyword
        first = find.search(data) if find is not None else None
        while first is not None:
            start = first.start()
            stop = start + _STRETCH_BYTES
            text = data[start : stop + self._longest].lower().decode("latin-1")
            for last, word in self._automaton.iter(text):
                ends.setdefault(word, []).append(last + start + 1)
            first = find.search(data, stop) if find is not None and stop < size else None
        occurrences: dict[int, list[_KeywordOccurrences]] = {}
        for word, word_ends in ends.items():
            for group, back, after in self._reaches_of_word[word]:
                occurrences.setdefault(group, []).append((word_ends, back, after))
        return occurrences

    def _pattern(self, number: int) -> tuple[Any, range]:
        """The compiled pattern of a kind, and its groups."""
        compiled = self._patterns[number]
        if compiled is None:
            pattern = _compiled(self._kinds[number][0])
            compiled = self._patterns[number] = pattern, range(pattern.groups + 1)
        return compiled

    def _structures(self, number: int, data: bytes, expired: Callable[[], bool]) -> Iterator[Hit]:
        """The values in each structure whose anchor the pattern finds. What one structure took is
        not read again, so that many anchors cost no more than the text."""
        kind, detector = self._kinds[number]
        assert kind.structure is not None
        low = tried = 0
        while (match := self._pattern(number)[0].search(data, low)) is not None:
            tried += 1
            if tried % _TRIES == 0 and expired():
                return
            start, end = match.span()
            stop, places = kind.structure(data, start, end, low)
            for first, last, confidence, cut in places:
                yield Hit(first, last, confidence, kind, detector, data[first:last], cut)
            low = max(stop, end, start + 1)

    def _search(
        self, number: int, data: bytes, low: int, high: int, expired: Callable[[], bool]
    ) -> Iterator[Hit]:
        kind, detector = self._kinds[number]
        pattern, groups = self._pattern(number)
        tried = 0
        while low < high:
            tried += 1
            if tried % _TRIES == 0 and expired():
                return
            match = pattern.search(data, low, high)
            if match is None:
                return
            start, end = match.span()
            cut = False
            if end == high < len(data):
                match, cut = _extended_match(pattern, data, match, high)
            candidate = Candidate(data, tuple(match.span(group) for group in groups))
            confidence = kind.confidence if kind.check is None else kind.check(candidate)
            first, last = candidate.span
            if confidence is not None and first < last:
                yield Hit(first, last, confidence, kind, detector, data[first:last], cut)
            # What stands behind the value may be what the next one has in front of it.
            low = max(last, start + 1)


def _windows(occurrences: list[_KeywordOccurrences], size: int) -> list[list[int]]:
    """Where to look, in order; windows that meet are one."""
    spans = [
        (end - back if end > back else 0, end + after)
        for ends, back, after in occurrences
        for end in ends
    ]
    spans.sort()
    windows = [[0, 0]]
    last = windows[0]
    for low, high in spans:
        if low > last[1]:
            last = [low, high]
            windows.append(last)
        elif high > last[1]:
            last[1] = high
    if not windows[0][1]:
        del windows[0]
    windows[-1][1] = min(windows[-1][1], size)
    return windows


@lru_cache(maxsize=_ENGINES_KEPT)
def engine_of(detectors: tuple[Detector, ...]) -> Engine:
    """The engine of these detectors; compiled once for each set of them."""
    return Engine(detectors)


def _extended_match(pattern: Any, data: bytes, match: Any, high: int) -> tuple[Any, bool]:
    """The match again with room behind it, when it may have been cut by the end of its window."""
    start = match.start()
    farthest = min(len(data), start + REACH_BYTES_MAX)
    while match.end() == high < farthest:
        high = min(farthest, high + _WIDER_BYTES)
        match = pattern.match(data, start, high) or match
    return match, match.end() == start + REACH_BYTES_MAX


def _compiled(kind: Kind) -> Any:
    return re2.compile(kind.pattern, _options(_PATTERN_MEMORY_BYTES, any_case=kind.any_case))


def _any_keyword_pattern(words: Sequence[str] | dict[str, Any]) -> Any:
    """Whether there is any keyword at all: much faster than where, and most texts have none."""
    pattern = "|".join(re2.escape(word) for word in sorted(words))
    return re2.compile(pattern, _options(_KEYWORDS_MEMORY_BYTES, any_case=True))


def _options(memory_bytes: int, *, any_case: bool) -> Any:
    options = re2.Options()
    options.case_sensitive = not any_case
    options.log_errors = False
    options.max_mem = memory_bytes
    return options
