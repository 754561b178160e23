"""Reads the tables that stand beside the code as YAML (`data/`), strictly, and entry by entry.

What a program, a word or a host name means is data: people who do not know Python read it, and
users will add entries of their own. This module is the one place of the core that reads a file: a
data file is part of the package as a module is, it is read by the importer that found the package,
and its text is the same in every process. It refuses what it does not understand: an unknown field,
a key or a word written twice, an anchor, a tag and a value of the wrong kind are errors that name
file, line and key.

YAML is slow to read, and a text asks about few programs. So a table is cut at the lines that begin
in the first column, where every entry starts, and an entry is read when somebody asks for it.
`tests/unit/facts/test_data_files.py` reads every entry, and holds the cutting against YAML itself.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar

import msgspec
import yaml

from forestall.errors import ForestallError

_T = TypeVar("_T")
_FOLDER: Final = Path(__file__).parent / "data"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ENTRY: Final = re.compile(r"\n(?:'([^'\n]+)'|([^\s#'\"{}\[\],:&*!|>%@`-][^\s:]*)):(?=\s)")
_HEADING: Final = re.compile(rf"(?:\n#[^\n]*|\n)*{_ENTRY.pattern}")
_DIGITS_MAX: Final = 9
_CONSTANTS: Final[dict[str, bool | None]] = {
    "true": True,
    "false": False,
    "": None,
    "~": None,
    "null": None,
}
_NODES: Final[dict[type, Callable[[], Any]]] = {
    yaml.ScalarEvent: str,
    yaml.MappingStartEvent: dict,
    yaml.SequenceStartEvent: list,
    yaml.AliasEvent: str,
}
# Patterns for msgspec's messages; they are compiled when there is a message.
_PATH_IN_MESSAGE: Final = r"(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?"
_STEP: Final = r"\.(?P<field>\w+)|\[(?P<index>\d+)\]|\[\.\.\.\]"
_UNKNOWN_FIELD: Final = r"Object contains unknown field `(.*)`"

Keys = tuple[str | int, ...]


class DataFileError(ForestallError):
    """A table of the package is not what its schema asks for: the installation is damaged."""

    code, http_status = "data_file_invalid", 500


class DataValueError(ValueError):
    """A value is not what its schema asks for. `path` leads to the member at fault."""

    def __init__(self, message: str, path: Keys) -> None:
        super().__init__(message)
        self.message, self.path = message, path


class _Source(NamedTuple):
    """A text, the name of its file, and the line of the file on which the text begins."""

    text: str
    name: str
    first_line: int = 1

    def error(self, line: int, message: str) -> DataFileError:
        """An error on a line of the text; lines count from 0, as the parser counts."""
        return DataFileError(f"{self.name}:{self.first_line + line}: {message}")


def read_text(name: str) -> str:
    """The text of one data file, named by its path below `data/`. Raises DataFileError."""
    importer: Any = __spec__.loader  # reads from a zip file, too
    try:
        data: bytes = importer.get_data(f"{_FOLDER}/{name}")
        return data.decode("utf-8")
    except OSError as cause:
        raise DataFileError(f"{name}: the file is not part of this installation") from cause
    except UnicodeDecodeError as cause:
        raise DataFileError(f"{name}: the file is not UTF-8 text") from cause


def convert(value: Any, kind: type[_T]) -> _T:
    """The value as `kind`, a msgspec type. Changes `value` when it is wrong.

    Raises DataValueError, which names the member at fault by its keys.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _blame(value, kind, str(error)) from error


def _blame(value: Any, kind: type, message: str) -> DataValueError:
    """Find the member at fault. msgspec calls every member of a mapping `[...]`, so each one is
    tried without the others until the error comes back."""
    path: list[str | int] = []
    node = value
    while True:
        found = re.fullmatch(_PATH_IN_MESSAGE, message)
        assert found is not None
        steps = list(re.finditer(_STEP, found["path"] or ""))
        if len(steps) <= len(path):
            break
        step = steps[len(path)]
        if step["field"] or step["index"]:
            path.append(step["field"] or int(step["index"]))
        else:
            key, message = _failing_member(value, kind, node)
            path.append(key)
        node = node[path[-1]]
    what = found["what"]
    unknown = re.fullmatch(_UNKNOWN_FIELD, what)
    if unknown is not None:
        path.append(unknown[1])
        what = "there is no such field"
    return DataValueError(what[:1].lower() + what[1:], tuple(path))


