"""YAML text → a tree of nodes that remember where they stand. Knows nothing of rules.

Stricter than YAML on purpose: one document, no anchors, aliases, tags or merge keys, no duplicate
keys, bounded size and depth. What a plain word means (`on`, `1.0`) is left to the reader of the
field, which takes a text exactly as it was written.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from forestall.limits import POLICY_BYTES_MAX, POLICY_DEPTH_MAX
from forestall.policy.problems import PolicyError, Problem

# libyaml is ten times as fast; both give the same events with the same marks.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
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

    def __init__(self, line: int, column: int, length: int, text: str, *, plain: bool) -> None:
        super().__init__(line, column, length)
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


class _Composer:
    """Builds the tree from parser events without recursion."""

    def __init__(self, source: str, lines: list[str]) -> None:
        self.source, self.lines = source, lines

    def problem(self, mark: Any, message: str, hint: str = "") -> PolicyError:
        line = mark.line + 1 if mark else 1
        column = mark.column + 1 if mark else 1
        excerpt = self.lines[line - 1] if line <= len(self.lines) else ""
        return PolicyError(
            [
                Problem(
                    source=self.source,
                    line=line,
                    column=column,
                    message=message,
                    hint=hint,
                    excerpt=excerpt,
                )
            ]
        )

    def compose(self, events: Iterator[Any]) -> Node | None:
        root: Node | None = None
        open_nodes: list[Sequence | Mapping] = []
        pending_keys: list[Scalar | None] = []
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self.problem(
                        event.start_mark,
                        "a policy file holds one document",
                        "put the second one into a file of its own",
                    )
                continue
            if isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                open_nodes.pop()
                pending_keys.pop()
                continue
            node = self._node(event)
            if node is None:
                continue
            if not open_nodes:
                root = node
            else:
                self._attach(open_nodes[-1], pending_keys, node, event.start_mark)
            if isinstance(node, (Sequence, Mapping)):
                if len(open_nodes) >= POLICY_DEPTH_MAX:
                    raise self.problem(
                        event.start_mark, f"nested deeper than {POLICY_DEPTH_MAX} levels"
                    )
                open_nodes.append(node)
                pending_keys.append(None)
        return root

    def _node(self, event: Any) -> Node | None:
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self.problem(mark, "anchors and aliases are not allowed", "write the value out")
        if isinstance(event, (yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            if event.tag is not None:
                raise self.problem(mark, f"the tag `{event.tag}` is not allowed", "leave it out")
            line, column = mark.line + 1, mark.column + 1
            if isinstance(event, yaml.ScalarEvent):
                end: Any = event.end_mark
                length = end.column - mark.column if end.line == mark.line else 1
                return Scalar(line, column, max(1, length), event.value, plain=event.implicit[0])
            if isinstance(event, yaml.SequenceStartEvent):
                return Sequence(line, column)
            return Mapping(line, column)
        return None

    def _attach(
        self,
        parent: Sequence | Mapping,
        pending_keys: list[Scalar | None],
        node: Node,
        mark: Any,
    ) -> None:
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = pending_keys[-1]
        if key is not None:
            parent.entries[key.text] = (key, node)
            pending_keys[-1] = None
            return
        if not isinstance(node, Scalar):
            raise self.problem(mark, "a key is a word, not a list or a mapping")
        if node.text in parent.entries:
            first = parent.entries[node.text][0]
            raise self.problem(
                mark, f"the key `{node.text}` is written twice", f"first on line {first.line}"
            )
        # The slot is taken at once, so that a third occurrence names the first one too.
        parent.entries[node.text] = (node, node)
        pending_keys[-1] = node


def parse_document(data: bytes, source: str) -> tuple[Node | None, list[str]]:
    """The tree of one YAML document (None when it is empty) and the lines of its text.

    Raises PolicyError for anything that is not one plain YAML document within bounds.
    """
    lines: list[str] = []
    composer = _Composer(source, lines)
    if len(data) > POLICY_BYTES_MAX:
        raise composer.problem(
            None,
            f"the file is {len(data)} bytes long; {POLICY_BYTES_MAX} are allowed",
            "split the rules over several files in one directory",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        place = _place_of_end(data[: cause.start].decode("utf-8-sig", "replace"))
        raise composer.problem(place, "the file is not UTF-8 text") from cause
    lines.extend(_LINE_BREAK.split(text))
    try:
        return composer.compose(yaml.parse(text, Loader=_LOADER)), lines
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark or cause.context_mark
        place = _Place(mark.line, mark.column) if mark is not None else _Place(0, 0)
        what = " ".join(part for part in (cause.context, cause.problem) if part)
        line = lines[place.line] if place.line < len(lines) else ""
        at_tab = line[place.column : place.column + 1] == "\t"
        hint = "indent with spaces, not tabs" if at_tab else ""
        raise composer.problem(place, f"not YAML: {what}", hint) from cause
    except yaml.reader.ReaderError as cause:
        place = _place_of_end(text[: max(0, cause.position)])
        raise composer.problem(place, "not YAML: a character that YAML does not allow") from cause


def _place_of_end(before: str) -> _Place:
    """Where a text ends, for errors that are reported by offset only."""
    *earlier, last = _LINE_BREAK.split(before)
    return _Place(len(earlier), len(last))
