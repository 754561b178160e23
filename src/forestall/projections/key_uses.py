"""When each API key was last used, as this process saw it, and what an earlier run left.

Of this process alone, and no evidence: nothing decides by it. A request costs one entry of a
mapping and no write; whoever keeps it over a restart writes it now and then.
"""

from collections.abc import Mapping


class KeyUses:
    """The last use of each key, by key id. Instants are in µs since the epoch, UTC."""

    __slots__ = ("_last_us",)

    def __init__(self) -> None:
        self._last_us: dict[str, int] = {}

    def note(self, key_id: str, at_us: int) -> None:
        """The key authenticated a request at this instant."""
        self._last_us[key_id] = at_us

    def last_us(self, key_id: str) -> int | None:
        """When the key was last used; None where no use is known."""
        return self._last_us.get(key_id)

    def take(self, earlier: Mapping[str, int]) -> None:
        """Take up what an earlier run left; what is newer stays."""
        self._last_us = {**earlier, **self._last_us}

    def all(self) -> dict[str, int]:
        """A copy: the last use of every key."""
        return dict(self._last_us)
