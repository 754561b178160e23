"""Programs that run other commands in ways of their own: shells, find, xargs, ssh, interpreters.

Each handler says what a program does with its words: its own classes, and the commands, shell texts
and foreign code that it would run. This module refuses to call anything `read` whose words it could
not follow.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from forestall.facts.shell.arguments import (
    Arg,
    Args,
    is_option,
    joined,
    option_names,
    positional_indices,
    takes_next_word,
    unknown_if_ambiguous,
    unknown_unless_literal,
)
from forestall.facts.shell.command_classes import (
    DESTRUCTIVE,
    NETWORK,
    NOTHING,
    READ,
    UNKNOWN,
    WRITE,
    Classes,
)
from forestall.facts.shell.command_effects import CommandEffects
from forestall.facts.shell.program_entry import classes_of, option_effect
from forestall.facts.shell.program_table import effect_of
from forestall.facts.shell.program_table import program as program_entry
from forestall.facts.shell.word_lists import SHELL_WORDS
from forestall.facts.shell.wrappers import wrapped
from forestall.facts.shell.write_targets import write_classes

_FOLLOWED_SHELLS: Final = SHELL_WORDS.set("followed_shells")
_INPUT_WORD: Final = Arg("", literal=False, ambiguous=True)  # stands for words that xargs reads


def is_shell(program: str) -> bool:
    """Whether the program is a shell, by the program table."""
    entry = program_entry(program)
    return entry is not None and entry.handler == "shell"


# -- shells, and builtins that read words as shell text --

_SHELL_LONG_OPTIONS: Final = frozenset(
    ("--norc", "--noprofile", "--posix", "--login", "--verbose", "--noediting")
)


def _shell(program: str, args: Args) -> CommandEffects:
    """sh and its family, with -c, a script, or standard input."""
    if len(args) == 1 and args[0].text in ("--version", "--help") and args[0].literal:
        return CommandEffects(classes=READ)
    classes = NOTHING if program in _FOLLOWED_SHELLS else UNKNOWN
    takes_text, at = False, 0
    while at < len(args) and args[at].text[:1] in ("-", "+") and args[at].text:
        word = args[at].text
        if word in ("--", "-"):
            at += 1
            break
        if word.startswith("--") and word not in _SHELL_LONG_OPTIONS:
            classes |= UNKNOWN
        letters = word[1:] if not word.startswith("--") else ""
        takes_text = takes_text or "c" in letters or word.startswith("--c")
        if "i" in letters or "s" in letters or not args[at].literal:
            classes |= UNKNOWN
        takes_next = letters[-1:] in ("o", "O") or word in ("--rcfile", "--init-file")
        at += 2 if takes_next else 1
    rest = tuple(args[at:])
    if takes_text and rest:
        text = rest[0]
        if not text.literal or text.ambiguous:
            classes |= UNKNOWN
        return CommandEffects(classes=classes or READ, texts=(text.text,), suspects=rest[1:])
    return CommandEffects(classes=classes | UNKNOWN, runs_input=True, suspects=rest)


def _eval(program: str, args: Args) -> CommandEffects:
    """eval, watch: the words joined are shell text."""
    effect = effect_of(program)
    positionals = positional_indices(args, effect.value_options)
    start = positionals[0] if positionals else len(args)
    classes = classes_of(effect, args[:start]) - READ if effect.closed else NOTHING
    words = args[start:]
    classes |= unknown_unless_literal(words)
    return CommandEffects(classes=classes or READ, texts=(joined(words),) if words else ())


def _trap(program: str, args: Args) -> CommandEffects:
    positionals = positional_indices(args)
    action = [args[index] for index in positionals[:1]]
    text = joined(action)
    doubt = unknown_unless_literal(action)
    if len(positionals) < 2 or text in ("", "-"):
        return CommandEffects(classes=doubt or classes_of(effect_of(program), args))
    return CommandEffects(classes=doubt or WRITE, texts=(text,))


def _alias(program: str, args: Args) -> CommandEffects:
    pairs = [arg.text.partition("=") for arg in args if "=" in arg.text]
    classes = WRITE if pairs else classes_of(effect_of(program), args)
    return CommandEffects(
        classes=unknown_unless_literal(args) or classes,
        texts=tuple(value for _, _, value in pairs),
        defines=tuple(name for name, _, _ in pairs),
    )


def _source(_: str, args: Args) -> CommandEffects:
    """source: the file is not read, but what the same text wrote may be in it."""
    return CommandEffects(classes=UNKNOWN, runs_input=True, suspects=tuple(args[1:]))


# -- commands for each of many files or values --

_FIND_RUNS: Final = frozenset(("-exec", "-execdir", "-ok", "-okdir"))
_FIND_WRITES: Final = frozenset(("-fprint", "-fprintf", "-fprint0", "-fls"))
_FD_RUNS: Final = re.compile(r"--exec(?:-batch)?(?:=.*)?|-[A-Za-z0-9]*[xX]", re.DOTALL)


def _find(program: str, args: Args) -> CommandEffects:
    """find, fd: run commands, delete, and write lists."""
    if program.startswith("fd"):
        return _fd(program, args)
    effect = effect_of(program)
    classes: Classes = NOTHING
    argvs: list[tuple[Arg, ...]] = []
    at = 0
    while at < len(args):
        arg, word = args[at], args[at].text
        is_start = at == 0 and arg.environment  # where to look: `find $DIR -name x`
        at += 1
        if word in _FIND_RUNS:
            end = next((i for i in range(at, len(args)) if args[i].text in (";", "+")), len(args))
            argvs.append(tuple(_template_word(arg, "{") for arg in args[at:end]))
            at = end + 1
        elif word == "-delete":
            classes |= DESTRUCTIVE
        elif word in _FIND_WRITES:
            classes |= write_classes(joined(args[at : at + 1]))
            at += 2 if word == "-fprintf" else 1
        elif arg.ambiguous and not is_start:
            classes |= UNKNOWN
        elif is_option(word):
            option = option_effect((effect,), word)
            classes |= option.classes
            if option.takes_next:
                if any(value.splits for value in args[at : at + 1]):
                    classes |= UNKNOWN
                at += 1
    return CommandEffects(classes=(classes - READ) or READ, argvs=tuple(argvs))


def _fd(program: str, args: Args) -> CommandEffects:
    """fd: an option that runs something takes the rest of the words for its command."""
    effect = effect_of(program)
    is_value = False
    for at, arg in enumerate(args):
        if not is_value and _FD_RUNS.fullmatch(arg.text):
            value = arg.text.partition("=")[2]
            command = (*([Arg(value)] if value else []), *args[at + 1 :])
            return CommandEffects(
                classes=(classes_of(effect, args[: at + 1]) - READ) or READ,
                argvs=(tuple(_template_word(word, "{") for word in command),),
            )
        is_value = (
            not is_value and is_option(arg.text) and option_effect((effect,), arg.text).takes_next
        )
    return CommandEffects(classes=classes_of(effect, args))


def _template_word(arg: Arg, mark: str) -> Arg:
    """A word of a command, as it is before its mark is replaced by something that is not known."""
    if mark not in arg.text:
        return arg
    ambiguous = mark != "{" and arg.text.startswith(mark)
    return Arg(arg.text, literal=False, ambiguous=ambiguous)


def _xargs(_: str, args: Args) -> CommandEffects:
    effect = effect_of("xargs")
    at, mark = 0, ""
    while at < len(args) and args[at].text.startswith("-"):
        word = args[at].text
        if word.startswith(("-I", "-J", "-i", "--replace")):
            value = word.partition("=")[2] if word.startswith("--") else word[2:]
            default = joined(args[at + 1 : at + 2]) if word in ("-I", "-J") else "{}"
            mark = value or default
        at += 2 if is_option(word) and option_effect((effect,), word).takes_next else 1
        if word == "--":
            break
    classes = classes_of(effect, args[:at]) - READ
    words = args[at:] or [Arg("echo")]
    command = tuple(_template_word(arg, mark) for arg in words) if mark else (*words, _INPUT_WORD)
    is_hidden = not command[0].literal or any(
        " " in arg.text and not arg.literal for arg in command
    )
    return CommandEffects(
        classes=(classes | UNKNOWN if is_hidden else classes) or READ,
        argvs=(command,),
        suspects=tuple(args) if classes else (),
        appends_input=not mark,
        runs_input=is_hidden or is_shell(command[0].text),
    )


def _parallel(program: str, args: Args) -> CommandEffects:
    """GNU parallel: a template, then `:::` and the values."""
    entry = program_entry(program)
    assert entry is not None
    assert entry.wrapper is not None, "an entry with this handler has a wrapper"
    end = next((i for i, arg in enumerate(args) if arg.text.startswith(":::")), len(args))
    template = wrapped(program, entry.wrapper, args[:end])
    texts = tuple(joined(words) for words in template.argvs)
    return CommandEffects(
        classes=UNKNOWN,
        texts=texts or tuple(arg.text for arg in args[end + 1 :]),
        suspects=tuple(args),
        runs_input=not texts,
    )


# -- other machines, and other languages --

_SSH_VALUE_OPTIONS: Final = option_names(
    "-b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w -B"
)


def _ssh(_: str, args: Args) -> CommandEffects:
    positionals = positional_indices(args, _SSH_VALUE_OPTIONS)
    host = positionals[0] if positionals else len(args)
    classes = NETWORK | unknown_if_ambiguous(args[:host])
    # `ProxyCommand`, `LocalCommand` and their kin run on this machine.
    texts = [arg.text.partition("=")[2] for arg in args[:host] if "command" in arg.text.lower()]
    command = args[host + 1 :]
    while command and command[0].text.startswith("-"):  # ssh reads options after the host, too
        command = command[2 if takes_next_word(command[0].text, _SSH_VALUE_OPTIONS) else 1 :]
    if command:
        classes |= unknown_unless_literal(command)
        return CommandEffects(classes=classes, texts=(*texts, joined(command)))
    return CommandEffects(classes=classes | UNKNOWN, texts=tuple(texts), runs_input=True)


_CODE_DELETION: Final = re.compile(
    r"os\.remove|rmtree|unlink|os\.rmdir|removedirs|rmSync|rmdirSync|fs\.rm\b|rimraf|rm_rf|rm_r\b"
    r"|FileUtils\.rm|File\.delete|Dir\.rmdir|Remove-Item|remove_tree|os\.truncate|deleteTree"
    r"|Deno\.remove|emptyDir|fs\.promises\.rm|remove_dir_all|delete_file|rmdir"
)


def _interpreter(program: str, args: Args) -> CommandEffects:
    """python -c, perl -e...: code in a language that is not followed."""
    words = [arg.text for arg in args]
    asks_for_help = ["--version", "-V", "--help", "-h"]
    if "py" not in program:  # `python -v` reads a program from its input
        asks_for_help.append("-v")
    if len(args) == 1 and words[0] in asks_for_help:
        return CommandEffects(classes=READ if args[0].literal else UNKNOWN)
    return CommandEffects(
        classes=UNKNOWN, code=tuple(words), deletion=_CODE_DELETION, runs_input=True
    )


# By the `handler` of a program's entry.
HANDLERS: Final[Mapping[str, Callable[[str, Args], CommandEffects]]] = {
    "alias": _alias,
    "eval": _eval,
    "find": _find,
    "interpreter": _interpreter,
    "parallel": _parallel,
    "shell": _shell,
    "source": _source,
    "ssh": _ssh,
    "trap": _trap,
    "xargs": _xargs,
}
