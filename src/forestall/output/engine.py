"""Find what the kinds describe in one piece of text: keywords first, then patterns, then checks.

One Aho-Corasick pass over all keywords says where each pattern has to look; patterns are RE2, one
at a time. The cost is linear in the text. Knows nothing of blocks, encodings or characters.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import ahocorasick
import re2

from forestall.output.findings import MARK_PATTERN, REACH_BYTES_MAX, Candidate, Detector, Kind
from forestall.output.patterns import compiled

_PATTERN_MEMORY_BYTES = 16 << 20
_KEYWORDS_MEMORY_BYTES = 64 << 20
_WIDER_BYTES = 4_096  # how much farther a match that meets the end of its window may look at once
_ENGINES_KEPT = 64
_STRETCH_BYTES = 4_096  # looked through for all keywords behind the first of them
_DENSE_BYTES = 4_096  # with a keyword of its own that often, a pattern is tried on all of it first
_TRIES = 256  # matches, or windows, between two looks at the time: some milliseconds
_MARK_BEGINS = b"[REDACTED:"
_MARK = re.compile(MARK_PATTERN.encode())


class Hit(NamedTuple):
    """One accepted match: bytes of the text that was searched."""

    start: int
    end: int
    confidence: float
    kind: Kind
    detector: str
    value: bytes
    cut: bool  # it may go on behind the reach of a match


class _PatternSearch:
    """The search for one kind. Its pattern is compiled when first needed."""

    def __init__(self, kind: Kind, detector: str) -> None:
        self.kind = kind
        self.detector = detector

    @cached_property
    def pattern(self) -> Any:
        return compiled(
            self.kind.pattern, any_case=self.kind.any_case, memory_bytes=_PATTERN_MEMORY_BYTES
        )

    @cached_property
    def _groups(self) -> range:
        return range(self.pattern.groups + 1)

    def hits(self, data: bytes, low: int, high: int, expired: Callable[[], bool]) -> Iterator[Hit]:
        """The accepted matches that begin and end in a window, or go on behind it."""
        kind, pattern, groups = self.kind, self.pattern, self._groups
        tries = 0
        while low < high:
            tries += 1
            if tries % _TRIES == 0 and expired():
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
                yield Hit(first, last, confidence, kind, self.detector, data[first:last], cut)
            # What stands behind the value may be what the next one has in front of it.
            low = max(last, start + 1)

    def hits_in_structures(self, data: bytes, expired: Callable[[], bool]) -> Iterator[Hit]:
        """The values in each structure whose anchor the pattern finds. What one structure took is
        not read again, so that many anchors cost no more than the text."""
        kind = self.kind
        assert kind.structure is not None
        low = tries = 0
        while (match := self.pattern.search(data, low)) is not None:
            tries += 1
            if tries % _TRIES == 0 and expired():
                return
            start, end = match.span()
            stop, places = kind.structure(data, start, end, low)
            for first, last, confidence, cut in places:
                yield Hit(first, last, confidence, kind, self.detector, data[first:last], cut)
            low = max(stop, end, start + 1)


class _KeywordUse(NamedTuple):
    """One group of searches that a keyword is for, and how far they look: bytes in front of the
    keyword's end and behind it."""

    group: int
    before: int
    after: int


class _Occurrences(NamedTuple):
    """Where one keyword ends in a text, and how far to look from there."""

    ends: list[int]
    before: int
    after: int


