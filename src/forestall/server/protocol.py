"""HTTP/1.1 as uvicorn speaks it, with bounds on what comes before anybody has proven who they are.

A head may be so long, hold so many fields and take so many seconds; past that the connection ends.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from forestall.limits import HEAD_BYTES_MAX, HEAD_FIELDS_MAX, HEAD_SECONDS_MAX


class HeadTooLargeError(ValueError):
    """The head of a request passes a bound; the parser turns this into a 400."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection."""

    _reading_head = False
    _head_bytes = 0
    _head_size = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_timer()  # a connection that never says anything is a head that never ends

    def data_received(self, data: bytes) -> None:
        if self._reading_head:
            self._head_bytes += len(data)
            # A head and its body may come together; only a head that goes on and on is too long.
            if self._head_bytes > HEAD_BYTES_MAX + len(data):
                self._refuse_head()
                return
        super().data_received(data)
        # Most heads come whole and never see a timer.
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
