"""What every command prints alike: JSON on request, one sentence for an error, an exit code."""

import json
import sys
from typing import Any

import click

from forestall.client.plane import PlaneRefusedError, PlaneUnreachableError
from forestall.errors import ForestallError, InvalidRequestError, UnavailableError

EXIT_CHECK_FAILED = 1
EXIT_USAGE = 2
EXIT_SERVER = 3
EXIT_DENIED = 4
EXIT_HELD = 5
EXIT_INTERRUPTED = 130

DECISION_EXIT = {"DENY": EXIT_DENIED, "THROTTLE": EXIT_DENIED, "REQUIRE_APPROVAL": EXIT_HELD}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(value: Any) -> None:
    """One JSON value, readable; non-ASCII text stays as it is unless the terminal cannot."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=not _is_utf8()))


def _is_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def fail(error: ForestallError) -> int:
    """Say what went wrong on stderr; the exit code for it."""
    if "--json" in sys.argv:
        body: dict[str, Any] = {"error": error.message, "code": error.code}
        if isinstance(error, PlaneRefusedError):
            body = error.body
        click.echo(json.dumps(body), err=True)
    else:
        click.echo(f"error: {shown(error.message)}", err=True)
    if isinstance(error, (PlaneUnreachableError, PlaneRefusedError, UnavailableError)):
        return EXIT_SERVER
    return EXIT_USAGE if isinstance(error, InvalidRequestError) else EXIT_CHECK_FAILED


def shown(text: str) -> str:
    """Text from elsewhere, without what a terminal would obey."""
    return "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text
    )
