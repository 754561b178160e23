"""sed and awk: what a script in a language of its own does.

A script is read by patterns for what is harmless. This module refuses to call a script `read` of
which a part was not recognised.
"""

import re
from typing import Final

from forestall.facts.shell.arguments import (
    Arg,
    Args,
    options_in,
    positional_indices,
    takes_next_word,
    unknown_if_ambiguous,
    unknown_unless_literal,
)
from forestall.facts.shell.command_classes import READ, UNKNOWN, WRITE
from forestall.facts.shell.command_effects import CommandEffects
from forestall.facts.shell.program_entry import classes_of
from forestall.facts.shell.program_table import effect_of
from forestall.facts.shell.write_targets import write_classes

_SED_ADDRESS: Final = r"(?:\d+(?:~\d+)?|\$|/(?:[^/\\\n]|\\.)*/[IM]*)"
# One command of a script, with its address: all but `w`, which writes, and `e`, which runs.
_SED_STEP: Final = re.compile(
    rf"[\s;{{}}]*(?:{_SED_ADDRESS}(?:\s*,\s*(?:{_SED_ADDRESS}|[+~]\d+))?)?\s*!?\s*"
    r"(?:[{}]|[dDgGhHlnNpPqQxzF=]\s*\d*(?=[\s;}]|$)|#[^\n]*|:\s*[\w-]+|[btT]\s*[\w-]*"
    r"|[aic](?:\\\n|\s)(?:[^\\\n]|\\.|\\\n)*|[rR]\s*[^\n]*"
    r"|(?P<kind>[sy])(?P<mark>[^\w\s\\;])(?:(?!(?P=mark))[^\\\n]|\\(?:.|\n))*(?P=mark)"
    r"(?:(?!(?P=mark))[^\\\n]|\\(?:.|\n))*(?P=mark)[gpiIM0-9]*(?=[\s;}]|$))[\s;}]*"
)
_SED_VALUE_OPTIONS: Final = frozenset(("-e", "-f", "--expression", "--file", "-l", "--line-length"))


def sed(_: str, args: Args) -> CommandEffects:
    """sed: scripts that only edit what passes through, and options that change files."""
    classes = classes_of(effect_of("sed"), args) - READ
    options = options_in(args)
    if any(option.startswith(("--i", "-i")) for option in options):  # edits files in place
        words = (arg.text for arg in args if not arg.text.startswith("-"))
        classes |= WRITE.union(*map(write_classes, words))
    if "-f" in options or any(option.startswith("--fi") for option in options):
        classes |= UNKNOWN  # a script in a file
    classes |= unknown_if_ambiguous(args)
    unread = tuple(
        script.text
        for script in _sed_scripts(args)
        if not script.literal or not _is_harmless_sed(script.text)
    )
    if unread:
        classes |= UNKNOWN | WRITE
    return CommandEffects(classes=classes or READ, code=unread)


def _sed_scripts(args: Args) -> list[Arg]:
    """The scripts of a sed command: the values of `-e`, or else the first positional word."""
    scripts: list[Arg] = []
    for index, arg in enumerate(args):
        word = arg.text
        if takes_next_word(word, _SED_VALUE_OPTIONS) and "e" in word and word.startswith("-"):
            scripts.extend(args[index + 1 : index + 2])
        elif word.startswith(("--expression=", "-e")):
            scripts.append(Arg(word.partition("=")[2] or word[2:], arg.literal))
    if scripts:
        return scripts
    positionals = positional_indices(args, "-l --line-length -f --file")
    return [args[index] for index in positionals[:1]]


def _is_harmless_sed(script: str) -> bool:
    """Whether the script only edits what passes through: no `w`, no `e`, nothing unread."""
    at = 0
    while at < len(script):
        step = _SED_STEP.match(script, at)
        if step is None or step.end() == at:
            return False
        at = step.end()
    return True


_AWK_RUNS: Final = re.compile(r"system|getline|@|\bclose\b")
_AWK_WRITES: Final = re.compile(r"print[^;}]*>")
# After an operand awk takes `/` for a division, so no text can begin there that hides a `>`.
_AWK_DIVISION: Final = re.compile(
    r"((?<![\w$])(?!(?:print|printf|return|in|getline|exit|delete|do|else|case|next)\b)"
    r"\$?\w+|\])[ \t]*/"
)
_AWK_LITERAL: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"|(?P<before>(?:^|[;{}(!~&|,\n])\s*)/(?:[^/\\\n]|\\.)+/'
)


def awk(_: str, args: Args) -> CommandEffects:
    """awk: a script that prints fields, and one that runs commands or writes files."""
    effect = effect_of("awk")
    positionals = positional_indices(args, effect.value_options)
    script = args[positionals[0]] if positionals else Arg("", literal=False)
    before = args[: positionals[0] if positionals else len(args)]
    classes = unknown_unless_literal([script]) | unknown_if_ambiguous(before)
    classes |= classes_of(effect, before) - READ
    text = script.text.replace("||", " ")
    bare = _AWK_LITERAL.sub(lambda literal: (literal["before"] or "") + '""', text)
    # What is left of `/`, `#` and `\` may begin a literal or a comment that was not recognised.
    unclear = any(char in _AWK_DIVISION.sub(r"\1 ", bare) for char in "/#\\")
    if unclear and any(char in text for char in "|>"):
        classes |= UNKNOWN
    if "|" in bare or _AWK_RUNS.search(text):
        classes |= UNKNOWN
    if _AWK_WRITES.search(bare):
        classes |= WRITE | UNKNOWN
    return CommandEffects(classes=classes or READ, code=(script.text,) if classes else ())
