"""What it means to write to a path: ordinary files, system files, devices and the network.

It looks at the words only. It refuses to know what is on the disk: links and mounts are not seen.
"""

from typing import Final

from forestall.facts.file_paths import plain_path
from forestall.facts.shell.command_classes import (
    DESTRUCTIVE,
    NETWORK,
    NOTHING,
    PRIVILEGED,
    WRITE,
    Classes,
)
from forestall.facts.shell.word_lists import SHELL_WORDS

_HARMLESS_DEVICES: Final = SHELL_WORDS.set("harmless_devices")
HARMLESS_DEVICE_PATHS: Final = frozenset(f"/dev/{device}" for device in _HARMLESS_DEVICES)
_SEVERE_DEVICES: Final = tuple(SHELL_WORDS.words("severe_devices"))
_SEVERE_FILES: Final = SHELL_WORDS.set("severe_files")
_SYSTEM_DIRECTORIES: Final = SHELL_WORDS.set("system_directories")
_SYSTEM_PREFIXES: Final = (
    "/etc/", "/usr/", "/bin/", "/sbin/", "/lib", "/proc/", "/sys/", "/root/",
)  # fmt: skip
_SHELL_START_FILES: Final = SHELL_WORDS.set("shell_start_files")


def is_system_root(path: str) -> bool:
    """Whether a recursive change here would break the system or take a whole home."""
    if path.rstrip("/*") in ("~", "$HOME", "${HOME}"):
        return True
    return path.startswith("/") and plain_path(path.rstrip("*")) in _SYSTEM_DIRECTORIES


def write_classes(path: str) -> Classes:
    """What it means to write to this path."""
    if path.endswith((".ssh/authorized_keys", ".ssh/authorized_keys2")):
        return WRITE | DESTRUCTIVE
    if path.startswith("/"):
        path = plain_path(path)
        if path.startswith(("/dev/tcp/", "/dev/udp/")):  # bash opens a connection
            return NETWORK
        if path.startswith("/dev/"):
            return _device_classes(path.removeprefix("/dev/"))
        if path in _SEVERE_FILES or path.startswith(("/boot/", "/etc/sudoers.d/")):
            return WRITE | DESTRUCTIVE
        if path.startswith(_SYSTEM_PREFIXES):
            return WRITE | PRIVILEGED
    is_start_file = path.rpartition("/")[2] in _SHELL_START_FILES
    return WRITE | PRIVILEGED if is_start_file else WRITE


def _device_classes(device: str) -> Classes:
    if device in _HARMLESS_DEVICES or device.startswith(("fd/", "pts/")):
        return NOTHING
    if device.startswith(_SEVERE_DEVICES) or not set("*?[").isdisjoint(device):
        return WRITE | DESTRUCTIVE
    return WRITE if device.startswith(("shm/", "tty")) else WRITE | PRIVILEGED
