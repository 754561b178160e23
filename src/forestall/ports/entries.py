"""Registry entries: named values with a revision. Every kind stands here, with its name and body.

An entry is found by tenant, kind and name. Its revision is 1 when it is made and grows by one with
each change, so that a commit can expect an entry to be as it was read. Kinds:

| kind              | name             | body (JSON)                        | tenant    |
|-------------------|------------------|------------------------------------|-----------|
| `topic`           | topic            | `jobs.registry.Topic`              | its own   |
| `pool`            | pool             | `jobs.registry.Pool`               | its own   |
| `schema`          | schema id        | the JSON schema                    | its own   |
| `webhook`         | webhook          | `jobs.webhook.Webhook`             | its own   |
| `webhook_mark`    | webhook          | `jobs.webhook.DeliveryMark`        | its own   |
| `approval_link`   | hash of a token  | `jobs.webhook.ApprovalLink`        | its own   |
| `key`             | key id           | `identity.credentials.ApiKey`      | its own   |
| `key_name`        | key name         | the id of the unrevoked key        | its own   |
| `policy`          | snapshot digest  | `KeptPolicy`                       | platform  |
| `activation`      | its number       | `Activation`                       | platform  |
| `policy_in_force` | `policy`         | the digest in force                | platform  |
| `original`        | job id           | `Sealed`                           | its own   |
| `tenant`          | tenant           | `identity.tenants.Tenant`          | platform  |
| `agent`           | agent name       | `identity.agents.Agent`            | its own   |
"""

from enum import StrEnum

import msgspec

from forestall.identity import roles

PLATFORM_TENANT = roles.PLATFORM_TENANT  # the tenant of entries and records that concern all
IN_FORCE = "policy"  # the name of the one entry of its kind


class EntryKind(StrEnum):
    """The kind of an entry. A value here never changes: stored entries are found by it."""

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
    TENANT = "tenant"
    AGENT = "agent"


class RegistryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One named value of one tenant."""

    tenant: str
    kind: str  # the value of an EntryKind
    name: str
    revision: int  # 1 when the entry is made; one more with every change
    updated_at_us: int  # µs since the epoch, UTC
    body: bytes  # JSON

    @property
    def key(self) -> tuple[str, str, str]:
        """Tenant, kind and name: no two entries share all three."""
        return self.tenant, self.kind, self.name


class EntryName(msgspec.Struct, frozen=True):
    """A registry entry without its kind, which the caller has asked for, and without its body."""

    tenant: str
    name: str
    revision: int
    updated_at_us: int


class Sealed(msgspec.Struct, frozen=True):
    """Bytes encrypted under a key of the keyring (AES-256-GCM)."""

    key_id: str  # of the key in the keyring, not of an API key
    nonce: bytes
    box: bytes  # ciphertext and authentication tag


class PolicyFile(msgspec.Struct, frozen=True):
    """A policy file as it was read."""

    source: str  # the file's name, for messages
    text: str


class KeptPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a policy, from which its snapshot can be compiled again at any time."""

    files: tuple[PolicyFile, ...]
    kept_by: str  # the principal that published it first


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """One coming into force of a policy."""

    digest: str  # of the snapshot
    activated_at_us: int  # µs since the epoch, UTC
    rule_count: int
    names: tuple[str, ...]  # of the policy files
    actor: str = ""  # the principal that activated it; empty in activations of old versions


def entry_after(
    before: RegistryEntry | None,
    tenant: str,
    kind: EntryKind,
    name: str,
    value: object,
    *,
    now_us: int,
) -> RegistryEntry:
    """The entry with a new value: at revision 1, or at one more than before. `value` is encoded as
    JSON; bytes are JSON already."""
    return RegistryEntry(
        tenant=tenant,
        kind=kind,
        name=name,
        revision=before.revision + 1 if before is not None else 1,
        updated_at_us=now_us,
        body=value if isinstance(value, bytes) else msgspec.json.encode(value),
    )


def activation_name(number: int) -> str:
    """The name of the activation of this number: names sort in the order of activation."""
    return f"{number:012d}"
