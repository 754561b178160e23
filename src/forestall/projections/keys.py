"""API keys in memory, by hash and by id: every request and every dispatch looks one up.

Revoked keys stay: a job knows the key that it was submitted with by its id.
"""

from collections.abc import Iterable, Sequence

import msgspec

from forestall.identity.credentials import ApiKey
from forestall.ports.change import EntryUnchanged
from forestall.ports.entries import RegistryEntry

_decode = msgspec.json.Decoder(ApiKey).decode


class Keys:
    """Every tenant's keys. For one thread."""

    def __init__(self) -> None:
        self._by_hash: dict[str, ApiKey] = {}
        self._by_id: dict[str, ApiKey] = {}
        self._entries: dict[str, RegistryEntry] = {}  # by key id
        self._makers: dict[tuple[str, str], set[str]] = {}  # of a principal's keys, by tenant

    def __len__(self) -> int:
        return len(self._by_id)

    def put(self, entry: RegistryEntry) -> None:
        """Take up a key as it was committed, with its revocation if it has one."""
        key = _decode(entry.body)
        self._by_hash[key.hash] = key
        self._by_id[key.id] = key
        self._entries[key.id] = entry
        self._makers.setdefault((key.tenant, key.principal), set()).add(key.created_by)

    def by_hash(self, key_hash: str) -> ApiKey | None:
        """The key with this hash, revoked or not."""
        return self._by_hash.get(key_hash)

    def by_id(self, key_id: str) -> ApiKey | None:
        """The key with this id, revoked or not."""
        return self._by_id.get(key_id)

    def entry(self, key_id: str) -> RegistryEntry | None:
        """The registry entry of a key."""
        return self._entries.get(key_id)

    def of_tenant(self, tenant: str) -> Sequence[ApiKey]:
        """The keys of one tenant, revoked ones too, oldest first."""
        found = [key for key in self._by_id.values() if key.tenant == tenant]
        return sorted(found, key=lambda key: (key.created_at_us, key.id))

    def by_tenant(self) -> dict[str, list[ApiKey]]:
        """The keys of every tenant that has one, revoked ones too, in no order."""
        found: dict[str, list[ApiKey]] = {}
        for key in self._by_id.values():
            found.setdefault(key.tenant, []).append(key)
        return found

    def makers_of(self, key: ApiKey) -> tuple[str, ...]:
        """The principals who made this key, who made any key of those principals, and so on to the
        end, sorted. Revoked keys count: what they made stays made."""
        found, open_ones = {key.created_by}, [key.created_by]
        while open_ones:
            more = self._makers.get((key.tenant, open_ones.pop()), set()) - found
            found |= more
            open_ones += more
        return tuple(sorted(found - {""}))

    def ended(self, key_ids: Iterable[str], *, now_us: int) -> frozenset[str]:
        """Those of the keys that are revoked, expired or not there."""
        return frozenset(
            key_id
            for key_id in key_ids
            if (key := self._by_id.get(key_id)) is None or not key.usable(now_us)
        )

    def unchanged(self, key: ApiKey) -> EntryUnchanged:
        """The precondition of a change that rests on this key: the key is as it is known here, so
        it was not revoked since."""
        entry = self._entries[key.id]
        return EntryUnchanged(entry.tenant, entry.kind, entry.name, entry.revision)
