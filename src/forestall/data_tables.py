"""Reads YAML tables that are part of the package, strictly: bytes in, checked values out.

A table is installed with the code and is the same in every process. So this module alone asks the
loader of a package for bytes, and everything else here is a function of those bytes. What belongs
to one room (entries read one by one, word lists, detectors) stands in that room.

Refused, each with file, line and key: a key that the type does not have, a key or a word written
twice, a value of another type, an anchor, an alias, a tag, a second document, and a table that is
too large or nested too deep.
"""

import re
from importlib import import_module
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
import yaml

from forestall.errors import ForestallError
from forestall.limits import TABLE_BYTES_MAX, TABLE_DEPTH_MAX

_T = TypeVar("_T")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times as fast
_DIGITS_MAX: Final = 9
_CONSTANTS: Final[dict[str, bool | None]] = {
    "true": True,
    "false": False,
    "": None,
    "~": None,
    "null": None,
}
_CONTAINERS: Final[dict[type, Any]] = {yaml.MappingStartEvent: dict, yaml.SequenceStartEvent: list}
_CONTAINER_ENDS: Final = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
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


class DataText(NamedTuple):
    """A YAML text, the name of its file, and the line of the file on which the text begins."""

    text: str
    name: str
    first_line: int = 1

    def error(self, line: int, message: str) -> DataFileError:
        """An error on a line of the text; lines count from 0, as the parser counts."""
        return DataFileError(f"{self.name}:{self.first_line + line}: {message}")

    def error_at(self, path: Keys, message: str) -> DataFileError:
        """An error about the member at a path."""
        keys = ".".join(map(str, path))
        return self.error(_line_of(self.text, path), f"`{keys}`: {message}" if keys else message)

    def read(self, kind: type[_T]) -> _T:
        """The value as `kind`, a msgspec type; a text may become a number.

        Raises DataFileError.
        """
        try:
            return convert(self.parsed(), kind, strict=False)
        except DataValueError as error:
            raise self.error_at(error.path, error.message) from error

    def parsed(self) -> Any:
        """The value of the one document: texts, whole numbers, true and false, lists, mappings.

        `on` and `1.0` stay the texts that they are. Raises DataFileError.
        """
        if len(self.text) > TABLE_BYTES_MAX:
            raise self.error(0, f"the table has more than {TABLE_BYTES_MAX} characters")
        loader: Any = None
        try:
            loader = _LOADER(self.text)
            return _value(loader.get_event, self)
        except yaml.MarkedYAMLError as cause:
            mark: Any = cause.problem_mark or cause.context_mark
            line = mark.line if mark is not None else 0
            raise self.error(line, f"not YAML: {cause.problem}") from cause
        except yaml.YAMLError as cause:
            raise self.error(0, "not YAML: a character that YAML does not allow") from cause
        finally:
            if loader is not None:
                loader.dispose()


class DataTable(NamedTuple, Generic[_T]):
    """A table as read: its value, and the text that errors point into."""

    source: DataText
    value: _T

    def line(self, *path: str | int) -> int:
        """The line, from 1, of the member at a path."""
        return self.source.first_line + _line_of(self.source.text, path)

    def error(self, message: str, *path: str | int) -> DataFileError:
        """An error about the member at a path, for checks that a type cannot make."""
        return self.source.error_at(path, message)


def read_table(package: str, name: str, kind: type[_T]) -> DataTable[_T]:
    """The table of this name in a package. Raises DataFileError."""
    return parse_table(package_bytes(package, name), name, kind)


def parse_table(data: bytes, name: str, kind: type[_T]) -> DataTable[_T]:
    """A table from its bytes; `name` names them in errors. Raises DataFileError."""
    source = DataText(decoded_text(data, name), name)
    return DataTable(source, source.read(kind))


def package_bytes(package: str, name: str) -> bytes:
    """The bytes of a file of an installed package. `name` may have folders, with slashes between.

    Raises DataFileError.
    """
    module: Any = import_module(package)
    try:  # the importer reads from a zip file, too
        data: bytes = module.__spec__.loader.get_data(f"{module.__path__[0]}/{name}")
    except OSError as cause:
        raise DataFileError(f"{name}: the file is not part of this installation") from cause
    return data


def package_text(package: str, name: str) -> str:
    """The text of a file of an installed package. Raises DataFileError."""
    return decoded_text(package_bytes(package, name), name)


def decoded_text(data: bytes, name: str) -> str:
    """The bytes of a file as text. Raises DataFileError."""
    try:
        return data.decode()
    except UnicodeDecodeError as cause:
        raise DataFileError(f"{name}: the file is not UTF-8 text") from cause


def convert(value: Any, kind: type[_T], *, strict: bool = True) -> _T:
    """The value as `kind`, a msgspec type. Changes `value` when it is wrong.

    Raises DataValueError, which names the member at fault by its keys.
    """
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise _member_error(value, kind, str(error), strict) from error


