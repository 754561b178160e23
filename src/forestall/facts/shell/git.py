"""What a git command does, subcommand by subcommand.

It reads the words only. It refuses to know the repository: aliases, hooks and settings kept in
files are not seen, so a subcommand that is not git's own is `unknown`.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from forestall.facts.shell.program_entry import (
    DESTRUCTIVE,
    NOTHING,
    READ,
    UNKNOWN,
    Arg,
    Classes,
    CommandClass,
    classes,
    classes_of,
    names,
    only_looks,
)
from forestall.facts.shell.program_table import effect_of
from forestall.facts.shell.words import WORDS
from forestall.facts.shell.wrappers import ProgramEffects, doubt, join, options, positionals, unsure

Args = Sequence[Arg]
WRITE: Final = classes("w")

_SAFE_SETTINGS: Final = tuple(WORDS.words("safe_git_settings"))


def _setting(word: str) -> ProgramEffects:
    """One git setting: some name a program to run."""
    name, _, value = word.partition("=")
    if name.lower().startswith(_SAFE_SETTINGS):
        return ProgramEffects(classes=NOTHING)
    return ProgramEffects(classes=UNKNOWN, texts=(value.lstrip("!"),) if value else ())


def _git_branch(args: Args) -> Classes:
    found = options(args)
    deletes = found & {"-d", "--delete", "--del"}
    if "-D" in found or (deletes and found & {"-f", "--force"}):
        return DESTRUCTIVE
    at = positionals(args, "--sort --format --contains --merged --no-merged --points-at")
    if found & {"-M", "-C", "-f", "--force"}:
        return DESTRUCTIVE
    lists = found & {"--list", "-l", "--show-current", "--contains", "--merged", "--no-merged"}
    changes = found & {
        "-d",
        "--delete",
        "-m",
        "--move",
        "-c",
        "--copy",
        "-u",
        "--set-upstream-to",
        "--unset-upstream",
        "--edit-description",
        "-t",
        "--track",
    }
    return WRITE if changes or (at and not lists) else READ


# `src/a.py` is a file whose changes go; `release/1.2` and `v1.x` are not.
_FILE_NAME: Final = re.compile(r"(?:.*/)?(?!v?\d)[^/]*\.[A-Za-z][A-Za-z0-9]{0,4}")


def _git_checkout(args: Args) -> Classes:
    found = options(args)
    if found & {"-f", "--force", "-B", "--ours", "--theirs", "-p", "--patch", "-m"}:
        return DESTRUCTIVE
    if any(arg.text == "--" for arg in args) or any(
        option.startswith("--pathspec") for option in found
    ):
        return DESTRUCTIVE  # paths follow: their changes are discarded
    at = positionals(args, "-b --orphan --conflict")
    if found & {"-b", "--orphan"}:
        return WRITE
    first = args[at[0]].text if at else ""
    path = first in (".", "..") or first.startswith((":", "./", "../", "/", "*", "~"))
    path = path or _FILE_NAME.fullmatch(first) is not None
    return DESTRUCTIVE if len(at) > 1 or path else WRITE


def _git_push(args: Args) -> Classes:
    own = classes_of(effect_of("git").subcommands["push"], args)
    at = positionals(args, "-o --push-option --repo")
    refs = [args[index].text for index in at[1:]]
    if any(ref.startswith(("+", ":")) for ref in refs):
        own |= DESTRUCTIVE
    return own


def _git_config(args: Args) -> ProgramEffects:
    at = positionals(args, "-f --file --type --default --blob")
    found = options(args)
    if found & {"--get", "--get-all", "--list", "-l", "--get-regexp", "--show-origin"}:
        return ProgramEffects(classes=READ)
    words = [args[index].text for index in at]
    if words[:1] in (["get"], ["list"]):
        return ProgramEffects(classes=READ)
    if words[:1] == ["edit"]:
        return ProgramEffects(classes=WRITE | UNKNOWN)
    words = words[1:] if words[:1] == ["set"] else words
    if len(words) < 2 and not found & {"--unset", "--unset-all", "--remove-section", "-e"}:
        return ProgramEffects(classes=READ)
    setting = _setting("=".join(words[:2]))
    return ProgramEffects(classes=WRITE | setting.classes, texts=setting.texts)


def _git_sub(name: str, args: Args) -> ProgramEffects:
    """What a subcommand does; where it only looks, an option that is not listed is `unknown`."""
    found = _git_effects(name, args)
    listed = effect_of("git").subcommands.get(name)
    if found.classes != READ or listed is None:
        return found
    return msgspec.structs.replace(
        found, classes=(classes_of(only_looks(listed), args) - READ) or READ
    )


def _git_effects(name: str, args: Args) -> ProgramEffects:
    found = options(args)
    if name == "config":
        return _git_config(args)
    if name == "branch":
        return ProgramEffects(classes=_git_branch(args))
    if name == "checkout":
        return ProgramEffects(classes=_git_checkout(args))
    if name == "push":
        return ProgramEffects(classes=_git_push(args))
    if name == "rm" and "--cached" in found:
        return ProgramEffects(classes=WRITE)
    if name == "restore":
        index_only = found & {"-S", "--staged"} and not found & {"-W", "--worktree"}
        return ProgramEffects(classes=WRITE if index_only else DESTRUCTIVE)
    if name == "bisect" and args[:1] and args[0].text == "run":
        return ProgramEffects(classes=WRITE, argvs=(tuple(args[1:]),))
    if name == "submodule" and any(arg.text == "foreach" for arg in args):
        at = positionals(args)
        return ProgramEffects(classes=UNKNOWN, texts=(join([args[i] for i in at[1:]]),))
    if name == "rebase":
        texts = [b.text for a, b in pairwise(args) if a.text in ("-x", "--exec")]
        texts += [arg.text[7:] for arg in args if arg.text.startswith("--exec=")]
        texts += [arg.text[2:] for arg in args if arg.text.startswith("-x")]
        return ProgramEffects(classes=WRITE | unsure(args), texts=tuple(texts))
    if name == "tag":
        own = classes_of(effect_of("git").subcommands["tag"], args)
        lists = found & {"-l", "--list", "-n", "--contains"} or not positionals(args)
        return ProgramEffects(classes=READ if lists and own - READ == WRITE else own)
    known = effect_of("git").subcommands.get(name)
    return ProgramEffects(classes=classes_of(known, args) if known else UNKNOWN)


_GIT_FLAGS_MATTER: Final = names("push branch checkout clean restore rm config tag")


def git(_: str, args: Args) -> ProgramEffects:
    """What a git command line does, past its global options."""
    entry = effect_of("git")
    at = positionals(args, entry.value_options)
    start = at[0] if at else len(args)
    top, rest = args[:start], args[start + 1 :]
    added = classes_of(entry, top) - READ | doubt(args[: start + 1])
    texts: list[str] = []
    for index, arg in enumerate(top):
        if arg.text.startswith("-c") and not arg.text.startswith("--"):
            value = arg.text[2:] or join(top[index + 1 : index + 2])
            setting = _setting(value)
            added |= setting.classes
            texts.extend(setting.texts)
    if not at:
        return ProgramEffects(classes=added or READ, texts=tuple(texts))
    name = args[start].text
    found = _git_sub(name, rest)
    for option in options(rest):
        if option.startswith("--out"):
            added |= classes("w")
        elif option.startswith(("--ext", "--textconv", "--filters", "--open-f")):
            added |= UNKNOWN
    if "ext::" in join(rest):
        added |= UNKNOWN
        texts.extend(arg.text.partition("ext::")[2] for arg in rest)
    if name in ("clone", "fetch", "ls-remote", "pull", "push", "grep", "difftool", "archive"):
        texts.extend(arg.text.partition("=")[2] or arg.text for arg in rest if " " in arg.text)
    if name in _GIT_FLAGS_MATTER:
        ended = next((i for i, arg in enumerate(rest) if arg.text == "--"), len(rest))
        added |= doubt(rest[:ended])
    if CommandClass.UNKNOWN in found.classes and not found.texts:
        texts.extend(arg.text for arg in rest if " " in arg.text)
    return ProgramEffects(
        classes=added | found.classes, argvs=found.argvs, texts=(*texts, *found.texts)
    )
