"""The index: find the first rule of a list that matches a request, without looking at every rule.

It decides nothing. A clause means what `rule_conditions` says, explain calls those functions
directly, and the index may only find sooner what they would find.

1. *Posting.* A rule that constrains a field is posted under each of its patterns there. A rule that
   does not constrain the field is *open* in it. One condition of all rules together is a `Column`:
   each field of `fields.FIELDS` that any rule constrains, and up to three columns for labels. A
   column leads from the value of a request to the set of the rules that pass it: the open rules, or
   the rules posted under a pattern that matches the value. The intersection over all columns is the
   set of *candidates*. What no column expresses is a *residual test* on each candidate.

2. *Bit sets.* A set of rules is an integer with bit n for rule n: intersection is one `&`, union
   one `|`, and a rule with two patterns that both match is still one bit. One integer over 100,000
   rules for each pattern would take 12 KB. So each set is kept twice (`Hits`): `blocks` has one bit
   for 64 rules, set when any of them is in the set; `masks` holds the exact bits, in chunks of 64
   blocks, and only chunks that are not empty. `candidates` intersects the coarse sets of all
   columns; `_walk` then intersects exact masks, in the chunks that remain. A coarse bit is a
   superset: two columns may pass one block through different rules. The exact masks then yield
   nothing, at the cost of one step.

3. *Order.* Bits are read lowest first and rules are numbered as written, so candidates come in the
   order of the file. `_walk` is a generator: the caller stops at the first candidate that speaks,
   and later chunks are never computed. The order of columns cannot change the result. The column
   that passes the fewest rules on average (`expected`) comes first, because an empty coarse set
   ends the search: the later columns are then not asked, and no glob of theirs is tried.

4. *Parts.* An open rule passes for every value, so a column with many open rules excludes little.
   Rules that constrain the same fields and labels therefore form a part of their own, with columns
   in which no rule is open: there the rarest value alone bounds the work. Each part costs at least
   one lookup, so a part needs 512 rules and an eighth of the list; what is left shares one part
   with open rules. Candidates of several parts are merged by number.

5. *A value seen for the first time* is resolved once: an exact word by one lookup, a glob by
   `globs.GlobSet`, which compares literal beginnings and endings and tries only the globs that fit.
   The resulting `Hits` is remembered under the value. Values are the client's, so the memory is
   bounded and forgotten as a whole when full; a client that never repeats a value pays the first
   price each time and makes nothing grow. `known(value) or learn(value)` relies on `Hits` being a
   tuple of two, which is true even where no bit is set.

6. *What stays residual.* `unless` is the negation of a conjunction, which no union of postings
   gives. `args`, `content`, `secrets_present` and `delegation` ask more than whether a pattern
   matches a value, and `time` is no value of the request. A rule that requires several words is
   posted under the first of them; a rule with more than three labels under its three rarest pairs
   of name and globs. In both cases these clauses are tested again on the candidate (`is_settled`).
   Only residual tests can fail to evaluate, and fields and labels come before them in a rule; so a
   rule error arises on the same requests as when the clauses are called one after the other. A rule
   without residual tests is decided here.

7. *Cost.* For each part: one remembered lookup for each column in use, one `&` over a bit for 64
   rules (about 30 ns at 100,000 rules), and a step for each chunk that remains. Where the columns
   exclude most chunks, the number of rules enters through that `&` alone. Cost does grow where
   every value fits rules everywhere (no chunk is excluded), where rules share no fields (most
   columns are open), and where many candidates differ only in residual tests, which are tried one
   by one. `docs/reference/benchmarks.md` measures such policies.

8. *Cases that surprise.* An empty text is an absent fact and matches no pattern, not even `*`; a
   label with an empty value is present, and `*` matches it. A list of several values passes the
   union of their sets. A column of labels may hold several names: each rule is posted there under
   one name only, so the union over the labels of the request is exact. A throttle rule that is
   lifted stays a candidate: its residual tests run, and may deny by a rule error, before
   `snapshot.RuleList` skips it. A rule without conditions is open everywhere; a part of such rules
   has no column, and all of them are candidates, tried in order.

9. *What keeps it honest.* `tests/oracle.py` decides by looking at every rule, and shares values but
   no code with this room. `tests/property/` compares both on random policies over a small hostile
   alphabet, once more with blocks, chunks and parts so small that every policy has several of each,
   and holds the candidates against the clauses: in order, none missing. Why: ADR 0009.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from operator import attrgetter
from typing import NamedTuple

from forestall.limits import GLOB_MEMO_ENTRIES_MAX
from forestall.policy.fields import FIELDS, FieldKind, Labels, MatchField
from forestall.policy.globs import GlobSet
from forestall.policy.request import Request
from forestall.policy.rules import Match

BLOCK_RULES = 64  # 100,000 rules: a coarse set of 200 bytes, ~30 ns to AND
CHUNK_BLOCKS = 64
CHUNK_RULES = BLOCK_RULES * CHUNK_BLOCKS  # a chunk is one step of `_walk`
PARTS_MAX = 8  # each part costs at least one column lookup, so a part must be worth it
PART_RULES_MIN = 512
LABEL_COLUMNS = 3  # further labels of a rule are tested on the candidates

_CHUNK = (1 << CHUNK_BLOCKS) - 1
_COLUMN_FIELDS = frozenset(field.name for field in FIELDS)
ChunkMasks = dict[int, int]  # chunk number → bit set of the rules in it


class Hits(NamedTuple):
    """The rules that a value passes in one column, twice: coarsely (blocks) and exactly (masks)."""

    blocks: int
    masks: ChunkMasks


NO_HITS = Hits(0, {})
Finder = Callable[[Request, Labels], Hits | list[Hits]]


class Column(NamedTuple):
    """One condition of all rules of a part. `find` leads from a request to its posted rules."""

    expected: float  # rules that pass for one of its patterns, on average
    open_rules: Hits
    find: Finder


class Postings:
    """Pattern → rules, and the sets found so far for values, within bounds."""

    __slots__ = ("_by_pattern", "_globs", "_memo")

    def __init__(self, by_pattern: dict[str, list[int]], *, globs: bool) -> None:
        self._by_pattern = by_pattern
        self._globs = GlobSet(by_pattern) if globs else None
        self._memo: dict[str, Hits] = {}

    def of_value(self) -> tuple[Callable[[str], Hits | None], Callable[[str], Hits]]:
        """Two functions from a value to its rules: one looks it up, one resolves a new value."""
        return self._memo.get, self._remember

    def _remember(self, value: str) -> Hits:
        if len(self._memo) >= GLOB_MEMO_ENTRIES_MAX:
            self._memo.clear()  # clients choose the values: forget all rather than grow
        hits = self._memo[value] = self._resolve(value)
        return hits

    def _resolve(self, value: str) -> Hits:
        if self._globs is None:
            return hits_of(self._by_pattern.get(value, ()))
        return hits_of(n for glob in self._globs.matching(value) for n in self._by_pattern[glob])


class LayerIndex:
    """The index of one rule list: the candidates for a request, in the order of the rules."""

    __slots__ = ("_parts",)

    def __init__(self, matches: Sequence[Match]) -> None:
        self._parts = tuple(IndexPart(numbers, matches) for numbers in _parts_of(matches))

    def candidates(self, request: Request, labels: Labels) -> Iterable[int]:
        """Numbers of the rules that every column passes, lowest first. Lazy: stop at a speaker."""
        found = []
        for part in self._parts:
            numbers = part.candidates(request, labels)
            if numbers is not None:
                found.append(numbers)
        if not found:
            return ()
        return found[0] if len(found) == 1 else merge(*found)


class IndexPart:
    """A part: some rules of a list, with columns of their own."""

    __slots__ = ("_columns", "_every_block", "_numbers")

    def __init__(self, numbers: Sequence[int], layer: Sequence[Match]) -> None:
        matches = [layer[number] for number in numbers]
        columns = [_field_column(field, matches) for field in FIELDS]
        columns += _label_columns(matches)
        used = [column for column in columns if column is not None]
        self._columns = tuple(sorted(used, key=lambda column: column.expected))
        self._numbers = array("I", numbers)
        self._every_block = (1 << (len(numbers) + BLOCK_RULES - 1) // BLOCK_RULES) - 1

    def candidates(self, request: Request, labels: Labels) -> Iterator[int] | None:
        """Numbers of the rules of this part that every column passes, lowest first; None when there
        is none.

        A result that is not None may still turn out to be empty: coarse sets are supersets.
        """
        blocks = self._every_block
        all_of: list[ChunkMasks] = []
        any_of: list[list[ChunkMasks]] = []
        for _, (open_blocks, open_masks), find in self._columns:
            hits = find(request, labels)
            if isinstance(hits, Hits):
                hit_blocks, masks = hits
                if not hit_blocks:
                    blocks &= open_blocks
                    all_of.append(open_masks)
                elif not open_blocks:
                    blocks &= hit_blocks
                    all_of.append(masks)
                else:
                    blocks &= open_blocks | hit_blocks
                    any_of.append([open_masks, masks])
            else:
                for each in hits:
                    open_blocks |= each.blocks
                blocks &= open_blocks
                any_of.append([open_masks, *[each.masks for each in hits]])
            if not blocks:
                return None
        return self._walk(blocks, all_of, any_of)

    def _walk(
        self, blocks: int, all_of: list[ChunkMasks], any_of: list[list[ChunkMasks]]
    ) -> Iterator[int]:
        """Candidates out of the blocks that remain, chunk by chunk. A generator: see point 3."""
        numbers = self._numbers
        while blocks:
            chunk = ((blocks & -blocks).bit_length() - 1) // CHUNK_BLOCKS
            blocks &= ~(_CHUNK << chunk * CHUNK_BLOCKS)
            base = chunk * CHUNK_RULES
            rules = (1 << min(CHUNK_RULES, len(numbers) - base)) - 1
            for masks in all_of:
                rules &= masks.get(chunk, 0)
            for either in any_of:
                if not rules:
                    break
                passing = 0
                for masks in either:
                    passing |= masks.get(chunk, 0)
                rules &= passing
            while rules:
                lowest = rules & -rules
                rules ^= lowest
                yield numbers[base + lowest.bit_length() - 1]


def is_settled(field: str, match: Match) -> bool:
    """Whether the columns decide a clause of the match exactly, without a residual test."""
    if field == "requires":
        return len(match.requires) == 1
    if field.startswith("labels."):
        return len(match.labels) <= LABEL_COLUMNS
    return field in _COLUMN_FIELDS


def _parts_of(matches: Sequence[Match]) -> list[list[int]]:
    """Rule numbers grouped by constrained fields and labels. Small groups share a part."""
    shapes: dict[tuple[object, ...], list[int]] = {}
    for number, match in enumerate(matches):
        fields = tuple([field.name for field in FIELDS if field.wanted(match)])
        shapes.setdefault((fields, *sorted(dict(match.labels))), []).append(number)
    least = max(PART_RULES_MIN, len(matches) // PARTS_MAX)
    parts = [numbers for numbers in shapes.values() if len(numbers) >= least]
    rest = sorted(n for numbers in shapes.values() if len(numbers) < least for n in numbers)
    return [*parts, rest] if rest else parts


def _field_column(field: MatchField, matches: Sequence[Match]) -> Column | None:
    """The column of a field, or None when no rule of the part constrains the field."""
    by_pattern: dict[str, list[int]] = {}
    open_rules: list[int] = []
    for number, match in enumerate(matches):
        patterns = field.wanted(match)
        if not patterns:
            open_rules.append(number)
        # A rule that requires several words is posted under the first; the others are residual.
        for pattern in patterns[:1] if field.kind is FieldKind.ALL_WORDS else patterns:
            by_pattern.setdefault(pattern, []).append(number)
    if not by_pattern:
        return None
    postings = Postings(by_pattern, globs=field.kind is FieldKind.GLOB)
    return _column(open_rules, len(matches), len(by_pattern), _field_finder(field, postings))


def _field_finder(field: MatchField, postings: Postings) -> Finder:
    """From a request to the rules posted under patterns that match its value of the field."""
    look_up, resolve = postings.of_value()
    if not field.attribute:
        return _list_finder(field, postings)
    value_of = attrgetter(field.attribute)

    def find(request: Request, labels: Labels) -> Hits:
        value = value_of(request)
        # An empty text is an absent fact, which matches no pattern, not even `*`.
        return (look_up(value) or resolve(value)) if value else NO_HITS

    return find


def _list_finder(field: MatchField, postings: Postings) -> Finder:
    look_up, resolve = postings.of_value()
    values_of = field.values

    def find(request: Request, labels: Labels) -> Hits | list[Hits]:
        values = values_of(request)
        if len(values) == 1:
            return look_up(values[0]) or resolve(values[0])
        return [look_up(value) or resolve(value) for value in values] if values else NO_HITS

    return find


def _label_columns(matches: Sequence[Match]) -> list[Column | None]:
    """Columns of labels: the rarest label of each rule in the first, the next rarest in the second.

    Rarity counts pairs of a name and its globs. Rules with few labels are open in the later
    columns.
    """
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
        _column(
            open_rules[position],
            len(matches),
            sum(len(by_glob) for by_glob in slot.values()),
            _label_finder(slot),
        )
        if slot
        else None
        for position, slot in enumerate(slots)
    ]


def _label_finder(slot: dict[str, dict[str, list[int]]]) -> Finder:
    of_name = {name: Postings(by_glob, globs=True).of_value() for name, by_glob in slot.items()}
    if len(of_name) == 1:
        [(only, (look_up, resolve))] = of_name.items()

        def find_one(request: Request, labels: Labels) -> Hits:
            value = labels.get(only)
            return NO_HITS if value is None else look_up(value) or resolve(value)

        return find_one

    def find(request: Request, labels: Labels) -> list[Hits]:
        return [
            of_name[name][0](value) or of_name[name][1](value)
            for name, value in labels.items()
            if name in of_name
        ]

    return find


def _column(open_rules: Sequence[int], rules: int, patterns: int, find: Finder) -> Column:
    expected = len(open_rules) + (rules - len(open_rules)) / patterns
    return Column(expected, hits_of(open_rules), find)


def hits_of(rules: Iterable[int]) -> Hits:
    """The set of some rules of a part, in both forms."""
    blocks = 0
    masks: ChunkMasks = {}
    for number in rules:
        blocks |= 1 << number // BLOCK_RULES
        chunk = number // CHUNK_RULES
        masks[chunk] = masks.get(chunk, 0) | 1 << number % CHUNK_RULES
    return Hits(blocks, masks) if masks else NO_HITS
