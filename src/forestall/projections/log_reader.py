"""Read the log as it grows: which records a follower may see, page by page. Keeps no copy.

The salt of a record never leaves: without the salt, a leaf hash does not let anybody test a guess
of what the record says.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import msgspec

from forestall.audit.chain import ChainLink
from forestall.identity.credentials import Subject
from forestall.identity.visibility import may_see, may_see_facts
from forestall.limits import STREAM_PAGE_BYTES_MAX, STREAM_PAGE_RECORDS_MAX, STREAM_READS_MAX
from forestall.ports.log_entry import LogEntry, visibility_of
from forestall.ports.store import Store
from forestall.projections.log_listeners import LogListeners
from forestall.structs import copied

T = TypeVar("T")
_OF_FACTS = ("facts", "label_conflicts")  # fields of a record's data


class _VisibleRecord(msgspec.Struct, frozen=True):
    """The fields of a stored record that may leave: all but its salt."""

    kind: str
    at_us: int
    tenant: str
    actor: str
    job_id: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")


_decode = msgspec.json.Decoder(_VisibleRecord).decode


class LogPage:
    """Records in the order of the log. `end` is the position at which the next page starts;
    `more`: there are records there already."""

    __slots__ = ("_encoded", "end", "entries", "more")

    def __init__(self, entries: tuple[LogEntry, ...], *, end: int, more: bool) -> None:
        self.entries = entries
        self.end = end
        self.more = more
        self._encoded: dict[Hashable, Any] = {}

    def visible(self, subject: Subject) -> list[LogEntry]:
        """The records that the subject may see, by its role and by whose jobs they are about, and
        without facts unless it may see those."""
        seen = [
            entry
            for entry in self.entries
            if subject.may(entry.visibility.permission) and may_see(subject, entry.principal)
        ]
        return seen if may_see_facts(subject) else [_without_facts(entry) for entry in seen]

    def encoded(self, key: Hashable, encode: Callable[[], T]) -> T:
        """What `encode` computes from this page: computed once for each `key`, and shared by all
        readers of the page."""
        if key not in self._encoded:
            self._encoded[key] = encode()
        encoded: T = self._encoded[key]
        return encoded


class LogReader:
    """Pages near the end of the log. Followers that ask for the same page share one read of the
    store, and STREAM_READS_MAX reads run at once."""

    def __init__(self, store: Store, announcer: LogListeners) -> None:
        self._store = store
        self._announcer = announcer
        self._reading: dict[Hashable, asyncio.Task[LogPage]] = {}
        self._turns = asyncio.Semaphore(STREAM_READS_MAX)

    async def page(
        self, tenant: str, job_id: str, start: int, *, with_principals: bool = False
    ) -> LogPage:
        """A page of the records of a tenant, or of one of its jobs, from a position on. Only one
        read `with_principals` shows anything to a reader who sees only some principals.

        Holds every record announced before this call: a read that began before the last wake-up is
        not shared. Raises StoreUnavailableError.
        """
        key = (tenant, job_id, start, with_principals, self._announcer.wakes)
        task = self._reading.get(key)
        if task is None:
            task = asyncio.create_task(self._read(tenant, job_id, start, with_principals))
            self._reading[key] = task
            task.add_done_callback(lambda done: self._read_is_done(key, done))
        return await asyncio.shield(task)

    async def _read(self, tenant: str, job_id: str, start: int, with_principals: bool) -> LogPage:
        async with self._turns:
            limit = STREAM_PAGE_RECORDS_MAX
            links = await self._store.links(start=start, limit=limit, tenant=tenant, job_id=job_id)
        more = len(links) == limit
        entries = []
        size_bytes = 0
        for link in links:
            entries.append(_entry(link))
            size_bytes += len(link.record)
            if size_bytes > STREAM_PAGE_BYTES_MAX:
                more = True
                break
        if with_principals and entries:
            entries = await self._with_principals(tenant, entries)
        end = entries[-1].position + 1 if entries else start
        return LogPage(tuple(entries), end=end, more=more)

    async def _with_principals(self, tenant: str, entries: list[LogEntry]) -> list[LogEntry]:
        job_ids = {entry.job_id for entry in entries if entry.job_id}
        submitters = await self._store.submitters(tenant, job_ids) if job_ids else {}
        return [
            msgspec.structs.replace(
                entry, principal=submitters.get(entry.job_id) if entry.job_id else entry.actor
            )
            for entry in entries
        ]

    def _read_is_done(self, key: Hashable, task: "asyncio.Task[LogPage]") -> None:
        del self._reading[key]
        if not task.cancelled():
            task.exception()  # its readers raise it; asyncio would report it once more


def _without_facts(entry: LogEntry) -> LogEntry:
    data = msgspec.json.decode(entry.data, type=dict[str, msgspec.Raw])
    if data.keys().isdisjoint(_OF_FACTS):
        return entry
    kept = {name: value for name, value in data.items() if name not in _OF_FACTS}
    return msgspec.structs.replace(entry, data=msgspec.Raw(msgspec.json.encode(kept)))


def _entry(link: ChainLink) -> LogEntry:
    record = _decode(link.record)
    return copied(LogEntry, record, position=link.position, visibility=visibility_of(record.kind))
