"""Long payloads are decided on beside the event loop, so that nobody waits for another's payload.

A decision is a pure function; where it takes long because a rule looks into a long payload, it is
made in a thread, few at a time, and fewer for each key.
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
    """Too many long payloads wait to be looked into. Nothing was decided; try again in a moment."""

    code, http_status = "inspection_busy", 503


class Executor(Protocol):
    """Runs work beside the event loop."""

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises."""
        ...


class InlineExecutor:
    """Runs work where it is asked: for simulations, tests and the command line."""

    async def run(self, work: Callable[[], T]) -> T:
        """See `Executor.run`."""
        return work()


class Inspections:
    """Who may look into what, and where."""

    __slots__ = ("_executor", "_of_key")

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor: Executor = executor if executor is not None else InlineExecutor()
        self._of_key: Counter[str] = Counter()

    async def run(self, work: Callable[[], T], *, key_id: str) -> T:
        """Do it, and have what it returns or raises. Raises InspectionBusyError when too many
        wait, or too many of this key."""
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
        # Not when the caller goes away: the thread is taken until it is done.
        under_way.add_done_callback(lambda done: self._ended(key_id))
        return await asyncio.shield(under_way)

    def _ended(self, key_id: str) -> None:
        self._of_key[key_id] -= 1
        if not self._of_key[key_id]:
            del self._of_key[key_id]
