"""Regular expressions that are compiled when first used.

Validators have a hundred expressions, and a scan needs a few: compiling all of them takes as long
as reading every table. From its second use on, one costs what a compiled expression costs.
"""

import re
from collections.abc import Callable
from typing import Any


class Expression:
    """An expression of `re`, with the methods of a compiled one. Raises `re.error` when first used,
    not when made."""

    search: Callable[..., re.Match[str] | None]
    match: Callable[..., re.Match[str] | None]
    fullmatch: Callable[..., re.Match[str] | None]
    findall: Callable[[str], list[str]]
    sub: Callable[[str, str], str]

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._pattern, self._flags = pattern, flags

    def __getattr__(self, name: str) -> Any:
        """A method of the compiled expression; from now on an attribute like any other."""
        method = getattr(re.compile(self._pattern, self._flags), name)
        setattr(self, name, method)
        return method
