"""Make and lock the data directory; read and watch the policy files. Decides nothing."""

import fcntl
import os
from importlib.resources import files
from pathlib import Path

from forestall.errors import ForestallError, UnavailableError
from forestall.limits import POLICY_BYTES_MAX, POLICY_FILES_MAX
from forestall.server.settings import Settings

_SUFFIXES = (".yaml", ".yml")
STORE_FILE = "forestall.db"
_LOCK_FILE = "server.lock"

PolicyFiles = list[tuple[str, bytes]]
Signature = tuple[tuple[str, int, int, int], ...]


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


def policy_paths(path: Path) -> list[Path]:
    """The policy files: the one named, or every YAML file of the directory, by name."""
    if not path.is_dir():
        return [path]
    paths = sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES)
    if not paths:
        raise FileAccessError(f"there is no .yaml file in the policy directory {path}")
    if len(paths) > POLICY_FILES_MAX:
        raise FileAccessError(f"{path} holds {len(paths)} policies; {POLICY_FILES_MAX} are allowed")
    return paths


def read_policy_files(path: Path) -> PolicyFiles:
    """(name, content) of every policy file. Raises FileAccessError."""
    try:
        return [(str(each), _bounded(each)) for each in policy_paths(path)]
    except FileNotFoundError as cause:
        raise FileAccessError(f"there is no policy at {path}") from cause
    except OSError as cause:
        raise FileAccessError(f"cannot read the policy {path}: {cause.strerror}") from cause


def _bounded(path: Path) -> bytes:
    """The file's content, up to one byte more than allowed: enough for the policy reader to refuse
    it, without reading all of a huge file."""
    with path.open("rb") as file:
        return file.read(POLICY_BYTES_MAX + 1)


def policy_signature(path: Path) -> Signature:
    """A value that changes whenever a policy file changes; empty while a file cannot be read."""
    try:
        stats = [(str(each), each.stat()) for each in policy_paths(path)]
    except (OSError, FileAccessError):
        return ()
    return tuple((name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in stats)
