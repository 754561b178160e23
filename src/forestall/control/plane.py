"""What the verbs share: the ports and the two things kept in memory, the snapshot and the keys.

Both are caches of what the store holds and are replaced whole, after the commit that changed them.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from forestall.control.ports import Clock, Random, Store, Telemetry
from forestall.identity.credentials import ApiKey
from forestall.policy.compile import Snapshot

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Plane:
    """The running control plane, without any door.

    `snapshot` is the policy in force, or None when none could be had: then every gate refuses.
    """

    __slots__ = ("_keys_by_hash", "clock", "random", "snapshot", "store", "telemetry")

    def __init__(self, *, store: Store, clock: Clock, random: Random, telemetry: Telemetry) -> None:
        self.store = store
        self.clock = clock
        self.random = random
        self.telemetry = telemetry
        self.snapshot: Snapshot | None = None
        self._keys_by_hash: dict[str, ApiKey] = {}

    def hold_keys(self, keys: Iterable[ApiKey]) -> None:
        """Replace what is known of API keys."""
        self._keys_by_hash = {key.hash: key for key in keys}

    def key_by_hash(self, key_hash: str) -> ApiKey | None:
        """The key with this hash, revoked or not."""
        return self._keys_by_hash.get(key_hash)


def instant(at_us: int) -> datetime:
    """Microseconds since the epoch as an aware UTC datetime, exactly."""
    return _EPOCH + timedelta(microseconds=at_us)


def uuid_text(at_us: int, random: bytes) -> str:
    """A version 7 UUID (RFC 9562): ordered by time, 74 random bits, so ids cluster on disk."""
    assert len(random) == 10, "a version 7 UUID takes ten random bytes"
    head = (at_us // 1000).to_bytes(6, "big")
    raw = bytearray(head + random)
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
