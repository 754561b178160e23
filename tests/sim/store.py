"""A store that is slow and fails at any step, over a `MemoryStore` that outlives every crash.

A commit may fail before it is applied, or after: then the caller is told of an error although the
change is durable. Each process of the plane has a `Connection` of its own; a crash cuts it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from random import Random
from typing import TypeVar

import msgspec

from forestall.audit.chain import ChainLink
from forestall.jobs.job import DecisionRecord, Job
from forestall.ports.change import Change, IdempotencyEntry, OutputEntry, Receipt
from forestall.ports.entries import EntryKind, EntryName, RegistryEntry
from forestall.ports.store import (
    JobCursor,
    JobFilter,
    JobView,
    OpenCursor,
    PreconditionFailedError,
    StoreBusyError,
    StoreUnavailableError,
)
from forestall.store.memory import MemoryStore

T = TypeVar("T")
Applied = Callable[[Change, Receipt], None]


class Faults(msgspec.Struct):
    """How often what goes wrong; each is a chance between 0 and 1, or seconds."""

    commit_refused: float = 0.0
    commit_in_doubt: float = 0.0  # durable, and the caller is told of an error
    read_fails: float = 0.0
    slow: float = 0.0  # a tenth of the calls takes up to so many seconds longer
    request_lost: float = 0.0
    answer_lost: float = 0.0
    request_twice: float = 0.0
    network_s: float = 0.05
    scan_fails: float = 0.0  # no return in time; half as often it is stopped in the middle
    scan_busy: float = 0.0
    scan_s: float = 0.0  # a scan that is not short takes up to so long


class Disk:
    """What survives: the store itself, what goes wrong with it, and who sees what is applied."""

    def __init__(self, random: Random, applied: Applied) -> None:
        self.memory = MemoryStore()
        self.random = random
        self.applied = applied
        self.faults = Faults()
        self.outage = False
        self.counts = {"commits": 0, "refused": 0, "in_doubt": 0, "reads": 0, "reads_failed": 0}


class Connection:
    """The `Store` port as one process of the plane holds it."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.cut = False

    async def commit(self, change: Change) -> Receipt:
        """See `Store.commit`."""
        disk = self._disk
        await self._delay()
        if self._fails(disk.faults.commit_refused):
            disk.counts["refused"] += 1
            if disk.random.random() < 0.3:
                raise StoreBusyError("too many commits wait (simulated)")
            raise StoreUnavailableError("the disk is full (simulated)")
        try:
            receipt = await disk.memory.commit(change)
        except PreconditionFailedError:
            await self._delay()
            raise
        disk.counts["commits"] += 1
        disk.applied(change, receipt)
        await self._delay()
        if self._fails(disk.faults.commit_in_doubt):
            disk.counts["in_doubt"] += 1
            raise StoreUnavailableError("the answer of the store was lost (simulated)")
        return receipt

    async def _read(self, read: Callable[[], Awaitable[T]]) -> T:
        disk = self._disk
        disk.counts["reads"] += 1
        await self._delay()
        answer = await read()
        if self._fails(disk.faults.read_fails):
            disk.counts["reads_failed"] += 1
            raise StoreUnavailableError("the store cannot be read (simulated)")
        await self._delay()
        return answer

    async def _delay(self) -> None:
        random, faults = self._disk.random, self._disk.faults
        seconds = random.random() * 0.004
        if faults.slow and random.random() < 0.1:
            seconds += random.random() * faults.slow
        await asyncio.sleep(seconds)
        if self.cut:
            raise asyncio.CancelledError

    def _fails(self, chance: float) -> bool:
        return self._disk.outage or (chance > 0 and self._disk.random.random() < chance)

    async def job(self, tenant: str, job_id: str) -> JobView | None:
        """See `Store.job`."""
        return await self._read(lambda: self._disk.memory.job(tenant, job_id))

    async def jobs(
        self, wanted: JobFilter, *, limit: int, after: JobCursor | None = None
    ) -> Sequence[Job]:
        """See `Store.jobs`."""
        return await self._read(lambda: self._disk.memory.jobs(wanted, limit=limit, after=after))

    async def submitters(self, tenant: str, job_ids: Collection[str]) -> Mapping[str, str]:
        """See `Store.submitters`."""
        return await self._read(lambda: self._disk.memory.submitters(tenant, job_ids))

    async def open_jobs(self, *, after: OpenCursor, limit: int) -> Sequence[Job]:
        """See `Store.open_jobs`."""
        return await self._read(lambda: self._disk.memory.open_jobs(after=after, limit=limit))

    async def result(self, tenant: str, job_id: str) -> bytes | None:
        """See `Store.result`."""
        return await self._read(lambda: self._disk.memory.result(tenant, job_id))

    async def output(self, tenant: str, job_id: str) -> OutputEntry | None:
        """See `Store.output`."""
        return await self._read(lambda: self._disk.memory.output(tenant, job_id))

    async def entry(self, tenant: str, kind: EntryKind, name: str) -> RegistryEntry | None:
        """See `Store.entry`."""
        return await self._read(lambda: self._disk.memory.entry(tenant, kind, name))

    async def latest_entries(
        self, tenant: str, kind: EntryKind, *, limit: int
    ) -> Sequence[RegistryEntry]:
        """See `Store.latest_entries`."""
        return await self._read(lambda: self._disk.memory.latest_entries(tenant, kind, limit=limit))

    async def entries_before(
        self, kind: EntryKind, at_us: int, *, limit: int
    ) -> Sequence[EntryName]:
        """See `Store.entries_before`."""
        return await self._read(lambda: self._disk.memory.entries_before(kind, at_us, limit=limit))

    async def entries(self, kind: EntryKind) -> Sequence[RegistryEntry]:
        """See `Store.entries`."""
        return await self._read(lambda: self._disk.memory.entries(kind))

    async def job_count(self) -> int:
        """See `Store.job_count`."""
        return await self._read(lambda: self._disk.memory.job_count())

    async def decisions(self, tenant: str, job_id: str, *, limit: int) -> Sequence[DecisionRecord]:
        """See `Store.decisions`."""
        return await self._read(lambda: self._disk.memory.decisions(tenant, job_id, limit=limit))

    async def idempotency(self, tenant: str, key: str) -> IdempotencyEntry | None:
        """See `Store.idempotency`."""
        return await self._read(lambda: self._disk.memory.idempotency(tenant, key))

    async def links(
        self, *, start: int, limit: int, tenant: str = "", job_id: str = ""
    ) -> Sequence[ChainLink]:
        """See `Store.links`."""
        return await self._read(
            lambda: self._disk.memory.links(start=start, limit=limit, tenant=tenant, job_id=job_id)
        )

    async def log_end(self) -> int:
        """See `Store.log_end`."""
        return await self._read(lambda: self._disk.memory.log_end())

    async def close(self) -> None:
        """See `Store.close`."""
        self.cut = True
