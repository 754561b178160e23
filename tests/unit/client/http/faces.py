"""Both faces of the HTTP client behind one interface, and servers that a test scripts."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvloop

from forestall.client.http.asynchronous import AsyncHttpClient
from forestall.client.http.blocking import HttpClient
from forestall.client.http.message import HttpRequest, HttpResponse
from forestall.client.http.origin import parse_origin


class BlockingFace:
    """The synchronous face."""

    def __init__(self, url: str, **options: Any) -> None:
        self._client = HttpClient(parse_origin(url), **options)

    def request(self, request: HttpRequest, **more: Any) -> HttpResponse:
        return self._client.request(request, **more)

    def pieces(
        self, request: HttpRequest, count: int, after_each: Callable[[], object] = int
    ) -> tuple[int, list[bytes]]:
        """The status and the first pieces of a body; then the response is closed."""
        pieces = []
        with self._client.open(request) as stream:
            for _ in range(count):
                pieces.append(stream.read())
                after_each()
            return stream.status, pieces

    def close(self) -> None:
        self._client.close()


class AsyncFace:
    """The asynchronous face, on an event loop of its own."""

    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop

    def __init__(self, url: str, **options: Any) -> None:
        self._runner = asyncio.Runner(loop_factory=type(self).loop_factory)
        try:
            self._client = AsyncHttpClient(parse_origin(url), **options)
        except BaseException:
            self._runner.close()
            raise

    def request(self, request: HttpRequest, **more: Any) -> HttpResponse:
        return self._runner.run(self._client.request(request, **more))

    def pieces(
        self, request: HttpRequest, count: int, after_each: Callable[[], object] = int
    ) -> tuple[int, list[bytes]]:
        """As of BlockingFace."""

        async def read() -> tuple[int, list[bytes]]:
            pieces = []
            async with self._client.open(request) as stream:
                for _ in range(count):
                    pieces.append(await stream.read())
                    after_each()
                return stream.status, pieces

        return self._runner.run(read())

    def close(self) -> None:
        async def settle() -> None:
            self._client.close()
            await asyncio.sleep(0)  # the loop closes the sockets

        self._runner.run(settle())
        self._runner.close()


class UvloopFace(AsyncFace):
    """The asynchronous face on the event loop of servers and workers."""

    loop_factory = uvloop.new_event_loop


Face = BlockingFace | AsyncFace
MakeFace = Callable[..., Face]


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: "ScriptedServer", sock: socket.socket, number: int) -> None:
        self.server, self.sock, self.number = server, sock, number
        self._buffer = b""

    def read_head(self) -> bytes:
        """The next head, noted in the server's `heads`; b"" when the client closed."""
        while b"\r\n\r\n" not in self._buffer:
            data = self.sock.recv(65_536)
            if not data:
                return b""
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self.server.heads.append(head)
        return head

    def read_request(self) -> bytes:
        """The next request with its body; b"" when the client closed."""
        head = self.read_head()
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
        while len(self._buffer) < size:
            self._buffer += self.sock.recv(65_536)
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        self.server.bodies.append(body)
        return head

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.server.sockets.append(self.sock)


class ScriptedServer:
    """Accepts connections, each in a thread that runs the script of the test."""

    def __init__(self, script: Callable[[Peer], None], tls: ssl.SSLContext | None) -> None:
        self.script, self._tls = script, tls
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.ended = threading.Event()  # set when a script has ended
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self.sockets: list[socket.socket] = []
        accepting = threading.Thread(target=self._accept, daemon=True)
        self._threads.append(accepting)
        accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            sock.settimeout(10)
            self.sockets.append(sock)
            peer = Peer(self, sock, self.connections)
            thread = threading.Thread(target=self._talk, args=(peer,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _talk(self, peer: Peer) -> None:
        with contextlib.suppress(OSError):  # ends with its client
            if self._tls is not None:
                peer.start_tls(self._tls)
            self.script(peer)
        peer.sock.close()
        self.ended.set()

    def close(self) -> None:
        """End everything."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(10)


@contextlib.contextmanager
def serving(
    script: Callable[[Peer], None], tls: ssl.SSLContext | None = None
) -> Iterator[ScriptedServer]:
    """A server that runs until the block ends."""
    server = ScriptedServer(script, tls)
    try:
        yield server
    finally:
        server.close()


def answering(*answers: bytes) -> Callable[[Peer], None]:
    """Answers each request in turn, over all connections, and the last one for ever.

    An empty answer closes the connection instead.
    """
    left = list(answers)

    def script(peer: Peer) -> None:
        while peer.read_request():
            answer = left.pop(0) if len(left) > 1 else left[0]
            if not answer:
                return
            peer.send(answer)

    return script
