"""Evaluate requests with long payloads in threads, so that no request waits for another's payload.

Evaluation is a pure function, so it may run anywhere. The number of payloads that wait is bounded,
with a lower bound for each tenant and key, so that no tenant and no key fills the queue. Decides
nothing itself (ADR 0019).
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from forestall.errors import UnavailableError
from forestall.identity.shares import Payer, Shares, ShareTakenError
from forestall.limits import (
    INSPECTIONS_PER_KEY_MAX,
    INSPECTIONS_PER_TENANT_MAX,
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
    """The evaluations of long payloads in flight, counted by payer. For one event loop."""

    __slots__ = ("_executor", "_shares")

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor: Executor = executor if executor is not None else InlineExecutor()
        self._shares = Shares(
            "evaluations of long payloads",
            per_key=INSPECTIONS_PER_KEY_MAX,
            per_tenant=INSPECTIONS_PER_TENANT_MAX,
            total=INSPECTIONS_WAITING_MAX,
        )

    async def run(self, work: Callable[[], T], *, payer: Payer) -> T:
        """Run `work`, and return or raise what it does. Raises InspectionBusyError, before `work`
        begins, when too many evaluations wait, or too many of this payer."""
        try:
            self._shares.take(payer)
        except ShareTakenError as cause:
            raise InspectionBusyError(
                "too many long payloads wait to be looked into; nothing was decided, try again",
                retry_after_s=1,
            ) from cause
        evaluation = asyncio.ensure_future(self._executor.run(work))
        # The share is given back when the thread is done, not when the caller goes away: the
        # thread cannot be stopped, so it is taken until then.
        evaluation.add_done_callback(lambda _: self._shares.give(payer))
        return await asyncio.shield(evaluation)
