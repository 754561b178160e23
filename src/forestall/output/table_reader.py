"""Read a table of data that is part of the package: YAML in, Structs out, strictly.

The core opens no files. A table is no file of a user's: it is installed with the code, is the same
in every run, and is reached by its name in the package. So this module alone asks the loader of the
package for bytes, and everything else here is a function of those bytes. (importlib.resources would
do the same, and takes longer to import than a table takes to read.)

Refused: a key that the type does not have or that is written twice, a key without a value, a value
of another type, anchors, aliases, tags, a second document. Every error names file, line and key.
Every scalar is text; the type says what becomes a number, so `no`, `1.0` and `on` mean themselves.
"""

import re
from collections.abc import Callable
from pkgutil import get_data
from typing import Any, Generic, TypeVar

import msgspec
import yaml

from forestall.limits import TABLE_BYTES_MAX, TABLE_DEPTH_MAX

_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml is ten times as fast
_PLACE = re.compile(r" - at `(?:key` in `)?\$([^`]*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")

T = TypeVar("T")
Step = str | int
_Container = dict[str, Any] | list[Any]


class TableError(ValueError):
    """A table that cannot be used. `source` and `line` say where, `key` names what is wrong."""

    def __init__(self, source: str, line: int, key: str, message: str) -> None:
        self.source, self.line, self.key = source, line, key
        super().__init__(f"{source}:{line}: {f'`{key}`' if key else 'the table'}: {message}")


class DataTable(Generic[T]):
    """A table as read: its value, and the lines of what is in it."""

    def __init__(self, source: str, value: T, raw: _Container, lines: dict[int, Any]) -> None:
        self.source, self.value = source, value
        self._raw, self._lines = raw, lines

    def line(self, *path: Step) -> int:
        """The line, from 1, of what stands at the path; of the nearest above it that there is."""
        return _line(self._raw, self._lines, path)

    def error(self, message: str, *path: Step) -> TableError:
        """An error about what stands at the path, for checks that a type cannot make."""
        return TableError(self.source, self.line(*path), _key(path), message)


def table_bytes(package: str, name: str) -> bytes:
    """The bytes of a table, for a digest of it. `name` may have folders, with slashes between."""
    data = get_data(package, name)
    assert data is not None, "the loader of a package that is installed gives its data"
    return data


def read_table(package: str, name: str, as_type: type[T]) -> DataTable[T]:
    """The table of this name in a package. Raises TableError."""
    return parse_table(table_bytes(package, name), name, as_type)


