"""Named lists: `lists: {ours: […]}` in one file, `@ours` in the matches of all files of a bundle.

A reference is replaced by the entries of its list before the match is read, as if they were written
there. So every bound and check of the match applies to them. Two files may define a list only with
the same entries: adding a file cannot change what a list of another file means. A list holds no
reference to another list.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from forestall.limits import LIST_ENTRIES_COPIED_MAX, LIST_ITEMS_PER_FIELD_MAX
from forestall.policy.language import document
from forestall.policy.language.document import Mapping, Node, Scalar, parse_document
from forestall.policy.language.literals import LITERAL_KEY
from forestall.policy.language.reader import NamedLists, Reader
from forestall.policy.problems import PolicyError, Problem, did_you_mean

SIGN = "@"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_SHOWN_CHARS = 80  # characters of a text that a message shows
_AS_TEXT = "a text that begins with `@` is written {literal: …}"
# Criteria that search in texts: there `@[a-z]+` is a pattern, and only `@name` is a reference.
_SEARCHED = frozenset({"keywords", "patterns"})
_LISTED_OPERANDS = frozenset({"in", "glob", "only"})  # operands of `args` that can be lists


class _Definition(NamedTuple):
    entries: tuple[Scalar, ...]
    place: str

    @property
    def content(self) -> tuple[tuple[str, bool], ...]:
        return tuple((entry.text, entry.plain) for entry in self.entries)


def shared_lists(files: Sequence[tuple[str, bytes]]) -> tuple[NamedLists, list[Problem]]:
    """The named lists that (source, text) pairs define together, and the mistakes in them.

    A file that is no YAML is passed over here: whoever reads its rules says so.
    """
    found: dict[str, _Definition] = {}
    problems: list[Problem] = []
    for source, data in files:
        if b"lists" not in data:  # most files define none, and need not be parsed twice
            continue
        try:
            root, lines = parse_document(data, source)
        except PolicyError:
            continue
        reader = Reader(source, lines)
        for name, key, entries in _definitions(reader, root):
            definition = _Definition(entries, f"{source}:{key.line}")
            first = found.setdefault(name, definition)
            if first.content != definition.content:
                message = f"the list `{name}` has other entries than in another file"
                hint = f"the other is at {first.place}; give one of them another name"
                reader.problem(key, message, hint)
        try:
            reader.raise_problems()
        except PolicyError as error:
            problems.extend(error.problems)
    return {name: definition.entries for name, definition in found.items()}, problems


def _definitions(
    reader: Reader, root: Node | None
) -> Iterator[tuple[str, Scalar, tuple[Scalar, ...]]]:
    """The well-formed lists of one file: name, place of the name, entries."""
    if not isinstance(root, Mapping) or "lists" not in root.entries:
        return
    section = reader.section(root, "lists")
    for name, (key, value) in section.entries.items() if section is not None else ():
        if not _NAME.fullmatch(name):
            hint = "letters, digits, `_`, `.` and `-`, at most 64, first a letter"
            reader.problem(key, f"`{name[:_SHOWN_CHARS]}` is no name of a list", hint)
        elif not isinstance(value, document.Sequence) or not value.items:
            reader.problem(value, f"the list `{name}` is a list of texts with at least one entry")
        elif len(value.items) > LIST_ITEMS_PER_FIELD_MAX:
            reader.problem(
                value,
                f"the list `{name}` has {len(value.items)} entries;"
                f" {LIST_ITEMS_PER_FIELD_MAX} are allowed",
            )
        else:
            yield name, key, tuple(_entries(reader, name, value))


def _entries(reader: Reader, name: str, value: document.Sequence) -> Iterator[Scalar]:
    for item in value.items:
        if not isinstance(item, Scalar) or item.is_null:
            reader.problem(item, f"an entry of the list `{name}` is a text")
        elif item.text.startswith(SIGN):
            reader.problem(item, "a list holds no other list", "write the entries out")
        else:
            yield item


def require_read(reader: Reader, top: Mapping) -> None:
    """Note a problem for a list that `shared_lists` passed over: its key holds an escape."""
    _, section = top.entries.get("lists", (None, None))
    if isinstance(section, Mapping) and not section.entries.keys() <= reader.lists.keys():
        reader.problem(section, "`lists` or one of its lists cannot be read", "write it plainly")


def expand(reader: Reader, match: Mapping) -> None:
    """Replace each reference in a match by the entries of its list."""
    for key, (key_node, node) in match.entries.items():
        if key == "args" and isinstance(node, Mapping):
            for _, condition in node.entries.values():
                _expand_operands(reader, condition)
        else:
            _expand_in(reader, match, key, key_node, node)


def _expand_operands(reader: Reader, condition: Node) -> None:
    """Replace references in the operands of a condition on arguments that can be lists."""
    if not isinstance(condition, Mapping):
        return
    for word, (key_node, node) in condition.entries.items():
        if word in _LISTED_OPERANDS:
            _expand_in(reader, condition, word, key_node, node)
        elif isinstance(node, Mapping):
            _expand_operands(reader, node)
        elif word == "eq" and isinstance(node, Scalar) and node.text.startswith(SIGN):
            reader.problem(node, "`eq` compares with one value", f"say `in`, or: {_AS_TEXT}")


def _expand_in(reader: Reader, parent: Mapping, key: str, key_node: Scalar, node: Node) -> None:
    if key == LITERAL_KEY:
        return
    if isinstance(node, Scalar) and _is_reference(node, key):
        listed = document.Sequence(node.line, node.column)
        listed.items.extend(_entries_of(reader, node))
        parent.entries[key] = (key_node, listed)
    elif isinstance(node, document.Sequence):
        if any(_is_reference(item, key) for item in node.items):
            node.items = [
                entry
                for item in node.items
                for entry in (_entries_of(reader, item) if _is_reference(item, key) else [item])
            ]
    elif isinstance(node, Mapping):
        for inner, (inner_key, value) in node.entries.items():
            _expand_in(reader, node, inner, inner_key, value)


def _is_reference(node: Node, key: str) -> bool:
    if not isinstance(node, Scalar) or not node.text.startswith(SIGN):
        return False
    return key not in _SEARCHED or _NAME.fullmatch(node.text[1:]) is not None


def _entries_of(reader: Reader, node: Node) -> list[Node]:
    """The entries of the list that a reference names, all at the place of the reference."""
    assert isinstance(node, Scalar)
    name = node.text[1:]
    entries = reader.lists.get(name)
    if entries is None:
        list_names = tuple(f"{SIGN}{other}" for other in reader.lists)
        hint = did_you_mean(node.text, list_names) if list_names else "define it under `lists`"
        reader.problem(node, f"unknown list `{node.text[:_SHOWN_CHARS]}`", f"{hint}; {_AS_TEXT}")
        return [node]
    reader.list_entries_copied += len(entries)
    if reader.list_entries_copied > LIST_ENTRIES_COPIED_MAX:
        message = f"the named lists of this file give more than {LIST_ENTRIES_COPIED_MAX} entries"
        reader.problem(node, message, "use shorter lists, or fewer rules over them")
        return [node]
    return [
        Scalar(node.line, node.column, node.length, entry.text, entry.plain) for entry in entries
    ]