class Engine:
    """The compiled form of some detectors."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        # Kinds that look in the same windows share them.
        groups: dict[tuple[frozenset[str], int, int], list[_PatternSearch]] = {}
        self._everywhere: list[_PatternSearch] = []  # for kinds without keywords
        for detector in detectors:
            for kind in detector.kinds:
                search = _PatternSearch(kind, detector.name)
                if kind.keywords:
                    window = (frozenset(kind.keywords), kind.before, kind.after)
                    groups.setdefault(window, []).append(search)
                else:
                    self._everywhere.append(search)
        self._groups = list(groups.values())
        uses: dict[str, list[_KeywordUse]] = {}
        for group, (keywords, before, after) in enumerate(groups):
            for keyword in keywords:
                use = _KeywordUse(group, len(keyword.encode()) + before, after)
                uses.setdefault(keyword, []).append(use)
        self._uses = list(uses.values())  # by the number of the keyword
        self._any_keyword = _any_keyword_pattern(uses) if uses else None
        self._longest_bytes = max((len(keyword.encode()) for keyword in uses), default=0)
        self._automaton = ahocorasick.Automaton()
        for number, keyword in enumerate(uses):
            self._automaton.add_word(keyword.encode().decode("latin-1"), number)
        if uses:
            self._automaton.make_automaton()

    def hits(self, data: bytes, expired: Callable[[], bool]) -> Iterator[Hit]:
        """Every accepted match, kind by kind. Stops where it stands once the time has expired."""
        if _MARK_BEGINS in data:  # a mark of what was redacted is no name and no value
            data = _MARK.sub(lambda mark: b"*" * len(mark[0]), data)
        for group, occurrences in self._occurrences(data).items():
            is_dense = sum(len(each.ends) for each in occurrences) * _DENSE_BYTES > len(data)
            windows: list[list[int]] = []
            for search in self._groups[group]:
                if expired():
                    return
                if is_dense and search.pattern.search(data) is None:
                    continue  # it matches nowhere, so in no window
                if search.kind.structure is not None:
                    yield from search.hits_in_structures(data, expired)
                    continue
                windows = windows or _windows(occurrences, len(data))
                for number, (low, high) in enumerate(windows):
                    if number % _TRIES == _TRIES - 1 and expired():
                        return
                    yield from search.hits(data, low, high, expired)
        for search in self._everywhere:
            if expired():
                return
            yield from search.hits(data, 0, len(data), expired)

    def _occurrences(self, data: bytes) -> dict[int, list[_Occurrences]]:
        """Where the keywords of each group end."""
        if self._any_keyword is None:
            return {}
        ends: dict[int, list[int]] = {}  # by the number of the keyword
        first = self._any_keyword.search(data)
        while first is not None:
            start = first.start()
            stop = start + _STRETCH_BYTES
            text = data[start : stop + self._longest_bytes].lower().decode("latin-1")
            for last, keyword in self._automaton.iter(text):
                ends.setdefault(keyword, []).append(last + start + 1)
            first = self._any_keyword.search(data, stop) if stop < len(data) else None
        occurrences: dict[int, list[_Occurrences]] = {}
        for keyword, keyword_ends in ends.items():
            for group, before, after in self._uses[keyword]:
                occurrences.setdefault(group, []).append(_Occurrences(keyword_ends, before, after))
        return occurrences


def _windows(occurrences: list[_Occurrences], size: int) -> list[list[int]]:
    """Start and end of each part of a text to look in, in order; windows that meet are one."""
    spans = [
        (end - before if end > before else 0, end + after)
        for ends, before, after in occurrences
        for end in ends
    ]
    spans.sort()
    windows = [[0, 0]]
    current = windows[0]
    for low, high in spans:
        if low > current[1]:
            current = [low, high]
            windows.append(current)
        elif high > current[1]:
            current[1] = high
    if not windows[0][1]:  # nothing to look at where the text begins
        del windows[0]
    windows[-1][1] = min(windows[-1][1], size)
    return windows


@lru_cache(maxsize=_ENGINES_KEPT)
def engine_of(detectors: tuple[Detector, ...]) -> Engine:
    """The engine of these detectors; compiled once for each set of them."""
    return Engine(detectors)


def _extended_match(pattern: Any, data: bytes, match: Any, high: int) -> tuple[Any, bool]:
    """The match again with more text behind it, when it may have been cut by the end of its window;
    and whether it may go on behind its reach."""
    start = match.start()
    farthest = min(len(data), start + REACH_BYTES_MAX)
    while match.end() == high < farthest:
        high = min(farthest, high + _WIDER_BYTES)
        match = pattern.match(data, start, high) or match
    return match, match.end() == start + REACH_BYTES_MAX


def _any_keyword_pattern(keywords: Collection[str]) -> Any:
    """Whether there is any keyword at all: much faster than where, and most texts have none."""
    pattern = "|".join(re2.escape(keyword) for keyword in sorted(keywords))
    return compiled(pattern, any_case=True, memory_bytes=_KEYWORDS_MEMORY_BYTES)
