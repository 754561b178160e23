"""The API of webhooks: declare, list and remove them, and open the approval links they send."""

from msgspec import UNSET

from forestall.control.plane import Plane
from forestall.control.webhooks import declare_webhook, end_webhook, open_link
from forestall.identity.roles import Permission
from forestall.server.endpoints import Answer, Call, EndpointTable
from forestall.wire.objects import ItemList
from forestall.wire.webhooks import (
    OpenedLinkObject,
    OpenLinkBody,
    WebhookBody,
    WebhookObject,
    decode_open,
    decode_webhook,
    webhook_object,
)

P = Permission
_WEBHOOKS = "/api/v1/webhooks"
_TABLE = EndpointTable()


@_TABLE.row("GET", _WEBHOOKS, P.WEBHOOKS, {200: ItemList[WebhookObject]})
async def _list(plane: Plane, call: Call) -> Answer:
    """List who is told of approvals."""
    tenant = call.who.tenant
    items = []
    for hook in plane.webhooks.of_tenant(tenant):
        mark = plane.webhooks.mark(tenant, hook.name)
        if mark is not None:  # else memory has followed the removal of the mark alone so far
            items.append(webhook_object(hook, mark.value))
    return Answer(200, ItemList(items))


@_TABLE.row("POST", _WEBHOOKS, P.WEBHOOKS, {200: WebhookObject, 201: WebhookObject}, WebhookBody)
async def _declare(plane: Plane, call: Call) -> Answer:
    """Declare a webhook, or change one; its secret is shown once."""
    webhook, rotate = await call.decoded(decode_webhook)
    declared = await declare_webhook(plane, call.who, webhook, rotate=rotate)
    body = webhook_object(declared.webhook, declared.mark, secret=declared.secret or UNSET)
    return Answer(201 if declared.new else 200, body)


@_TABLE.row("DELETE", _WEBHOOKS + "/{name}", P.WEBHOOKS, {204: None})
async def _end(plane: Plane, call: Call) -> Answer:
    """End a webhook."""
    await end_webhook(plane, call.who, call.params[0])
    return Answer(204, None)


@_TABLE.row("POST", "/api/v1/approvals/open", P.JOBS_APPROVE, {200: OpenedLinkObject}, OpenLinkBody)
async def _open(plane: Plane, call: Call) -> Answer:
    """The job that a message's link leads to; a link works once."""
    job_id = await open_link(plane, call.who, await call.decoded(decode_open))
    return Answer(200, OpenedLinkObject(job_id))


ENDPOINTS = tuple(_TABLE)
