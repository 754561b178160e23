"""Follow the policy files of a server: notice a change, wait until it is complete, publish it.

A broken file is logged and recorded, and the policy in force stays. When a file counts as complete
is decided in `policy_watch.py`.
"""

import asyncio
import logging
import time
from collections.abc import Collection
from typing import Protocol

from forestall.control.plane import Plane
from forestall.control.publish import publish, refuse
from forestall.control.records import SYSTEM_ACTOR
from forestall.errors import ForestallError, UnavailableError
from forestall.policy.problems import PolicyError
from forestall.server.files import PolicyFiles, policy_states, read_policy_files
from forestall.server.finished_writes import FinishedWrites
from forestall.server.policy_watch import AwaitedFile, PolicyWatch
from forestall.server.settings import Settings

POLICY_POLL_SECONDS = 0.5
POLICY_RETRY_SECONDS = 2  # when the store could not commit a changed policy
_LOG = logging.getLogger("forestall.policy")


class PolicyTelemetry(Protocol):
    """Counts that a changed policy file is waited for."""

    def policy_waiting(self, waits: bool) -> None:
        """Note whether a changed file is waited for now."""


class PolicyFollower:
    """The policy files of a server as the last look has found them. For one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._path, self._subdirectories = settings.policy, settings.policy_subdirectories
        self._folder = self._path if self._path.is_dir() else self._path.parent
        self._writes = FinishedWrites(self._folder)
        self._states = policy_states(self._path, {}, subdirectories=self._subdirectories)
        self._watch = PolicyWatch(self._states, settle_s=settings.policy_settle_seconds)
        self._logged_name = ""

    def look(self) -> AwaitedFile | bool:
        """See `PolicyWatch.look`. A file that is waited for is logged once."""
        self._writes.look()
        self._states = policy_states(self._path, self._states, subdirectories=self._subdirectories)
        outcome = self._watch.look(
            self._states,
            at_s=time.monotonic(),
            renamed=self._paths(self._writes.renamed),
            being_written=self._paths(self._writes.being_written),
        )
        if not isinstance(outcome, AwaitedFile):
            self._logged_name = ""
        elif outcome.name != self._logged_name:
            self._logged_name = outcome.name
            _LOG.info(
                "%s changed in place; it is taken up when nobody has written to it for %d seconds,"
                " at once when it is renamed into place or ends with the line `...`, or on SIGHUP",
                outcome.name,
                round(outcome.seconds),
            )
        return outcome

    def read(self) -> PolicyFiles | None:
        """The content of the files; None when one of them changed while they were read, and the
        next look has to see it. Raises FileAccessError."""
        before = self._states
        files = read_policy_files(self._path, subdirectories=self._subdirectories)
        self._states = policy_states(self._path, before, subdirectories=self._subdirectories)
        return files if self._states == before else None

    def take(self) -> None:
        """Note that the content which was read is dealt with, whether it was good or not."""
        self._watch.take(self._states)

    def _paths(self, names: Collection[str]) -> frozenset[str]:
        return frozenset(str(self._folder / name) for name in names)


async def follow_policy(
    plane: Plane, follower: PolicyFollower, reload: asyncio.Event, telemetry: PolicyTelemetry
) -> None:
    """Publish changed policy files when they are complete (`policy_watch`), or when `reload` is
    set, for ever. A broken file is logged and recorded; the policy in force stays."""
    while True:
        forced = await _wait(reload, POLICY_POLL_SECONDS)
        outcome = await asyncio.to_thread(follower.look)
        telemetry.policy_waiting(isinstance(outcome, AwaitedFile))
        is_complete_change = outcome is True
        if not forced and not is_complete_change:
            continue
        if not await _reload(plane, follower):
            await asyncio.sleep(POLICY_RETRY_SECONDS)


async def _reload(plane: Plane, follower: PolicyFollower) -> bool:
    """Publish the policy files. False: the store was not available, so it must be tried again."""
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


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    event.clear()
    return True
