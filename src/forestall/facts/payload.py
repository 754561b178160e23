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
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from forestall.limits import (
    ARG_PATH_CHARS_MAX,
    JSON_DEPTH_MAX,
    PAYLOAD_VALUES_MAX,
    UNREAD_SHOWN_MAX,
)

Part = tuple[str, Any]  # a root of the payload and its value

# Roots whose single words are names, which rules match with fields of their own.
NAME_ROOTS = ("labels", "tags", "risk_tags", "requires", "capability", "pack_id", "actor_id")
_CALL_NAMES = ("server", "tool", "verb")
_NAME = re.compile(r"[^\W][\w.:@+-]*(/\w[\w.:@+-]*)*")
_MEMBER_NAME = re.compile(r"[^\W\d][\w-]*")
_STEP = re.compile(r"\.([^\W\d][\w-]*)|(\.\*)|(\[\*\])|\['((?:[^'\\]|\\['\\])*)'\]")
_ROOT = re.compile(r"[a-z_]+")
# Names under which a program and its arguments stand beside each other, folded.
_PROGRAMS = ("command", "cmd", "program", "executable")
_ARGUMENTS = ("args", "argv", "arguments")
_PROGRAM_WORD = re.compile(r"[\w./+@-]+", re.ASCII)
_SPLIT_MEMBERS = 2  # of one command line: the program, and its arguments
_PARSED = 1  # this bit of a place: its text is parsed. The higher bits: a file declares the place.


class TooMuchToDeriveError(ValueError):
    """A payload does more things than can be decided one by one. The evaluator denies it.

    Keeping only some of them would let an agent hide one command behind a hundred others.
    """


class PlaceError(ValueError):
    """A path names no place that a payload can have."""


class _Wildcard(Enum):
    MEMBER = ".*"
    ITEM = "[*]"


Steps = tuple[str | _Wildcard, ...]


def is_name(text: str) -> bool:
    """Whether a text is one word that cannot be a command with arguments, an address or a path
    that begins at a root."""
    return len(text) <= ARG_PATH_CHARS_MAX and _NAME.fullmatch(text) is not None


def parse_place(text: str, *, of_ignore: bool = False) -> Steps:
    """The steps of a place, its root first. Raises PlaceError, which says what may stand there.

    `of_ignore`: the place may lie in any part; a field lies in prompt, context, args or action.
    """
    roots = ("prompt", "context", "args", "action", *(NAME_ROOTS if of_ignore else ()))
    if len(text) > ARG_PATH_CHARS_MAX:
        raise PlaceError(f"a path is at most {ARG_PATH_CHARS_MAX} characters long")
    root = _ROOT.match(text)
    if root is None or root[0] not in roots:
        raise PlaceError("a payload has no such place; a path begins with " + _or(roots))
    steps: list[str | _Wildcard] = [root[0]]
    position = root.end()
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            raise PlaceError(
                f"`{text[position:][:20]}` is no step; use `.name`, `['a name']`, `.*` for any"
                " member, `[*]` for any item of a list"
            )
        name, member, _, quoted = step.groups()
        if name is not None or quoted is not None:
            steps.append(name if name is not None else re.sub(r"\\(.)", r"\1", quoted))
        else:
            steps.append(_Wildcard.MEMBER if member else _Wildcard.ITEM)
        position = step.end()
    if steps[:2] == ["action", "args"]:
        del steps[0]
    _require_possible(steps)
    if of_ignore and steps[-1] is _Wildcard.MEMBER:
        raise PlaceError("`.*` at the end leaves nothing out; name the place itself")
    return tuple(steps)


def _require_possible(steps: Sequence[str | _Wildcard]) -> None:
    """Raises PlaceError when no payload has a value at such a place."""
    root, inner = steps[0], steps[1:]
    if root in ("context", "args"):
        return
    if root == "action":
        members = (*_CALL_NAMES, "target_resource")
        if inner and (inner[0] not in members or len(inner) > 1):
            listed = ", ".join(f"`action.{name}`" for name in members)
            raise PlaceError(f"a tool call has {listed} and `action.args`, and no other text")
    elif root == "labels":
        if len(inner) > 1 or (inner and inner[0] is _Wildcard.ITEM):
            raise PlaceError("`labels` has texts only, as in `labels.team`")
    elif root in ("tags", "risk_tags", "requires"):
        if inner and list(inner) != [_Wildcard.ITEM]:
            raise PlaceError(f"`{root}` is a list of texts; `{root}` alone names all of it")
    elif inner:
        raise PlaceError(f"`{root}` is a text and has no places in it")


