"""API keys ↔ JSON, in camelCase as published clients read it."""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from forestall.errors import InvalidRequestError
from forestall.identity.credentials import ApiKey, NewKey
from forestall.identity.roles import LEAST_ROLE, Role
from forestall.limits import TAGS_MAX
from forestall.wire.compat import iso_time
from forestall.wire.objects import WireObject
from forestall.wire.strict_json import decode_json

KeyState = Literal["active", "expired", "revoked"]


class NewKeyBody(msgspec.Struct, frozen=True):
    """The body of POST /auth/keys. `role` is our field; the peer's clients name the role as a
    scope. `agent_id` binds the key to an agent, and gives it the role `agent`. `labels` are facts
    of origin `credential`; `attests` names labels that the holder may vouch for."""

    name: str | None = None
    role: str | None = None
    scopes: list[str] | None = None
    principal_id: str | None = None
    groups: list[str] | None = None
    agent_id: str | None = None
    labels: dict[str, str] | None = None
    attests: list[str] | None = None
    expires_at: str | None = msgspec.field(default=None, name="expiresAt")
    expires_at_snake: str | None = msgspec.field(default=None, name="expires_at")


class KeyObject(WireObject, frozen=True, kw_only=True):
    """A key without its text or hash. A field without a value is left out: no expiry, no use, no
    agent that it is bound to, no labels."""

    id: str
    name: str
    prefix: str
    tenant: str
    role: Role
    principal_id: str
    scopes: list[Role]
    groups: list[str]
    created_at_camel: str = msgspec.field(name="createdAt")
    created_at: str
    expires_at_camel: str | UnsetType = msgspec.field(default=UNSET, name="expiresAt")
    expires_at: str | UnsetType = UNSET
    state: KeyState
    created_by: str
    last_used_camel: str | UnsetType = msgspec.field(default=UNSET, name="lastUsed")
    last_used: str | UnsetType = UNSET
    revoked_at: str | UnsetType = UNSET
    agent_id: str | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    attests: list[str] | UnsetType = UNSET


class NewKeyObject(WireObject, frozen=True):
    """A new key; its text, `secret`, is shown here and nowhere else."""

    key: KeyObject
    secret: str


class KeyRequestError(InvalidRequestError):
    """The key request is malformed: name, role, scopes or expiry."""

    code, http_status = "AUTH_KEY_REQUEST_INVALID", 400


def decode_new_key(body: bytes, *, tenant: str) -> NewKey:
    """The request for a new key. Raises KeyRequestError."""
    value = decode_json(body)
    try:
        request = msgspec.convert(value, NewKeyBody)
    except msgspec.ValidationError as cause:
        raise KeyRequestError(f"the key request is malformed: {cause}") from cause
    if not request.name:
        raise KeyRequestError("`name` is required: it says whose key this is")
    groups = tuple(dict.fromkeys(request.groups or ()))
    if len(groups) > TAGS_MAX:
        raise KeyRequestError(f"`groups` has more than {TAGS_MAX} entries")
    return NewKey(
        tenant=tenant,
        name=request.name,
        role=_role(request.role, request.scopes or [], Role.AGENT if request.agent_id else None),
        principal=request.principal_id or "",
        expires_at_us=_instant_us(request.expires_at or request.expires_at_snake),
        groups=groups,
        agent_id=request.agent_id or "",
        labels=request.labels or {},
        attests=tuple(dict.fromkeys(request.attests or ())),
    )


def _role(word: str | None, scopes: list[str], of_agent: Role | None) -> Role:
    """The requested role; where the request names neither role nor scope, the role of an agent for
    a key that is bound to one, else the least."""
    words = [word] if word is not None else scopes or [of_agent or LEAST_ROLE]
    if len(words) != 1 or words[0] not in set(Role):
        names = ", ".join(f"`{role}`" for role in Role)
        raise KeyRequestError(f"name one `role`: {names}; without one the key is a `{LEAST_ROLE}`")
    return Role(words[0])


def _instant_us(text: str | None) -> int | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as cause:
        raise KeyRequestError("`expiresAt` is a time such as 2027-01-31T12:00:00Z") from cause
    if at.tzinfo is None:
        raise KeyRequestError("`expiresAt` needs a time zone, such as a final Z")
    try:
        at_us = round(at.timestamp() * 1_000_000)
        iso_time(at_us)
    except (OverflowError, ValueError) as cause:
        raise KeyRequestError("`expiresAt` is beyond the calendar") from cause
    return at_us


def key_object(key: ApiKey, *, now_us: int, used_us: int | None = None) -> KeyObject:
    """A key without its text and hash. `used_us`: when it was last used, if a use is known."""
    expires_at, used_at = _time(key.expires_at_us), _time(used_us)
    return KeyObject.of(
        key,
        principal_id=key.principal,
        scopes=[key.role],
        created_at_camel=iso_time(key.created_at_us),
        created_at=iso_time(key.created_at_us),
        expires_at_camel=expires_at,
        expires_at=expires_at,
        state=_state(key, now_us),
        last_used_camel=used_at,
        last_used=used_at,
        revoked_at=_time(key.revoked_at_us),
        agent_id=key.agent_id or UNSET,
        labels=dict(key.labels) or UNSET,
        attests=list(key.attests) or UNSET,
    )


def _state(key: ApiKey, now_us: int) -> KeyState:
    if key.revoked_at_us is not None:
        return "revoked"
    return "active" if key.usable(now_us) else "expired"


def _time(at_us: int | None) -> str | UnsetType:
    return UNSET if at_us is None else iso_time(at_us)