def _failing_member(value: Any, kind: type, node: dict[str, Any]) -> tuple[str, str]:
    members = dict(node)
    for key, member in members.items():
        node.clear()
        node[key] = member
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            return key, str(error)
    raise AssertionError("a mapping was refused, and none of its members")


class EntryTable(Generic[_T]):
    """A folder of data files, each a mapping from names to entries that are read when asked for."""

    def __init__(
        self,
        folder: str,
        files: Sequence[str],
        kind: type[_T],
        read: Callable[[str], str] = read_text,
    ) -> None:
        """Nothing is read yet. `kind` is the type of an entry; `read` gives the text of a file."""
        self._folder, self._files, self._kind, self._read = folder, files, kind, read
        self._texts: dict[str, str] = {}
        self._starts: dict[str, tuple[str, int]] = {}
        self._entries: dict[str, _T] = {}

    def names(self) -> Mapping[str, object]:
        """Every name, in the order of the files. Raises DataFileError."""
        if not self._starts:
            starts: dict[str, tuple[str, int]] = {}
            for file in self._files:
                text = self._texts[file] = "\n" + self._read(f"{self._folder}/{file}")
                if _HEADING.match(text) is None:
                    raise _Source(text, file).error(0, "a file begins with comments and an entry")
                for found in _ENTRY.finditer(text):
                    name = found[1] or found[2]
                    start = (file, found.start() + 1)
                    if name in starts:
                        other = self._source(*starts[name])
                        first = f"{other.name}:{other.first_line}"
                        message = f"`{name}` is written twice; first in {first}"
                        raise self._source(*start).error(0, message)
                    starts[name] = start
            self._starts = starts
        return self._starts

    def _source(self, file: str, start: int) -> _Source:
        """One entry: from its name in the first column to the next name there."""
        text = self._texts[file]
        following = _ENTRY.search(text, start)
        end = following.start() + 1 if following is not None else len(text)
        return _Source(text[start:end], file, text.count("\n", 0, start))

    def get(self, name: str) -> _T | None:
        """The entry of a name, or None. Raises DataFileError when the entry is wrong."""
        found = self._entries.get(name)
        if found is None:
            if name not in self.names():
                return None
            source = self._source(*self._starts[name])
            found = self._entries[name] = _entry(name, source, self._kind)
        return found

    def file_of(self, name: str) -> str:
        """The file that the entry of a name stands in; "" when there is none."""
        return self._starts[name][0] if name in self.names() else ""

    def error(self, name: str, message: str) -> DataFileError:
        """An error in the entry of a name, with its place."""
        return self._source(*self._starts[name]).error(0, message)


