"""What a decoding of a text is: the text as its reader will decode it, and the way back.

`escapes` undoes escapes, `encoded_runs` decodes base64, hexadecimal and compressed runs.
"""

from typing import NamedTuple, Protocol


class ParentPlace(NamedTuple):
    """A place in the parent of a decoding, and the names of what was decoded there, outermost
    first."""

    start: int
    end: int
    names: tuple[str, ...]


class Decoding(Protocol):
    """A decoded text that knows which bytes of its parent each place came from."""

    data: bytes

    def origin(self, start: int, end: int) -> ParentPlace:
        """Where the bytes from `start` to `end` came from. A run that was decoded as a whole maps
        back to the whole run."""
        ...


class DecodeBudget:
    """How many bytes may still be decoded. `exceeded` is set once something did not fit."""

    def __init__(self, left_bytes: int) -> None:
        self.left_bytes = left_bytes
        self.exceeded = False

    def take(self, size: int) -> bool:
        """Take `size` bytes from the budget; False when they do not fit."""
        if size > self.left_bytes:
            self.exceeded = True
            return False
        self.left_bytes -= size
        return True


def valid_utf8(raw: bytes) -> bytes:
    """The bytes as valid UTF-8: a pattern must find a character at every byte."""
    return raw if raw.isascii() else raw.decode("utf-8", "replace").encode()
