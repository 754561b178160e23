"""What an absolute path leads to: the workspace, the system, a secret, a file that runs later.

The name alone decides. `file_paths.py` reads a text into an absolute path; this module refuses to
read one. The names are word lists of `data/words/paths.yaml`. The expressions below are what a list
of words cannot say. All but the names that are compared as written are compared in lower case, as
file systems of Windows and macOS do.

An expression whose match means danger is compiled with DOTALL: a line break in the name of a
directory must not hide the rest of the path.
"""

import fnmatch
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from forestall.facts.data_files import WordLists


class PathClass(StrEnum):
    """Where a path leads."""

    WORKSPACE = "workspace"
    OUTSIDE = "outside"
    SYSTEM = "system"
    SECRET = "secret"  # noqa: S105 - the name of a class of files
    RUNS_LATER = "runs_later"  # a tool runs what it says, though nobody names the file again
    UNKNOWN = "unknown"


def _any_of(words: Iterable[str]) -> str:
    """An expression, without a group around it, that matches each of the words."""
    return "|".join(map(re.escape, words))


_WORDS: Final = WordLists("paths.yaml")

# -- the system --

_SYSTEM_ROOTS: Final = frozenset(map(str.casefold, _WORDS.words("system_roots")))
_SYSTEM_DIRECTORIES_OF_VAR: Final = _WORDS.set("system_directories_of_var")
_SYSTEM_ROOTS_OF_DRIVE: Final = ("windows", "program", "$", "winnt", "boot")  # how they begin
_HARMLESS_DEVICES: Final = _WORDS.set("harmless_devices")
# Open streams of the process, and connections that a shell opens under such a name.
_STREAM_DEVICE: Final = re.compile(r"/dev/(?:fd(?:/\d*)?|stdin|stdout|stderr|tcp|udp)\b")

# -- secrets --

_SECRET_DIRECTORIES: Final = _WORDS.set("secret_directories")
_IN_SECRET_DIRECTORY: Final = re.compile(f"/(?:{_any_of(_SECRET_DIRECTORIES)})/")
_SECRET_NAMES: Final = _WORDS.set("secret_names")
_SECRET_ENDINGS: Final = tuple(_WORDS.words("secret_endings"))
_SECRET_BEGINNINGS: Final = tuple(_WORDS.words("secret_beginnings"))
# A file of data is a secret by a word anywhere in its name, or by the first word of it. Words of a
# name stand between dots, dashes and underscores.
_DATA_ENDINGS: Final = tuple(_WORDS.words("data_endings"))
_SECRET_STEM: Final = re.compile(
    rf"(?:|.*[._-])(?:{_any_of(_WORDS.words('secret_words'))})(?:[._-].*)?"
    rf"|\.?(?:{_any_of(_WORDS.words('secret_first_words'))})(?:[._-].*)?",
    re.DOTALL,
)
# `.env.example`, `credentials.sample.json`
_EXAMPLE: Final = re.compile(
    rf"(?:.*[._-])?(?:{_any_of(_WORDS.words('example_words'))})"
    r"(?:\.(?:json|ya?ml|toml|ini|txt|csv|xml|properties|conf|cfg|env))?"
)
# `jwt-public.key`, and certificates of an authority, which hold no private key
_PUBLIC_KEY: Final = re.compile(
    r"(?:.*[._-])?pub(?:lic)?(?:[._-]?key)?\.(?:pem|key|gpg|pgp|p8|age)"
    r"|(?:full|ca[_-]?)?chain\.pem"
    r"|(?:root[_-]?)?ca(?:[_-]?(?:cert|bundle))?\.pem"
)
_BACKUP_ENDINGS: Final = re.compile(r"(?:~|\.(?:bak|old|orig|save|swp|swo|tmp|copy|backup|\d))+$")
# proc(5): the environment, the memory and the open files of a process
_PROCESS_SECRET: Final = re.compile(
    r"/proc/[^/]+(?:/task/[^/]+)?/(?:environ|mem|maps|cmdline|fd|fdinfo|auxv|map_files|syscall)\b"
)

# -- files that a tool runs later --

