"""Output of every command: JSON on request, one sentence for an error, an exit code."""

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from forestall.errors import ForestallError, InvalidRequestError, UnavailableError

EXIT_CHECK_FAILED = 1
EXIT_USAGE = 2
EXIT_SERVER = 3
EXIT_DENIED = 4
EXIT_HELD = 5
EXIT_TIMEOUT = 6
EXIT_INTERRUPTED = 130

# The server refuses the worker, or is not the one that the worker trusts.
_OF_WORKERS = ("worker_refused", "ticket_keys_changed")
DECISION_EXIT = {"DENY": EXIT_DENIED, "THROTTLE": EXIT_DENIED, "REQUIRE_APPROVAL": EXIT_HELD}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(value: Any) -> None:
    """Print one JSON value, indented. Other characters than ASCII stay, if the terminal can show
    them.

    Control characters are escaped, which changes no value.
    """
    click.echo(harmless_json(json.dumps(value, indent=2, ensure_ascii=not _is_utf8())))


def print_answer(answer: Any, text: str, *, as_json: bool) -> None:
    """Print an answer as JSON, or the text that says the same to a person."""
    if as_json:
        print_json(answer)
    else:
        click.echo(text)


def print_items(
    items: list[dict[str, Any]],
    line: Callable[[dict[str, Any]], str],
    *,
    nothing: str,
    as_json: bool,
) -> None:
    """Print a list: one line for each item, or `nothing` on stderr where it is empty."""
    if as_json:
        print_json({"items": items})
        return
    for item in items:
        click.echo(line(item))
    if not items:
        click.echo(nothing, err=True)


def harmless_json(text: str) -> str:
    """JSON text with control characters as escapes, so that a terminal obeys none of them."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return "\\u007f" if char == "\x7f" else json.dumps(char)[1:-1]


def _is_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def fail(error: ForestallError) -> int:
    """Print an error on stderr; returns its exit code."""
    # Imported here, so that `--help` does not wait for it.
    from forestall.client.plane import PlaneRefusedError
    from forestall.policy.problems import PolicyError

    if "--json" in sys.argv:
        body: dict[str, Any] = {"error": error.message, "code": error.code}
        if isinstance(error, PlaneRefusedError):
            body = error.body
        click.echo(json.dumps(body), err=True)
    else:
        if isinstance(error, PolicyError):
            click.echo(error.render(), err=True)
        click.echo(f"error: {shown(error.message)}", err=True)
    if isinstance(error, PlaneRefusedError) and error.body.get("code") == "throttled":
        return EXIT_DENIED
    if isinstance(error, (PlaneRefusedError, UnavailableError)) or error.code in _OF_WORKERS:
        return EXIT_SERVER
    return EXIT_USAGE if isinstance(error, InvalidRequestError) else EXIT_CHECK_FAILED


def show_usage(error: click.ClickException) -> None:
    """Print what was wrong with the command line."""
    if "--json" in sys.argv:
        click.echo(json.dumps({"error": error.format_message(), "code": "usage"}), err=True)
    else:
        error.show()


def shown(text: str) -> str:
    """One line of a foreign text, without control characters for the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
