"""Apply a group of changes in one SQLite transaction. Knows no thread, no queue and no retry.

The group is decided change by change, in order: each sees what those before it did. Births (jobs,
payloads, first decisions, idempotency keys) and the log are gathered and inserted at the end, table
by table, or before a change that looks at one of them; everything else is written at once.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from forestall.audit.chain import GENESIS, leaf_hash, next_link
from forestall.errors import InvalidRequestError
from forestall.jobs.lifecycle import TERMINAL
from forestall.ports.change import (
    Change,
    DropEntry,
    DropSealed,
    EntryUnchanged,
    IdempotencyKeyAbsent,
    JobAbsent,
    JobUnmoved,
    KeyUnrevoked,
    MoveJob,
    OriginalKept,
    OutputEntry,
    PolicyInForce,
    Precondition,
    Put,
    PutEntry,
    PutIdempotency,
    PutJob,
    PutKey,
    PutOutput,
    PutSnapshot,
    Receipt,
)
from forestall.ports.change_rules import require_lawful
from forestall.ports.store import PreconditionFailedError
from forestall.store.queries import blocks

Row = tuple[Any, ...]
Outcome = Receipt | PreconditionFailedError
_encode = msgspec.json.Encoder().encode


class Prepared:
    """A change as rows. Made in the caller's task, so that what cannot be encoded fails there."""

    __slots__ = ("births", "direct", "expect", "idempotency", "records", "size_bytes")

    def __init__(self, change: Change) -> None:
        require_lawful(change)
        self.expect: list[Precondition] = list(change.expect)
        self.births: list[tuple[Row, Row, Row]] = []  # job, payload, decision
        self.idempotency: list[Row] = []
        self.direct: list[tuple[str, Row]] = []  # block name and its row
        self.size_bytes = 0
        try:
            for put in change.puts:
                self._prepare(put)
        except UnicodeEncodeError as cause:  # a lone surrogate is no text
            raise InvalidRequestError("a text of the change is not valid Unicode") from cause
        self.records: list[Row] = []
        for record in change.records:
            leaf = record.canonical()
            self.size_bytes += len(leaf)
            self.records.append(
                (record.tenant, record.kind, record.job_id, record.at_us, leaf, leaf_hash(leaf))
            )

    def _prepare(self, put: Put) -> None:
        if type(put) is PutJob:
            self._prepare_birth(put)
        elif type(put) is MoveJob:
            self._prepare_move(put)
        elif type(put) is PutIdempotency:
            entry = put.entry
            row = (entry.tenant, entry.key, entry.request_digest, entry.job_id)
            "".join(row).encode()  # this value has no JSON body that would refuse bad text
            self.idempotency.append(row)
            _imply(self.expect, IdempotencyKeyAbsent(entry.tenant, entry.key))
        elif type(put) is PutKey:
            key = put.key
            made, ended = key.created_at_us, key.revoked_at_us
            self.direct.append(
                ("put_key", (key.id, key.tenant, key.name, made, ended, _encode(key)))
            )
        elif type(put) is PutEntry:
            given = put.entry
            _imply(
                self.expect,
                EntryUnchanged(given.tenant, given.kind, given.name, given.revision - 1),
            )
            values = (given.revision, given.updated_at_us, given.body)
            self.direct.append(("put_entry", (given.tenant, given.kind, given.name, *values)))
        elif type(put) is DropEntry:
            given = put.entry
            _imply(
                self.expect, EntryUnchanged(given.tenant, given.kind, given.name, given.revision)
            )
            self.direct.append(("drop_entry", (given.tenant, given.kind, given.name)))
        elif type(put) is PutOutput:
            self._prepare_output(put.entry)
        elif type(put) is DropSealed:
            self.direct.append(("drop_sealed", (put.tenant, put.job_id)))
        else:
            assert type(put) is PutSnapshot
            entered = put.entry
            self.direct.append(
                ("insert_snapshot", (entered.digest, entered.activated_at_us, _encode(entered)))
            )

    def _prepare_birth(self, put: PutJob) -> None:
        job = put.job
        body, decision = _encode(job), _encode(put.decision)
        name = (job.tenant, job.id)
        columns = (job.trace_id, job.state.value, job.topic, job.created_at_us, job.updated_at_us)
        rest = (job.revision, job.dead_at_us, job.asked_at_us, job.state not in TERMINAL, body)
        self.births.append(((*name, *columns, *rest), (*name, put.payload), (*name, decision)))
        self.size_bytes += len(body) + len(decision) + len(put.payload)
        _imply(self.expect, JobAbsent(*name))

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
        self.expect.append(put.before)

    def _prepare_output(self, entry: OutputEntry) -> None:
        name = (entry.tenant, entry.job_id)
        "".join(name).encode()  # this value has no JSON body that would refuse bad text
        sealed: Row = (None, None, None)
        if entry.sealed is not None:
            sealed = (entry.sealed.key_id, entry.sealed.nonce, entry.sealed.box)
            self.size_bytes += len(entry.sealed.box)
        self.direct.append(("put_output", (*name, entry.checked_at_us, entry.findings, *sealed)))
        self.size_bytes += len(entry.findings)


