"""`forestall workers create|list|revoke`: credentials of workers, and the jobs that they may
take."""

from typing import Any
from urllib.parse import quote

import click

from forestall.cli.options import client_for, server_options
from forestall.cli.output import json_option, print_json

_CREDENTIALS = "/api/v1/workers/credentials"


@click.group()
def workers() -> None:
    """Create, list and revoke workers."""


@workers.command()
@click.argument("name")
@click.option(
    "--topic",
    "topics",
    multiple=True,
    required=True,
    metavar="GLOB",
    help="It may be offered jobs of these topics; repeatable.",
)
@click.option("--pool", "pools", multiple=True, help="It belongs to this pool; repeatable.")
@click.option(
    "--capability",
    "capabilities",
    multiple=True,
    metavar="GLOB",
    help="It may claim these for jobs that require them; repeatable.",
)
@click.option("--expires-in-days", type=click.IntRange(1, 3650), help="Its token ends by itself.")
@server_options
@json_option
def create(
    name: str,
    topics: tuple[str, ...],
    pools: tuple[str, ...],
    capabilities: tuple[str, ...],
    expires_in_days: int | None,
    url: str,
    api_key: str,
    tenant: str,
    as_json: bool,
) -> None:
    """Make a worker. Its token is printed once; made again, the earlier token ends."""
    body: dict[str, Any] = {
        "worker_id": name,
        "allowed_topics": list(topics),
        "allowed_pools": list(pools),
        "allowed_capabilities": list(capabilities),
    }
    if expires_in_days is not None:
        body["expires_in_seconds"] = expires_in_days * 86_400
    answer = client_for(url, api_key, tenant).post(_CREDENTIALS, body)
    if as_json:
        print_json(answer)
        return
    topics_said = ", ".join(answer["allowed_topics"])
    click.echo(f"worker {answer['worker_id']} (tenant {answer['tenant_id']})", err=True)
    click.echo(f"  topics {topics_said}", err=True)
    click.echo("the token, shown this once:", err=True)
    click.echo(answer["token"])


@workers.command("list")
@server_options
@json_option
def list_(url: str, api_key: str, tenant: str, as_json: bool) -> None:
    """List workers, and which of them are there now."""
    client = client_for(url, api_key, tenant)
    items = client.get(_CREDENTIALS)["items"]
    sessions = {item["worker_id"]: item for item in client.get("/api/v1/workers")["items"]}
    if as_json:
        print_json(
            {"items": [{**item, "session": sessions.get(item["worker_id"])} for item in items]}
        )
        return
    for item in items:
        ends = f"  ends {item['expires_at'][:10]}" if item["expires_at"] else ""
        click.echo(
            f"{item['worker_id']:20}  {_presence(sessions.get(item['worker_id'])):20}"
            f"  {', '.join(item['allowed_topics'])}{ends}"
        )
    if not items:
        click.echo("no workers", err=True)


def _presence(session: dict[str, Any] | None) -> str:
    if session is None or not session["online"]:
        return "away"
    return f"runs {session['active_jobs']} of {session['max_parallel_jobs']}"


@workers.command()
@click.argument("name")
@server_options
@json_option
def revoke(name: str, url: str, api_key: str, tenant: str, as_json: bool) -> None:
    """End a worker's token at once: it gets nothing more, and its answers are refused."""
    client_for(url, api_key, tenant).delete(f"{_CREDENTIALS}/{quote(name, safe='')}")
    if as_json:
        print_json({"revoked": name})
    else:
        click.echo(f"revoked {name}")
