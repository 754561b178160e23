"""Make, list, suspend and resume tenants while the server runs (ADR 0037).

Only the plane's own people do this: `tenants.write` goes with an admin key of the platform's
tenant, so that no tenant's admin makes a tenant or touches another one. A suspended tenant keeps
all that it has. Its keys are refused, nothing of it is dispatched, and what runs is cancelled.
"""

import contextlib
from collections.abc import Sequence

import msgspec

from forestall.audit.record import Value
from forestall.control.keys import KeyNameTakenError, create_key
from forestall.control.moves import commit_move, move_of
from forestall.control.plane import Plane
from forestall.control.records import SYSTEM_ACTOR
from forestall.control.registry_entries import commit_entries
from forestall.errors import ConflictError, NotFoundError
from forestall.identity.credentials import ApiKey, NewKey, Subject
from forestall.identity.roles import Role
from forestall.identity.tenants import Tenant, TenantSummary, require_note, require_tenant_name
from forestall.jobs.transitions import TENANT_SUSPENDED, after_withdrawal
from forestall.limits import TENANTS_MAX
from forestall.ports.entries import PLATFORM_TENANT, EntryKind, entry_after
from forestall.ports.store import PreconditionFailedError

FIRST_KEY_NAME = "admin"
_TRIES = 8


class TenantNotFoundError(NotFoundError):
    """No tenant has this name: none was made, and no key belongs to it."""

    code, http_status = "tenant_not_found", 404


class TenantExistsError(ConflictError):
    """A tenant of this name has keys already; its first admin key was shown when it was made."""

    code, http_status = "tenant_exists", 409


class TenantsFullError(ConflictError):
    """The plane has the greatest allowed number of tenants."""

    code, http_status = "tenants_full", 409


class PlatformTenantError(ConflictError):
    """The platform's own tenant cannot be suspended: nobody could resume it."""

    code, http_status = "platform_tenant", 409


class MadeTenant(msgspec.Struct, frozen=True):
    """A new tenant, its first admin key, and the key's text, which cannot be read again."""

    summary: TenantSummary
    key: ApiKey
    secret: str


async def create_tenant(
    plane: Plane, subject: Subject, name: str, *, description: str = "", principal: str = ""
) -> MadeTenant:
    """Make a tenant with its first admin key, whose principal is `principal`.

    The two are committed one after the other. A tenant whose key was not made, because the store
    failed between the two, has no key: making it again makes the key. Raises TenantExistsError,
    TenantsFullError, InvalidRequestError, KeyInvalidError, StoreUnavailableError.
    """
    # load
    require_tenant_name(name)
    require_note(description, "description")
    found = plane.tenants.get(name)
    # decide
    if plane.keys.of_tenant(name):
        raise _exists(name)
    if found is None:
        if len(plane.tenants.all()) >= TENANTS_MAX:
            raise TenantsFullError(f"a plane has at most {TENANTS_MAX} tenants")
        now_us = plane.clock.now_us()
        tenant = Tenant(
            name=name,
            created_at_us=now_us,
            created_by=subject.principal,
            description=description,
        )
        # commit
        await _commit(plane, subject, tenant, "created", {"description": description})
    wanted = NewKey(
        tenant=name, name=FIRST_KEY_NAME, role=Role.ADMIN, principal=principal or FIRST_KEY_NAME
    )
    try:
        # The maker is named so that no principal of the new tenant has this name.
        key, secret = await create_key(plane, wanted, actor=f"platform:{subject.principal}")
    except KeyNameTakenError as cause:  # another request has just made the same tenant
        raise _exists(name) from cause
    # announce: the text is given out this once
    return MadeTenant(read_tenant(plane, name), key, secret)


def _exists(name: str) -> TenantExistsError:
    return TenantExistsError(
        f"the tenant `{name}` exists and has keys; `tenants show` describes it"
    )


def list_tenants(plane: Plane) -> list[TenantSummary]:
    """Every tenant that was made or has a key, by name."""
    keys = plane.keys.by_tenant()
    names = sorted({*plane.tenants.all(), *keys})
    return [_summary(plane, name, keys.get(name, [])) for name in names]


def read_tenant(plane: Plane, name: str) -> TenantSummary:
    """One tenant. Raises TenantNotFoundError."""
    keys = plane.keys.of_tenant(name)
    if plane.tenants.get(name) is None and not keys:
        raise TenantNotFoundError(f"there is no tenant `{name[:80]}`; `tenants list` shows them")
    return _summary(plane, name, keys)


