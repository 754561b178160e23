"""The name by which the program table knows the program that the first word of a command names.

It looks at the word only. It refuses to trust a path that an agent could have written to.
"""

from typing import Final

from forestall.facts.file_paths import plain_path

_SYSTEM_PROGRAM_FOLDERS: Final = frozenset(
    f"{root}/{name}"
    for root in ("", "/usr", "/usr/local", "/opt/homebrew", "/run/current-system/sw")
    for name in ("bin", "sbin")
)


def base_name(text: str) -> tuple[str, bool]:
    """The program's own name, and whether that name says what will run."""
    directory, slash, name = text.rpartition("\\" if text[1:3] == ":\\" else "/")
    trusted = not slash or (
        directory.startswith("/") and plain_path(directory) in _SYSTEM_PROGRAM_FOLDERS
    )
    return name.removesuffix(".exe").removesuffix(".EXE"), trusted
