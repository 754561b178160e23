"""HTTP/1.1 and WebSocket as uvicorn speaks them, with bounds on what a connection may cost.

Bounds hold for the number of connections, in all and from one network; and for each connection, for
the length of a head, its number of fields, the seconds that it takes to arrive, and the seconds for
which a client reads nothing. Past a bound the connection is closed. Bytes that a proxy and this
server could take for two different requests are refused with a coded error: a target that is no
path, a request without Host, framing that the parser does not accept (request smuggling, CWE-444).
Trailer fields are dropped: nothing that comes after the body may count as a header.
"""

import asyncio
import os
from collections import Counter
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from forestall.errors import ForestallError, InvalidRequestError
from forestall.limits import (
    CONNECTIONS_MAX,
    CONNECTIONS_PER_ADDRESS_MAX,
    HEAD_BYTES_MAX,
    HEAD_FIELDS_MAX,
    HEAD_SECONDS_MAX,
    STREAM_STOP_SECONDS_MAX,
    WRITE_STALL_SECONDS_MAX,
)
from forestall.server.endpoints import FIXED_HEADERS
from forestall.server.rates import network_of
from forestall.wire.errors import error_object

STREAMING = "forestall.stream"  # in `scope["state"]`: an answer that a stop of the server may cut


class Connections:
    """The number of open connections, in all and of each network (`rates.network_of`)."""

    def __init__(self) -> None:
        self._of_network: Counter[str] = Counter()
        self._total = 0

    def open(self, network: str) -> bool:
        """Count one more; False, and nothing is counted, when that would be too many."""
        if (
            self._total >= CONNECTIONS_MAX
            or self._of_network[network] >= CONNECTIONS_PER_ADDRESS_MAX
        ):
            return False
        self._total += 1
        self._of_network[network] += 1
        return True

    def close(self, network: str) -> None:
        """Count one less."""
        self._total -= 1
        self._of_network[network] -= 1
        if not self._of_network[network]:
            del self._of_network[network]


CONNECTIONS = Connections()  # of this process, whose files they are


class MalformedHttpError(InvalidRequestError):
    """The bytes are no HTTP/1.1 request that has one meaning; the connection is closed."""

    code, http_status = "http_malformed", 400


class HeadLimitError(InvalidRequestError):
    """The head of a request passes a bound: its length, its number of fields, or its time."""

    code, http_status = "http_head_limit", 400


_HEAD_BOUNDS = (
    f"the head of a request has at most {HEAD_BYTES_MAX} bytes and {HEAD_FIELDS_MAX} fields, and"
    f" arrives within {HEAD_SECONDS_MAX} seconds"
)


def _refusal_bytes(error: ForestallError) -> bytes:
    """The whole answer of a connection on which no request could be read."""
    request_id = os.urandom(8).hex()
    body = msgspec.json.encode(msgspec.structs.replace(error_object(error), request_id=request_id))
    head = [
        b"HTTP/1.1 %d Bad Request" % error.http_status,
        *(name + b": " + value for name, value in FIXED_HEADERS),
        b"x-request-id: " + request_id.encode(),
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"connection: close",
    ]
    return b"\r\n".join([*head, b"", body])


class _BoundedConnection(asyncio.Protocol):
    """Counts the connection, and closes it when its client does not read what is sent."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _stall_timer: asyncio.TimerHandle | None = None
    _counted_as: str | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        address = transport.get_extra_info("peername")
        network = network_of(address[0] if isinstance(address, tuple) else "")
        if CONNECTIONS.open(network):
            self._counted_as = network
        else:
            transport.abort()

    def _uncount(self) -> None:
        if self._counted_as is not None:
            CONNECTIONS.close(self._counted_as)
            self._counted_as = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_timer = self.loop.call_later(WRITE_STALL_SECONDS_MAX, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_stall_timer()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_stall_timer()
        self._uncount()
        super().connection_lost(exc)

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _abort_soon(self) -> None:
        """Abort the connection soon. Unsent bytes are dropped: the client resumes from its last
        event."""
        self.loop.call_later(STREAM_STOP_SECONDS_MAX, self.transport.abort)


class BoundedHttpProtocol(_BoundedConnection, HttpToolsProtocol):
    """One connection."""

    _reading_head = False
    _bytes_since_head_began = 0
    _fields_size = 0  # bytes in names and values of all fields, trailers among them
    _fields_count = 0
    _head_timer: asyncio.TimerHandle | None = None
    _refusal: ForestallError | None = None  # why a callback stopped the parser

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_timer()  # a connection without a single byte counts as a head that never ends

    def data_received(self, data: bytes) -> None:
        if self._reading_head:
            self._bytes_since_head_began += len(data)
            # The newest bytes may hold the end of the head and a body, so they do not count.
            if self._bytes_since_head_began > HEAD_BYTES_MAX + len(data):
                self._refuse_head()
                return
        super().data_received(data)
        # Most heads arrive whole, and need no timer.
        if self._reading_head and self._head_timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reading_head = True
        self._fields_size = self._fields_count = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields_size += len(name) + len(value)
        self._fields_count += 1
        if self._fields_size > HEAD_BYTES_MAX or self._fields_count > HEAD_FIELDS_MAX:
            raise self._refusing(HeadLimitError(_HEAD_BOUNDS))
        if self._reading_head:  # else it is a trailer, which uvicorn would add to the headers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._reading_head = False
        self._bytes_since_head_began = 0
        self._stop_timer()
        if not self.url.startswith(b"/"):
            raise self._refusing(
                MalformedHttpError("the target of a request is a path, such as /api/v1/jobs")
            )
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise self._refusing(MalformedHttpError("this server speaks HTTP/1.1 and HTTP/1.0"))
        if version == "1.1" and not any(name == b"host" for name, _ in self.headers):
            raise self._refusing(MalformedHttpError("a request of HTTP/1.1 names its `Host`"))
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser did not accept. uvicorn would answer in plain text."""
        error = self._refusal or MalformedHttpError(
            "the request is not HTTP/1.1 that has one meaning: look at its first line, its header"
            " fields and how the length of its body is given"
        )
        self._refusal = None
        cycle = self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            # An answer is under way: a second one may not stand in the middle of it.
            self.transport.abort()
            return
        self.transport.write(_refusal_bytes(error))
        self.transport.close()

    def _refusing(self, error: ForestallError) -> ForestallError:
        """Note the error with which `send_400_response` will answer, and return it."""
        self._refusal = error
        return error

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._uncount()  # the protocol that takes over counts the connection
        super().handle_websocket_upgrade()

    def shutdown(self) -> None:
        super().shutdown()
        if self.cycle is not None and STREAMING in self.cycle.scope["state"]:
            self._abort_soon()

    def _should_upgrade(self) -> bool:
        # A request of any other method is answered as if it asked for no upgrade (RFC 9110, 7.8).
        return self.scope["method"] == "GET" and super()._should_upgrade()

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS_MAX, self._refuse_head)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_head(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self._refusal = HeadLimitError(_HEAD_BOUNDS)
            self.send_400_response("")


class BoundedWebSocketProtocol(_BoundedConnection, WebSocketsSansIOProtocol):
    """One connection after its upgrade. Its head has passed the bounds above."""

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except (AssertionError, ValueError):  # a head that the HTTP parser accepts and this one not
            self.transport.abort()
            return
        if not self.handshake_initiated:  # the head arrived whole, so no more of it will arrive
            self.transport.close()

    def shutdown(self) -> None:
        super().shutdown()
        self._abort_soon()
