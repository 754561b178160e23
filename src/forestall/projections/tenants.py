"""Tenants in memory: every request and every dispatch asks whether its tenant is suspended."""

from collections.abc import Mapping

import msgspec

from forestall.identity.tenants import Tenant
from forestall.ports.change import EntryUnchanged
from forestall.ports.entries import PLATFORM_TENANT, EntryKind, RegistryEntry
from forestall.projections.registry import DecodedEntry

_decode = msgspec.json.Decoder(Tenant).decode


class Tenants:
    """Every tenant that was made or suspended. For one thread."""

    def __init__(self) -> None:
        self._by_name: dict[str, DecodedEntry[Tenant]] = {}
        self.suspended: set[str] = set()

    def put(self, entry: RegistryEntry) -> None:
        """Take up a tenant as it was committed."""
        tenant = _decode(entry.body)
        self._by_name[entry.name] = DecodedEntry(tenant, entry)
        if tenant.suspended_at_us is None:
            self.suspended.discard(entry.name)
        else:
            self.suspended.add(entry.name)

    def get(self, name: str) -> DecodedEntry[Tenant] | None:
        """The entry of a tenant; None for one that is there by its keys alone, or not at all."""
        return self._by_name.get(name)

    def all(self) -> Mapping[str, DecodedEntry[Tenant]]:
        """Every entry by the tenant's name."""
        return self._by_name

    def is_suspended(self, name: str) -> bool:
        """Whether nobody of this tenant may act, and nothing of it may run."""
        return name in self.suspended

    def unchanged(self, name: str) -> EntryUnchanged:
        """The precondition of a change that rests on the tenant being active: its entry is as it is
        known here, so it was not suspended since."""
        found = self._by_name.get(name)
        revision = found.entry.revision if found is not None else 0
        return EntryUnchanged(PLATFORM_TENANT, EntryKind.TENANT, name, revision)
