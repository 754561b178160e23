"""Post one message to a webhook. Knows nothing of approvals, and follows no redirect.

The host name is resolved here, each of its addresses is judged, and the connection goes to one of
these addresses; so a name that is resolved otherwise later changes nothing. No proxy, no cookie.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from forestall.client.http.asynchronous import AsyncHttpClient
from forestall.client.http.message import HttpRequest, NoAnswerError, Timeouts
from forestall.client.http.origin import HttpOrigin, parse_origin
from forestall.errors import InvalidRequestError, UnavailableError
from forestall.jobs.webhook import Reach, problem_of_address, problem_of_url
from forestall.limits import WEBHOOK_ANSWER_BYTES_MAX, WEBHOOK_SECONDS_MAX

_RESOLVERS = 8  # threads of their own, so that a lookup that hangs blocks no other work
# No bound on the whole exchange here: `send` bounds it together with the lookup.
_TIMEOUTS = Timeouts(connect=WEBHOOK_SECONDS_MAX, idle=WEBHOOK_SECONDS_MAX, whole=None)


class DeliveryError(UnavailableError):
    """A message could not be delivered to a webhook; it is tried again. This error's text never
    holds the URL."""

    code, http_status = "delivery_failed", 503


class WebhookSender:
    """Sends messages, each on a connection of its own."""

    def __init__(self, reach: Reach, tls: ssl.SSLContext | None = None) -> None:
        self._reach = reach
        self._tls = tls or ssl.create_default_context()
        self._resolvers = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="forestall-resolver")

    def close(self) -> None:
        """End the threads without waiting for a lookup that hangs."""
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
        except NoAnswerError as error:
            if not error.interim:
                raise _delivery_error(error) from error
            status = error.interim
        except InvalidRequestError as cause:
            raise DeliveryError("the message cannot be sent as it is") from cause
        if 300 <= status < 400:
            raise DeliveryError(f"answered {status}; redirects are not followed")
        if not 200 <= status < 300:
            raise DeliveryError(f"answered {status}")

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer; its headers and body are ignored."""
        try:
            origin = parse_origin(url)
        except ValueError as cause:
            raise DeliveryError("the host name is not known") from cause
        client = AsyncHttpClient(
            origin,
            tls=self._tls,
            address=await self._judged_address(origin),
            timeouts=_TIMEOUTS,
            keep=False,
            head_bytes_max=WEBHOOK_ANSWER_BYTES_MAX,
        )
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields = {"Content-Type": "application/json", "User-Agent": "forestall-webhook", **headers}
        async with client.open(HttpRequest("POST", target, fields, body)) as answer:
            return answer.status

    async def _judged_address(self, origin: HttpOrigin) -> str:
        """The address to connect to. Raises DeliveryError unless every address of the name may be
        reached, not only this one."""
        addresses = await self._resolve(origin.host, origin.port)
        for address in addresses:
            problem = problem_of_address(address, scheme=origin.scheme, reach=self._reach)
            if problem:
                raise DeliveryError(f"the URL {problem}")
        return addresses[0]

    async def _resolve(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            infos = await loop.run_in_executor(
                self._resolvers,
                lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
            )
        except (OSError, UnicodeError) as cause:
            raise DeliveryError("the host name is not known") from cause
        addresses = [str(socket_address[0]) for *_, socket_address in infos]
        if not addresses:
            raise DeliveryError("the host name is not known")
        return addresses


def _delivery_error(error: NoAnswerError) -> DeliveryError:
    cause = error.__cause__
    if isinstance(cause, TimeoutError):
        return DeliveryError(f"no answer within {WEBHOOK_SECONDS_MAX} seconds")
    if isinstance(cause, ssl.SSLError):
        return DeliveryError(f"TLS failed: {cause.reason or 'no reason'}")
    if isinstance(cause, OSError):
        return DeliveryError(f"no connection: {type(cause).__name__}")
    return DeliveryError("what answers there speaks no HTTP")
