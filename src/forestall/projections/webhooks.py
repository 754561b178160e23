"""Webhooks, how far each has been sent the log, and the open approval links in its messages: a
projection of registry entries. For one thread.
"""

from collections.abc import Iterator

import msgspec

from forestall.jobs.webhook import ApprovalLink, DeliveryMark, Reach, Webhook
from forestall.ports.entries import EntryKind, RegistryEntry
from forestall.projections.doubts import EntryKey
from forestall.projections.registry import DecodedEntry

KINDS = (EntryKind.WEBHOOK, EntryKind.WEBHOOK_MARK, EntryKind.APPROVAL_LINK)
WebhookName = tuple[str, str]  # tenant, and name of a webhook, or hash of a link's token


class Webhooks:
    """The webhooks, marks and links of every tenant. `reach`: the addresses that messages may be
    sent to."""

    def __init__(self, reach: Reach) -> None:
        self.reach = reach
        self._webhooks: dict[WebhookName, DecodedEntry[Webhook]] = {}
        self._marks: dict[WebhookName, DecodedEntry[DeliveryMark]] = {}
        self._links: dict[WebhookName, DecodedEntry[ApprovalLink]] = {}

    def __iter__(self) -> Iterator[tuple[WebhookName, DecodedEntry[Webhook]]]:
        return iter(list(self._webhooks.items()))

    def __len__(self) -> int:
        return len(self._webhooks)

    def of_tenant(self, tenant: str) -> list[Webhook]:
        """The webhooks of a tenant by name."""
        return [entry.value for name, entry in sorted(self._webhooks.items()) if name[0] == tenant]

    def webhook(self, tenant: str, name: str) -> DecodedEntry[Webhook] | None:
        """A webhook by its name."""
        return self._webhooks.get((tenant, name))

    def mark(self, tenant: str, name: str) -> DecodedEntry[DeliveryMark] | None:
        """The mark of a webhook: up to which position of the log its messages were sent or given
        up."""
        return self._marks.get((tenant, name))

    def link(self, tenant: str, token_hash: str) -> DecodedEntry[ApprovalLink] | None:
        """An unused approval link by the hash of its token."""
        return self._links.get((tenant, token_hash))

    def links(self) -> list[tuple[WebhookName, DecodedEntry[ApprovalLink]]]:
        """Every open link."""
        return list(self._links.items())

    def link_count(self) -> int:
        """How many links are open."""
        return len(self._links)

    def put(self, entry: RegistryEntry) -> None:
        """Take up an entry as it was committed."""
        name = (entry.tenant, entry.name)
        if entry.kind == EntryKind.WEBHOOK:
            self._webhooks[name] = DecodedEntry(
                msgspec.json.decode(entry.body, type=Webhook), entry
            )
        elif entry.kind == EntryKind.WEBHOOK_MARK:
            self._marks[name] = DecodedEntry(
                msgspec.json.decode(entry.body, type=DeliveryMark), entry
            )
        else:
            self._links[name] = DecodedEntry(
                msgspec.json.decode(entry.body, type=ApprovalLink), entry
            )

    def drop(self, key: EntryKey) -> None:
        """Forget an entry."""
        tenant, kind, name = key
        if kind == EntryKind.WEBHOOK:
            self._webhooks.pop((tenant, name), None)
        elif kind == EntryKind.WEBHOOK_MARK:
            self._marks.pop((tenant, name), None)
        else:
            self._links.pop((tenant, name), None)
