"""`forestall dlq list|retry|dismiss`: jobs that ended without their effect."""

from urllib.parse import quote

import click

from forestall.cli.job_moves import show_submitted
from forestall.cli.options import client_for, limit_option, server_options
from forestall.cli.output import json_option, print_json, shown
from forestall.client.plane import PlaneRefusedError

_PATH = "/api/v1/dlq"


@click.group()
def dlq() -> None:
    """List, retry and dismiss dead letters."""


@dlq.command("list")
@click.option("--topic", default="", help="Only jobs of exactly this topic.")
@limit_option
@server_options
@json_option
def list_(topic: str, limit: int, url: str, api_key: str, tenant: str, as_json: bool) -> None:
    """List the jobs that wait for a person, newest first."""
    client = client_for(url, api_key, tenant)
    items = client.items(f"{_PATH}/page", {"topic": topic}, limit=limit)
    if as_json:
        print_json({"items": items})
        return
    for job in items:
        click.echo(
            f"{job['id']}  {job['state']:9} {job['created_at'][:19]}  {job['topic']}"
            f"  {job['reason_code']}: {shown(job['reason'])}"
        )
    if not items:
        click.echo("no dead letters", err=True)


@dlq.command()
@click.argument("job_id")
@click.option("--force", is_flag=True, help="Also a job that the policy denied.")
@server_options
@json_option
def retry(job_id: str, force: bool, url: str, api_key: str, tenant: str, as_json: bool) -> None:
    """Submit the job again, through the submit gate. Exit codes as of `jobs submit`."""
    client = client_for(url, api_key, tenant)
    try:
        answer = client.post(f"{_PATH}/{quote(job_id, safe='')}/retry", {"force": force})
    except PlaneRefusedError as refused:
        if "job_id" not in refused.body:
            raise
        answer = refused.body
    show_submitted(answer, as_json=as_json)


@dlq.command()
@click.argument("job_id")
@server_options
@json_option
def dismiss(job_id: str, url: str, api_key: str, tenant: str, as_json: bool) -> None:
    """Take the job off the dead letters; it stays as it ended."""
    client_for(url, api_key, tenant).delete(f"{_PATH}/{quote(job_id, safe='')}")
    if as_json:
        print_json({"dismissed": job_id})
    else:
        click.echo(f"dismissed {job_id}")
