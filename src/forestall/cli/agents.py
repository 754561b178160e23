"""`forestall agents create|list|show|update|suspend|resume|revoke`: who the agents are, and what
each may do."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from forestall.cli.options import found_agent, limit_option, segment, server_command
from forestall.cli.output import print_answer, print_items, print_json, print_line
from forestall.client.plane import PlaneClient

F = TypeVar("F", bound=Callable[..., Any])
_AGENTS = "/api/v1/agents"
_TIERS = click.Choice(["low", "medium", "high", "critical"])
_STATUSES = click.Choice(["active", "suspended", "revoked"])
_RIGHTS = {  # the word of an option → the list in the API, and what the globs are matched with
    "topic": ("allowed_topics", "topics of jobs"),
    "capability": ("allowed_capabilities", "capabilities of jobs"),
    "pool": ("allowed_pools", "pools that topics belong to"),
    "server": ("allowed_servers", "MCP servers"),
    "tool": ("allowed_tools", "MCP tools"),
    "resource": ("allowed_resources", "MCP resources"),
}
# What people should know of an agent, in words.
_FINDINGS = {
    "no_owner": "no owner",
    "no_expiry": "no expiry",
    "expired": "expired",
    "no_rights": "no right to any topic",
    "unbound_key": "a key acts under its name without its rights: revoke it, make one with --agent",
}


@click.group()
def agents() -> None:
    """Register, change, suspend and revoke agents."""


def _profile_options(command: F) -> F:
    """Add the options that say who an agent is."""
    for name, text in (
        ("--workspace", "Where it works; for people."),
        ("--description", "What it does, in a few sentences."),
        ("--purpose", "Why it is there."),
        ("--team", "Team of the owner."),
        ("--owner", "Who answers for it."),
    ):
        command = click.option(name, default="", help=text)(command)
    data = click.option(
        "--data-class",
        "data_classes",
        multiple=True,
        metavar="WORD",
        help="Data that it handles, for rules to read; repeatable.",
    )
    days = click.option(
        "--expires-in-days", type=click.IntRange(1, 3650), help="It may act no longer than this."
    )
    return data(days(command))


def _right_options(verb: str, text: str) -> Callable[[F], F]:
    """Add one repeatable option for each kind of right, such as --allow-topic."""

    def add(command: F) -> F:
        for word, (_, what) in reversed(_RIGHTS.items()):
            command = click.option(
                f"--{verb}-{word}",
                multiple=True,
                metavar="GLOB",
                help=f"{text} {what}; repeatable.",
            )(command)
        return command

    return add


def _profile(options: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request that the options of `_profile_options` name."""
    names = ("owner", "team", "purpose", "description", "workspace")
    body = {name: options[name] for name in names if options[name]}
    if options["data_classes"]:
        body["data_classifications"] = list(options["data_classes"])
    if options["expires_in_days"]:
        ends = datetime.now(UTC) + timedelta(days=options["expires_in_days"])
        body["expires_at"] = ends.isoformat()
    return body


@agents.command()
@click.argument("name")
@click.option("--risk-tier", type=_TIERS, required=True, help="How much harm it could do.")
@_profile_options
@_right_options("allow", "It may use these")
@server_command
def create(name: str, risk_tier: str, client: PlaneClient, as_json: bool, **options: Any) -> None:
    """Register an agent. It may do what its rights say and the policy allows, and nothing else."""
    body = {"name": name, "risk_tier": risk_tier, **_profile(options)}
    for word, (field, _) in _RIGHTS.items():
        if options[f"allow_{word}"]:
            body[field] = list(dict.fromkeys(options[f"allow_{word}"]))
    answer = client.post(_AGENTS, body)
    if as_json:
        print_json(answer)
        return
    _print_agent(answer)
    print_line(f"next: forestall keys create NAME --agent {answer['name']}", err=True)


@agents.command("list")
@click.option("--status", type=_STATUSES, help="Only agents of this status.")
@click.option("--risk-tier", type=_TIERS, help="Only agents of this tier.")
@click.option("--team", default="", help="Only agents of this team.")
@limit_option
@server_command
def list_(
    status: str | None,
    risk_tier: str | None,
    team: str,
    limit: int,
    client: PlaneClient,
    as_json: bool,
) -> None:
    """List agents, oldest first, with what is wrong with each."""
    wanted = {"status": status, "risk_tier": risk_tier, "team": team}
    query = {name: value for name, value in wanted.items() if value}
    items = client.items(_AGENTS, query, limit=limit)
    print_items(items, _line, nothing="no agents", as_json=as_json)


def _line(agent: dict[str, Any]) -> str:
    ends = f"ends {agent['expires_at'][:10]}" if "expires_at" in agent else "never ends"
    keys = f"{agent['key_count']} keys" if agent["key_count"] != 1 else "1 key"
    parts = [
        f"{agent['name']:24}  {agent['status']:9}  {agent['risk_tier']:8}",
        f"{agent['owner'] or '-':16}  {ends:15}  {keys:7}",
        *([f"! {'; '.join(_in_words(agent))}"] if agent["findings"] else []),
    ]
    return "  ".join(parts)


