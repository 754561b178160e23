"""Create, list, revoke and authenticate API keys (control 1). The text of a key is shown once, and
only its hash is stored.
"""

from collections.abc import Sequence

import msgspec

from forestall.control.agent_layer import ended_credential
from forestall.control.plane import Plane, uuid_text
from forestall.control.records import SALT_BYTES, record_of
from forestall.errors import (
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    UnauthorizedError,
)
from forestall.identity.agents import (
    AGENT_EXPIRED,
    AGENT_SUSPENDED,
    Agent,
    ended_agent,
)
from forestall.identity.credentials import (
    PREFIX_CHARS,
    ApiKey,
    NewKey,
    Subject,
    key_hash,
    key_matches,
    key_text,
    require_credential_labels,
    require_name,
)
from forestall.identity.roles import Role
from forestall.limits import API_KEY_CHARS_MAX, KEYS_PER_AGENT_MAX, KEYS_PER_TENANT_MAX
from forestall.ports.change import Change, DropEntry, EntryUnchanged, Put, PutEntry
from forestall.ports.entries import EntryKind, entry_after
from forestall.ports.store import PreconditionFailedError


class KeyNameTakenError(ConflictError):
    """An unrevoked key of this tenant has this name."""

    code, http_status = "AUTH_KEY_CONFLICT", 409


class KeyNotFoundError(NotFoundError):
    """No unrevoked key of this tenant has this id."""

    code, http_status = "AUTH_KEY_NOT_FOUND", 404


class TenantSuspendedError(ForbiddenError):
    """The tenant of this key is suspended: none of its keys is taken until it is resumed."""

    code, http_status = "tenant_suspended", 403


class KeyInvalidError(InvalidRequestError):
    """The key cannot be made as asked: name, role or expiry is wrong."""

    code, http_status = "AUTH_KEY_INVALID", 400


class AgentNotFoundError(NotFoundError):
    """No agent of this tenant has this id."""

    code, http_status = "AGENT_NOT_FOUND", 404


class AgentNotActiveError(ConflictError):
    """The agent is suspended, revoked or has expired, so it gets no credential; a revoked agent is
    changed no more. `details.status` says what it is."""

    code, http_status = "AGENT_NOT_ACTIVE", 409


class AgentSuspendedError(ForbiddenError):
    """The key belongs to an agent that an admin has suspended. Nothing was done; the key works
    again when the agent is resumed."""

    code, http_status = "agent_suspended", 403


class AgentExpiredError(ForbiddenError):
    """The key belongs to an agent whose time is over. Nothing was done; the key works again when
    an admin gives the agent a later end."""

    code, http_status = "agent_expired", 403


async def create_key(
    plane: Plane, new_key: NewKey, *, actor: str, secret: str | None = None
) -> tuple[ApiKey, str]:
    """Make a key. Returns the key as stored, and its text, which cannot be read again.

    `secret` is the text to use instead of a random one (the bootstrap key). Raises KeyInvalidError,
    KeyNameTakenError, AgentNotFoundError, AgentNotActiveError, StoreUnavailableError.
    """
    now_us = plane.clock.now_us()
    # load and decide
    new_key = bound_to_agent(plane, new_key, now_us)
    _require_valid(new_key, plane.keys.of_tenant(new_key.tenant), now_us)
    chance = plane.random.token(32 + 10 + SALT_BYTES)
    for_text, for_id, salt = chance[:32], chance[32:42], chance[42:]
    text = secret if secret is not None else key_text(for_text)
    key = ApiKey(
        id=f"key-{uuid_text(now_us, for_id)}",
        tenant=new_key.tenant,
        name=new_key.name,
        role=new_key.role,
        principal=new_key.principal or new_key.name,
        # Show fewer characters of a text that a person chose: it may be easier to guess.
        prefix=text[: PREFIX_CHARS if secret is None else 4],
        hash=key_hash(text),
        created_at_us=now_us,
        expires_at_us=new_key.expires_at_us,
        created_by=actor,
        groups=new_key.groups,
        worker=new_key.worker,
        agent_id=new_key.agent_id,
        labels=new_key.labels,
        attests=new_key.attests,
    )
    # commit
    try:
        await plane.commit(_creation(plane, key, actor, salt))
    except PreconditionFailedError as cause:
        if isinstance(cause.failed, EntryUnchanged) and cause.failed.kind == EntryKind.AGENT:
            raise  # the agent was changed at this moment, perhaps revoked
        raise KeyNameTakenError(
            f"a key named `{key.name}` exists already; revoke it or choose another name"
        ) from cause
    # announce: the text is shown in this answer only
    return key, text


