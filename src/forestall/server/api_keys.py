"""The API of API keys: create, list and revoke them."""

from forestall.control.keys import create_key, list_keys, revoke_key
from forestall.control.plane import Plane
from forestall.identity.roles import Permission
from forestall.server.endpoints import Answer, Call, EndpointTable
from forestall.wire.keys import KeyObject, NewKeyBody, NewKeyObject, decode_new_key, key_object
from forestall.wire.objects import ItemList

P = Permission
_KEYS = "/api/v1/auth/keys"
_TABLE = EndpointTable()


@_TABLE.row("POST", _KEYS, P.KEYS_WRITE, {201: NewKeyObject}, NewKeyBody)
async def _create_key(plane: Plane, call: Call) -> Answer:
    """Create an API key."""
    new_key = await call.decoded(lambda body: decode_new_key(body, tenant=call.who.tenant))
    key, secret = await create_key(plane, new_key, actor=call.who.principal)
    return Answer(201, NewKeyObject(key_object(key, now_us=key.created_at_us), secret))


@_TABLE.row("GET", _KEYS, P.KEYS_READ, {200: ItemList[KeyObject]}, query=("include_revoked",))
async def _list_keys(plane: Plane, call: Call) -> Answer:
    """List API keys.

    Lists revoked ones only with `include_revoked=true`.
    """
    revoked_too = call.query.get("include_revoked") == "true"
    uses = plane.key_uses
    now_us = uses.last_us(call.who.key_id) or 0  # when the key of this request was authenticated
    items = [
        key_object(key, now_us=now_us, used_us=uses.last_us(key.id))
        for key in list_keys(plane, call.who.tenant, revoked_too=revoked_too)
    ]
    return Answer(200, ItemList(items))


@_TABLE.row("DELETE", _KEYS + "/{key_id}", P.KEYS_WRITE, {204: None})
async def _revoke_key(plane: Plane, call: Call) -> Answer:
    """Revoke an API key."""
    await revoke_key(plane, call.who.tenant, call.params[0], actor=call.who.principal)
    return Answer(204, None)


ENDPOINTS = tuple(_TABLE)
