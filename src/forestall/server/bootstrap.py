"""The only place that joins the plane to its adapters: store, clock, randomness, policy, first key.

Refuses to start without a policy that compiles.
"""

import os
from dataclasses import dataclass

import msgspec

from forestall.audit.record import Record
from forestall.control.follow_log import load_entries
from forestall.control.keys import create_key
from forestall.control.offload import Inspections
from forestall.control.plane import Plane
from forestall.control.publish import compile_files, publish
from forestall.control.records import SYSTEM_ACTOR
from forestall.control.recover import recover
from forestall.identity.credentials import NewKey, key_hash, require_strong_key
from forestall.identity.roles import Role
from forestall.jobs.webhook import Reach
from forestall.limits import LEASE_SECONDS, SEALED_DAYS
from forestall.output.findings import Detector
from forestall.ports.entries import PLATFORM_TENANT
from forestall.ports.output import OutputMeans
from forestall.ports.runtime import Telemetry
from forestall.ports.store import Store
from forestall.server.background_loops import last_seen_of
from forestall.server.clock import ForwardClock
from forestall.server.files import DataDir, policy_files_of, write_starter_policy
from forestall.server.keyring import load_keyring
from forestall.server.last_seen import read_last_seen, write_last_seen
from forestall.server.names import load_names
from forestall.server.policy_follower import PolicyFollower
from forestall.server.settings import Settings
from forestall.server.signing import load_signer
from forestall.server.thread_pools import InspectionThreads, ScanThreads
from forestall.store.sqlite import SqliteStore

FIRST_KEY_NAME = "admin"


class SystemRandom:
    """Random bytes of the kernel, fetched in pages: each fetch releases the interpreter lock, and
    on a busy server it takes long to get it back. No byte is returned twice. For one thread."""

    _PAGE_BYTES = 4096

    def __init__(self) -> None:
        self._page = b""
        self._used = 0

    def token(self, size_bytes: int) -> bytes:
        """See `Random.token`."""
        end = self._used + size_bytes
        if end > len(self._page):
            self._page, self._used = os.urandom(max(self._PAGE_BYTES, size_bytes)), 0
            end = size_bytes
        token = self._page[self._used : end]
        self._used = end
        return token


class NoTelemetry:
    """Counts nothing: for commands that run beside a stopped server, whose metrics nobody reads."""

    def decided(self, stage: str, decision: str, topic: str, code: str) -> None: ...
    def moved(self, event: str, topic: str, code: str) -> None: ...
    def output_checked(self, verdict: str, seconds: float, size_bytes: int) -> None: ...
    def refused(self, what: str, code: str) -> None: ...
    def waited(self, seconds: float) -> None: ...
    def withdrawn(self, seconds: float) -> None: ...
    def commit_failed(self, code: str) -> None: ...
    def unavailable(self, stage: str, topic: str) -> None: ...
    def policy_loaded(self, snapshot: object, at_us: int) -> None: ...
    def policy_refused(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StartedPlane:
    """A plane ready to serve, and what the banner shows once."""

    plane: Plane
    data_dir: DataDir
    first_key: str | None  # text of a generated admin key: printed once, stored nowhere
    starter_written: bool  # whether this start wrote the starter policy
    follower: PolicyFollower  # of the policy files, from before they were read

    async def close(self) -> None:
        """Finish accepted commits, remember what the next start wants to know, and unlock the data
        directory."""
        await self.plane.store.close()
        write_last_seen(self.data_dir.path, last_seen_of(self.plane))
        self.data_dir.close()


async def open_plane(
    data_dir: DataDir,
    telemetry: Telemetry,
    *,
    lease_seconds: int = LEASE_SECONDS,
    approvals_need_hash: bool = False,
    webhooks: Reach = Reach.PUBLIC,
    sealed_days: int = SEALED_DAYS,
    switched_on: tuple[Detector, ...] = (),
) -> Plane:
    """A plane over the store in a data directory, with its registry entries loaded and no policy in
    force. Raises FileAccessError, StoreUnavailableError and the Schema errors."""
    signer = load_signer(data_dir.path)
    keyring = load_keyring(data_dir.path)
    store = SqliteStore.open(data_dir.store_file)
    last_seen = read_last_seen(data_dir.path)
    clock = ForwardClock()
    clock.not_before(max(last_seen.latest_us, await _last_recorded_us(store)))
    plane = Plane(
        store=store,
        clock=clock,
        random=SystemRandom(),
        telemetry=telemetry,
        signer=signer,
        lease_seconds=lease_seconds,
        approvals_need_hash=approvals_need_hash,
        webhook_reach=webhooks,
        output=OutputMeans(
            ScanThreads(), keyring, sealed_days=sealed_days, switched_on=switched_on
        ),
        inspections=Inspections(InspectionThreads()),
    )
    plane.key_uses.take(last_seen.key_uses)
    await load_entries(plane)
    return plane


async def _last_recorded_us(store: Store) -> int:
    """The instant of the last record of the log; 0 for an empty log."""
    end = await store.log_end()
    links = await store.links(start=end - 1, limit=1) if end else ()
    return msgspec.json.decode(links[0].record, type=Record).at_us if links else 0


async def start(settings: Settings, telemetry: Telemetry) -> StartedPlane:
    """Start everything but the sockets. Raises ForestallError; nothing is left open then."""
    if settings.bootstrap_key:
        require_strong_key(settings.bootstrap_key)
    switched_on = load_names(settings.names_model)
    if settings.policy.exists() or not settings.policy_is_starter:
        # A broken policy stops the start before a data directory is made.
        names = [detector.name for detector in switched_on]
        compile_files(policy_files_of(settings), switched_on=names)
    data_dir = DataDir(settings.data_dir)
    try:
        starter_written = write_starter_policy(settings)
        # Made before the files are read, so that it sees every change since.
        follower = PolicyFollower(settings)
        files = policy_files_of(settings)
        plane = await open_plane(
            data_dir,
            telemetry,
            lease_seconds=settings.lease_seconds,
            approvals_need_hash=settings.approvals_need_hash,
            webhooks=settings.webhooks,
            sealed_days=settings.sealed_days,
            switched_on=switched_on,
        )
        try:
            await publish(plane, files, actor=SYSTEM_ACTOR)
            await recover(plane)
            first_key = await _first_key(plane, settings.bootstrap_key)
        except BaseException:
            await plane.store.close()
            raise
    except BaseException:
        data_dir.close()
        raise
    return StartedPlane(plane, data_dir, first_key, starter_written, follower)


async def _first_key(plane: Plane, bootstrap_key: str) -> str | None:
    """Make the first admin key. Returns its text when it was generated, and so must be shown; else
    None.

    A bootstrap key that was revoked stays revoked: starting again does not bring it back.
    """
    if bootstrap_key:
        digest = key_hash(bootstrap_key)
        if plane.keys.by_hash(digest) is None:
            new_key = NewKey(
                tenant=PLATFORM_TENANT, name=f"bootstrap-{digest[:8]}", role=Role.ADMIN
            )
            await create_key(plane, new_key, actor=SYSTEM_ACTOR, secret=bootstrap_key)
        return None
    if len(plane.keys):
        return None
    new_key = NewKey(tenant=PLATFORM_TENANT, name=FIRST_KEY_NAME, role=Role.ADMIN)
    _, text = await create_key(plane, new_key, actor=SYSTEM_ACTOR)
    return text
