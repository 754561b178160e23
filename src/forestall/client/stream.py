"""Follow the log of a running plane: events in order, over as many connections as it takes.

A new connection resumes after the last event that was handed out, so none is missed and none comes
twice. Following ends when the server refuses: another key or another path would be needed.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from forestall.client.plane import PlaneClient, PlaneRefusedError, PlaneUnreachableError

_LINE_BYTES_MAX = 16 * 1024 * 1024
_WAIT_SECONDS_FIRST, _WAIT_SECONDS_MAX = 1.0, 30.0
_TRY_AGAIN = frozenset({429, 500, 502, 503, 504})


class StreamEvent(NamedTuple):
    """One event: its position in the log, its name, and its JSON text."""

    id: str
    name: str
    data: str


def read_events(lines: Iterable[bytes]) -> Iterator[StreamEvent]:
    """The events of an event stream (WHATWG HTML, 9.2.6), without one whose end is missing."""
    last_id, name = "", ""
    data: list[str] = []
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data:
                yield StreamEvent(last_id, name or "message", "\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last_id = value


def follow(
    client: PlaneClient,
    path: str,
    *,
    start: str = "",
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[StreamEvent]:
    """Events from a position on, or from now on, without end.

    `tell` receives messages about lost connections. Raises PlaneRefusedError, and
    PlaneUnreachableError when the first connection fails: a wrong address does not become right by
    waiting.
    """
    last_id = ""
    connected = False
    wait_s = _WAIT_SECONDS_FIRST
    while True:
        headers = {"Accept": "text/event-stream"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        try:
            with client.open(path, {"from": start}, headers) as answer:
                kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind != "text/event-stream":
                    raise PlaneUnreachableError("what answers there streams no events")
                connected = True
                last_id = last_id or answer.headers.get("last-event-id", "")
                for event in read_events(_lines(answer.readline)):
                    last_id = event.id or last_id
                    wait_s = _WAIT_SECONDS_FIRST
                    yield event
                problem = "the server ended the stream"
        except PlaneUnreachableError as error:
            if not connected:
                raise
            problem = error.message
        except PlaneRefusedError as refused:
            if not connected or refused.status not in _TRY_AGAIN:
                raise
            problem = refused.message
        tell(f"{problem}; trying again in {wait_s:.0f} s")
        sleep(wait_s)
        wait_s = min(2 * wait_s, _WAIT_SECONDS_MAX)


def _lines(readline: Callable[[int], bytes]) -> Iterator[bytes]:
    while line := readline(_LINE_BYTES_MAX):
        if not line.endswith(b"\n"):
            return  # cut off, or longer than any event of the plane
        yield line
