"""Stream the log over HTTP: server-sent events and WebSocket frames on one path. No verbs.

A stream reads the log only after a wake-up and only as fast as its client reads, so a slow client
costs one page of memory. The credential is checked before each page that is sent, and at least
every STREAM_HEARTBEAT_SECONDS.
"""

import asyncio
import contextlib
from abc import abstractmethod
from enum import Enum
from typing import Any

from forestall.control.keys import still_valid
from forestall.control.plane import Plane
from forestall.control.read import read_job
from forestall.errors import ForestallError
from forestall.identity.credentials import Subject
from forestall.identity.visibility import visible_principals
from forestall.limits import STREAM_HEARTBEAT_SECONDS
from forestall.projections.log_listeners import LogListener
from forestall.projections.log_reader import LogPage
from forestall.server.endpoints import Answer, Call, Headers, Receive, Send, StreamingBody
from forestall.server.host_names import OriginDeniedError, is_same_site
from forestall.server.protocol import STREAMING
from forestall.server.query import require_own_tenant
from forestall.wire.stream import (
    SUBPROTOCOL,
    StreamPositionError,
    event_blocks,
    event_texts,
    parse_position,
)

_EVENT_STREAM = "text/event-stream"
_HEARTBEAT = b":\n\n"


class UpgradeRequiredError(ForestallError):
    """This path answers with server-sent events or a WebSocket; the request asked for neither."""

    code, http_status = "upgrade_required", 426


class _StreamEnd(Enum):
    """Why a stream ends: a close code and reason of WebSocket (RFC 6455, 7.4.1)."""

    GONE = 1000, ""
    REVOKED = 1008, "credential revoked"
    FAILED = 1011, "the log cannot be read"
    STOPPING = 1012, "the server is stopping"


async def open_stream(plane: Plane, call: Call) -> Answer:
    """Stream the log of the caller's tenant, or of one of its jobs. Raises UpgradeRequiredError,
    OriginDeniedError, TenantAccessError, JobNotFoundError, StreamPositionError,
    TooManyStreamsError, StoppingError."""
    if not call.websocket and not _wants_events(call.header(b"accept")):
        raise UpgradeRequiredError(
            f"send `Accept: {_EVENT_STREAM}`, or upgrade the connection to a WebSocket"
        )
    _require_same_site(call)
    subject = call.who
    require_own_tenant(call)
    job_id = call.params[0] if call.params else ""
    if job_id:
        await read_job(plane, subject, job_id)
    start = _start(call, await plane.store.log_end())
    # Listen last: after this nothing is refused, and the stream closes its listener itself.
    listener = plane.announcer.listen(subject, job_id)
    return Answer(200, LogStream(plane, listener, start))


def _wants_events(accept: str) -> bool:
    kinds = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return _EVENT_STREAM in kinds


def _require_same_site(call: Call) -> None:
    """Refuse a page of another site whose credential is in a header: a browser or a proxy may have
    added the credential without the user's knowledge."""
    origin = call.headers.get(b"origin")
    if not origin or call.key_in_subprotocol:
        return
    if not is_same_site(origin, call.headers.get(b"host", b"")):
        raise OriginDeniedError("a page of another site may not open a stream with this credential")


def _start(call: Call, end: int) -> int:
    """The position of the first record to send. Last-Event-ID goes before `from`: a client that
    reconnects sends its first query string again."""
    last = call.header(b"last-event-id") or call.query.get("last_event_id", "")
    first = call.query.get("from", "")
    if last:
        start = parse_position(last, "Last-Event-ID") + 1
    elif first:
        start = parse_position(first, "from")
    else:
        return end
    if start > end:
        raise StreamPositionError(
            f"the log ends before position {start}; was the server restored from a backup?"
            " begin again without a position, or with `from=0`",
            details={"end": end},
        )
    return start


def _view(subject: Subject) -> tuple[object, ...]:
    """What decides which records of a page a subject sees; followers with the same share them."""
    return subject.role, visible_principals(subject)


class _Framing:
    """The encoding of a stream on one connection."""

    def __init__(self, send: Send) -> None:
        self._send = send

    @abstractmethod
    async def open(self, headers: Headers) -> None:
        """Send the start of the answer."""

    @abstractmethod
    async def write(self, page: LogPage, subject: Subject) -> bool:
        """Send the records of a page that the subject may see. False: there were none."""

    @abstractmethod
    async def beat(self) -> None:
        """Send a heartbeat, so that neither proxy nor client takes the connection for dead."""

    @abstractmethod
    async def close(self, reason: _StreamEnd) -> None:
        """Send the end of the answer."""