# A name in capitals is meant so: `BUILD` is a file of Bazel, and `build` any directory.
_RUN_NAMES: Final = frozenset(
    name if name.isupper() else name.casefold() for name in _WORDS.words("run_names")
)
_RUN_ENDINGS: Final = tuple(map(str.casefold, _WORDS.words("run_endings")))
_IN_RUN_DIRECTORY: Final = re.compile(
    f"/(?:{_any_of(map(str.casefold, _WORDS.words('run_directories')))})/"
)
# A `.git` as a whole, and what git runs or reads commands from inside it and inside its modules.
_GIT_CONTROL: Final = re.compile(
    r".*/\.git(?:/(?:.*/)?(?:hooks(?:/.*)?|config|config\.worktree|commondir|gitdir))?", re.DOTALL
)


def classes_of(path: str, workspace: str) -> frozenset[PathClass]:
    """What a normalised absolute path leads to.

    Exactly one of WORKSPACE, OUTSIDE, SYSTEM and UNKNOWN, or UNKNOWN beside one of the last two;
    SECRET and RUNS_LATER stand beside them. `workspace` is a normalised absolute path too.
    """
    found: set[PathClass] = set()
    if _is_secret(path):
        found.add(PathClass.SECRET)
    git_control = _GIT_CONTROL.fullmatch(path.casefold()) is not None
    if git_control or _runs_later(path):
        found.add(PathClass.RUNS_LATER)
    inside = path == workspace or path.startswith(workspace.rstrip("/") + "/")
    if inside and not git_control:
        found.add(PathClass.WORKSPACE)
    elif git_control or _is_system(path):
        found.add(PathClass.SYSTEM)
    else:
        found.add(PathClass.OUTSIDE)
    if _STREAM_DEVICE.match(path):  # never a file of the workspace, even of one that lies in /dev
        found = found - {PathClass.WORKSPACE} | {PathClass.UNKNOWN}
    return frozenset(found)


def _is_system(path: str) -> bool:
    if path in _HARMLESS_DEVICES:
        return False
    on_drive = path[1:2] == ":"
    parts = [part.casefold() for part in (path[2:] if on_drive else path).split("/") if part]
    if not parts:
        return True  # the root itself
    root = parts[0]
    if root == "var":
        return len(parts) == 1 or parts[1] in _SYSTEM_DIRECTORIES_OF_VAR
    if root == "private" and len(parts) > 1:  # macOS keeps /etc, /tmp and /var in it
        of_var = len(parts) > 2 and parts[2] in _SYSTEM_DIRECTORIES_OF_VAR
        return of_var or parts[1] == "etc" or parts[1:] == ["var"]
    return root in _SYSTEM_ROOTS or (on_drive and root.startswith(_SYSTEM_ROOTS_OF_DRIVE))


def _runs_later(path: str) -> bool:
    """Whether a tool runs the file, or reads from it what to run, though nobody names it again."""
    name = path.rpartition("/")[2]
    folded_path, folded_name = path.casefold(), name.casefold()
    return (
        name in _RUN_NAMES
        or folded_name in _RUN_NAMES
        or folded_name.endswith(_RUN_ENDINGS)
        or _IN_RUN_DIRECTORY.search(f"{folded_path}/") is not None
    )


def _is_secret(path: str) -> bool:
    """Whether the file, or the directory around it, holds credentials by its name."""
    folded = path.casefold()
    if _IN_SECRET_DIRECTORY.search(f"{folded}/") or _PROCESS_SECRET.match(folded):
        return True
    if "kubeconfig" in folded:
        return True
    name = folded.rpartition("/")[2]
    original = _BACKUP_ENDINGS.sub("", name) or name  # `.env~` holds what `.env` holds
    if name in _SECRET_NAMES or original in _SECRET_NAMES:
        return True
    if _EXAMPLE.fullmatch(name) or _PUBLIC_KEY.fullmatch(name):
        return False
    stem, dot, ending = original.rpartition(".")
    if dot and ending in _DATA_ENDINGS and _SECRET_STEM.fullmatch(stem):
        return True
    if original.endswith(_SECRET_ENDINGS) or name.endswith(_SECRET_ENDINGS):
        return True
    if not name.startswith(_SECRET_BEGINNINGS):
        return False
    if name.startswith(".env"):
        return not name.startswith(".environment")
    return not name.endswith(".pub")


def may_be_secret(pattern: str) -> bool:
    """Whether a file name with wildcards may become that of a secret. A pattern that begins with
    `*` may become any name, and counts as none: `*` leaves names out that begin with a dot."""
    if pattern.startswith("*"):
        return False
    matches = re.compile(fnmatch.translate(pattern.casefold())).match
    return any(map(matches, (*_SECRET_NAMES, *_SECRET_BEGINNINGS, *_SECRET_DIRECTORIES)))
