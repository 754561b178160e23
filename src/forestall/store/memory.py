"""`MemoryStore`: the rules of the `Store` port over dicts. For tests and simulations: everything is
lost with the process.

Jobs and decisions are stored encoded, so that no caller can change a committed value through a dict
inside it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from forestall.audit.chain import ChainLink, Head, append, leaf_of
from forestall.errors import InvalidRequestError
from forestall.jobs.job import DecisionRecord, Job
from forestall.jobs.lifecycle import TERMINAL
from forestall.ports.change import (
    Change,
    DropEntry,
    EntryUnchanged,
    IdempotencyEntry,
    JobAbsent,
    JobUnmoved,
    MoveJob,
    OutputEntry,
    Precondition,
    Put,
    PutEntry,
    PutIdempotency,
    PutJob,
    PutOutput,
    Receipt,
)
from forestall.ports.change_rules import require_lawful, required
from forestall.ports.entries import EntryKind, EntryName, RegistryEntry
from forestall.ports.store import (
    JobCursor,
    JobFilter,
    JobView,
    OpenCursor,
    PreconditionFailedError,
    StoreUnavailableError,
    listed_at_us,
)

_decode = msgspec.json.Decoder(Job).decode
_Write = tuple[dict[Any, Any], tuple[str, ...], Any]  # table, key, value; None removes


class MemoryStore:
    """The `Store` port over dicts. Nothing here awaits, so every commit is atomic by itself."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], bytes] = {}
        self._payloads: dict[tuple[str, str], bytes] = {}
        self._results: dict[tuple[str, str], bytes] = {}
        self._outputs: dict[tuple[str, str], OutputEntry] = {}
        self._registry: dict[tuple[str, str, str], RegistryEntry] = {}
        self._decisions: dict[tuple[str, str], list[bytes]] = {}
        self._idempotency: dict[tuple[str, str], IdempotencyEntry] = {}
        self._log: list[ChainLink] = []
        self._head = Head()
        self._closed = False

    async def commit(self, change: Change) -> Receipt:
        """See `Store.commit`."""
        require_lawful(change)
        try:
            # Everything that may raise comes before the first write.
            writes = [write for put in change.puts for write in self._writes(put)]
        except UnicodeEncodeError as cause:  # a lone surrogate has no encoding in UTF-8
            raise InvalidRequestError("a text of the change is not valid Unicode") from cause
        leaves = [leaf_of(record.canonical()) for record in change.records]
        if self._closed:
            raise StoreUnavailableError("the store is closed; nothing was changed")
        for condition in required(change):
            if not self._holds(condition):
                raise PreconditionFailedError(condition)
        for table, name, value in writes:
            if value is None:
                del table[name]
            else:
                table[name] = value
        receipt = Receipt(self._head.position)
        links, self._head = append(self._head, leaves)
        self._log += links
        return receipt

    def _holds(self, condition: Precondition) -> bool:
        if isinstance(condition, JobAbsent):
            return (condition.tenant, condition.job_id) not in self._jobs
        if isinstance(condition, JobUnmoved):
            body = self._jobs.get((condition.tenant, condition.job_id))
            job = _decode(body) if body is not None else None
            return job is not None and (job.state, job.revision) == (
                condition.state,
                condition.revision,
            )
        if isinstance(condition, EntryUnchanged):
            entry = self._registry.get((condition.tenant, condition.kind, condition.name))
            return (entry.revision if entry is not None else 0) == condition.revision
        return (condition.tenant, condition.key) not in self._idempotency

    async def job(self, tenant: str, job_id: str) -> JobView | None:
        """See `Store.job`."""
        self._require_open()
        body = self._jobs.get((tenant, job_id))
        return JobView(_decode(body), self._payloads[tenant, job_id]) if body is not None else None

    async def jobs(
        self, job_filter: JobFilter, *, limit: int, after: JobCursor | None = None
    ) -> Sequence[Job]:
        """See `Store.jobs`."""
        self._require_open()
        jobs = [
            _decode(body) for (tenant, _), body in self._jobs.items() if tenant == job_filter.tenant
        ]
        keyed = [
            ((listed_at_us(job, job_filter), job.id), job)
            for job in jobs
            if _matches(job, job_filter)
        ]
        if after is not None:
            end = (after.updated_at_us, after.job_id)
            keyed = [(key, job) for key, job in keyed if key < end]
        keyed.sort(key=lambda pair: pair[0], reverse=True)
        return [job for _, job in keyed[: max(0, limit)]]

    async def submitters(self, tenant: str, job_ids: Collection[str]) -> Mapping[str, str]:
        """See `Store.submitters`."""
        self._require_open()
        found = ((job_id, self._jobs.get((tenant, job_id))) for job_id in job_ids)
        return {job_id: _decode(body).principal for job_id, body in found if body is not None}

    async def open_jobs(self, *, after: OpenCursor, limit: int) -> Sequence[Job]:
        """See `Store.open_jobs`."""
        self._require_open()
        start = (after.created_at_us, after.tenant, after.job_id)
        keyed = sorted(
            (job.created_at_us, job.tenant, job.id, job)
            for job in map(_decode, self._jobs.values())
            if job.state not in TERMINAL and (job.created_at_us, job.tenant, job.id) > start
        )
        return [job for *_, job in keyed[: max(0, limit)]]

    async def result(self, tenant: str, job_id: str) -> bytes | None:
        """See `Store.result`."""
        self._require_open()
        return self._results.get((tenant, job_id))

    async def output(self, tenant: str, job_id: str) -> OutputEntry | None:
        """See `Store.output`."""
        self._require_open()
        return self._outputs.get((tenant, job_id))

    async def entry(self, tenant: str, kind: EntryKind, name: str) -> RegistryEntry | None:
        """See `Store.entry`."""
        self._require_open()
        return self._registry.get((tenant, kind, name))

    async def entries(self, kind: EntryKind) -> Sequence[RegistryEntry]:
        """See `Store.entries`."""
        self._require_open()
        return [entry for key, entry in sorted(self._registry.items()) if key[1] == kind]

    async def latest_entries(
        self, tenant: str, kind: EntryKind, *, limit: int
    ) -> Sequence[RegistryEntry]:
        """See `Store.latest_entries`."""
        self._require_open()
        entries = [
            entry for key, entry in sorted(self._registry.items()) if key[:2] == (tenant, kind)
        ]
        return entries[::-1][: max(0, limit)]

    async def entries_before(
        self, kind: EntryKind, at_us: int, *, limit: int
    ) -> Sequence[EntryName]:
        """See `Store.entries_before`."""
        self._require_open()
        names = [
            EntryName(entry.tenant, entry.name, entry.revision, entry.updated_at_us)
            for entry in self._registry.values()
            if entry.kind == kind and entry.updated_at_us < at_us
        ]
        names.sort(key=lambda name: (name.updated_at_us, name.tenant, name.name))
        return names[: max(0, limit)]

    async def job_count(self) -> int:
        """See `Store.job_count`."""
        self._require_open()
        return len(self._jobs)

    async def decisions(self, tenant: str, job_id: str, *, limit: int) -> Sequence[DecisionRecord]:
        """See `Store.decisions`."""
        self._require_open()
        newest = self._decisions.get((tenant, job_id), [])[::-1][: max(0, limit)]
        return [msgspec.json.decode(body, type=DecisionRecord) for body in newest]

    async def idempotency(self, tenant: str, key: str) -> IdempotencyEntry | None:
        """See `Store.idempotency`."""
        self._require_open()
        return self._idempotency.get((tenant, key))

    async def links(
        self, *, start: int, limit: int, tenant: str = "", job_id: str = ""
    ) -> Sequence[ChainLink]:
        """See `Store.links`."""
        self._require_open()
        page = self._log[max(0, start) :]
        if tenant or job_id:
            page = [link for link in page if _is_of(link, tenant, job_id)]
        return page[: max(0, limit)]

    async def log_end(self) -> int:
        """See `Store.log_end`."""
        self._require_open()
        return len(self._log)

    async def close(self) -> None:
        """See `Store.close`."""
        self._closed = True

    def _writes(self, put: Put) -> list[_Write]:
        """The writes of a put. Raises UnicodeEncodeError for a text that is not valid Unicode."""
        if isinstance(put, PutJob | MoveJob):
            name = (put.job.tenant, put.job.id)
            writes: list[_Write] = [(self._jobs, name, msgspec.json.encode(put.job))]
            if put.decision is not None:
                earlier = self._decisions.get(name, [])
                decisions = [*earlier, msgspec.json.encode(put.decision)]
                writes.append((self._decisions, name, decisions))
            if isinstance(put, PutJob):
                writes.append((self._payloads, name, put.payload))
            elif put.result is not None:
                writes.append((self._results, name, put.result))
            return writes
        write = self._write_of_entry(put)
        "".join(write[1]).encode()  # raises for a lone surrogate
        return [write]

    def _write_of_entry(self, put: PutEntry | DropEntry | PutOutput | PutIdempotency) -> _Write:
        if isinstance(put, DropEntry):
            return self._registry, put.entry.key, None
        if isinstance(put, PutEntry):
            return self._registry, put.entry.key, put.entry
        if isinstance(put, PutOutput):
            return self._outputs, (put.entry.tenant, put.entry.job_id), put.entry
        msgspec.json.encode(put.entry)  # raises for a lone surrogate in any of its texts
        return self._idempotency, (put.entry.tenant, put.entry.key), put.entry

    def _require_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("the store is closed")


def _is_of(link: ChainLink, tenant: str, job_id: str) -> bool:
    record = msgspec.json.decode(link.record)
    return record["tenant"] == tenant and job_id in ("", record["job_id"])


def _matches(job: Job, job_filter: JobFilter) -> bool:
    since, until = job_filter.updated_after_us, job_filter.updated_before_us
    return (
        (job_filter.principals is None or job.principal in job_filter.principals)
        and (not job_filter.dead or job.dead_at_us > 0)
        and (not job_filter.asked or job.asked_at_us > 0)
        and (job_filter.state is None or job.state is job_filter.state)
        and (not job_filter.topic or job.topic == job_filter.topic)
        and (not job_filter.trace_id or job.trace_id == job_filter.trace_id)
        and (since is None or job.updated_at_us > since)
        and (until is None or job.updated_at_us < until)
    )
