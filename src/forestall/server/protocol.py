"""HTTP/1.1 and WebSocket as uvicorn speaks them, with bounds on what a connection may cost.

Bounded are the number of connections, in all and from one network. Of each connection: the length
of a head, its number of fields, the seconds that it takes to arrive, and the seconds for which a
client reads nothing. Past a bound the connection is closed.
"""

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from forestall.limits import (
    CONNECTIONS_MAX,
    CONNECTIONS_PER_ADDRESS_MAX,
    HEAD_BYTES_MAX,
    HEAD_FIELDS_MAX,
    HEAD_SECONDS_MAX,
    STREAM_STOP_SECONDS_MAX,
    WRITE_STALL_SECONDS_MAX,
)
from forestall.server.rates import network_of

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


class HeadTooLargeError(ValueError):
    """The head of a request passes a bound; the parser turns this into a 400."""


class _BoundedConnection(asyncio.Protocol):
    """Counts the connection, and closes that of a client that does not read the bytes sent to
    it."""

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
    _head_bytes = 0
    _head_size = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_timer()  # a connection without a single byte counts as a head that never ends

    def data_received(self, data: bytes) -> None:
        if self._reading_head:
            self._head_bytes += len(data)
            # The newest piece may hold the end of the head and a body, so it does not count.
            if self._head_bytes > HEAD_BYTES_MAX + len(data):
                self._refuse_head()
                return
        super().data_received(data)
        # Most heads arrive whole, and need no timer.
        if self._reading_head and self._head_timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reading_head = True
        self._head_size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        if self._head_size > HEAD_BYTES_MAX or len(self.headers) >= HEAD_FIELDS_MAX:
            raise HeadTooLargeError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._reading_head = False
        self._head_bytes = 0
        self._stop_timer()
        super().on_headers_complete()

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
            self.send_400_response("The head of the request is too long or too slow.")


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
