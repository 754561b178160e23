"""Where each path of a payload leads: inside the workspace, outside, to the system, to a secret.

A file that some tool runs later without being told to, such as a hook or a start-up file of a
shell, has a class of its own beside its place.

Paths are read as text, in every way that a program might read them: decoded, normalised, with a
home directory in place of `~`. No disk is looked at: a link or a mount inside the workspace may
lead out of it, and only the worker can refuse to follow it. What cannot be resolved by reading is
`unknown`; this module refuses to call such a path `workspace`.
"""

import fnmatch
import re
import unicodedata
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

import msgspec

from forestall.facts.data_files import WordLists

PATH_CHARS_MAX: Final = 8_192  # twice what Linux takes
TEXT_CHARS_MAX: Final = 64 * 1024  # all paths of one payload together
PATHS_MAX: Final = 64  # facts reported; each one costs a decision
READINGS_MAX: Final = 8  # ways of reading one path
PARTS_MAX: Final = 1_024  # directories in one path


class PathClass(StrEnum):
    """Where a path leads."""

    WORKSPACE = "workspace"
    OUTSIDE = "outside"
    SYSTEM = "system"
    SECRET = "secret"  # noqa: S105 - the name of a class of files
    RUNS_LATER = "runs_later"  # a tool runs what it says, though nobody names the file again
    UNKNOWN = "unknown"


class PathFact(msgspec.Struct, frozen=True, kw_only=True):
    """One path, absolute and normalised ("" if unknown), and where it leads.

    WORKSPACE never stands beside OUTSIDE, SYSTEM or UNKNOWN; beside SECRET and RUNS_LATER it may.
    """

    path: str
    classes: frozenset[PathClass]


