"""The store port: what every backend must do, which errors it raises, and the values it returns."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from forestall.audit.chain import ChainLink
from forestall.errors import ConflictError, UnavailableError
from forestall.jobs.job import DecisionRecord, Job, JobState
from forestall.ports.change import Change, IdempotencyEntry, OutputEntry, Precondition, Receipt
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
    """Which jobs to list, and in which order. A field with its default does not narrow the list;
    `tenant` always does. Instants are µs since the epoch, UTC."""

    tenant: str
    # only jobs that one of these principals submitted; empty: no job at all, None: of everybody
    principals: tuple[str, ...] | None = None
    dead: bool = False  # only dead letters, the last to become one first
    asked: bool = False  # only jobs that are or were awaiting approval, the last asked first
    state: JobState | None = None
    topic: str = ""
    trace_id: str = ""
    # Bounds on the job's last change, whatever the page is sorted by; both are exclusive.
    updated_after_us: int | None = None
    updated_before_us: int | None = None


def listed_at_us(job: Job, job_filter: JobFilter) -> int:
    """The instant (µs, UTC) of a job that a page with this filter is sorted by."""
    if job_filter.dead:
        return job.dead_at_us
    return job.asked_at_us if job_filter.asked else job.updated_at_us


class JobCursor(msgspec.Struct, frozen=True, array_like=True):
    """The last job of a page; the next page starts after this job."""

    updated_at_us: int  # what the page is sorted by (`listed_at_us`), not always the last change
    job_id: str


class JobView(msgspec.Struct, frozen=True):
    """A job, and its payload: the JSON that a worker is sent."""

    job: Job
    payload: bytes


class OpenCursor(msgspec.Struct, frozen=True):
    """The last job of a page of open jobs; the next page starts after this job. The default is the
    start of the first page."""

    created_at_us: int = 0
    tenant: str = ""
    job_id: str = ""


class Store(Protocol):
    """The durable state of the plane: jobs, registry entries, decisions, results and the log.

    A read MUST see every change whose commit has returned. Tenants, ids and names MUST be compared
    byte by byte: `Prod` and `prod` are two tenants. Every read may raise StoreUnavailableError.
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
        """One job of this tenant; None when the tenant has no job with this id."""
        ...

    async def jobs(
        self, job_filter: JobFilter, *, limit: int, after: JobCursor | None = None
    ) -> Sequence[Job]:
        """A page of jobs, newest change first. MUST apply the filter before the limit."""
        ...

    async def submitters(self, tenant: str, job_ids: Collection[str]) -> Mapping[str, str]:
        """The principal that submitted each of these jobs, by job id. A job that this tenant does
        not have is left out. Reads nothing else of a job."""
        ...

    async def open_jobs(self, *, after: OpenCursor, limit: int) -> Sequence[Job]:
        """A page of the jobs of all tenants in no terminal state, the oldest first."""
        ...

    async def result(self, tenant: str, job_id: str) -> bytes | None:
        """The result (JSON) that the last attempt of a job was released with; None: there is
        none."""
        ...

    async def output(self, tenant: str, job_id: str) -> OutputEntry | None:
        """The stored findings in the last result of a job; None when none were stored."""
        ...

    async def entry(self, tenant: str, kind: EntryKind, name: str) -> RegistryEntry | None:
        """One registry entry; None when there is none of this name."""
        ...

    async def entries(self, kind: EntryKind) -> Sequence[RegistryEntry]:
        """Every registry entry of a kind, over all tenants, by tenant and name."""
        ...

    async def latest_entries(
        self, tenant: str, kind: EntryKind, *, limit: int
    ) -> Sequence[RegistryEntry]:
        """Registry entries of a kind of one tenant, the greatest name first."""
        ...

    async def entries_before(
        self, kind: EntryKind, at_us: int, *, limit: int
    ) -> Sequence[EntryName]:
        """Names of the entries of a kind that last changed before an instant (µs, UTC), over all
        tenants, the oldest change first."""
        ...

    async def job_count(self) -> int:
        """The number of jobs in any state, over all tenants."""
        ...

    async def decisions(self, tenant: str, job_id: str, *, limit: int) -> Sequence[DecisionRecord]:
        """The decisions on one job, newest first; empty when there is no such job."""
        ...

    async def idempotency(self, tenant: str, key: str) -> IdempotencyEntry | None:
        """The job that an idempotency key stands for; None when the key was not used."""
        ...

    async def links(
        self, *, start: int, limit: int, tenant: str = "", job_id: str = ""
    ) -> Sequence[ChainLink]:
        """A page of the log from position `start` on, the oldest record first: of one job, one
        tenant, or, with neither, of all."""
        ...

    async def log_end(self) -> int:
        """The position of the next record; 0 for an empty log."""
        ...

    async def close(self) -> None:
        """Finish every accepted commit, then release files and threads. A later commit MUST be
        refused with StoreUnavailableError."""
        ...
