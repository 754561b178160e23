"""Compile patterns as RE2: linear in the text, and silent about a pattern that it refuses."""

from typing import Any

import re2

_MEMORY_BYTES = 8 << 20  # as RE2 has by default


def compiled(
    pattern: str | bytes,
    *,
    any_case: bool = False,
    captures: bool = True,
    memory_bytes: int = _MEMORY_BYTES,
) -> Any:
    """The compiled pattern. One of bytes matches bytes, one of text matches UTF-8. Without
    `captures` its groups cost nothing. Raises `re2.error`."""
    options = re2.Options()
    options.case_sensitive = not any_case
    options.never_capture = not captures
    options.max_mem = memory_bytes
    options.log_errors = False
    if isinstance(pattern, bytes):
        options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(pattern, options)