def _summary(plane: Plane, name: str, keys: Sequence[ApiKey]) -> TenantSummary:
    now_us = plane.clock.now_us()
    found = plane.tenants.get(name)
    if found is not None:
        tenant = found.value
    else:
        tenant = Tenant(name=name, created_at_us=min(key.created_at_us for key in keys))
    return TenantSummary(
        tenant=tenant,
        usable_keys=sum(key.usable(now_us) for key in keys),
        workers=plane.workers.count(name),
    )


async def suspend_tenant(
    plane: Plane, subject: Subject, name: str, *, reason: str = ""
) -> TenantSummary:
    """Suspend a tenant: once this returns, no key of it is taken and nothing of it is dispatched.
    What runs is cancelled before this returns, or at the next tick where that fails. A suspended
    tenant stays as it is. Raises TenantNotFoundError, PlatformTenantError, InvalidRequestError,
    StoreUnavailableError."""
    require_note(reason, "reason")
    if name == PLATFORM_TENANT:
        raise PlatformTenantError(f"`{name}` is the platform's own tenant and cannot be suspended")
    for attempt in range(_TRIES):
        # load
        tenant = read_tenant(plane, name).tenant
        # decide
        if tenant.suspended_at_us is not None:
            break
        suspended = msgspec.structs.replace(
            tenant,
            suspended_at_us=plane.clock.now_us(),
            suspended_by=subject.principal,
            suspend_reason=reason,
        )
        try:
            # commit
            await _commit(plane, subject, suspended, "suspended", {"reason": reason})
            break
        except TenantExistsError:
            if attempt == _TRIES - 1:
                raise
    # announce: workers learn it with their next heartbeat
    await stop_suspended(plane)
    return read_tenant(plane, name)


async def resume_tenant(plane: Plane, subject: Subject, name: str) -> TenantSummary:
    """Let a suspended tenant go on: its keys are taken again, and what is queued may be dispatched.
    An active tenant stays as it is. Raises TenantNotFoundError, StoreUnavailableError."""
    for attempt in range(_TRIES):
        # load
        tenant = read_tenant(plane, name).tenant
        # decide
        if tenant.suspended_at_us is None:
            break
        resumed = msgspec.structs.replace(
            tenant, suspended_at_us=None, suspended_by="", suspend_reason=""
        )
        try:
            # commit
            await _commit(plane, subject, resumed, "resumed", {})
            break
        except TenantExistsError:
            if attempt == _TRIES - 1:
                raise
    # announce: the workers are woken as memory follows
    return read_tenant(plane, name)


async def _commit(
    plane: Plane, subject: Subject, tenant: Tenant, what: str, data: dict[str, str]
) -> None:
    """Commit a tenant with its record. Raises TenantExistsError when another request changed it at
    this moment."""
    found = plane.tenants.get(tenant.name)
    now_us = plane.clock.now_us()
    entry = entry_after(
        found.entry if found is not None else None,
        PLATFORM_TENANT,
        EntryKind.TENANT,
        tenant.name,
        tenant,
        now_us=now_us,
    )
    about: dict[str, Value] = {
        "name": tenant.name,
        "revision": entry.revision,
        "key_id": subject.key_id,
        **{name: text for name, text in data.items() if text},
    }
    try:
        # commit
        await commit_entries(
            plane,
            f"tenant.{what}",
            PLATFORM_TENANT,
            subject.principal,
            about,
            puts=(entry,),
            at_us=now_us,
        )
    except PreconditionFailedError as cause:
        raise TenantExistsError(
            f"the tenant `{tenant.name}` was changed at this moment; look at it again"
        ) from cause


async def stop_suspended(plane: Plane) -> None:
    """Cancel what runs of suspended tenants. Raises StoreUnavailableError; the next tick tries
    again."""
    if not plane.tenants.suspended:
        return
    # load
    leased = [each for each in plane.leases if plane.tenants.is_suspended(each.job.tenant)]
    for each in leased:
        # decide
        move = move_of(each.job, after_withdrawal(TENANT_SUSPENDED), actor=SYSTEM_ACTOR)
        # commit, and announce: the worker is notified when its lease leaves memory
        with contextlib.suppress(PreconditionFailedError):  # the job ended meanwhile
            await commit_move(plane, move, now_us=plane.clock.now_us())
