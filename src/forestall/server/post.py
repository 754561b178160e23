"""Post one message to a webhook. Knows nothing of approvals, and follows nothing.

The name is resolved here, every address it has is judged, and the connection goes to an address
that was judged: a name that changes in between changes nothing. No redirect, no proxy, no cookie.
"""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from forestall.errors import UnavailableError
from forestall.jobs.webhook import Reach, problem_of_address, problem_of_url
from forestall.limits import WEBHOOK_ANSWER_BYTES_MAX, WEBHOOK_SECONDS_MAX

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r?\n")
_RESOLVERS = 8  # at once; a resolver that hangs holds one of these threads, and nobody else's


class DeliveryError(UnavailableError):
    """A webhook could not be told; it is tried again. The message never holds its URL."""

    code, http_status = "delivery_failed", 503


class Post:
    """Sends messages, each on a connection of its own."""

    def __init__(self, reach: Reach, tls: ssl.SSLContext | None = None) -> None:
        self._reach = reach
        self._tls = tls or ssl.create_default_context()
        self._resolvers = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="forestall-resolver")

    def close(self) -> None:
        """Let go of the threads without waiting for a resolver that hangs."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Post a JSON body; returns when it was answered with 2xx. Raises DeliveryError."""
        problem = problem_of_url(url, self._reach)
        if problem:
            raise DeliveryError(f"the URL {problem}")
        try:
            async with asyncio.timeout(WEBHOOK_SECONDS_MAX):
                status = await self._exchange(url, headers, body)
        except TimeoutError as cause:
            raise DeliveryError(f"no answer within {WEBHOOK_SECONDS_MAX} seconds") from cause
        except ssl.SSLError as cause:
            raise DeliveryError(f"TLS failed: {cause.reason or 'no reason'}") from cause
        except OSError as cause:
            raise DeliveryError(f"no connection: {type(cause).__name__}") from cause
        if 300 <= status < 400:
            raise DeliveryError(f"answered {status}; redirects are not followed")
        if not 200 <= status < 300:
            raise DeliveryError(f"answered {status}")

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        parts = urlsplit(url)
        assert parts.hostname is not None, "the URL was judged"
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        addresses = await self._resolve(parts.hostname, port)
        for address in addresses:
            problem = problem_of_address(address, scheme=parts.scheme, reach=self._reach)
            if problem:
                raise DeliveryError(f"the URL {problem}")
        reader, writer = await asyncio.open_connection(
            addresses[0],
            port,
            limit=WEBHOOK_ANSWER_BYTES_MAX,
            ssl=self._tls if secure else None,
            server_hostname=parts.hostname if secure else None,
        )
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            sent = {
                "Host": parts.netloc,
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                "User-Agent": "forestall-webhook",
                "Connection": "close",
                **headers,
            }
            head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
            writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
            await writer.drain()
            return _status(await _first_line(reader))
        finally:
            writer.transport.abort()  # what else it says is of no interest

    async def _resolve(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._resolvers,
                lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
            )
        except (OSError, UnicodeError) as cause:
            raise DeliveryError("the host name is not known") from cause
        addresses = [str(entry[4][0]) for entry in found]
        if not addresses:
            raise DeliveryError("the host name is not known")
        return addresses


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return await reader.readuntil(b"\n")
    raise DeliveryError("what answers there speaks no HTTP")


def _status(line: bytes) -> int:
    found = _STATUS.fullmatch(line)
    if found is None:
        raise DeliveryError("what answers there speaks no HTTP")
    return int(found[1])