def _member_error(value: Any, kind: type, message: str, strict: bool) -> DataValueError:
    """The error with the keys that lead to the member at fault.

    msgspec calls every member of a mapping `[...]`, so each one is tried without the others until
    the error comes back.
    """
    path: list[str | int] = []
    node = value
    while True:
        match = re.fullmatch(_PATH_IN_MESSAGE, message)
        assert match is not None
        steps = list(re.finditer(_STEP, match["path"] or ""))
        if len(steps) <= len(path):
            break
        step = steps[len(path)]
        if step["field"] or step["index"]:
            path.append(step["field"] or int(step["index"]))
        else:
            key, message = _failing_member(value, kind, node, strict)
            path.append(key)
        node = node[path[-1]]
    problem = match["what"]
    unknown = re.fullmatch(_UNKNOWN_FIELD, problem)
    if unknown is not None:
        path.append(unknown[1])
        problem = "there is no such field"
    return DataValueError(problem[:1].lower() + problem[1:], tuple(path))


def _failing_member(value: Any, kind: type, node: dict[str, Any], strict: bool) -> tuple[str, str]:
    """The key of the first member of `node`, a part of `value`, that is refused when it stands
    alone there, and the message. Changes `node`."""
    members = dict(node)
    for key, member in members.items():
        node.clear()
        node[key] = member
        try:
            msgspec.convert(value, kind, strict=strict)
        except msgspec.ValidationError as error:
            return key, str(error)
    raise AssertionError("a mapping was refused, and none of its members")


def _value(next_event: Any, source: DataText) -> Any:
    """Build the value from parser events: several times as fast as PyYAML's own constructors, and
    stricter. Texts are most of a table, so what is done for each of them stands in one loop."""
    scalar = yaml.ScalarEvent
    root: list[Any] = []  # of one item, the document
    enclosing: list[Any] = []  # the containers around `parent`, the innermost last
    parent: Any = root
    key: str | None = None  # of a mapping, that waits for its value
    while True:
        event = next_event()
        kind = type(event)
        value: Any
        if kind is scalar:
            value = event.value
            if event.anchor or event.tag is not None:
                raise _reference_error(event, source)
            if key is None and type(parent) is dict:
                if value in parent:
                    raise source.error(_line(event), f"`{value}` is written twice")
                key = value
                continue
            if event.implicit[0]:  # not in quotes
                value = plain_scalar(value)
        elif kind in _CONTAINERS:
            value = _container(event, len(enclosing), key is None and type(parent) is dict, source)
            enclosing.append(parent)
        elif kind in _CONTAINER_ENDS:
            if type(parent) is list:
                _refuse_repeats(parent, event, source)
            parent = enclosing.pop()
            continue
        elif kind is yaml.StreamEndEvent:
            return root[0] if root else None
        else:
            _refuse_structure(event, root, source)
            continue
        if key is None:
            parent.append(value)
        else:
            parent[key] = value
            key = None
        if kind is not scalar:
            parent = value


def plain_scalar(text: str) -> str | int | bool | None:
    """The value of a word that stands in no quotes."""
    is_number = text.isdecimal() and text.isascii() and len(text) < _DIGITS_MAX
    return int(text) if is_number else _CONSTANTS.get(text, text)


def _container(event: Any, depth: int, is_key: bool, source: DataText) -> Any:
    if event.anchor or event.tag is not None:
        raise _reference_error(event, source)
    if is_key:
        raise source.error(_line(event), "a key is a word")
    if depth > TABLE_DEPTH_MAX:
        raise source.error(_line(event), "it is nested too deep")
    return _CONTAINERS[type(event)]()


def _refuse_structure(event: Any, root: list[Any], source: DataText) -> None:
    if type(event) is yaml.AliasEvent:
        raise _reference_error(event, source)
    if type(event) is yaml.DocumentStartEvent and root:
        raise source.error(_line(event), "a data file holds one document")


def _reference_error(event: Any, source: DataText) -> DataFileError:
    return source.error(_line(event), "anchors, aliases and tags: not allowed")


def _refuse_repeats(items: list[Any], end: Any, source: DataText) -> None:
    words = [item for item in items if type(item) is str]
    if len(set(words)) < len(words):
        repeated = next(word for word in words if words.count(word) > 1)
        raise source.error(_line(end), f"`{repeated}` is written twice in one list")


def _line_of(text: str, path: Keys) -> int:
    """The line on which the key or the item at a path stands; lines count from 0."""
    node: Any = yaml.compose(text, _LOADER)  # slower than `parsed`, and its nodes have places
    place: Any = node
    for step in path:
        if isinstance(node, yaml.MappingNode):
            member = next((pair for pair in node.value if pair[0].value == step), None)
            if member is None:
                break
            place, node = member
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            place = node = node.value[step]
    return _line(place)


def _line(node_or_event: Any) -> int:
    return int(node_or_event.start_mark.line)
