"""Print the events of a stream, until Ctrl-C: what `jobs watch` and `approvals watch` share."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from forestall.cli.output import print_json_line, print_line
from forestall.client.plane import PlaneClient

json_lines_option = click.option(
    "--json", "as_json", is_flag=True, help="Print each event as one line of JSON."
)


def print_events(
    client: PlaneClient,
    path: str,
    line_of: Callable[[dict[str, Any]], str],
    *,
    start: str = "",
    as_json: bool,
) -> None:
    """Follow the stream at a path from `start` on (a position of the log; empty: from now on), and
    print each event. One for which `line_of` gives an empty text is left out."""
    from forestall.client.stream import follow

    for event in follow(client, path, start=start, tell=lambda text: print_line(text, err=True)):
        line = line_of(json.loads(event.data))
        if line and as_json:
            print_json_line(event.data)
        elif line:
            print_line(line)


def event_time(event: dict[str, Any]) -> str:
    """The instant of an event, to the second."""
    at = datetime.fromtimestamp(event["at_us"] / 1_000_000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
