"""Globs: `*` matches any run of characters (dots too), `?` one, `[a-z]` one of a class.

A glob is case-sensitive and must match the whole value. Matching takes time linear in the value for
each star: the text between two stars is searched for leftmost and never given back (atomic groups
in the regular expression), which finds a match whenever one exists.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from forestall.limits import GLOB_CHARS_MAX

Matcher = Callable[[str], bool]
_GLOBS_KEPT = 4_096  # expressions; the entries of a few named lists
_LISTS_KEPT = 1_024  # compiled lists; a policy names a few of them in many rules


_WILDCARD = re.compile(r"[*?]|\[[!^]?.[^\]]*\]", re.DOTALL)


class GlobError(ValueError):
    """The text is not a glob; the message says why."""


def is_literal(glob: str) -> bool:
    """Whether the glob has no wildcard, so that it matches only itself."""
    return not any(char in glob for char in "*?[")


@lru_cache(maxsize=_GLOBS_KEPT)
def glob_pattern(glob: str) -> str:
    """The regular expression for one glob. Raises GlobError when it is malformed."""
    if not glob:
        raise GlobError("an empty glob matches nothing")
    if len(glob) > GLOB_CHARS_MAX:
        raise GlobError(f"a glob is at most {GLOB_CHARS_MAX} characters long")
    runs = _runs(glob)
    if len(runs) == 1:
        return runs[0]
    first, *middle, last = runs
    return first + "".join(f"(?>.*?{run})" for run in middle if run) + f".*{last}"


def _runs(glob: str) -> list[str]:
    """The parts between stars, each as a regular expression without quantifiers."""
    runs = [""]
    position = 0
    while position < len(glob):
        char = glob[position]
        if char == "*":
            runs.append("")
        elif char == "?":
            runs[-1] += "."
        elif char == "[":
            listed = char_class(glob, position)
            ranges = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in listed.ranges)
            runs[-1] += f"[{'^' if listed.negated else ''}{ranges}]"
            position = listed.end
        else:
            runs[-1] += re.escape(char)
        position += 1
    return runs


class CharClass(NamedTuple):
    """A class such as `[a-z]` or `[!a-z]`: the ranges of characters that it lists, both ends
    included, whether it matches all others instead, and the index of its `]`."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool
    end: int


def char_class(glob: str, start: int) -> CharClass:
    """The class whose `[` stands at `start`. Raises GlobError."""
    end = glob.find("]", start + 2)  # a `]` right after the bracket is a member
    negated = glob[start + 1 : start + 2] in ("!", "^")
    if negated and end == start + 2:
        end = glob.find("]", start + 3)
    if end < 0:
        raise GlobError(f"the bracket at character {start + 1} is not closed")
    body = glob[start + 1 + negated : end]
    ranges = []
    position = 0
    while position < len(body):
        is_range = body[position + 1 : position + 2] == "-" and position + 2 < len(body)
        low, high = body[position], body[position + 2 * is_range]
        if low > high:
            raise GlobError(f"the range `{low}-{high}` is backwards")
        ranges.append((low, high))
        position += 3 if is_range else 1
    return CharClass(tuple(ranges), negated, end)


def compile_globs(globs: Sequence[str]) -> Matcher:
    """A function that says whether any of the globs matches a value. A list that many rules name is
    compiled once.

    Raises GlobError when one of them is malformed.
    """
    return _compiled(tuple(globs))


@lru_cache(maxsize=_LISTS_KEPT)
def _compiled(globs: tuple[str, ...]) -> Matcher:
    literals = frozenset(glob for glob in globs if is_literal(glob))
    matchers = [_matcher(glob) for glob in globs if glob not in literals]
    if not matchers:
        return literals.__contains__
    return lambda value: value in literals or any(matches(value) for matches in matchers)


_Group = Sequence[tuple[str, Matcher | None]]
_GROUP_GLOBS_MAX = 32  # above it the automaton is faster than trying each


