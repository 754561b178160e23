"""`SqliteStore`: everything in one SQLite file, durable when `commit` returns. Decides nothing.

Writes go through one thread that groups them (`writer`). Reads of a few rows run on the event loop
(10 to 20 µs each); reads of a page run in one reader thread with a connection of its own. Every
read is a transaction of its own, so it sees each change whose commit has returned.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from forestall.audit.chain import ChainLink
from forestall.jobs.job import DecisionRecord, Job, JobState
from forestall.ports.change import Change, IdempotencyEntry, OutputEntry, Receipt
from forestall.ports.entries import EntryKind, EntryName, RegistryEntry
from forestall.ports.store import (
    JobCursor,
    JobFilter,
    JobView,
    OpenCursor,
    StoreUnavailableError,
    listed_at_us,
)
from forestall.store.checkpoint import Checkpointer
from forestall.store.group import PreparedChange
from forestall.store.queries import blocks
from forestall.store.schema import connect_reader, connect_writer
from forestall.store.writer import RETRY_AFTER_S, Writer

_T = TypeVar("_T")
_INTEGER_MIN, _INTEGER_MAX = -(2**63), 2**63 - 1  # SQLite's bounds; every instant lies between
_job = msgspec.json.Decoder(Job).decode
_decision = msgspec.json.Decoder(DecisionRecord).decode


class SqliteStore:
    """The `Store` port over one file. Open it with `SqliteStore.open`."""

    def __init__(
        self,
        *,
        points: sqlite3.Connection,
        pages: sqlite3.Connection,
        writing: sqlite3.Connection | None,
        writer: Writer | None,
        checkpointer: Checkpointer | None,
    ) -> None:
        self._points = points
        self._pages = pages
        self._writing = writing
        self._writer = writer
        self._checkpointer = checkpointer
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="forestall-reader")

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> "SqliteStore":
        """Open the database at `path`. Unless `read_only`, make it when it is missing, and migrate
        it.

        Raises StoreUnavailableError (missing, made by another program, damaged, locked),
        SchemaTooNewError, SchemaChangedError, and with `read_only` SchemaOutdatedError.
        """
        opened: list[sqlite3.Connection] = []
        try:
            if not read_only:
                opened += (connect_writer(path), connect_writer(path))
                for connection in opened:
                    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
            opened += (connect_reader(path), connect_reader(path))
        except BaseException:
            for connection in opened:
                connection.close()
            raise
        if read_only:
            points, pages = opened
            return cls(points=points, pages=pages, writing=None, writer=None, checkpointer=None)
        writing, copying, points, pages = opened
        checkpointer = Checkpointer(copying)
        return cls(
            points=points,
            pages=pages,
            writing=writing,
            writer=Writer(writing, checkpointer),
            checkpointer=checkpointer,
        )

    async def commit(self, change: Change) -> Receipt:
        """See `Store.commit`. A cancelled caller does not cancel the change once it is queued."""
        if self._writer is None:
            raise StoreUnavailableError("the store was opened for reading only")
        return await self._writer.submit(PreparedChange(change))

    async def job(self, tenant: str, job_id: str) -> JobView | None:
        """See `Store.job`."""
        rows = self._point("job", (tenant, job_id))
        return JobView(_job(rows[0][0]), rows[0][1]) if rows else None

    async def jobs(
        self, job_filter: JobFilter, *, limit: int, after: JobCursor | None = None
    ) -> Sequence[Job]:
        """See `Store.jobs`."""
        row = {
            "tenant": job_filter.tenant,
            "state": job_filter.state.value if job_filter.state is not None else "",
            "topic": job_filter.topic,
            "trace_id": job_filter.trace_id,
            "after_us": _integer(job_filter.updated_after_us, _INTEGER_MIN),
            "before_us": _integer(job_filter.updated_before_us, _INTEGER_MAX),
            "cursor_us": _integer(after.updated_at_us if after else None, _INTEGER_MAX),
            "cursor_id": after.job_id if after is not None else "",
            "limit": _limit(limit),
        }
        if job_filter.principals is None:
            return await self._page(_block(job_filter), row, lambda columns: _job(columns[0]))
        block = _block_of_principal(job_filter)
        found: list[Job] = []
        for principal in dict.fromkeys(job_filter.principals):
            of_one = {**row, "principal": principal}
            found += await self._page(block, of_one, lambda columns: _job(columns[0]))
        found.sort(key=lambda job: (listed_at_us(job, job_filter), job.id), reverse=True)
        return found[: _limit(limit)]

    async def submitters(self, tenant: str, job_ids: Collection[str]) -> Mapping[str, str]:
        """See `Store.submitters`."""
        if len(job_ids) == 1:
            return dict(self._point("submitter", (tenant, *job_ids)))
        try:
            row = (tenant, msgspec.json.encode(list(job_ids)).decode())
        except UnicodeEncodeError:  # a lone surrogate has no encoding, so no job has this id
            sound = [each for each in job_ids if each.isascii()]
            return await self.submitters(tenant, sound)
        return dict(await self._page("submitters", row, tuple))

    async def open_jobs(self, *, after: OpenCursor, limit: int) -> Sequence[Job]:
        """See `Store.open_jobs`."""
        row = (_integer(after.created_at_us, 0), after.tenant, after.job_id, _limit(limit))
        return await self._page("open_jobs", row, lambda columns: _job(columns[0]))

    async def result(self, tenant: str, job_id: str) -> bytes | None:
        """See `Store.result`."""
        rows = self._point("result", (tenant, job_id))
        return rows[0][0] if rows else None

    async def output(self, tenant: str, job_id: str) -> OutputEntry | None:
        """See `Store.output`."""
        rows = self._point("output", (tenant, job_id))
        if not rows:
            return None
        checked_at_us, findings = rows[0]
        return OutputEntry(
            tenant=tenant, job_id=job_id, checked_at_us=checked_at_us, findings=findings
        )

    async def entry(self, tenant: str, kind: EntryKind, name: str) -> RegistryEntry | None:
        """See `Store.entry`."""
        rows = self._point("entry", (tenant, kind.value, name))
        return _entry(rows[0]) if rows else None

    async def entries(self, kind: EntryKind) -> Sequence[RegistryEntry]:
        """See `Store.entries`."""
        return await self._page("entries", (kind.value,), _entry)

    async def latest_entries(
        self, tenant: str, kind: EntryKind, *, limit: int
    ) -> Sequence[RegistryEntry]:
        """See `Store.latest_entries`."""
        return await self._page("latest_entries", (tenant, kind.value, _limit(limit)), _entry)

    async def entries_before(
        self, kind: EntryKind, at_us: int, *, limit: int
    ) -> Sequence[EntryName]:
        """See `Store.entries_before`."""
        row = (kind.value, _integer(at_us, 0), _limit(limit))
        return await self._page("entries_before", row, lambda columns: EntryName(*columns))

    async def job_count(self) -> int:
        """See `Store.job_count`."""
        counts: list[tuple[int]] = self._point("job_count", ())
        return counts[0][0]

    async def decisions(self, tenant: str, job_id: str, *, limit: int) -> Sequence[DecisionRecord]:
        """See `Store.decisions`."""
        rows = self._point("decisions", (tenant, job_id, _limit(limit)))
        return [_decision(row[0]) for row in rows]

    async def idempotency(self, tenant: str, key: str) -> IdempotencyEntry | None:
        """See `Store.idempotency`."""
        rows = self._point("idempotency", (tenant, key))
        if not rows:
            return None
        request_digest, job_id = rows[0]
        return IdempotencyEntry(
            tenant=tenant, key=key, request_digest=request_digest, job_id=job_id
        )

    async def links(
        self, *, start: int, limit: int, tenant: str = "", job_id: str = ""
    ) -> Sequence[ChainLink]:
        """See `Store.links`."""
        row: tuple[Any, ...] = (_integer(start, 0), _limit(limit))
        block = "links"
        if job_id:
            block, row = "links_of_job", (tenant, job_id, *row)
        elif tenant:
            block, row = "links_of_tenant", (tenant, *row)
        return await self._page(block, row, lambda columns: ChainLink(*columns))

    async def log_end(self) -> int:
        """See `Store.log_end`."""
        end: int = self._point("log_end", ())[0][0]
        return end

    async def close(self) -> None:
        """See `Store.close`. Safe to call twice; leaves one file, its WAL copied back."""
        await asyncio.to_thread(self._shut)

    def _writer_pragma(self, text: str) -> None:
        """Set a pragma on the writing connection. For tests only: a full disk, a short lock wait.

        Must not be called while a commit is in flight.
        """
        assert self._writing is not None, "a read-only store has no writing connection"
        self._writing.execute(f"PRAGMA {text}").fetchall()

    def _shut(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._checkpointer is not None:
            self._checkpointer.close()
        self._reader.shutdown(wait=True)
        self._pages.close()
        self._points.close()
        if self._writing is not None:
            self._writing.close()  # the last connection copies the WAL back and removes it

    def _point(self, block: str, row: Sequence[Any]) -> list[Any]:
        """Rows of a read that is short by construction, on the calling thread."""
        return _rows(self._points, block, row)

    async def _page(
        self, block: str, row: Sequence[Any] | Mapping[str, Any], decode: Callable[[Any], _T]
    ) -> list[_T]:
        """Rows of a read that can be long, read and decoded in the reader thread."""

        def read() -> list[_T]:
            return [decode(columns) for columns in _rows(self._pages, block, row)]

        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader, read)
        except RuntimeError as cause:  # the executor was shut down
            raise StoreUnavailableError("the store is closed") from cause


def _entry(row: tuple[str, str, str, int, int, bytes]) -> RegistryEntry:
    tenant, kind, name, revision, updated_at_us, body = row
    return RegistryEntry(
        tenant=tenant,
        kind=kind,
        name=name,
        revision=revision,
        updated_at_us=updated_at_us,
        body=body,
    )


def _block(job_filter: JobFilter) -> str:
    """The statement for jobs of every principal."""
    if job_filter.dead:
        return "jobs_dead"
    if job_filter.asked:
        waits = job_filter.state is JobState.APPROVAL_REQUIRED
        return "jobs_asked_open" if waits else "jobs_asked"
    if job_filter.trace_id:
        return "jobs_of_trace"
    return "jobs_in_state" if job_filter.state is not None else "jobs"


def _block_of_principal(job_filter: JobFilter) -> str:
    """The statement for jobs of one principal."""
    if job_filter.dead:
        return "jobs_of_principal_dead"
    if job_filter.asked:
        return "jobs_of_principal_asked"
    return "jobs_of_principal_and_trace" if job_filter.trace_id else "jobs_of_principal"


def _integer(value: int | None, default: int) -> int:
    """The value, or the default for None, inside the bounds of SQLite's integers. A value beyond
    them compares to every stored instant as the bound does."""
    return default if value is None else min(max(value, _INTEGER_MIN), _INTEGER_MAX)


def _limit(limit: int) -> int:
    return min(max(0, limit), _INTEGER_MAX)  # SQLite takes a negative limit for none at all


def _rows(
    connection: sqlite3.Connection, block: str, row: Sequence[Any] | Mapping[str, Any]
) -> list[Any]:
    # Fetch all rows: an unfinished statement would keep its snapshot open, and the WAL growing.
    try:
        return connection.execute(blocks("read.sql")[block], row).fetchall()
    except UnicodeEncodeError:  # a lone surrogate has no encoding, so no row has this name
        return []
    except sqlite3.Error as cause:
        raise StoreUnavailableError(
            f"the store could not be read ({cause})", retry_after_s=RETRY_AFTER_S
        ) from cause
