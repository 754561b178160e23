"""The course of a request over kept connections, written once for both clients.

Everything that decides lives here: which connection is used, what may be sent again, every time
bound. Redirects are never followed. The code awaits a `Transport` and imports no event loop:
`asynchronous` runs it on asyncio, `blocking` over a transport whose methods block and never
suspend.

The subtle case is a connection that was kept open. The server may close it at the moment when the
next request is on its way, and the client cannot tell whether that request was carried out. Such a
request is sent again, once and over a new connection, only when no byte came back and either the
request may be repeated or none of its bytes had left.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self

from forestall.client.http.exchange import Exchange
from forestall.client.http.message import (
    DEFAULT_TIMEOUTS,
    HttpRequest,
    HttpResponse,
    NoAnswerError,
    Timeouts,
)
from forestall.client.http.origin import HttpOrigin
from forestall.client.http.proxy import NO_PROXIES, Proxy, ProxySettings
from forestall.limits import (
    HEAD_BYTES_MAX,
    HTTP_IDLE_CONNECTIONS_MAX,
    HTTP_IDLE_SECONDS_MAX,
    HTTP_RESPONSE_BYTES_MAX,
)

if TYPE_CHECKING:
    import ssl

_SEND_BYTES = 256 * 1024  # handed over at once: one time bound covers so much


class Transport(Protocol):
    """One connection. Its methods raise OSError; TimeoutError where `seconds` were not enough."""

    async def send(self, data: bytes | memoryview, seconds: float) -> int:
        """Send bytes; returns how many were sent: at least one."""
        ...

    async def receive(self, seconds: float) -> bytes:
        """The bytes that arrive next; b"" when the server closed."""
        ...

    async def secure(
        self, context: "ssl.SSLContext", server_name: str, seconds: float
    ) -> "Transport":
        """Begin TLS for one server name; returns the transport to use from then on."""
        ...

    def close(self) -> None:
        """MUST NOT wait, and MUST NOT raise when the connection is closed already."""

    def quiet(self) -> bool:
        """Whether the connection is open and no unread bytes have arrived."""
        ...


# Opens a TCP connection to a host and port within so many seconds. Raises OSError.
Connect = Callable[[str, int, float], Awaitable[Transport]]


class OpenExchange:
    """An exchange whose response head has arrived."""

    def __init__(self, exchange: Exchange, transport: Transport) -> None:
        self.exchange, self.transport = exchange, transport
        self.unread = b""  # the part of the body that came with the head
        self.whole_request_sent = True
        self.released = False  # the connection no longer belongs to this exchange


class ConnectionPool:
    """Requests to one origin, over connections that are kept for the next ones."""

    def __init__(
        self,
        origin: HttpOrigin,
        connect: Connect,
        *,
        headers: Mapping[str, str] | None = None,
        proxies: ProxySettings = NO_PROXIES,
        tls: "ssl.SSLContext | None" = None,
        address: str = "",
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        keep: bool = True,
        head_bytes_max: int = HEAD_BYTES_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`headers` go with each request. `tls`: None creates a context that verifies certificates.

        `address`: connect there instead of resolving the origin's name, and never through a proxy;
        `Host` and the TLS name stay the origin's. `keep`: keep connections for further requests.
        Raises InvalidRequestError when the proxy's address cannot be used.
        """
        self.origin, self._connect = origin, connect
        self._headers = dict(headers or {})
        self._proxy = None if address else proxies.proxy_for(origin)
        self._tls, self._address, self._timeouts, self._keep = tls, address, timeouts, keep
        self._head_bytes_max, self._clock = head_bytes_max, clock
        self._idle: list[tuple[Transport, float]] = []  # each with the time when it became idle

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop()[0].close()

    async def fetch(
        self,
        request: HttpRequest,
        *,
        seconds: float | None = None,
        body_bytes_max: int = HTTP_RESPONSE_BYTES_MAX,
    ) -> HttpResponse:
        """The whole response. `seconds` replaces `Timeouts.whole`.

        Raises NoAnswerError, and InvalidRequestError when the request cannot be sent as it is.
        """
        deadline = self._deadline(self._timeouts.whole if seconds is None else seconds)
        opened = await self._begin(request, deadline, body_bytes_max)
        exchange, body = opened.exchange, bytearray(opened.unread)
        try:
            while not exchange.done:
                body += await self._receive(opened, deadline)
        except BaseException:
            opened.transport.close()
            raise
        self.release(opened)
        return HttpResponse(exchange.status, exchange.headers, bytes(body))

    async def open(self, request: HttpRequest) -> OpenExchange:
        """The response as soon as its head has arrived. Raises as `fetch` does.

        `Timeouts.whole` bounds the time until then; afterwards each piece has `Timeouts.idle`.
        """
        deadline = self._deadline(self._timeouts.whole)
        return await self._begin(request, deadline, None)

    async def receive(self, opened: OpenExchange) -> bytes:
        """The next piece of an open response's body; b"" at its end. Raises NoAnswerError."""
        piece, opened.unread = opened.unread, b""
        try:
            while not piece and not opened.exchange.done:
                piece = await self._receive(opened, self._deadline(None))
        except BaseException:
            opened.transport.close()
            raise
        if opened.exchange.done:
            self.release(opened)
        return piece

    def release(self, opened: OpenExchange) -> None:
        """Keep the connection if it may carry another exchange, else close it. Repeatable."""
        if opened.released:
            return  # another exchange may use the connection by now
        opened.released = True
        reusable = self._keep and opened.exchange.reusable and opened.whole_request_sent
        if reusable and len(self._idle) < HTTP_IDLE_CONNECTIONS_MAX:
            self._idle.append((opened.transport, self._clock()))
        else:
            opened.transport.close()

    async def _begin(
        self, request: HttpRequest, deadline: "_Deadline", body_bytes_max: int | None
    ) -> OpenExchange:
        """Send a request and receive until the head of its response has arrived."""
        exchange = self._exchange(request, body_bytes_max)
        transport = self._take_idle()
        if transport is not None:
            try:
                return await self._send_and_receive_head(exchange, transport, deadline)
            except NoAnswerError as error:
                # The race with a server that closes an idle connection: see the top of the file.
                closed = not exchange.begun and not isinstance(error.__cause__, TimeoutError)
                if not closed or not (request.repeatable or error.nothing_sent):
                    raise
            exchange = self._exchange(request, body_bytes_max)
        transport = await self._open_transport(deadline)
        return await self._send_and_receive_head(exchange, transport, deadline)

    def _exchange(self, request: HttpRequest, body_bytes_max: int | None) -> Exchange:
        headers, target = {**self._headers, **request.headers}, request.target
        if self._proxy is not None and self.origin.scheme == "http":
            target = f"{self.origin}{target}"
            if self._proxy.authorization:
                headers["Proxy-Authorization"] = self._proxy.authorization
        return Exchange(
            request.method,
            target,
            self.origin.authority,
            headers,
            request.body,
            body_bytes_max=body_bytes_max,
            keep=self._keep,
            until_close=body_bytes_max is None,
            head_bytes_max=self._head_bytes_max,
        )

    async def _send_and_receive_head(
        self, exchange: Exchange, transport: Transport, deadline: "_Deadline"
    ) -> OpenExchange:
        opened = OpenExchange(exchange, transport)
        try:
            failure = await self._send(opened, deadline)
            try:
                while not exchange.status:
                    opened.unread += await self._receive(opened, deadline)
            except NoAnswerError:
                if failure is not None:
                    raise failure from failure.__cause__
                raise
        except BaseException:
            transport.close()
            raise
        return opened

    async def _send(self, opened: OpenExchange, deadline: "_Deadline") -> NoAnswerError | None:
        """Send the request; returns the failure that ended it part of the way, if any.

        A server may answer before it has read a whole request, and then close or stop reading (413
        does so). Its answer is worth more than the failure, so the failure is returned, not raised.
        """
        view, sent = memoryview(opened.exchange.request_bytes), 0
        while sent < len(view):
            seconds = deadline.bound(self._timeouts.idle)
            try:
                sent += await opened.transport.send(view[sent : sent + _SEND_BYTES], seconds)
            except OSError as cause:
                slow = isinstance(cause, TimeoutError)
                # Bytes that the kernel or TLS took before a failure are not counted.
                unsent = not sent and not slow and self.origin.scheme == "http"
                failure = self._no_answer(cause, deadline, seconds, nothing_sent=unsent)
                failure.__cause__ = cause
                opened.whole_request_sent = False
                if slow and opened.transport.quiet():
                    raise failure from cause
                return failure
        return None

    async def _receive(self, opened: OpenExchange, deadline: "_Deadline") -> bytes:
        """The part of the body in the next bytes, which may be empty."""
        seconds = deadline.bound(self._timeouts.idle)
        try:
            data = await opened.transport.receive(seconds)
        except OSError as cause:
            raise self._no_answer(cause, deadline, seconds) from cause
        return opened.exchange.feed(data)

    async def _open_transport(self, deadline: "_Deadline") -> Transport:
        proxy, origin = self._proxy, self.origin
        host, port = (
            (proxy.host, proxy.port) if proxy else (self._address or origin.host, origin.port)
        )
        seconds = deadline.bound(self._timeouts.connect)
        try:
            transport = await self._connect(host, port, seconds)
        except OSError as cause:
            raise self._no_answer(cause, deadline, seconds, nothing_sent=True) from cause
        if origin.scheme == "http":
            return transport
        try:
            if proxy is not None:
                await self._tunnel(proxy, transport, deadline)
            return await self._secure(transport, deadline)
        except BaseException:
            transport.close()
            raise

    async def _secure(self, transport: Transport, deadline: "_Deadline") -> Transport:
        if self._tls is None:
            import ssl  # imported here: a request without TLS does not need it

            self._tls = ssl.create_default_context()
        seconds = deadline.bound(self._timeouts.connect)
        server_name = self.origin.host.rstrip(".")
        try:
            return await transport.secure(self._tls, server_name, seconds)
        except OSError as cause:
            raise self._no_answer(cause, deadline, seconds, nothing_sent=True) from cause

    async def _tunnel(self, proxy: Proxy, transport: Transport, deadline: "_Deadline") -> None:
        """Have a proxy connect to the origin (RFC 9110, 9.3.6)."""
        host = f"[{self.origin.host}]" if ":" in self.origin.host else self.origin.host
        target = f"{host}:{self.origin.port}"
        headers = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
        exchange = Exchange(
            "CONNECT", target, target, headers, body_bytes_max=None, until_close=True
        )
        bounded = self._deadline(deadline.bound(self._timeouts.connect))
        try:
            opened = await self._send_and_receive_head(exchange, transport, bounded)
        except NoAnswerError as error:
            # The request itself never left: only the proxy was spoken to.
            raise NoAnswerError(f"of the proxy: {error}", nothing_sent=True) from error.__cause__
        if not 200 <= exchange.status < 300:
            raise NoAnswerError(f"the proxy answered {exchange.status}", nothing_sent=True)
        if not exchange.reusable or not opened.whole_request_sent or not transport.quiet():
            raise NoAnswerError("the proxy sent more than its answer", nothing_sent=True)

    def _take_idle(self) -> Transport | None:
        now = self._clock()
        while True:
            try:
                transport, since = self._idle.pop()
            except IndexError:  # another thread may have taken the last one
                return None
            if now - since < HTTP_IDLE_SECONDS_MAX and transport.quiet():
                return transport
            transport.close()

    def _deadline(self, seconds: float | None) -> "_Deadline":
        return _Deadline(self._clock, seconds)

    def _no_answer(
        self, cause: OSError, deadline: "_Deadline", seconds: float, *, nothing_sent: bool = False
    ) -> NoAnswerError:
        if isinstance(cause, TimeoutError) and cause.errno is None:
            message = f"no answer within {round(deadline.bound_met(seconds), 1):g} seconds"
        else:
            message = cause.strerror or str(cause) or "the connection was closed"
        return NoAnswerError(message, nothing_sent=nothing_sent)


