"""Programs whose words decide in ways of their own: dd, chmod, date, tar, docker, PowerShell.

This module refuses to call a program `read` when a word that matters is not literal.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from forestall.facts.shell.arguments import (
    Arg,
    Args,
    joined,
    options_in,
    positional_indices,
    positional_texts,
    unknown_if_ambiguous,
    unknown_unless_literal,
)
from forestall.facts.shell.command_classes import (
    DESTRUCTIVE,
    NETWORK,
    NOTHING,
    PRIVILEGED,
    READ,
    UNKNOWN,
    WRITE,
    Classes,
    CommandClass,
)
from forestall.facts.shell.command_effects import CommandEffects
from forestall.facts.shell.program_entry import classes_of, only_looking
from forestall.facts.shell.program_table import effect_of
from forestall.facts.shell.word_lists import SHELL_WORDS
from forestall.facts.shell.write_targets import is_system_root, write_classes

# -- files and devices --


def _dd(_: str, args: Args) -> CommandEffects:
    classes = NOTHING
    if any(not arg.literal and "=" not in arg.text for arg in args):
        classes = UNKNOWN
    for arg in args:
        path = arg.text.removeprefix("of=")
        if path != arg.text and (write_classes(path) or not arg.literal):
            classes |= DESTRUCTIVE
    return CommandEffects(classes=classes or READ)


def _truncate(_: str, args: Args) -> CommandEffects:
    """truncate: `-s +1K` lets a file grow, and any other size may cut it."""
    grows = any(arg.text.lstrip("-sizem=").startswith("+") for arg in args)
    return CommandEffects(classes=WRITE if grows else DESTRUCTIVE)


_SETUID: Final = re.compile(r"[ugoa]*\+[rwxX]*s|[2467][0-7]{3}|0[2467][0-7]{3}")
_RECURSIVE: Final = frozenset(("-R", "--recursive", "--recurs", "--rec", "--r"))


def _chmod(program: str, args: Args) -> CommandEffects:
    """chmod, chown, chgrp: ordinary on a file, ruin on a system directory."""
    classes = PRIVILEGED if program == "chown" else WRITE
    words = positional_texts(args, "--reference --from")
    paths = words[1:]
    if any(map(is_system_root, paths or words)) and (
        program == "chmod" or not _RECURSIVE.isdisjoint(options_in(args))
    ):
        classes |= DESTRUCTIVE
    if any(CommandClass.DESTRUCTIVE in write_classes(path) for path in paths):
        classes |= PRIVILEGED
    if program == "chmod":
        classes |= unknown_if_ambiguous(args[:1])
        if words and _SETUID.match(words[0]):
            classes |= PRIVILEGED
    return CommandEffects(classes=classes)


def _tar(_: str, args: Args) -> CommandEffects:
    if args and args[0].literal and not args[0].text.startswith("-"):
        args = [Arg(f"-{args[0].text}"), *args[1:]]  # `tar tf x` is `tar -tf x`
    effect = effect_of("tar")
    classes = classes_of(effect, args)
    texts: list[str] = []
    if CommandClass.UNKNOWN in classes:  # an option runs a program: `--checkpoint-action=exec=sh`
        long_options = [arg.text for arg in args if arg.text.startswith("--")]
        texts += [option.partition("=")[2].removeprefix("exec=") for option in long_options]
        texts += [arg.text for arg in args if " " in arg.text and not arg.text.startswith("--")]
    options = options_in(args)
    lists = bool(options & {"-t", "--list"}) and not options & {"-x", "-c", "-r", "-u", "-A"}
    if lists and classes == WRITE:
        # A name with a colon is a file of another machine.
        classes = NETWORK if any(":" in arg.text for arg in args) else READ
        classes |= classes_of(only_looking(effect), args) - READ
    return CommandEffects(classes=classes, texts=tuple(filter(None, texts)))


def _rmdir(_: str, args: Args) -> CommandEffects:
    """rmdir, rd: `/s` and `-Recurse` remove a whole tree on Windows."""
    removes_tree = any(arg.text.lower().startswith(("/s", "-r")) for arg in args)
    return CommandEffects(classes=DESTRUCTIVE if removes_tree else WRITE)


def _hadoop(_: str, args: Args) -> CommandEffects:
    deletes = {"-rm", "-rmr", "-rmdir", "-expunge", "-delete"} & {arg.text for arg in args}
    return CommandEffects(classes=NETWORK | UNKNOWN | (DESTRUCTIVE if deletes else NOTHING))


# -- the machine --


def _kill(_: str, args: Args) -> CommandEffects:
    last = args[-1].text if args else ""
    everyone = last == "-1" or (last == "1" and len(args) > 1)
    if everyone:
        return CommandEffects(classes=DESTRUCTIVE)
    lists = bool(args) and args[0].text in ("-l", "-L") and len(args) < 3
    return CommandEffects(classes=READ if lists else WRITE)


def _init(_: str, args: Args) -> CommandEffects:
    """init, telinit: run levels 0 and 6 halt and reboot."""
    halts = any(arg.text in ("0", "6") for arg in args)
    doubt = DESTRUCTIVE if halts else unknown_unless_literal(args)
    return CommandEffects(classes=PRIVILEGED | doubt)


def _date(_: str, args: Args) -> CommandEffects:
    """date: shows the time, unless a word that is no format sets it."""
    effect = effect_of("date")
    words = positional_texts(args, effect.value_options)
    classes = classes_of(effect, [arg for arg in args if not arg.text.startswith("+")]) - READ
    classes |= unknown_if_ambiguous(args)
    if any(not word.startswith("+") for word in words):
        classes |= PRIVILEGED
    return CommandEffects(classes=classes or READ)


_IP_CHANGES: Final = SHELL_WORDS.set("ip_changing_verbs")
_IP_LOOKS: Final = SHELL_WORDS.words("ip_looking_verbs")


def _ip(_: str, args: Args) -> CommandEffects:
    """ip OBJECT VERB: both may be shortened, so a verb that is not known to look is `unknown`."""
    effect = effect_of("ip")
    indices = positional_indices(args, effect.value_options)
    words = [args[index].text for index in indices]
    classes = unknown_if_ambiguous(args) | (classes_of(effect, args) - READ)
    if not _IP_CHANGES.isdisjoint(words[1:]):
        classes |= PRIVILEGED
    elif len(words) > 1 and not any(verb.startswith(words[1]) for verb in _IP_LOOKS):
        classes |= PRIVILEGED | UNKNOWN
    enters = bool(words) and (words[0].startswith("net") or words[0] == "vrf")
    if enters and len(words) > 3 and "exec".startswith(words[1]):  # ip netns exec NAME COMMAND
        return CommandEffects(classes=classes | PRIVILEGED, argvs=(tuple(args[indices[3] :]),))
    return CommandEffects(classes=classes or READ, suspects=tuple(args) if classes else ())


def _crontab(_: str, args: Args) -> CommandEffects:
    options = options_in(args)
    if options == {"-l"} and len(args) == 1:
        return CommandEffects(classes=READ)
    removes = DESTRUCTIVE if "-r" in options else NOTHING
    return CommandEffects(classes=PRIVILEGED | removes, runs_input=True)


def _at(_: str, args: Args) -> CommandEffects:
    """at, batch: the commands to run later come from the input."""
    return CommandEffects(classes=UNKNOWN, runs_input=True)


# -- containers --

_DOCKER_EXEC_VALUE_OPTIONS: Final = (
    "-e -u -w --env --user --workdir --env-file --detach-keys --index"
)


def _container(program: str, args: Args) -> CommandEffects:
    """docker, kubectl: `exec` and `run` hold a command."""
    effect = effect_of(program)
    classes = classes_of(effect, args)
    of_cluster = program in ("kubectl", "oc")
    running = {"exec", "run", "debug"} if of_cluster else {"exec", "run", "create"}
    first_words = positional_texts(args, effect.value_options)[:2]
    subcommand = next((word for word in first_words if word in running), "")
    if not subcommand or classes == READ:
        return CommandEffects(classes=classes)
    rest = args[[arg.text for arg in args].index(subcommand) + 1 :]
    if of_cluster:
        return _in_pod(subcommand, rest, classes)
    if subcommand == "exec":
        return _in_container(rest)
    mounts_root = any(arg.text.lstrip("-volume=").startswith("/:") for arg in rest)
    return CommandEffects(
        classes=classes | UNKNOWN | (PRIVILEGED if mounts_root else NOTHING),
        suspects=tuple(rest),
        runs_input=True,
    )


def _in_pod(subcommand: str, rest: Args, classes: Classes) -> CommandEffects:
    """kubectl exec: the command stands behind `--`."""
    end = next((index for index, arg in enumerate(rest) if arg.text == "--"), None)
    if subcommand == "exec" and end is not None and not unknown_if_ambiguous(rest[:end]):
        return CommandEffects(classes=NETWORK, argvs=(tuple(rest[end + 1 :]),))
    return CommandEffects(classes=classes | UNKNOWN, suspects=tuple(rest))


def _in_container(rest: Args) -> CommandEffects:
    """docker exec: the command stands behind the name of the container."""
    positionals = positional_indices(rest, _DOCKER_EXEC_VALUE_OPTIONS)
    raised = PRIVILEGED if "--privileged" in options_in(rest) else NOTHING
    if len(positionals) > 1 and not unknown_if_ambiguous(rest[: positionals[1]]):
        return CommandEffects(classes=WRITE | raised, argvs=(tuple(rest[positionals[1] :]),))
    return CommandEffects(classes=UNKNOWN | raised, suspects=tuple(rest), runs_input=True)


# -- Windows --

_WINDOWS_TEXT_OPTIONS: Final = ("/c", "/k", "/r", "-command", "-c", "-com", "-comm")


def _windows_shell(program: str, args: Args) -> CommandEffects:
    """cmd, powershell: what follows is text for another shell."""
    switches = [index for index, arg in enumerate(args) if arg.text[:1] in ("/", "-")]
    texts = [index for index in switches if args[index].text.lower() in _WINDOWS_TEXT_OPTIONS]
    if texts:
        rest = args[texts[0] + 1 :]
    elif program != "cmd" and switches:
        rest = args[switches[-1] + 1 :]
    else:
        rest = args
    text = joined(rest).replace("^", "").strip("& {}")
    return CommandEffects(classes=UNKNOWN, texts=(text,) if text else (), suspects=tuple(rest))


def _format(_: str, args: Args) -> CommandEffects:
    formats_drive = any(arg.text[:1].isalpha() and arg.text[1:2] == ":" for arg in args)
    return CommandEffects(classes=UNKNOWN | (DESTRUCTIVE if formats_drive else NOTHING))


# -- editors and pagers --


def _editor(_: str, args: Args) -> CommandEffects:
    """vim, ex, ed: may run anything; a `!` in the words is a command."""
    texts = tuple(arg.text.partition("!")[2] for arg in args if "!" in arg.text)
    return CommandEffects(classes=UNKNOWN, texts=texts, code=tuple(arg.text for arg in args))


_PAGER_PLACE: Final = re.compile(r"\+(?:[FGg]|\d+)")  # where to begin


def _pager(program: str, args: Args) -> CommandEffects:
    """less, more, man: `+!sh` runs a command at the start."""
    commands = [
        arg.text
        for arg in args
        if arg.text.startswith("+") and not _PAGER_PLACE.fullmatch(arg.text)
    ]
    texts = tuple(word.partition("!")[2] for word in commands if "!" in word)
    classes = classes_of(effect_of(program), args)
    if program == "man" and CommandClass.UNKNOWN in classes:
        texts += tuple(arg.text.partition("=")[2] or arg.text for arg in args)
    return CommandEffects(classes=classes | (UNKNOWN if commands else NOTHING), texts=texts)


# By the `handler` of a program's entry.
HANDLERS: Final[Mapping[str, Callable[[str, Args], CommandEffects]]] = {
    "at": _at,
    "container": _container,
    "crontab": _crontab,
    "date": _date,
    "dd": _dd,
    "editor": _editor,
    "format": _format,
    "hadoop": _hadoop,
    "init": _init,
    "ip": _ip,
    "kill": _kill,
    "modes": _chmod,
    "pager": _pager,
    "rmdir": _rmdir,
    "tar": _tar,
    "truncate": _truncate,
    "windows_shell": _windows_shell,
}
