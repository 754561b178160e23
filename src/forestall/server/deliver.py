"""Deliver the events of approvals to webhooks: in order, at least once, each webhook in a task of
its own.

The log is the queue. The mark of a webhook is the position up to which its messages were delivered
or given up; it moves after each message, in a commit with its record. So a restart repeats at most
one message for each webhook, and a receiver that is slow or down delays no other.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec

from forestall.audit.record import Value
from forestall.control.plane import Plane
from forestall.control.webhooks import (
    WebhookNotFoundError,
    make_link,
    move_mark,
    secret_of,
    sweep_links,
)
from forestall.errors import ForestallError, UnavailableError
from forestall.identity.credentials import Subject
from forestall.identity.roles import Role
from forestall.jobs.approval import ApprovalStatus
from forestall.jobs.attempts import retry_delay_us
from forestall.jobs.job import Job
from forestall.jobs.webhook import (
    SIGNATURE_HEADER,
    ApprovalLink,
    DeliveryMark,
    Reach,
    Webhook,
    WebhookEvent,
    signature,
)
from forestall.limits import (
    STREAM_HEARTBEAT_SECONDS,
    WEBHOOK_RECORDS_PER_MARK_MAX,
    WEBHOOK_TRIES_MAX,
)
from forestall.ports.log_entry import LogEntry
from forestall.projections.log_listeners import LogListener, StoppingError, TooManyStreamsError
from forestall.projections.webhooks import WebhookName
from forestall.server.metrics import Metrics
from forestall.server.post import DeliveryError, WebhookSender
from forestall.wire.webhooks import event_of, message

_LOOK_SECONDS = 1.0  # between two looks for new webhooks, and two tries of a failing store
_SWEEP_EVERY = 60  # looks between two sweeps of expired links
_LOG = logging.getLogger("forestall.webhooks")
T = TypeVar("T")
_Sleep = Callable[[float], Awaitable[None]]


class Sender(Protocol):
    """Posts messages to webhooks."""

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> None:
        """Post a message; returns when the receiver has accepted it. Raises DeliveryError."""
        ...


async def deliver_to_webhooks(plane: Plane, metrics: Metrics) -> None:
    """Deliver messages, for ever; returns at once when webhooks are off."""
    if plane.webhooks.reach is Reach.OFF:
        return
    with contextlib.closing(WebhookSender(plane.webhooks.reach)) as sender:
        await Deliverer(plane, sender, metrics).run()


class Deliverer:
    """One task for each declared webhook."""

    def __init__(
        self, plane: Plane, sender: Sender, metrics: Metrics, sleep: _Sleep = asyncio.sleep
    ) -> None:
        self._plane, self._sender, self._metrics, self._sleep = plane, sender, metrics, sleep
        self._tasks: dict[WebhookName, tuple[bytes, asyncio.Task[None]]] = {}  # with its entry

    async def run(self) -> None:
        """Keep one task for each webhook, for ever. A task that ended by an unforeseen error is
        started again."""
        looks = 0
        try:
            while True:
                await self.start_and_end_tasks()
                looks += 1
                if looks % _SWEEP_EVERY == 0:
                    with contextlib.suppress(ForestallError):  # the next sweep finds them again
                        await sweep_links(self._plane)
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            for name in list(self._tasks):
                await self._end(name)

    async def start_and_end_tasks(self) -> None:
        """Start a task for each new webhook, end that of each removed one, and restart that of each
        changed one."""
        declared = dict(self._plane.webhooks)
        for name, (body, task) in list(self._tasks.items()):
            webhook = declared.get(name)
            if webhook is None or webhook.entry.body != body or task.done():
                await self._end(name)
        for name, webhook in declared.items():
            if name not in self._tasks:
                task = asyncio.create_task(self._deliver_log(name))
                self._tasks[name] = (webhook.entry.body, task)

    async def _end(self, name: WebhookName) -> None:
        _, task = self._tasks.pop(name)
        task.cancel()
        try:
            await task
        except (asyncio.CancelledError, WebhookNotFoundError):
            pass
        except Exception:  # noqa: BLE001 - the next look starts the task again
            _LOG.exception("unforeseen error while telling the webhook %s", name[1])

    async def _deliver_log(self, name: WebhookName) -> None:
        """Deliver the events of the log to one webhook, from its mark on, until the server
        stops."""
        tenant, hook_name = name
        plane = self._plane
        subject = Subject(
            tenant=tenant,
            principal="system",
            role=Role.ADMIN,
            key_id=f"webhook:{tenant}:{hook_name}",
        )
        with contextlib.ExitStack() as stack:
            # When the limit on streams leaves no listener, the task reads the log once a second.
            listener: LogListener | None = None
            with contextlib.suppress(TooManyStreamsError, StoppingError):
                listener = stack.enter_context(plane.announcer.listen(subject))
            position = self._mark(name).position
            while not plane.announcer.stopping:
                position, more = await self._deliver_page(name, position)
                if more:
                    continue
                if listener is not None:
                    await listener.wait(STREAM_HEARTBEAT_SECONDS)
                else:
                    await self._sleep(_LOOK_SECONDS)

    async def _deliver_page(self, name: WebhookName, position: int) -> tuple[int, bool]:
        """Deliver the events in one page of the log. Returns the position of the next page, and
        whether it can be read at once."""
        plane, tenant = self._plane, name[0]
        try:
            page = await plane.tail.page(tenant, "", position)
        except UnavailableError:
            await self._sleep(_LOOK_SECONDS)
            return position, True
        for entry in page.entries:
            event = event_of(entry)
            webhook = plane.webhooks.webhook(*name)
            if webhook is None:
                raise WebhookNotFoundError("the webhook was ended")
            if event is not None and event in webhook.value.events:
                await self._deliver(tenant, webhook.value, event, entry)
        mark = self._mark(name)
        if page.end - mark.position > WEBHOOK_RECORDS_PER_MARK_MAX:
            moved = msgspec.structs.replace(mark, position=page.end)
            await self._until_stored(lambda: move_mark(plane, tenant, moved, "advanced", {}))
        return page.end, page.more

    async def _deliver(
        self, tenant: str, hook: Webhook, event: WebhookEvent, entry: LogEntry
    ) -> None:
        plane = self._plane
        view = await self._until_stored(lambda: plane.store.job(tenant, entry.job_id))
        mark = self._mark((tenant, hook.name))
        after = msgspec.structs.replace(mark, position=entry.position + 1)
        if view is None or view.job.approval is None:
            return
        link = await self._link(hook, event, view.job)
        body = message(hook, event, entry, view.job, link)
        problem, tries = await self._post(tenant, hook, event, entry, body)
        data: dict[str, Value] = {
            "event": event.value,
            "at_position": entry.position,
            "tries": tries,
        }
        if not problem:
            after = msgspec.structs.replace(after, delivered=mark.delivered + 1)
            outcome = "delivered"
        else:
            after = msgspec.structs.replace(after, dead=mark.dead + 1, problem=problem)
            data["problem"] = problem
            outcome = "dead_lettered"
            _LOG.error("webhook %s of %s was not told: %s", hook.name, tenant, problem)
        self._metrics.webhook_message(outcome)
        await self._until_stored(
            lambda: move_mark(plane, tenant, after, outcome, data, job_id=entry.job_id)
        )

    def _mark(self, name: WebhookName) -> DeliveryMark:
        mark = self._plane.webhooks.mark(*name)
        if mark is None:
            raise WebhookNotFoundError("the webhook was ended")
        return mark.value

    async def _post(
        self, tenant: str, hook: Webhook, event: WebhookEvent, entry: LogEntry, body: bytes
    ) -> tuple[str, int]:
        """Post a message until it is delivered or the tries are spent. Returns the last problem
        (empty: delivered) and the number of tries."""
        problem = ""
        secret = secret_of(self._plane, tenant, hook)
        for attempt in range(1, WEBHOOK_TRIES_MAX + 1):
            at_s = self._plane.clock.now_us() // 1_000_000
            headers = {
                SIGNATURE_HEADER: signature(secret, body, at_s),
                "X-Forestall-Event": event.value,
                "X-Forestall-Delivery": f"{hook.name}-{entry.position}",
            }
            try:
                await self._sender.send(hook.url, headers, body)
            except DeliveryError as error:
                problem = error.message
                self._metrics.webhook_message("failed")
            else:
                return "", attempt
            if attempt < WEBHOOK_TRIES_MAX:
                chance = int.from_bytes(self._plane.random.token(2), "big")
                await self._sleep(retry_delay_us(attempt, chance) / 1_000_000)
        return problem, WEBHOOK_TRIES_MAX

    async def _link(self, hook: Webhook, event: WebhookEvent, job: Job) -> str:
        """The link that opens the approval; empty for a webhook without links, and when there is
        nothing to decide."""
        approval = job.approval
        if event is not WebhookEvent.ASKED or not hook.link_base:
            return ""
        if approval is None or approval.status is not ApprovalStatus.PENDING:
            return ""
        link = ApprovalLink(job_id=job.id, webhook=hook.name, expires_at_us=approval.expires_at_us)
        token = await self._until_stored(lambda: make_link(self._plane, job.tenant, link))
        # The token stands behind `#`: a browser sends a fragment to no server, so the token gets
        # into no access log.
        return f"{hook.link_base}/approvals/open#{token}" if token else ""

    async def _until_stored(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, tried again until the store is available."""
        while True:
            try:
                return await work()
            except UnavailableError:
                await self._sleep(_LOOK_SECONDS)
