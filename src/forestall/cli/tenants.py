"""`forestall tenants create|list|show|suspend|resume`: for whoever runs the plane."""

from typing import Any

import click

from forestall.cli.options import segment, server_command
from forestall.cli.output import print_answer, print_items, print_json, print_line
from forestall.client.plane import PlaneClient
from forestall.visible import visible

_PATH = "/api/v1/tenants"


@click.group()
def tenants() -> None:
    """Create, list, suspend and resume tenants; takes an admin key of the platform's tenant."""


@tenants.command()
@click.argument("name")
@click.option("--description", default="", help="What the tenant is for.")
@click.option(
    "--admin", "principal", default="", help="Who acts with its first admin key; default: admin."
)
@server_command
def create(name: str, description: str, principal: str, client: PlaneClient, as_json: bool) -> None:
    """Make a tenant. The text of its first admin key is printed once and kept nowhere."""
    body = {"name": name, "description": description, "admin_principal": principal}
    answer = client.post(_PATH, body)
    if as_json:
        print_json(answer)
        return
    print_line(f"tenant {answer['tenant']['name']}, first key {answer['key']['id']}", err=True)
    print_line("the admin key, shown this once:", err=True)
    print_line(answer["secret"])


@tenants.command("list")
@server_command
def list_(client: PlaneClient, as_json: bool) -> None:
    """List tenants by name."""
    items = client.get(_PATH)["items"]
    print_items(items, _line, nothing="no tenants", as_json=as_json)


def _line(item: dict[str, Any]) -> str:
    return (
        f"{item['name']:20}  {item['status']:9}  {item['usable_keys']} keys"
        f"  {item['workers']} workers  since {item['created_at'][:10]}"
    )


@tenants.command()
@click.argument("name")
@server_command
def show(name: str, client: PlaneClient, as_json: bool) -> None:
    """Show one tenant."""
    answer = client.get(f"{_PATH}/{segment(name)}")
    if as_json:
        print_json(answer)
        return
    print_line(f"{answer['name']}  {answer['status']}")
    for field in _SHOWN:
        if answer.get(field):
            print_line(f"  {field:15} {visible(str(answer[field]))}")


_SHOWN = (
    *("description", "created_at", "created_by", "usable_keys", "workers"),
    *("suspended_at", "suspended_by", "suspend_reason"),
)


@tenants.command()
@click.argument("name")
@click.option("--reason", default="", help="Why; stands in the log.")
@server_command
def suspend(name: str, reason: str, client: PlaneClient, as_json: bool) -> None:
    """Refuse every key of a tenant and stop its work, until it is resumed."""
    answer = client.post(f"{_PATH}/{segment(name)}/suspend", {"reason": reason})
    print_answer(answer, f"{answer['name']} is {answer['status']}", as_json=as_json)


@tenants.command()
@click.argument("name")
@server_command
def resume(name: str, client: PlaneClient, as_json: bool) -> None:
    """Let a suspended tenant go on."""
    answer = client.post(f"{_PATH}/{segment(name)}/resume", {})
    print_answer(answer, f"{answer['name']} is {answer['status']}", as_json=as_json)
