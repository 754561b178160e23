"""`forestall quarantine list|show|release|confirm`: results that are withheld."""

from typing import Any

import click

from forestall.cli.options import limit_option, segment, server_command
from forestall.cli.output import print_answer, print_items, print_json, print_line
from forestall.client.plane import PlaneClient

_LIST = "/api/v1/quarantine"


@click.group()
def quarantine() -> None:
    """See withheld results; release or discard them. Nothing is run again."""


@quarantine.command("list")
@click.option("--topic", default="", help="Only jobs of exactly this topic.")
@click.option("--all", "resolved_too", is_flag=True, help="Discarded ones, too.")
@limit_option
@server_command
def list_(topic: str, resolved_too: bool, limit: int, client: PlaneClient, as_json: bool) -> None:
    """List withheld results, the newest first."""
    query = {"topic": topic, "include_resolved": "true" if resolved_too else ""}
    items = client.items(_LIST, query, limit=limit)
    print_items(items, _line, nothing="nothing is withheld", as_json=as_json)


def _line(item: dict[str, Any]) -> str:
    counts = ", ".join(f"{kind} x{count}" for kind, count in item["counts"].items())
    line = (
        f"{item['job_id']}  {item['checked_at'][:19]}  {item['topic']}"
        f"  by {item['principal']}  {item['rule_id'] or item['code']}: {item['reason']}"
    )
    return f"{line} ({counts})" if counts else line


@quarantine.command()
@click.argument("job_id")
@server_command
def show(job_id: str, client: PlaneClient, as_json: bool) -> None:
    """Show what the check of a result found, masked, and what stands round it."""
    result = client.get(_path(job_id))
    if as_json:
        print_json(result)
        return
    print_line(f"{result['job_id']}  {result['state']}  {result['output_decision']}")
    for name in ("code", "rule_id", "reason", "size_bytes", "checked_at", "resolved_by"):
        if result.get(name):
            print_line(f"  {name}: {result[name]}")
    for finding in result["findings"]:
        line = f"  {finding['kind']}  at {finding['start']}-{finding['end']}  {finding['masked']}"
        if finding["seen_in"]:
            line += f"  in {'/'.join(finding['seen_in'])}"
        print_line(line)
        if finding.get("context"):
            print_line(f"      {finding['context']}")
    if result["state"] == "OUTPUT_QUARANTINED" and not result["original_kept"]:
        print_line("  the original is gone; it cannot be released")


@quarantine.command()
@click.argument("job_id")
@click.option("--reason", required=True, help="Why; goes into the record.")
@click.option("--redacted", is_flag=True, help="Without what was found, and keep the rest sealed.")
@server_command
def release(job_id: str, reason: str, redacted: bool, client: PlaneClient, as_json: bool) -> None:
    """Make a withheld result readable. Exit code 3: you asked for the job, or it is not there."""
    body = {"reason": reason, "mode": "redacted" if redacted else "original"}
    _print_ruling(client.post(f"{_path(job_id)}/release", body), as_json=as_json)


@quarantine.command()
@click.argument("job_id")
@click.option("--reason", required=True, help="Why; goes into the record.")
@server_command
def confirm(job_id: str, reason: str, client: PlaneClient, as_json: bool) -> None:
    """Discard a withheld result for ever; the job stays withheld."""
    _print_ruling(client.post(f"{_path(job_id)}/confirm", {"reason": reason}), as_json=as_json)


def _print_ruling(answer: dict[str, Any], *, as_json: bool) -> None:
    line = f"{answer['job_id']}  {answer['output_decision']}  (job {answer['state']})"
    print_answer(answer, line, as_json=as_json)


def _path(job_id: str) -> str:
    return f"/api/v1/jobs/{segment(job_id)}/output"
