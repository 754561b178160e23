"""A worker's conversation with its control plane: what is asked again, how soon, and when not.

Everything a worker says is safe to say again: a lease that was not heard of ends by itself, and an
answer that was taken is recognised.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from forestall.client.worker_http import AwayError, Door, Reply
from forestall.errors import ForbiddenError

_LOG = logging.getLogger("forestall.worker")
_ANSWER_SECONDS = 30.0
_LAST_ASK_SECONDS = 2.0
_BACK_OFF_SECONDS_FIRST, _BACK_OFF_SECONDS_MAX = 0.1, 5.0


class WorkerRefusedError(ForbiddenError):
    """The control plane does not take this worker: its token, its id or what it asks."""

    code, http_status = "worker_refused", 403


class Session(msgspec.Struct, frozen=True):
    """What the control plane said at registration."""

    worker_id: str
    tenant: str
    heartbeat_ms: int
    wait_ms_max: int
    ticket_keys: list[str]
    topics: list[str] = []


class BackOff:
    """Longer each time, jittered, so that workers do not come back all at once."""

    def __init__(self) -> None:
        self._next = _BACK_OFF_SECONDS_FIRST

    def seconds(self, least: float = 0.0) -> float:
        """How long to wait now."""
        ceiling, self._next = self._next, min(2 * self._next, _BACK_OFF_SECONDS_MAX)
        return max(least, ceiling * (0.5 + random.random() / 2))  # noqa: S311 - jitter


class Link:
    """One worker, as its control plane knows it. For one event loop."""

    def __init__(self, url: str, token: str, worker_id: str, wanted: bytes) -> None:
        """`wanted`: the body of the registration. Raises InvalidRequestError."""
        self._door = Door(url, token)
        self._id = worker_id
        self._wanted = wanted
        self._known: Session | None = None
        self._registering = asyncio.Lock()
        self.stopping = asyncio.Event()
        self.on_keys: Callable[[list[str]], None] = lambda keys: None

    @property
    def session(self) -> Session:
        """What was said at the last registration."""
        assert self._known is not None, "the worker is registered first"
        return self._known

    async def register(self) -> bool:
        """Register, as soon as that can be done; False when the worker stops before.

        Raises WorkerRefusedError, TicketKeysError.
        """
        return await self.ask("register", self._wanted) is not None

    async def ask(
        self, verb: str, body: bytes, *, wait_ms: int = 0, to_the_end: bool = False
    ) -> Reply | None:
        """The good answer to a question that may be put again; None when the worker stops.

        Raises WorkerRefusedError, TicketKeysError.
        """
        back_off, said = BackOff(), False
        path, seconds = self.path(verb), wait_ms / 1_000 + _ANSWER_SECONDS
        while True:
            before, least = self._known, 0.0
            try:
                reply = await self._door.post(path, body, seconds=seconds)
            except AwayError as error:
                problem = f"no answer from {self._door.url}: {error}"
            else:
                if reply.status == 200:
                    if verb == "register":
                        self._registered(reply)
                    elif said:
                        _LOG.info("the control plane answers again")
                    return reply
                if reply.code == "worker_not_registered" and verb != "register":
                    await self._register_again(before)
                    continue
                if not passing(reply):
                    raise refused(reply)
                least = reply.retry_after_s
                problem = f"the control plane answered {reply.status} {reply.code}"
            if not said:
                _LOG.warning("%s; trying again", problem)
                said = True
            if self.stopping.is_set() and not to_the_end:
                return None
            await self._pause(back_off.seconds(least), to_the_end=to_the_end)

    async def post(self, path: str, body: bytes) -> Reply:
        """One answer to one request. Raises AwayError."""
        return await self._door.post(path, body, seconds=_ANSWER_SECONDS)

    async def tell(self, path: str, body: bytes) -> None:
        """Say something whose answer does not matter, until it is heard."""
        back_off = BackOff()
        while True:
            with contextlib.suppress(AwayError):
                if not passing(await self.post(path, body)):
                    return
            await asyncio.sleep(back_off.seconds())

    async def end_waiting(self) -> None:
        """Have the control plane answer the lease that waits: registering anew does that.

        Hanging up instead could lose jobs that are on their way.
        """
        with contextlib.suppress(AwayError):
            await self._door.post(self.path("register"), self._wanted, seconds=_LAST_ASK_SECONDS)

    def close(self) -> None:
        """Let go of the connections."""
        self._door.close()

    def path(self, verb: str) -> str:
        return f"/api/v1/workers/{quote(self._id, safe='')}/{verb}"

    async def _pause(self, seconds: float, *, to_the_end: bool) -> None:
        if to_the_end:
            await asyncio.sleep(seconds)
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), seconds)

    async def _register_again(self, before: Session | None) -> None:
        """After a restart of the control plane; once, however many requests found out."""
        async with self._registering:
            if self._known is before:
                await self.ask("register", self._wanted, to_the_end=True)

    def _registered(self, reply: Reply) -> None:
        try:
            session = _SESSION.decode(reply.body)
        except msgspec.DecodeError as cause:
            raise WorkerRefusedError(f"the registration cannot be read: {cause}") from cause
        self.on_keys(session.ticket_keys)
        _LOG.info(
            "registered%s as worker %s of tenant %s for %s",
            "" if self._known is None else " anew",
            session.worker_id,
            session.tenant,
            ", ".join(session.topics) or "nothing",
        )
        self._known = session


_SESSION = msgspec.json.Decoder(Session)


def job_path(job_id: str, verb: str) -> str:
    """Where something is said of a job."""
    return f"/api/v1/jobs/{quote(job_id, safe='')}/{verb}"


def passing(reply: Reply) -> bool:
    """Whether the same request may be answered otherwise a little later."""
    if reply.status in (408, 429) or reply.status >= 500:
        return True
    return reply.status == 409 and reply.code == "precondition_failed"


def refused(reply: Reply) -> WorkerRefusedError:
    """Why the control plane takes nothing from this worker, for who started it."""
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
