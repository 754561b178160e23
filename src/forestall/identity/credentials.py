"""API keys: how a key is made, stored and recognised. The key itself is never stored.

A key has 256 random bits, so that its plain SHA-256 cannot be searched and no slow hash is needed
on each request. The store maps hash → key; the hash is then compared again in constant time.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping

import msgspec

from forestall.errors import InvalidRequestError
from forestall.identity.roles import Permission, Role, permissions_of
from forestall.limits import (
    API_KEY_CHARS_MAX,
    API_KEY_CHARS_MIN,
    LABEL_KEY_CHARS_MAX,
    LABEL_VALUE_CHARS_MAX,
    LABELS_MAX,
    NAME_CHARS_MAX,
)

KEY_SCHEME = "fk_"
PREFIX_CHARS = 11  # what a list shows: the scheme and the first eight digits
# Names of labels that only the plane may set: its own facts, approval state, policy internals.
RESERVED_LABEL = re.compile(r"(_|approval_|policy\.)", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:/-]*")


class WorkerGrant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which jobs a worker may be offered, as an administrator set it. Globs; an empty list means
    none.

    The offer of the worker itself can only narrow its grant.
    """

    worker_id: str
    topics: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()  # words that jobs may `require`


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One credential as stored. Times are microseconds since the Unix epoch, UTC."""

    id: str
    tenant: str
    name: str
    role: Role
    principal: str  # the subject that acts with this key
    prefix: str
    hash: str  # SHA-256 of the key, hex
    created_at_us: int
    expires_at_us: int | None = None
    revoked_at_us: int | None = None
    created_by: str = ""
    groups: tuple[str, ...] = ()  # groups of the holder that rules name, such as `security`
    worker: WorkerGrant | None = None
    agent_id: str = ""  # of the agent whose key it is; empty: of none
    labels: Mapping[str, str] = {}  # facts of origin `credential` of all that comes with the key
    attests: tuple[str, ...] = ()  # names of labels that it may vouch for: its holder is trusted

    def usable(self, now_us: int) -> bool:
        """Whether the key is neither revoked nor expired at this instant."""
        if self.revoked_at_us is not None:
            return False
        return self.expires_at_us is None or now_us < self.expires_at_us


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a new key. Without a principal the name is the principal."""

    tenant: str
    name: str
    role: Role
    principal: str = ""
    expires_at_us: int | None = None
    groups: tuple[str, ...] = ()
    worker: WorkerGrant | None = None  # present exactly for the role `worker`
    agent_id: str = ""  # binds the key to an agent: its name is the principal then
    labels: Mapping[str, str] = {}  # see `ApiKey`
    attests: tuple[str, ...] = ()


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The subject of a request, as its credential proves it."""

    tenant: str
    principal: str
    role: Role
    key_id: str
    groups: tuple[str, ...] = ()
    worker: WorkerGrant | None = None
    agent_id: str = ""  # of the agent that the subject is; empty: it is none

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role and group under which a rule may demand this person's approval."""
        return (self.role.value, *self.groups)

    def may(self, permission: Permission) -> bool:
        """Whether the subject has the permission, by its role and, for the permissions on the
        plane itself, its tenant."""
        return permission in permissions_of(self.role, self.tenant)


CALLER_PREFIX = "caller:"  # no worker may have a name with this prefix
WORKER_PREFIX = "worker:"  # of the principal of a worker that is no agent


def caller_name(principal: str) -> str:
    """The lease holder's name for a principal that runs its own jobs."""
    return CALLER_PREFIX + principal


def holder_name(subject: Subject) -> str:
    """The lease holder's name for a subject: its worker id, or the name of `caller_name`."""
    if subject.worker is not None:
        return subject.worker.worker_id
    return caller_name(subject.principal)


def key_text(random_bytes: bytes) -> str:
    """The text of a key from 32 random bytes; its owner sees it once."""
    assert len(random_bytes) == 32, "an API key carries 256 bits"
    return KEY_SCHEME + random_bytes.hex()


def key_hash(text: str) -> str:
    """The hash that is stored instead of the key."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def key_matches(key: ApiKey, text: str) -> bool:
    """Whether a presented key has the stored hash; compared in constant time."""
    return hmac.compare_digest(key.hash, key_hash(text))


def require_strong_key(text: str) -> str:
    """Require that a key chosen by a person (the bootstrap key) is long enough for an unsalted
    hash."""
    if not API_KEY_CHARS_MIN <= len(text) <= API_KEY_CHARS_MAX or not text.isascii():
        raise InvalidRequestError(
            f"the bootstrap key must be {API_KEY_CHARS_MIN} to {API_KEY_CHARS_MAX} ASCII"
            " characters; `openssl rand -hex 32` makes a good one"
        )
    if any(char.isspace() for char in text):
        raise InvalidRequestError("the bootstrap key must not contain spaces or line breaks")
    return text


def require_name(text: str, what: str) -> str:
    """Require a name of a tenant, key or principal to be printable and bounded: safe in logs and
    URLs."""
    if len(text) > NAME_CHARS_MAX or not _NAME.fullmatch(text):
        raise InvalidRequestError(
            f"the {what} must be 1 to {NAME_CHARS_MAX} characters: letters, digits and . _ @ : / -,"
            " first a letter or digit"
        )
    return text


def credential_labels(key: ApiKey, claimed: Mapping[str, str]) -> Mapping[str, str]:
    """The labels for which a key vouches: those that are fixed, and of the claimed ones those that
    it may attest. A fixed label is no claim of the holder, so no attested one replaces it."""
    if not key.attests:
        return key.labels
    attested = {name: claimed[name] for name in key.attests if name in claimed}
    return {**attested, **key.labels}


def require_credential_labels(labels: Mapping[str, str], attests: tuple[str, ...]) -> None:
    """Require the labels of a key to be bounded and none that only the plane may set. Raises
    InvalidRequestError."""
    if len(labels) > LABELS_MAX or len(attests) > LABELS_MAX:
        raise InvalidRequestError(f"a key has at most {LABELS_MAX} labels, and attests as many")
    for name in (*labels, *attests):
        if not 1 <= len(name) <= LABEL_KEY_CHARS_MAX or not name.isprintable():
            raise InvalidRequestError(
                f"a label name is one line of 1 to {LABEL_KEY_CHARS_MAX} characters"
            )
        if RESERVED_LABEL.match(name):
            raise InvalidRequestError(
                f"the label `{name[:80]}` is reserved: names that begin with `_`, `approval_` or"
                " `policy.` belong to the control plane"
            )
    if any(not 1 <= len(value) <= LABEL_VALUE_CHARS_MAX for value in labels.values()):
        raise InvalidRequestError(
            f"the value of a label has 1 to {LABEL_VALUE_CHARS_MAX} characters"
        )
    if both := sorted(labels.keys() & set(attests)):
        raise InvalidRequestError(
            f"the label `{both[0]}` is fixed, so the key cannot attest another value of it"
        )
