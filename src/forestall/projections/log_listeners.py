"""Wake the followers of the log when it has grown. Holds no record: followers read the log itself.

A lost announcement delays records and loses none: after the next one a follower reads from where it
stood. All followers are woken together, at most once in STREAM_WAKE_MS_MIN however many commits
there are, so that a thousand followers read one page together.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from forestall.audit.record import Record
from forestall.errors import ForestallError, UnavailableError
from forestall.identity.credentials import Subject
from forestall.limits import (
    STREAM_HEARTBEAT_SECONDS,
    STREAM_WAKE_MS_MIN,
    STREAMS_MAX,
    STREAMS_PER_KEY_MAX,
    STREAMS_PER_TENANT_MAX,
)


class TooManyStreamsError(ForestallError):
    """This key, this tenant or this server has as many open streams as it may have."""

    code, http_status = "too_many_streams", 429


class StoppingError(UnavailableError):
    """The server is stopping and opens nothing new; another one may take over."""

    code, http_status = "stopping", 503


class LogListener:
    """One follower of the log of a tenant, or of one of its jobs (`job_id`; empty: of all). The
    follower closes it."""

    __slots__ = ("_announcer", "_woken", "job_id", "subject")

    def __init__(self, announcer: "LogListeners", subject: Subject, job_id: str) -> None:
        self._announcer = announcer
        self._woken = asyncio.Event()
        self.subject = subject
        self.job_id = job_id

    async def wait(self, seconds: float) -> bool:
        """Wait to be woken; False when that did not happen within so many seconds. A wake-up since
        the last call counts too."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    def wake(self) -> None:
        """End the wait that is under way, or the next one."""
        self._woken.set()

    def close(self) -> None:
        """Stop listening. Safe to call twice."""
        self._announcer.leave(self)

    def __enter__(self) -> "LogListener":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class LogListeners:
    """Every follower of the log, by tenant. For one event loop. `stopping`: the server stops, and
    no new follower is taken."""

    def __init__(self) -> None:
        self._by_tenant: dict[str, set[LogListener]] = {}
        self._by_key: Counter[str] = Counter()
        self._count = 0
        self._grown: dict[str, set[str]] = {}  # tenant → job ids with new records; "": of no job
        self._timer: asyncio.TimerHandle | None = None
        self._woke_at = 0.0
        self.wakes = 0  # number of wake-ups; a read begun at this number saw what they announced
        self.stopping = False

    def __len__(self) -> int:
        return self._count

    def listen(self, subject: Subject, job_id: str = "") -> LogListener:
        """A follower of the subject's tenant, or of one job. Raises TooManyStreamsError,
        StoppingError."""
        if self.stopping:
            raise StoppingError("the server is stopping; try again", retry_after_s=1)
        of_tenant = self._by_tenant.get(subject.tenant, ())
        for count, most, whose in (
            (self._by_key[subject.key_id], STREAMS_PER_KEY_MAX, "this API key"),
            (len(of_tenant), STREAMS_PER_TENANT_MAX, "this tenant"),
            (self._count, STREAMS_MAX, "this server"),
        ):
            if count >= most:
                raise TooManyStreamsError(
                    f"{whose} has {most} open streams already; close one first",
                    details={"limit": most},
                    retry_after_s=STREAM_HEARTBEAT_SECONDS,
                )
        listener = LogListener(self, subject, job_id)
        self._by_tenant.setdefault(subject.tenant, set()).add(listener)
        self._by_key[subject.key_id] += 1
        self._count += 1
        return listener

    def leave(self, listener: LogListener) -> None:
        """Forget one follower. Does nothing for one that was forgotten before."""
        subject = listener.subject
        of_tenant = self._by_tenant.get(subject.tenant, set())
        if listener not in of_tenant:
            return
        of_tenant.remove(listener)
        if not of_tenant:
            del self._by_tenant[subject.tenant]
        self._by_key[subject.key_id] -= 1
        if not self._by_key[subject.key_id]:
            del self._by_key[subject.key_id]
        self._count -= 1

    def grew(self, records: Sequence[Record]) -> None:
        """Note that these records are durable, and schedule the wake-up of their followers. Costs
        nothing while there is no follower."""
        if not self._count:
            return
        for record in records:
            if record.tenant in self._by_tenant:
                self._grown.setdefault(record.tenant, set()).add(record.job_id)
        if self._grown and self._timer is None:
            loop = asyncio.get_running_loop()
            due_at = max(loop.time(), self._woke_at + STREAM_WAKE_MS_MIN / 1000)
            self._timer = loop.call_at(due_at, self._wake)

    def stop(self) -> None:
        """Wake every follower for the last time; no new one is taken from now on."""
        self.stopping = True
        for listeners in self._by_tenant.values():
            for listener in listeners:
                listener.wake()

    def _wake(self) -> None:
        self._timer = None
        self._woke_at = asyncio.get_running_loop().time()
        self.wakes += 1
        grown, self._grown = self._grown, {}
        for tenant, jobs in grown.items():
            for listener in self._by_tenant.get(tenant, ()):
                # A record of no job may be the end of a key, which concerns every follower.
                if not listener.job_id or listener.job_id in jobs or "" in jobs:
                    listener.wake()
