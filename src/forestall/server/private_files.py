"""Write files that hold secrets: only their owner may read them, and they change whole or not at
all."""

import os
from pathlib import Path


def replace_private(path: Path, content: bytes, *, is_durable: bool = True) -> None:
    """Write a file that only its owner may read, in place of an earlier one. `is_durable`: it is on
    disk when this returns. Raises OSError; the earlier file stays then."""
    partial = path.with_suffix(".part")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        if is_durable:
            file.flush()
            os.fsync(file.fileno())
    partial.replace(path)
    if is_durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: without this, a crash may undo a rename."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