class PooledClient(ABC):
    """What both clients share. Close it, or use it as a context manager."""

    def __init__(self, origin: HttpOrigin, **options: Any) -> None:
        """`options`: see ConnectionPool. Raises InvalidRequestError."""
        self._pool = ConnectionPool(origin, self._connect, **options)
        self.origin = origin

    @abstractmethod
    async def _connect(self, host: str, port: int, seconds: float) -> Transport:
        """See Connect."""

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class OpenStream:
    """What the streams of both clients share: a response whose body is read piece by piece."""

    def __init__(self, pool: ConnectionPool, opened: OpenExchange) -> None:
        self._pool, self._opened = pool, opened
        self._ended = False
        self.status: int = opened.exchange.status
        self.headers: Mapping[str, str] = opened.exchange.headers

    def close(self) -> None:
        """Close the connection, or keep it when the response is whole and allows it."""
        self._pool.release(self._opened)


class _Deadline:
    """A bound on the time of a whole exchange."""

    def __init__(self, clock: Callable[[], float], seconds: float | None) -> None:
        self._clock, self._seconds = clock, seconds
        self._ends_at = None if seconds is None else clock() + seconds

    def bound(self, seconds: float) -> float:
        """The bound for one action: at most what is left, and never 0, which means not to wait."""
        if self._ends_at is None:
            return seconds
        return max(0.001, min(seconds, self._ends_at - self._clock()))

    def bound_met(self, seconds: float) -> float:
        """The bound that was exceeded: the whole time, or that of one action."""
        over = self._ends_at is not None and self._clock() >= self._ends_at - 0.001
        return self._seconds if over and self._seconds is not None else seconds
