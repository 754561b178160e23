"""The words that a program gets: options, their values, and positional words.

A word is *literal* when the program gets exactly its text. Any other word is the best guess at an
expansion. It is *ambiguous* when it may turn out to be an option, a subcommand or several words.
This module refuses to drop such a doubt: `unknown_if_ambiguous` and `unknown_unless_literal` turn
it into the class `unknown`.
"""

from collections.abc import Iterable, Sequence

import msgspec

from forestall.facts.shell.command_classes import NOTHING, UNKNOWN, Classes


class Arg(msgspec.Struct, frozen=True):
    """One word handed to a program."""

    text: str
    literal: bool = True
    ambiguous: bool = False
    splits: bool = False  # it may be several words, or none
    environment: bool = False  # the value of a variable that the shell text itself never sets
    wildcards: bool = False  # all of it is known but for what its wildcards match


Args = Sequence[Arg]
OptionNames = str | Iterable[str]  # names with blanks between them, or one by one


def option_names(written: OptionNames) -> frozenset[str]:
    """The names of options, as a set."""
    return frozenset(written.split() if isinstance(written, str) else written)


def joined(args: Args) -> str:
    """The words as one text, as a shell that is handed them would read it."""
    return " ".join(arg.text for arg in args)


def unknown_if_ambiguous(args: Args) -> Classes:
    """`unknown` when a word is ambiguous, and nothing otherwise."""
    return UNKNOWN if any(arg.ambiguous for arg in args) else NOTHING


def unknown_unless_literal(args: Args) -> Classes:
    """Nothing when every word is literal, and `unknown` otherwise."""
    return NOTHING if all(arg.literal for arg in args) else UNKNOWN


def is_option(word: str) -> bool:
    """Whether the word is written as an option: `-x`, `--long`, `+x`."""
    return len(word) > 1 and word[0] in "-+"


def takes_next_word(word: str, value_options: frozenset[str]) -> bool:
    """Whether the value of the option `word` is the word after it.

    Of a cluster, `-xvf`, the first letter that takes a value takes the rest of the word, if any.
    """
    if "=" in word and word.startswith("--"):
        return False
    if word in value_options:
        return True
    if word.startswith("--") or len(word) < 2:
        return False
    first = next((at for at in range(1, len(word)) if f"-{word[at]}" in value_options), None)
    return first == len(word) - 1


def positional_indices(args: Args, value_options: OptionNames = ()) -> list[int]:
    """Where the words stand that are neither options nor the values of `value_options`.

    Behind `--` every word is positional.
    """
    value_options = option_names(value_options)
    indices: list[int] = []
    is_value = options_ended = False
    for index, arg in enumerate(args):
        if is_value:
            is_value = False
        elif arg.text == "--" and not options_ended:
            options_ended = True
        elif arg.text.startswith("-") and len(arg.text) > 1 and not options_ended:
            is_value = takes_next_word(arg.text, value_options)
        else:
            indices.append(index)
    return indices


def positional_texts(args: Args, value_options: OptionNames = ()) -> list[str]:
    """The texts of the words that `positional_indices` names."""
    return [args[index].text for index in positional_indices(args, value_options)]


def options_in(args: Args) -> set[str]:
    """Every option before `--`, by name and without its value.

    A cluster counts as a whole, and once for each of its letters.
    """
    names: set[str] = set()
    for arg in args:
        if arg.text == "--":
            break
        if arg.text.startswith("-"):
            names.add(arg.text.partition("=")[0])
            if not arg.text.startswith("--"):
                names.update(f"-{letter}" for letter in arg.text[1:])
    return names
