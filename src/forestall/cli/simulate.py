"""`forestall simulate` and `explain`: with a policy file and no server, or with a server."""

import time
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import UNSET

from forestall.cli.options import (
    F,
    action_body,
    action_options,
    client_for,
    encoded,
    found_agent,
    segment,
    server_options,
    subdirectories_option,
    with_options,
    with_subdirectories,
)
from forestall.cli.output import EXIT_CHECK_FAILED, decided_by, json_option, print_json, print_line

_policy_option = click.option(
    "--policy",
    "policy_path",
    type=click.Path(exists=True, path_type=Path),
    help="Ask this policy file or directory instead of a server.",
)
_agent_option = click.option(
    "--agent",
    default="",
    metavar="NAME|ID",
    help="What would this agent be told? Within its rights, as if it asked itself.",
)
_expect_option = click.option(
    "--expect",
    metavar="DECISION",
    type=click.Choice(
        ["allow", "allow_with_constraints", "throttle", "require_approval", "deny"],
        case_sensitive=False,
    ),
    help="Exit with 1 when the decision is another one (for CI).",
)


def _question_options(command: F) -> F:
    """Add the options of both commands: an action, whom to ask about it, what is expected."""
    return with_options(
        command,
        action_options,
        _policy_option,
        subdirectories_option,
        _agent_option,
        _expect_option,
        server_options,
        json_option,
    )


@click.command()
@_question_options
def simulate(expect: str | None, as_json: bool, **options: Any) -> None:
    """What would be decided? Leaves no trace and runs nothing.

    \b
    forestall simulate --policy policy.yaml --topic job.exec.shell --prompt "rm -rf /"
    """
    answer = _ask("simulate", **options)
    if as_json:
        print_json(answer)
    else:
        _print_decision(answer)
    _require(answer, expect)


@click.command()
@_question_options
def explain(expect: str | None, as_json: bool, **options: Any) -> None:
    """The same decision, what held in the rules that matched, and what failed in the nearest."""
    answer = _ask("explain", **options)
    if as_json:
        print_json(answer)
    else:
        _print_decision(answer)
        _print_unread(answer["explain"].get("unread", []))
        _print_own_programs(answer["explain"].get("own_programs", []))
        _print_rules(answer["explain"])
    _require(answer, expect)


def _ask(
    verb: str,
    *,
    policy_path: Path | None,
    agent: str,
    url: str,
    api_key: str,
    tenant: str,
    **action: Any,
) -> Any:
    body = action_body(**action)
    if policy_path is None:
        client = client_for(url, api_key, tenant)
        as_agent = f"?as_agent={segment(found_agent(client, agent)['id'])}" if agent else ""
        return client.post(f"/api/v1/policy/{verb}{as_agent}", body)
    if agent:
        raise click.UsageError("a policy file knows no agents: leave --policy or --agent out")
    return _offline(verb, policy_path, encoded(body), tenant or "default")


def _offline(verb: str, path: Path, body: bytes, tenant: str) -> dict[str, Any]:
    """The answer of a server with this policy, computed by the same code."""
    from forestall.control.plane import instant
    from forestall.control.publish import compile_files
    from forestall.jobs.job import job_hash
    from forestall.policy.explainer import explain as explain_policy
    from forestall.policy.output_verdict import SWITCHED_ON_BY
    from forestall.server.files import read_policy_files
    from forestall.wire.decisions import check_object, explain_object
    from forestall.wire.submissions import decode_check

    # No result is scanned here, so no server setting has to be on.
    files = read_policy_files(path, subdirectories=with_subdirectories())
    snapshot = compile_files(files, switched_on=SWITCHED_ON_BY.keys())
    submission, job_id = decode_check(body, tenant=tenant)
    request = submission.request(tenant=tenant, principal="")
    now_us = time.time_ns() // 1000
    explanation = explain_policy(snapshot, request, now=instant(now_us))
    answer = check_object(
        explanation.decision,
        job_id=job_id,
        job_hash=job_hash(submission, tenant=tenant, principal=""),
        at_us=now_us,
        explain=explain_object(explanation, request) if verb == "explain" else UNSET,
    )
    plain: dict[str, Any] = msgspec.to_builtins(answer)
    return plain


def _print_decision(answer: dict[str, Any]) -> None:
    by = decided_by(answer["rule_id"], answer["code"])
    print_line(f"{answer['decision']} by {by}")
    if answer["reason"]:
        print_line(f"  reason    {answer['reason']}")
    for clause in answer["clauses"]:
        print_line(f"  held      {clause['field']}: {' or '.join(clause['wanted'])}")
    for conflict in answer["label_conflicts"]:
        print_line(
            f"  conflict  label {conflict['label']}: {conflict['origin']} says"
            f" `{conflict['value']}`, trusted is `{conflict['trusted_value']}`"
        )
    for remediation in answer["remediations"]:
        print_line(f"  remedy    {remediation['id']}: {remediation['title']}")


def _print_unread(unread: list[dict[str, Any]]) -> None:
    if unread:
        print_line()
        print_line("unread texts, which make the class unknown:")
    for each in unread:
        meaning = {"fields": "to have it read", "ignore": "if nobody runs it"}
        ways = " or ".join(f"`{key}` ({meaning[key]})" for key in each["declare_under"])
        print_line(f"   {each['place']}: list it in `derive`, kind {each['kind']}, under {ways}")


def _print_own_programs(programs: list[dict[str, Any]]) -> None:
    for each in programs:
        users = ", ".join(each["used_by"])
        print_line()
        print_line(
            f"own program {each['program']}: described in {each['described_by']}, counts for"
            f" the rules of {users}; to the others it is unknown"
        )


def _print_rules(explained: dict[str, Any]) -> None:
    print_line()
    print_line("rules, nearest first:")
    for rule in explained["rules"]:
        mark = "+" if rule["spoke"] else "=" if rule["matched"] else "-"
        print_line(f" {mark} {rule['rule_id']} ({rule['decision']}, line {rule['line']})")
        for clause in rule["held"]:
            print_line(f"     held    {_clause(clause)}")
        for clause in rule["failed"]:
            print_line(f"     failed  {_clause(clause)}")
    if not explained["rules"]:
        print_line("   (none)")
    print_line()
    print_line("+ decided or took part   = matched, but an earlier rule spoke   - did not match")


def _clause(clause: dict[str, Any]) -> str:
    values = " or ".join(clause["wanted"])
    found = ", ".join(clause["found"]) or "nothing"
    return f"{clause['field']}: wants {values}; has {found}"


def _require(answer: dict[str, Any], expect: str | None) -> None:
    if expect is not None and answer["decision"] != expect.upper():
        print_line(f"expected {expect.upper()}, got {answer['decision']}", err=True)
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)
