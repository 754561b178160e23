"""The synchronous HTTP client: blocking sockets, each with a time bound.

It decides nothing: `steps` does. Requests in several threads do not disturb each other.
"""

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import TypeVar

from forestall.client.http.message import HttpRequest, HttpResponse
from forestall.client.http.sockets import has_news
from forestall.client.http.steps import (
    Action,
    Connect,
    Face,
    HttpSteps,
    OpenExchange,
    OpenStream,
    Receive,
    Send,
    Steps,
)
from forestall.limits import HTTP_RESPONSE_BYTES_MAX

_RECEIVE_BYTES = 64 * 1024
T = TypeVar("T")


class HttpClient(Face):
    """Requests to one origin. Close it, or use it as a context manager."""

    def request(
        self,
        request: HttpRequest,
        *,
        seconds: float | None = None,
        body_bytes_max: int = HTTP_RESPONSE_BYTES_MAX,
    ) -> HttpResponse:
        """The whole response to a request; see HttpSteps.fetch.

        Raises NoAnswerError, InvalidRequestError.
        """
        return _carry_out(
            self._steps.fetch(request, seconds=seconds, body_bytes_max=body_bytes_max)
        )

    @contextlib.contextmanager
    def open(self, request: HttpRequest) -> Iterator["HttpStream"]:
        """The response while its body still arrives. Raises as `request` does, also inside the
        block."""
        opened = _carry_out(self._steps.open(request))
        stream = HttpStream(self._steps, opened)
        try:
            yield stream
        finally:
            stream.close()


class HttpStream(OpenStream):
    """A response whose body is read piece by piece."""

    def __init__(self, steps: HttpSteps, opened: OpenExchange) -> None:
        super().__init__(steps, opened)
        self._buffer = bytearray()

    def read(self) -> bytes:
        """The next piece of the body; b"" at its end. Raises NoAnswerError."""
        if self._buffer:
            piece = bytes(self._buffer)
            self._buffer.clear()
            return piece
        piece = b"" if self._ended else _carry_out(self._steps.receive(self._opened))
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
        looked = 0
        while True:
            end = self._buffer.find(b"\n", looked)
            if end >= 0 or len(self._buffer) >= bytes_max or self._ended:
                break
            looked = len(self._buffer)
            piece = _carry_out(self._steps.receive(self._opened))
            self._ended = not piece
            self._buffer += piece
        size = min(end + 1 if end >= 0 else len(self._buffer), bytes_max)
        line = bytes(self._buffer[:size])
        del self._buffer[:size]
        return line


class _Socket:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def close(self) -> None:
        self.sock.close()

    def quiet(self) -> bool:
        if getattr(self.sock, "pending", int)():  # decrypted by TLS and not yet received
            return False
        # Below TLS: bytes that wait there were not asked for.
        return self.sock.fileno() >= 0 and not has_news(self.sock.fileno())


def _carry_out(steps: Steps[T]) -> T:
    try:
        action = next(steps)
        while True:
            try:
                result = _perform(action)
            except OSError as error:
                action = steps.throw(error)
            else:
                action = steps.send(result)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        steps.close()  # after Ctrl-C the connection must not stay open


def _perform(action: Action) -> object:
    if isinstance(action, Send):
        sock = _socket_of(action.transport, action.seconds)
        return sock.send(action.data)
    if isinstance(action, Receive):
        return _socket_of(action.transport, action.seconds).recv(_RECEIVE_BYTES)
    if isinstance(action, Connect):
        return _Socket(_connected(action))
    plain = _socket_of(action.transport, action.seconds)
    return _Socket(action.context.wrap_socket(plain, server_hostname=action.server_name))


def _socket_of(transport: object, seconds: float) -> socket.socket:
    assert isinstance(transport, _Socket)
    transport.sock.settimeout(seconds)
    return transport.sock


def _connected(action: Connect) -> socket.socket:
    """A connection to the first address of a host that accepts one, within the time for all
    addresses."""
    ends_at = time.monotonic() + action.seconds
    # As bytes: a text would load the tables for names outside ASCII.
    found = socket.getaddrinfo(action.host.encode(), action.port, type=socket.SOCK_STREAM)
    problem: OSError = OSError("the host name has no address")
    for family, kind, protocol, _, address in found:
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
