"""A semaphore that serves its waiters in turn: each tenant in turn, within it each key in turn.

A key and a tenant may hold fewer places at once than there are, so a place is free for others or
will be soon; and only so many of their requests may wait. Whoever arrives waits for one turn of
each other tenant at most, however many requests another tenant has sent.
"""

import asyncio
from collections import Counter, deque

from forestall.identity.shares import Payer, Shares

_Waiters = deque["asyncio.Future[None]"]


class FairSemaphore:
    """A number of places, shared by payer. For one event loop.

    `per_tenant` and `per_key` bound the places held at once. `waiting` bounds how many wait; None:
    the caller has bounded that.
    """

    def __init__(
        self, places: int, *, per_tenant: int, per_key: int, waiting: Shares | None
    ) -> None:
        self._free = places
        self._per_tenant, self._per_key = per_tenant, per_key
        self._held_by_tenant: Counter[str] = Counter()
        self._held_by_key: Counter[str] = Counter()
        self._waiting = waiting
        # Tenant → key → its waiters, the first to come first. Tenants and keys stand in the order
        # in which they are served next.
        self._queues: dict[str, dict[str, _Waiters]] = {}

    async def acquire(self, payer: Payer) -> None:
        """Wait for a place, and hold it until `release`. Raises ShareTakenError, before it waits,
        when too many wait already."""
        if self._may_hold_another(payer):
            self._hold(payer)
            return
        if self._waiting is not None:
            self._waiting.take(payer)
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(payer.tenant, {}).setdefault(payer.key_id, deque()).append(granted)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release(payer)  # the place was granted just before the waiter was cancelled
            else:
                self._remove_waiter(payer, granted)
            raise
        finally:
            if self._waiting is not None:
                self._waiting.give(payer)

    def release(self, payer: Payer) -> None:
        """Give a place back. The next waiter that may hold it holds it at once."""
        self._free += 1
        for counts, name in (
            (self._held_by_key, payer.key_id),
            (self._held_by_tenant, payer.tenant),
        ):
            counts[name] -= 1
            if not counts[name]:
                del counts[name]
        while (next_payer := self._next_payer()) is not None:
            self._grant(next_payer)

    def _grant(self, payer: Payer) -> None:
        """Give a place to the first waiter of a payer, who then stands behind all others."""
        granted = self._queues[payer.tenant][payer.key_id][0]
        self._remove_waiter(payer, granted)
        keys = self._queues.get(payer.tenant)
        if keys is not None:
            if payer.key_id in keys:
                keys[payer.key_id] = keys.pop(payer.key_id)
            self._queues[payer.tenant] = self._queues.pop(payer.tenant)
        self._hold(payer)
        granted.set_result(None)

    def _may_hold_another(self, payer: Payer) -> bool:
        return (
            self._free > 0
            and self._held_by_tenant[payer.tenant] < self._per_tenant
            and self._held_by_key[payer.key_id] < self._per_key
        )

    def _hold(self, payer: Payer) -> None:
        self._free -= 1
        self._held_by_tenant[payer.tenant] += 1
        self._held_by_key[payer.key_id] += 1

    def _next_payer(self) -> Payer | None:
        """The waiting payer whose turn it is; None when no waiting payer may hold a place."""
        if not self._free:
            return None
        for tenant, keys in self._queues.items():
            for key_id in keys:
                payer = Payer(tenant, key_id)
                if self._may_hold_another(payer):
                    return payer
        return None

    def _remove_waiter(self, payer: Payer, granted: "asyncio.Future[None]") -> None:
        keys = self._queues[payer.tenant]
        keys[payer.key_id].remove(granted)
        if not keys[payer.key_id]:
            del keys[payer.key_id]
            if not keys:
                del self._queues[payer.tenant]