def _in_words(agent: dict[str, Any]) -> list[str]:
    # A newer server may find what this command has no words for.
    return [_FINDINGS.get(finding, finding) for finding in agent["findings"]]


@agents.command()
@click.argument("agent")
@server_command
def show(agent: str, client: PlaneClient, as_json: bool) -> None:
    """Show one agent, by name or id."""
    found = found_agent(client, agent)
    if as_json:
        print_json(found)
    else:
        _print_agent(found)


def _print_agent(agent: dict[str, Any]) -> None:
    print_line(f"{agent['name']}  {agent['status']}  risk tier {agent['risk_tier']}")
    rows = [(name, agent[name]) for name in ("id", "owner", "team", "purpose", "description")]
    rows += [("workspace", agent["workspace"]), ("why", agent["status_reason"])]
    rows += [("ends", agent.get("expires_at", "never")), ("keys", str(agent["key_count"]))]
    rows.append(("data classes", ", ".join(agent.get("data_classifications", []))))
    for name, value in rows:
        if value:
            print_line(f"  {name:13} {value}")
    for word, (field, _) in _RIGHTS.items():
        print_line(f"  {f'may {word}':13} {', '.join(agent.get(field, [])) or 'none'}")
    for finding in _in_words(agent):
        print_line(f"  ! {finding}")


@agents.command()
@click.argument("agent")
@click.option("--risk-tier", type=_TIERS, help="How much harm it could do.")
@click.option("--never-expires", is_flag=True, help="Take its end away.")
@_profile_options
@_right_options("allow", "Let it also use these")
@_right_options("drop", "Take this glob from its")
@server_command
def update(
    agent: str,
    risk_tier: str | None,
    never_expires: bool,
    client: PlaneClient,
    as_json: bool,
    **options: Any,
) -> None:
    """Change an agent. What is not named stays as it is."""
    found = found_agent(client, agent)
    body: dict[str, Any] = _profile(options)
    if risk_tier:
        body["risk_tier"] = risk_tier
    if never_expires:
        if "expires_at" in body:
            raise click.UsageError("--never-expires and --expires-in-days contradict each other")
        body["expires_at"] = "never"
    for word, (field, _) in _RIGHTS.items():
        _change_right(body, found, field, options[f"allow_{word}"], options[f"drop_{word}"])
    if not body:
        raise click.UsageError("name what is to change; `--help` lists the options")
    # Lists are replaced whole: this change is made on what was read, or not at all.
    answer = client.put(
        f"{_AGENTS}/{segment(found['id'])}", {**body, "revision": found["revision"]}
    )
    if as_json:
        print_json(answer)
    else:
        _print_agent(answer)


def _change_right(
    body: dict[str, Any],
    found: dict[str, Any],
    field: str,
    allow: tuple[str, ...],
    drop: tuple[str, ...],
) -> None:
    if not allow and not drop:
        return
    globs = found.get(field, [])
    missing = [glob for glob in drop if glob not in globs]
    if missing:
        there = ", ".join(globs) or "nothing"
        raise click.UsageError(f"`{field}` does not hold `{missing[0]}`; it holds {there}")
    body[field] = list(dict.fromkeys([*(glob for glob in globs if glob not in drop), *allow]))


def _reason_option(command: F) -> F:
    return click.option("--reason", default="", help="Why; people and records are told.")(command)


@agents.command()
@click.argument("agent")
@_reason_option
@server_command
def suspend(agent: str, reason: str, client: PlaneClient, as_json: bool) -> None:
    """Let an agent do nothing until it is resumed; what runs for it is cancelled."""
    _with_status(client, agent, "suspend", reason, as_json=as_json)


@agents.command()
@click.argument("agent")
@_reason_option
@server_command
def resume(agent: str, reason: str, client: PlaneClient, as_json: bool) -> None:
    """Let a suspended agent act again."""
    _with_status(client, agent, "resume", reason, as_json=as_json)


def _with_status(client: PlaneClient, agent: str, verb: str, reason: str, *, as_json: bool) -> None:
    path = f"{_AGENTS}/{segment(found_agent(client, agent)['id'])}/{verb}"
    answer = client.post(path, {"reason": reason})
    print_answer(answer, f"{answer['name']}  {answer['status']}", as_json=as_json)


@agents.command()
@click.argument("agent")
@_reason_option
@server_command
def revoke(agent: str, reason: str, client: PlaneClient, as_json: bool) -> None:
    """End an agent for good, with its keys and worker credentials."""
    path = f"{_AGENTS}/{segment(found_agent(client, agent)['id'])}"
    answer = client.delete(path, {"reason": reason} if reason else {})
    if as_json:
        print_json(answer)
        return
    print_line(f"revoked {answer['name']}")
    for key_id in answer["revoked_keys"]:
        print_line(f"  key     {key_id}")
    for worker in answer["revoked_workers"]:
        print_line(f"  worker  {worker}")
