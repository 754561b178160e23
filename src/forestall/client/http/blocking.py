"""The synchronous HTTP client: blocking sockets, each with a time bound.

It decides nothing: `pool` does. Requests in several threads do not disturb each other.
"""

import contextlib
import socket
import time
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from forestall.client.http.message import HttpRequest, HttpResponse
from forestall.client.http.pool import ConnectionPool, OpenExchange, OpenStream, PooledClient
from forestall.client.http.sockets import has_news
from forestall.limits import HTTP_RESPONSE_BYTES_MAX

if TYPE_CHECKING:
    import ssl

_RECEIVE_BYTES = 64 * 1024
T = TypeVar("T")


class _Socket:
    """One connection, as a Transport whose methods block and never suspend."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def send(self, data: bytes | memoryview, seconds: float) -> int:
        self.sock.settimeout(seconds)
        return self.sock.send(data)

    async def receive(self, seconds: float) -> bytes:
        self.sock.settimeout(seconds)
        return self.sock.recv(_RECEIVE_BYTES)

    async def secure(
        self, context: "ssl.SSLContext", server_name: str, seconds: float
    ) -> "_Socket":
        self.sock.settimeout(seconds)
        return _Socket(context.wrap_socket(self.sock, server_hostname=server_name))

    def close(self) -> None:
        self.sock.close()

    def quiet(self) -> bool:
        if getattr(self.sock, "pending", int)():  # decrypted by TLS and not yet received
            return False
        # Below TLS: bytes that wait there were not asked for.
        return self.sock.fileno() >= 0 and not has_news(self.sock.fileno())


def _connected(host: str, port: int, seconds: float) -> socket.socket:
    """A connection to the first address that accepts one, within the time for all addresses."""
    ends_at = time.monotonic() + seconds
    # As bytes: a text would load the tables for names outside ASCII.
    addresses = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
    problem: OSError = OSError("the host name has no address")
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(max(0.001, ends_at - time.monotonic()))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            problem = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise problem


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine of the pool. Over a `_Socket` it never suspends, so that one step
    runs it to its end and no event loop is needed."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("a blocking transport does not suspend")


class HttpClient(PooledClient):
    """Requests to one origin. Close it, or use it as a context manager."""

    async def _connect(self, host: str, port: int, seconds: float) -> _Socket:
        return _Socket(_connected(host, port, seconds))

    def request(
        self,
        request: HttpRequest,
        *,
        seconds: float | None = None,
        body_bytes_max: int = HTTP_RESPONSE_BYTES_MAX,
    ) -> HttpResponse:
        """The whole response to a request; see ConnectionPool.fetch.

        Raises NoAnswerError, InvalidRequestError.
        """
        return _run(self._pool.fetch(request, seconds=seconds, body_bytes_max=body_bytes_max))

    @contextlib.contextmanager
    def open(self, request: HttpRequest) -> Iterator["HttpStream"]:
        """The response while its body still arrives. Raises as `request`, also inside the block."""
        stream = HttpStream(self._pool, _run(self._pool.open(request)))
        try:
            yield stream
        finally:
            stream.close()


class HttpStream(OpenStream):
    """A response whose body is read piece by piece."""

    def __init__(self, pool: ConnectionPool, opened: OpenExchange) -> None:
        super().__init__(pool, opened)
        self._buffer = bytearray()

    def read(self) -> bytes:
        """The next piece of the body; b"" at its end. Raises NoAnswerError."""
        if self._buffer:
            piece = bytes(self._buffer)
            self._buffer.clear()
            return piece
        piece = b"" if self._ended else _run(self._pool.receive(self._opened))
        self._ended = not piece
        return piece

    def read_all(self, bytes_max: int) -> bytes:
        """The rest of the body, and at most one piece beyond `bytes_max` bytes."""
        body = bytearray()
        while len(body) <= bytes_max and (piece := self.read()):
            body += piece
        return bytes(body)

    def readline(self, bytes_max: int) -> bytes:
        """A line with its line break. The break is missing when the body ends, or at `bytes_max`
        bytes.

        Raises NoAnswerError.
        """
        searched = 0  # bytes of the buffer in which there is no line break
        while True:
            end = self._buffer.find(b"\n", searched)
            if end >= 0 or len(self._buffer) >= bytes_max or self._ended:
                break
            searched = len(self._buffer)
            piece = _run(self._pool.receive(self._opened))
            self._ended = not piece
            self._buffer += piece
        size = min(end + 1 if end >= 0 else len(self._buffer), bytes_max)
        line = bytes(self._buffer[:size])
        del self._buffer[:size]
        return line
