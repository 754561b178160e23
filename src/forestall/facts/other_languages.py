"""What a program in Python, PowerShell, cmd or an unnamed language may do.

No deriver follows these languages, so every text is `unknown` and never `read`. Names that a text
holds can make it worse: they are looked up in `data/words`, and destructive shell commands are
found wherever they stand. A name that is built at run time is not seen; this module refuses to call
a text harmless because it found nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Final

from forestall.facts.data_files import WordLists
from forestall.facts.shell.command_classes import UNKNOWN, Classes, CommandClass
from forestall.facts.shell.commands import TEXT_BYTES_MAX, Command, suspects_in
from forestall.facts.shell.other_interpreters import windows_commands

NAMES_MAX: Final = 4_000  # dotted names of one text that are looked up; past it: only unknown
PROGRAMS_MAX: Final = 32  # distinct names reported for one text
DOTS_MAX: Final = 8  # parts of one dotted name that are looked up

_UNKNOWN_COMMAND: Final = Command(program="", classes=UNKNOWN)
_PYTHON: Final = WordLists("python.yaml")
_DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\s*\.\s*[^\W\d]\w*)*")
_QUOTES: Final = {ord(char): "\n" for char in "'\"`^,"}


def programs_in(text: str, language: str) -> tuple[Command, ...]:
    """Every effect that can be told from the text: first an unknown one, then those recognised.

    `language` is `python`, `powershell` or `cmd`; in any other one nothing is recognised.
    """
    found: dict[Command, None] = {_UNKNOWN_COMMAND: None}
    short = len(text) <= TEXT_BYTES_MAX and len(text.encode("utf-8", "replace")) <= TEXT_BYTES_MAX
    if short and language in _RECOGNISED:
        for name, kinds in _RECOGNISED[language](text):
            found.setdefault(Command(program=name, classes=kinds))
        found.update(dict.fromkeys(suspects_in(text)))
    if len(found) > PROGRAMS_MAX:  # each costs a decision: keep every class, under no name
        return (Command(program="", classes=frozenset().union(*(one.classes for one in found))),)
    return tuple(found)


def _windows_commands(text: str) -> Iterator[tuple[str, Classes]]:
    return windows_commands(text.translate(_QUOTES))


def _python_names(text: str) -> Iterator[tuple[str, Classes]]:
    """The listed names in a text, and those that end a longer dotted name."""
    known = _known_names()
    for count, match in enumerate(_DOTTED.finditer(text)):
        if count > NAMES_MAX:
            return
        parts = "".join(match[0].split()).lower().split(".")[:DOTS_MAX]
        for start in range(len(parts)):
            for end in range(start + 1, len(parts) + 1):
                name = ".".join(parts[start:end])
                if name in known:
                    yield name, known[name]


@cache
def _known_names() -> dict[str, Classes]:
    words = _PYTHON.meanings("python_names", str)
    return {name: frozenset((CommandClass(kind),)) for name, kind in words.items()}


_RECOGNISED: Final[Mapping[str, Callable[[str], Iterator[tuple[str, Classes]]]]] = {
    "python": _python_names,
    "powershell": _windows_commands,
    "cmd": _windows_commands,
}
