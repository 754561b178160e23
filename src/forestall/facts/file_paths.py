"""Reads each path of a payload: which files its text may name, and where each of them is.

Programs disagree on what a path names. One decodes `%2e`, one takes a backslash for a separator,
one puts the home directory in the place of `~`. So a path is read in every way that a known program
reads it, and each reading is a fact of its own:

1. spellings    the text as it stands, decoded, in ASCII look-alikes, cut at a NUL or a stream name
2. resolution   URL, drive, network share and `~` give an absolute path, or the workspace is put
                before a relative one
3. normal form  without empty, `.` and `..` parts
4. classes      what the absolute path leads to: `path_classes.py`

No disk is looked at: a link or a mount inside the workspace may lead out of it, and only the worker
can refuse to follow it. A path that some program reads in a way of its own is also `unknown`; this
module refuses to call such a path `workspace`.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import unquote

import msgspec

from forestall.facts.bounded_facts import at_most
from forestall.facts.path_classes import PathClass, classes_of

PATH_CHARS_MAX: Final = 8_192  # twice what Linux takes
TEXT_CHARS_MAX: Final = 64 * 1024  # all paths of one payload together
PATHS_MAX: Final = 64  # facts reported; each one costs a decision
VALUES_MAX: Final = 4 * PATHS_MAX  # paths that are read; many of them may lead to one fact
SPELLINGS_MAX: Final = 8  # ways of reading one path
PARTS_MAX: Final = 1_024  # directories in one path


class PathFact(msgspec.Struct, frozen=True, kw_only=True):
    """One path, absolute and normalised ("" if unknown), and what it leads to.

    WORKSPACE never stands beside OUTSIDE, SYSTEM or UNKNOWN; beside SECRET and RUNS_LATER it may.
    """

    path: str
    classes: frozenset[PathClass]


_UNKNOWN: Final = PathFact(path="", classes=frozenset({PathClass.UNKNOWN}))

# -- expressions of step 1, spellings --

# Characters that look like a separator or a dot, and that some program takes for one.
_LOOK_ALIKES: Final = {
    **dict.fromkeys(map(ord, "\u2215\u2044\u29f8\u29f5\u2571\u27cb\uff0f\ufe68\uff3c\u2216"), "/"),
    **dict.fromkeys(map(ord, "\u2024\u2025\uff0e\u3002\uff61\ufe52\u00b7\u0701\u0702"), "."),
}
# Overlong UTF-8 (`%c0%af` is a slash to a careless decoder) and `%u002f` of old Windows servers.
_OVERLONG: Final = re.compile(r"%(?:c0|c1|e0%80|u)(?:%[0-9a-f]{2}|[0-9a-f]{4})?", re.IGNORECASE)

# -- expressions of step 2, resolution --

_DRIVE: Final = re.compile(r"(?:[\\/]{2}[?.][\\/])?([A-Za-z]):")  # `C:`, `\\?\C:`
_HOME: Final = re.compile(
    r"^(?:~(?P<user>[A-Za-z0-9._-]*)|\$HOME\b|\$\{HOME\}|%USERPROFILE%|%HOMEPATH%)(?=[/\\]|$)",
    re.IGNORECASE,
)
# What a program that takes a path for a pattern or for shell text would replace. Names of real
# files hold brackets, `&` and `$name`: a program replaces these only in shell text.
_REPLACED: Final = re.compile(
    r"""
      \$ (?: [{(] | [A-Z_][A-Z0-9_]* (?![A-Za-z0-9]) )  # ${NAME}, $(command), $NAME in capitals
    | ^ \$\w+ (?= [/\\] )                               # $name where it is the first part
    | % [A-Za-z_][A-Za-z0-9_()]* %                      # %NAME%, a variable of Windows
    | [`<>|;*?]                                         # commands, redirections and wildcards
    | \{ [^{}]* (?: , | \.\. ) [^{}]* \}                # {a,b} and {1..9}
    | (?<! ^ ) (?<! [/\[] ) \[                          # [a-z] inside a name: any of its characters
      # A pair of brackets is a name where it fills a part: `[id]`, `[...slug]`, `[id].tsx`.
    | \[ (?! \[? (?: \.\.\. )? [\w=-]+ \]{1,2} (?: \.[\w.]+ )? (?: / | $ ) )
    | ~\d                                               # GIT~1 is .git to Windows
    """,
    re.VERBOSE,
)
_PERHAPS_REPLACED: Final = re.compile(r"[$&\[{]")
# proc(5): the root or the working directory of a process
_PROCESS_DIRECTORY: Final = re.compile(r"/proc/[^/]+(?:/task/[^/]+)?/(?:root|cwd)(?=/|$)")


def paths_in(values: Sequence[str], *, workspace: str = "/workspace") -> tuple[PathFact, ...]:
    """Where each of the paths may lead, without duplicates; never empty.

    Relative paths start at the workspace, an absolute path other than `/`; without one, every path
    is unknown.
    """
    root = plain_path(workspace) if workspace.startswith("/") else "/"
    facts: dict[PathFact, None] = {}
    chars = 0
    for value in values[:VALUES_MAX]:
        chars += len(value)
        if chars > TEXT_CHARS_MAX:
            facts[_UNKNOWN] = None
            break
        facts.update(dict.fromkeys(_facts(value, root)))
    if not facts or len(values) > VALUES_MAX:
        facts[_UNKNOWN] = None
    return at_most(PATHS_MAX, facts, _UNKNOWN)


def fact_of(path: str, workspace: str) -> PathFact:
    """Where an absolute path leads whose every character counts as it stands, as in a shell command
    whose words are resolved. `workspace` is in its normal form."""
    if len(path) > PATH_CHARS_MAX or path.count("/") > PARTS_MAX:
        return _UNKNOWN
    plain, certain = _normalised(path, workspace)
    return _fact(plain, workspace, certain=certain and not _PROCESS_DIRECTORY.match(plain))


def plain_path(path: str) -> str:
    """An absolute path without empty, `.` and `..` parts."""
    return _normalised(path, "/")[0]


def home_directory(user: str | None) -> str:
    """The home of a user; the user who runs a command, "" or None, is called `~`."""
    return "/root" if user == "root" else f"/home/{user or '~'}"


def _facts(value: str, workspace: str) -> Iterator[PathFact]:
    """The facts of one path, under each way of reading it."""
    too_long = len(value) > PATH_CHARS_MAX or value.count("/") > PARTS_MAX
    if not value or too_long or workspace == "/":
        yield _UNKNOWN
        return
    spellings, complete = _spellings(value)
    for spelling in spellings:
        path, certain = _resolved(spelling, workspace)
        yield _fact(path, workspace, certain=certain and complete)


def _fact(path: str, workspace: str, *, certain: bool) -> PathFact:
    """The fact of a normalised path. Not `certain`: some program may take the path for another."""
    classes = classes_of(path, workspace)
    if not certain:
        classes = (classes - {PathClass.WORKSPACE}) | {PathClass.UNKNOWN}
    return PathFact(path=path, classes=classes)


# -- 1. spellings --


def _spellings(value: str) -> tuple[list[str], bool]:
    """The texts that programs may take a path for, and whether these are all of them."""
    once = unquote(value, errors="replace")
    twice = unquote(once, errors="replace")
    complete = (
        unquote(twice, errors="replace") == twice
        and not _OVERLONG.search(value)
        and not _has_strange_character(value)
    )
    forms = [value, once, twice]
    forms += [_without_look_alikes(form) for form in forms if not form.isascii()]
    # A program in C reads a name up to the NUL, and Windows a file up to the name of its stream.
    ends_early = [form.partition("\0")[0] for form in forms if "\0" in form]
    forms += ends_early
    of_streams = [form[:colon] for form in forms if (colon := _stream_colon(form)) > 0]
    forms += of_streams
    forms += [_trimmed(form) for form in forms]
    distinct = list(dict.fromkeys(form.replace("\0", "") for form in forms))
    complete = complete and not ends_early and not of_streams and len(distinct) <= SPELLINGS_MAX
    return distinct[:SPELLINGS_MAX], complete


def _has_strange_character(text: str) -> bool:
    """Whether a character is invisible, or stands for another under some normalisation."""
    if text.isascii() and text.isprintable():
        return False
    return any(
        unicodedata.category(char)[0] in "CZ" or unicodedata.normalize("NFKC", char) != char
        for char in text
        if not " " <= char < "\x7f"
    )


def _without_look_alikes(text: str) -> str:
    """The text with the characters that others look like, and without those that nobody sees."""
    plain = unicodedata.normalize("NFKC", text.translate(_LOOK_ALIKES))
    return "".join(char for char in plain if unicodedata.category(char) not in ("Cf", "Mn"))


def _stream_colon(text: str) -> int:
    """Where the colon before a stream of the file stands (`a.txt:stream`), or -1.

    The colon of a drive is the second character of its part, and never a later one.
    """
    name_start = max(text.rfind("/"), text.rfind("\\")) + 1
    return text.find(":", name_start + 2)


def _trimmed(text: str) -> str:
    """The text as Windows reads it: no part of a path ends with a blank or a dot."""
    return "/".join(part.rstrip(" .") or part.strip() for part in text.strip().split("/"))


# -- 2. resolution --


def _resolved(text: str, workspace: str) -> tuple[str, bool]:
    """The normalised absolute path that a text stands for, and whether that is certain."""
    text, certain = _path_of_url(text)
    drive = _DRIVE.match(text)
    if drive is not None:
        below = text[drive.end() :].replace("\\", "/")
        return f"{drive[1].lower()}:{plain_path(below)}", below.startswith("/")
    is_network_share = text.startswith(("\\\\", "//")) and text[2:3] not in ("/", "\\", "", ".")
    if is_network_share:
        certain = certain and "\\" not in text and not _is_replaced(text)
        return plain_path(text.replace("\\", "/")), certain
    if "\\" in text:
        text = text.replace("\\", "/")  # a separator to some programs; a plain character to others
        certain = False
    home = _HOME.match(text)
    if home is not None:
        certain = certain and bool(home["user"])
        text = home_directory(home["user"]) + text[home.end() :]
    certain = certain and not _is_replaced(text)
    if not text.startswith("/"):
        text = f"{workspace}/{text}"
    path, straight = _normalised(text, workspace)
    of_process = _PROCESS_DIRECTORY.match(path)
    if of_process is not None:  # nobody knows which directory that is: perhaps the root
        return path[of_process.end() :] or "/", False
    return path, certain and straight


def _path_of_url(text: str) -> tuple[str, bool]:
    """The path of a URL, and whether it is surely a file of this machine; any other text as it
    is."""
    scheme, colon, rest = text.partition(":")
    is_scheme = len(scheme) > 1 and scheme.replace("+", "").isalnum()  # one letter is a drive
    if not (colon and is_scheme and rest.startswith("/")):
        return text, True
    host = ""
    if rest.startswith("//") and not rest.startswith("///"):
        host, _, path = rest[2:].partition("/")
    else:
        path = rest[3:] if rest.startswith("///") else rest[1:]
    is_local = scheme.lower() == "file" and host in ("", "localhost")
    before_query = path.partition("?")[0].partition("#")[0]
    return f"/{before_query}", is_local and before_query == path


def _is_replaced(text: str) -> bool:
    """Whether a program may read something else in the place of a part of the path."""
    if _REPLACED.search(text):
        return True
    # What is replaced may hold separators, and then `..` leads to another directory.
    return _PERHAPS_REPLACED.search(text) is not None and ".." in text.split("/")


# -- 3. normal form --


def _normalised(path: str, workspace: str) -> tuple[str, bool]:
    """The absolute path without empty, `.` and `..` parts, and whether every `..` goes back from a
    directory that is no link.

    Only the workspace and the directories above it are surely no links: `/bin/..` may be `/usr`.
    """
    parts: list[str] = []
    workspace_parts = workspace.split("/")[1:]
    straight = True
    for part in path.split("/"):
        if part == "..":
            depth = min(len(parts), len(workspace_parts))
            straight = straight and parts[:depth] == workspace_parts[:depth]
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts), straight
