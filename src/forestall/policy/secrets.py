"""Whether a payload refers to a secret: a text that holds `secret://`. Looks, never resolves."""

from typing import Any

_SCHEME = "secret://"


def holds_secret_reference(value: Any) -> bool:
    """True when any text in a JSON value holds a `secret://` reference, in whatever case."""
    level = [value]
    while level:
        following: list[Any] = []
        for item in level:
            if isinstance(item, str):
                if _SCHEME in item.casefold():
                    return True
            elif isinstance(item, dict):
                following.extend(item)
                following.extend(item.values())
            elif isinstance(item, (list, tuple)):
                following.extend(item)
        level = following
    return False