class _EventStream(_Framing):
    """Server-sent events. Sends no comment before the first event: some clients take a comment for
    an event."""

    async def open(self, headers: Headers) -> None:
        kind = (
            (b"content-type", _EVENT_STREAM.encode()),
            (b"x-accel-buffering", b"no"),  # a proxy that buffers answers would delay events
        )
        await self._send(
            {"type": "http.response.start", "status": 200, "headers": [*headers, *kind]}
        )

    async def write(self, page: LogPage, subject: Subject) -> bool:
        encoded = page.encoded(
            (_EventStream, *_view(subject)), lambda: event_blocks(page.visible(subject))
        )
        if encoded:
            await self._body(encoded)
        return bool(encoded)

    async def beat(self) -> None:
        await self._body(_HEARTBEAT)

    async def close(self, reason: _StreamEnd) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _body(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})


class _WebSocket(_Framing):
    """Text frames, one for each event. Heartbeats are the pings that uvicorn sends."""

    def __init__(self, send: Send, offered: list[str]) -> None:
        super().__init__(send)
        # Name the sub-protocol only when the client offered it: it must close the connection on
        # any other (RFC 6455, 4.1).
        self._subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered else None

    async def open(self, headers: Headers) -> None:
        await self._send(
            {
                "type": "websocket.accept",
                "subprotocol": self._subprotocol,
                "headers": list(headers),
            }
        )

    async def write(self, page: LogPage, subject: Subject) -> bool:
        encoded = page.encoded(
            (_WebSocket, *_view(subject)), lambda: event_texts(page.visible(subject))
        )
        for text in encoded:
            await self._send({"type": "websocket.send", "text": text})
        return bool(encoded)

    async def beat(self) -> None:
        pass

    async def close(self, reason: _StreamEnd) -> None:
        code, text = reason.value
        await self._send({"type": "websocket.close", "code": code, "reason": text})


class LogStream(StreamingBody):
    """One follower of the log on one connection."""

    def __init__(self, plane: Plane, listener: LogListener, start: int) -> None:
        self._plane = plane
        self._listener = listener
        self._position = start  # of the next record to read
        self._client_gone = False

    async def run(
        self, scope: dict[str, Any], receive: Receive, send: Send, headers: Headers
    ) -> None:
        """Send events until the client closes the connection, its key ends, the log cannot be read,
        or the server stops."""
        framing: _Framing = (
            _WebSocket(send, scope["subprotocols"])
            if scope["type"] == "websocket"
            else _EventStream(send)
        )
        if self._position:
            headers = (*headers, (b"last-event-id", b"%d" % (self._position - 1)))
        scope.setdefault("state", {})[STREAMING] = True
        with self._listener:
            if scope.get("method") == "HEAD":
                await framing.open(headers)
                await framing.close(_StreamEnd.GONE)
                return
            watch = asyncio.create_task(self._wait_for_close(receive))
            try:
                # A send to a closed connection raises OSError (ASGI, spec version 2.4).
                with contextlib.suppress(OSError):
                    await framing.open(headers)
                    reason = await self._follow(framing)
                    if reason is not _StreamEnd.GONE:
                        await framing.close(reason)
            finally:
                watch.cancel()

    async def _follow(self, framing: _Framing) -> _StreamEnd:
        clock = asyncio.get_running_loop().time
        subject, job_id = self._listener.subject, self._listener.job_id
        sent_at = clock()
        more = True
        while True:
            while not more:
                more = await self._listener.wait(
                    max(0.0, sent_at + STREAM_HEARTBEAT_SECONDS - clock())
                )
                if reason := self._end_reason():
                    return reason
                if not more:
                    await framing.beat()
                    sent_at = clock()
            try:
                page = await self._plane.tail.page(
                    subject.tenant,
                    job_id,
                    self._position,
                    with_principals=visible_principals(subject) is not None,
                )
            except ForestallError:
                return _StreamEnd.FAILED
            if reason := self._end_reason():
                return reason
            self._position, more = page.end, page.more
            if await framing.write(page, subject):
                sent_at = clock()
            del page  # keep no page in memory while this waits

    def _end_reason(self) -> _StreamEnd | None:
        """Why the stream must end now; None: it goes on."""
        if self._client_gone:
            return _StreamEnd.GONE
        if self._plane.announcer.stopping:
            return _StreamEnd.STOPPING
        if not still_valid(self._plane, self._listener.subject):
            return _StreamEnd.REVOKED
        return None

    async def _wait_for_close(self, receive: Receive) -> None:
        """End the stream when the client closes the connection. Messages of the client are read and
        ignored; their size is bounded."""
        while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
            pass
        self._client_gone = True
        self._listener.wake()
