"""The requests of a worker to its control plane: which are repeated, how soon, and when not.

Every request of a worker is safe to repeat: a lease that the worker did not hear of ends by itself,
and an answer that was taken is recognised.
"""

import asyncio
import contextlib
import logging
import os
import random
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from forestall.client.http.asynchronous import AsyncHttpClient
from forestall.client.http.message import HttpRequest, HttpResponse, NoAnswerError, Timeouts
from forestall.client.http.origin import parse_origin
from forestall.client.http.proxy import proxies_from_environment
from forestall.errors import ForbiddenError, InvalidRequestError
from forestall.limits import BODY_BYTES_MAX, LEASE_JOBS_MAX

_LOG = logging.getLogger("forestall.worker")
# As text inside JSON a payload may double in size.
_ANSWER_BYTES_MAX = LEASE_JOBS_MAX * (2 * BODY_BYTES_MAX + 64 * 1024)
_ANSWER_SECONDS = 30.0
_TIMEOUTS = Timeouts(connect=10, idle=3_600)  # each request sets its own bound on the whole time
_LAST_ASK_SECONDS = 2.0
_BACK_OFF_SECONDS_FIRST, _BACK_OFF_SECONDS_MAX = 0.1, 5.0


class WorkerRefusedError(ForbiddenError):
    """The control plane refuses this worker: its token, its id, or its requests."""

    code, http_status = "worker_refused", 403


class PlaneSession(msgspec.Struct, frozen=True):
    """The parameters that the control plane gave at registration. Times are in milliseconds."""

    worker_id: str
    tenant: str
    heartbeat_ms: int
    wait_ms_max: int
    ticket_keys: list[str]
    topics: list[str] = []


class BackOff:
    """Waits that double, jittered, so that workers do not all return at once."""

    def __init__(self) -> None:
        self._next = _BACK_OFF_SECONDS_FIRST

    def seconds(self, least: float = 0.0) -> float:
        """The next wait in seconds, at least `least`."""
        ceiling, self._next = self._next, min(2 * self._next, _BACK_OFF_SECONDS_MAX)
        return max(least, ceiling * (0.5 + random.random() / 2))  # noqa: S311 - jitter


