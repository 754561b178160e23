"""Apply a group of changes in one SQLite transaction. Knows no thread, no queue and no retry.

The group is decided change by change, in order: each sees what those before it did. What cannot be
told apart inside the group (jobs, decisions, idempotency keys, log) is gathered and inserted at the
end, table by table; what is rare (API keys, snapshots) is written at once.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from forestall.audit.chain import GENESIS, leaf_hash, next_link
from forestall.control.ports import (
    Change,
    IdempotencyKeyAbsent,
    JobAbsent,
    KeyUnrevoked,
    Precondition,
    PreconditionFailedError,
    PutIdempotency,
    PutJob,
    PutKey,
    PutSnapshot,
    Receipt,
)
from forestall.errors import InvalidRequestError
from forestall.store.laws import require_lawful
from forestall.store.queries import blocks

Row = tuple[Any, ...]
Outcome = Receipt | PreconditionFailedError
_encode = msgspec.json.Encoder().encode


class Prepared:
    """A change as rows. Made in the caller's task, so that what cannot be encoded fails there."""

    __slots__ = ("decisions", "direct", "expect", "idempotency", "jobs", "records", "size_bytes")

    def __init__(self, change: Change) -> None:
        require_lawful(change)
        self.expect: list[Precondition] = list(change.expect)
        self.jobs: list[Row] = []
        self.decisions: list[Row] = []
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

    def _prepare(self, put: PutJob | PutIdempotency | PutKey | PutSnapshot) -> None:
        if type(put) is PutJob:
            job = put.job
            body, decision = _encode(job), _encode(put.decision)
            state, changed = job.state.value, job.updated_at_us
            self.jobs.append(
                (job.tenant, job.id, job.trace_id, state, job.topic, changed, body, put.payload)
            )
            self.decisions.append((job.tenant, job.id, decision))
            self.size_bytes += len(body) + len(decision) + len(put.payload)
            _imply(self.expect, JobAbsent(job.tenant, job.id))
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
        else:
            assert type(put) is PutSnapshot
            entered = put.entry
            self.direct.append(
                ("insert_snapshot", (entered.digest, entered.activated_at_us, _encode(entered)))
            )


def _imply(expect: list[Precondition], implied: Precondition) -> None:
    """An insert never replaces, whether or not the caller said so."""
    if implied not in expect:
        expect.append(implied)


def apply_group(connection: sqlite3.Connection, changes: Sequence[Prepared]) -> list[Outcome]:
    """Apply each change whole or not at all, in order, inside the transaction that is open."""
    sql = blocks("write.sql")
    head = connection.execute(sql["head"]).fetchall()
    position, link = (head[0][0] + 1, head[0][1]) if head else (0, GENESIS)
    born: set[tuple[str, str]] = set()
    used: set[tuple[str, str]] = set()
    jobs: list[Row] = []
    decisions: list[Row] = []
    idempotency: list[Row] = []
    log: list[Row] = []
    outcomes: list[Outcome] = []
    for change in changes:
        failed = _first_failed(connection, change.expect, born, used)
        if failed is not None:
            outcomes.append(PreconditionFailedError(failed))
            continue
        for block, row in change.direct:
            connection.execute(sql[block], row)
        born.update((row[0], row[1]) for row in change.jobs)
        used.update((row[0], row[1]) for row in change.idempotency)
        jobs += change.jobs
        decisions += change.decisions
        idempotency += change.idempotency
        outcomes.append(Receipt(position))
        for tenant, kind, job_id, at_us, leaf, leaf_digest in change.records:
            link = next_link(link, position, leaf_digest)
            log.append((position, tenant, kind, job_id, at_us, leaf, link))
            position += 1
    connection.executemany(sql["insert_job"], jobs)
    connection.executemany(sql["insert_decision"], decisions)
    connection.executemany(sql["insert_idempotency"], idempotency)
    connection.executemany(sql["insert_log"], log)
    return outcomes


def _first_failed(
    connection: sqlite3.Connection,
    expect: Sequence[Precondition],
    born: set[tuple[str, str]],
    used: set[tuple[str, str]],
) -> Precondition | None:
    """The first precondition that does not hold now; `born` and `used` are not in tables yet."""
    sql = blocks("write.sql")
    for wanted in expect:
        if isinstance(wanted, JobAbsent):
            pair = (wanted.tenant, wanted.job_id)
            holds = pair not in born and not _found(connection, sql["job_present"], pair)
        elif isinstance(wanted, IdempotencyKeyAbsent):
            pair = (wanted.tenant, wanted.key)
            holds = pair not in used and not _found(connection, sql["idempotency_present"], pair)
        elif isinstance(wanted, KeyUnrevoked):
            holds = _found(connection, sql["key_unrevoked"], (wanted.tenant, wanted.key_id))
        else:
            holds = not _found(connection, sql["key_name_present"], (wanted.tenant, wanted.name))
        if not holds:
            return wanted
    return None


def _found(connection: sqlite3.Connection, statement: str, row: Row) -> bool:
    try:
        return bool(connection.execute(statement, row).fetchall())
    except UnicodeEncodeError:  # a lone surrogate is no text, so nothing has it as a name
        return False
