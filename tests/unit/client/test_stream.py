"""The reader of event streams, and following over lost connections, without a network."""

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.client.plane import PlaneRefusedError, PlaneUnreachableError
from forestall.client.stream import StreamEvent, follow, read_events


def events(text: bytes) -> list[StreamEvent]:
    return list(read_events(text.splitlines(keepends=True)))


def test_blocks_become_events() -> None:
    """Comments, unknown fields and blocks without data are none; the id stays until the next."""
    text = (
        b":\n\nid: 7\nevent: job.state\ndata: {}\n\nretry: 5\nodd\n\ndata:a\ndata: b\n\n"
        b"id: 9\n\nevent: x\n\ndata: c\r\n\r\nid: 1\0\ndata:\n\n"
    )
    assert events(text) == [
        StreamEvent("7", "job.state", "{}"),
        StreamEvent("7", "message", "a\nb"),
        StreamEvent("9", "message", "c"),
        StreamEvent("9", "message", ""),
    ]


@pytest.mark.parametrize("cut", range(len(b"id: 7\nevent: e\ndata: d\n\n")))
def test_what_is_cut_off_is_no_event(cut: int) -> None:
    assert events(b"id: 7\nevent: e\ndata: d\n\n"[:cut]) == []


@given(st.binary(max_size=200))
def test_any_bytes_give_events(data: bytes) -> None:
    """Whatever a server sends: events or nothing, never an exception."""
    for event in events(data):
        assert "\n" not in event.id + event.name


class _Server:
    """Answers one script entry for each connection: bytes, or an error."""

    def __init__(self, *script: bytes | Exception) -> None:
        self.script = list(script)
        self.asked: list[tuple[str, str]] = []  # Last-Event-ID and `from`

    @contextlib.contextmanager
    def open(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> Iterator[Any]:
        assert path == "/stream"
        self.asked.append((headers.get("Last-Event-ID", ""), query["from"]))
        if not self.script:
            raise PlaneRefusedError(401, {"error": "the script is over"})
        turn = self.script.pop(0)
        if isinstance(turn, Exception):
            raise turn
        answer: Any = io.BytesIO(turn)
        headers_answered = {"content-type": "text/event-stream", "last-event-id": "4"}
        yield type("Answer", (), {"headers": headers_answered, "readline": answer.readline})


def followed(server: _Server, **more: Any) -> tuple[list[str], list[float]]:
    """The ids of all events until the script is over, and the waits between."""
    ids: list[str] = []
    waits: list[float] = []
    client: Any = server
    with pytest.raises(PlaneRefusedError, match="over"):
        for event in follow(client, "/stream", tell=print, sleep=waits.append, **more):
            ids.append(event.id)  # noqa: PERF401 - the end is an exception
    return ids, waits


def test_it_goes_on_after_the_last_whole_event() -> None:
    """One cut off in the middle is asked for again; before any event, the opening says where."""
    server = _Server(b"", b"id: 5\ndata: a\n\nid: 6\ndata: b", b"id: 6\ndata: b\n\n")
    assert followed(server, start="0") == (["5", "6"], [1.0, 1.0, 1.0])
    assert server.asked == [("", "0"), ("4", "0"), ("5", "0"), ("6", "0")]


def test_it_waits_longer_each_time_and_not_for_ever() -> None:
    """Nobody there, too many streams, a stop: all of them pass."""
    gone, busy = PlaneUnreachableError("gone"), PlaneRefusedError(429, {})
    server = _Server(b"", gone, busy, PlaneRefusedError(503, {}), gone, gone, gone)
    _, waits = followed(server)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


@pytest.mark.parametrize(
    "error",
    [PlaneUnreachableError("nobody"), PlaneRefusedError(503, {}), PlaneRefusedError(404, {})],
)
def test_what_never_worked_is_not_tried_again(error: Exception) -> None:
    client: Any = _Server(error)
    with pytest.raises(type(error)):
        next(follow(client, "/stream", tell=print, sleep=lambda _: pytest.fail("it tried again")))