def _or(words: Iterable[str]) -> str:
    *most, last = (f"`{word}`" for word in words)
    return f"{', '.join(most)} or {last}"


class DeclaredPlaces(NamedTuple):
    """What one file declares for its own rules: places that are read, and places to ignore."""

    fields: tuple[str, ...]
    ignore: tuple[str, ...] = ()


class _PlaceNode:
    """A place in the tree of all places that are read or ignored. `read` holds for the value at
    the place, `covered` for all that is inside it too."""

    __slots__ = ("any_member", "covered", "exact", "folded", "item", "read")

    def __init__(self) -> None:
        self.read = self.covered = 0
        self.folded: dict[str, _PlaceNode] = {}
        self.exact: dict[str, _PlaceNode] = {}
        self.any_member: _PlaceNode | None = None
        self.item: _PlaceNode | None = None

    @property
    def is_leaf(self) -> bool:
        """Whether nothing is read at the place or inside it."""
        deeper = self.folded or self.exact or self.any_member or self.item
        return not self.read and not deeper

    def at(self, step: str | _Wildcard, *, exactly: bool) -> "_PlaceNode":
        """The node one step further, made when it is not there."""
        if step is _Wildcard.ITEM:
            self.item = self.item or _PlaceNode()
            return self.item
        if step is _Wildcard.MEMBER:
            self.any_member = self.any_member or _PlaceNode()
            return self.any_member
        if exactly:
            return self.exact.setdefault(step, _PlaceNode())
        return self.folded.setdefault(_folded(step), _PlaceNode())

    def member(self, name: str, folded: str) -> "Iterator[_PlaceNode]":
        """The nodes that a member of this name leads to."""
        if folded in self.folded:
            yield self.folded[folded]
        if name in self.exact:
            yield self.exact[name]
        if self.any_member is not None:
            yield self.any_member


