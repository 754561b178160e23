"""The HTTP client for asyncio, for one event loop.

It decides nothing: `pool` does. Cancelling a request closes its connection.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

from forestall.client.http.message import HttpRequest, HttpResponse
from forestall.client.http.pool import OpenStream, PooledClient
from forestall.client.http.sockets import has_news
from forestall.limits import HTTP_RESPONSE_BYTES_MAX

if TYPE_CHECKING:
    import ssl

_BUFFER_BYTES_MAX = 256 * 1024  # received and not yet read; beyond it the server must wait


class _Connection(asyncio.Protocol):
    """One connection. Bytes that arrived before a failure are delivered before the failure."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._reading_paused = False
        self._closed = False
        self._error: OSError | None = None
        self._readable: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._writing_paused = False

    # -- called by the event loop --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is none by inheritance
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _BUFFER_BYTES_MAX and not self._reading_paused:
            assert self.transport is not None
            self._reading_paused = True
            self.transport.pause_reading()
        _wake(self._readable)

    def eof_received(self) -> bool:
        self._closed = True
        _wake(self._readable)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        if exc is not None:
            self._error = exc if isinstance(exc, OSError) else OSError(str(exc))
        _wake(self._readable)
        _wake(self._writable)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        _wake(self._writable)

    # -- called by the pool: see Transport --

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def quiet(self) -> bool:
        if self.transport is None or self.transport.is_closing() or self._closed or self._buffer:
            return False
        # Bytes that the loop has not read yet count too: a busy loop reads late.
        return not has_news(self.transport.get_extra_info("socket").fileno())

    async def send(self, data: bytes | memoryview, seconds: float) -> int:
        assert self.transport is not None
        if self._closed or self.transport.is_closing():
            raise self._error or ConnectionResetError("the connection was closed")
        self.transport.write(data)
        async with asyncio.timeout(seconds):
            while self._writing_paused and not self._closed:
                self._writable = asyncio.get_running_loop().create_future()
                await self._writable
        return len(data)

    async def receive(self, seconds: float) -> bytes:
        if not self._buffer and not self._closed:
            async with asyncio.timeout(seconds):
                while not self._buffer and not self._closed:
                    self._readable = asyncio.get_running_loop().create_future()
                    await self._readable
        if not self._buffer and self._error is not None:
            raise self._error
        data = bytes(self._buffer)
        self._buffer.clear()
        if self._reading_paused and not self._closed:
            assert self.transport is not None
            self._reading_paused = False
            self.transport.resume_reading()
        return data

    async def secure(
        self, context: "ssl.SSLContext", server_name: str, seconds: float
    ) -> "_Connection":
        assert self.transport is not None
        async with asyncio.timeout(seconds):
            secured = await asyncio.get_running_loop().start_tls(
                self.transport, self, context, server_hostname=server_name
            )
        if secured is None or self._closed:
            raise self._error or ConnectionResetError("the connection was closed")
        self.transport = secured
        return self


def _wake(future: "asyncio.Future[None] | None") -> None:
    if future is not None and not future.done():
        future.set_result(None)


class AsyncHttpClient(PooledClient):
    """Requests to one origin. Close it, or use it as a context manager."""

    async def _connect(self, host: str, port: int, seconds: float) -> _Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            _, connection = await loop.create_connection(_Connection, host, port)
        return connection

    async def request(
        self,
        request: HttpRequest,
        *,
        seconds: float | None = None,
        body_bytes_max: int = HTTP_RESPONSE_BYTES_MAX,
    ) -> HttpResponse:
        """The whole response to a request; see ConnectionPool.fetch.

        Raises NoAnswerError, InvalidRequestError.
        """
        return await self._pool.fetch(request, seconds=seconds, body_bytes_max=body_bytes_max)

    @contextlib.asynccontextmanager
    async def open(self, request: HttpRequest) -> AsyncIterator["AsyncHttpStream"]:
        """The response while its body still arrives. Raises as `request`, also inside the block."""
        stream = AsyncHttpStream(self._pool, await self._pool.open(request))
        try:
            yield stream
        finally:
            stream.close()


class AsyncHttpStream(OpenStream):
    """A response whose body is read piece by piece."""

    async def read(self) -> bytes:
        """The next piece of the body; b"" at its end. Raises NoAnswerError."""
        piece = b"" if self._ended else await self._pool.receive(self._opened)
        self._ended = not piece
        return piece
