"""An event loop whose time is made up: nothing sleeps, nothing is read from a socket or a clock.

When no callback is ready, time jumps to the next timer. The order of callbacks follows from the
order in which they were asked for, so the same program gives the same run every time.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

TURNS_MAX = 300_000  # an ordinary run takes less than a tenth of it

TURN_S = 1e-6


class DeadlockError(Exception):
    """Everybody waits and no timer is set, or the run does not come to an end."""


class _NoSockets:
    """What the base loop asks for events; passing time is all it does."""

    def __init__(self, loop: "SimLoop") -> None:
        self._loop = loop
        self.turns = 0

    def select(self, timeout: float | None) -> list[object]:
        """No socket ever has an event."""
        self.turns += 1
        if self.turns > TURNS_MAX:
            raise DeadlockError(f"no end after {TURNS_MAX} turns of the loop")
        if timeout is None:
            raise DeadlockError("everybody waits for somebody else")
        self._loop.pass_time(timeout)
        return []


class SimLoop(asyncio.BaseEventLoop):
    """`asyncio` over virtual seconds, which begin at 0."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _NoSockets(self)
        self._now_s = 0.0
        self.unhandled: list[str] = []  # what no task looked at
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self._now_s

    def pass_time(self, seconds: float) -> None:
        """Let time pass while nobody has anything to do; a turn of the loop takes time too."""
        self._now_s += max(TURN_S, seconds)

    def allow_turns(self) -> None:
        """Count the turns of the loop from 0 again."""
        self._selector.turns = 0

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.unhandled.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _process_events(self, event_list: list[object]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""


async def _turn() -> None:
    await asyncio.sleep(0)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run one coroutine to its end on a loop of its own."""
    loop = SimLoop()
    try:
        task = loop.create_task(main, context=Context())
        loop.run_until_complete(task)
        if loop.unhandled:
            raise AssertionError(f"errors that nobody looked at: {loop.unhandled[:3]}")
    finally:
        loop.allow_turns()  # a run that did not come to an end is ended here
        for _ in range(50):  # a task may need several turns to end
            for task in sorted(asyncio.all_tasks(loop), key=asyncio.Task.get_name):
                task.cancel()
            loop.run_until_complete(_turn())
        loop.close()