_WORDS: Final = WordLists("paths.yaml")
_SYSTEM_ROOTS: Final = frozenset(map(str.casefold, _WORDS.words("system_roots")))
_SYSTEM_VAR: Final = _WORDS.set("system_directories_of_var")
_HARMLESS_DEVICES: Final = _WORDS.set("harmless_devices")
_SECRET_DIRECTORIES: Final = _WORDS.set("secret_directories")
_IN_SECRET_DIRECTORY: Final = re.compile(f"/(?:{'|'.join(map(re.escape, _SECRET_DIRECTORIES))})/")
_SECRET_NAMES: Final = _WORDS.set("secret_names")
_SECRET_ENDINGS: Final = tuple(_WORDS.words("secret_endings"))
_SECRET_BEGINNINGS: Final = tuple(_WORDS.words("secret_beginnings"))
_SECRET_WORDS: Final = re.compile(
    rf"(?:^|.*[._-])(?:{'|'.join(map(re.escape, _WORDS.words('secret_words')))})(?:[._-].*)?"
)
_SECRET_FIRST_WORDS: Final = re.compile(
    rf"\.?(?:{'|'.join(map(re.escape, _WORDS.words('secret_first_words')))})(?:[._-].*)?"
)
_DATA_ENDINGS: Final = tuple(_WORDS.words("data_endings"))
_EXAMPLE: Final = re.compile(
    rf"(?:.*[._-])?(?:{'|'.join(map(re.escape, _WORDS.words('example_words')))})"
    r"(?:\.(?:json|ya?ml|toml|ini|txt|csv|xml|properties|conf|cfg|env))?"
)
_PUBLIC_KEY: Final = re.compile(
    r"(?:.*[._-])?pub(?:lic)?(?:[._-]?key)?\.(?:pem|key|gpg|pgp|p8|age)"
    r"|(?:full|ca[_-]?)?chain\.pem|(?:root[_-]?)?ca(?:[_-]?(?:cert|bundle))?\.pem"
)
# A name in capitals is meant so: `BUILD` is a file of Bazel, and `build` any directory.
_RUN_NAMES: Final = frozenset(
    name if name.isupper() else name.casefold() for name in _WORDS.words("run_names")
)
_RUN_ENDINGS: Final = tuple(map(str.casefold, _WORDS.words("run_endings")))
_IN_RUN_DIRECTORY: Final = re.compile(
    f"/(?:{'|'.join(map(re.escape, map(str.casefold, _WORDS.words('run_directories'))))})/"
)
_REPOSITORY: Final = re.compile(
    r".*/\.git(?:/(?:.*/)?(?:hooks(?:/.*)?|config|config\.worktree|commondir|gitdir))?"
)
_BACKUPS: Final = re.compile(r"(?:~|\.(?:bak|old|orig|save|swp|swo|tmp|copy|backup|\d))+$")
_KUBE: Final = re.compile(r"(?:^|/)(?:\.kube/.*|.*kubeconfig.*)$")
_PROCESS_SECRETS: Final = re.compile(
    r"/proc/[^/]+(?:/task/[^/]+)?/(?:environ|mem|maps|cmdline|fd|fdinfo|auxv|map_files|syscall)\b"
)
_PROCESS_ROOT: Final = re.compile(r"/proc/[^/]+(?:/task/[^/]+)?/(?:root|cwd)(?=/|$)")
_SHORT_NAME: Final = re.compile(r"~\d")  # GIT~1 is .git to Windows
_STREAMS: Final = re.compile(r"/dev/(?:fd(?:/\d*)?|stdin|stdout|stderr|tcp|udp)\b")
_DRIVE: Final = re.compile(r"(?:[\\/]{2}[?.][\\/])?([A-Za-z]):")
# What a program that takes a path for a pattern or for shell text would replace. Names of real
# files hold brackets, `&` and `$name`: a program replaces these only in shell text.
_VARIABLE: Final = re.compile(
    r"\$(?:[{(]|[A-Z_][A-Z0-9_]*(?![A-Za-z0-9]))|^\$\w+(?=[/\\])|%[A-Za-z_][A-Za-z0-9_()]*%"
    r"|[`<>|;*?]|\{[^{}]*(?:,|\.\.)[^{}]*\}"
    # A pair of brackets is a name where it fills a part: `[id]`, `[...slug]`, `[id].tsx`.
    r"|(?<!^)(?<![/\[])\[|\[(?!\[?(?:\.\.\.)?[\w=-]+\]{1,2}(?:\.[\w.]+)?(?:/|$))"
)
_PERHAPS_REPLACED: Final = re.compile(r"[$&\[{]")
_HOME: Final = re.compile(
    r"^(?:~(?P<user>[A-Za-z0-9._-]*)|\$HOME\b|\$\{HOME\}|%USERPROFILE%|%HOMEPATH%)(?=[/\\]|$)",
    re.IGNORECASE,
)
_LOOK_ALIKES: Final = {
    **dict.fromkeys(map(ord, "\u2215\u2044\u29f8\u29f5\u2571\u27cb\uff0f\ufe68\uff3c\u2216"), "/"),
    **dict.fromkeys(map(ord, "\u2024\u2025\uff0e\u3002\uff61\ufe52\u00b7\u0701\u0702"), "."),
}
_OVERLONG: Final = re.compile(r"%(?:c0|c1|e0%80|u)(?:%[0-9a-f]{2}|[0-9a-f]{4})?", re.IGNORECASE)
_UNKNOWN: Final = PathFact(path="", classes=frozenset({PathClass.UNKNOWN}))
_DANGER: Final = (
    PathClass.SECRET,
    PathClass.SYSTEM,
    PathClass.UNKNOWN,
    PathClass.OUTSIDE,
    PathClass.WORKSPACE,
)


def paths_in(values: Sequence[str], *, workspace: str = "/workspace") -> tuple[PathFact, ...]:
    """Where each of the paths may lead, without duplicates; never empty.

    Relative paths start at the workspace, an absolute path other than `/`; without one, every path
    is unknown.
    """
    root = plain_path(workspace) if workspace.startswith("/") else "/"
    found: dict[PathFact, None] = {}
    chars = 0
    for value in values[: PATHS_MAX * 4]:
        chars += len(value)
        if chars > TEXT_CHARS_MAX:
            found.setdefault(_UNKNOWN)
            break
        for fact in _facts(value, root):
            found.setdefault(fact)
    if len(values) > PATHS_MAX * 4:
        found.setdefault(_UNKNOWN)
    if not found:
        return (_UNKNOWN,)
    if len(found) > PATHS_MAX:
        ranked = sorted(found, key=lambda fact: min(map(_DANGER.index, fact.classes)))
        return (*(fact for fact in ranked[: PATHS_MAX - 1] if fact != _UNKNOWN), _UNKNOWN)
    return tuple(found)


def _facts(value: str, root: str) -> Iterator[PathFact]:
    """The facts of one path, under each way of reading it."""
    if not value or len(value) > PATH_CHARS_MAX or root == "/" or value.count("/") > PARTS_MAX:
        yield _UNKNOWN
        return
    forms, sure = _readings(value)
    for form in forms:
        path, certain = _resolved(form, root)
        classes = classes_of(path, root)
        if not (certain and sure):
            classes = (classes - {PathClass.WORKSPACE}) | {PathClass.UNKNOWN}
        yield PathFact(path=path, classes=classes)


