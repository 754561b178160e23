"""Registry entries: named values with a revision. Every kind stands here, with its name and body.

An entry is found by tenant, kind and name. Its revision is 1 when it is made and grows by one with
each change, so that a commit can expect an entry to be as it was read. Kinds:

| kind              | name             | body (JSON)                        | tenant    |
|-------------------|------------------|------------------------------------|-----------|
| `topic`           | topic            | `jobs.registry.Topic`              | its own   |
| `pool`            | pool             | `jobs.registry.Pool`               | its own   |
| `schema`          | schema id        | the JSON schema                    | its own   |
| `webhook`         | webhook          | `jobs.webhook.Webhook`             | its own   |
| `webhook_mark`    | webhook          | `jobs.webhook.Mark`                | its own   |
| `approval_link`   | hash of a token  | `jobs.webhook.Link`                | its own   |
| `key`             | key id           | `identity.credentials.ApiKey`      | its own   |
| `key_name`        | key name         | the id of the unrevoked key        | its own   |
| `policy`          | snapshot digest  | `KeptPolicy`                       | platform  |
| `activation`      | its number       | `Activation`                       | platform  |
| `policy_in_force` | `policy`         | the digest in force                | platform  |
| `original`        | job id           | `Sealed`                           | its own   |
"""

from enum import StrEnum

import msgspec

PLATFORM_TENANT = "default"  # whose entries and records the deployment's own are
IN_FORCE = "policy"  # the name of the one entry of its kind


class EntryKind(StrEnum):
    """What an entry is. A kind never changes its name: entries are found by it."""

    TOPIC = "topic"
    POOL = "pool"
    SCHEMA = "schema"
    WEBHOOK = "webhook"
    WEBHOOK_MARK = "webhook_mark"
    APPROVAL_LINK = "approval_link"
    KEY = "key"
    KEY_NAME = "key_name"
    POLICY = "policy"
    ACTIVATION = "activation"
    POLICY_IN_FORCE = "policy_in_force"
    ORIGINAL = "original"


class RegistryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One named value. `body` is its JSON; `revision` grows by one with every change."""

    tenant: str
    kind: str
    name: str
    revision: int
    updated_at_us: int
    body: bytes

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from every other entry: tenant, kind and name."""
        return self.tenant, self.kind, self.name


class EntryName(msgspec.Struct, frozen=True):
    """An entry without its body."""

    tenant: str
    name: str
    revision: int
    updated_at_us: int


class Sealed(msgspec.Struct, frozen=True):
    """Bytes that only the keyring can read."""

    key_id: str
    nonce: bytes
    box: bytes


class PolicyFile(msgspec.Struct, frozen=True):
    """A policy file as it was read: where from, and its text."""

    source: str
    text: str


class KeptPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a policy, from which its snapshot can be compiled again at any time."""

    files: tuple[PolicyFile, ...]
    kept_by: str


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """A policy came into force at an instant (µs, UTC); `actor` is who saw to it."""

    digest: str
    activated_at_us: int
    rule_count: int
    names: tuple[str, ...]
    actor: str = ""  # empty: an activation from before this was kept


def entry_after(
    before: RegistryEntry | None,
    *,
    tenant: str,
    kind: EntryKind,
    name: str,
    value: object,
    now_us: int,
) -> RegistryEntry:
    """The entry with a new value: revision 1, or one more than before. The value is encoded here;
    bytes are taken for JSON already."""
    return RegistryEntry(
        tenant=tenant,
        kind=kind,
        name=name,
        revision=before.revision + 1 if before is not None else 1,
        updated_at_us=now_us,
        body=value if isinstance(value, bytes) else msgspec.json.encode(value),
    )


def activation_name(number: int) -> str:
    """The name of an activation, so that names sort as they happened."""
    return f"{number:012d}"
