"""Options that several commands share: the address of the server, and the fields of an action."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import click

from forestall.cli.output import json_option
from forestall.wire.strict_json import decode_json

if TYPE_CHECKING:
    from forestall.client.plane import PlaneClient

F = TypeVar("F", bound=Callable[..., Any])
_SUBDIRECTORIES = "forestall.subdirectories"
_CALL_PARTS = {"server": "server", "tool": "tool", "resource": "target_resource", "action": "verb"}
DEFAULT_URL = "http://127.0.0.1:8081"


def with_options(command: F, *options: Callable[[F], F]) -> F:
    """Add several options, in the order in which the help lists them."""
    for option in reversed(options):
        command = option(command)
    return command


def names_model_option(command: F) -> F:
    """Add --names-model, for commands that judge results without a server."""
    return click.option(
        "--names-model",
        envvar="FORESTALL_NAMES_MODEL",
        metavar="PACKAGE|DIR",
        default="",
        help="Look for names too, with this spaCy pipeline (FORESTALL_NAMES_MODEL).",
    )(command)


def server_options(command: F) -> F:
    """Add --url, --api-key and --tenant."""
    return with_options(
        command,
        click.option(
            "--url",
            envvar="FORESTALL_URL",
            default=DEFAULT_URL,
            show_default=True,
            help="Address of the server (FORESTALL_URL).",
        ),
        click.option(
            "--api-key",
            envvar="FORESTALL_API_KEY",
            default="",
            help="API key; better given as FORESTALL_API_KEY, which no process list shows.",
        ),
        click.option("--tenant", envvar="FORESTALL_TENANT", default="", help="Tenant of the key."),
    )


def subdirectories_option(command: F) -> F:
    """Add --subdirectories; `with_subdirectories` says whether it was given."""

    def keep(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        context.meta[_SUBDIRECTORIES] = value

    return click.option(
        "--subdirectories",
        is_flag=True,
        expose_value=False,
        callback=keep,
        help="Policy files in subdirectories of a directory count too; hidden ones never do.",
    )(command)


def with_subdirectories() -> bool:
    """Whether the running command was given --subdirectories."""
    return bool(click.get_current_context().meta.get(_SUBDIRECTORIES))


def with_client(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the server, and give the command a `client` for that server instead."""

    @functools.wraps(command)
    def connected(*, url: str, api_key: str, tenant: str, **options: Any) -> Any:
        return command(client=client_for(url, api_key, tenant), **options)

    return server_options(connected)


def found_agent(client: PlaneClient, agent: str) -> dict[str, Any]:
    """The agent with this name or id. Raises click.UsageError when there is none."""
    if agent.startswith("agt-"):
        by_id: dict[str, Any] = client.get(f"/api/v1/agents/{segment(agent)}")
        return by_id
    found: list[dict[str, Any]] = client.get("/api/v1/agents", {"name": agent})["items"]
    if not found:
        raise click.UsageError(
            f"there is no agent `{agent}`; `forestall agents list` shows them, and"
            " `forestall agents create` makes one"
        )
    return found[0]


def server_command(command: Callable[..., Any]) -> Callable[..., Any]:
    """As `with_client`, with --json: the command gets a `client`, and `as_json`."""
    return with_client(json_option(command))


