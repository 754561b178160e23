"""Make and lock the data directory; read and watch the policy files. Decides nothing."""

import fcntl
import os
from collections.abc import Iterator
from importlib.resources import files
from itertools import islice
from pathlib import Path

from forestall.errors import ForestallError, UnavailableError
from forestall.limits import POLICY_BYTES_MAX, POLICY_FILES_MAX
from forestall.server.policy_watch import FileState, FileStates
from forestall.server.settings import Settings

STORE_FILE = "forestall.db"
_LOCK_FILE = "server.lock"
_SUFFIXES = (".yaml", ".yml")  # of policy files
_TAIL_BYTES = 64  # of a file, in which its last line is looked for
PolicyFiles = list[tuple[str, bytes]]


class DataDirInUseError(UnavailableError):
    """Another process serves this data directory."""

    code, http_status = "data_dir_in_use", 503


class FileAccessError(ForestallError):
    """A file or directory that the server needs cannot be read or written."""

    code, http_status = "file_access", 500


class DataDir:
    """One data directory, locked for this process until it is closed."""

    def __init__(self, path: Path) -> None:
        """Make the directory (readable by its owner only) and lock it.

        Raises DataDirInUseError when another process has locked it, FileAccessError.
        """
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as cause:
            raise FileAccessError(
                f"cannot use the data directory {path}: {cause.strerror}"
            ) from cause
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as cause:
            os.close(self._lock)
            raise DataDirInUseError(
                f"another Forestall process is using {path}; stop it first, or ask it over HTTP"
            ) from cause

    @property
    def store_file(self) -> Path:
        """The path of the database."""
        return self.path / STORE_FILE

    def close(self) -> None:
        """Unlock the directory."""
        os.close(self._lock)


def write_starter_policy(settings: Settings) -> bool:
    """Write the starter policy unless there is a policy; True when it was written."""
    if not settings.policy_is_starter or settings.policy.exists():
        return False
    content = files("forestall.server").joinpath("starter-policy.yaml").read_bytes()
    partial = settings.policy.with_suffix(".part")
    try:
        partial.write_bytes(content)
        partial.replace(settings.policy)  # whole or not at all
    except OSError as cause:
        raise FileAccessError(f"cannot write {settings.policy}: {cause.strerror}") from cause
    return True


def policy_paths(path: Path, *, subdirectories: bool = False) -> list[Path]:
    """The policy files: the one named, or every YAML file of the directory, by name; with
    `subdirectories` also those below it, but for directories that are links.

    A name that begins with a dot is no policy: editors, version control and Kubernetes keep their
    own files under such names. Raises FileAccessError, OSError.
    """
    if not path.is_dir():
        return [path]
    paths = sorted(islice(_policies_in(path, subdirectories), POLICY_FILES_MAX + 1))
    if not paths:
        raise FileAccessError(
            f"there is no .yaml file in the policy directory {path} (hidden files do not count)"
        )
    if len(paths) > POLICY_FILES_MAX:
        raise FileAccessError(f"{path} holds more than {POLICY_FILES_MAX} policies")
    return paths


def _policies_in(folder: Path, subdirectories: bool) -> Iterator[Path]:
    """The YAML files of a directory that are not hidden. A directory that is a link is not gone
    into: it could lead back."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if subdirectories and path.is_dir():
            if not path.is_symlink():
                yield from _policies_in(path, subdirectories)
        elif path.suffix in _SUFFIXES:
            yield path


def read_policy_files(path: Path, *, subdirectories: bool = False) -> PolicyFiles:
    """(name, content) of every policy file. Raises FileAccessError."""
    try:
        paths = policy_paths(path, subdirectories=subdirectories)
        return [(str(file), _read_bounded(file)) for file in paths]
    except FileNotFoundError as cause:
        place = cause.filename or path
        raise FileAccessError(f"there is no policy at {place}") from cause
    except OSError as cause:
        raise FileAccessError(f"cannot read the policy {path}: {cause.strerror}") from cause


def policy_files_of(settings: Settings) -> PolicyFiles:
    """(name, content) of every policy file of a server. Raises FileAccessError."""
    return read_policy_files(settings.policy, subdirectories=settings.policy_subdirectories)


def _read_bounded(path: Path) -> bytes:
    """The file's content, up to one byte more than allowed: enough for the policy reader to refuse
    the file, without reading all of a huge one. Raises FileAccessError for what is no file: reading
    a pipe might never end."""
    if path.exists() and not path.is_file():
        raise FileAccessError(f"cannot read the policy {path}: it is no file; give it another name")
    with path.open("rb") as file:
        return file.read(POLICY_BYTES_MAX + 1)


def policy_states(path: Path, seen: FileStates, *, subdirectories: bool = False) -> FileStates:
    """The state of every policy file, by its path; of no file while they cannot be listed. A file
    that looks as it did in `seen` is not opened again."""
    states: dict[str, FileState] = {}
    try:
        for file in policy_paths(path, subdirectories=subdirectories):
            stat = file.stat()
            state = FileState(
                modified_ns=stat.st_mtime_ns,
                changed_ns=stat.st_ctime_ns,
                size_bytes=stat.st_size,
                inode=stat.st_ino,
                target=str(file.resolve()),
            )
            earlier = seen.get(str(file))
            if earlier is None or earlier._replace(ends=False) != state:
                states[str(file)] = state._replace(ends=_ends(file))
            else:
                states[str(file)] = earlier
    except (OSError, FileAccessError):
        return {}
    return states


def _ends(path: Path) -> bool:
    """Whether the last line of a file is `...`, the end of a YAML document."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        return file.read(_TAIL_BYTES).rstrip().rpartition(b"\n")[2] == b"..."
