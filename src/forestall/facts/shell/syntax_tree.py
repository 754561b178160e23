"""The syntax tree of a shell text: the nodes worth judging, and whether the tree can be trusted.

The grammar is not bash: where the two are known to differ this module says that the parse is not
*sound*. It refuses to recurse, so the depth of a text costs nothing but time.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from forestall.facts.shell.preprocess import has_bare_break

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_BLANK: Final = b" \t\r"
_BEFORE_COMMENT: Final = b" \t\n;&|()`\r"  # behind any other character bash sees no comment
_JUDGED: Final = frozenset(
    ("command", "declaration_command", "unset_command", "variable_assignment", "for_statement",
     "heredoc_redirect", "heredoc_start", "herestring_redirect", "file_redirect", "expansion",
     "command_substitution", "test_command", "arithmetic_expansion", "subscript")
)  # fmt: skip
_SUBSTITUTIONS: Final = frozenset(("command_substitution", "arithmetic_expansion"))
_NOT_WORDS: Final = frozenset(
    ("variable_assignment", "file_redirect", "herestring_redirect", "heredoc_redirect", "ERROR")
)


class NodeInContext(msgspec.Struct):
    """One node of the tree, with what surrounds it."""

    node: "Node"
    kind: str  # the node's type in the grammar
    function: str  # the name of the function that it stands in, or ""
    detached: bool  # it is part of a pipeline, or runs in the background
    command_id: int  # the id of the command that a redirection or an assignment belongs to, or 0


class ParsedText(NamedTuple):
    """What the grammar found in a shell text."""

    nodes: list[NodeInContext]  # every node worth judging, in source order
    functions: set[str]  # the names of the functions that the text defines
    sound: bool  # whether bash is known to read the text in the same way


@cache
def _parser() -> "Parser":
    """The bash parser, built at the first use."""
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


def text_of(node: "Node") -> str:
    """The source text of a node."""
    return (node.text or b"").decode("utf-8", "replace")


def parsed_text(source: bytes) -> ParsedText:
    """Parse a shell text, which `preprocess` has made ready for the grammar."""
    root = _parser().parse(source).root_node
    nodes: list[NodeInContext] = []
    functions: set[str] = set()
    sound = True
    stack = [NodeInContext(root, root.type, "", False, 0)]
    while stack:
        item = stack.pop()
        node, kind, function, command_id = item.node, item.kind, item.function, item.command_id
        if kind == "ERROR" or node.is_missing:
            sound = False
        elif kind in _JUDGED:
            nodes.append(item)
        elif kind == "word":
            sound = sound and not has_bare_break(node.text or b"")
        elif kind == "comment":
            sound = sound and _starts_comment(source, node.start_byte)
        children = node.children
        if kind == "function_definition":
            name = node.child_by_field_name("name")
            function = text_of(name) if name else ""
            functions.add(function)
        elif kind == "command":
            command_id = node.id
            sound = sound and _gaps_are_blank(children, source)
        elif kind == "redirected_statement":
            body = node.child_by_field_name("body")
            command_id = body.id if body is not None and body.type == "command" else 0
        elif kind not in ("heredoc_redirect", "file_redirect"):
            command_id = 0
        in_pipeline = item.detached or kind == "pipeline"
        following = ""
        for child in reversed(children):
            detached = in_pipeline or following == "&"
            following = child.type
            stack.append(NodeInContext(child, following, function, detached, command_id))
    return ParsedText(nodes, functions, sound)


def missed_substitutions(body: "Node") -> Iterator[tuple[str | None, int]]:
    """Each `$(...)` that the grammar passed over in a here-document, and how many bytes were parsed
    to find it.

    None stands for one whose extent cannot be told.
    """
    raw = body.text or b""
    recognised = [
        (child.start_byte - body.start_byte, child.end_byte - body.start_byte)
        for child in body.children
        if child.type != "heredoc_content"
    ]
    at = raw.find(b"$(")
    while at >= 0:
        escapes = at - len(raw[:at].rstrip(b"\\"))
        if not escapes % 2 and not any(start <= at < end for start, end in recognised):
            rest = raw[at:]
            first: Node | None = _parser().parse(rest).root_node
            while first is not None and first.type not in _SUBSTITUTIONS:
                first = next((child for child in first.children if child.start_byte == 0), None)
            if first is None:
                yield None, len(rest)
                return
            recognised.append((at, at + first.end_byte))
            yield text_of(first), len(rest)
        at = raw.find(b"$(", at + 2)


def _gaps_are_blank(children: Sequence["Node"], source: bytes) -> bool:
    at = None
    for child in children:
        gap = source[at : child.start_byte] if at is not None else b""
        if gap.strip(_BLANK) and gap.replace(b"\\\n", b"").strip(_BLANK):
            return False
        at = child.end_byte
    return True


def word_nodes(command: "Node") -> tuple[list[list["Node"]], bool]:
    """The nodes of each word of a command, and whether bash is known to see the same words.

    Nodes that touch are one word.
    """
    words: list[list[Node]] = []
    end = -1
    sound = True
    for child in command.children:
        if child.type in _NOT_WORDS:
            continue
        if words and child.start_byte == end:
            words[-1].append(child)
            if text_of(words[-1][0]) != "$":
                sound = False
        else:
            words.append([child])
        end = child.end_byte
    for nodes in words:
        if len(nodes) > 1 and text_of(nodes[0]) == "$":
            del nodes[0]  # $"..." is a translated string
    return words, sound


def _starts_comment(source: bytes, at: int) -> bool:
    return at == 0 or source[at - 1] in _BEFORE_COMMENT