class PlaneConnection:
    """The connection of one worker to its control plane. For one event loop."""

    def __init__(self, url: str, token: str, worker_id: str, registration: bytes) -> None:
        """`registration` is the body of that request. Raises InvalidRequestError."""
        self._http = _client_for(url, token)
        self._id = worker_id
        self._registration = registration
        self._session: PlaneSession | None = None
        self._registering = asyncio.Lock()
        self.stopping = asyncio.Event()
        self.on_keys: Callable[[list[str]], None] = lambda keys: None

    @property
    def session(self) -> PlaneSession:
        """The parameters of the last registration."""
        assert self._session is not None, "the worker is registered first"
        return self._session

    async def register(self) -> bool:
        """Register, and retry until that succeeds; False when the worker stops first.

        Raises WorkerRefusedError, TicketKeysError.
        """
        return await self.ask("register", self._registration) is not None

    async def ask(
        self, verb: str, body: bytes, *, wait_ms: int = 0, to_the_end: bool = False
    ) -> HttpResponse | None:
        """The successful response to a request that may be repeated; None when the worker stops
        first.

        `to_the_end`: keep trying even while the worker stops. Raises WorkerRefusedError,
        TicketKeysError.
        """
        back_off, warned = BackOff(), False
        path, seconds = self.path(verb), wait_ms / 1_000 + _ANSWER_SECONDS
        while True:
            session_before, least = self._session, 0.0
            try:
                reply = await self._post(path, body, seconds)
            except NoAnswerError as error:
                problem = f"no answer from {self._http.origin}: {error}"
            else:
                if reply.status == 200:
                    if verb == "register":
                        self._registered(reply)
                    elif warned:
                        _LOG.info("the control plane answers again")
                    return reply
                if reply.code == "worker_not_registered" and verb != "register":
                    await self._register_again(session_before)
                    continue
                if not may_pass(reply):
                    raise refused(reply)
                least = reply.retry_after_s
                problem = f"the control plane answered {reply.status} {reply.code}"
            if not warned:
                _LOG.warning("%s; trying again", problem)
                warned = True
            if self.stopping.is_set() and not to_the_end:
                return None
            await self._pause(back_off.seconds(least), to_the_end=to_the_end)

    async def post(self, path: str, body: bytes) -> HttpResponse:
        """The response to one request, sent once. Raises NoAnswerError."""
        return await self._post(path, body, _ANSWER_SECONDS)

    async def tell(self, path: str, body: bytes) -> None:
        """Send a request until it is answered; the response itself does not matter."""
        back_off = BackOff()
        while True:
            with contextlib.suppress(NoAnswerError):
                if not may_pass(await self.post(path, body)):
                    return
            await asyncio.sleep(back_off.seconds())

    async def end_waiting(self) -> None:
        """End the lease request that waits in the control plane, by registering again.

        Closing its connection instead could lose jobs that are on their way.
        """
        with contextlib.suppress(NoAnswerError):
            await self._post(self.path("register"), self._registration, _LAST_ASK_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def path(self, verb: str) -> str:
        return f"/api/v1/workers/{quote(self._id, safe='')}/{verb}"

    async def _post(self, path: str, body: bytes, seconds: float) -> HttpResponse:
        # The HTTP client must not repeat the request: the caller counts tries to recognise an
        # answer that was taken before.
        request = HttpRequest("POST", path, {}, body, may_repeat=False)
        return await self._http.request(request, seconds=seconds, body_bytes_max=_ANSWER_BYTES_MAX)

    async def _pause(self, seconds: float, *, to_the_end: bool) -> None:
        if to_the_end:
            await asyncio.sleep(seconds)
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), seconds)

    async def _register_again(self, session_before: PlaneSession | None) -> None:
        """Register again after a restart of the plane: once, however many requests noticed it."""
        async with self._registering:
            if self._session is session_before:
                await self.ask("register", self._registration, to_the_end=True)

    def _registered(self, reply: HttpResponse) -> None:
        try:
            session = _decode_session(reply.body)
        except msgspec.DecodeError as cause:
            raise WorkerRefusedError(f"the registration cannot be read: {cause}") from cause
        self.on_keys(session.ticket_keys)
        _LOG.info(
            "registered%s as worker %s of tenant %s for %s",
            "" if self._session is None else " anew",
            session.worker_id,
            session.tenant,
            ", ".join(session.topics) or "nothing",
        )
        self._session = session


_decode_session = msgspec.json.Decoder(PlaneSession).decode


def _client_for(url: str, token: str) -> AsyncHttpClient:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidRequestError("the worker's token is empty or cannot be sent")
    try:
        origin = parse_origin(url)
    except ValueError as cause:
        raise InvalidRequestError(
            f"`{url[:200]}` is not an address of a server; write http://host:port"
        ) from cause
    json_type = "application/json"
    headers = {"X-API-Key": token, "Accept": json_type, "Content-Type": json_type}
    proxies = proxies_from_environment(os.environ)
    return AsyncHttpClient(origin, headers=headers, proxies=proxies, timeouts=_TIMEOUTS)


def job_path(job_id: str, verb: str) -> str:
    """The path of a request about one job."""
    return f"/api/v1/jobs/{quote(job_id, safe='')}/{verb}"


def may_pass(reply: HttpResponse) -> bool:
    """Whether the same request may succeed a little later."""
    if reply.status in (408, 429) or reply.status >= 500:
        return True
    return reply.status == 409 and reply.code == "precondition_failed"


def refused(reply: HttpResponse) -> WorkerRefusedError:
    """The error for the person who started the worker: why the control plane refuses it."""
    message = str(reply.value().get("message", "")) or f"it answered {reply.status}"
    if reply.status == 401:
        message = "its token is unknown, expired or revoked"
    elif reply.code == "forbidden":
        message = "the token is not a worker's; `forestall workers create` makes one"
    elif reply.code == "worker_mismatch":
        message = "the token belongs to a worker with another id"
    elif reply.code == "route_not_found":
        message = "what answers there knows no workers; is it an older control plane?"
    return WorkerRefusedError(f"the control plane does not take this worker: {message}")
