"""`forestall quarantine list|show|release|confirm`: results that are withheld."""

from typing import Any
from urllib.parse import quote

import click

from forestall.cli.approval_view import plain
from forestall.cli.options import client_for, limit_option, server_options
from forestall.cli.output import json_option, print_json, shown

_LIST = "/api/v1/quarantine"


@click.group()
def quarantine() -> None:
    """See withheld results; release or discard them. Nothing is run again."""


@quarantine.command("list")
@click.option("--topic", default="", help="Only jobs of exactly this topic.")
@click.option("--all", "resolved_too", is_flag=True, help="Discarded ones, too.")
@limit_option
@server_options
@json_option
def list_(
    topic: str, resolved_too: bool, limit: int, url: str, api_key: str, tenant: str, as_json: bool
) -> None:
    """List withheld results, the newest first."""
    client = client_for(url, api_key, tenant)
    query = {"topic": topic, "include_resolved": "true" if resolved_too else ""}
    items = client.items(_LIST, query, limit=limit)
    if as_json:
        print_json({"items": items})
        return
    for item in items:
        head = "  ".join(
            (
                item["job_id"],
                item["checked_at"][:19],
                item["topic"],
                f"by {item['principal']}",
                item["rule_id"] or item["code"],
            )
        )
        click.echo(f"{shown(head)}: {plain(item['reason'])}{_counts(item['counts'])}")
    if not items:
        click.echo("nothing is withheld", err=True)


def _counts(counts: dict[str, int]) -> str:
    said = ", ".join(f"{kind} x{count}" for kind, count in counts.items())
    return f" ({plain(said)})" if said else ""


@quarantine.command()
@click.argument("job_id")
@server_options
@json_option
def show(job_id: str, url: str, api_key: str, tenant: str, as_json: bool) -> None:
    """Show what the check of a result found, masked, and what stands round it."""
    seen = client_for(url, api_key, tenant).get(_path(job_id))
    if as_json:
        print_json(seen)
        return
    click.echo(shown(f"{seen['job_id']}  {seen['state']}  {seen['output_decision']}"))
    for name in ("code", "rule_id", "reason", "size_bytes", "checked_at", "resolved_by"):
        if seen.get(name):
            click.echo(f"  {name}: {plain(str(seen[name]))}")
    for finding in seen["findings"]:
        place = f"{finding['start']}-{finding['end']}"
        head = f"  {finding['kind']}  at {place}  {finding['masked']}"
        click.echo(
            shown(head) + (f"  in {'/'.join(finding['seen_in'])}" * bool(finding["seen_in"]))
        )
        if finding.get("context"):
            click.echo(f"      {plain(finding['context'])}")
    if seen["state"] == "OUTPUT_QUARANTINED" and not seen["original_kept"]:
        click.echo("  the original is gone; it cannot be released")


@quarantine.command()
@click.argument("job_id")
@click.option("--reason", required=True, help="Why; goes into the record.")
@click.option("--redacted", is_flag=True, help="Without what was found, and keep the rest sealed.")
@server_options
@json_option
def release(
    job_id: str, reason: str, redacted: bool, url: str, api_key: str, tenant: str, as_json: bool
) -> None:
    """Make a withheld result readable. Exit code 3: you asked for the job, or it is not there."""
    said = {"reason": reason, "mode": "redacted" if redacted else "original"}
    answer = client_for(url, api_key, tenant).post(f"{_path(job_id)}/release", said)
    _tell(answer, as_json=as_json)


@quarantine.command()
@click.argument("job_id")
@click.option("--reason", required=True, help="Why; goes into the record.")
@server_options
@json_option
def confirm(job_id: str, reason: str, url: str, api_key: str, tenant: str, as_json: bool) -> None:
    """Discard a withheld result for ever; the job stays withheld."""
    answer = client_for(url, api_key, tenant).post(f"{_path(job_id)}/confirm", {"reason": reason})
    _tell(answer, as_json=as_json)


def _tell(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        said = f"{answer['job_id']}  {answer['output_decision']}  (job {answer['state']})"
        click.echo(shown(said))


def _path(job_id: str) -> str:
    return f"/api/v1/jobs/{quote(job_id, safe='')}/output"
