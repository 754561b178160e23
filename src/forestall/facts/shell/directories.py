"""The directories that each command of a text may run in, as `cd` and its kin change them.

A `cd` that stands in a plain sequence is followed; after any other the directory is not known. The
module refuses to know a directory that only the run would tell.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from forestall.facts.file_paths import home_directory, plain_path
from forestall.facts.shell.arguments import Arg, Args
from forestall.facts.shell.syntax_tree import NodeInContext, text_of, word_nodes
from forestall.facts.shell.word_expansion import Word, WordReader
from forestall.facts.shell.word_lists import SHELL_WORDS

if TYPE_CHECKING:
    from tree_sitter import Node

Directories = tuple[str | None, ...]  # None: one that is not known; empty: not on this machine
ANYWHERE: Final[Directories] = (None,)
ELSEWHERE: Final[Directories] = ()
DIRECTORIES_MAX: Final = 4  # followed at once; more are not known
_CHANGES: Final = frozenset(("cd", "pushd", "popd", "chdir"))
_MENTIONED: Final = re.compile(r"\b(?:cd|pushd|popd|chdir)\b")
_MAY_MOVE: Final = re.compile(rb"cd|popd|pushd|chdir|source|[$`]|(?:^|[\s;&|(])\.\s")
_EXPANSION_MARKS: Final = frozenset("$`")
_RUNS_HERE: Final = frozenset(("eval", "source", ".", "trap", "alias", "command", "builtin"))
_RUNS_LATER: Final = frozenset(("trap", "alias"))
_RUNS_A_FILE: Final = frozenset(("source", "."))
_LOOPS: Final = ("while_statement", "for_statement", "c_style_for_statement")
_QUOTES: Final = {ord(char): None for char in "'\"\\\n"}
# Wrappers whose command runs in their own directory, and the options with which it does not.
_STAYING: Final = SHELL_WORDS.meanings("wrappers_that_stay", list[str])


def inner_directories(
    name: str,
    args: Args,
    inner: Sequence[Sequence[Arg]],
    here: Directories,
    *,
    moved: bool,
) -> Directories:
    """Where the commands run that a command runs; `inner` are those that its last words are, and
    `moved` says that the text changes the directory somewhere."""
    if moved and name in _RUNS_LATER:
        return ANYWHERE
    moving_options = _STAYING.get(name)
    if moving_options is None:
        return ELSEWHERE
    own_words = len(args) - (len(inner[0]) if inner else 0)
    for arg in args[: max(own_words, 0)]:
        word = arg.text
        if word.startswith("-"):
            options = [word.partition("=")[0]]
            if not word.startswith("--"):
                options += [f"-{letter}" for letter in word[1:]]
            if any(option in moving_options for option in options):
                return ELSEWHERE
    return here


def directories_of(
    nodes: Iterable[NodeInContext], words: WordReader, here: Directories
) -> dict[int, Directories]:
    """The directories that each command may run in, by the node's id; empty when all run here."""
    if not words.finds(_MAY_MOVE):
        return {}
    commands = [item for item in nodes if item.kind == "command"]
    moving = {item.node.id: item for item in commands if _may_move(item.node)}
    if not moving:
        return {}
    repeated = any(map(_is_repeated, moving.values()))
    if repeated or words.mentions(b"CDPATH"):
        here = ANYWHERE
    directories: dict[int, Directories] = {}
    chains: list[tuple[int, Directories]] = []  # where a chain of `&&` ends, and where it began
    for item in commands:
        node = item.node
        while chains and node.start_byte >= chains[-1][0]:
            here = _union(here, chains.pop()[1])
        directories[node.id] = ANYWHERE if item.function else here
        if node.id in moving:
            after = _after([words.word(*nodes) for nodes in word_nodes(node)[0]], here)
            end = _end_of_chain(node)
            if end and not repeated:
                chains.append((end, here))
                here = after
            else:
                here = _union(here, after)
    return directories


def _may_move(command: "Node") -> bool:
    """Whether a command may change the directory, by a look at its text."""
    name = command.child_by_field_name("name")
    program = text_of(name).translate(_QUOTES) if name is not None else "$"
    if program in _RUNS_A_FILE or not _EXPANSION_MARKS.isdisjoint(program):
        return True
    text = text_of(command).translate(_QUOTES)
    if program in _RUNS_HERE and not _EXPANSION_MARKS.isdisjoint(text):
        return True
    return _MENTIONED.search(text) is not None


def _union(one: Directories, other: Directories) -> Directories:
    both = tuple(dict.fromkeys((*one, *other)))
    return both if len(both) <= DIRECTORIES_MAX else ANYWHERE


def _after(line: Sequence[Word], here: Directories) -> Directories:
    """The directories after a command whose text mentions a change of directory."""
    name = line[0].guesses[0] if line and line[0].literal else ""
    if name not in _CHANGES:
        return _union(here, ANYWHERE) if not name or name in _RUNS_HERE else here
    if name == "popd":
        return ANYWHERE
    targets = [word for word in line[1:] if not word.guesses[0].startswith("-") or not word.literal]
    if len(line) == 1 or (len(targets) == 1 and targets[0].tilde):
        return _in_home(targets[0].guesses[0] if targets else "~")
    if len(targets) != 1 or not targets[0].literal or line[-1].guesses[0] == "-":
        return ANYWHERE
    target = targets[0].guesses[0]
    if target.startswith("/"):
        return (plain_path(target),)
    return tuple(
        plain_path(f"{directory}/{target}") if directory is not None else None for directory in here
    )


def _in_home(target: str) -> Directories:
    """The home directory, or what lies below it. Nobody says that the workspace lies not there."""
    user, _, rest = target[1:].partition("/")
    return (plain_path(f"{home_directory(user)}/{rest}"), None)


def _is_repeated(item: NodeInContext) -> bool:
    """Whether a command stands where it may run again, or at another time."""
    if item.function:
        return True
    parent = item.node.parent
    while parent is not None and parent.type not in _LOOPS:
        parent = parent.parent
    return parent is not None


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
