"""What the redirections of a command do to their targets, and which files they may lead to.

This module refuses to follow a target that is not known: it may be any file.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from forestall.facts.shell.arguments import Arg
from forestall.facts.shell.command_classes import NETWORK, NOTHING, UNKNOWN, WRITE, Classes
from forestall.facts.shell.syntax_tree import NodeInContext, text_of
from forestall.facts.shell.word_expansion import Word, WordReader
from forestall.facts.shell.write_targets import HARMLESS_DEVICE_PATHS, write_classes

if TYPE_CHECKING:
    from tree_sitter import Node

_READS: Final = ("<", "<&", "<&-")
_DUPLICATES: Final = (">&", "<&", ">&-", "<&-")  # before a number: another name of an open file


class Redirections(NamedTuple):
    """The redirections of one command: their effect, their targets under each guess, and words that
    are not theirs: the grammar lets a redirection swallow the words behind its target."""

    classes: Classes = NOTHING
    targets: tuple[Arg, ...] = ()
    strays: tuple["Node", ...] = ()


NO_REDIRECTIONS: Final = Redirections()


def redirections_of(nodes: Iterable[NodeInContext], words: WordReader) -> dict[int, Redirections]:
    """The redirections of each command, by the id of its node; 0 stands for those of no command."""
    by_command: dict[int, Redirections] = {}
    for item in nodes:
        if item.kind == "file_redirect":
            before = by_command.get(item.command_id, NO_REDIRECTIONS)
            one = _redirection(item.node, words)
            by_command[item.command_id] = Redirections(
                before.classes | one.classes,
                before.targets + one.targets,
                before.strays + one.strays,
            )
    return by_command


def _redirection(node: "Node", words: WordReader) -> Redirections:
    destinations = node.children_by_field_name("destination")
    if not destinations:
        return NO_REDIRECTIONS
    operator = next((child.type for child in node.children if not child.is_named), "")
    word = words.word(destinations[0])
    # `<>` opens for reading and writing, and the grammar stumbles over it.
    reads = operator in _READS and "<>" not in text_of(node)
    targets = tuple(
        Arg(guess, word.literal, wildcards=word.wildcards)
        for guess in word.guesses
        if not _is_duplicate(operator, guess)
        and (guess or not word.literal)
        and guess not in HARMLESS_DEVICE_PATHS
    )
    return Redirections(_classes(operator, word, reads=reads), targets, tuple(destinations[1:]))


def _is_duplicate(operator: str, target: str) -> bool:
    return operator in _DUPLICATES and target.rstrip("-").isdigit()


def _classes(operator: str, word: Word, *, reads: bool) -> Classes:
    if _is_duplicate(operator, word.guesses[0]):
        return NOTHING
    classes = NOTHING.union(*(write_classes(guess) if guess else WRITE for guess in word.guesses))
    if reads:
        return classes & NETWORK
    return classes | UNKNOWN if word.open_start else classes
