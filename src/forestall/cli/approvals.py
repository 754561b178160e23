"""`forestall approvals list|show|open|approve|reject|repair|watch|stats`.

What a person approves is what the screen showed: the vote carries the displayed job hash and
snapshot, and the server refuses it when they differ from what is asked.
"""

import shutil
import sys
from typing import Any

import click

from forestall.cli.approval_view import rendered
from forestall.cli.events import event_time, json_lines_option, print_events
from forestall.cli.options import limit_option, segment, server_command, with_client
from forestall.cli.output import (
    EXIT_AWAITS_APPROVAL,
    EXIT_CHECK_FAILED,
    print_answer,
    print_items,
    print_json,
    print_line,
    print_lines,
)
from forestall.client.plane import PlaneClient

_APPROVALS = "/api/v1/approvals"
_WIDTH_WITHOUT_TERMINAL = 100
_STATUSES = ("pending", "approved", "rejected", "expired", "invalidated", "cancelled")


@click.group()
def approvals() -> None:
    """See what waits for a person, approve or reject it."""


@approvals.command("list")
@click.option(
    "--status",
    type=click.Choice([*_STATUSES, "all"]),
    default="pending",
    show_default=True,
    help="Only approvals that stand so.",
)
@click.option("--topic", default="", help="Only jobs of exactly this topic.")
@limit_option
@server_command
def list_(status: str, topic: str, limit: int, client: PlaneClient, as_json: bool) -> None:
    """List approvals, the last asked first."""
    items = client.items(
        _APPROVALS, {"status": "" if status == "all" else status, "topic": topic}, limit=limit
    )
    print_items(items, _line, nothing="no approvals", as_json=as_json)


def _line(item: dict[str, Any]) -> str:
    line = (
        f"{item['job_id']}  {item['approval_status']:11}  {item['created_at'][:19]}"
        f"  {item['topic']}  by {item['submitted_by']}  {item['policy_rule_id']}"
        f": {item['policy_reason']}"
    )
    if item["changes"]:
        changes = "; ".join(item["changes"])
        line += f"  (asked again, first on {item['first_asked_at'][:19]}: {changes})"
    return line


@approvals.command()
@click.argument("job_id")
@server_command
def show(job_id: str, client: PlaneClient, as_json: bool) -> None:
    """Show exactly what would run, why it awaits approval, and its job hash."""
    _show(client, job_id, as_json=as_json)


@approvals.command("open")
@click.argument("link")
@server_command
def open_(link: str, client: PlaneClient, as_json: bool) -> None:
    """Open the link of a message, which works once, and show what it leads to."""
    answer = client.post(f"{_APPROVALS}/open", {"token": link.rpartition("#")[2]})
    _show(client, answer["job_id"], as_json=as_json)


def _show(client: PlaneClient, job_id: str, *, as_json: bool) -> None:
    context = client.get(f"{_path(job_id)}/context")
    if as_json:
        print_json(context)
    else:
        print_lines(rendered(context, width=_width()))


@approvals.command()
@click.argument("job_id")
@click.option("--job-hash", default="", help="The hash that you were shown; another one stops it.")
@click.option("--yes", is_flag=True, help="Do not ask (for scripts); needs --job-hash.")
@click.option("--reason", default="", help="Why; goes into the record.")
@click.option("--note", default="", help="A note beside it.")
@server_command
def approve(
    job_id: str,
    job_hash: str,
    yes: bool,
    reason: str,
    note: str,
    client: PlaneClient,
    as_json: bool,
) -> None:
    """Show what would run, ask, and approve exactly that.

    Exit code 0: approved; 1: you said no, or what is asked is not what --job-hash says or has
    changed; 3: the server refused; 5: counted, and more people have to approve.
    """
    if yes and not job_hash:
        raise click.UsageError("--yes needs --job-hash: say what it is that you approve")
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on; use --yes with --job-hash")
    context = client.get(f"{_path(job_id)}/context")
    print_lines(rendered(context, width=_width()), err=as_json or yes)
    why_not = ""
    if job_hash and job_hash != context["job_hash"]:
        why_not = "not approved: the job hash is not the one that you gave"
    elif context["drift"]:
        why_not = "not approved: see what changed; ask again with `approvals repair`"
    elif not yes and not click.confirm("\nApprove exactly this?", err=as_json):
        why_not = "not approved"
    if why_not:
        print_line(why_not, err=True)
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)
    vote = {
        "job_hash": context["job_hash"],
        "policy_snapshot": context["policy_snapshot"],
        "reason": reason,
        "note": note,
    }
    _print_vote(client.post(f"{_path(job_id)}/approve", vote), as_json=as_json)


