"""Output of every command: JSON on request, one sentence for an error, an exit code.

The only module of the command line that writes to a terminal: it passes no character on that a
terminal would obey, hide or reorder.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from forestall.errors import ForestallError, InvalidRequestError, UnavailableError
from forestall.visible import is_visible, visible_line

EXIT_CHECK_FAILED = 1
EXIT_USAGE = 2
EXIT_SERVER = 3
EXIT_DENIED = 4
EXIT_AWAITS_APPROVAL = 5
EXIT_TIMEOUT = 6
EXIT_INTERRUPTED = 130

# The server refuses the worker, or is not the one that the worker trusts.
_OF_WORKERS = ("worker_refused", "ticket_keys_changed")
DECISION_EXIT = {
    "DENY": EXIT_DENIED,
    "THROTTLE": EXIT_DENIED,
    "REQUIRE_APPROVAL": EXIT_AWAITS_APPROVAL,
}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_line(text: str = "", *, err: bool = False) -> None:
    """Print exactly one line, on stderr with `err`. The only way of a text to the terminal.

    Whoever wrote a part of the text can neither command the terminal, nor hide a part, nor begin a
    line of their own. A longer text than LINE_CHARS_MAX is cut, and the line says so.
    """
    click.echo(visible_line(text), err=err)


def print_lines(text: str, *, err: bool = False) -> None:
    """Print a text of several lines, which hold no line break of somebody else."""
    for line in text.removesuffix("\n").split("\n"):
        print_line(line, err=err)


def print_progress(text: str) -> None:
    """Write over the line of progress on stderr."""
    click.echo(f"\r{visible_line(text)}", nl=False, err=True)


def print_content(content: bytes) -> None:
    """Write a document for a file or another program, byte for byte; on a terminal as lines."""
    if sys.stdout.isatty():
        print_lines(content.decode("utf-8", "backslashreplace"))
    else:
        sys.stdout.buffer.write(content)


def print_json(value: Any) -> None:
    """Print one JSON value, indented. Other characters than ASCII stay, if the terminal can show
    them.

    Characters that are not visible are escaped, which changes no value.
    """
    click.echo(visible_json(json.dumps(value, indent=2, ensure_ascii=not _is_utf8())))


def print_json_line(text: str, *, err: bool = False) -> None:
    """Print one JSON text as one line, with escapes as in `print_json`."""
    click.echo(visible_json(text.replace("\n", "")), err=err)


def print_answer(answer: Any, line: str, *, as_json: bool) -> None:
    """Print an answer as JSON, or the one line that says the same to a person."""
    if as_json:
        print_json(answer)
    else:
        print_line(line)


def decided_by(rule_id: str, code: str) -> str:
    """Who decided, in words: a rule, the default of the policy, or the layer of the agents."""
    if rule_id:
        return f"rule {rule_id}"
    return code if code.startswith("agent_") else "default"


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
        print_line(line(item))
    if not items:
        print_line(nothing, err=True)


def visible_json(text: str) -> str:
    """JSON text with escapes for what is not visible; line breaks between values stay."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(char if is_visible(char) or char == "\n" else _escaped(char) for char in text)


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
        print_json_line(json.dumps(body), err=True)
    else:
        if isinstance(error, PolicyError):
            print_lines(error.render(), err=True)
        print_line(f"error: {error.message}", err=True)
    if isinstance(error, PlaneRefusedError) and error.body.get("code") == "throttled":
        return EXIT_DENIED
    if isinstance(error, (PlaneRefusedError, UnavailableError)) or error.code in _OF_WORKERS:
        return EXIT_SERVER
    return EXIT_USAGE if isinstance(error, InvalidRequestError) else EXIT_CHECK_FAILED


def show_usage(error: click.ClickException) -> None:
    """Print what was wrong with the command line."""
    if "--json" in sys.argv:
        body = {"error": error.format_message(), "code": "usage"}
        print_json_line(json.dumps(body), err=True)
        return
    if isinstance(error, click.UsageError) and error.ctx is not None:
        print_lines(error.ctx.get_usage(), err=True)
        print_line(f"Try '{error.ctx.command_path} --help' for help.", err=True)
        print_line(err=True)
    print_lines(f"Error: {error.format_message()}".expandtabs(4), err=True)
