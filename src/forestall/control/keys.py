"""Create, list, revoke and recognise API keys (control 1). A key's text is given out once."""

from collections.abc import Sequence

import msgspec

from forestall.control.plane import Plane, uuid_text
from forestall.control.records import SALT_BYTES, key_created, key_revoked
from forestall.errors import ConflictError, InvalidRequestError, NotFoundError, UnauthorizedError
from forestall.identity.credentials import (
    PREFIX_CHARS,
    ApiKey,
    NewKey,
    Subject,
    key_hash,
    key_matches,
    key_text,
    require_name,
)
from forestall.identity.roles import Role
from forestall.limits import API_KEY_CHARS_MAX, KEYS_PER_TENANT_MAX
from forestall.ports.change import Change, KeyNameAbsent, KeyUnrevoked, PutKey
from forestall.ports.store import PreconditionFailedError


class KeyNameTakenError(ConflictError):
    """A key of this tenant that is still valid has this name."""

    code, http_status = "AUTH_KEY_CONFLICT", 409


class KeyNotFoundError(NotFoundError):
    """No unrevoked key of this tenant has this id."""

    code, http_status = "AUTH_KEY_NOT_FOUND", 404


class KeyInvalidError(InvalidRequestError):
    """The key cannot be made as asked: name, role or expiry is wrong."""

    code, http_status = "AUTH_KEY_INVALID", 400


async def create_key(
    plane: Plane, wanted: NewKey, *, actor: str, secret: str | None = None
) -> tuple[ApiKey, str]:
    """Make a key; the key as stored, and its text, which nobody can ask for again.

    `secret` gives the text instead of a random one (the bootstrap key).
    """
    now_us = plane.clock.now_us()
    _require_wanted(wanted, await plane.store.keys(), now_us)
    chance = plane.random.token(32 + 10 + SALT_BYTES)
    text = secret if secret is not None else key_text(chance[:32])
    key = ApiKey(
        id=f"key-{uuid_text(now_us, chance[32:42])}",
        tenant=wanted.tenant,
        name=wanted.name,
        role=wanted.role,
        principal=wanted.principal or wanted.name,
        # A key that its owner chose is shown by less, since it may be less random.
        prefix=text[: PREFIX_CHARS if secret is None else 4],
        hash=key_hash(text),
        created_at_us=now_us,
        expires_at_us=wanted.expires_at_us,
        created_by=actor,
        groups=wanted.groups,
        worker=wanted.worker,
    )
    change = Change(
        expect=(KeyNameAbsent(key.tenant, key.name),),
        puts=(PutKey(key),),
        records=(key_created(key, actor, chance[42:]),),
    )
    try:
        await plane.commit(change)
    except PreconditionFailedError as cause:
        raise KeyNameTakenError(
            f"a key named `{key.name}` exists already; revoke it or choose another name"
        ) from cause
    plane.hold_key(key)
    return key, text


def _require_wanted(wanted: NewKey, keys: Sequence[ApiKey], now_us: int) -> None:
    try:
        require_name(wanted.tenant, "tenant")
        require_name(wanted.name, "key name")
        if wanted.principal:
            require_name(wanted.principal, "principal")
        for group in wanted.groups:
            require_name(group, "group")
    except InvalidRequestError as cause:
        raise KeyInvalidError(cause.message) from cause
    if (wanted.role is Role.WORKER) != (wanted.worker is not None):
        raise KeyInvalidError(
            "a worker's key is made with `workers create` (POST /api/v1/workers/credentials), which"
            " says what the worker may be offered"
        )
    if wanted.expires_at_us is not None and wanted.expires_at_us <= now_us:
        raise KeyInvalidError("the expiry is in the past")
    if sum(key.tenant == wanted.tenant for key in keys) >= KEYS_PER_TENANT_MAX:
        raise KeyInvalidError(f"a tenant has at most {KEYS_PER_TENANT_MAX} keys")


async def list_keys(plane: Plane, tenant: str) -> list[ApiKey]:
    """The keys of one tenant that are not revoked, oldest first."""
    keys = await plane.store.keys()
    return [key for key in keys if key.tenant == tenant and key.revoked_at_us is None]


async def revoke_key(plane: Plane, tenant: str, key_id: str, *, actor: str) -> ApiKey:
    """End a key; it is refused from the moment this returns."""
    keys = await plane.store.keys()
    key = next((key for key in keys if key.id == key_id and key.tenant == tenant), None)
    if key is None or key.revoked_at_us is not None:
        raise KeyNotFoundError(f"there is no API key `{key_id[:80]}`; `keys list` shows them")
    now_us = plane.clock.now_us()
    revoked = msgspec.structs.replace(key, revoked_at_us=now_us)
    change = Change(
        expect=(KeyUnrevoked(tenant, key_id),),
        puts=(PutKey(revoked),),
        records=(key_revoked(key, actor, now_us, plane.random.token(SALT_BYTES)),),
    )
    with plane.tightening():
        try:
            await plane.commit(change)
        except PreconditionFailedError as cause:
            raise KeyNotFoundError(f"the API key `{key_id[:80]}` was revoked already") from cause
        except BaseException as doubt:
            plane.keys_doubt = doubt  # it may be durable all the same
            raise
        end_key(plane, revoked)
    return revoked


def end_key(plane: Plane, revoked: ApiKey) -> None:
    """A revoked key works no more, and the worker that it belongs to is offered nothing."""
    plane.hold_key(revoked)
    if revoked.worker is not None:
        plane.workers.drop(revoked.tenant, revoked.worker.worker_id)


async def settle_keys(plane: Plane) -> None:
    """After a commit that nobody knows the end of: take up from the store which keys have ended."""
    doubt = plane.keys_doubt
    if doubt is None:
        return
    for key in await plane.store.keys():
        known = plane.key_by_id(key.id)
        if key.revoked_at_us is not None and known is not None and known.revoked_at_us is None:
            end_key(plane, key)
    if plane.keys_doubt is doubt:  # and not a newer one, which this reading may have missed
        plane.keys_doubt = None
        plane.workers.wake_all()


def authenticate(plane: Plane, text: str | None) -> Subject:
    """Who presents this key. Unknown, expired and revoked keys look exactly the same."""
    if text and len(text) <= API_KEY_CHARS_MAX:
        key = plane.key_by_hash(key_hash(text))
        if key is not None and key_matches(key, text) and key.usable(plane.clock.now_us()):
            return Subject(
                tenant=key.tenant,
                principal=key.principal,
                role=key.role,
                key_id=key.id,
                groups=key.groups,
                worker=key.worker,
            )
    raise UnauthorizedError("unauthorized: send a valid API key in the X-API-Key header")


def still_valid(plane: Plane, subject: Subject) -> bool:
    """Whether the key that proved the subject would still be accepted. Cheap: no store, no hash."""
    key = plane.key_by_id(subject.key_id)
    return key is not None and key.usable(plane.clock.now_us())
