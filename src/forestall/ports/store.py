"""The store port: what every backend must do, what can go wrong, and what reading answers."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from forestall.audit.chain import ChainLink
from forestall.errors import ConflictError, UnavailableError
from forestall.jobs.job import DecisionRecord, Job, JobState
from forestall.ports.change import (
    Change,
    IdempotencyEntry,
    OutputEntry,
    Precondition,
    Receipt,
)
from forestall.ports.entries import EntryKind, EntryName, RegistryEntry


class PreconditionFailedError(ConflictError):
    """The state moved on: a precondition of the change does not hold. Nothing was changed."""

    code, http_status = "precondition_failed", 409

    def __init__(self, failed: Precondition) -> None:
        super().__init__("the state changed in the meantime; read it again and decide anew")
        self.failed = failed


class StoreUnavailableError(UnavailableError):
    """The store cannot make the change durable. Nothing was changed, nothing may run."""

    code, http_status = "store_unavailable", 503


class StoreBusyError(UnavailableError):
    """Too many commits are waiting already. Nothing was changed; try again later."""

    code, http_status = "store_busy", 503


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to list; empty fields do not narrow. Newest change first; with `dead` only dead
    letters, the last to die first; with `asked` only jobs that somebody was asked to approve, the
    last asked first."""

    tenant: str
    dead: bool = False
    asked: bool = False
    state: JobState | None = None
    topic: str = ""
    trace_id: str = ""
    updated_after_us: int | None = None
    updated_before_us: int | None = None


def listed_at_us(job: Job, wanted: JobFilter) -> int:
    """The instant that a page of such jobs is sorted by."""
    if wanted.dead:
        return job.dead_at_us
    return job.asked_at_us if wanted.asked else job.updated_at_us


class JobCursor(msgspec.Struct, frozen=True, array_like=True):
    """The last job of a page; the next page starts after it. The instant is what the page is
    sorted by: the last change, the death, or when somebody was asked."""

    updated_at_us: int
    job_id: str


class JobView(msgspec.Struct, frozen=True):
    """A job with its payload bytes."""

    job: Job
    payload: bytes


class OpenCursor(msgspec.Struct, frozen=True):
    """The last unfinished job of a page; the next page starts after it."""

    created_at_us: int = 0
    tenant: str = ""
    job_id: str = ""


class Store(Protocol):
    """Where everything is kept.

    Reads MUST see every change whose commit has returned. Tenants, ids and names MUST be compared
    byte by byte: `Prod` and `prod` are two tenants.
    """

    async def commit(self, change: Change) -> Receipt:
        """Apply the change whole or not at all.

        MUST be durable when it returns. MUST check every precondition in the same transaction and
        raise PreconditionFailedError without changing anything when one fails. MUST give records
        consecutive log positions, never reused, chained as audit.chain says. MUST raise
        StoreUnavailableError when durability cannot be had, and MUST work again once it can.
        """
        ...

    async def job(self, tenant: str, job_id: str) -> JobView | None:
        """One job of this tenant."""
        ...

    async def jobs(
        self, wanted: JobFilter, *, limit: int, after: JobCursor | None = None
    ) -> Sequence[Job]:
        """A page of jobs, newest change first. MUST apply the filter before the limit."""
        ...

    async def open_jobs(self, *, after: OpenCursor, limit: int) -> Sequence[Job]:
        """A page of the jobs of all tenants that are in no terminal state, oldest first."""
        ...

    async def result(self, tenant: str, job_id: str) -> bytes | None:
        """What the last attempt of a job answered; None when none did."""
        ...

    async def output(self, tenant: str, job_id: str) -> OutputEntry | None:
        """What the check of a job's last result found; None when nothing was worth keeping."""
        ...

    async def entry(self, tenant: str, kind: EntryKind, name: str) -> RegistryEntry | None:
        """One registry entry."""
        ...

    async def entries(self, kind: EntryKind) -> Sequence[RegistryEntry]:
        """Every registry entry of a kind, over all tenants, by tenant and name."""
        ...

    async def latest_entries(
        self, tenant: str, kind: EntryKind, *, limit: int
    ) -> Sequence[RegistryEntry]:
        """Registry entries of a kind, the greatest name first."""
        ...

    async def entries_before(
        self, kind: EntryKind, at_us: int, *, limit: int
    ) -> Sequence[EntryName]:
        """Entries of a kind that last changed before an instant, over all tenants, oldest first."""
        ...

    async def job_count(self) -> int:
        """How many jobs there are, over all tenants."""
        ...

    async def decisions(self, tenant: str, job_id: str, *, limit: int) -> Sequence[DecisionRecord]:
        """The decisions on one job, newest first; empty when there is no such job."""
        ...

    async def idempotency(self, tenant: str, key: str) -> IdempotencyEntry | None:
        """What an idempotency key stands for."""
        ...

    async def links(
        self, *, start: int, limit: int, tenant: str = "", job_id: str = ""
    ) -> Sequence[ChainLink]:
        """A page of the log from a position on, oldest first; of one job, one tenant, or all."""
        ...

    async def log_end(self) -> int:
        """Where the next record will stand: 0 for an empty log."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and let go. A later commit MUST be refused."""
        ...
