"""`forestall jobs submit|get|list|watch`. The commands that move a job are in `job_moves`."""

import json
from typing import Any

import click

from forestall.cli.events import event_time, json_lines_option, print_events
from forestall.cli.job_moves import cancel, remediate, submit_to, wait
from forestall.cli.options import (
    action_body,
    action_options,
    limit_option,
    segment,
    server_command,
    with_client,
)
from forestall.cli.output import (
    decided_by,
    print_items,
    print_json,
    print_line,
)
from forestall.client.plane import PlaneClient


@click.group()
def jobs() -> None:
    """Submit, read, list, watch, cancel and remediate jobs."""


for _command in (cancel, remediate, wait):
    jobs.add_command(_command)


@jobs.command()
@action_options
@click.option("--priority", type=click.Choice(["critical", "interactive", "batch"]))
@click.option("--idempotency-key", help="Repeating a submission with this key repeats its answer.")
@server_command
def submit(client: PlaneClient, idempotency_key: str | None, as_json: bool, **action: Any) -> None:
    """Ask for a job. Exit code 0: accepted; 4: denied; 5: awaits approval."""
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    submit_to(client, "/api/v1/jobs", action_body(**action), headers, as_json=as_json)


@jobs.command()
@click.argument("job_id")
@server_command
def get(job_id: str, client: PlaneClient, as_json: bool) -> None:
    """Show one job and the decisions on it."""
    job = client.get(f"/api/v1/jobs/{segment(job_id)}")
    decisions = client.get(f"/api/v1/jobs/{segment(job_id)}/decisions")
    if as_json:
        print_json({**job, "decisions": decisions})
        return
    print_line(f"{job['id']}  {job['state']}")
    for name in _SHOWN_FIELDS:
        if job[name]:
            print_line(f"  {name:15} {job[name]}")
    if job.get("payload_withheld"):
        print_line("  payload, labels and result are not shown: the key has no `payloads.read`")
    if job["result"] is not None:
        print_line(f"  {'result':15} {json.dumps(job['result'])[:2_000]}")
    for name, value in job["labels"].items():
        print_line(f"  label           {name}={value}")
    for decision in decisions:
        by = decision["rule_id"] or decided_by("", decision["code"])
        print_line(
            f"  {decision['stage']:8} {decision['decision']} by {by}"
            f" at {decision['evaluated_at']}: {decision['reason']}"
        )


_SHOWN_FIELDS = (
    "topic",
    "capability",
    "principal",
    "created_at",
    "job_hash",
    "worker_id",
    "attempts",
    "failure_code",
    "failure_reason",
)


@jobs.command("list")
@click.option("--state", default="", help="Only jobs in this state.")
@click.option("--topic", default="", help="Only jobs of exactly this topic.")
@limit_option
@server_command
def list_(state: str, topic: str, limit: int, client: PlaneClient, as_json: bool) -> None:
    """List jobs, newest change first."""
    items = client.items("/api/v1/jobs", {"state": state, "topic": topic}, limit=limit)
    print_items(items, _line, nothing="no jobs", as_json=as_json)


def _line(job: dict[str, Any]) -> str:
    return (
        f"{job['id']}  {job['state']:17} {job['updated_at'][:19]}  {job['topic']}"
        f"  {job['safety_rule_id']}"
    )


@jobs.command()
@click.argument("job_id", required=False)
@click.option(
    "--from",
    "start",
    type=click.IntRange(min=0),
    help="Begin at this position of the log; 0: with the first record. Without it: now, or with a"
    " JOB_ID at the beginning of the job.",
)
@with_client
@json_lines_option
def watch(job_id: str | None, start: int | None, client: PlaneClient, as_json: bool) -> None:
    """Print what happens, or what happens to one job, until Ctrl-C; survives lost connections."""
    path = f"/api/v1/jobs/{segment(job_id)}/stream" if job_id else "/api/v1/stream"
    first = "0" if job_id and start is None else "" if start is None else str(start)
    print_events(client, path, _event_line, start=first, as_json=as_json)


def _event_line(event: dict[str, Any]) -> str:
    """The line of an event: time, position in the log, kind, job, and reason."""
    data = event["data"]
    parts = [
        event_time(event),
        f"{event['position']:>7}",
        f"{event['event']:12}",
        f"{event['kind']:18}",
    ]
    about = (event["job_id"], data.get("state"), data.get("topic"), data.get("decision"))
    parts += [str(value) for value in about if value]
    if data.get("rule_id"):
        parts.append(f"by {data['rule_id']}")
    why = data.get("failure_reason") or data.get("reason")
    return "  ".join(parts) + (f": {why}" if why else "")
