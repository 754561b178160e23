"""API keys in memory, by hash and by id: every request and every dispatch looks one up.

Revoked keys stay: a job knows the key that it was submitted with by its id.
"""

from collections.abc import Sequence

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
        # Tenant and principal → the principals who made its keys.
        self._makers: dict[tuple[str, str], set[str]] = {}
        self._of_agent: dict[str, dict[str, None]] = {}  # agent id → ids of its keys
        # Tenant and principal → ids of its keys.
        self._of_principal: dict[tuple[str, str], dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def put(self, entry: RegistryEntry) -> None:
        """Take up a key as it was committed, with its revocation if it has one."""
        key = _decode(entry.body)
        self._by_hash[key.hash] = key
        self._by_id[key.id] = key
        self._entries[key.id] = entry
        self._makers.setdefault((key.tenant, key.principal), set()).add(key.created_by)
        self._of_principal.setdefault((key.tenant, key.principal), {})[key.id] = None
        if key.agent_id:
            self._of_agent.setdefault(key.agent_id, {})[key.id] = None

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
        keys = [key for key in self._by_id.values() if key.tenant == tenant]
        return sorted(keys, key=lambda key: (key.created_at_us, key.id))

    def of_agent(self, agent_id: str) -> Sequence[ApiKey]:
        """The keys of one agent, revoked ones too, in the order in which they were made."""
        return [self._by_id[key_id] for key_id in self._of_agent.get(agent_id, ())]

    def of_principal(self, tenant: str, principal: str) -> Sequence[ApiKey]:
        """The keys that act as a principal of a tenant, revoked ones too."""
        return [self._by_id[key_id] for key_id in self._of_principal.get((tenant, principal), ())]

    def by_tenant(self) -> dict[str, list[ApiKey]]:
        """The keys of every tenant that has one, revoked ones too, in no order."""
        found: dict[str, list[ApiKey]] = {}
        for key in self._by_id.values():
            found.setdefault(key.tenant, []).append(key)
        return found

    def makers_of(self, key: ApiKey) -> tuple[str, ...]:
        """The principals who made this key, who made any key of those principals, and so on to the
        end, sorted. Revoked keys count: what they made stays made."""
        makers, to_follow = {key.created_by}, [key.created_by]
        while to_follow:
            new_makers = self._makers.get((key.tenant, to_follow.pop()), set()) - makers
            makers |= new_makers
            to_follow += new_makers
        return tuple(sorted(makers - {""}))

    def unchanged(self, key: ApiKey) -> EntryUnchanged:
        """The precondition of a change that rests on this key: the key is as memory has it, so it
        was not revoked since."""
        return EntryUnchanged.of(self._entries[key.id])
