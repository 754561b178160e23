"""`forestall workers create|list|revoke`: credentials of workers, and what jobs they may take."""

from typing import Any

import click

from forestall.cli.options import found_agent, segment, server_command
from forestall.cli.output import print_answer, print_items, print_json, print_line
from forestall.client.plane import PlaneClient

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
@click.option(
    "--agent", default="", metavar="NAME|ID", help="The worker is this agent, within its rights."
)
@click.option("--expires-in-days", type=click.IntRange(1, 3650), help="Its token ends by itself.")
@server_command
def create(
    name: str,
    topics: tuple[str, ...],
    pools: tuple[str, ...],
    capabilities: tuple[str, ...],
    agent: str,
    expires_in_days: int | None,
    client: PlaneClient,
    as_json: bool,
) -> None:
    """Make a worker. Its token is printed once; made again, the earlier token ends."""
    body: dict[str, Any] = {
        "worker_id": name,
        "allowed_topics": list(topics),
        "allowed_pools": list(pools),
        "allowed_capabilities": list(capabilities),
    }
    if agent:
        body["agent_id"] = found_agent(client, agent)["id"]
    if expires_in_days is not None:
        body["expires_in_seconds"] = expires_in_days * 86_400
    answer = client.post(_CREDENTIALS, body)
    if as_json:
        print_json(answer)
        return
    topics_said = ", ".join(answer["allowed_topics"])
    print_line(f"worker {answer['worker_id']} (tenant {answer['tenant_id']})", err=True)
    print_line(f"  topics {topics_said}", err=True)
    print_line("the token, shown this once:", err=True)
    print_line(answer["token"])


@workers.command("list")
@server_command
def list_(client: PlaneClient, as_json: bool) -> None:
    """List workers, and which of them are there now."""
    items = client.get(_CREDENTIALS)["items"]
    sessions = {item["worker_id"]: item for item in client.get("/api/v1/workers")["items"]}
    items = [{**item, "session": sessions.get(item["worker_id"])} for item in items]
    print_items(items, _line, nothing="no workers", as_json=as_json)


def _line(item: dict[str, Any]) -> str:
    ends = f"  ends {item['expires_at'][:10]}" if item.get("expires_at") else ""
    topics = ", ".join(item["allowed_topics"])
    return f"{item['worker_id']:20}  {_presence(item['session']):20}  {topics}{ends}"


def _presence(session: dict[str, Any] | None) -> str:
    if session is None or not session["online"]:
        return "away"
    return f"runs {session['active_jobs']} of {session['max_parallel_jobs']}"


@workers.command()
@click.argument("name")
@server_command
def revoke(name: str, client: PlaneClient, as_json: bool) -> None:
    """End a worker's token at once: it gets nothing more, and its answers are refused."""
    client.delete(f"{_CREDENTIALS}/{segment(name)}")
    print_answer({"revoked": name}, f"revoked {name}", as_json=as_json)
