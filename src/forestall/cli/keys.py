"""`forestall keys create|list|revoke`: over HTTP, or on the data of a stopped server."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from forestall.cli.options import client_for, found_agent, label_pairs, segment, server_options
from forestall.cli.output import json_option, print_answer, print_items, print_json, print_line
from forestall.identity.roles import Role

if TYPE_CHECKING:
    from forestall.control.plane import Plane
    from forestall.identity.credentials import NewKey

T = TypeVar("T")
_PATH = "/api/v1/auth/keys"
_ACTOR = "cli"

_data_dir_option = click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Work on the data of a stopped server instead of asking a running one;"
    " the way back in when every key is lost, and the way to a new tenant.",
)


@click.group()
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    help="What the key may do; not needed with --agent.",
)
@click.option(
    "--agent", default="", metavar="NAME|ID", help="Whose key it is: it acts as this agent."
)
@click.option("--principal", default="", help="Who acts with it; default: the name.")
@click.option(
    "--group", "groups", multiple=True, metavar="NAME", help="A role that rules ask approvers for."
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=VALUE",
    help="A fact about all that comes with the key, such as env=prod; repeatable.",
)
@click.option(
    "--attest",
    "attests",
    multiple=True,
    metavar="NAME",
    help="A label for which its holder may vouch, such as tainted; repeatable.",
)
@click.option("--expires-in-days", type=click.IntRange(1, 3650), help="Ends by itself.")
@_data_dir_option
@server_options
@json_option
def create(
    name: str,
    role: str | None,
    agent: str,
    principal: str,
    groups: tuple[str, ...],
    labels: tuple[str, ...],
    attests: tuple[str, ...],
    expires_in_days: int | None,
    data_dir: Path | None,
    url: str,
    api_key: str,
    tenant: str,
    as_json: bool,
) -> None:
    """Make a key. Its text is printed once and kept nowhere."""
    if role is None and not agent:
        raise click.UsageError("say what the key may do: --role, or --agent for a key of an agent")
    role = role or Role.AGENT.value
    expires = datetime.now(UTC) + timedelta(days=expires_in_days) if expires_in_days else None
    if data_dir is None:
        body: dict[str, Any] = {"name": name, "role": role, "principal_id": principal}
        client = client_for(url, api_key, tenant)
        if agent:
            body["agent_id"] = found_agent(client, agent)["id"]
        if groups:
            body["groups"] = list(groups)
        if labels:
            body["labels"] = label_pairs(labels)
        if attests:
            body["attests"] = list(attests)
        if expires is not None:
            body["expiresAt"] = expires.isoformat()
        answer = client.post(_PATH, body)
    else:
        from forestall.identity.credentials import NewKey

        new_key = NewKey(
            tenant=tenant or "default",
            name=name,
            role=Role(role),
            principal=principal,
            expires_at_us=int(expires.timestamp() * 1_000_000) if expires else None,
            groups=groups,
            labels=label_pairs(labels),
            attests=attests,
        )
        answer = _on_data(data_dir, lambda plane: _create_local(plane, new_key, agent))
    if as_json:
        print_json(answer)
        return
    key = answer["key"]
    print_line(f"{key['name']} ({key['role']}, tenant {key['tenant']}), id {key['id']}", err=True)
    print_line("the key, shown this once:", err=True)
    print_line(answer["secret"])


@keys.command("list")
@click.option("--all", "revoked_too", is_flag=True, help="Revoked ones, too.")
@_data_dir_option
@server_options
@json_option
def list_(
    revoked_too: bool, data_dir: Path | None, url: str, api_key: str, tenant: str, as_json: bool
) -> None:
    """List the keys of a tenant, oldest first; a last use may be a minute out of date after a
    crash."""
    if data_dir is None:
        query = {"include_revoked": "true"} if revoked_too else {}
        answer = client_for(url, api_key, tenant).get(_PATH, query)
    else:
        answer = _on_data(data_dir, lambda plane: _list_local(plane, tenant, revoked_too))
    print_items(answer["items"], _line, nothing="no keys", as_json=as_json)


def _line(key: dict[str, Any]) -> str:
    # A server older than this command names neither state nor maker.
    state, maker = key.get("state", ""), key.get("created_by", "")
    parts = [
        f"{key['id']}  {key['prefix']:11}  {key['role']:8}  {state:7}  {key['name']}",
        f"as {key['principal_id']}",
        *([f"made by {maker}"] if maker else []),
        f"ends {key['expires_at'][:16]}" if "expires_at" in key else "never ends",
        f"used {key['last_used'][:16]}" if "last_used" in key else "never used",
        *([f"revoked {key['revoked_at'][:16]}"] if "revoked_at" in key else []),
    ]
    return "  ".join(parts)


@keys.command()
@click.argument("key_id")
@_data_dir_option
@server_options
@json_option
def revoke(
    key_id: str, data_dir: Path | None, url: str, api_key: str, tenant: str, as_json: bool
) -> None:
    """End a key, at once and for good."""
    if data_dir is None:
        client_for(url, api_key, tenant).delete(f"{_PATH}/{segment(key_id)}")
    else:
        _on_data(data_dir, lambda plane: _revoke_local(plane, tenant, key_id))
    print_answer({"revoked": key_id}, f"revoked {key_id}", as_json=as_json)


def _on_data(data_dir: Path, act: Callable[["Plane"], Awaitable[T]]) -> T:
    """Run a verb on the data folder of a stopped server."""
    from forestall.server.bootstrap import NoTelemetry, open_plane
    from forestall.server.files import STORE_FILE, DataDir

    if not (data_dir / STORE_FILE).exists():
        raise click.UsageError(f"there is no {STORE_FILE} in {data_dir}")

    async def run() -> T:
        locked = DataDir(data_dir)
        try:
            plane = await open_plane(locked, NoTelemetry())
            try:
                return await act(plane)
            finally:
                await plane.store.close()
        finally:
            locked.close()

    return asyncio.run(run())


async def _create_local(plane: "Plane", new_key: "NewKey", agent: str) -> dict[str, Any]:
    from forestall.control.keys import create_key
    from forestall.wire.keys import key_object

    if agent:
        known = plane.agents.by_name(new_key.tenant, agent)
        agent_id = known.id if known is not None else agent
        new_key = msgspec.structs.replace(new_key, agent_id=agent_id)
    key, secret = await create_key(plane, new_key, actor=_ACTOR)
    made = key_object(key, now_us=key.created_at_us)
    return {"key": msgspec.to_builtins(made), "secret": secret}


async def _list_local(plane: "Plane", tenant: str, revoked_too: bool) -> dict[str, Any]:
    from forestall.control.keys import list_keys
    from forestall.wire.keys import key_object

    keys = list_keys(plane, tenant or "default", revoked_too=revoked_too)
    now_us, uses = plane.clock.now_us(), plane.key_uses
    items = [key_object(key, now_us=now_us, used_us=uses.last_us(key.id)) for key in keys]
    return {"items": msgspec.to_builtins(items)}


async def _revoke_local(plane: "Plane", tenant: str, key_id: str) -> None:
    from forestall.control.keys import revoke_key

    await revoke_key(plane, tenant or "default", key_id, actor=_ACTOR)