@approvals.command()
@click.argument("job_id")
@click.option("--reason", required=True, help="Why; the requester reads it.")
@click.option("--note", default="", help="A note beside it.")
@server_command
def reject(job_id: str, reason: str, note: str, client: PlaneClient, as_json: bool) -> None:
    """Reject a job that awaits approval; one no is enough. It ends DENIED."""
    _print_vote(
        client.post(f"{_path(job_id)}/reject", {"reason": reason, "note": note}), as_json=as_json
    )


def _print_vote(answer: dict[str, Any], *, as_json: bool) -> None:
    line = f"{answer['job_id']}  {answer['status']}  (job {answer['state']})"
    print_answer(answer, line, as_json=as_json)
    if answer["status"] == "more_approvals_needed":
        raise click.exceptions.Exit(EXIT_AWAITS_APPROVAL)


@approvals.command()
@click.argument("job_id")
@click.option("--apply", is_flag=True, help="Ask again; without it, only look.")
@server_command
def repair(job_id: str, apply: bool, client: PlaneClient, as_json: bool) -> None:
    """Ask again for a job that facts have drifted away from; who may approve may do so, too.

    The gate decides anew. After a change of the policy or the registry the server does so by
    itself. Exit code 3: there is nothing to mend.
    """
    answer = client.post(f"{_path(job_id)}/repair", {"apply": apply})
    if as_json:
        print_json(answer)
        return
    print_line(f"{answer['job_id']}  {answer['state']}")
    for drift in answer["drift"]:
        print_line(f"  changed  {drift}")
    if not apply and answer["repairable"]:
        print_line("  nothing was done; --apply asks again")


@approvals.command()
@with_client
@json_lines_option
def watch(client: PlaneClient, as_json: bool) -> None:
    """Print what is asked and what became of it, until Ctrl-C; survives lost connections."""
    print_events(client, "/api/v1/stream", _event_line, as_json=as_json)


@approvals.command()
@click.option("--window", default="7d", show_default=True, help="How far back, such as 24h or 30d.")
@click.option(
    "--by", type=click.Choice(["rule", "approver", "topic", "agent"]), help="One line for each."
)
@server_command
def stats(window: str, by: str | None, client: PlaneClient, as_json: bool) -> None:
    """How approvals went: how many, how often yes, how long people took."""
    query = {"window": window, "group_by": by or ""}
    answer = client.get("/api/v1/governance/approvals/analytics", query)
    if as_json:
        print_json(answer)
        return
    groups = [(group["key"] or "(default)", group) for group in answer.get("groups", [])]
    for name, tally in (("all", answer["summary"]), *groups):
        rate = f"{tally['approve_rate']:.0%}" if tally["approve_rate"] is not None else "-"
        waits = "  ".join(f"{part} {_time(tally[part])}" for part in ("p50", "p90", "p99"))
        print_line(
            f"{tally['total']:>7} asked  {tally['approved']:>7} approved ({rate})"
            f"  {tally['rejected']:>6} rejected  {tally['expired']:>6} expired"
            f"  {tally['pending']:>6} pending  {waits}  {name}"
        )
    if answer["truncated"]:
        print_line(f"only the newest {answer['summary']['total']} were looked at", err=True)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds / 3_600:.1f} h" if seconds >= 3_600 else f"{seconds:.0f} s"


_OUTCOMES = {
    "job.voted": "VOTED",
    "job.approved": "APPROVED",
    "job.fulfilled": "APPROVED",
    "job.rejected": "REJECTED",
    "job.expired": "EXPIRED",
    "job.invalidated": "INVALIDATED",
    "job.cleared": "CLEARED",
    "job.approval_demanded": "ASKED",
    "job.rebound": "REBOUND",
    "approval.refused": "REFUSED",
}
_AWAITS_APPROVAL = "APPROVAL_REQUIRED"


def _event_line(event: dict[str, Any]) -> str:
    """One line of text for an event; empty for an event that is not about an approval."""
    data = event["data"]
    word = _OUTCOMES.get(event["kind"], "")
    before, state = data.get("state_before", ""), str(data.get("state", ""))
    if not word and before != state and _AWAITS_APPROVAL in (before, state):
        word = "ASKED" if state == _AWAITS_APPROVAL else state
    if not word:
        return ""
    about = (event["job_id"], data.get("topic"), f"by {event['actor']}", data.get("rule_id"))
    why = (
        data.get("vote_reason")
        or data.get("failure_reason")
        or "; ".join(data.get("drift") or ())
        or data.get("reason")
        or data.get("code")
    )
    head = "  ".join((event_time(event), f"{word:11}", *(str(value) for value in about if value)))
    return head + (f": {why}" if why else "")


def _width() -> int:
    if not sys.stdout.isatty():
        return _WIDTH_WITHOUT_TERMINAL
    return max(40, shutil.get_terminal_size().columns)


def _path(job_id: str) -> str:
    return f"{_APPROVALS}/{segment(job_id)}"