def _creation(plane: Plane, key: ApiKey, actor: str, salt: bytes) -> Change:
    """The key, and the entry that takes its name until the key is revoked, so that no two unrevoked
    keys of a tenant share a name."""
    made_at_us = key.created_at_us
    entry = entry_after(None, key.tenant, EntryKind.KEY, key.id, key, now_us=made_at_us)
    name_entry = entry_after(
        None, key.tenant, EntryKind.KEY_NAME, key.name, key.id, now_us=made_at_us
    )
    record = record_of(
        plane,
        "key.created",
        at_us=made_at_us,
        tenant=key.tenant,
        actor=actor,
        salt=salt,
        data={
            "key_id": key.id,
            "name": key.name,
            "role": key.role.value,
            "principal": key.principal,
            "expires_at_us": key.expires_at_us,
            **({"agent_id": key.agent_id} if key.agent_id else {}),
            **({"labels": tuple(sorted(key.labels.items()))} if key.labels else {}),
            **({"attests": key.attests} if key.attests else {}),
        },
    )
    return Change(
        expect=_rests_on(plane, key),
        puts=(PutEntry(entry), PutEntry(name_entry)),
        records=(record,),
    )


def _rests_on(plane: Plane, key: ApiKey) -> tuple[EntryUnchanged, ...]:
    """The agent of a new key is as it was when the key was allowed; of a key of no agent, no agent
    has taken the name of its principal meanwhile."""
    agent = plane.agents.by_id(key.agent_id) if key.agent_id else None
    if agent is not None:
        return (plane.agents.unchanged(agent),)
    return (EntryUnchanged(key.tenant, EntryKind.AGENT, key.principal, 0),)


def agent_of_tenant(plane: Plane, tenant: str, agent_id: str) -> Agent:
    """An agent of a tenant, revoked or not. Raises AgentNotFoundError, the same one for an agent of
    another tenant."""
    agent = plane.agents.by_id(agent_id)
    if agent is None or agent.tenant != tenant:
        raise AgentNotFoundError(
            f"there is no agent `{agent_id[:80]}`; `agents list` shows the ids of your tenant"
        )
    return agent


def bound_to_agent(plane: Plane, new_key: NewKey, now_us: int) -> NewKey:
    """The request for a key with what its agent fixes: the principal, and an end that is not after
    the agent's. Raises KeyInvalidError, AgentNotFoundError, AgentNotActiveError."""
    if not new_key.agent_id:
        principal = new_key.principal or new_key.name
        if plane.agents.by_name(new_key.tenant, principal) is not None:
            raise KeyInvalidError(
                f"`{principal[:80]}` is an agent: a key that acts under its name must be bound to"
                f" it (`agent_id`, or `keys create --agent`)"
            )
        return new_key
    agent = agent_of_tenant(plane, new_key.tenant, new_key.agent_id)
    if ended := ended_agent(agent, now_us=now_us):
        raise AgentNotActiveError(
            f"the agent `{agent.name}` gets no key: it is {ended.removeprefix('agent_')}",
            details={"status": agent.status.value},
        )
    if new_key.principal not in ("", agent.name):
        raise KeyInvalidError(
            f"the principal of this key is its agent, `{agent.name}`; leave `principal_id` out"
        )
    if new_key.role not in (Role.AGENT, Role.WORKER):
        raise KeyInvalidError("a key that is bound to an agent has the role `agent`")
    if new_key.groups:
        raise KeyInvalidError("an agent belongs to no group: rules ask groups of people to approve")
    if sum(key.revoked_at_us is None for key in plane.keys.of_agent(agent.id)) >= (
        KEYS_PER_AGENT_MAX
    ):
        raise KeyInvalidError(f"an agent has at most {KEYS_PER_AGENT_MAX} keys; revoke one first")
    ends_at_us = new_key.expires_at_us
    if agent.expires_at_us is not None and (ends_at_us or 0) > agent.expires_at_us:
        raise KeyInvalidError("the key would outlive its agent; choose an expiry not after its end")
    return msgspec.structs.replace(
        new_key, principal=agent.name, expires_at_us=ends_at_us or agent.expires_at_us
    )


def _require_valid(new_key: NewKey, keys: Sequence[ApiKey], now_us: int) -> None:
    try:
        require_name(new_key.tenant, "tenant")
        require_name(new_key.name, "key name")
        if new_key.principal:
            require_name(new_key.principal, "principal")
        for group in new_key.groups:
            require_name(group, "group")
        require_credential_labels(new_key.labels, new_key.attests)
    except InvalidRequestError as cause:
        raise KeyInvalidError(cause.message) from cause
    if (new_key.role is Role.WORKER) != (new_key.worker is not None):
        raise KeyInvalidError(
            "a worker's key is made with `workers create` (POST /api/v1/workers/credentials), which"
            " says what the worker may be offered"
        )
    if new_key.expires_at_us is not None and new_key.expires_at_us <= now_us:
        raise KeyInvalidError("the expiry is in the past")
    if len(keys) >= KEYS_PER_TENANT_MAX:
        raise KeyInvalidError(f"a tenant has at most {KEYS_PER_TENANT_MAX} keys")


