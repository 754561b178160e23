"""What it means to write to a path: ordinary files, system files, devices and the network.

It looks at the words only. It refuses to know what is on the disk: links and mounts are not seen.
"""

from typing import Final

from forestall.facts.shell.program_entry import NOTHING, Classes, classes
from forestall.facts.shell.words import WORDS

_SEVERE_DEVICES: Final = tuple(WORDS.words("severe_devices"))
_SEVERE_FILES: Final = WORDS.set("severe_files")
_SYSTEM_DIRECTORIES: Final = WORDS.set("system_directories")
_SHELL_START_FILES: Final = WORDS.set("shell_start_files")
_HARMLESS_DEVICES: Final = WORDS.set("harmless_devices")


def plain_path(path: str) -> str:
    """An absolute path without empty, `.` and `..` parts."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def is_system_root(path: str) -> bool:
    """Whether a recursive change here would break the system or take a whole home."""
    if path.rstrip("/*") in ("~", "$HOME", "${HOME}"):
        return True
    return path.startswith("/") and plain_path(path.rstrip("*")) in _SYSTEM_DIRECTORIES


def written(path: str) -> Classes:
    """What it means to write to this path."""
    if path.endswith((".ssh/authorized_keys", ".ssh/authorized_keys2")):
        return classes("wd")
    if not path.startswith("/"):
        shell_start = path.rpartition("/")[2] in _SHELL_START_FILES
        return classes("wp") if shell_start else classes("w")
    path = plain_path(path)
    if path.startswith(("/dev/tcp/", "/dev/udp/")):
        return classes("n")
    if path.startswith("/dev/"):
        device = path[5:]
        if device in _HARMLESS_DEVICES or device.startswith(("fd/", "pts/")):
            return NOTHING
        if device.startswith(_SEVERE_DEVICES) or set(device) & set("*?["):
            return classes("wd")
        return classes("wp") if not device.startswith(("shm/", "tty")) else classes("w")
    if path in _SEVERE_FILES or path.startswith(("/boot/", "/etc/sudoers.d/")):
        return classes("wd")
    if path.startswith(("/etc/", "/usr/", "/bin/", "/sbin/", "/lib", "/proc/", "/sys/", "/root/")):
        return classes("wp")
    return classes("wp") if path.rpartition("/")[2] in _SHELL_START_FILES else classes("w")
