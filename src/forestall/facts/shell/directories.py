"""The directories that each command of a text may run in, as `cd` and its kin change them.

A `cd` that stands in a plain sequence is followed; after any other the directory is not known. The
module refuses to know a directory that only the run would tell.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from forestall.facts.file_paths import plain_path
from forestall.facts.shell.program_entry import Arg
from forestall.facts.shell.syntax_tree import Item, grouped, text_of
from forestall.facts.shell.word_expansion import Word, WordReader
from forestall.facts.shell.words import WORDS

if TYPE_CHECKING:
    from tree_sitter import Node

Directories = tuple[str | None, ...]  # None: one that is not known; empty: not on this machine
ANYWHERE: Final[Directories] = (None,)
ELSEWHERE: Final[Directories] = ()
DIRECTORIES_MAX: Final = 4  # followed at once; more are not known
_CHANGES: Final = frozenset(("cd", "pushd", "popd", "chdir"))
_MENTIONED: Final = re.compile(r"\b(?:cd|pushd|popd|chdir)\b")
_MAY_MOVE: Final = re.compile(rb"cd|popd|pushd|chdir|source|[$`]|(?:^|[\s;&|(])\.\s")
_RUNS_HERE: Final = frozenset(("eval", "source", ".", "trap", "alias", "command", "builtin"))
_RUNS_LATER: Final = frozenset(("trap", "alias"))
_RUNS_A_FILE: Final = frozenset(("source", "."))
_QUOTES: Final = {ord(char): None for char in "'\"\\\n"}
_STAYING: Final = WORDS.meanings("wrappers_that_stay", list[str])


def inner_directories(
    name: str,
    args: Sequence[Arg],
    inner: Sequence[Sequence[Arg]],
    here: Directories,
    *,
    moved: bool,
) -> Directories:
    """Where the commands run that a command runs; `inner` are those that its last words are, and
    `moved` says that the text changes the directory somewhere."""
    if moved and name in _RUNS_LATER:
        return ANYWHERE
    moving = _STAYING.get(name)
    if moving is None:
        return ELSEWHERE
    own = len(args) - (len(inner[0]) if inner else 0)
    for arg in args[: max(own, 0)]:
        word = arg.text
        letters = {f"-{letter}" for letter in word[1:]} if not word.startswith("--") else {word}
        if word.startswith("-") and not ({word.partition("=")[0]} | letters).isdisjoint(moving):
            return ELSEWHERE
    return here


def directories_of(
    items: Iterable[Item], words: WordReader, here: Directories
) -> dict[int, Directories]:
    """The directories that each command may run in, by the node's id; empty when all run here."""
    found: dict[int, Directories] = {}
    if not words.finds(_MAY_MOVE):
        return found
    commands = [item for item in items if item.kind == "command"]
    moving = {item.node.id: item for item in commands if _may_move(item.node)}
    if not moving:
        return found
    repeated = any(map(_is_repeated, moving.values()))
    if repeated or words.mentions(b"CDPATH"):
        here = ANYWHERE
    behind: list[tuple[int, Directories]] = []  # where a chain of `&&` ends, and where it began
    for item in commands:
        node = item.node
        while behind and node.start_byte >= behind[-1][0]:
            here = _joined(here, behind.pop()[1])
        found[node.id] = ANYWHERE if item.function else here
        if node.id in moving:
            line = [words.word(*group) for group in grouped(node)[0]]
            after = _after(line, here)
            end = _end_of_chain(node)
            if end and not repeated:
                behind.append((end, here))
                here = after
            else:
                here = _joined(here, after)
    return found


def _may_move(node: "Node") -> bool:
    """Whether a command may change the directory, by a look at its text."""
    name = node.child_by_field_name("name")
    first = text_of(name).translate(_QUOTES) if name is not None else "$"
    if first in _RUNS_A_FILE or not {"$", "`"}.isdisjoint(first):
        return True
    text = text_of(node).translate(_QUOTES)
    unknown = first in _RUNS_HERE and not {"$", "`"}.isdisjoint(text)
    return unknown or _MENTIONED.search(text) is not None


def _joined(one: Directories, other: Directories) -> Directories:
    both = tuple(dict.fromkeys((*one, *other)))
    return both if len(both) <= DIRECTORIES_MAX else ANYWHERE


def _after(line: Sequence[Word], here: Directories) -> Directories:
    """The directories after a command whose text mentions a change of directory."""
    name = line[0].guesses[0] if line and line[0].literal else ""
    if name not in _CHANGES:
        return _joined(here, ANYWHERE) if not name or name in _RUNS_HERE else here
    targets = [word for word in line[1:] if not word.guesses[0].startswith("-") or not word.literal]
    if name in ("popd",) or len(targets) != 1 or not targets[0].literal or targets[0].tilde:
        home = len(line) == 1 or (len(targets) == 1 and targets[0].tilde)
        return _home(targets) if home and name != "popd" else ANYWHERE
    target = targets[0].guesses[0]
    if len(line) > 1 and line[-1].guesses[0] == "-":
        return ANYWHERE
    if target.startswith("/"):
        return (plain_path(target),)
    return tuple(
        plain_path(f"{directory}/{target}") if directory is not None else None for directory in here
    )


def _home(targets: Sequence[Word]) -> Directories:
    """The home directory, or what lies below it. Nobody says that the workspace lies not there."""
    text = targets[0].guesses[0] if targets else "~"
    user, _, rest = text[1:].partition("/")
    directory = "/root" if user == "root" else f"/home/{user or '~'}"
    return (plain_path(f"{directory}/{rest}"), None)


def _is_repeated(item: Item) -> bool:
    """Whether a command stands where it may run again, or at another time."""
    if item.function:
        return True
    parent = item.node.parent
    while parent is not None:
        if parent.type in ("while_statement", "for_statement", "c_style_for_statement"):
            return True
        parent = parent.parent
    return False


def _end_of_chain(node: "Node") -> int:
    """The last byte of the chain of `&&` that a command stands in at the top of a text; 0 when it
    stands elsewhere. Inside the chain, what follows the command runs only when it succeeded."""
    end = 0
    parent = node.parent
    while parent is not None and parent.type == "list":
        if not any(child.type == "&&" for child in parent.children):
            return 0
        end = parent.end_byte
        parent = parent.parent
    return end if parent is not None and parent.type == "program" else 0
