"""YAML text → a tree of nodes that know their place in the text. Knows nothing of rules.

Stricter than YAML on purpose: one document; no anchors, aliases, tags, merge keys or duplicate
keys; bounds on size, depth, list lengths and number of nodes. A plain word (`on`, `1.0`) keeps its
text exactly as written, because only the reader of the field knows what the word means there.
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

# libyaml is ten times as fast as the Python parser; both give the same events and marks.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SPLIT = "split the rules over several files in one directory"
_TOP_LISTS = 2  # open nodes in a list at the top: the file and the list
_BLOCK_CHARS = 4_096
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # line breaks as YAML 1.1 defines them
_SIGNS = frozenset("*&!@`%")  # a plain text cannot begin with them
_WORD = re.compile(r"[^\s,\]}]{1,60}")
_INTEGER = re.compile(r"[-+]?[0-9]{1,16}")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,15}\.[0-9]{1,15}(?:[eE][-+]?[0-9]{1,2})?")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class _ParserPlace(NamedTuple):
    """A place as the YAML parser counts it, from 0."""

    line: int
    column: int


class Node:
    """One node of the document. Lines and columns count from 1."""

    __slots__ = ("column", "length", "line")

    def __init__(self, line: int, column: int, length: int) -> None:
        self.line, self.column, self.length = line, column, length


class Scalar(Node):
    """A plain word or a quoted text."""

    __slots__ = ("plain", "text")

    def __init__(self, line: int, column: int, length: int, text: str, plain: bool) -> None:
        self.line, self.column, self.length = line, column, length
        self.text, self.plain = text, plain

    @property
    def is_null(self) -> bool:
        """Whether the node is empty, or YAML's word for null."""
        return self.plain and self.text in _NULLS

    def as_bool(self) -> bool | None:
        """True or False by the spelling of YAML 1.2; None for any other text."""
        return {"true": True, "false": False}.get(self.text) if self.plain else None

    def as_int(self) -> int | None:
        """The integer that at most 16 decimal digits spell; None for any other text."""
        return int(self.text) if self.plain and _INTEGER.fullmatch(self.text) else None

    def as_decimal(self) -> float | None:
        """The number that a decimal such as 1.5 or -0.25e3 spells; None for any other text."""
        return float(self.text) if self.plain and _DECIMAL.fullmatch(self.text) else None


class Sequence(Node):
    """A list."""

    __slots__ = ("items",)

    def __init__(self, line: int, column: int) -> None:
        super().__init__(line, column, 1)
        self.items: list[Node] = []


class Mapping(Node):
    """A mapping: keys and values in the order written. No key occurs twice."""

    __slots__ = ("entries",)

    def __init__(self, line: int, column: int) -> None:
        super().__init__(line, column, 1)
        self.entries: dict[str, tuple[Scalar, Node]] = {}

    def key_of(self, name: str) -> Scalar:
        """The node of a key that is there."""
        return self.entries[name][0]

    def value_of(self, name: str) -> Node:
        """The node under a key that is there."""
        return self.entries[name][1]


def plain_value(node: Node) -> Any:
    """The JSON value of a node, for fields that hold data rather than rules."""
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
    """The lines of a text, located on demand: few texts have mistakes to show.

    A text may consist of line breaks alone, so line breaks are counted per block and looked up in
    one block.
    """

    __slots__ = ("_before", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._before: list[int] | None = None  # number of line breaks before each block

    def line(self, number: int) -> str:
        """The text of a line that counts from 1; empty where there is no such line."""
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
            # A `\r\n` that a block boundary splits counts in the second block.
            yield breaks - text.count("\r\n", begin, end + 1)


class _Composer:
    """Builds the tree from parser events, without recursion, and stops when a bound is passed."""

    def __init__(self, source: str, lines: Lines) -> None:
        self.source, self.lines = source, lines
        self._open: list[Sequence | Mapping] = []
        self._pending_keys: list[Scalar | None] = []
        self._root: Node | None = None

    def problem(self, mark: Any, message: str, hint: str = "") -> PolicyError:
        line = mark.line + 1 if mark else 1
        problem = Problem(
            source=self.source,
            line=line,
            column=mark.column + 1 if mark else 1,
            message=message,
            hint=hint,
            excerpt=self.lines.line(line),
        )
        return PolicyError([problem])

    def compose(self, next_event: Callable[[], Any]) -> Node | None:
        """The tree of one document; None for an empty document."""
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
                    hint = "put the second one into a file of its own"
                    raise self.problem(event.start_mark, "a policy file holds one document", hint)
            elif kind is yaml.StreamEndEvent:
                return self._root
            nodes += 1  # first the start event, for a list or mapping also the end
            if nodes > POLICY_NODES_MAX:
                message = "the file has more keys and values than are read"
                raise self.problem(event.start_mark, message, _SPLIT)

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
            message = f"the tag `{event.tag[:80]}` is not allowed; if it is a text, quote it"
            return self.problem(mark, message, "leave it out")
        message = "anchors and aliases are not allowed; if it is a text, quote it"
        return self.problem(mark, message, "write the value out")

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
            first = parent.key_of(node.text)
            raise self.problem(
                mark, f"the key `{node.text[:80]}` is written twice", f"first on line {first.line}"
            )
        if len(parent.entries) >= RULES_PER_FILE_MAX:
            raise self._too_long(mark)
        # The key is registered at once, so that a third occurrence refers to the first.
        parent.entries[node.text] = (node, node)
        self._pending_keys[-1] = node

    def _too_long(self, mark: Any) -> PolicyError:
        """Note a problem at the first entry beyond a bound. What follows that entry is not read."""
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
        place = _ParserPlace(mark.line, mark.column) if mark is not None else _ParserPlace(0, 0)
        what = " ".join(part for part in (cause.context, cause.problem) if part)
        if word := _unquoted(lines, place):
            message = f"not YAML: a plain text cannot begin with `{word[0]}`: quote it"
            raise composer.problem(place, message, f'write "{word}"') from cause
        at_tab = lines.line(place.line + 1)[place.column : place.column + 1] == "\t"
        hint = "indent with spaces, not tabs" if at_tab else ""
        raise composer.problem(place, f"not YAML: {what}", hint) from cause
    except yaml.reader.ReaderError as cause:
        place = _place_of_end(text[: max(0, cause.position)])
        raise composer.problem(place, "not YAML: a character that YAML does not allow") from cause
    finally:
        if loader is not None:
            loader.dispose()


def _unquoted(lines: Lines, place: _ParserPlace) -> str:
    """The plain text at a place that begins with a sign of YAML; empty for any other: `*` begins an
    alias, `@` is reserved."""
    text = lines.line(place.line + 1)
    # The parser names the place of the sign, or a place behind it.
    for column in range(place.column, max(-1, place.column - 3), -1):
        if column < len(text) and text[column] in _SIGNS:
            found = _WORD.match(text, column)
            return found[0] if found else text[column]
    return ""


@contextmanager
def no_collection() -> Iterator[None]:
    """Run without the garbage collector.

    Reading creates many values that all live until it ends. The collector would scan them again and
    again, for half of the reading time, and free nothing.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _place_of_end(before: str) -> _ParserPlace:
    """The place of the end of a text, for errors that give only an offset."""
    *earlier, last = _LINE_BREAK.split(before)
    return _ParserPlace(len(earlier), len(last))