def _imply(expect: list[Precondition], implied: Precondition) -> None:
    """An insert never replaces, whether or not the caller said so."""
    if implied not in expect:
        expect.append(implied)


class _Gathered:
    """Births that are not in the tables yet, and what tells of them."""

    __slots__ = ("births", "idempotency", "jobs", "keys")

    def __init__(self) -> None:
        self.births: list[tuple[Row, Row, Row]] = []
        self.idempotency: list[Row] = []
        self.jobs: set[tuple[str, str]] = set()
        self.keys: set[tuple[str, str]] = set()

    def add(self, change: Prepared) -> None:
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
        self.__init__()  # type: ignore[misc]  # empty again


def apply_group(connection: sqlite3.Connection, changes: Sequence[Prepared]) -> list[Outcome]:
    """Apply each change whole or not at all, in order, inside the transaction that is open."""
    sql = blocks("write.sql")
    head = connection.execute(sql["head"]).fetchall()
    position, link = (head[0][0] + 1, head[0][1]) if head else (0, GENESIS)
    gathered = _Gathered()
    log: list[Row] = []
    outcomes: list[Outcome] = []
    for change in changes:
        failed = _first_failed(connection, change.expect, gathered)
        if failed is not None:
            outcomes.append(PreconditionFailedError(failed))
            continue
        for block, row in change.direct:
            connection.execute(sql[block], row)
        gathered.add(change)
        outcomes.append(Receipt(position))
        for tenant, kind, job_id, at_us, leaf, leaf_digest in change.records:
            link = next_link(link, position, leaf_digest)
            log.append((position, tenant, kind, job_id, at_us, leaf, link))
            position += 1
    gathered.insert(connection)
    connection.executemany(sql["insert_log"], log)
    return outcomes


def _first_failed(
    connection: sqlite3.Connection, expect: Sequence[Precondition], gathered: _Gathered
) -> Precondition | None:
    """The first precondition that does not hold now."""
    return next((wanted for wanted in expect if not _holds(connection, wanted, gathered)), None)


def _holds(connection: sqlite3.Connection, wanted: Precondition, gathered: _Gathered) -> bool:
    sql = blocks("write.sql")
    if isinstance(wanted, JobAbsent):
        pair = (wanted.tenant, wanted.job_id)
        return pair not in gathered.jobs and not _found(connection, sql["job_present"], pair)
    if isinstance(wanted, JobUnmoved):
        pair = (wanted.tenant, wanted.job_id)
        if pair in gathered.jobs:
            gathered.insert(connection)
        row = (*pair, wanted.state.value, wanted.revision)
        return _found(connection, sql["job_unmoved"], row)
    if isinstance(wanted, IdempotencyKeyAbsent):
        pair = (wanted.tenant, wanted.key)
        return pair not in gathered.keys and not _found(
            connection, sql["idempotency_present"], pair
        )
    if isinstance(wanted, KeyUnrevoked):
        return _found(connection, sql["key_unrevoked"], (wanted.tenant, wanted.key_id))
    if isinstance(wanted, PolicyInForce):
        return _found(connection, sql["policy_in_force"], (wanted.digest,))
    if isinstance(wanted, OriginalKept):
        return _found(connection, sql["original_kept"], (wanted.tenant, wanted.job_id))
    if isinstance(wanted, EntryUnchanged):
        name = (wanted.tenant, wanted.kind, wanted.name)
        rows = connection.execute(sql["entry_revision"], name).fetchall()
        return (rows[0][0] if rows else 0) == wanted.revision
    return not _found(connection, sql["key_name_present"], (wanted.tenant, wanted.name))


def _found(connection: sqlite3.Connection, statement: str, row: Row) -> bool:
    try:
        return bool(connection.execute(statement, row).fetchall())
    except UnicodeEncodeError:  # a lone surrogate is no text, so nothing has it as a name
        return False
