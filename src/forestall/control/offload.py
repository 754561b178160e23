"""Evaluate requests with long payloads in threads, so that no request waits for another's payload.

Evaluation is a pure function, so it may run anywhere. The number of payloads that wait is bounded,
and bounded lower for each key: one key cannot fill the queue. Decides nothing itself (ADR 0019).
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Protocol, TypeVar

from forestall.errors import UnavailableError
from forestall.limits import (
    INSPECTIONS_PER_KEY_MAX,
    INSPECTIONS_WAITING_MAX,
)

T = TypeVar("T")


class InspectionBusyError(UnavailableError):
    """Too many long payloads wait for their evaluation. Nothing was decided; try again soon."""

    code, http_status = "inspection_busy", 503


class Executor(Protocol):
    """Runs work beside the event loop."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work`, and return or raise what it does."""
        ...


class InlineExecutor:
    """Runs work on the calling thread: for simulations, tests and the command line."""

    async def run(self, work: Callable[[], T]) -> T:
        """See `Executor.run`."""
        return work()


class Inspections:
    """The evaluations of long payloads in flight, counted by key. For one event loop."""

    __slots__ = ("_executor", "_of_key")

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor: Executor = executor if executor is not None else InlineExecutor()
        self._of_key: Counter[str] = Counter()

    async def run(self, work: Callable[[], T], *, key_id: str) -> T:
        """Run `work`, and return or raise what it does. Raises InspectionBusyError, before `work`
        begins, when too many evaluations wait, or too many of this key."""
        if (
            self._of_key[key_id] >= INSPECTIONS_PER_KEY_MAX
            or self._of_key.total() >= INSPECTIONS_WAITING_MAX
        ):
            raise InspectionBusyError(
                "too many long payloads wait to be looked into; nothing was decided, try again",
                retry_after_s=1,
            )
        self._of_key[key_id] += 1
        under_way = asyncio.ensure_future(self._executor.run(work))
        # The slot is freed when the thread is done, not when the caller goes away: the thread
        # cannot be stopped, so it is taken until then.
        under_way.add_done_callback(lambda done: self._ended(key_id))
        return await asyncio.shield(under_way)

    def _ended(self, key_id: str) -> None:
        self._of_key[key_id] -= 1
        if not self._of_key[key_id]:
            del self._of_key[key_id]
