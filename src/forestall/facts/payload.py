"""The payload of an action: its places, which of their texts are read, and which are unread.

Theory
======

The *payload* is every byte that a worker, or the tool of a caller, receives and could run:

    prompt               a text
    context, args        any JSON; `args` and `action.args` are one value in two spellings
    action               `server`, `tool`, `target_resource` and `verb` of a tool call
    labels               names and values, as the client sent them
    tags, risk_tags, requires, capability, pack_id, actor_id

What else a worker receives is the plane's own (ids, ticket, constraints, budget), proven (tenant,
principal), or of a fixed form (topic, priority). `policy/request.py` lists these parts for a
request; no other place says what the payload is.

A *place* is a path into it: `prompt`, `args.command`, `context.steps[*].run`, `context['a b']`,
`args.*.script`. A derivation reads the places of its `fields`; every other text is *unread*, unless
a policy lists the place, or one around it, under `ignore`.

What is a text
--------------

* A text of white space runs nothing, and is none.
* A number, true, false or null is none: no program, host or path is spelt by it, and an amount
  beside a command commands nothing. In a list of words that is read as a command line it is a word
  of that line. Where a single text is read it is not what the gate can read, so it is unread.
* The name of a member is a text too, since an object's keys can carry a command: unless it is one
  plain word, as names of members are.
* In the parts from `labels` on, and in `action` but for `target_resource`, one word is a *name*:
  rules match it with fields of their own, and no worker may run it. Anything else there is a text.

How places are compared
-----------------------

`fields` compare names of members without regard to case, `_` and `-`, so that `filePath` is read as
`file_path` is: reading more can only add facts. `ignore` compares exactly, and covers all that is
inside the place. Each list of texts that is read as commands is one command line, as a worker would
run it, and each of its items with white space in it is a command too. A program and the list of its
arguments in two members of one object are one command line; what each of them does by itself counts
too, as far as it is known (`derive`).

The rules of every file are protected by themselves: a text counts as read only when *each* file
that matters reads or ignores it (`policy/derivations.py` says which files those are). So a file can
add to what is parsed, and never declare a text harmless for another file.
"""

import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from forestall.facts.payload_places import (
    CALL_NAMES,
    NAME_ROOTS,
    PARSED,
    DeclaredPlaces,
    PlaceNode,
    folded_name,
    place_tree,
)
from forestall.limits import (
    ARG_PATH_CHARS_MAX,
    JSON_DEPTH_MAX,
    PAYLOAD_VALUES_MAX,
    UNREAD_SHOWN_MAX,
)

Part = tuple[str, Any]  # a root of the payload and its value

_NAME = re.compile(r"[^\W][\w.:@+-]*(/\w[\w.:@+-]*)*")
_MEMBER_NAME = re.compile(r"[^\W\d][\w-]*")
# Names under which a program and its arguments stand beside each other, folded.
_PROGRAM_MEMBERS = ("command", "cmd", "program", "executable")
_ARGUMENT_MEMBERS = ("args", "argv", "arguments")
_PROGRAM_WORD = re.compile(r"[\w./+@-]+", re.ASCII)
_SPLIT_MEMBERS = 2  # of one command line: the program, and its arguments


class TooMuchToDeriveError(ValueError):
    """A payload does more things than can be decided one by one. The evaluator denies it.

    Keeping only some of them would let an agent hide one command behind a hundred others.
    """


def is_name(text: str) -> bool:
    """Whether a text is one word that cannot be a command with arguments, an address or a path
    that begins at a root."""
    return len(text) <= ARG_PATH_CHARS_MAX and _NAME.fullmatch(text) is not None


class PayloadTexts(NamedTuple):
    """The texts that are parsed, each once, and the first places with an unread text, at most
    UNREAD_SHOWN_MAX of them. An item of a list is written `[*]`.

    `programs` and `arguments` are texts that are read as one command line among `texts`, too.
    """

    texts: tuple[str, ...]
    unread: tuple[str, ...]
    programs: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


class Places:
    """The places that derivations read, and that each file reads or ignores."""

    __slots__ = ("_all_files", "_root")

    def __init__(self, files: Sequence[DeclaredPlaces]) -> None:
        """Raises PlaceError for a path that cannot be."""
        self._root, self._all_files = place_tree(files)

    def texts_of(self, parts: Iterable[Part], *, of_commands: bool) -> PayloadTexts:
        """The texts of a payload. `of_commands`: a list of words is one command line.

        Raises TooMuchToDeriveError past PAYLOAD_VALUES_MAX values or JSON_DEPTH_MAX levels.
        """
        walk = _Walk(self._all_files, of_commands=of_commands)
        for root, value in parts:
            nodes = tuple(self._root.members(root, folded_name(root)))
            walk.visit(value, nodes, 0, (None, root), JSON_DEPTH_MAX)
        return walk.result()