def parse_table(data: bytes, source: str, as_type: type[T]) -> DataTable[T]:
    """A table from its bytes; `source` names them in errors. Raises TableError."""
    if len(data) > TABLE_BYTES_MAX:
        raise TableError(source, 1, "", f"has more than {TABLE_BYTES_MAX} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as cause:
        line = data.count(b"\n", 0, cause.start) + 1
        raise TableError(source, line, "", "is not UTF-8 text") from cause
    lines: dict[int, Any] = {}
    raw = _parsed(text, source, lines)
    try:
        value = msgspec.convert(raw, as_type, strict=False)
    except msgspec.ValidationError as cause:
        path = _path(str(cause))
        message = _PLACE.sub("", str(cause))
        raise TableError(source, _line(raw, lines, path), _key(path), message) from cause
    return DataTable(source, value, raw, lines)


def _parsed(text: str, source: str, lines: dict[int, Any]) -> _Container:
    loader: Any = None
    try:
        loader = _LOADER(text)
        composer = _TableComposer(source, lines)
        composer.compose(loader.get_event)
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark or cause.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise TableError(source, line, "", f"is not YAML: {cause.problem}") from cause
    except yaml.reader.ReaderError as cause:
        raise TableError(source, 1, "", "has a character that YAML does not allow") from cause
    finally:
        if loader is not None:
            loader.dispose()
    if composer.root is None:
        raise TableError(source, 1, "", "is no list and no mapping")
    return composer.root


class _TableComposer:
    """Builds lists, mappings and texts from the events of the parser, without recursion.

    `lines` gets the line of each list and mapping, and those of a mapping's keys. Texts are most of
    a table, so what is done for each of them stands in one loop.
    """

    def __init__(self, source: str, lines: dict[int, Any]) -> None:
        self._source, self._lines = source, lines
        self._open: list[tuple[Any, str | None, Any]] = []  # what the list or mapping is inside of
        self._documents = 0
        self.root: _Container | None = None

    def compose(self, next_event: Callable[[], Any]) -> None:
        """Take every event of a document. Raises TableError."""
        scalar = yaml.ScalarEvent
        here: Any = None  # the list or mapping that is open
        key: str | None = None  # of a mapping, that waits for its value
        places: Any = None  # the lines of its keys; None in a list
        while True:
            event = next_event()
            kind = type(event)
            if kind is scalar:
                value = event.value
                if event.anchor or event.tag is not None:
                    raise self._no_reference(event)
                if key is not None:
                    if value == "" and event.implicit[0]:
                        raise self._error(event, key, "has no value")
                    here[key] = value
                    key = None
                elif places is not None:
                    if value in places:
                        what = f"is written twice, first on line {places[value]}"
                        raise self._error(event, value, what)
                    places[value] = event.start_mark.line + 1
                    key = value
                elif here is not None:
                    here.append(value)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._open.append((here, key, places))
                here, places = self._begin(event, here, key, places)
                key = None
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                here, _, places = self._open.pop()
            elif kind is yaml.StreamEndEvent:
                return
            else:
                self._structure(kind, event)

    def _begin(self, event: Any, here: Any, key: str | None, places: Any) -> tuple[Any, Any]:
        """What the event opens, put into what is open."""
        if event.anchor or event.tag is not None:
            raise self._no_reference(event)
        if len(self._open) > TABLE_DEPTH_MAX:
            raise self._error(event, "", "is nested too deep")
        is_mapping = type(event) is yaml.MappingStartEvent
        value: _Container = {} if is_mapping else []
        inside: dict[str, int] | None = {} if is_mapping else None
        self._lines[id(value)] = (event.start_mark.line + 1, inside)
        if key is not None:
            here[key] = value
        elif places is not None:
            raise self._error(event, "", "has a key that is no word")
        elif here is not None:
            here.append(value)
        else:
            self.root = value
        return value, inside

    def _structure(self, kind: type, event: Any) -> None:
        if kind is yaml.AliasEvent:
            raise self._no_reference(event)
        self._documents += kind is yaml.DocumentStartEvent
        if self._documents > 1:
            raise self._error(event, "", "is a second document")

    def _no_reference(self, event: Any) -> TableError:
        return self._error(event, "", "has an anchor, an alias or a tag; write the value out")

    def _error(self, event: Any, key: str, message: str) -> TableError:
        return TableError(self._source, event.start_mark.line + 1, key, message)


def _line(raw: _Container, lines: dict[int, Any], path: tuple[Step, ...]) -> int:
    here: Any = raw
    line, inside = lines[id(here)]
    for step in path:
        if inside is not None and step in inside:
            line = inside[step]
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            break
        if id(here) not in lines:  # a text: in a list, the line where the list begins
            break
        begins, inside = lines[id(here)]
        line = begins if isinstance(step, int) else line
    return int(line)


def _path(message: str) -> tuple[Step, ...]:
    """Where msgspec says that something is wrong, as steps from the top."""
    found = _PLACE.search(message)
    steps: list[Step] = []
    if found is not None:
        steps += [name or int(number) for name, number in _STEP.findall(found[1])]
    unknown = _UNKNOWN.search(message)
    return (*steps, unknown[1]) if unknown else tuple(steps)


def _key(path: tuple[Step, ...]) -> str:
    """A path as it is shown: `detectors[3].pattern`."""
    shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return shown.removeprefix(".")
