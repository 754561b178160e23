"""The syntax tree of a shell text: the nodes worth judging, and whether the tree can be trusted.

The grammar is not bash: where the two are known to differ this module says that the parse is not
sound. It refuses to recurse, so the depth of a text costs nothing but time.
"""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from forestall.facts.shell.preprocess import has_bare_break

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_BLANK: Final = b" \t\r"
_JUDGED: Final = frozenset(
    ("command", "declaration_command", "unset_command", "variable_assignment", "for_statement",
     "heredoc_redirect", "heredoc_start", "herestring_redirect", "file_redirect", "expansion",
     "command_substitution", "test_command", "arithmetic_expansion", "subscript")
)  # fmt: skip
_SUBSTITUTIONS: Final = frozenset(("command_substitution", "arithmetic_expansion"))
_NOT_WORDS: Final = frozenset(
    ("variable_assignment", "file_redirect", "herestring_redirect", "heredoc_redirect", "ERROR")
)


@functools.cache
def parser() -> "Parser":
    """The bash parser, built at the first use."""
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


class Item(msgspec.Struct):
    """One node to judge, with what surrounds it."""

    node: "Node"
    kind: str
    function: str
    detached: bool
    owner: int
    strays: "list[Node]" = []


def text_of(node: "Node") -> str:
    """The source text of a node."""
    return (node.text or b"").decode("utf-8", "replace")


def walk(root: "Node", source: bytes) -> tuple[list[Item], set[str], bool]:
    """Every node worth judging, in source order, and whether the parse can be trusted."""
    items: list[Item] = []
    defined: set[str] = set()
    sound = True
    stack = [Item(root, root.type, "", False, 0)]
    while stack:
        item = stack.pop()
        node, function, owner = item.node, item.function, item.owner
        kind = item.kind
        if kind == "ERROR" or node.is_missing:
            sound = False
        elif kind in _JUDGED:
            items.append(item)
        elif kind == "word":
            sound = sound and not has_bare_break(node.text or b"")
        elif kind == "comment":
            sound = sound and _starts_comment(source, node.start_byte)
        children = node.children
        if kind == "function_definition":
            name = node.child_by_field_name("name")
            function = (name.text or b"").decode("utf-8", "replace") if name else ""
            defined.add(function)
        elif kind == "command":
            owner = node.id
            sound = sound and _gaps_are_blank(children, source)
        elif kind == "redirected_statement":
            body = node.child_by_field_name("body")
            owner = body.id if body is not None and body.type == "command" else 0
        elif kind not in ("heredoc_redirect", "file_redirect"):
            owner = 0
        inherited = item.detached or kind == "pipeline"
        following = ""
        for child in reversed(children):
            detached = inherited or following == "&"
            following = child.type
            stack.append(Item(child, following, function, detached, owner))
    return items, defined, sound


def missed_substitutions(body: "Node") -> "Iterator[tuple[str | None, int]]":
    """Each `$(...)` that the grammar passed over in a here-document, and what finding it cost.

    None stands for one whose extent cannot be told.
    """
    raw = body.text or b""
    found = [
        (child.start_byte - body.start_byte, child.end_byte - body.start_byte)
        for child in body.children
        if child.type != "heredoc_content"
    ]
    at = raw.find(b"$(")
    while at >= 0:
        escapes = at - len(raw[:at].rstrip(b"\\"))
        if not escapes % 2 and not any(start <= at < end for start, end in found):
            rest = raw[at:]
            first: Node | None = parser().parse(rest).root_node
            while first is not None and first.type not in _SUBSTITUTIONS:
                first = next((child for child in first.children if child.start_byte == 0), None)
            if first is None:
                yield None, len(rest)
                return
            found.append((at, at + first.end_byte))
            yield text_of(first), len(rest)
        at = raw.find(b"$(", at + 2)


def _gaps_are_blank(children: "list[Node]", source: bytes) -> bool:
    at = None
    for child in children:
        gap = source[at : child.start_byte] if at is not None else b""
        if gap.strip(_BLANK) and gap.replace(b"\\\n", b"").strip(_BLANK):
            return False
        at = child.end_byte
    return True


def grouped(node: "Node") -> tuple["list[list[Node]]", bool]:
    """The words of a command; nodes that touch are one word to bash, as it is to us."""
    groups: list[list[Node]] = []
    end = -1
    sound = True
    for child in node.children:
        if child.type in _NOT_WORDS:
            continue
        if groups and child.start_byte == end:
            groups[-1].append(child)
            if text_of(groups[-1][0]) != "$":
                sound = False
        else:
            groups.append([child])
        end = child.end_byte
    for group in groups:
        if len(group) > 1 and text_of(group[0]) == "$":
            del group[0]  # $"..." is a translated string
    return groups, sound


def _starts_comment(source: bytes, at: int) -> bool:
    return at == 0 or source[at - 1 : at] in (
        b" ",
        b"\t",
        b"\n",
        b";",
        b"&",
        b"|",
        b"(",
        b")",
        b"`",
        b"\r",
    )