def _readings(value: str) -> tuple[list[str], bool]:
    """The ways to read a path, and whether the list is complete."""
    sure = True
    plain_ascii = value.isascii() and value.isprintable()  # as most are: no character is strange
    if _OVERLONG.search(value) or not (plain_ascii or not any(map(_is_strange, value))):
        sure = False
    forms = [value]
    text = value
    for _ in range(2):
        text = unquote(text, errors="replace")
        forms.append(text)
    if "%" in text and unquote(text, errors="replace") != text:
        sure = False
    for form in list(forms):
        if not form.isascii():
            plain = unicodedata.normalize("NFKC", form.translate(_LOOK_ALIKES))
            forms.append(
                "".join(char for char in plain if unicodedata.category(char) not in ("Cf", "Mn"))
            )
    for form in list(forms):
        if "\0" in form:
            sure = False
            forms.append(form.partition("\0")[0])
    for form in list(forms):
        drive = _DRIVE.match(form)
        name = form.replace("\\", "/").rpartition("/")[2]
        stream = name.find(":", 2)
        if stream > 0 and not (drive and drive.end() == len(form) - len(name) + stream + 1):
            sure = False  # to Windows, a stream of the file that stands before the colon
            forms.append(form[: len(form) - len(name) + stream])
    for form in list(forms):
        trimmed = "/".join(part.rstrip(" .") or part.strip() for part in form.strip().split("/"))
        if trimmed != form:
            forms.append(trimmed)
    distinct = list(dict.fromkeys(form.replace("\0", "") for form in forms))
    return distinct[:READINGS_MAX], sure and len(distinct) <= READINGS_MAX


def _is_strange(char: str) -> bool:
    return not " " <= char < "\x7f" and (
        unicodedata.category(char)[0] in "CZ" or unicodedata.normalize("NFKC", char) != char
    )


def _resolved(text: str, root: str) -> tuple[str, bool]:
    """The absolute path that a text stands for, and whether that is certain."""
    certain = True
    scheme, colon, rest = text.partition(":")
    if colon and len(scheme) > 1 and scheme.replace("+", "").isalnum() and rest.startswith("/"):
        host, _, path = rest.lstrip("/").partition("/") if rest[:2] == "//" else ("", "", rest[1:])
        if rest.startswith("///"):
            host, path = "", rest[3:]
        certain = scheme.lower() == "file" and host in ("", "localhost")
        text = "/" + path.partition("?")[0].partition("#")[0]
        certain = certain and "?" not in path and "#" not in path
    drive = _DRIVE.match(text)
    if drive is not None:
        tail = text[drive.end() :].replace("\\", "/")
        return f"{drive[1].lower()}:{plain_path(tail)}", tail.startswith("/")
    if text.startswith(("\\\\", "//")) and text[2:3] not in ("/", "\\", "", "."):
        certain = certain and "\\" not in text and not _is_replaced(text)
        return plain_path(text.replace("\\", "/")), certain
    if "\\" in text:
        text = text.replace("\\", "/")  # a separator to some programs; a plain character to others
        certain = False
    home = _HOME.match(text)
    if home is not None:
        user = home["user"]
        directory = "/root" if user == "root" else f"/home/{user or '~'}"
        text = directory + text[home.end() :]
        certain = certain and bool(user)
    certain = certain and not _is_replaced(text)
    if not text.startswith("/"):
        text = f"{root}/{text}"
    path, straight = _walked(text, root)
    through = _PROCESS_ROOT.match(path)
    if through is not None:  # the root or the directory of a process: whose, is not known
        return path[through.end() :] or "/", False
    return path, certain and straight


def fact_of(path: str, root: str) -> PathFact:
    """Where an absolute path leads whose every character counts as it stands, as in a shell command
    whose words are resolved. `root` is the workspace, in its plain form."""
    if len(path) > PATH_CHARS_MAX or path.count("/") > PARTS_MAX:
        return _UNKNOWN
    plain, straight = _walked(path, root)
    classes = classes_of(plain, root)
    if not straight or _PROCESS_ROOT.match(plain):
        classes = (classes - {PathClass.WORKSPACE}) | {PathClass.UNKNOWN}
    return PathFact(path=plain, classes=classes)