def _folded(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")


class Places:
    """The places that derivations read, and that each file reads or ignores, as one tree."""

    __slots__ = ("_declared", "_root")

    def __init__(self, files: Sequence[DeclaredPlaces]) -> None:
        """Raises PlaceError for a path that cannot be."""
        self._root = _PlaceNode()
        self._declared = 0  # the bits of all files: a place with all of them is declared
        for number, file in enumerate(files):
            bit = 2 << number
            self._declared |= bit
            for text in file.fields:
                self._node(parse_place(text), exactly=False).read |= bit | _PARSED
            for text in file.ignore:
                self._node(parse_place(text, of_ignore=True), exactly=True).covered |= bit

    def _node(self, steps: Steps, *, exactly: bool) -> _PlaceNode:
        node = self._root
        for step in steps:
            node = node.at(step, exactly=exactly)
        return node

    def texts_of(self, parts: Iterable[Part], *, of_commands: bool) -> "PayloadTexts":
        """The texts of a payload. `of_commands`: a list of words is one command line.

        Raises TooMuchToDeriveError past PAYLOAD_VALUES_MAX values or JSON_DEPTH_MAX levels.
        """
        walk = _Walk(self._declared, of_commands=of_commands)
        for root, value in parts:
            nodes = tuple(self._root.member(root, _folded(root)))
            walk.visit(value, nodes, 0, (None, root), JSON_DEPTH_MAX)
        return walk.result()


class PayloadTexts(NamedTuple):
    """The texts that are parsed, each once, and the first places with an unread text, at most
    UNREAD_SHOWN_MAX of them. An item of a list is written `[*]`.

    `programs` and `arguments` are texts that are read as one command line among `texts`, too.
    """

    texts: tuple[str, ...]
    unread: tuple[str, ...]
    programs: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


# A place as a linked list: the place around it (None for a root), and the last step as written.
_Path = tuple[Any, str]


class _Walk:
    """One walk over the values of a payload."""

    __slots__ = (
        "_arguments",
        "_declared",
        "_left",
        "_members",
        "_of_commands",
        "_programs",
        "texts",
        "unread",
    )

    def __init__(self, declared: int, *, of_commands: bool) -> None:
        self._declared = declared
        self._of_commands = of_commands
        self._left = PAYLOAD_VALUES_MAX
        self.texts: dict[str, None] = {}
        self.unread: dict[str, None] = {}
        # Texts of a program and of its arguments in two members that are one command line.
        self._programs: dict[str, None] = {}
        self._arguments: dict[str, None] = {}
        self._members = 0  # that hold a program, or arguments of one

    def result(self) -> "PayloadTexts":
        """What was found. A program whose arguments may be in yet another place is read by itself,
        and so are they: nobody knows then which command line a worker makes of them."""
        if self._members > _SPLIT_MEMBERS:
            self.texts.update(self._programs)
            self.texts.update(self._arguments)
            return PayloadTexts(tuple(self.texts), tuple(self.unread))
        return PayloadTexts(
            tuple(self.texts), tuple(self.unread), tuple(self._programs), tuple(self._arguments)
        )

    def visit(
        self, value: Any, nodes: tuple[_PlaceNode, ...], covered: int, path: _Path, depth: int
    ) -> None:
        """Look at a value that the places `nodes` lead to, inside what `covered` says."""
        self._left -= 1
        if self._left < 0 or depth < 0:
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
        elif value is not None and (marks & _PARSED or not isinstance(value, (int, float))):
            self._note(path, covered)

    def _text(self, text: str, marks: int, path: _Path) -> None:
        if marks & _PARSED:
            self.texts[text] = None
        if marks & self._declared != self._declared and not _is_fact(text, path):
            self._note(path, marks)

    def _note(self, path: _Path, marks: int) -> None:
        """Remember a place with an unread text, unless all files declare it."""
        if marks & self._declared != self._declared and len(self.unread) < UNREAD_SHOWN_MAX:
            self.unread[_written(path)] = None

    def _object(
        self,
        value: Mapping[Any, Any],
        nodes: tuple[_PlaceNode, ...],
        covered: int,
        path: _Path,
        depth: int,
    ) -> None:
        lines = self._of_commands and any(node.folded for node in nodes)
        paired = self._pairs(value, nodes) if lines else ()
        split = bool(paired) and _is_split(value)
        for name, inner in value.items():
            folded = _folded(name) if isinstance(name, str) else ""
            children = tuple(each for node in nodes for each in node.member(name, folded))
            inside = covered
            for child in children:
                inside |= child.covered
            whole = inside & self._declared == self._declared
            if whole and all(child.is_leaf for child in children):
                continue  # ignored, with all that is in it
            if not (isinstance(name, str) and _is_member_name(name, path)):
                self._note(path, inside)
            if name in paired and _are_options(inner):
                for child in children:
                    inside |= child.read & ~_PARSED
                children = ()
            all_texts = self.texts
            if split and folded in (*_PROGRAMS, *_ARGUMENTS):
                self.texts = self._programs if folded in _PROGRAMS else self._arguments
            self.visit(inner, children, inside, (path, name), depth - 1)
            self.texts = all_texts

    def _pairs(self, value: Mapping[Any, Any], nodes: tuple[_PlaceNode, ...]) -> Collection[str]:
        """Read a program and its arguments in two members as one command line as well. Returns the
        names of the members that are arguments of one."""
        programs, arguments = [], {}
        for name, inner in value.items():
            folded = _folded(name) if isinstance(name, str) else ""
            if folded not in _PROGRAMS and folded not in _ARGUMENTS:
                continue
            if not any(each.read & _PARSED for node in nodes for each in node.member(name, folded)):
                continue
            self._members += 1
            if folded in _ARGUMENTS:
                words = _words(inner) if isinstance(inner, (list, tuple)) else ()
                arguments[name] = inner if isinstance(inner, str) else _line(words)
            elif isinstance(inner, str) and inner.strip():
                programs.append(inner)
        for program, line in itertools.product(programs, arguments.values()):
            self.texts[f"{program} {line}"] = None
        return arguments if programs else ()

    def _list(
        self,
        items: Sequence[Any],
        nodes: tuple[_PlaceNode, ...],
        covered: int,
        marks: int,
        path: _Path,
        depth: int,
    ) -> None:
        inner = tuple(node.item for node in nodes if node.item is not None)
        place = (path, "[*]")
        line = _words(items) if marks & _PARSED and self._of_commands else ()
        if line and any(isinstance(item, str) for item in items):
            self.texts[_line(line)] = None
        self._left -= len(line)
        if self._left < 0:
            raise TooMuchToDeriveError
        # What is read at a list is read in the lists in it, unless its items are read as such.
        in_lists = inner if any(node.read & _PARSED for node in inner) else (*nodes, *inner)
        for item in items:
            if isinstance(item, Mapping):
                self.visit(item, inner, covered, place, depth - 1)
            elif not line or not isinstance(item, (str, int, float)):
                self.visit(item, in_lists, covered, place, depth - 1)
            elif isinstance(item, str):
                self._word(item, inner, marks, place, alone=len(line) == 1)

    def _word(
        self, word: str, inner: tuple[_PlaceNode, ...], marks: int, place: _Path, *, alone: bool
    ) -> None:
        """A word of a command line. The list may also be a list of commands, so what the word does
        by itself counts too, when it can be a command with arguments."""
        if not word or word.isspace():
            return
        by_itself = alone or len(word.split()) > 1
        for node in inner:
            marks |= node.read | node.covered
            by_itself = by_itself or bool(node.read & _PARSED)
        if by_itself:
            self.texts[word] = None
        self._note(place, marks)


def _words(items: Iterable[Any]) -> tuple[str, ...]:
    """The words of a command line: its texts and numbers, as a worker would write them."""
    return tuple(
        item if isinstance(item, str) else str(item).lower()
        for item in items
        if isinstance(item, (str, int, float))
    )


def _is_split(value: Mapping[Any, Any]) -> bool:
    """Whether an object holds one command line in two members, in a shape that leaves no doubt: one
    program that is a plain word, and one list of texts."""
    folded = {name: _folded(name) for name in value if isinstance(name, str)}
    programs = [value[name] for name, plain in folded.items() if plain in _PROGRAMS]
    arguments = [value[name] for name, plain in folded.items() if plain in _ARGUMENTS]
    return (
        len(programs) == len(arguments) == 1
        and isinstance(programs[0], str)
        and _PROGRAM_WORD.fullmatch(programs[0]) is not None
        and isinstance(arguments[0], (list, tuple))
        and all(isinstance(word, str) for word in arguments[0])
    )


def _line(words: Iterable[str]) -> str:
    """A command line of these words, each quoted."""
    return " ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in words)


def _are_options(value: Any) -> bool:
    """Whether arguments begin with an option, and so cannot be a command line by themselves."""
    if isinstance(value, str):
        return value.startswith("-")
    simple = isinstance(value, (list, tuple)) and len(_words(value)) == len(value) > 0
    return simple and str(value[0]).startswith("-")


def _is_fact(text: str, path: _Path) -> bool:
    """Whether a text is a name that rules match with a field of their own."""
    around, last = path
    if around is None:
        return last in NAME_ROOTS and is_name(text)
    while around[0] is not None:
        around = around[0]
    root = around[1]
    return (root in NAME_ROOTS or (root == "action" and last in _CALL_NAMES)) and is_name(text)


def _is_member_name(name: str, path: _Path) -> bool:
    if path == (None, "labels"):
        return is_name(name)
    return len(name) <= ARG_PATH_CHARS_MAX and _MEMBER_NAME.fullmatch(name) is not None


def _written(path: _Path) -> str:
    around, last = path
    if around is None:
        return last
    if last == "[*]":
        return _written(around) + last
    if isinstance(last, str) and _MEMBER_NAME.fullmatch(last):
        return f"{_written(around)}.{last}"
    # The name may be anything, a secret too: it is not shown, and the place around it names it.
    return _written(around)
