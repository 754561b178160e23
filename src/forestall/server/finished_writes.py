"""What the kernel says of writers in one folder: which files were renamed into place, and which are
still written to.

Linux only (inotify). Elsewhere, and where the kernel has no watch left, nothing is known of any
file; the caller must then wait. Says nothing of files that a symbolic link leads to.
"""

import ctypes
import os
import struct
from pathlib import Path

_MODIFY, _CLOSE_WRITE, _MOVED_TO, _CREATE = 0x02, 0x08, 0x80, 0x100
_OVERFLOW = 0x4000
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # as inotify_init1 takes them
_HEAD = struct.Struct("iIII")  # watch, events, cookie, bytes of the name that follows
_READ_BYTES = 64 * 1024


class FinishedWrites:
    """Follows one folder from its creation on. For one thread.

    `renamed`: names that were last changed by a rename into the folder. `being_written`: names that
    somebody has written to and not closed since.
    """

    def __init__(self, folder: Path) -> None:
        self.renamed: set[str] = set()
        self.being_written: set[str] = set()
        self._handle = _watch(folder)

    @property
    def is_known(self) -> bool:
        """Whether the kernel tells of this folder."""
        return self._handle is not None

    def look(self) -> None:
        """Take up what happened since the last look."""
        if self._handle is None:
            return
        while True:
            try:
                data = os.read(self._handle, _READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            self._take(data)

    def close(self) -> None:
        """Stop following; from then on nothing is known."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None
        self.renamed.clear()
        self.being_written.clear()

    def _take(self, data: bytes) -> None:
        position = 0
        while position + _HEAD.size <= len(data):
            _, events, _, length = _HEAD.unpack_from(data, position)
            position += _HEAD.size
            name = os.fsdecode(data[position : position + length].rstrip(b"\0"))
            position += length
            if events & _OVERFLOW:  # events were lost, so what was known may be wrong
                self.renamed.clear()
                self.being_written.clear()
            elif events & _MOVED_TO:
                self.renamed.add(name)
                self.being_written.discard(name)
            elif events & _CLOSE_WRITE:
                self.being_written.discard(name)
            elif events & (_MODIFY | _CREATE):
                self.renamed.discard(name)
                if events & _MODIFY:
                    self.being_written.add(name)


def _watch(folder: Path) -> int | None:
    """A handle from which the events of a folder are read; None where the kernel gives none."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        handle = int(libc.inotify_init1(_FLAGS))
        if handle < 0:
            return None
        events = _MODIFY | _CLOSE_WRITE | _MOVED_TO | _CREATE
        if libc.inotify_add_watch(handle, os.fsencode(folder), events) < 0:
            os.close(handle)
            return None
    except (AttributeError, OSError):
        return None
    return handle