class WordList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words that mean the same to a deriver, or words and what each one means."""

    why: Annotated[str, msgspec.Meta(min_length=1)]
    words: dict[str, Any] | list[str]
    examples: Annotated[dict[str, str | list[str]], msgspec.Meta(min_length=1)]


class WordLists:
    """The word lists of one file of `data/words`."""

    def __init__(self, file: str) -> None:
        """Nothing is read yet."""
        self.table = EntryTable("words", [file], WordList)

    def words(self, name: str) -> list[str]:
        """The words of a list, in their order. Raises DataFileError."""
        return self._list(name, list[str])

    def set(self, name: str) -> frozenset[str]:
        """The words of a list, as a set. Raises DataFileError."""
        return frozenset(self.words(name))

    def meanings(self, name: str, kind: type[_T]) -> dict[str, _T]:
        """Words, and what each one means. Raises DataFileError."""
        return self._list(name, dict[str, kind])  # type: ignore[valid-type]  # made at run time

    def _list(self, name: str, kind: type[_T]) -> _T:
        found = self.table.get(name)
        if found is None:
            raise DataFileError(f"there is no word list `{name}`")
        try:
            return convert(found.words, kind)
        except DataValueError as error:
            path = ".".join(map(str, error.path))
            raise self.table.error(name, f"`{name}.words.{path}`: {error.message}") from error


def _entry(name: str, source: _Source, kind: type[_T]) -> _T:
    value = parse(source.text, source.name, source.first_line)
    if not isinstance(value, dict) or list(value) != [name]:
        raise source.error(0, f"`{name}`: something beside the entry begins in the first column")
    try:
        return convert(value[name], kind)
    except DataValueError as error:
        path = (name, *error.path)
        keys = ".".join(map(str, path))
        line = _line_of(source.text, path)
        raise source.error(line, f"`{keys}`: {error.message}") from error


def parse(text: str, name: str, first_line: int = 1) -> Any:
    """The value of one YAML document: texts, whole numbers, true and false, lists, mappings.

    `on` and `1.0` stay the texts that they are. Raises DataFileError.
    """
    source = _Source(text, name, first_line)
    loader: Any = None
    try:
        loader = _LOADER(text)
        return _value(loader, source)
    except yaml.MarkedYAMLError as cause:
        line = getattr(cause.problem_mark, "line", 0)
        raise source.error(line, f"not YAML: {cause.problem}") from cause
    except yaml.YAMLError as cause:
        raise source.error(0, "not YAML: a character that YAML does not allow") from cause
    finally:
        if loader is not None:
            loader.dispose()


def _value(loader: Any, source: _Source) -> Any:
    """Build the value from parser events: several times as fast as PyYAML's own constructors, and
    stricter."""
    root: list[Any] = []
    above: list[tuple[Any, str | None]] = []
    parent: Any = root
    key: str | None = None
    while True:
        event = loader.get_event()
        kind = type(event)
        if kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            if kind is yaml.SequenceEndEvent:
                _refuse_repeats(parent, event, source)
            parent, key = above.pop()
        elif kind in _NODES:
            if kind is yaml.AliasEvent or event.anchor or event.tag is not None:
                raise source.error(event.start_mark.line, "anchors, aliases and tags: not allowed")
            if type(parent) is dict and key is None:
                key = _key(event, parent, source)
                continue
            value: Any = _scalar(event) if kind is yaml.ScalarEvent else _NODES[kind]()
            if type(parent) is list:
                parent.append(value)
            else:
                parent[key], key = value, None
            if kind is not yaml.ScalarEvent:
                above.append((parent, key))
                parent, key = value, None
        elif kind is yaml.StreamEndEvent:
            return root[0] if root else None
        elif kind is yaml.DocumentStartEvent and root:
            raise source.error(event.start_mark.line, "a data file holds one document")


def _key(event: Any, parent: dict[str, Any], source: _Source) -> str:
    line: int = event.start_mark.line
    if type(event) is not yaml.ScalarEvent:
        raise source.error(line, "a key is a word")
    key: str = event.value
    if key in parent:
        raise source.error(line, f"`{key}` is written twice")
    return key


def _scalar(event: Any) -> str | int | bool | None:
    text: str = event.value
    if not event.implicit[0]:  # in quotes
        return text
    is_number = text.isdecimal() and text.isascii() and len(text) < _DIGITS_MAX
    return int(text) if is_number else _CONSTANTS.get(text, text)


def _refuse_repeats(items: list[Any], end: Any, source: _Source) -> None:
    words = [item for item in items if type(item) is str]
    if len(set(words)) < len(words):
        twice = next(word for word in words if words.count(word) > 1)
        raise source.error(end.start_mark.line, f"`{twice}` is written twice in one list")


def _line_of(text: str, path: Keys) -> int:
    """The line on which the key or the item at a path stands; lines count from 0."""
    node: Any = yaml.compose(text, _LOADER)  # slower than `parse`, and its nodes have places
    place: Any = node
    for step in path:
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == step), None)
            if found is None:
                break
            place, node = found
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            place = node = node.value[step]
    mark: Any = place.start_mark
    return int(mark.line)
