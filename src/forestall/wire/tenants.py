"""Tenants ↔ JSON. Unknown fields are refused: a misspelled reason is none."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from forestall.errors import InvalidRequestError
from forestall.identity.credentials import ApiKey
from forestall.identity.tenants import TenantSummary
from forestall.wire.compat import iso_time
from forestall.wire.keys import KeyObject, key_object
from forestall.wire.objects import WireObject
from forestall.wire.strict_json import decode_struct


class NewTenantBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /tenants. `admin_principal` acts with the first key; without it, `admin`."""

    name: str | None = None
    description: str | None = None
    admin_principal: str | None = None


class SuspendBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /tenants/{tenant}/suspend."""

    reason: str | None = None


class TenantObject(WireObject, frozen=True):
    """One tenant. The last three fields come with a suspended one. `usable_keys` are neither
    revoked nor expired; `workers` are registered now."""

    name: str
    tenant_id: str
    status: Literal["active", "suspended"]
    description: str
    created_at: str
    created_by: str
    usable_keys: int
    workers: int
    suspended_at: str | UnsetType = UNSET
    suspended_by: str | UnsetType = UNSET
    suspend_reason: str | UnsetType = UNSET


class NewTenantObject(WireObject, frozen=True):
    """A new tenant with its first admin key; the text of the key, `secret`, is shown here and
    nowhere else."""

    tenant: TenantObject
    key: KeyObject
    secret: str


def decode_new_tenant(body: bytes) -> NewTenantBody:
    """The request for a new tenant. Raises InvalidRequestError."""
    request = decode_struct(body, NewTenantBody)
    if not request.name:
        raise InvalidRequestError("`name` is required: it names the tenant")
    return request


def decode_suspend(body: bytes) -> str:
    """The reason in a body; an empty body gives none."""
    return decode_struct(body, SuspendBody).reason or ""


def tenant_object(summary: TenantSummary) -> TenantObject:
    """One tenant, and how much of it there is."""
    tenant = summary.tenant
    suspended = tenant.suspended_at_us
    return TenantObject(
        name=tenant.name,
        tenant_id=tenant.name,
        status="active" if suspended is None else "suspended",
        description=tenant.description,
        created_at=iso_time(tenant.created_at_us),
        created_by=tenant.created_by,
        usable_keys=summary.usable_keys,
        workers=summary.workers,
        suspended_at=UNSET if suspended is None else iso_time(suspended),
        suspended_by=UNSET if suspended is None else tenant.suspended_by,
        suspend_reason=UNSET if suspended is None else tenant.suspend_reason,
    )


def new_tenant_object(summary: TenantSummary, key: ApiKey, secret: str) -> NewTenantObject:
    """The body of the answer to POST /tenants."""
    made = key_object(key, now_us=key.created_at_us)
    return NewTenantObject(tenant_object(summary), made, secret)
