"""Streams in process: one open connection to the door, driven from a test that is not async."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from forestall.wire.stream import EventObject
from tests.asgi import Door, Message
from tests.declared_answers import difference

_SECONDS_MAX = 5.0


class Opened:
    """One call of the gateway that goes on; the test reads what it sends."""

    def __init__(self, door: Door, scope: dict[str, Any], *, reads: bool = True) -> None:
        self.door = door
        self.sent: list[Message] = []
        self.scope = scope
        self.lost = False  # the connection is gone, and sending says so
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._reading = asyncio.Event()
        if reads:
            self._reading.set()
        first = "websocket.connect" if scope["type"] == "websocket" else "http.request"
        self._incoming.put_nowait({"type": first})
        self.task = door.runner.get_loop().create_task(
            door.gateway(scope, self._incoming.get, self._send)
        )

    async def _send(self, message: Message) -> None:
        await self._reading.wait()  # as a server does while its buffer is full
        if self.lost:
            raise OSError
        self.sent.append(message)

    def read(self) -> None:
        """Begin to take what is sent."""
        self._reading.set()

    def say(self, message: Message) -> None:
        """Something that the client does."""
        self._incoming.put_nowait(message)

    def hang_up(self) -> None:
        """The client goes."""
        kind = "websocket" if self.scope["type"] == "websocket" else "http"
        self.say({"type": f"{kind}.disconnect", "code": 1005})
        self.ended()

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Let the loop run until this holds."""

        async def look() -> None:
            async with asyncio.timeout(_SECONDS_MAX):
                while not holds():  # noqa: ASYNC110 - what holds is no event
                    await asyncio.sleep(0.001)

        try:
            self.door.run(look())
        except TimeoutError:
            raise AssertionError(f"{what}: {self.sent}") from None

    def ended(self) -> None:
        """Wait until the call is over, and demand that nothing was raised."""
        self.until(self.task.done, "the stream did not end")
        self.task.result()

    @property
    def status(self) -> int:
        """The status of the answer; 101 for a WebSocket that was accepted."""
        self.until(lambda: bool(self.sent), "no answer")
        first = self.sent[0]
        return 101 if first["type"] == "websocket.accept" else int(first["status"])

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the answer."""
        assert self.status
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        """What came after the headers."""
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def closed(self) -> int:
        """The close code of a WebSocket; 0 while it is open."""
        last = self.sent[-1] if self.sent else {"type": ""}
        return int(last["code"]) if last["type"] == "websocket.close" else 0

    def events(self) -> list[dict[str, Any]]:
        """Every event so far, as one JSON object each; framing is checked on the way."""
        if self.scope["type"] == "websocket":
            texts = [one["text"] for one in self.sent if one["type"] == "websocket.send"]
            return [_declared(text) for text in texts]
        blocks = self.body.decode().split("\n\n")
        assert blocks.pop() == "", "a block is not ended"
        found = []
        for block in blocks:
            if block == ":":
                continue
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            event = _declared(lines["data"])
            assert lines.keys() == {"id", "event", "data"}
            assert (int(lines["id"]), lines["event"]) == (event["position"], event["event"])
            found.append(event)
        return found

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """So many events; exactly so many when the loop had its turns."""
        self.until(lambda: len(self.events()) >= count, f"fewer than {count} events")
        events = self.events()
        assert len(events) == count, events
        return events


def _declared(text: str) -> dict[str, Any]:
    """An event, which has to be as the endpoint declares it."""
    problem = difference(text.encode(), EventObject)
    assert not problem, f"{problem}: {text[:500]}"
    event: dict[str, Any] = json.loads(text)
    return event


def opened(
    door: Door,
    path: str = "/api/v1/stream",
    *,
    websocket: bool = False,
    method: str = "GET",
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] = (),
    reads: bool = True,
) -> Opened:
    """Ask for a stream: server-sent events, unless `websocket`. An empty key sends none."""
    raw_path, _, query = path.partition("?")
    key = door.admin if key is None else key
    given = {"host": "here.example"}
    if not websocket:
        given["accept"] = "text/event-stream"
    if key:
        given["x-api-key"] = key
    given |= {name.lower(): value for name, value in (headers or {}).items()}
    scope: dict[str, Any] = {
        "type": "websocket" if websocket else "http",
        "path": raw_path,
        "raw_path": raw_path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value],
    }
    if websocket:
        scope["subprotocols"] = list(subprotocols)
        scope["extensions"] = {"websocket.http.response": {}}
    else:
        scope["method"] = method
    return Opened(door, scope, reads=reads)
