"""What a run of the server leaves for the next one beside its store: a small file that may be lost.

It holds the latest time that the server has seen, and when each key was last used. Neither is
evidence: the log is. A missing or broken file means that nothing was seen, and stops no start.
"""

import logging
from pathlib import Path

import msgspec

from forestall.limits import INSTANT_US_MAX
from forestall.server.private_files import replace_private

LAST_SEEN_FILE = "remembered.json"
_LOG = logging.getLogger("forestall.files")


class LastSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file. Instants are in µs since the epoch, UTC."""

    latest_us: int = 0
    key_uses: dict[str, int] = {}  # by key id


def read_last_seen(folder: Path) -> LastSeen:
    """What the last run left; empty where the file is missing or broken."""
    path = folder / LAST_SEEN_FILE
    try:
        last_seen = msgspec.json.decode(path.read_bytes(), type=LastSeen)
    except FileNotFoundError:
        return LastSeen()
    except (OSError, msgspec.MsgspecError) as cause:
        _LOG.warning("%s is not read, so the last use of keys is not known: %s", path, cause)
        return LastSeen()
    instants = (last_seen.latest_us, *last_seen.key_uses.values())
    if not all(0 <= at_us <= INSTANT_US_MAX for at_us in instants):
        _LOG.warning("%s names an instant that cannot be, and is not read", path)
        return LastSeen()
    return last_seen


def write_last_seen(folder: Path, last_seen: LastSeen) -> None:
    """Replace the file, whole or not at all. A failure is logged; the next call tries again."""
    path = folder / LAST_SEEN_FILE
    try:
        replace_private(path, msgspec.json.encode(last_seen), is_durable=False)
    except OSError as cause:
        _LOG.warning("%s cannot be written: %s", path, cause.strerror)