# A place as a linked list: the place around it (None for a root), and the last step as written.
_Path = tuple[Any, str]


class _Walk:
    """One walk over the values of a payload.

    Each value is visited with the nodes of the place tree that lead to it, and with bits: `covered`
    is what the places around it say of all that is inside them; `marks` is that together with what
    its own nodes say of it. A text is read or ignored where `marks` has the bit of every file.
    """

    __slots__ = (
        "_all_files",
        "_argument_texts",
        "_of_commands",
        "_program_texts",
        "_split_members",
        "_texts",
        "_unread",
        "_values_left",
    )

    def __init__(self, all_files: int, *, of_commands: bool) -> None:
        self._all_files = all_files
        self._of_commands = of_commands
        self._values_left = PAYLOAD_VALUES_MAX
        self._texts: dict[str, None] = {}
        self._unread: dict[str, None] = {}
        # Texts of a program and of its arguments in two members that are one command line.
        self._program_texts: dict[str, None] = {}
        self._argument_texts: dict[str, None] = {}
        self._split_members = 0  # that hold a program, or arguments of one

    def result(self) -> PayloadTexts:
        """What was found. A program whose arguments may be in yet another place is read by itself,
        and so are they: nobody knows then which command line a worker makes of them."""
        if self._split_members > _SPLIT_MEMBERS:
            texts = self._texts | self._program_texts | self._argument_texts
            return PayloadTexts(tuple(texts), tuple(self._unread))
        return PayloadTexts(
            texts=tuple(self._texts),
            unread=tuple(self._unread),
            programs=tuple(self._program_texts),
            arguments=tuple(self._argument_texts),
        )

    def visit(
        self, value: Any, nodes: tuple[PlaceNode, ...], covered: int, path: _Path, depth: int
    ) -> None:
        """Look at a value that the places `nodes` lead to, inside what `covered` says; `depth`
        levels may still follow."""
        self._values_left -= 1
        if self._values_left < 0 or depth < 0:
            raise TooMuchToDeriveError
        marks = 0
        for node in nodes:
            covered |= node.covered
            marks |= node.read
        marks |= covered
        if isinstance(value, str):
            if value and not value.isspace():
                self._text(value, marks, path)
        elif isinstance(value, Mapping):
            self._object(value, nodes, covered, path, depth)
        elif isinstance(value, (list, tuple)):
            self._list(value, nodes, covered, marks, path, depth)
        elif value is not None and (marks & PARSED or not isinstance(value, (int, float))):
            self._note_unread(path, covered)

    def _is_declared(self, marks: int) -> bool:
        """Whether every file reads or ignores the place."""
        return marks & self._all_files == self._all_files

    def _text(self, text: str, marks: int, path: _Path) -> None:
        if marks & PARSED:
            self._texts[text] = None
        if not self._is_declared(marks) and not _is_matched_name(text, path):
            self._note_unread(path, marks)

    def _note_unread(self, path: _Path, marks: int) -> None:
        """Remember a place with an unread text, unless all files declare it."""
        if not self._is_declared(marks) and len(self._unread) < UNREAD_SHOWN_MAX:
            self._unread[_written(path)] = None

    def _object(
        self,
        members: Mapping[Any, Any],
        nodes: tuple[PlaceNode, ...],
        covered: int,
        path: _Path,
        depth: int,
    ) -> None:
        may_be_split = self._of_commands and any(node.by_folded_name for node in nodes)
        paired_arguments = self._add_command_lines(members, nodes) if may_be_split else ()
        is_split = bool(paired_arguments) and _is_split(members)
        for name, value in members.items():
            folded = folded_name(name) if isinstance(name, str) else ""
            children = tuple(child for node in nodes for child in node.members(name, folded))
            inside = covered
            for child in children:
                inside |= child.covered
            if self._is_declared(inside) and all(child.is_leaf for child in children):
                continue  # ignored, with all that is in it
            if not (isinstance(name, str) and _is_member_name(name, path)):
                self._note_unread(path, inside)
            if name in paired_arguments and _are_options(value):
                # They are read behind their program; by themselves they are no command line.
                for child in children:
                    inside |= child.read & ~PARSED
                children = ()
            texts = self._texts
            if is_split and folded in _PROGRAM_MEMBERS:
                self._texts = self._program_texts
            elif is_split and folded in _ARGUMENT_MEMBERS:
                self._texts = self._argument_texts
            self.visit(value, children, inside, (path, name), depth - 1)
            self._texts = texts

    def _add_command_lines(
        self, members: Mapping[Any, Any], nodes: tuple[PlaceNode, ...]
    ) -> Collection[str]:
        """Read a program and its arguments in two members as one command line as well. Returns the
        names of the members that are arguments of one."""
        programs: list[str] = []
        arguments: dict[str, str] = {}
        for name, value in members.items():
            folded = folded_name(name) if isinstance(name, str) else ""
            if folded not in _PROGRAM_MEMBERS and folded not in _ARGUMENT_MEMBERS:
                continue
            children = (child for node in nodes for child in node.members(name, folded))
            if not any(child.read & PARSED for child in children):
                continue
            self._split_members += 1
            if folded in _ARGUMENT_MEMBERS:
                words = _words(value) if isinstance(value, (list, tuple)) else ()
                arguments[name] = value if isinstance(value, str) else _command_line(words)
            elif isinstance(value, str) and value.strip():
                programs.append(value)
        for program, line in itertools.product(programs, arguments.values()):
            self._texts[f"{program} {line}"] = None
        return arguments if programs else ()

    def _list(
        self,
        items: Sequence[Any],
        nodes: tuple[PlaceNode, ...],
        covered: int,
        marks: int,
        path: _Path,
        depth: int,
    ) -> None:
        item_nodes = tuple(node.any_item for node in nodes if node.any_item is not None)
        item_path = (path, "[*]")
        words = _words(items) if marks & PARSED and self._of_commands else ()
        if words and any(isinstance(item, str) for item in items):
            self._texts[_command_line(words)] = None
        self._values_left -= len(words)
        if self._values_left < 0:
            raise TooMuchToDeriveError
        # What is read at a list is read in the lists in it, unless its items are read as such.
        items_are_read = any(node.read & PARSED for node in item_nodes)
        inner_nodes = item_nodes if items_are_read else (*nodes, *item_nodes)
        for item in items:
            if isinstance(item, Mapping):
                self.visit(item, item_nodes, covered, item_path, depth - 1)
            elif not words or not isinstance(item, (str, int, float)):
                self.visit(item, inner_nodes, covered, item_path, depth - 1)
            elif isinstance(item, str):
                self._word(item, item_nodes, marks, item_path, is_only_word=len(words) == 1)

    def _word(
        self,
        word: str,
        nodes: tuple[PlaceNode, ...],
        marks: int,
        path: _Path,
        *,
        is_only_word: bool,
    ) -> None:
        """A word of a command line. The list may also be a list of commands, so what the word does
        by itself counts too, when it can be a command with arguments."""
        if not word or word.isspace():
            return
        is_command = is_only_word or len(word.split()) > 1
        for node in nodes:
            marks |= node.read | node.covered
            is_command = is_command or bool(node.read & PARSED)
        if is_command:
            self._texts[word] = None
        self._note_unread(path, marks)


