"""What a server does beside answering: it keeps time, decides approvals again, purges originals.

Each coroutine runs for ever. What a round could not do stays due, so the next round does it.
"""

import asyncio
import logging
from pathlib import Path

from forestall.control.expire import tick
from forestall.control.plane import Plane
from forestall.control.purge import purge
from forestall.control.redecide import redecide_stale
from forestall.errors import ForestallError
from forestall.limits import REMEMBER_SECONDS
from forestall.server.last_seen import LastSeen, write_last_seen

PURGE_SECONDS = 60.0  # often enough: an original is kept for days
TICK_SECONDS = 0.1  # how late a lease may end or a throttled job may be offered
REDECIDE_PAUSE_SECONDS = 0.005  # between two batches, in which others have their turn
_LOG = logging.getLogger("forestall.work")


async def run_ticks(plane: Plane) -> None:
    """End leases, pass deadlines and let throttled jobs run again, for ever."""
    failing = False
    while True:
        await asyncio.sleep(TICK_SECONDS)
        try:
            await tick(plane)
            failing = False
        except ForestallError as error:
            if not failing:
                _LOG.error("leases and deadlines are behind: %s", error.message)
            failing = True  # what was not done stays due, so the next tick does it
        except Exception:  # noqa: BLE001 - one failed tick must not end the later ones
            _LOG.exception("unforeseen error while keeping time")


async def redecide_approvals(plane: Plane) -> None:
    """Decide approvals again that a change of policy, registry or keys made stale, for ever."""
    failing = False
    while True:
        count = 0
        try:
            count = await redecide_stale(plane)
            failing = False
        except ForestallError as error:
            if not failing:
                _LOG.error("approvals are not decided again: %s", error.message)
            failing = True  # they stay stale, so the next round decides them
        except Exception:  # noqa: BLE001 - one failed round must not end the later ones
            _LOG.exception("unforeseen error while deciding approvals again")
        await asyncio.sleep(REDECIDE_PAUSE_SECONDS if count else TICK_SECONDS)


async def purge_originals(plane: Plane) -> None:
    """Purge sealed originals that are past their time, for ever."""
    while True:
        try:
            while await purge(plane):
                continue
        except ForestallError as error:
            _LOG.error("sealed originals past their time are still there: %s", error.message)
        except Exception:  # noqa: BLE001 - the next round tries again
            _LOG.exception("unforeseen error while purging sealed originals")
        await asyncio.sleep(PURGE_SECONDS)


async def save_last_seen(plane: Plane, folder: Path) -> None:
    """Write the latest time and the last uses of keys to disk now and then, for ever."""
    while True:
        await asyncio.sleep(REMEMBER_SECONDS)
        await asyncio.to_thread(write_last_seen, folder, last_seen_of(plane))


def last_seen_of(plane: Plane) -> LastSeen:
    """What this run leaves for the next one."""
    return LastSeen(latest_us=plane.clock.now_us(), key_uses=plane.key_uses.all())