def list_keys(plane: Plane, tenant: str, *, revoked_too: bool = False) -> list[ApiKey]:
    """The keys of one tenant, expired ones too, oldest first."""
    keys = plane.keys.of_tenant(tenant)
    return [key for key in keys if revoked_too or key.revoked_at_us is None]


async def revoke_key(plane: Plane, tenant: str, key_id: str, *, actor: str) -> ApiKey:
    """Revoke a key: no request with it is accepted once this returns. Raises KeyNotFoundError,
    StoreUnavailableError."""
    # load
    key = plane.keys.by_id(key_id)
    if key is None or key.tenant != tenant or key.revoked_at_us is not None:
        raise KeyNotFoundError(f"there is no API key `{key_id[:80]}`; `keys list` shows them")
    try:
        return await end_key(plane, key, actor=actor)
    except PreconditionFailedError as cause:
        raise KeyNotFoundError(f"the API key `{key_id[:80]}` was revoked already") from cause


async def end_key(plane: Plane, key: ApiKey, *, actor: str) -> ApiKey:
    """Commit the revocation of a key, which frees its name. Raises PreconditionFailedError when
    another request has just revoked the key."""
    # load and decide
    change = await revocation(plane, key, actor=actor, now_us=plane.clock.now_us())
    # commit
    await plane.commit(change)
    # announce
    revoked = plane.keys.by_id(key.id)
    assert revoked is not None, "memory follows a commit"
    return revoked


async def revocation(plane: Plane, key: ApiKey, *, actor: str, now_us: int) -> Change:
    """The change that revokes a key and frees its name; a verb may add it to a change of its
    own."""
    # From the store, since memory may not have the entry of the name yet; a name that is not freed
    # here stays taken for ever.
    name_entry = await plane.store.entry(key.tenant, EntryKind.KEY_NAME, key.name)
    revoked = msgspec.structs.replace(key, revoked_at_us=now_us)
    entry = entry_after(
        plane.keys.entry(key.id), key.tenant, EntryKind.KEY, key.id, revoked, now_us=now_us
    )
    puts: list[Put] = [PutEntry(entry)]
    if name_entry is not None and msgspec.json.decode(name_entry.body) == key.id:
        puts.append(DropEntry(name_entry))
    record = record_of(
        plane,
        "key.revoked",
        at_us=now_us,
        tenant=key.tenant,
        actor=actor,
        data={"key_id": key.id, "name": key.name},
    )
    return Change(puts=tuple(puts), records=(record,))


def authenticate(plane: Plane, text: str | None) -> Subject:
    """The subject whose key this text is. Raises UnauthorizedError, the same one for unknown,
    expired and revoked keys and for those of a revoked agent; TenantSuspendedError,
    AgentSuspendedError and AgentExpiredError for a key that is good and whose tenant or agent may
    not act now."""
    key = None
    if text and len(text) <= API_KEY_CHARS_MAX:
        key = plane.keys.by_hash(key_hash(text))
    if key is not None and text and key_matches(key, text):
        now_us = plane.clock.now_us()
        if key.usable(now_us):
            _require_active(plane, key.tenant)
            if key.agent_id:
                _require_acting(plane, key, now_us)
            plane.key_uses.note(key.id, now_us)
            return Subject(
                tenant=key.tenant,
                principal=key.principal,
                role=key.role,
                key_id=key.id,
                groups=key.groups,
                worker=key.worker,
                agent_id=key.agent_id,
            )
    raise _unauthorized()


def _require_acting(plane: Plane, key: ApiKey, now_us: int) -> None:
    ended = ended_credential(plane, key.id, now_us=now_us)
    if ended == AGENT_SUSPENDED:
        raise AgentSuspendedError(
            f"the agent `{key.principal}` is suspended; an admin can resume it:"
            f" forestall agents resume {key.principal}"
        )
    if ended == AGENT_EXPIRED:
        raise AgentExpiredError(
            f"the agent `{key.principal}` has expired; an admin can give it a later end:"
            f" forestall agents update {key.principal} --expires-in-days N"
        )
    if ended:
        raise _unauthorized()


def _unauthorized() -> UnauthorizedError:
    return UnauthorizedError("unauthorized: send a valid API key in the X-API-Key header")


def _require_active(plane: Plane, tenant: str) -> None:
    """Raises TenantSuspendedError. Asked only for a key that is good, so that nobody else learns
    which tenants there are."""
    if plane.tenants.is_suspended(tenant):
        raise TenantSuspendedError(
            "the tenant of this key is suspended; whoever runs the plane can resume it"
        )


def still_valid(plane: Plane, subject: Subject) -> bool:
    """Whether the key that authenticated the subject is still valid, its tenant active, and its
    agent may act. Reads memory only."""
    if plane.tenants.is_suspended(subject.tenant):
        return False
    return not ended_credential(plane, subject.key_id, now_us=plane.clock.now_us())
