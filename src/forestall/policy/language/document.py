"""YAML text → a tree of nodes that remember where they stand. Knows nothing of rules.

Stricter than YAML on purpose: one document, no anchors, aliases, tags or merge keys, no duplicate
keys; bounded size, depth, lists and number of nodes. What a plain word means (`on`, `1.0`) is left
to the reader of the field, which takes a text exactly as it was written.
"""

import gc
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate, islice
from typing import Any, NamedTuple

import yaml

from forestall.limits import (
    POLICY_BYTES_MAX,
    POLICY_DEPTH_MAX,
    POLICY_NODES_MAX,
    RULES_PER_FILE_MAX,
)
from forestall.policy.problems import PolicyError, Problem

# libyaml is ten times as fast; both give the same events with the same marks.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SPLIT = "split the rules over several files in one directory"
_TOP_LISTS = 2  # of open nodes in a list at the top: the file and the list
_BLOCK_CHARS = 4_096
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # as YAML 1.1 breaks lines
_INTEGER = re.compile(r"[-+]?[0-9]{1,16}")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,15}\.[0-9]{1,15}(?:[eE][-+]?[0-9]{1,2})?")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class _Place(NamedTuple):
    """A place as the parser counts: from 0."""

    line: int
    column: int


class Node:
    """One place in the document; lines and columns count from 1."""

    __slots__ = ("column", "length", "line")

    def __init__(self, line: int, column: int, length: int) -> None:
        self.line, self.column, self.length = line, column, length


class Scalar(Node):
    """A word or a quoted text."""

    __slots__ = ("plain", "text")

    def __init__(self, line: int, column: int, length: int, text: str, plain: bool) -> None:
        self.line, self.column, self.length = line, column, length
        self.text, self.plain = text, plain

    @property
    def is_null(self) -> bool:
        """Nothing was written, or YAML's word for nothing."""
        return self.plain and self.text in _NULLS

    def as_bool(self) -> bool | None:
        """True or false as YAML 1.2 spells them; None for anything else."""
        return {"true": True, "false": False}.get(self.text) if self.plain else None

    def as_int(self) -> int | None:
        """A decimal integer of at most 16 digits; None for anything else."""
        return int(self.text) if self.plain and _INTEGER.fullmatch(self.text) else None

    def as_decimal(self) -> float | None:
        """A decimal fraction such as 1.5 or -0.25e3; None for anything else."""
        return float(self.text) if self.plain and _DECIMAL.fullmatch(self.text) else None


class Sequence(Node):
    """A list."""

    __slots__ = ("items",)

    def __init__(self, line: int, column: int) -> None:
        super().__init__(line, column, 1)
        self.items: list[Node] = []


class Mapping(Node):
    """Keys and values, in the order written; no key twice."""

    __slots__ = ("entries",)

    def __init__(self, line: int, column: int) -> None:
        super().__init__(line, column, 1)
        self.entries: dict[str, tuple[Scalar, Node]] = {}


def plain_value(node: Node) -> Any:
    """The JSON value of a node, for places that hold data rather than rules (test payloads)."""
    if isinstance(node, Mapping):
        return {key: plain_value(value) for key, (_, value) in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain_value(item) for item in node.items]
    assert isinstance(node, Scalar)
    if node.is_null:
        return None
    for value in (node.as_bool(), node.as_int(), node.as_decimal()):
        if value is not None:
            return value
    return node.text


