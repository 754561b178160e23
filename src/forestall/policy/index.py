"""Find the rules whose clauses hold without looking at every rule. Agrees with the clauses.

For each column a value leads to a bit set: bit n stands for rule n of the layer. The set of a
column is *every rule that leaves the field open* plus *the rules whose pattern matches the value*.
The AND over all columns holds the candidates, lowest bit first; what a column cannot express stays
a residual test on each candidate. Bit sets are kept in chunks, and one small set of chunks is ANDed
first, so that rules far away cost nothing.

Cost grows with the columns that a policy uses and the chunks that remain, not with the rules.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from forestall.limits import GLOB_MEMO_ENTRIES_MAX
from forestall.policy.fields import FIELDS, Kind, Labels, MatchField
from forestall.policy.globs import GlobSet
from forestall.policy.request import Request
from forestall.policy.rules import Match

CHUNK_RULES = 4096  # few steps even for 100,000 rules; a bit set of 512 bytes takes ~60 ns to AND
LABEL_COLUMNS = 3  # labels of one rule beyond the three rarest are tested on the candidates

_COLUMN_FIELDS = frozenset(field.name for field in FIELDS)
ChunkMasks = dict[int, int]  # chunk number → bit set of the rules in it


class Hits(NamedTuple):
    """The rules that a value satisfies in one column: which chunks have any, and which rules."""

    chunks: int
    masks: ChunkMasks


NO_HITS = Hits(0, {})
_NO_MASKS: ChunkMasks = {}
_NO_MORE: list[Hits] = []
Finder = Callable[[Request, Labels], Hits | list[Hits]]


class Column(NamedTuple):
    """One condition of all rules at once."""

    open_chunks: int
    open_masks: ChunkMasks
    find: Finder


class Postings:
    """Pattern → rules, and the answers given so far, within bounds."""

    __slots__ = ("_by_pattern", "_globs", "_memo")

    def __init__(self, by_pattern: dict[str, list[int]], *, globs: bool) -> None:
        self._by_pattern = by_pattern
        self._globs = GlobSet(by_pattern) if globs else None
        self._memo: dict[str, Hits] = {}

    def finder(self) -> Callable[[str], Hits]:
        """A function from a value to the rules with a pattern that matches it."""
        recall, resolve = self._memo.get, self._remember
        return lambda value: recall(value) or resolve(value)

    def _remember(self, value: str) -> Hits:
        if len(self._memo) >= GLOB_MEMO_ENTRIES_MAX:
            self._memo.clear()  # values are the client's: forget all rather than grow
        hits = self._memo[value] = self._resolve(value)
        return hits

    def _resolve(self, value: str) -> Hits:
        if self._globs is None:
            rules: Iterable[int] = self._by_pattern.get(value, ())
        else:
            rules = [n for glob in self._globs.matching(value) for n in self._by_pattern[glob]]
        masks = chunk_masks(rules)
        return Hits(_chunks_of(masks), masks) if masks else NO_HITS


class LayerIndex:
    """The candidates of one layer for a request, lowest rule number first."""

    __slots__ = ("_columns", "_rule_count")

    def __init__(self, matches: Sequence[Match]) -> None:
        self._rule_count = len(matches)
        columns = [_field_column(field, matches) for field in FIELDS]
        columns += _label_columns(matches)
        self._columns = tuple(column for column in columns if column is not None)

    def candidates(self, request: Request, labels: Labels) -> Iterator[int]:
        """Numbers of the rules that every column lets through, in order."""
        found: list[tuple[ChunkMasks, ChunkMasks, list[Hits]]] = []
        chunks = (1 << (self._rule_count + CHUNK_RULES - 1) // CHUNK_RULES) - 1
        for open_chunks, open_masks, find in self._columns:
            hits = find(request, labels)
            if isinstance(hits, list):
                for each in hits:
                    open_chunks |= each.chunks
                chunks &= open_chunks
                found.append((open_masks, _NO_MASKS, hits))
            else:
                chunks &= open_chunks | hits.chunks
                found.append((open_masks, hits.masks, _NO_MORE))
            if not chunks:
                return
        while chunks:
            lowest = chunks & -chunks
            chunks ^= lowest
            chunk = lowest.bit_length() - 1
            base = chunk * CHUNK_RULES
            rules = (1 << min(CHUNK_RULES, self._rule_count - base)) - 1
            for open_masks, masks, more in found:
                passing = open_masks.get(chunk, 0) | masks.get(chunk, 0)
                for each in more:
                    passing |= each.masks.get(chunk, 0)
                rules &= passing
                if not rules:
                    break
            while rules:
                lowest = rules & -rules
                rules ^= lowest
                yield base + lowest.bit_length() - 1


def is_settled(field: str, match: Match) -> bool:
    """Whether the columns alone decide this clause of a match, so that no test is left."""
    if field == "requires":
        return len(match.requires) == 1
    if field.startswith("labels."):
        return len(match.labels) <= LABEL_COLUMNS
    return field in _COLUMN_FIELDS


def _field_column(field: MatchField, matches: Sequence[Match]) -> Column | None:
    by_pattern: dict[str, list[int]] = {}
    open_rules: list[int] = []
    for number, match in enumerate(matches):
        wanted = field.wanted(match)
        if not wanted:
            open_rules.append(number)
        # A rule that needs all of several words is posted under one; the rest is residual.
        for pattern in wanted[:1] if field.kind is Kind.ALL_WORDS else wanted:
            by_pattern.setdefault(pattern, []).append(number)
    if not by_pattern:
        return None
    postings = Postings(by_pattern, globs=field.kind is Kind.GLOB)
    return _column(open_rules, _field_finder(field, postings))


def _field_finder(field: MatchField, postings: Postings) -> Finder:
    hits = postings.finder()
    if field.attribute:
        value_of = attrgetter(field.attribute)
        # An empty text is an absent fact, which matches nothing, not even `*`.
        return lambda request, labels: hits(value) if (value := value_of(request)) else NO_HITS
    values = field.values
    return lambda request, labels: [hits(value) for value in values(request)]


def _label_columns(matches: Sequence[Match]) -> list[Column | None]:
    """The rarest label of each rule in the first column, the next in the second, and so on."""
    commonness = Counter(label for match in matches for label in match.labels)
    slots: list[dict[str, dict[str, list[int]]]] = [{} for _ in range(LABEL_COLUMNS)]
    open_rules: list[list[int]] = [[] for _ in range(LABEL_COLUMNS)]
    for number, match in enumerate(matches):
        rarest = sorted(match.labels, key=commonness.__getitem__)[:LABEL_COLUMNS]
        for slot, (name, globs) in zip(slots, rarest, strict=False):
            for glob in globs:
                slot.setdefault(name, {}).setdefault(glob, []).append(number)
        for position in range(len(rarest), LABEL_COLUMNS):
            open_rules[position].append(number)
    return [
        _column(open_rules[position], _label_finder(slot)) if slot else None
        for position, slot in enumerate(slots)
    ]


def _label_finder(slot: dict[str, dict[str, list[int]]]) -> Finder:
    by_name = {name: Postings(by_glob, globs=True).finder() for name, by_glob in slot.items()}

    def find(request: Request, labels: Labels) -> Hits | list[Hits]:
        if not labels:
            return NO_HITS
        return [by_name[name](value) for name, value in labels.items() if name in by_name]

    return find


def _column(open_rules: Iterable[int], find: Finder) -> Column:
    masks = chunk_masks(open_rules)
    return Column(_chunks_of(masks), masks, find)


def chunk_masks(rules: Iterable[int]) -> ChunkMasks:
    """Bit sets of rule numbers, by chunk; built in bytes so that many rules stay cheap."""
    buffers: dict[int, bytearray] = {}
    for number in rules:
        chunk, bit = divmod(number, CHUNK_RULES)
        buffer = buffers.get(chunk)
        if buffer is None:
            buffer = buffers[chunk] = bytearray(CHUNK_RULES // 8)
        buffer[bit >> 3] |= 1 << (bit & 7)
    return {chunk: int.from_bytes(buffer, "little") for chunk, buffer in buffers.items()}


def _chunks_of(masks: ChunkMasks) -> int:
    chunks = 0
    for chunk in masks:
        chunks |= 1 << chunk
    return chunks
