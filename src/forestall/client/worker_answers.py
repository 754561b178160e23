"""Send a worker's answers, several in one request: those that become ready while one is on its way.

No answer waits for others to come: the first one leaves at once. Each answer of a batch is taken or
refused by itself, so that a batch is as safe to send again as its parts.
"""

import asyncio
from collections import deque
from typing import NamedTuple

import msgspec

from forestall.client.http.message import HttpResponse, NoAnswerError
from forestall.client.worker_link import PlaneConnection, job_path
from forestall.limits import LEASE_JOBS_MAX

_SENDERS_MAX = 4  # requests at once; more would only queue in the server
_ALONE_BYTES = 64 * 1024  # a larger answer is sent by itself
_BATCH_BYTES_MAX = 512 * 1024


class _WaitingResult(NamedTuple):
    job_id: str
    body: bytes
    reply: "asyncio.Future[HttpResponse]"


class _ResultsAnswer(msgspec.Struct, frozen=True):
    results: list[msgspec.Raw]


class _Status(msgspec.Struct, frozen=True):
    status: int


_decode_results = msgspec.json.Decoder(_ResultsAnswer).decode
_decode_status = msgspec.json.Decoder(_Status).decode


class Answers:
    """Sends answers to the control plane. For one event loop."""

    def __init__(self, link: PlaneConnection) -> None:
        self._link = link
        self._waiting: deque[_WaitingResult] = deque()
        self._senders: set[asyncio.Task[None]] = set()

    async def say(self, job_id: str, body: bytes) -> HttpResponse:
        """Send one answer once, and return the response to it. Raises NoAnswerError."""
        if len(body) > _ALONE_BYTES:
            return await self._link.post(job_path(job_id, "result"), body)
        waiting = _WaitingResult(job_id, body, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if len(self._senders) < _SENDERS_MAX:
            sender = asyncio.create_task(self._send())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return await waiting.reply

    async def _send(self) -> None:
        while self._waiting:
            batch = self._take()
            try:
                replies = await self._ask(batch)
            except Exception as error:  # noqa: BLE001 - each waiting call has to learn of it
                no_answer = error if isinstance(error, NoAnswerError) else NoAnswerError(str(error))
                for waiting in batch:
                    if not waiting.reply.done():
                        waiting.reply.set_exception(no_answer)
                continue
            for waiting, reply in zip(batch, replies, strict=True):
                if not waiting.reply.done():
                    waiting.reply.set_result(reply)

    def _take(self) -> list[_WaitingResult]:
        batch = [self._waiting.popleft()]
        size = len(batch[0].body)
        while self._waiting and len(batch) < LEASE_JOBS_MAX:
            size += len(self._waiting[0].body)
            if size > _BATCH_BYTES_MAX:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _ask(self, batch: list[_WaitingResult]) -> list[HttpResponse]:
        if len(batch) > 1:
            results = [{"job_id": each.job_id, "answer": msgspec.Raw(each.body)} for each in batch]
            reply = await self._link.post(
                self._link.path("results"), msgspec.json.encode({"results": results})
            )
            if reply.status == 200:
                return _single_replies(reply, len(batch))
            if reply.status not in (400, 404, 405, 409, 413):
                return [reply] * len(batch)  # the plane is away, or refuses this worker
        # One by one, because one unreadable answer must not fail the others.
        return [await self._link.post(job_path(each.job_id, "result"), each.body) for each in batch]


def _single_replies(reply: HttpResponse, count: int) -> list[HttpResponse]:
    """The single responses inside one response. Raises NoAnswerError when their number differs."""
    try:
        results = _decode_results(reply.body).results
        replies = [
            HttpResponse(_decode_status(raw).status, reply.headers, bytes(raw)) for raw in results
        ]
    except msgspec.DecodeError as cause:
        raise NoAnswerError("the control plane's answer cannot be read") from cause
    if len(replies) != count:
        raise NoAnswerError("the control plane answered for other jobs than it was told of")
    return replies