def _words(items: Iterable[Any]) -> tuple[str, ...]:
    """The words of a command line: its texts and numbers, as a worker would write them."""
    return tuple(
        item if isinstance(item, str) else str(item).lower()
        for item in items
        if isinstance(item, (str, int, float))
    )


def _command_line(words: Iterable[str]) -> str:
    """A command line of these words, each quoted."""
    return " ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in words)


def _is_split(members: Mapping[Any, Any]) -> bool:
    """Whether an object holds one command line in two members, in a shape that leaves no doubt: one
    program that is a plain word, and one list of texts."""
    named = [(folded_name(name), value) for name, value in members.items() if isinstance(name, str)]
    programs = [value for name, value in named if name in _PROGRAM_MEMBERS]
    arguments = [value for name, value in named if name in _ARGUMENT_MEMBERS]
    return (
        len(programs) == len(arguments) == 1
        and isinstance(programs[0], str)
        and _PROGRAM_WORD.fullmatch(programs[0]) is not None
        and isinstance(arguments[0], (list, tuple))
        and all(isinstance(word, str) for word in arguments[0])
    )


def _are_options(value: Any) -> bool:
    """Whether arguments begin with an option, and so cannot be a command line by themselves."""
    if isinstance(value, str):
        return value.startswith("-")
    has_words_only = isinstance(value, (list, tuple)) and len(_words(value)) == len(value) > 0
    return has_words_only and str(value[0]).startswith("-")


def _is_matched_name(text: str, path: _Path) -> bool:
    """Whether a text is a name that rules match with a field of their own."""
    around, last = path
    root = last
    while around is not None:
        around, root = around
    if root not in NAME_ROOTS and not (root == "action" and last in CALL_NAMES):
        return False
    return is_name(text)


def _is_member_name(name: str, path: _Path) -> bool:
    """Whether the name of a member of the object at `path` is one plain word."""
    if path == (None, "labels"):
        return is_name(name)
    return len(name) <= ARG_PATH_CHARS_MAX and _MEMBER_NAME.fullmatch(name) is not None


def _written(path: _Path) -> str:
    """A place as a policy would write it, as far as it may be shown."""
    around, last = path
    if around is None:
        return last
    if last == "[*]":
        return _written(around) + last
    if isinstance(last, str) and _MEMBER_NAME.fullmatch(last):
        return f"{_written(around)}.{last}"
    # The name may be anything, a secret too: it is not shown, and the place around it names it.
    return _written(around)
