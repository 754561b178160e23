"""Where one command acts: the paths among its words, and where each of them leads.

Every word that may be a path counts as one: a word too many can only tighten a decision. A program
acts inside the workspace when the table says that it works on files, and nothing else. What cannot
be resolved by reading is `unknown`; this module refuses to look at a disk.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

from forestall.facts.file_paths import fact_of, home_directory
from forestall.facts.path_classes import PathClass, may_be_secret
from forestall.facts.shell.arguments import Arg, Args
from forestall.facts.shell.command_classes import Classes, CommandClass
from forestall.facts.shell.directories import Directories
from forestall.facts.shell.program_table import BUILT_IN, PROGRAMS, ProgramTable, program
from forestall.facts.shell.word_lists import SHELL_WORDS
from forestall.facts.shell.write_targets import HARMLESS_DEVICE_PATHS

WORDS_MAX: Final = 512  # words of one command that are looked at; more make its place unknown
_REMEMBERED_MAX: Final = 4_096  # words whose answer is kept


class CommandScope(StrEnum):
    """Where a command acts, as far as one of its words says."""

    WORKSPACE = "workspace"
    RUNS_LATER = "runs_later"  # it changes a file that a tool runs later
    OUTSIDE = "outside"
    SYSTEM = "system"
    ROOT = "root"  # the whole file tree
    UNKNOWN = "unknown"


class CommandPlace(msgspec.Struct, frozen=True, kw_only=True):
    """One path that a command names, absolute and normalised ("" if unknown), and its scope."""

    path: str = ""
    scope: CommandScope


UNKNOWN_PLACE: Final = CommandPlace(scope=CommandScope.UNKNOWN)
_OUTSIDE: Final = CommandPlace(scope=CommandScope.OUTSIDE)
_ROOT_OF_TREE: Final = re.compile(r"/[/*]*")
_WILDCARDS: Final = frozenset("*?[")
_MAY_CLIMB: Final = re.compile(r"\.[.*?\[].*|[*?\[]*\[.*|\.\.")  # `.*` may become `..`
_NAMED: Final = re.compile(r"[A-Za-z_][\w.-]*=(?=.)")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOME: Final = re.compile(r"~(?P<user>[A-Za-z0-9._-]*)(?=/|$)")
_PATH_STARTS: Final = ("/", "~", "./", "../")
_SHOWS_NAMES: Final = SHELL_WORDS.set("programs_that_show_names")
_TAKES_TEXT: Final = SHELL_WORDS.set("programs_that_take_text")
_TAKES_PATTERN: Final = SHELL_WORDS.set("programs_that_take_a_pattern")
_PATTERN_OPTIONS: Final = frozenset(("-e", "-f", "--regexp", "--file", "--expression", "--files"))
_LOCAL: Final = SHELL_WORDS.set("families_that_work_on_files")
_REMOTE: Final = SHELL_WORDS.set("families_that_work_elsewhere")
_HANDLES_FILES: Final = frozenset(("files", "text"))
_LOOKS: Final = frozenset((CommandClass.READ, CommandClass.SECRET))
_SCOPES: Final = {
    PathClass.WORKSPACE: CommandScope.WORKSPACE,
    PathClass.OUTSIDE: CommandScope.OUTSIDE,
    PathClass.SYSTEM: CommandScope.SYSTEM,
    PathClass.UNKNOWN: CommandScope.UNKNOWN,
}


# -- the words that may be paths --


def path_words(
    name: str, args: Args, *, runs_others: bool, programs: ProgramTable = BUILT_IN
) -> list[Arg]:
    """The words of a command that may be paths. `runs_others`: its last words are a command, which
    is judged by itself."""
    entry = programs.entry(name)
    searches = entry is not None and entry.handler == "find"
    if name in _TAKES_TEXT or (runs_others and not searches):
        return []
    effect = entry.effect if entry is not None else None
    # grep: the first word is a pattern, unless an option names the pattern.
    pattern_is_next = name in _TAKES_PATTERN and not any(
        arg.text in _PATTERN_OPTIONS for arg in args
    )
    paths: list[Arg] = []
    for arg in args[: WORDS_MAX + 1]:
        text = arg.text
        if searches and text.startswith(("-exec", "-ok")):
            break
        is_option = text.startswith(("-", "+")) and len(text) > 1
        subcommand = effect.subcommands.get(text) if effect is not None else None
        if pattern_is_next and not is_option:
            pattern_is_next = False
        elif subcommand is not None:
            effect = subcommand
        else:
            path = _path_in_option(text) if is_option else _path_in_word(text)
            if path or not (arg.literal or is_option):
                is_whole = path == text
                paths.append(arg if is_whole else Arg(path, arg.literal, wildcards=arg.wildcards))
    return paths


def _path_in_option(text: str) -> str:
    """The part of an option that may be a path, `-I/usr/include` or `--file=x`; "" without one."""
    name, equals, value = text.partition("=")
    if equals:
        return value
    start = min((at for at in map(name.find, "/~") if at > 0), default=0)
    return name[start:] if start else ""


def _path_in_word(text: str) -> str:
    """The part of a word that may be a path, as in `of=/dev/sda` or `file:///x`; "" for a URL."""
    if _SCHEME.match(text):
        return text[len("file://") :] if text.lower().startswith("file://") else ""
    named = _NAMED.match(text)
    if named is not None and text[named.end()] in "/~.@":
        text = text[named.end() :]
    return text.removeprefix("@")  # curl -d @FILE


# -- files of secrets --


def holds_secret(name: str, words: Iterable[Arg], here: Directories) -> bool:
    """Whether one of the words names a file of secrets, and the program may show what is in it."""
    if name in _SHOWS_NAMES:
        return False
    family = _family(name)
    names_resources = family in _REMOTE and family != "network"
    around = tuple(directory or "/" for directory in here) or ("/",)
    for word in words:
        if " " in word.text and family not in _HANDLES_FILES:
            continue  # a message
        if names_resources and "." not in word.text and not word.text.startswith(_PATH_STARTS):
            continue  # the name of a thing elsewhere
        if _is_secret(word, around):
            return True
    return False


@lru_cache(maxsize=_REMEMBERED_MAX)
def _is_secret(word: Arg, around: Directories) -> bool:
    return any(_leads_to_secret(path, word.wildcards) for path, _ in _resolved(word, around))


def _leads_to_secret(path: str, wildcards: bool) -> bool:
    if PathClass.SECRET in fact_of(path, "/").classes:
        return True
    parts = path.split("/") if wildcards else ()
    return any(may_be_secret(part) for part in parts if not _WILDCARDS.isdisjoint(part))


# -- places --


def places_of(
    name: str, words: Sequence[Arg], classes: Classes, here: Directories, root: str
) -> frozenset[CommandPlace]:
    """Every place that a command acts on; never empty.

    `words` may be paths, `here` are the directories that the command may run in, and `root` is the
    workspace.
    """
    changes = not classes <= _LOOKS
    remote = _family(name) in _REMOTE
    if remote:  # its other words name things elsewhere
        words = [word for word in words if word.text.startswith(_PATH_STARTS)]
    elif not words:
        words = [Arg(".")]
    places: set[CommandPlace] = set()
    for word in words if here else ():
        for path, certain in _resolved(word, here):
            if path not in HARMLESS_DEVICE_PATHS:
                places.update(_places_of_path(path, root, certain=certain, changes=changes))
    if CommandClass.NETWORK in classes or remote:
        places.add(_OUTSIDE)
    elif changes and not _works_on_files(name):
        places.add(UNKNOWN_PLACE)
    if not here or CommandClass.UNKNOWN in classes or len(words) > WORDS_MAX:
        places.add(UNKNOWN_PLACE)
    return frozenset(places or {UNKNOWN_PLACE})


@lru_cache(maxsize=_REMEMBERED_MAX)
def _works_on_files(name: str) -> bool:
    entry = program(name)
    searches = entry is not None and entry.handler == "find"
    return searches or not name or _family(name) in _LOCAL


@lru_cache(maxsize=_REMEMBERED_MAX)
def _family(name: str) -> str:
    """The file of the program table that a program stands in, without its ending."""
    return PROGRAMS.file_of(name).removesuffix(".yaml")


def _places_of_path(
    path: str, root: str, *, certain: bool, changes: bool
) -> Iterator[CommandPlace]:
    if not path:
        yield UNKNOWN_PLACE
        return
    fact = fact_of(path, root)
    if not certain:
        yield UNKNOWN_PLACE
        if PathClass.WORKSPACE in fact.classes:
            return
    if _ROOT_OF_TREE.fullmatch(fact.path):
        yield CommandPlace(path=fact.path, scope=CommandScope.ROOT)
        yield CommandPlace(path=fact.path, scope=CommandScope.SYSTEM)
        return
    for path_class in fact.classes & _SCOPES.keys():
        yield CommandPlace(path=fact.path, scope=_SCOPES[path_class])
    if changes and PathClass.RUNS_LATER in fact.classes:
        yield CommandPlace(path=fact.path, scope=CommandScope.RUNS_LATER)


def _resolved(word: Arg, here: Directories) -> Iterator[tuple[str, bool]]:
    """The absolute paths that a word may be, and whether each is certain."""
    text = word.text
    certain = word.literal or (word.wildcards and not _may_climb(text))
    home = _HOME.match(text)
    if home is not None:
        user = home["user"]
        yield home_directory(user) + text[home.end() :], certain and bool(user)
    elif text.startswith("/"):
        yield text, certain
    else:
        for directory in here:
            yield f"{directory}/{text}" if directory is not None else "", certain


def _may_climb(path: str) -> bool:
    """Whether wildcards in a path may lead upwards."""
    parts = path.split("/")
    first = next((at for at, part in enumerate(parts) if not _WILDCARDS.isdisjoint(part)), 0)
    return any(map(_MAY_CLIMB.fullmatch, parts[first:]))
