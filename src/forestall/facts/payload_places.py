"""Places in a payload: how a policy writes one, and the tree of those that are read or ignored.

A place is a path: `prompt`, `args.command`, `context.steps[*].run`, `context['a b']`, `args.*.x`.
What the payload is, and what a text of it is, stands at the top of `payload.py`. This module
refuses a place that no payload can have: it would be read, or ignored, in vain.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from forestall.limits import ARG_PATH_CHARS_MAX

# Roots whose single words are names, which rules match with fields of their own.
NAME_ROOTS = ("labels", "tags", "risk_tags", "requires", "capability", "pack_id", "actor_id")
_READ_ROOTS = ("prompt", "context", "args", "action")  # a deriver may read texts in these
CALL_NAMES = ("server", "tool", "verb")  # texts of a tool call that are names
PARSED = 1  # this bit of a place: its text is parsed; a higher bit: that file declares the place

_ROOT = re.compile(r"[a-z_]+")
_STEP = re.compile(
    r"\.(?P<name>[^\W\d][\w-]*)|(?P<any_member>\.\*)|(?P<any_item>\[\*\])"
    r"|\['(?P<quoted>(?:[^'\\]|\\['\\])*)'\]"
)


class PlaceError(ValueError):
    """A path names no place that a payload can have."""


class Wildcard(Enum):
    """A step that leads to every member of an object, or to every item of a list."""

    MEMBER = ".*"
    ITEM = "[*]"


Step = str | Wildcard
Steps = tuple[Step, ...]


def parse_place(text: str, *, of_ignore: bool = False) -> Steps:
    """The steps of a place, its root first. Raises PlaceError, which says what may stand there.

    `of_ignore`: the place may lie in any part; a field lies in prompt, context, args or action.
    """
    roots = (*_READ_ROOTS, *NAME_ROOTS) if of_ignore else _READ_ROOTS
    if len(text) > ARG_PATH_CHARS_MAX:
        raise PlaceError(f"a path is at most {ARG_PATH_CHARS_MAX} characters long")
    root = _ROOT.match(text)
    if root is None or root[0] not in roots:
        raise PlaceError("a payload has no such place; a path begins with " + _or(roots))
    steps: list[Step] = [root[0]]
    position = root.end()
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            raise PlaceError(
                f"`{text[position:][:20]}` is no step; use `.name`, `['a name']`, `.*` for any"
                " member, `[*]` for any item of a list"
            )
        steps.append(_step(step))
        position = step.end()
    if steps[:2] == ["action", "args"]:
        del steps[0]  # `args` and `action.args` are one value
    _require_possible(steps)
    if of_ignore and steps[-1] is Wildcard.MEMBER:
        raise PlaceError("`.*` at the end leaves nothing out; name the place itself")
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["any_member"]:
        return Wildcard.MEMBER
    if match["any_item"]:
        return Wildcard.ITEM
    if match["quoted"] is not None:
        return re.sub(r"\\(.)", r"\1", match["quoted"])
    return match["name"]


def _require_possible(steps: Sequence[Step]) -> None:
    """Raises PlaceError when no payload has a value at such a place."""
    root, inner = steps[0], steps[1:]
    if root in ("context", "args"):
        return
    if root == "action":
        members = (*CALL_NAMES, "target_resource")
        if inner and (inner[0] not in members or len(inner) > 1):
            listed = ", ".join(f"`action.{name}`" for name in members)
            raise PlaceError(f"a tool call has {listed} and `action.args`, and no other text")
    elif root == "labels":
        if len(inner) > 1 or (inner and inner[0] is Wildcard.ITEM):
            raise PlaceError("`labels` has texts only, as in `labels.team`")
    elif root in ("tags", "risk_tags", "requires"):
        if inner and list(inner) != [Wildcard.ITEM]:
            raise PlaceError(f"`{root}` is a list of texts; `{root}` alone names all of it")
    elif inner:
        raise PlaceError(f"`{root}` is a text and has no places in it")


def _or(words: Iterable[str]) -> str:
    *most, last = (f"`{word}`" for word in words)
    return f"{', '.join(most)} or {last}"


def folded_name(name: str) -> str:
    """The name of a member as `fields` compare it: without regard to case, `_` and `-`."""
    return name.casefold().replace("_", "").replace("-", "")


class DeclaredPlaces(NamedTuple):
    """What one file declares for its own rules: places that are read, and places to ignore."""

    fields: tuple[str, ...]
    ignore: tuple[str, ...] = ()


class PlaceNode:
    """A place in the tree of all places that are read or ignored.

    `read` and `covered` are sets of bits, PARSED and one for each file. `read` holds for the value
    at the place, `covered` for all that is inside it too. A step of `fields` leads to a node by the
    folded name, a step of `ignore` by the exact one.
    """

    __slots__ = ("any_item", "any_member", "by_exact_name", "by_folded_name", "covered", "read")

    def __init__(self) -> None:
        self.read = self.covered = 0
        self.by_folded_name: dict[str, PlaceNode] = {}
        self.by_exact_name: dict[str, PlaceNode] = {}
        self.any_member: PlaceNode | None = None
        self.any_item: PlaceNode | None = None

    @property
    def is_leaf(self) -> bool:
        """Whether nothing is read at the place or inside it."""
        deeper = self.by_folded_name or self.by_exact_name or self.any_member or self.any_item
        return not self.read and not deeper

    def members(self, name: str, folded: str) -> Iterator["PlaceNode"]:
        """The nodes that a member of this name leads to."""
        if folded in self.by_folded_name:
            yield self.by_folded_name[folded]
        if name in self.by_exact_name:
            yield self.by_exact_name[name]
        if self.any_member is not None:
            yield self.any_member

    def descend(self, step: Step, *, exactly: bool) -> "PlaceNode":
        """The node one step further, made when it is not there."""
        if step is Wildcard.ITEM:
            self.any_item = self.any_item or PlaceNode()
            return self.any_item
        if step is Wildcard.MEMBER:
            self.any_member = self.any_member or PlaceNode()
            return self.any_member
        if exactly:
            return self.by_exact_name.setdefault(step, PlaceNode())
        return self.by_folded_name.setdefault(folded_name(step), PlaceNode())


def place_tree(files: Sequence[DeclaredPlaces]) -> tuple[PlaceNode, int]:
    """The tree of the places that files declare, and the bits of all files. Raises PlaceError for a
    path that cannot be."""
    root = PlaceNode()
    all_files = 0
    for number, file in enumerate(files):
        file_bit = PARSED << (number + 1)
        all_files |= file_bit
        for text in file.fields:
            _node(root, parse_place(text), exactly=False).read |= file_bit | PARSED
        for text in file.ignore:
            _node(root, parse_place(text, of_ignore=True), exactly=True).covered |= file_bit
    return root, all_files


def _node(node: PlaceNode, steps: Steps, *, exactly: bool) -> PlaceNode:
    for step in steps:
        node = node.descend(step, exactly=exactly)
    return node
