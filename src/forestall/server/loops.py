"""The background tasks of a server: reload changed policy files, keep time, purge originals."""

import asyncio
import logging
import time
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from forestall.control.expire import tick
from forestall.control.plane import Plane
from forestall.control.publish import publish, refuse
from forestall.control.purge import purge
from forestall.control.records import SYSTEM_ACTOR
from forestall.control.redecide import redecide_stale
from forestall.errors import ForestallError, UnavailableError
from forestall.limits import REMEMBER_SECONDS
from forestall.policy.problems import PolicyError
from forestall.server.files import PolicyFiles, policy_states, read_policy_files
from forestall.server.finished_writes import FinishedWrites
from forestall.server.last_seen import LastSeen, write_last_seen
from forestall.server.policy_watch import AwaitedFile, PolicyWatch
from forestall.server.settings import Settings

POLICY_POLL_SECONDS = 0.5
POLICY_RETRY_SECONDS = 2  # when the store could not commit a changed policy
PURGE_SECONDS = 60.0  # often enough: an original is kept for days
TICK_SECONDS = 0.1  # how late a lease may end or a throttled job may be offered
REDECIDE_PAUSE_SECONDS = 0.005  # between two batches, in which others have their turn
_WORK = logging.getLogger("forestall.work")
_LOG = logging.getLogger("forestall.policy")


class PolicyTelemetry(Protocol):
    """Where it is counted that a changed policy file is waited for."""

    def policy_waiting(self, waits: bool) -> None:
        """A changed file is waited for, or no longer."""


async def follow_policy(
    plane: Plane, follower: "PolicyFollower", reload: asyncio.Event, telemetry: PolicyTelemetry
) -> None:
    """Publish changed policy files when they are complete (`policy_watch`), or when `reload` is
    set, for ever. A broken file is logged and recorded; the policy in force stays."""
    while True:
        forced = await _wait(reload, POLICY_POLL_SECONDS)
        found = await asyncio.to_thread(follower.look)
        telemetry.policy_waiting(isinstance(found, AwaitedFile))
        if not forced and found is not True:
            continue
        if not await _reload(plane, follower):
            await asyncio.sleep(POLICY_RETRY_SECONDS)


class PolicyFollower:
    """What is known of the policy files of a server between two looks."""

    def __init__(self, settings: Settings) -> None:
        self._path, self._below = settings.policy, settings.policy_subdirectories
        folder = self._path if self._path.is_dir() else self._path.parent
        self._folder, self._writes = folder, FinishedWrites(folder)
        self._states = policy_states(self._path, {}, subdirectories=self._below)
        self._watch = PolicyWatch(self._states, settle_s=settings.policy_settle_seconds)
        self._told = ""

    def look(self) -> AwaitedFile | bool:
        """See `PolicyWatch.look`. A file that is waited for is logged once."""
        self._writes.look()
        self._states = policy_states(self._path, self._states, subdirectories=self._below)
        found = self._watch.look(
            self._states,
            at_s=time.monotonic(),
            renamed=self._paths(self._writes.renamed),
            being_written=self._paths(self._writes.being_written),
        )
        if not isinstance(found, AwaitedFile):
            self._told = ""
        elif found.name != self._told:
            self._told = found.name
            _LOG.info(
                "%s changed in place; it is taken up when nobody has written to it for %d seconds,"
                " at once when it is renamed into place or ends with the line `...`, or on SIGHUP",
                found.name,
                round(found.seconds),
            )
        return found

    def read(self) -> PolicyFiles | None:
        """The content of the files; None when one of them changed while they were read, and the
        next look has to see it. Raises FileAccessError."""
        before = self._states
        files = read_policy_files(self._path, subdirectories=self._below)
        self._states = policy_states(self._path, before, subdirectories=self._below)
        return files if self._states == before else None

    def take(self) -> None:
        """What was read is taken up, whether it was good or not."""
        self._watch.take(self._states)

    def _paths(self, names: Collection[str]) -> frozenset[str]:
        return frozenset(str(self._folder / name) for name in names)


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


async def keep_approvals_current(plane: Plane) -> None:
    """Decide approvals again that a change of policy, registry or keys made stale, for ever."""
    failing = False
    while True:
        count = 0
        try:
            count = await redecide_stale(plane)
            failing = False
        except ForestallError as error:
            if not failing:
                _WORK.error("approvals are not decided again: %s", error.message)
            failing = True  # they stay stale, so the next round decides them
        except Exception:  # noqa: BLE001 - one failed round must not end the later ones
            _WORK.exception("unforeseen error while deciding approvals again")
        await asyncio.sleep(REDECIDE_PAUSE_SECONDS if count else TICK_SECONDS)


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


async def save_last_seen_for_ever(plane: Plane, folder: Path) -> None:
    """Write down the time and the last uses of keys now and then, for ever."""
    while True:
        await asyncio.sleep(REMEMBER_SECONDS)
        await asyncio.to_thread(write_last_seen, folder, last_seen_of(plane))


def last_seen_of(plane: Plane) -> LastSeen:
    """What the next run wants to know of this one."""
    return LastSeen(latest_us=plane.clock.now_us(), key_uses=plane.key_uses.all())


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    event.clear()
    return True


async def _reload(plane: Plane, follower: PolicyFollower) -> bool:
    """Publish the policy files. False: the store was not available or a file changed meanwhile, so
    it must be tried again."""
    before = plane.snapshot.digest if plane.snapshot is not None else ""
    try:
        files = await asyncio.to_thread(follower.read)
        if files is None:
            return True  # the next look waits for what changed
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
    follower.take()
    return True


async def _record_refusal(plane: Plane, error: ForestallError) -> None:
    try:
        await refuse(plane, error)
    except ForestallError as failure:
        _LOG.error("the refusal could not be recorded: %s", failure.message)
