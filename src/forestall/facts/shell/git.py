"""What a git command does, subcommand by subcommand.

It reads the words only. It refuses to know the repository: aliases, hooks and settings kept in
files are not seen, so a subcommand that is not git's own is `unknown`.
"""

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final

import msgspec

from forestall.facts.shell.arguments import (
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
    NOTHING,
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

_SAFE_SETTINGS: Final = tuple(SHELL_WORDS.words("safe_git_settings"))
# A subcommand whose meaning an option may turn: an ambiguous word of it is `unknown`.
_OPTIONS_MATTER: Final = frozenset(
    ("push", "branch", "checkout", "clean", "restore", "rm", "config", "tag")
)
# A word with a blank may be a command: `--upload-pack=...`, `ext::...`, a pager.
_RUNS_HELPERS: Final = frozenset(
    ("clone", "fetch", "ls-remote", "pull", "push", "grep", "difftool", "archive")
)


def git(_: str, args: Args) -> CommandEffects:
    """What a git command line does, past its global options."""
    effect = effect_of("git")
    positionals = positional_indices(args, effect.value_options)
    start = positionals[0] if positionals else len(args)
    global_words, rest = args[:start], args[start + 1 :]
    settings = _settings(global_words)
    classes = settings.classes | (classes_of(effect, global_words) - READ)
    classes |= unknown_if_ambiguous(args[: start + 1])
    texts = list(settings.texts)
    if not positionals:
        return CommandEffects(classes=classes or READ, texts=tuple(texts))
    name = args[start].text
    sub = _subcommand_effects(name, rest)
    classes |= sub.classes | _classes_of_common_options(rest)
    if "ext::" in joined(rest):  # a transport that runs a command
        classes |= UNKNOWN
        texts += [arg.text.partition("ext::")[2] for arg in rest]
    if name in _RUNS_HELPERS:
        texts += [arg.text.partition("=")[2] or arg.text for arg in rest if " " in arg.text]
    if name in _OPTIONS_MATTER:
        end = next((index for index, arg in enumerate(rest) if arg.text == "--"), len(rest))
        classes |= unknown_if_ambiguous(rest[:end])
    if CommandClass.UNKNOWN in sub.classes and not sub.texts:
        texts += [arg.text for arg in rest if " " in arg.text]
    return CommandEffects(classes=classes, argvs=sub.argvs, texts=(*texts, *sub.texts))


def _settings(global_words: Args) -> CommandEffects:
    """What the settings of `-c NAME=VALUE` do."""
    classes: Classes = NOTHING
    texts: list[str] = []
    for index, arg in enumerate(global_words):
        if arg.text.startswith("-c"):
            setting = _setting(arg.text[2:] or joined(global_words[index + 1 : index + 2]))
            classes |= setting.classes
            texts += setting.texts
    return CommandEffects(classes=classes, texts=tuple(texts))


def _setting(assignment: str) -> CommandEffects:
    """One git setting, `NAME=VALUE`: some name a program to run."""
    name, _, value = assignment.partition("=")
    if name.lower().startswith(_SAFE_SETTINGS):
        return CommandEffects(classes=NOTHING)
    return CommandEffects(classes=UNKNOWN, texts=(value.lstrip("!"),) if value else ())


def _classes_of_common_options(rest: Args) -> Classes:
    """What options add that many subcommands have, also where they are abbreviated."""
    classes: Classes = NOTHING
    for option in options_in(rest):
        if option.startswith("--out"):
            classes |= WRITE
        elif option.startswith(("--ext", "--textconv", "--filters", "--open-f")):
            classes |= UNKNOWN
    return classes


def _subcommand_effects(name: str, args: Args) -> CommandEffects:
    """What a subcommand does; where it only looks, an option that is not listed is `unknown`."""
    listed = effect_of("git").subcommands.get(name)
    if name in _SUBCOMMANDS:
        effects = _SUBCOMMANDS[name](args)
    elif listed is None:
        return CommandEffects(classes=UNKNOWN)
    else:
        effects = CommandEffects(classes=classes_of(listed, args))
    if effects.classes != READ or listed is None:
        return effects
    classes = (classes_of(only_looking(listed), args) - READ) or READ
    return msgspec.structs.replace(effects, classes=classes)


def _by_table(name: str, args: Args) -> CommandEffects:
    return CommandEffects(classes=classes_of(effect_of("git").subcommands[name], args))


_BRANCH_FORCES: Final = frozenset(("-D", "-M", "-C", "-f", "--force"))
_BRANCH_CHANGES: Final = frozenset(
    ("-d", "--delete", "-m", "--move", "-c", "--copy", "-u", "--set-upstream-to",
     "--unset-upstream", "--edit-description", "-t", "--track")
)  # fmt: skip
_BRANCH_LISTS: Final = frozenset(
    ("--list", "-l", "--show-current", "--contains", "--merged", "--no-merged")
)


def _branch(args: Args) -> CommandEffects:
    options = options_in(args)
    if not options.isdisjoint(_BRANCH_FORCES):
        return CommandEffects(classes=DESTRUCTIVE)
    names = positional_indices(args, "--sort --format --contains --merged --no-merged --points-at")
    creates = bool(names) and options.isdisjoint(_BRANCH_LISTS)
    changes = creates or not options.isdisjoint(_BRANCH_CHANGES)
    return CommandEffects(classes=WRITE if changes else READ)


_CHECKOUT_OVERWRITES: Final = frozenset(
    ("-f", "--force", "-B", "--ours", "--theirs", "-p", "--patch", "-m")
)
# `src/a.py` is a file whose changes go; `release/1.2` and `v1.x` are not.
_FILE_NAME: Final = re.compile(r"(?:.*/)?(?!v?\d)[^/]*\.[A-Za-z][A-Za-z0-9]{0,4}")
_PATH_STARTS: Final = (":", "./", "../", "/", "*", "~")


def _checkout(args: Args) -> CommandEffects:
    """git checkout: a branch is chosen, but the changes of paths are discarded."""
    options = options_in(args)
    if (
        not options.isdisjoint(_CHECKOUT_OVERWRITES)
        or any(arg.text == "--" for arg in args)  # paths follow
        or any(option.startswith("--pathspec") for option in options)
    ):
        return CommandEffects(classes=DESTRUCTIVE)
    if options & {"-b", "--orphan"}:
        return CommandEffects(classes=WRITE)
    words = positional_texts(args, "-b --orphan --conflict")
    first = words[0] if words else ""
    is_path = (
        first in (".", "..")
        or first.startswith(_PATH_STARTS)
        or _FILE_NAME.fullmatch(first) is not None
    )
    return CommandEffects(classes=DESTRUCTIVE if len(words) > 1 or is_path else WRITE)


def _push(args: Args) -> CommandEffects:
    effects = _by_table("push", args)
    refs = positional_texts(args, "-o --push-option --repo")[1:]
    if any(ref.startswith(("+", ":")) for ref in refs):  # forced, or deleted
        return CommandEffects(classes=effects.classes | DESTRUCTIVE)
    return effects


_CONFIG_LOOKS: Final = frozenset(
    ("--get", "--get-all", "--list", "-l", "--get-regexp", "--show-origin")
)
_CONFIG_CHANGES: Final = frozenset(("--unset", "--unset-all", "--remove-section", "-e"))


def _config(args: Args) -> CommandEffects:
    options = options_in(args)
    words = positional_texts(args, "-f --file --type --default --blob")
    verb = words[0] if words else ""
    if not options.isdisjoint(_CONFIG_LOOKS) or verb in ("get", "list"):
        return CommandEffects(classes=READ)
    if verb == "edit":
        return CommandEffects(classes=WRITE | UNKNOWN)
    if verb == "set":
        words = words[1:]
    if len(words) < 2 and options.isdisjoint(_CONFIG_CHANGES):
        return CommandEffects(classes=READ)
    setting = _setting("=".join(words[:2]))
    return CommandEffects(classes=WRITE | setting.classes, texts=setting.texts)


def _rm(args: Args) -> CommandEffects:
    if "--cached" in options_in(args):  # the files stay
        return CommandEffects(classes=WRITE)
    return _by_table("rm", args)


def _restore(args: Args) -> CommandEffects:
    options = options_in(args)
    index_only = options & {"-S", "--staged"} and not options & {"-W", "--worktree"}
    return CommandEffects(classes=WRITE if index_only else DESTRUCTIVE)


def _bisect(args: Args) -> CommandEffects:
    if args and args[0].text == "run":
        return CommandEffects(classes=WRITE, argvs=(tuple(args[1:]),))
    return _by_table("bisect", args)


def _submodule(args: Args) -> CommandEffects:
    if any(arg.text == "foreach" for arg in args):
        command = positional_texts(args)[1:]
        return CommandEffects(classes=UNKNOWN, texts=(" ".join(command),))
    return _by_table("submodule", args)


def _rebase(args: Args) -> CommandEffects:
    """git rebase: `--exec` names a shell text to run after each commit."""
    texts = [value.text for option, value in pairwise(args) if option.text in ("-x", "--exec")]
    texts += [arg.text[7:] for arg in args if arg.text.startswith("--exec=")]
    texts += [arg.text[2:] for arg in args if arg.text.startswith("-x")]
    return CommandEffects(classes=WRITE | unknown_unless_literal(args), texts=tuple(texts))


def _tag(args: Args) -> CommandEffects:
    effects = _by_table("tag", args)
    lists = options_in(args) & {"-l", "--list", "-n", "--contains"} or not positional_indices(args)
    if lists and effects.classes - READ == WRITE:
        return CommandEffects(classes=READ)
    return effects


_SUBCOMMANDS: Final[Mapping[str, Callable[[Args], CommandEffects]]] = {
    "bisect": _bisect,
    "branch": _branch,
    "checkout": _checkout,
    "config": _config,
    "push": _push,
    "rebase": _rebase,
    "restore": _restore,
    "rm": _rm,
    "submodule": _submodule,
    "tag": _tag,
}