class _Crowd:
    """Many globs with the same literal ends: which of them are worth trying on a value.

    One pass of an Aho-Corasick automaton finds which inner texts occur in the value. A glob whose
    inner text does not occur cannot match; a glob without an inner text is always tried.
    """

    __slots__ = ("_by_text", "_rest")

    def __init__(self, group: _Group, ends: tuple[str, str]) -> None:
        import ahocorasick  # imported here: few policies have so many globs alike

        self._rest: list[tuple[str, Matcher | None]] = []
        by_text: dict[str, list[tuple[str, Matcher | None]]] = {}
        for entry in group:
            text = longest_inner_text(entry[0], ends)
            (by_text.setdefault(text, []) if text else self._rest).append(entry)
        self._by_text = ahocorasick.Automaton()
        for text, entries in by_text.items():
            self._by_text.add_word(text, (text, entries))
        if by_text:
            self._by_text.make_automaton()

    def near(self, value: str) -> Iterator[tuple[str, Matcher | None]]:
        """The globs that may match the value, each once."""
        yield from self._rest
        if len(self._by_text):
            found = {text: entries for _, (text, entries) in self._by_text.iter(value)}
            for entries in found.values():
                yield from entries


def longest_inner_text(glob: str, ends: tuple[str, str]) -> str:
    """The longest text between wildcards, which every matching value contains; empty for none."""
    inner = glob[len(ends[0]) : len(glob) - len(ends[1])]
    return max(_WILDCARD.split(inner), key=len)


class GlobSet:
    """Many globs: which of them match a value, without trying each.

    A glob without wildcards is looked up. The others are grouped by the literal text before their
    first wildcard and after their last one. Only groups whose two texts begin and end the value are
    tried; in a large group only globs whose inner text occurs in the value are.
    """

    __slots__ = ("_exact", "_groups", "_lengths")

    def __init__(self, globs: Iterable[str]) -> None:
        """Raises GlobError when one of the globs is malformed."""
        self._exact: set[str] = set()
        groups: dict[tuple[str, str], list[tuple[str, Matcher | None]]] = {}
        for glob in globs:
            if is_literal(glob):
                glob_pattern(glob)
                self._exact.add(glob)
                continue
            if "[" in glob:
                glob_pattern(glob)  # refuses an unclosed bracket, which has no ends
            ends = literal_ends(glob)
            # Only one star stands between the ends: every value of the group matches.
            matcher = None if glob == "*".join(ends) else _matcher(glob)
            groups.setdefault(ends, []).append((glob, matcher))
        self._groups: dict[tuple[str, str], _Group | _Crowd] = {
            ends: _Crowd(group, ends) if len(group) > _GROUP_GLOBS_MAX else group
            for ends, group in groups.items()
        }
        self._lengths = sorted({(len(first), len(last)) for first, last in self._groups})

    def matching(self, value: str) -> list[str]:
        """Every glob that matches the value, in no particular order."""
        found = [value] if value in self._exact else []
        size = len(value)
        for first, last in self._lengths:
            if first + last <= size:
                group = self._groups.get((value[:first], value[size - last :]), ())
                for glob, matcher in group.near(value) if isinstance(group, _Crowd) else group:
                    if matcher is None or matcher(value):
                        found.append(glob)
        return found


def literal_ends(glob: str) -> tuple[str, str]:
    """The literal text before the first wildcard and after the last one; the glob has one."""
    first = min(index for index, char in enumerate(glob) if char in "*?[")
    last = max(index for index, char in enumerate(glob) if char in "*?]")
    return glob[:first], glob[last + 1 :]


def _matcher(glob: str) -> Matcher:
    """A matcher for one glob. A glob with stars alone needs no regular expression: compiling those
    took most of the time of loading a policy."""
    if "?" in glob or "[" in glob:
        full_match = re.compile(glob_pattern(glob), re.DOTALL).fullmatch
        return lambda value: full_match(value) is not None
    first, *middle, last = glob.split("*")

    def matches(value: str) -> bool:
        position, end = len(first), len(value) - len(last)
        if position > end or not value.startswith(first) or not value.endswith(last):
            return False
        for part in middle:
            position = value.find(part, position, end)
            if position < 0:
                return False
            position += len(part)
        return True

    return matches
