"""When Python's garbage collector may stop the server: young objects often, all objects rarely.

Python frees almost every object when the last reference goes; the collector is for cycles. A full
collection looks at every object and stops all requests meanwhile, so it runs by the clock and by
the growth of memory instead of by Python's own count (ADR 0021). Objects that were alive when the
server began to answer are never looked at again.
"""

import asyncio
import gc
import sys
import time

from forestall.limits import (
    FULL_COLLECTION_BLOCKS_MIN,
    FULL_COLLECTION_GROWTH_PERCENT,
    FULL_COLLECTION_SECONDS,
)

LOOK_SECONDS = 5.0  # between two looks at the growth of memory
# Containers made and not yet dropped before the young are looked at, and young collections before
# the middle generation is: beyond what 64 requests in flight hold, and still a pause of about 2 ms.
YOUNG_OBJECTS = 5_000
YOUNG_COLLECTIONS = 10
_NEVER = 1_000_000_000  # by Python's own count, that is


class FullCollections:
    """Decides when the next full collection is due. Arithmetic on given numbers only."""

    __slots__ = ("_blocks", "_seconds")

    def __init__(self, *, seconds: float, blocks: int) -> None:
        self.done(seconds=seconds, blocks=blocks)

    def done(self, *, seconds: float, blocks: int) -> None:
        """Note that a full collection ran at an instant and left so many memory blocks in use."""
        self._seconds, self._blocks = seconds, blocks

    def is_due(self, *, seconds: float, blocks: int) -> bool:
        """Whether enough time has passed, or memory has grown enough, since the last one."""
        growth = max(
            self._blocks * FULL_COLLECTION_GROWTH_PERCENT // 100, FULL_COLLECTION_BLOCKS_MIN
        )
        return seconds - self._seconds >= FULL_COLLECTION_SECONDS or blocks - self._blocks > growth


def freeze_start() -> None:
    """Exclude the objects of the start (modules, policy, keys) from later collections. Call once.

    Does not collect first: a start leaves some ten cycles behind, and to find them would make it
    35 ms longer. An object dropped later (a replaced policy) has no cycles, so it is freed at once.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_COLLECTIONS, _NEVER)


async def collect_rarely() -> None:
    """Run full collections when they are due, for ever."""
    due = FullCollections(seconds=time.monotonic(), blocks=sys.getallocatedblocks())
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if due.is_due(seconds=time.monotonic(), blocks=sys.getallocatedblocks()):
            gc.collect()
            due.done(seconds=time.monotonic(), blocks=sys.getallocatedblocks())
