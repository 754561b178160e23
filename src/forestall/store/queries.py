"""Named SQL blocks out of `.sql` files. Knows no database and builds no SQL from values."""

import functools
import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

_NAME = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


@functools.cache
def blocks(file_name: str) -> Mapping[str, str]:
    """The blocks of `store/sql/<file_name>` by name, comments left out."""
    text = resources.files("forestall.store").joinpath("sql", file_name).read_text("utf-8")
    parts = _NAME.split(text)[1:]  # what stands before the first name is the file's introduction
    found: dict[str, str] = {}
    for name, block in zip(parts[::2], parts[1::2], strict=True):
        lines = [line for line in block.splitlines() if not line.startswith("--")]
        assert name not in found, f"{file_name} has two blocks named {name}"
        found[name] = "\n".join(lines).strip()
    return MappingProxyType(found)
