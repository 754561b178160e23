"""What a server remembers from one run to the next beside its store: a small file that may be lost.

It holds the latest time that the server has seen, and when each key was last used. Neither is
evidence: the log is. A missing or broken file means that nothing is remembered, and stops no start.
"""

import logging
import os
from pathlib import Path

import msgspec

from forestall.limits import INSTANT_US_MAX

REMEMBERED_FILE = "remembered.json"
_LOG = logging.getLogger("forestall.files")


class LastSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file. Instants are in µs since the epoch, UTC."""

    latest_us: int = 0
    key_uses: dict[str, int] = {}  # by key id


def read_remembered(folder: Path) -> LastSeen:
    """What the last run left; nothing where the file is missing or broken."""
    path = folder / REMEMBERED_FILE
    try:
        remembered = msgspec.json.decode(path.read_bytes(), type=LastSeen)
    except FileNotFoundError:
        return LastSeen()
    except (OSError, msgspec.MsgspecError) as cause:
        _LOG.warning("%s is not read, so the last use of keys is not known: %s", path, cause)
        return LastSeen()
    if not all(0 <= at <= INSTANT_US_MAX for at in (remembered.latest_us, *_uses(remembered))):
        _LOG.warning("%s names an instant that cannot be, and is not read", path)
        return LastSeen()
    return remembered


def write_remembered(folder: Path, remembered: LastSeen) -> None:
    """Replace the file, whole or not at all. A failure is logged: the next round tries again."""
    path = folder / REMEMBERED_FILE
    partial = path.with_suffix(".part")
    try:
        partial.unlink(missing_ok=True)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(remembered))
        partial.replace(path)
    except OSError as cause:
        _LOG.warning("%s cannot be written: %s", path, cause.strerror)


def _uses(remembered: LastSeen) -> list[int]:
    return list(remembered.key_uses.values())