def segment(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")


def limit_option(command: F) -> F:
    """Add --limit for a list."""
    return click.option(
        "--limit",
        default=50,
        show_default=True,
        type=click.IntRange(min=1),
        help="At most this many.",
    )(command)


def client_for(url: str, api_key: str, tenant: str) -> PlaneClient:
    """A client for the server of the options. Raises click.UsageError without an API key."""
    # imported here: commands without a server do not need it
    from forestall.client.plane import PlaneClient

    if not api_key:
        raise click.UsageError(
            "no API key: set FORESTALL_API_KEY (the server's first start printed one)"
        )
    client = PlaneClient(url, api_key, tenant=tenant)
    click.get_current_context().call_on_close(client.close)
    return client


def action_options(command: F) -> F:
    """Add the options that describe an action: the fields of POST /jobs, or all of it as JSON."""
    return with_options(
        command,
        click.option(
            "--request",
            "request_file",
            type=click.Path(dir_okay=False, allow_dash=True),
            help="A file with the whole request as JSON (- for standard input);"
            " the other options go over it.",
        ),
        click.option("--topic", help="Where it is routed, such as job.deploy.apply."),
        click.option("--prompt", help="The payload text, such as a command line."),
        click.option("--context", help="Context as JSON; - reads standard input."),
        click.option("--args", "args", help="Arguments as JSON; - reads standard input."),
        click.option(
            "--mcp",
            "call",
            multiple=True,
            metavar="PART=VALUE",
            help="A part of a tool call: server, tool, resource or action; repeatable.",
        ),
        click.option("--capability", help="What is to be done, such as infra.write."),
        click.option(
            "--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label; repeatable."
        ),
        click.option("--risk-tag", "risk_tags", multiple=True, help="A risk tag; may be repeated."),
        click.option("--requires", multiple=True, help="A requirement; may be repeated."),
        click.option("--pack", "pack_id", help="Pack that the action comes from."),
        click.option("--actor-id", help="Who acts; default: the key's principal."),
        click.option(
            "--actor-type", type=click.Choice(["human", "service"]), help="Kind of actor."
        ),
    )


def action_body(
    *,
    request_file: str | None,
    context: str | None,
    args: str | None,
    call: tuple[str, ...],
    labels: tuple[str, ...],
    **fields: Any,
) -> dict[str, Any]:
    """The request body that the options describe. Raises click.UsageError."""
    body: dict[str, Any] = {}
    if request_file is not None:
        value = decode_json(_read(request_file))
        if not isinstance(value, dict):
            raise click.UsageError(f"{request_file} does not hold a JSON object")
        body.update(value)
    for name, text in (("context", context), ("args", args)):
        if text is not None:
            body[name] = decode_json(_read("-") if text == "-" else text.encode())
    for name, pairs in (("action", map(_call_part, call)), ("labels", map(_pair, labels))):
        added = dict(pairs)
        in_file = {} if body.get(name) is None else body[name]
        if added and not isinstance(in_file, dict):
            raise click.UsageError(f"`{name}` of the request is not a mapping")
        if added:
            body[name] = {**in_file, **added}
    for name, value in fields.items():
        if value:
            body[name] = list(value) if isinstance(value, tuple) else value
    if "topic" not in body:
        raise click.UsageError("say what is asked: --topic job.… (or --request FILE)")
    return body


def label_pairs(labels: tuple[str, ...]) -> dict[str, str]:
    """The labels of the options `--label NAME=VALUE`. Raises click.UsageError."""
    return dict(_pair(label) for label in labels)


def _call_part(text: str) -> tuple[str, str]:
    name, value = _pair(text)
    if name not in _CALL_PARTS:
        raise click.UsageError(f"`{name}` is no part of a tool call: " + ", ".join(_CALL_PARTS))
    return _CALL_PARTS[name], value


def _read(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else read_file(Path(name))


def read_file(path: Path) -> bytes:
    """The content of a file that the command line names. Raises click.UsageError."""
    try:
        return path.read_bytes()
    except OSError as cause:
        raise click.UsageError(f"cannot read {path}: {cause.strerror}") from cause


def _pair(label: str) -> tuple[str, str]:
    name, separator, value = label.partition("=")
    if not separator or not name:
        raise click.UsageError(f"a label is NAME=VALUE, not `{label}`")
    return name, value


def encoded(body: dict[str, Any]) -> bytes:
    """The body as bytes, so that an offline command reads exactly what a server would read."""
    return json.dumps(body).encode("utf-8", "surrogatepass")
