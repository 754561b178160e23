"""The texts of a payload, as a reader sees them, and whether one climbs out of its folder.

Path traversal is a signal, never a proof. What a result is scanned for as well is in the output
room, one detector for each name; a traversal is no detector, since nothing of it could be removed.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote

import re2

_INVISIBLE = dict.fromkeys([0x00AD, 0x180E, *range(0x200B, 0x2010), 0x2060, 0xFEFF])

# CWE-22. A server may drop `;` and what follows it in a part of a path, so `..;` climbs too.
_TRAVERSALS = (
    r"(?:^|[/\\=\s\"'(:])\.\.(?:[/\\]|$)",
    r"[/\\]\.\.(?:[/\\;]|$)",
    r"\.\.;/",
)


def folded(text: str) -> str:
    """The text as a reader sees it: compatibility forms united, invisible characters dropped."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text.translate(_INVISIBLE))


def has_traversal(text: str) -> bool:
    """Whether a path in the text leaves its folder upwards, as it stands or percent-encoded."""
    plain = folded(text)
    once = unquote(plain)
    forms = {plain, once, unquote(once)}
    return any(pattern.search(form) is not None for pattern in _traversals() for form in forms)


@cache
def _traversals() -> list[Any]:
    return [re2.compile(pattern) for pattern in _TRAVERSALS]


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a JSON value, names of members included."""
    level = [value]
    while level:
        following: list[Any] = []
        for item in level:
            if isinstance(item, str):
                yield item
            elif isinstance(item, Mapping):
                following.extend(item)
                following.extend(item.values())
            elif isinstance(item, (list, tuple)):
                following.extend(item)
        level = following
