"""`forestall jobs cancel|remediate|wait`, and what is printed of a submission."""

import time
from collections.abc import Mapping
from typing import Any

import click

from forestall.cli.options import segment, server_command
from forestall.cli.output import (
    DECISION_EXIT,
    EXIT_AWAITS_APPROVAL,
    EXIT_CHECK_FAILED,
    EXIT_DENIED,
    EXIT_TIMEOUT,
    decided_by,
    print_answer,
    print_json,
    print_line,
)
from forestall.client.plane import PlaneClient, PlaneRefusedError

_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "TIMEOUT", "DENIED", "OUTPUT_QUARANTINED")
_STATE_EXIT = {"SUCCEEDED": 0, "DENIED": EXIT_DENIED}
_WAIT_SECONDS = 20.0  # of one request; a connection that is silent for 30 s counts as lost
_POLL_SECONDS = 1.0


def submit_to(
    client: PlaneClient,
    path: str,
    body: dict[str, Any],
    headers: Mapping[str, str] | None = None,
    *,
    as_json: bool,
) -> None:
    """Submit a job, print the outcome, and exit with the code of its decision."""
    try:
        answer = client.post(path, body, headers)
    except PlaneRefusedError as refused:
        if "job_id" not in refused.body:
            raise
        answer = refused.body
    if as_json:
        print_json(answer)
    else:
        # A server older than this command has no `decision_code`.
        by = " by " + decided_by(answer["rule_id"], answer.get("decision_code", ""))
        print_line(f"{answer['decision']}{by}")
        if answer["reason"]:
            print_line(f"  reason  {answer['reason']}")
        print_line(f"  job     {answer['job_id']}  ({answer['state']})")
        for remediation in answer.get("remediations", []):
            print_line(f"  remedy  {remediation['id']}: {remediation['title']}")
    raise click.exceptions.Exit(DECISION_EXIT.get(answer["decision"], 0))


@click.command()
@click.argument("job_id")
@server_command
def cancel(job_id: str, client: PlaneClient, as_json: bool) -> None:
    """Cancel a job; a worker that runs it is told to stop. Exit code 1: it had ended before."""
    answer = client.post(f"{_path(job_id)}/cancel", {})
    ended = "  (it had ended before)" if "reason" in answer else ""
    print_answer(answer, f"{answer['id']}  {answer['state']}{ended}", as_json=as_json)
    raise click.exceptions.Exit(EXIT_CHECK_FAILED if "reason" in answer else 0)


@click.command()
@click.argument("job_id")
@click.option(
    "--remediation", default="", help="Which one, by its id; needed where several are offered."
)
@server_command
def remediate(job_id: str, remediation: str, client: PlaneClient, as_json: bool) -> None:
    """Submit a denied job as an offered remediation rewrites it. Exit codes as of `submit`."""
    body = {"remediation_id": remediation}
    submit_to(client, f"{_path(job_id)}/remediate", body, as_json=as_json)


@click.command()
@click.argument("job_id")
@click.option(
    "--timeout", type=click.FloatRange(min=0), help="Wait at most so many seconds; else for ever."
)
@server_command
def wait(job_id: str, timeout: float | None, client: PlaneClient, as_json: bool) -> None:
    """Wait until a job ends, and print its result.

    Exit code 0: it succeeded; 1: it failed, timed out, or was cancelled or quarantined; 4: denied;
    5: after the timeout a person still had to approve it; 6: after the timeout it had not ended.
    """
    until = time.monotonic() + timeout if timeout is not None else None
    job = client.get(_path(job_id))
    while job["state"] not in _ENDED:
        left = until - time.monotonic() if until is not None else _WAIT_SECONDS
        if left <= 0:
            break
        job = _when_changed(client, job, min(left, _WAIT_SECONDS))
    if as_json:
        print_json(job)
    else:
        why = f"  {job['failure_code']}: {job['failure_reason']}"
        print_line(f"{job['id']}  {job['state']}{why if job['failure_code'] else ''}", err=True)
        if job["state"] == "SUCCEEDED":
            print_json(job["result"])
    state = job["state"]
    if state not in _ENDED:
        raise click.exceptions.Exit(
            EXIT_AWAITS_APPROVAL if state == "APPROVAL_REQUIRED" else EXIT_TIMEOUT
        )
    raise click.exceptions.Exit(_STATE_EXIT.get(state, EXIT_CHECK_FAILED))


def _when_changed(client: PlaneClient, job: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The job after a change, or a little later. A server without long polling is not flooded."""
    began = time.monotonic()
    query = {"wait_ms": str(max(1, int(seconds * 1_000))), "while_state": job["state"]}
    try:
        after: dict[str, Any] = client.get(_path(job["id"]), query)
    except PlaneRefusedError as refused:
        if refused.status != 429:
            raise
        after = job
    if after["state"] == job["state"]:
        left = seconds - (time.monotonic() - began)
        time.sleep(max(0.0, min(left, _POLL_SECONDS)))
    return after


def _path(job_id: str) -> str:
    return f"/api/v1/jobs/{segment(job_id)}"
