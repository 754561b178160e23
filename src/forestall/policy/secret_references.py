"""Find references to secrets: texts that contain `secret://`. Never resolves a reference."""

from typing import Any

from forestall.facts.payload_texts import texts_of

_SCHEME = "secret://"


def holds_secret_reference(value: Any) -> bool:
    """Whether any text in a JSON value contains `secret://`, in upper or lower case."""
    return any(_SCHEME in text.casefold() for text in texts_of(value))
