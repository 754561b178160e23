"""The background tasks of a server: reload changed policy files, keep time, purge originals."""

import asyncio
import logging

from forestall.control.expire import tick
from forestall.control.plane import Plane
from forestall.control.publish import publish, refuse
from forestall.control.purge import purge
from forestall.control.records import SYSTEM_ACTOR
from forestall.errors import ForestallError, UnavailableError
from forestall.policy.problems import PolicyError
from forestall.server.files import policy_signature, read_policy_files
from forestall.server.settings import Settings

POLICY_POLL_SECONDS = 0.5
POLICY_RETRY_SECONDS = 2  # when the store could not commit a changed policy
PURGE_SECONDS = 60.0  # often enough: an original is kept for days
TICK_SECONDS = 0.1  # how late a lease may end or a throttled job may be offered
_WORK = logging.getLogger("forestall.work")
_LOG = logging.getLogger("forestall.policy")


async def follow_policy(plane: Plane, settings: Settings, reload: asyncio.Event) -> None:
    """Publish changed policy files, for ever. A broken file is logged and recorded; the policy in
    force stays."""
    taken = latest = policy_signature(settings.policy)
    while True:
        forced = await _wait(reload, POLICY_POLL_SECONDS)
        now = policy_signature(settings.policy)
        # A file that still changes may be half written, and half a policy can be a policy.
        settled, latest = now == latest, now
        if forced or (settled and now != taken):
            taken = now
            if not await _reload(plane, settings):
                taken = ()  # equals no signature, so the next look tries again
                await asyncio.sleep(POLICY_RETRY_SECONDS)


async def keep_time(plane: Plane) -> None:
    """End leases, pass deadlines and let throttled jobs run again, for ever."""
    failing = False
    while True:
        await asyncio.sleep(TICK_SECONDS)
        try:
            await tick(plane)
            failing = False
        except ForestallError as error:
            if not failing:
                _WORK.error("leases and deadlines are behind: %s", error.message)
            failing = True  # what was not done stays due, so the next tick does it
        except Exception:  # noqa: BLE001 - one failed tick must not end the later ones
            _WORK.exception("unforeseen error while keeping time")


async def keep_nothing_too_long(plane: Plane) -> None:
    """Purge sealed originals that are past their time, for ever."""
    while True:
        try:
            while await purge(plane):
                continue
        except ForestallError as error:
            _WORK.error("sealed originals past their time are still there: %s", error.message)
        except Exception:  # noqa: BLE001 - the next round tries again
            _WORK.exception("unforeseen error while purging sealed originals")
        await asyncio.sleep(PURGE_SECONDS)


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    event.clear()
    return True


async def _reload(plane: Plane, settings: Settings) -> bool:
    """Publish the policy files. False: the store was not available, so it must be tried again."""
    before = plane.snapshot.digest if plane.snapshot is not None else ""
    try:
        files = await asyncio.to_thread(read_policy_files, settings.policy)
        snapshot = await publish(plane, files, actor=SYSTEM_ACTOR)
        if snapshot.digest != before:
            _LOG.info("policy %s in force: %d rules", snapshot.digest[:12], snapshot.rule_count)
    except PolicyError as error:
        _LOG.error(
            "the changed policy was NOT taken up; %s stays in force\n%s",
            before[:12],
            error.render(),
        )
        await _record_refusal(plane, error)
    except ForestallError as error:
        _LOG.error(
            "the changed policy was NOT taken up; %s stays in force: %s", before[:12], error.message
        )
        if isinstance(error, UnavailableError):
            return False
        await _record_refusal(plane, error)
    return True


async def _record_refusal(plane: Plane, error: ForestallError) -> None:
    try:
        await refuse(plane, error)
    except ForestallError as failure:
        _LOG.error("the refusal could not be recorded: %s", failure.message)
