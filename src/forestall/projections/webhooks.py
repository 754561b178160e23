"""Webhooks, how far each was told, and the open links of their messages, as the store holds them.

Kept in memory; an entry is taken up after the commit that changed it. For one thread.
"""

import msgspec

from forestall.jobs.webhook import Link, Mark, Reach, Webhook
from forestall.ports.change import RegistryEntry
from forestall.ports.store import Store
from forestall.projections.registry import Known

WEBHOOK, MARK, LINK = "webhook", "webhook_mark", "approval_link"
Name = tuple[str, str]  # tenant, and the name of a webhook or the hash of a token


class Hooks:
    """Every tenant's webhooks, marks and links."""

    def __init__(self) -> None:
        self.reach = Reach.PUBLIC
        self.webhooks: dict[Name, Known[Webhook]] = {}
        self.marks: dict[Name, Known[Mark]] = {}
        self.links: dict[Name, Known[Link]] = {}

    def of_tenant(self, tenant: str) -> list[Webhook]:
        """The webhooks of a tenant by name."""
        return [known.value for name, known in sorted(self.webhooks.items()) if name[0] == tenant]

    def hold(self, entry: RegistryEntry) -> None:
        """Take up an entry as it was committed."""
        name = (entry.tenant, entry.name)
        if entry.kind == WEBHOOK:
            self.webhooks[name] = Known(msgspec.json.decode(entry.body, type=Webhook), entry)
        elif entry.kind == MARK:
            self.marks[name] = Known(msgspec.json.decode(entry.body, type=Mark), entry)
        else:
            self.links[name] = Known(msgspec.json.decode(entry.body, type=Link), entry)

    def drop(self, entry: RegistryEntry) -> None:
        """Forget an entry."""
        name = (entry.tenant, entry.name)
        if entry.kind == WEBHOOK:
            self.webhooks.pop(name, None)
        elif entry.kind == MARK:
            self.marks.pop(name, None)
        else:
            self.links.pop(name, None)


async def load_hooks(store: Store, reach: Reach = Reach.PUBLIC) -> Hooks:
    """Everything that the store holds, at start."""
    hooks = Hooks()
    hooks.reach = reach
    for kind in (WEBHOOK, MARK, LINK):
        for entry in await store.entries(kind):
            hooks.hold(entry)
    return hooks
