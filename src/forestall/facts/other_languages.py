"""What a program in Python, PowerShell, cmd or an unnamed language may do.

No deriver follows these languages, so every text is `unknown` and never `read`. Names that a text
holds can make it worse: they are looked up in `data/words`, and destructive shell commands are
found wherever they stand. A name that is built at run time is not seen; this module refuses to call
a text harmless because it found nothing.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Final

from forestall.facts.bounded_facts import at_most
from forestall.facts.data_files import WordLists
from forestall.facts.shell.command_classes import UNKNOWN, Classes, CommandClass
from forestall.facts.shell.commands import TEXT_BYTES_MAX, Command, suspects_in
from forestall.facts.shell.other_interpreters import windows_commands
from forestall.limits import FACTS_PER_TEXT_MAX

NAMES_MAX: Final = 4_000  # dotted names of one text that are looked up; past it: only unknown
DOTS_MAX: Final = 8  # parts of one dotted name that are looked up

_UNKNOWN_COMMAND: Final = Command(program="", classes=UNKNOWN)
_PYTHON: Final = WordLists("python.yaml")
_DOTTED_NAME: Final = re.compile(r"[^\W\d]\w*(?:\s*\.\s*[^\W\d]\w*)*")
_QUOTES_AS_BREAKS: Final = {ord(char): "\n" for char in "'\"`^,"}


def programs_in(text: str, language: str) -> tuple[Command, ...]:
    """Every effect that can be told from the text: an unknown one, and those recognised, at most
    FACTS_PER_TEXT_MAX (`bounded_facts`).

    `language` is `python`, `powershell` or `cmd`; in any other one nothing is recognised.
    """
    commands: dict[Command, None] = {_UNKNOWN_COMMAND: None}
    is_short = (
        len(text) <= TEXT_BYTES_MAX and len(text.encode("utf-8", "replace")) <= TEXT_BYTES_MAX
    )
    if is_short and language in _NAMES_OF_LANGUAGE:
        for name, kinds in _NAMES_OF_LANGUAGE[language](text):
            commands[Command(program=name, classes=kinds)] = None
        commands.update(dict.fromkeys(suspects_in(text)))
    return at_most(FACTS_PER_TEXT_MAX, commands, _UNKNOWN_COMMAND)


def _windows_commands(text: str) -> Iterator[tuple[str, Classes]]:
    """The destructive commands of Windows in a text, inside its quotes too."""
    return windows_commands(text.translate(_QUOTES_AS_BREAKS))


def _python_names(text: str) -> Iterator[tuple[str, Classes]]:
    """The listed names in a text, and those that end a longer dotted name."""
    listed = _listed_python_names()
    for match in itertools.islice(_DOTTED_NAME.finditer(text), NAMES_MAX + 1):
        parts = "".join(match[0].split()).lower().split(".")[:DOTS_MAX]
        for start in range(len(parts)):
            for end in range(start + 1, len(parts) + 1):
                name = ".".join(parts[start:end])
                if name in listed:
                    yield name, listed[name]


@cache
def _listed_python_names() -> dict[str, Classes]:
    words = _PYTHON.meanings("python_names", str)
    return {name: frozenset((CommandClass(kind),)) for name, kind in words.items()}


_NAMES_OF_LANGUAGE: Final[Mapping[str, Callable[[str], Iterator[tuple[str, Classes]]]]] = {
    "python": _python_names,
    "powershell": _windows_commands,
    "cmd": _windows_commands,
}
