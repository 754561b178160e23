"""Decide questions about globs: does one cover another, can two match one value, what does one
match?

A glob becomes a small automaton over the few characters that matter to it. Every search is bounded;
a question that would take longer gets the answer from which no warning follows.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from forestall.policy.globs import CharClass, char_class, compile_globs, is_literal, literal_ends

_STATES_MAX = 1_024
_GLOBS_MAX = 64  # per list; longer lists are compared glob by glob
_LAST_CHAR = 0x10FFFF
_PREFERRED = "xabcdefghijklmnopqrstuvwxyz0123456789_-."
# The grammar of topics on the wire: `job`, then one or more times `.` and a word.
_TOPIC_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_TOPIC_ACCEPTS = 5
_TOPIC_RANGES = (*((ord(char), ord(char)) for char in "job.-_"), (48, 57), (65, 90), (97, 122))

Ranges = tuple[tuple[int, int], ...]


class _Token(NamedTuple):
    """One token of a glob: a star (without ranges), or one character out of some ranges."""

    star: bool
    ranges: Ranges = ()

    def takes(self, char: str) -> bool:
        code = ord(char)
        return any(low <= code <= high for low, high in self.ranges)


class _Glob(NamedTuple):
    """A glob as an automaton. Bit n of a state: the first n tokens may have been read."""

    tokens: tuple[_Token, ...]

    def start(self) -> int:
        """The state before the first character."""
        return self._closure(1)

    def step(self, state: int, char: str) -> int:
        """The state after one more character."""
        following = 0
        for number, token in enumerate(self.tokens):
            if state >> number & 1:
                if token.star:
                    following |= 1 << number
                elif token.takes(char):
                    following |= 1 << number + 1
        return self._closure(following)

    def accepts(self, state: int) -> bool:
        """Whether the glob matches the text read so far."""
        return bool(state >> len(self.tokens) & 1)

    def _closure(self, state: int) -> int:
        for number, token in enumerate(self.tokens):
            if token.star and state >> number & 1:
                state |= 1 << number + 1
        return state


@lru_cache(maxsize=4_096)
def _parsed(glob: str) -> _Glob:
    tokens: list[_Token] = []
    position = 0
    while position < len(glob):
        char = glob[position]
        if char == "*":
            tokens.append(_Token(star=True))
        elif char == "?":
            tokens.append(_Token(star=False, ranges=((0, _LAST_CHAR),)))
        elif char == "[":
            listed = char_class(glob, position)
            tokens.append(_Token(star=False, ranges=_codes(listed)))
            position = listed.end
        else:
            tokens.append(_Token(star=False, ranges=((ord(char), ord(char)),)))
        position += 1
    return _Glob(tuple(tokens))


def _codes(listed: CharClass) -> Ranges:
    """The ranges of code points that a class matches."""
    ranges = tuple((ord(low), ord(high)) for low, high in listed.ranges)
    if not listed.negated:
        return ranges
    others: list[tuple[int, int]] = []
    free = 0
    for low, high in sorted(ranges):
        if low > free:
            others.append((free, low - 1))
        free = max(free, high + 1)
    if free <= _LAST_CHAR:
        others.append((free, _LAST_CHAR))
    return tuple(others)


def _topic_step(state: int, char: str) -> int:
    """One step in the grammar of topics; -1 is a dead end."""
    if state < 4:
        return state + 1 if char == "job."[state] else -1
    if char in _TOPIC_WORD:
        return _TOPIC_ACCEPTS
    return 4 if char == "." and state == _TOPIC_ACCEPTS else -1


def _characters(globs: Sequence[_Glob], *, topic: bool) -> list[str]:
    """One character for each way in which the globs can tell them apart, plain ones first."""
    edges = {0, 0xD800, 0xE000, _LAST_CHAR + 1}
    ranges = [pair for glob in globs for token in glob.tokens for pair in token.ranges]
    for low, high in (*ranges, *(_TOPIC_RANGES if topic else ())):
        edges |= {low, high + 1}
    cuts = sorted(edges)
    chars = [
        next((char for char in _PREFERRED if low <= ord(char) < high), chr(low))
        for low, high in pairwise(cuts)
        if low != 0xD800
    ]
    rank = {char: number for number, char in enumerate(_PREFERRED)}
    return sorted(chars, key=lambda char: (rank.get(char, len(rank)), char))


class _Found(NamedTuple):
    """The end of a search: a value, the proof that there is none, or neither within the bound."""

    value: str | None
    decided: bool


def _search(
    inside: Sequence[str], outside: Sequence[str], *, topic: bool, empty: bool = True
) -> _Found:
    """The shortest text (or topic) that all of `inside` match and none of `outside` does."""
    inside_globs = [_parsed(glob) for glob in inside]
    outside_globs = [_parsed(glob) for glob in outside]
    chars = [
        char
        for char in _characters([*inside_globs, *outside_globs], topic=topic)
        if not topic or char in _TOPIC_WORD or char == "."
    ]
    first = (
        tuple(glob.start() for glob in inside_globs),
        tuple(glob.start() for glob in outside_globs),
        0,
    )
    seen = {first}
    level: list[tuple[tuple[tuple[int, ...], tuple[int, ...], int], str]] = [(first, "")]
    for (ins, outs, at), text in level:  # grows while it is read
        good = all(glob.accepts(state) for glob, state in zip(inside_globs, ins, strict=True))
        bad = any(glob.accepts(state) for glob, state in zip(outside_globs, outs, strict=True))
        if good and not bad and (text or empty) and (not topic or at == _TOPIC_ACCEPTS):
            return _Found(text, decided=True)
        for char in chars:
            following = _topic_step(at, char) if topic else 0
            if following < 0:
                continue
            ins_next = tuple(g.step(s, char) for g, s in zip(inside_globs, ins, strict=True))
            if not all(ins_next):
                continue
            outs_next = tuple(g.step(s, char) for g, s in zip(outside_globs, outs, strict=True))
            state = (ins_next, outs_next, following)
            if state not in seen:
                if len(seen) >= _STATES_MAX:
                    return _Found(None, decided=False)
                seen.add(state)
                level.append((state, text + char))
    return _Found(None, decided=True)


@lru_cache(maxsize=4_096)
def example(glob: str, *, topic: bool = False) -> str | None:
    """A short non-empty value that the glob matches; None for none, or after too long a search."""
    quick = glob.replace("*", "")
    for text in (quick, glob.replace("*", "x"), quick + "x", "job.x"):
        if text and compile_globs([glob])(text) and (not topic or _is_topic(text)):
            return text
    return _search([glob], (), topic=topic, empty=False).value


@lru_cache(maxsize=4_096)
def can_match(glob: str, *, topic: bool = False) -> bool:
    """False only when it is proven that the glob matches no value (or no topic)."""
    if example(glob, topic=topic) is not None:
        return True
    return not _search([glob], (), topic=topic).decided


def _is_topic(text: str) -> bool:
    state = 0
    for char in text:
        state = _topic_step(state, char)
        if state < 0:
            return False
    return state == _TOPIC_ACCEPTS


def globs_cover(wider: Sequence[str], narrower: Sequence[str], *, topic: bool = False) -> bool:
    """True only when it is proven that each value matched by `narrower` is matched by `wider`."""
    return "*" in wider or all(_covers(tuple(wider), glob, topic=topic) for glob in narrower)


@lru_cache(maxsize=4_096)
def _covers(wider: tuple[str, ...], glob: str, *, topic: bool) -> bool:
    if glob in wider:
        return True
    if is_literal(glob):
        return compile_globs(wider)(glob)
    alone = [(each,) for each in wider if not is_literal(each)]
    together = [wider] if len(wider) <= _GLOBS_MAX else []
    for globs in (*alone, *together):
        found = _search([glob], globs, topic=topic)
        if found.decided and found.value is None:
            return True
    return False


def globs_disjoint(one: Sequence[str], other: Sequence[str], *, topic: bool = False) -> bool:
    """True only when it is proven that no value (or topic) matches a glob of each list."""
    if len(one) * len(other) > _GLOBS_MAX:
        return False
    return all(_apart(a, b, topic=topic) for a in one for b in other)


@lru_cache(maxsize=4_096)
def _apart(one: str, other: str, *, topic: bool) -> bool:
    if is_literal(one):
        return not compile_globs([other])(one)
    if is_literal(other):
        return not compile_globs([one])(other)
    if apart_at_the_ends(one, other):
        return True
    found = _search([one, other], (), topic=topic)
    return found.decided and found.value is None


def apart_at_the_ends(one: str, other: str) -> bool:
    """Whether the literal ends alone show that no value matches both globs."""
    ends = [(glob, glob) if is_literal(glob) else literal_ends(glob) for glob in (one, other)]
    (begin, end), (other_begin, other_end) = ends
    size = min(len(begin), len(other_begin))
    if begin[:size] != other_begin[:size]:
        return True
    size = min(len(end), len(other_end))
    return size > 0 and end[-size:] != other_end[-size:]