def _is_replaced(text: str) -> bool:
    """Whether a program may read something else in the place of a part of the path."""
    if _VARIABLE.search(text) or _SHORT_NAME.search(text):
        return True
    # From where the path climbs, nobody can say.
    return _PERHAPS_REPLACED.search(text) is not None and ".." in text.split("/")


def plain_path(path: str) -> str:
    """An absolute path without empty, `.` and `..` parts."""
    return _walked(path, "/")[0]


def _walked(path: str, root: str) -> tuple[str, bool]:
    """The plain form, and whether every `..` goes back from a directory that is no link.

    Only the workspace and what is above it are plain directories: `/bin/..` may be `/usr`.
    """
    parts: list[str] = []
    above = root.split("/")[1:]
    straight = True
    for part in path.split("/"):
        if part == "..":
            depth = min(len(parts), len(above))
            straight = straight and parts[:depth] == above[:depth]
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts), straight


def classes_of(path: str, root: str) -> frozenset[PathClass]:
    """Where a normalised absolute path leads, for a workspace that begins at `root`."""
    found: set[PathClass] = set()
    inside = path == root or path.startswith(root.rstrip("/") + "/")
    if _is_secret(path):
        found.add(PathClass.SECRET)
    machinery = _REPOSITORY.fullmatch(path.casefold()) is not None
    if machinery or _runs_later(path):
        found.add(PathClass.RUNS_LATER)
    if inside and not machinery:
        found.add(PathClass.WORKSPACE)
    elif machinery or _is_system(path):
        found.add(PathClass.SYSTEM)
    else:
        found.add(PathClass.OUTSIDE)
    if _STREAMS.match(path):  # never a file of the workspace, even of one that lies in /dev
        found = found - {PathClass.WORKSPACE} | {PathClass.UNKNOWN}
    return frozenset(found)


def _is_system(path: str) -> bool:
    if path in _HARMLESS_DEVICES:
        return False
    parts = path.partition(":")[2].split("/") if path[1:2] == ":" else path.split("/")
    parts = [part.casefold() for part in parts if part]
    if not parts:
        return True  # the root itself
    first = parts[0]
    if first in ("var", "private") and len(parts) > 1:
        rest = parts[1:] if first == "private" else parts
        return rest[0] == "etc" or (len(rest) > 1 and rest[1] in _SYSTEM_VAR) or rest == ["var"]
    windows = path[1:2] == ":" and first.startswith(("windows", "program", "$", "winnt", "boot"))
    return windows or first == "var" or first in _SYSTEM_ROOTS


def _runs_later(path: str) -> bool:
    """Whether a tool runs the file, or reads from it what to run, though nobody names it again."""
    folded = path.casefold()
    name = folded.rpartition("/")[2]
    return (
        not _RUN_NAMES.isdisjoint((name, path.rpartition("/")[2]))
        or name.endswith(_RUN_ENDINGS)
        or _IN_RUN_DIRECTORY.search(f"{folded}/") is not None
    )


def may_be_secret(name: str) -> bool:
    """Whether a name with wildcards may become that of a secret. A name that begins with `*` may
    become any name, and counts as none: `*` leaves files out whose name begins with a dot."""
    if name.startswith("*"):
        return False
    matches = re.compile(fnmatch.translate(name.casefold())).match
    return any(map(matches, (*_SECRET_NAMES, *_SECRET_BEGINNINGS, *_SECRET_DIRECTORIES)))


def _is_secret(path: str) -> bool:
    folded = path.casefold()
    name = folded.rpartition("/")[2]
    bare = _BACKUPS.sub("", name) or name
    around = f"{folded}/"
    if _IN_SECRET_DIRECTORY.search(around):
        return True
    if _PROCESS_SECRETS.match(folded) or _KUBE.search(folded):
        return True
    if {name, bare} & _SECRET_NAMES:
        return True
    if _EXAMPLE.fullmatch(name) or _PUBLIC_KEY.fullmatch(name):
        return False
    stem, dot, ending = bare.rpartition(".")
    if dot and ending in _DATA_ENDINGS and _holds_secret_word(stem):
        return True
    if bare.endswith(_SECRET_ENDINGS) or name.endswith(_SECRET_ENDINGS):
        return True
    if name.startswith(_SECRET_BEGINNINGS):
        key = not name.startswith(".env")
        return not (key and name.endswith(".pub")) and not name.startswith(".environment")
    return False


def _holds_secret_word(stem: str) -> bool:
    return bool(_SECRET_WORDS.fullmatch(stem) or _SECRET_FIRST_WORDS.fullmatch(stem))
