"""Whether a payload refers to a secret: a text that holds `secret://`. Looks, never resolves."""

from typing import Any

from forestall.facts.payload_texts import texts_of

_SCHEME = "secret://"


def holds_secret_reference(value: Any) -> bool:
    """True when any text in a JSON value holds a `secret://` reference, in whatever case."""
    return any(_SCHEME in text.casefold() for text in texts_of(value))
