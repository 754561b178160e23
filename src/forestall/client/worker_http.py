"""HTTP/1.1 for a worker: POST over connections that are kept, many at once, on one event loop.

Reads answers strictly and with a bound. Never follows a redirect and never retries by itself: what
may be sent twice is known to the caller alone.
"""

import asyncio
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import msgspec

from forestall.errors import InvalidRequestError
from forestall.limits import BODY_BYTES_MAX, HEAD_BYTES_MAX, LEASE_JOBS_MAX

# A payload grows to twice its size where it stands as a text in JSON.
ANSWER_BYTES_MAX = LEASE_JOBS_MAX * (2 * BODY_BYTES_MAX + 64 * 1024)
_CONNECT_SECONDS = 10
_IDLE_SECONDS_MAX = 10  # well below what any server keeps an idle connection for
_PORTS = {"http": 80, "https": 443}


class AwayError(Exception):
    """No answer came, or none that can be read; the request may have been carried out or not."""


class Reply(NamedTuple):
    """One whole answer."""

    status: int
    headers: dict[bytes, bytes]  # names in lower case
    body: bytes

    def value(self) -> dict[str, object]:
        """The body as a JSON object; an empty one when it is anything else."""
        try:
            value = msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def code(self) -> str:
        """The code of a refusal."""
        return str(self.value().get("code", ""))

    @property
    def retry_after_s(self) -> float:
        """How long the server asks us to wait; 0 when it does not say."""
        text = self.headers.get(b"retry-after", b"")
        return float(text) if text.isdigit() and len(text) < 6 else 0.0


class AnswerReader:
    """Bytes → answers (RFC 9112), whole ones only. Raises AwayError for what is not HTTP/1.1."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: tuple[int, dict[bytes, bytes]] | None = None
        self._length = 0
        self._chunks: bytearray | None = None  # of a chunked answer, as far as they came

    @property
    def empty(self) -> bool:
        """Nothing of a further answer has come."""
        return not self._buffer and self._head is None

    def feed(self, data: bytes) -> Reply | None:
        """The answer that is whole with these bytes."""
        self._buffer += data
        while self._head is None:
            if not self._read_head():
                return None
        status, headers = self._head
        if self._chunks is None:
            if len(self._buffer) < self._length:
                return None
            body = bytes(self._buffer[: self._length])
            del self._buffer[: self._length]
        elif self._read_chunks():
            body = bytes(self._chunks)
        else:
            return None
        self._head = self._chunks = None
        return Reply(status, headers, body)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > HEAD_BYTES_MAX:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise AwayError("the head of the answer is too long")
            return False
        first, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        if not first.startswith(b"HTTP/1.") or not first[9:12].isdigit():
            raise AwayError("the answer is not HTTP/1.1")
        status = int(first[9:12])
        headers = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon:
                raise AwayError("the head of the answer cannot be read")
            headers[name.lower()] = value.strip()
        if status < 200:
            return True  # 1xx: the answer itself follows
        self._length = 0
        if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
            self._chunks = bytearray()
        elif status not in (204, 304):
            length = headers.get(b"content-length", b"")
            if not length.isdigit() or len(length) > 12 or int(length) > ANSWER_BYTES_MAX:
                raise AwayError("the answer has no length, or is too long")
            self._length = int(length)
        self._head = (status, headers)
        return True

    def _read_chunks(self) -> bool:
        assert self._chunks is not None
        while True:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                return False
            try:
                size = int(self._buffer[:end].partition(b";")[0], 16)
            except ValueError as cause:
                raise AwayError("a chunk of the answer has no size") from cause
            if size < 0 or len(self._chunks) + size > ANSWER_BYTES_MAX:
                raise AwayError("the answer is too long")
            if len(self._buffer) < end + 2 + size + 2:
                return False
            self._chunks += self._buffer[end + 2 : end + 2 + size]
            del self._buffer[: end + 2 + size + 2]
            if size == 0:
                return True  # servers of ours send no trailers; others close the connection


class _Connection(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self) -> None:
        self._reader = AnswerReader()
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        return (
            self._transport is not None
            and not self._transport.is_closing()
            and self._waiting is None
            and self._reader.empty
        )

    async def ask(self, request: bytes) -> Reply:
        """Send a request and wait for its answer. Cancelled, the connection is closed."""
        assert self._transport is not None
        assert self._waiting is None, "one request at a time"
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        except BaseException:
            self.close()
            raise
        finally:
            self._waiting = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            reply = self._reader.feed(data)
        except AwayError as error:
            self._end(error)
            self.close()
            return
        if reply is None:
            return
        if self._waiting is None or self._waiting.done():
            self.close()  # nobody asked
            return
        self._waiting.set_result(reply)
        if reply.headers.get(b"connection", b"").lower() == b"close":
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(AwayError(str(exc) if exc else "the connection was closed"))

    def _end(self, error: AwayError) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)


class Door:
    """One control plane at one address, asked with one token. For one event loop."""

    def __init__(self, url: str, token: str) -> None:
        """Raises InvalidRequestError."""
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise InvalidRequestError("the worker's token is empty or cannot be sent")
        try:
            parts = urlsplit(url)
            self._host, port = parts.hostname or "", parts.port
        except ValueError:
            self._host, port = "", None
        if parts.scheme not in _PORTS or not self._host or not parts.netloc.isascii():
            raise InvalidRequestError(
                f"`{url[:200]}` is not an address of a server; write http://host:port"
            )
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._secure = parts.scheme == "https"
        self._port = port or _PORTS[parts.scheme]
        host = parts.netloc.rpartition("@")[2]
        self._head = (
            f" HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {token}\r\n"
            "Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()
        self._idle: list[_Connection] = []

    async def post(self, path: str, body: bytes, *, seconds: float) -> Reply:
        """The answer to a POST. Raises AwayError."""
        request = b"POST %b%b%d\r\n\r\n%b" % (path.encode(), self._head, len(body), body)
        try:
            async with asyncio.timeout(seconds):
                connection = self._kept() or await self._connect()
                reply = await connection.ask(request)
        except TimeoutError as cause:
            raise AwayError(f"no answer within {seconds:.0f} seconds") from cause
        except OSError as cause:
            raise AwayError(cause.strerror or str(cause)) from cause
        if connection.usable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        return reply

    def _kept(self) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and now - connection.idle_since < _IDLE_SECONDS_MAX:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        context = None
        if self._secure:
            import ssl

            context = ssl.create_default_context()
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection, self._host, self._port, ssl=context
            )
        return connection

    def close(self) -> None:
        """Close what is kept open."""
        while self._idle:
            self._idle.pop().close()