class Lines:
    """The lines of a text, found when somebody asks: few texts have mistakes to show.

    A text may consist of line breaks only, so they are counted by blocks and looked up in one.
    """

    __slots__ = ("_before", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._before: list[int] | None = None  # line breaks before each block

    def line(self, number: int) -> str:
        """The line of a number that counts from 1; nothing where there is no such line."""
        if self._before is None:
            self._before = list(accumulate(self._breaks_in_blocks(), initial=0))
        breaks = number - 1
        if not 0 <= breaks <= self._before[-1]:
            return ""
        begin = 0
        if breaks:
            block = bisect_left(self._before, breaks) - 1
            found = _LINE_BREAK.finditer(self._text, block * _BLOCK_CHARS)
            begin = next(islice(found, breaks - self._before[block] - 1, None)).end()
        end = _LINE_BREAK.search(self._text, begin)
        return self._text[begin : end.start() if end is not None else None]

    def _breaks_in_blocks(self) -> Iterator[int]:
        text = self._text
        kinds = [kind for kind in "\n\r\x85\u2028\u2029" if kind in text]
        for begin in range(0, len(text), _BLOCK_CHARS):
            end = begin + _BLOCK_CHARS
            breaks = sum(text.count(kind, begin, end) for kind in kinds)
            # The two characters of one break; where a block ends between them, it is the next's.
            yield breaks - text.count("\r\n", begin, end + 1)


class _Composer:
    """Builds the tree from parser events without recursion, and stops where a bound is passed."""

    def __init__(self, source: str, lines: Lines) -> None:
        self.source, self.lines = source, lines
        self._open: list[Sequence | Mapping] = []
        self._pending_keys: list[Scalar | None] = []
        self._root: Node | None = None

    def problem(self, mark: Any, message: str, hint: str = "") -> PolicyError:
        line = mark.line + 1 if mark else 1
        column = mark.column + 1 if mark else 1
        return PolicyError(
            [
                Problem(
                    source=self.source,
                    line=line,
                    column=column,
                    message=message,
                    hint=hint,
                    excerpt=self.lines.line(line),
                )
            ]
        )

    def compose(self, next_event: Callable[[], Any]) -> Node | None:
        """The tree of one document; None when there is nothing in it."""
        documents = nodes = 0
        while True:
            event = next_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._add(self._scalar(event), event.start_mark)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._begin(event, kind is yaml.MappingStartEvent)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._open.pop()
                self._pending_keys.pop()
            elif kind is yaml.AliasEvent:
                raise self._reference(event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    raise self.problem(
                        event.start_mark,
                        "a policy file holds one document",
                        "put the second one into a file of its own",
                    )
            elif kind is yaml.StreamEndEvent:
                return self._root
            nodes += 1  # where it begins and, of a list or a mapping, where it ends
            if nodes > POLICY_NODES_MAX:
                raise self.problem(
                    event.start_mark,
                    "the file has more keys and values than are read",
                    _SPLIT,
                )

    def _scalar(self, event: Any) -> Scalar:
        if event.anchor or event.tag is not None:
            raise self._reference(event)
        start, end = event.start_mark, event.end_mark
        column = start.column
        length = end.column - column if end.line == start.line else 1
        return Scalar(start.line + 1, column + 1, length or 1, event.value, event.implicit[0])

    def _begin(self, event: Any, is_mapping: bool) -> None:
        mark = event.start_mark
        if event.anchor or event.tag is not None:
            raise self._reference(event)
        node = (Mapping if is_mapping else Sequence)(mark.line + 1, mark.column + 1)
        self._add(node, mark)
        if len(self._open) >= POLICY_DEPTH_MAX:
            raise self.problem(mark, f"nested deeper than {POLICY_DEPTH_MAX} levels")
        self._open.append(node)
        self._pending_keys.append(None)

    def _reference(self, event: Any) -> PolicyError:
        mark = event.start_mark
        if getattr(event, "tag", None) is not None and not event.anchor:
            return self.problem(mark, f"the tag `{event.tag[:80]}` is not allowed", "leave it out")
        return self.problem(mark, "anchors and aliases are not allowed", "write the value out")

    def _add(self, node: Node, mark: Any) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if type(parent) is Sequence:
            if len(parent.items) >= RULES_PER_FILE_MAX:
                raise self._too_long(mark)
            parent.items.append(node)
            return
        assert isinstance(parent, Mapping)
        key = self._pending_keys[-1]
        if key is not None:
            parent.entries[key.text] = (key, node)
            self._pending_keys[-1] = None
            return
        if not isinstance(node, Scalar):
            raise self.problem(mark, "a key is a word, not a list or a mapping")
        if node.text in parent.entries:
            first = parent.entries[node.text][0]
            raise self.problem(
                mark, f"the key `{node.text[:80]}` is written twice", f"first on line {first.line}"
            )
        if len(parent.entries) >= RULES_PER_FILE_MAX:
            raise self._too_long(mark)
        # The slot is taken at once, so that a third occurrence names the first one too.
        parent.entries[node.text] = (node, node)
        self._pending_keys[-1] = node

    def _too_long(self, mark: Any) -> PolicyError:
        """At the first entry that is one too many; what comes after it is not read."""
        name = "the file" if len(self._open) == 1 else "a list or a mapping"
        above = self._open[-2] if len(self._open) > 1 else None
        if isinstance(above, Mapping):
            name = f"`{next(reversed(above.entries))[:80]}`"
        hint = _SPLIT if len(self._open) <= _TOP_LISTS else ""
        return self.problem(mark, f"{name} has more than {RULES_PER_FILE_MAX} entries", hint)


def parse_document(data: bytes, source: str) -> tuple[Node | None, Lines]:
    """The tree of one YAML document (None when it is empty) and the lines of its text.

    Raises PolicyError for anything that is not one plain YAML document within bounds.
    """
    lines = Lines("")
    composer = _Composer(source, lines)
    if len(data) > POLICY_BYTES_MAX:
        raise composer.problem(
            None, f"the file is {len(data)} bytes long; {POLICY_BYTES_MAX} are allowed", _SPLIT
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        place = _place_of_end(data[: cause.start].decode("utf-8-sig", "replace"))
        raise composer.problem(place, "the file is not UTF-8 text") from cause
    composer.lines = lines = Lines(text)
    loader: Any = None
    try:
        loader = _LOADER(text)
        return composer.compose(loader.get_event), lines
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark or cause.context_mark
        place = _Place(mark.line, mark.column) if mark is not None else _Place(0, 0)
        what = " ".join(part for part in (cause.context, cause.problem) if part)
        at_tab = lines.line(place.line + 1)[place.column : place.column + 1] == "\t"
        hint = "indent with spaces, not tabs" if at_tab else ""
        raise composer.problem(place, f"not YAML: {what}", hint) from cause
    except yaml.reader.ReaderError as cause:
        place = _place_of_end(text[: max(0, cause.position)])
        raise composer.problem(place, "not YAML: a character that YAML does not allow") from cause
    finally:
        if loader is not None:
            loader.dispose()


@contextmanager
def no_collection() -> Iterator[None]:
    """Reading makes many values, all of which are needed until it ends: the collector would look
    at them again and again, for half of the time, and find nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _place_of_end(before: str) -> _Place:
    """Where a text ends, for errors that are reported by offset only."""
    *earlier, last = _LINE_BREAK.split(before)
    return _Place(len(earlier), len(last))
