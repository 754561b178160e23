"""Apply a group of changes in one SQLite transaction. Knows no thread, no queue and no retry.

The changes of a group are applied in order: the preconditions of each are checked against what
those before it wrote. Births (jobs, payloads, first decisions, idempotency keys) and log records
are gathered and inserted at the end, table by table, or before a precondition that asks for such a
job; everything else is written at once.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from forestall.audit.chain import Head, append, leaf_of
from forestall.errors import InvalidRequestError
from forestall.jobs.lifecycle import TERMINAL
from forestall.ports.change import (
    Change,
    DropEntry,
    EntryUnchanged,
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
from forestall.ports.store import PreconditionFailedError
from forestall.store.queries import blocks

Row = tuple[Any, ...]
Outcome = Receipt | PreconditionFailedError
_encode = msgspec.json.Encoder().encode


class PreparedChange:
    """A change as rows. Made in the caller's task, so that a value that cannot be encoded raises
    there and fails no other change of the group."""

    __slots__ = ("births", "direct", "expect", "idempotency", "leaves", "records", "size_bytes")

    def __init__(self, change: Change) -> None:
        require_lawful(change)
        self.expect = required(change)
        self.births: list[tuple[Row, Row, Row]] = []  # job, payload, decision
        self.idempotency: list[Row] = []
        self.direct: list[tuple[str, Row]] = []  # block name and its row
        self.size_bytes = 0
        try:
            for put in change.puts:
                self._prepare(put)
        except UnicodeEncodeError as cause:  # a lone surrogate has no encoding in UTF-8
            raise InvalidRequestError("a text of the change is not valid Unicode") from cause
        self.records = [
            (record.tenant, record.kind, record.job_id, record.at_us) for record in change.records
        ]
        self.leaves = [leaf_of(record.canonical()) for record in change.records]
        self.size_bytes += sum(len(leaf.record) for leaf in self.leaves)

    def _prepare(self, put: Put) -> None:
        if type(put) is PutJob:
            self._prepare_birth(put)
        elif type(put) is MoveJob:
            self._prepare_move(put)
        elif type(put) is PutIdempotency:
            key = put.entry
            row = (key.tenant, key.key, key.request_digest, key.job_id)
            _require_encodable(row)
            self.idempotency.append(row)
        elif type(put) is PutEntry:
            entry = put.entry
            _require_encodable(entry.key)
            values = (entry.revision, entry.updated_at_us, entry.body)
            self.direct.append(("put_entry", (*entry.key, *values)))
            self.size_bytes += len(entry.body)
        elif type(put) is DropEntry:
            self.direct.append(("drop_entry", put.entry.key))
        else:
            assert type(put) is PutOutput
            self._prepare_output(put.entry)

    def _prepare_birth(self, put: PutJob) -> None:
        job = put.job
        body, decision = _encode(job), _encode(put.decision)
        name = (job.tenant, job.id)
        row = (
            *name,
            job.trace_id,
            job.state.value,
            job.topic,
            job.created_at_us,
            job.updated_at_us,
            job.revision,
            job.dead_at_us,
            job.asked_at_us,
            job.state not in TERMINAL,
            job.principal,
            body,
        )
        self.births.append((row, (*name, put.payload), (*name, decision)))
        self.size_bytes += len(body) + len(decision) + len(put.payload)

    def _prepare_move(self, put: MoveJob) -> None:
        job = put.job
        body = _encode(job)
        name = (job.tenant, job.id)
        columns = (job.state.value, job.updated_at_us, job.revision, job.dead_at_us)
        row = (*columns, job.asked_at_us, job.state not in TERMINAL, body, *name)
        self.direct.append(("move_job", row))
        self.size_bytes += len(body)
        if put.decision is not None:
            self.direct.append(("append_decision", (*name, job.revision, _encode(put.decision))))
        if put.result is not None:
            self.direct.append(("put_result", (*name, put.result)))
            self.size_bytes += len(put.result)

    def _prepare_output(self, entry: OutputEntry) -> None:
        name = (entry.tenant, entry.job_id)
        _require_encodable(name)
        self.direct.append(("put_output", (*name, entry.checked_at_us, entry.findings)))
        self.size_bytes += len(entry.findings)


def _require_encodable(texts: Sequence[str]) -> None:
    """Raises UnicodeEncodeError for a lone surrogate, as encoding JSON does for other puts."""
    "".join(texts).encode()


class _PendingBirths:
    """Births that are not in the tables yet, and the names by which preconditions find them."""

    __slots__ = ("births", "idempotency", "jobs", "keys")

    def __init__(self) -> None:
        self.births: list[tuple[Row, Row, Row]] = []
        self.idempotency: list[Row] = []
        self.jobs: set[tuple[str, str]] = set()
        self.keys: set[tuple[str, str]] = set()

    def add(self, change: PreparedChange) -> None:
        self.births += change.births
        self.idempotency += change.idempotency
        self.jobs.update((row[0], row[1]) for row, _, _ in change.births)
        self.keys.update((row[0], row[1]) for row in change.idempotency)

    def insert(self, connection: sqlite3.Connection) -> None:
        sql = blocks("write.sql")
        connection.executemany(sql["insert_job"], [job for job, _, _ in self.births])
        connection.executemany(sql["insert_payload"], [payload for _, payload, _ in self.births])
        connection.executemany(sql["insert_decision"], [row for _, _, row in self.births])
        connection.executemany(sql["insert_idempotency"], self.idempotency)
        for pending in (self.births, self.idempotency, self.jobs, self.keys):
            pending.clear()


def apply_group(connection: sqlite3.Connection, changes: Sequence[PreparedChange]) -> list[Outcome]:
    """Apply each change whole or not at all, in order, inside the open transaction. Returns a
    receipt or the failed precondition for each; raises sqlite3.Error when the group must fail."""
    sql = blocks("write.sql")
    last = connection.execute(sql["head"]).fetchall()
    head = Head(last[0][0] + 1, last[0][1]) if last else Head()
    births = _PendingBirths()
    log: list[Row] = []
    outcomes: list[Outcome] = []
    for change in changes:
        failed = _first_failed(connection, change.expect, births)
        if failed is not None:
            outcomes.append(PreconditionFailedError(failed))
            continue
        for block, row in change.direct:
            connection.execute(sql[block], row)
        births.add(change)
        outcomes.append(Receipt(head.position))
        links, head = append(head, change.leaves)
        log += [
            (link.position, *columns, link.record, link.link)
            for link, columns in zip(links, change.records, strict=True)
        ]
    births.insert(connection)
    connection.executemany(sql["insert_log"], log)
    return outcomes


def _first_failed(
    connection: sqlite3.Connection, expect: Sequence[Precondition], births: _PendingBirths
) -> Precondition | None:
    """The first precondition that does not hold now; None when all hold."""
    for condition in expect:
        if not _holds(connection, condition, births):
            return condition
    return None


def _holds(connection: sqlite3.Connection, condition: Precondition, births: _PendingBirths) -> bool:
    sql = blocks("write.sql")
    if isinstance(condition, JobAbsent):
        name = (condition.tenant, condition.job_id)
        return name not in births.jobs and not _row_exists(connection, sql["job_present"], name)
    if isinstance(condition, JobUnmoved):
        name = (condition.tenant, condition.job_id)
        if name in births.jobs:
            births.insert(connection)
        row = (*name, condition.state.value, condition.revision)
        return _row_exists(connection, sql["job_unmoved"], row)
    if isinstance(condition, EntryUnchanged):
        return _revision(connection, condition) == condition.revision
    key = (condition.tenant, condition.key)
    return key not in births.keys and not _row_exists(connection, sql["idempotency_present"], key)


def _revision(connection: sqlite3.Connection, condition: EntryUnchanged) -> int:
    """The revision of an entry; 0 when there is none."""
    name = (condition.tenant, condition.kind, condition.name)
    try:
        rows = connection.execute(blocks("write.sql")["entry_revision"], name).fetchall()
    except UnicodeEncodeError:  # a lone surrogate has no encoding, so no entry has this name
        return 0
    return int(rows[0][0]) if rows else 0


def _row_exists(connection: sqlite3.Connection, statement: str, row: Row) -> bool:
    try:
        return bool(connection.execute(statement, row).fetchall())
    except UnicodeEncodeError:  # a lone surrogate has no encoding, so no row has this name
        return False
