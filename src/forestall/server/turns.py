"""Places for work beside the event loop, in turns: each tenant in turn, in it each key in turn.

A key and a tenant have a bound on the places they hold at once, lower than the number of places, so
one of them is free for others or will be soon; and a bound on how many of theirs wait. Whoever
arrives waits for one turn of each other tenant at most, however much another has sent.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from contextvars import ContextVar

from forestall.identity.shares import THE_PLANE, Payer, Shares

# Set by the gateway for each request, so that threads are shared by payer without every verb
# between them naming one.
PAYER: ContextVar[Payer] = ContextVar("forestall_payer", default=THE_PLANE)
# What the work of a request's thread costs, in seconds of processor time; called when it is done.
COST: ContextVar[Callable[[Payer, float], None]] = ContextVar(
    "forestall_cost", default=lambda payer, seconds: None
)
_Line = deque["asyncio.Future[None]"]


class Turns:
    """The places of one pool of threads. For one event loop. `waiting` bounds how many wait; None:
    whoever calls has bounded that."""

    def __init__(
        self, places: int, *, per_tenant: int, per_key: int, waiting: Shares | None
    ) -> None:
        self._free = places
        self._per_tenant, self._per_key = per_tenant, per_key
        self._waiting = waiting
        self._lines: dict[str, dict[str, _Line]] = {}
        self._of_tenant: Counter[str] = Counter()
        self._of_key: Counter[str] = Counter()

    async def take(self, payer: Payer) -> None:
        """Wait for a place, and hold it until `give`. Raises ShareTakenError before it waits."""
        if self._may(payer):
            self._hold(payer)
            return
        if self._waiting is not None:
            self._waiting.take(payer)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(payer.tenant, {}).setdefault(payer.key_id, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(payer)  # the place was given in the moment in which the waiter left
            else:
                self._leave(payer, turn)
            raise
        finally:
            if self._waiting is not None:
                self._waiting.give(payer)

    def give(self, payer: Payer) -> None:
        """Give a place back; whoever is next holds it at once."""
        self._free += 1
        for counts, name in ((self._of_key, payer.key_id), (self._of_tenant, payer.tenant)):
            counts[name] -= 1
            if not counts[name]:
                del counts[name]
        while (following := self._following()) is not None:
            payer = following
            turn = self._lines[payer.tenant][payer.key_id][0]
            self._leave(payer, turn)
            # Behind all others of its kind from now on.
            keys = self._lines.get(payer.tenant)
            if keys is not None:
                if payer.key_id in keys:
                    keys[payer.key_id] = keys.pop(payer.key_id)
                self._lines[payer.tenant] = self._lines.pop(payer.tenant)
            self._hold(payer)
            turn.set_result(None)

    def _may(self, payer: Payer) -> bool:
        return (
            self._free > 0
            and self._of_tenant[payer.tenant] < self._per_tenant
            and self._of_key[payer.key_id] < self._per_key
        )

    def _hold(self, payer: Payer) -> None:
        self._free -= 1
        self._of_tenant[payer.tenant] += 1
        self._of_key[payer.key_id] += 1

    def _following(self) -> Payer | None:
        if not self._free:
            return None
        waiting = (Payer(tenant, key) for tenant, keys in self._lines.items() for key in keys)
        return next((payer for payer in waiting if self._may(payer)), None)

    def _leave(self, payer: Payer, turn: "asyncio.Future[None]") -> None:
        keys = self._lines[payer.tenant]
        keys[payer.key_id].remove(turn)
        if not keys[payer.key_id]:
            del keys[payer.key_id]
            if not keys:
                del self._lines[payer.tenant]
