"""`forestall dlq list|retry|dismiss`: jobs that ended without their effect."""

from typing import Any

import click

from forestall.cli.job_moves import submit_to
from forestall.cli.options import limit_option, segment, server_command
from forestall.cli.output import print_answer, print_items
from forestall.client.plane import PlaneClient

_PATH = "/api/v1/dlq"


@click.group()
def dlq() -> None:
    """List, retry and dismiss dead letters."""


@dlq.command("list")
@click.option("--topic", default="", help="Only jobs of exactly this topic.")
@limit_option
@server_command
def list_(topic: str, limit: int, client: PlaneClient, as_json: bool) -> None:
    """List the jobs that wait for a person, newest first."""
    items = client.items(f"{_PATH}/page", {"topic": topic}, limit=limit)
    print_items(items, _line, nothing="no dead letters", as_json=as_json)


def _line(job: dict[str, Any]) -> str:
    return (
        f"{job['id']}  {job['state']:9} {job['created_at'][:19]}  {job['topic']}"
        f"  {job['reason_code']}: {job['reason']}"
    )


@dlq.command()
@click.argument("job_id")
@click.option(
    "--force", is_flag=True, help="Also a job that was denied or whose result is withheld."
)
@server_command
def retry(job_id: str, force: bool, client: PlaneClient, as_json: bool) -> None:
    """Submit the job again, through the submit gate. Exit codes as of `jobs submit`."""
    submit_to(client, f"{_PATH}/{segment(job_id)}/retry", {"force": force}, as_json=as_json)


@dlq.command()
@click.argument("job_id")
@server_command
def dismiss(job_id: str, client: PlaneClient, as_json: bool) -> None:
    """Take the job off the dead letters; it stays as it ended."""
    client.delete(f"{_PATH}/{segment(job_id)}")
    print_answer({"dismissed": job_id}, f"dismissed {job_id}", as_json=as_json)
