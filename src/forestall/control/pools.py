"""Declare, change, drain and end pools of workers. Who belongs to one is in the credentials."""

from collections.abc import Sequence

import msgspec

from forestall.audit.record import Value
from forestall.control.plane import Plane
from forestall.control.registry_entries import drop_entry, fields_but_name, put_entry, require_room
from forestall.errors import ConflictError, NotFoundError
from forestall.identity.credentials import Subject
from forestall.jobs.registry import Pool, PoolInvalidError, PoolLoad, PoolStatus, problem_of_pool
from forestall.limits import DRAIN_SECONDS_MAX, POOLS_PER_TENANT_MAX
from forestall.ports.entries import EntryKind
from forestall.ports.store import PreconditionFailedError
from forestall.projections.registry import DecodedEntry
from forestall.projections.worker_sessions import WorkerSession


class PoolNotFoundError(NotFoundError):
    """No pool of this tenant has this name."""

    code, http_status = "POOL_NOT_FOUND", 404


class PoolNameError(ConflictError):
    """A pool of this tenant has this name already; change it with PATCH."""

    code, http_status = "POOL_NAME_CONFLICT", 409


class PoolVersionError(ConflictError):
    """Another request changed the pool in the meantime; read it again. Nothing was changed."""

    code, http_status = "POOL_VERSION_CONFLICT", 409


class PoolInUseError(ConflictError):
    """Topics or workers name the pool; `force=true` ends it all the same, and its topics wait."""

    code, http_status = "POOL_IN_USE", 409


def list_pools(plane: Plane, tenant: str) -> list[PoolLoad]:
    """The pools of a tenant by name."""
    pools = plane.registry.pools(tenant)
    return [_load(plane, tenant, pools[name].value) for name in sorted(pools)]


def read_pool(plane: Plane, tenant: str, name: str) -> PoolLoad:
    """One pool. Raises PoolNotFoundError."""
    return _load(plane, tenant, _pool_entry(plane, tenant, name).value)


def _pool_entry(plane: Plane, tenant: str, name: str) -> DecodedEntry[Pool]:
    entry = plane.registry.pools(tenant).get(name)
    if entry is None:
        raise PoolNotFoundError(f"there is no pool `{name[:80]}`")
    return entry


def _load(plane: Plane, tenant: str, pool: Pool) -> PoolLoad:
    topics = plane.registry.topics(tenant).values()
    sessions = _sessions_of(plane, tenant, pool.name)
    return PoolLoad(
        pool=pool,
        status=pool.status_at(plane.clock.now_us()),
        topics=tuple(sorted(entry.value.name for entry in topics if entry.value.pool == pool.name)),
        workers=tuple(sorted(session.id for session in sessions)),
        active_jobs=sum(plane.leases.count_of_worker(session.name) for session in sessions),
        capacity=sum(session.max_parallel for session in sessions),
    )


def _sessions_of(plane: Plane, tenant: str, pool: str) -> Sequence[WorkerSession]:
    """The sessions of the workers whose credential names this pool."""
    return [
        session
        for session in plane.workers
        if session.tenant == tenant and pool in session.grant.pools
    ]


async def create_pool(plane: Plane, subject: Subject, pool: Pool) -> None:
    """Declare a new pool. Raises PoolInvalidError, PoolNameError, RegistryFullError."""
    # load
    pools = plane.registry.pools(subject.tenant)
    # decide
    if pool.name in pools:
        raise PoolNameError(f"there is a pool `{pool.name}` already; change it with PATCH")
    _require_valid(pool)
    require_room(pools, pool.name, POOLS_PER_TENANT_MAX, "pools")
    try:
        await _put(plane, subject, None, pool)
    except PreconditionFailedError as cause:
        raise PoolNameError(f"there is a pool `{pool.name}` already") from cause


async def change_pool(
    plane: Plane,
    subject: Subject,
    name: str,
    *,
    requires: tuple[str, ...] | None,
    description: str | None,
    status: PoolStatus | None,
) -> Pool:
    """Change the given fields of a pool. Raises PoolNotFoundError, PoolInvalidError,
    PoolVersionError."""
    # load
    entry = _pool_entry(plane, subject.tenant, name)
    pool = entry.value
    # decide
    if status is PoolStatus.DRAINING and pool.status is not PoolStatus.DRAINING:
        raise PoolInvalidError("a pool is drained by POST /api/v1/pools/{name}/drain")
    pool = Pool(
        name=name,
        requires=pool.requires if requires is None else requires,
        description=pool.description if description is None else description,
        status=status or pool.status,
        drained_at_us=0 if status else pool.drained_at_us,
    )
    return await _change(plane, subject, entry, pool)


async def drain_pool(plane: Plane, subject: Subject, name: str, *, seconds: int) -> Pool:
    """Offer the workers of a pool no new jobs; their running jobs may end. After `seconds` the pool
    counts as inactive. Raises as `change_pool`."""
    if not 0 <= seconds <= DRAIN_SECONDS_MAX:
        raise PoolInvalidError(f"`timeout_seconds` is 0 to {DRAIN_SECONDS_MAX}")
    # load
    entry = _pool_entry(plane, subject.tenant, name)
    # decide
    until_us = plane.clock.now_us() + seconds * 1_000_000
    drained = msgspec.structs.replace(
        entry.value, status=PoolStatus.DRAINING, drained_at_us=until_us
    )
    return await _change(plane, subject, entry, drained)


async def end_pool(plane: Plane, subject: Subject, name: str, *, force: bool) -> PoolLoad | None:
    """Remove a pool. Returns None when it was removed, else the topics and workers that use it, and
    nothing was changed.

    With `force` a pool in use is removed too: its topics keep naming it, and their jobs stay queued
    until there is a pool of that name again.
    """
    entry = _pool_entry(plane, subject.tenant, name)
    # load
    load = _load(plane, subject.tenant, entry.value)
    # decide
    if (load.topics or load.workers) and not force:
        return load
    data: dict[str, Value] = {
        "forced": force,
        "topics": load.topics[:100],
        "workers": load.workers[:100],
    }
    # commit, and announce: workers are routed anew as the entry is taken up
    try:
        await drop_entry(plane, subject, entry, data)
    except PreconditionFailedError as cause:
        raise _changed(name) from cause
    return None


def queued_jobs(plane: Plane, tenant: str, topics: Sequence[str]) -> int:
    """The number of queued jobs of these topics."""
    names = frozenset(topics)
    lanes = (entry.lane for entry in plane.queue)
    return sum(lane.tenant == tenant and lane.topic in names for lane in lanes)


async def _change(plane: Plane, subject: Subject, entry: DecodedEntry[Pool], pool: Pool) -> Pool:
    _require_valid(pool)
    try:
        await _put(plane, subject, entry, pool)
    except PreconditionFailedError as cause:
        raise _changed(pool.name) from cause
    return pool


def _changed(name: str) -> PoolVersionError:
    return PoolVersionError(f"the pool `{name}` was changed in the meantime; read it again")


def _require_valid(pool: Pool) -> None:
    problem = problem_of_pool(pool)
    if problem:
        raise PoolInvalidError(problem)


async def _put(
    plane: Plane, subject: Subject, current: DecodedEntry[Pool] | None, pool: Pool
) -> None:
    # commit, and announce: workers are routed anew as the entry is taken up
    await put_entry(
        plane,
        subject,
        EntryKind.POOL,
        pool.name,
        pool,
        current=current,
        data=fields_but_name(pool),
    )
