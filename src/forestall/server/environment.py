"""Take a secret out of the environment of this process, so that neither a child nor a dump has it.

The kernel shows the first environment of a process in `/proc/PID/environ`, whatever the process
unsets later: that memory is overwritten. Refuses nothing: where there is no such memory, the
variable is unset all the same.
"""

import contextlib
import ctypes
import os


def take_out(name: str) -> str:
    """The value of a variable, which has none from now on; empty where there was none."""
    if name not in os.environ:
        return ""
    _overwrite(name)
    return os.environ.pop(name)


def _overwrite(name: str) -> None:
    """Fill the value with zeroes where the C library keeps it. `os.environ` has a copy of its
    own."""
    with contextlib.suppress(OSError, AttributeError, ctypes.ArgumentError):
        library = ctypes.CDLL(None)
        library.getenv.argtypes, library.getenv.restype = [ctypes.c_char_p], ctypes.c_void_p
        place = library.getenv(os.fsencode(name))
        if place:
            ctypes.memset(place, 0, len(ctypes.string_at(place)))
