"""The API of tenants: for whoever runs the plane, never for a tenant's own admin."""

from forestall.control.plane import Plane
from forestall.control.tenants import (
    create_tenant,
    list_tenants,
    read_tenant,
    resume_tenant,
    suspend_tenant,
)
from forestall.identity.roles import Permission
from forestall.server.endpoints import Answer, Call, EndpointTable
from forestall.wire.objects import ItemList
from forestall.wire.tenants import (
    NewTenantBody,
    NewTenantObject,
    SuspendBody,
    TenantObject,
    decode_new_tenant,
    decode_suspend,
    new_tenant_object,
    tenant_object,
)

P = Permission
_TENANTS = "/api/v1/tenants"
_TABLE = EndpointTable()


@_TABLE.row("GET", _TENANTS, P.TENANTS_READ, {200: ItemList[TenantObject]})
async def _list(plane: Plane, call: Call) -> Answer:
    """List tenants."""
    return Answer(200, ItemList([tenant_object(each) for each in list_tenants(plane)]))


@_TABLE.row("POST", _TENANTS, P.TENANTS_WRITE, {201: NewTenantObject}, NewTenantBody)
async def _create(plane: Plane, call: Call) -> Answer:
    """Make a tenant; its first admin key is shown once."""
    body = await call.decoded(decode_new_tenant)
    made = await create_tenant(
        plane,
        call.who,
        body.name or "",
        description=body.description or "",
        principal=body.admin_principal or "",
    )
    return Answer(201, new_tenant_object(made.summary, made.key, made.secret))


@_TABLE.row("GET", _TENANTS + "/{tenant}", P.TENANTS_READ, {200: TenantObject})
async def _read(plane: Plane, call: Call) -> Answer:
    """Read one tenant."""
    return Answer(200, tenant_object(read_tenant(plane, call.params[0])))


@_TABLE.row(
    "POST", _TENANTS + "/{tenant}/suspend", P.TENANTS_WRITE, {200: TenantObject}, SuspendBody
)
async def _suspend(plane: Plane, call: Call) -> Answer:
    """Suspend a tenant: its keys are refused, and what runs of it is cancelled."""
    reason = await call.decoded(decode_suspend)
    summary = await suspend_tenant(plane, call.who, call.params[0], reason=reason)
    return Answer(200, tenant_object(summary))


@_TABLE.row("POST", _TENANTS + "/{tenant}/resume", P.TENANTS_WRITE, {200: TenantObject})
async def _resume(plane: Plane, call: Call) -> Answer:
    """Let a suspended tenant go on."""
    return Answer(200, tenant_object(await resume_tenant(plane, call.who, call.params[0])))


ENDPOINTS = tuple(_TABLE)
