"""Typed reading of document nodes: each method takes a node and gives a value or notes a problem.

The reader never guesses. A value of the wrong shape is a problem and reads as absent; the caller
raises all problems at the end, so an absent value never becomes a policy.
"""

import collections.abc
import re
from collections.abc import Callable, Iterator

from forestall.limits import LIST_ITEMS_PER_FIELD_MAX, NAME_CHARS_MAX, POLICY_PROBLEMS_MAX
from forestall.policy.globs import GlobError, glob_pattern
from forestall.policy.language.document import Lines, Mapping, Node, Scalar, Sequence
from forestall.policy.language.literals import LITERAL_KEY, glob_of_literal, operator_hint
from forestall.policy.problems import PolicyError, Problem, did_you_mean
from forestall.policy.rules import OwnDetector, Place
from forestall.structs import copied

NamedLists = collections.abc.Mapping[str, tuple[Scalar, ...]]
_NOTHING: collections.abc.Mapping[str, str] = {}
_SHOWN_CHARS = 80  # characters of a text that a message shows
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


class Reader:
    """Reads the nodes of one file and collects the problems."""

    def __init__(self, source: str, lines: Lines) -> None:
        self.source = source
        self._lines = lines
        self._problems: list[Problem] = []
        self.places: dict[tuple[str, ...], Place] = {}
        self.lists: NamedLists = {}  # of all files that are read together
        self.list_entries_copied = 0
        self.own_detectors: collections.abc.Mapping[str, OwnDetector] = {}  # of this file, by name

    def note_place(self, node: Node, *key: str) -> None:
        """Note the place of an entry, for a check that sees more files than this one."""
        self.places[key] = self._place(node)

    def _place(self, node: Node) -> Place:
        excerpt = self._lines.line(node.line)
        return Place(line=node.line, column=node.column, length=node.length, excerpt=excerpt)

    def note_label(self, node: Node, label: str) -> None:
        """Note where a match names a label for the first time."""
        if ("used label", label) not in self.places:
            self.note_place(node, "used label", label)

    def problem(self, node: Node | None, message: str, hint: str = "") -> None:
        """Note a problem at a node (None: at the top of the file)."""
        if len(self._problems) >= POLICY_PROBLEMS_MAX:
            self.raise_problems()  # one file shows a bounded number of problems
        place = self._place(node or Node(1, 1, 1))
        problem = copied(Problem, place, source=self.source, message=message, hint=hint)
        self._problems.append(problem)

    def raise_problems(self) -> None:
        """Raise PolicyError with the problems noted so far, in the order of the file; return when
        there is none."""
        if self._problems:
            raise PolicyError(sorted(self._problems, key=lambda item: (item.line, item.column)))

    # -- shapes --

    def mapping(self, node: Node, what: str) -> Mapping | None:
        """The node as a mapping; its number of keys has the bound of a list."""
        if isinstance(node, Mapping):
            if len(node.entries) <= LIST_ITEMS_PER_FIELD_MAX:
                return node
            size = len(node.entries)
            self.problem(node, f"{what} has {size} entries; {LIST_ITEMS_PER_FIELD_MAX} are allowed")
            return None
        self.problem(node, f"{what} is a mapping (`key: value`), not {_shape(node)}")
        return None

    def mappings(
        self, mapping: Mapping, key: str, *, most: int = LIST_ITEMS_PER_FIELD_MAX
    ) -> Iterator[Mapping]:
        """The mappings in the list under a key. An entry that is no mapping is a problem."""
        node, what = self.child(mapping, key), f"`{key}`"
        if node is None:
            return
        if not isinstance(node, Sequence):
            self.problem(node, f"{what} is a list of mappings, not {_shape(node)}")
            return
        if len(node.items) > most:
            self.problem(node, f"{what} has {len(node.items)} entries; {most} are allowed")
            return
        for item in node.items:
            entry = self.mapping(item, f"an entry of {what}")
            if entry is not None:
                yield entry

    def known_keys(
        self,
        mapping: Mapping,
        allowed: tuple[str, ...],
        what: str,
        instead: collections.abc.Mapping[str, str] = _NOTHING,
    ) -> None:
        """Note every key outside `allowed`, with the known key that was probably meant.

        `instead` holds hints for keys of another language.
        """
        for key, (node, _) in mapping.entries.items():
            if key not in allowed:
                hint = instead.get(key) or did_you_mean(key, allowed)
                self.problem(node, f"unknown key `{key[:_SHOWN_CHARS]}` in {what}", hint)

    def child(self, mapping: Mapping, key: str) -> Node | None:
        """The node under a key. A key without a value is a problem."""
        entry = mapping.entries.get(key)
        if entry is None:
            return None
        if isinstance(entry[1], Scalar) and entry[1].is_null:
            self.problem(entry[0], f"`{key}` has no value", "give it one or leave it out")
            return None
        return entry[1]

    def section(
        self, mapping: Mapping, key: str, known: tuple[str, ...] | None = None
    ) -> Mapping | None:
        """The mapping under a key; None without one. Its keys are among those `known`, or any."""
        node = self.child(mapping, key)
        section = self.mapping(node, f"`{key}`") if node is not None else None
        if section is not None and known is not None:
            self.known_keys(section, known, f"`{key}`")
        return section

    # -- values --

    def text(self, mapping: Mapping, key: str, *, most: int | None = NAME_CHARS_MAX) -> str | None:
        """One text, exactly as written."""
        node = self.child(mapping, key)
        if node is None:
            return None
        if not isinstance(node, Scalar):
            self.problem(node, f"`{key}` is a text, not {_shape(node)}")
            return None
        if most is not None and len(node.text) > most:
            self.problem(node, f"`{key}` is {len(node.text)} characters long; {most} are allowed")
            return None
        return node.text

    def identifier(self, mapping: Mapping, key: str, what: str) -> str | None:
        """A name that travels in URLs, metrics and logs."""
        if key not in mapping.entries:
            self.problem(mapping, f"{what} has no `{key}`")
            return None
        text = self.text(mapping, key)
        if text is not None and not IDENTIFIER.fullmatch(text):
            hint = (
                "letters, digits, `.`, `_`, `:`, `/` and `-`, at most 128, first a letter or digit"
            )
            self.problem(mapping.value_of(key), f"`{key}` is not a name", hint)
            return None
        return text

    def word(
        self,
        mapping: Mapping,
        key: str,
        allowed: tuple[str, ...],
        instead: collections.abc.Mapping[str, str] = _NOTHING,
    ) -> str | None:
        """One word out of a closed set. `instead` holds hints for words of another language."""
        text = self.text(mapping, key)
        if text is None or text in allowed:
            return text
        hint = instead.get(text) or did_you_mean(text, allowed)
        self.problem(mapping.value_of(key), f"unknown {key} `{text}`", hint)
        return None

    def integer(self, mapping: Mapping, key: str, *, minimum: int, maximum: int) -> int | None:
        """A whole number between two bounds, inclusive."""
        node = self.child(mapping, key)
        if node is None:
            return None
        number = node.as_int() if isinstance(node, Scalar) else None
        if number is None or not minimum <= number <= maximum:
            self.problem(node, f"`{key}` is a whole number from {minimum} to {maximum}")
            return None
        return number

    def boolean(self, mapping: Mapping, key: str) -> bool | None:
        """`true` or `false`."""
        node = self.child(mapping, key)
        if node is None:
            return None
        value = node.as_bool() if isinstance(node, Scalar) else None
        if value is None:
            self.problem(node, f"`{key}` is `true` or `false`")
        return value

    def words(
        self,
        mapping: Mapping,
        key: str,
        *,
        empty_allowed: bool = False,
        any_text: bool = False,
        require: Callable[[Node, str], None] | None = None,
    ) -> tuple[str, ...]:
        """A list of texts, each looked at by `require`; the empty tuple without one. With
        `any_text` a text may look like an operator: it is content to look for, or a pattern."""
        items = self._scalars(mapping, key, empty_allowed=empty_allowed)
        texts = [self.literal(item) if isinstance(item, Mapping) else item.text for item in items]
        for item, text in zip(items, texts, strict=True):
            if not any_text:
                self.require_no_operator(item)
            if require is not None and text is not None:
                require(item, text)
        return tuple(text for text in texts if text is not None)

    def text_map(self, mapping: Mapping, key: str) -> dict[str, str]:
        """A mapping of texts to texts."""
        entries = self.section(mapping, key)
        if entries is None:
            return {}
        values = {name: self.text(entries, name, most=None) for name in entries.entries}
        return {name: value for name, value in values.items() if value is not None}

    def globs(self, mapping: Mapping, key: str, *, one_allowed: bool = False) -> tuple[str, ...]:
        """A list of well-formed globs; with `one_allowed` also one glob without the list."""
        globs: list[str] = []
        for item in self._scalars(mapping, key, one_allowed=one_allowed):
            if isinstance(item, Mapping):
                text = self.literal(item)
                glob = None if text is None else glob_of_literal(text)
            else:
                glob = item.text
                self.require_no_operator(item)
            if glob is not None:
                self.require_glob(item, glob)
                globs.append(glob)
        return tuple(globs)

    def literal(self, node: Mapping) -> str | None:
        """The text of `{literal: text}`: exactly that text, whatever it looks like."""
        self.known_keys(node, (LITERAL_KEY,), "a literal")
        return self.text(node, LITERAL_KEY)

    def require_no_operator(self, node: Node) -> None:
        """Note a problem for a text that looks like an operator of another language."""
        hint = operator_hint(node.text) if isinstance(node, Scalar) else ""
        if hint and isinstance(node, Scalar):
            shown = node.text[:_SHOWN_CHARS]
            self.problem(node, f"`{shown}` would be taken as that text, not as an operator", hint)

    def require_glob(self, node: Node, text: str) -> None:
        """Note a problem unless the text is a well-formed glob."""
        try:
            glob_pattern(text)
        except GlobError as cause:
            self.problem(node, f"`{text[:_SHOWN_CHARS]}` is not a glob: {cause}")

    def _scalars(
        self, mapping: Mapping, key: str, *, one_allowed: bool = False, empty_allowed: bool = False
    ) -> list[Scalar | Mapping]:
        """The texts under a key, each a scalar or a mapping with the key `literal`."""
        node = self.child(mapping, key)
        if node is None:
            return []
        if one_allowed and (isinstance(node, Scalar) or _is_literal(node)):
            assert isinstance(node, (Scalar, Mapping))
            return [node]
        if not isinstance(node, Sequence):
            self.problem(node, f"`{key}` is a list of texts, not {_shape(node)}", "write [a, b]")
            return []
        if not node.items and not empty_allowed:
            self.problem(node, f"`{key}` is empty", "leave it out, or list what it should match")
        if len(node.items) > LIST_ITEMS_PER_FIELD_MAX:
            size = len(node.items)
            self.problem(
                node, f"`{key}` has {size} entries; {LIST_ITEMS_PER_FIELD_MAX} are allowed"
            )
            return []
        scalars: list[Scalar | Mapping] = []
        for item in node.items:
            is_text = not item.is_null if isinstance(item, Scalar) else _is_literal(item)
            if is_text and isinstance(item, (Scalar, Mapping)):
                scalars.append(item)
            else:
                self.problem(item, f"an entry of `{key}` is a text, not {_shape(item)}")
        return scalars


def _is_literal(node: Node) -> bool:
    return isinstance(node, Mapping) and LITERAL_KEY in node.entries


def _shape(node: Node) -> str:
    if isinstance(node, Scalar):
        return "nothing" if node.is_null else f"the text `{node.text[:40]}`"
    return "a list" if isinstance(node, Sequence) else "a mapping"
