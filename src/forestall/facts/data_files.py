"""Reads the tables that stand beside the code of this room as YAML (`data/`), entry by entry.

What a program, a word or a host name means is data: people who do not know Python read it, and
users will add entries of their own. `forestall.data_tables` reads a text, and says what it refuses.

YAML is slow to read, and a text asks about few programs. So a table is cut at the lines that begin
in the first column, where every entry starts, and an entry is read when somebody asks for it.
`tests/unit/facts/test_data_files.py` reads every entry, and holds the cutting against YAML itself.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec

from forestall.data_tables import (
    DataFileError,
    DataText,
    DataValueError,
    convert,
    package_text,
)

_T = TypeVar("_T")
_EntryStart = tuple[str, int]  # a file, and the character of it at which the entry begins
# The start of an entry: a name in the first column, in quotes or without, and a colon.
_ENTRY: Final = re.compile(r"\n(?:'([^'\n]+)'|([^\s#'\"{}\[\],:&*!|>%@`-][^\s:]*)):(?=\s)")
_HEADING: Final = re.compile(rf"(?:\n#[^\n]*|\n)*{_ENTRY.pattern}")


def read_text(name: str) -> str:
    """The text of one data file, named by its path below `data/`. Raises DataFileError."""
    return package_text("forestall.facts", f"data/{name}")


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
        self._starts: dict[str, _EntryStart] = {}
        self._entries: dict[str, _T] = {}

    def names(self) -> Mapping[str, object]:
        """Every name, in the order of the files. Raises DataFileError."""
        if not self._starts:
            starts: dict[str, _EntryStart] = {}
            for file in self._files:
                text = self._texts[file] = "\n" + self._read(f"{self._folder}/{file}")
                if _HEADING.match(text) is None:
                    raise DataText(text, file).error(0, "a file begins with comments and an entry")
                for match in _ENTRY.finditer(text):
                    name = match[1] or match[2]
                    start = (file, match.start() + 1)
                    if name in starts:
                        raise self._written_twice(name, starts[name], start)
                    starts[name] = start
            self._starts = starts
        return self._starts

    def _written_twice(self, name: str, first: _EntryStart, second: _EntryStart) -> DataFileError:
        source = self._source(*first)
        place = f"{source.name}:{source.first_line}"
        message = f"`{name}` is written twice; first in {place}"
        return self._source(*second).error(0, message)

    def _source(self, file: str, start: int) -> DataText:
        """One entry: from its name in the first column to the next name there."""
        text = self._texts[file]
        next_entry = _ENTRY.search(text, start)
        end = next_entry.start() + 1 if next_entry is not None else len(text)
        return DataText(text[start:end], file, text.count("\n", 0, start))

    def get(self, name: str) -> _T | None:
        """The entry of a name, or None. Raises DataFileError when the entry is wrong."""
        entry = self._entries.get(name)
        if entry is None and name in self.names():
            source = self._source(*self._starts[name])
            entry = self._entries[name] = _read_entry(name, source, self._kind)
        return entry

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
        word_list = self.table.get(name)
        if word_list is None:
            raise DataFileError(f"there is no word list `{name}`")
        try:
            return convert(word_list.words, kind)
        except DataValueError as error:
            path = ".".join(map(str, error.path))
            raise self.table.error(name, f"`{name}.words.{path}`: {error.message}") from error


def _read_entry(name: str, source: DataText, kind: type[_T]) -> _T:
    value = source.parsed()
    if not isinstance(value, dict) or list(value) != [name]:
        raise source.error(0, f"`{name}`: something beside the entry begins in the first column")
    try:
        return convert(value[name], kind)
    except DataValueError as error:
        raise source.error_at((name, *error.path), error.message) from error
