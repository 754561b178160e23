"""What only the SQLite store has: a file, a schema, a writer thread, other processes, a full disk.

The laws that every store shares stand in tests/contract/test_store.py.
"""

import asyncio
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from forestall.audit.chain import ChainLink, verify_links
from forestall.audit.record import Record
from forestall.jobs.job import DecisionRecord, Job, JobState, Stage
from forestall.policy.rules import Effect
from forestall.ports.change import Change, JobAbsent, PutJob, Receipt
from forestall.ports.store import JobFilter, StoreBusyError, StoreUnavailableError
from forestall.store import group, schema, writer
from forestall.store.queries import blocks
from forestall.store.sqlite import SqliteStore

T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "forestall.db"


def drive(path: Path, scenario: Callable[[SqliteStore], Awaitable[T]], **how: bool) -> T:
    """Run a scenario against the store at `path`, and close it."""

    async def run() -> T:
        store = SqliteStore.open(path, **how)
        try:
            return await scenario(store)
        finally:
            await store.close()

    return asyncio.run(run())


def a_birth(job_id: str, *, payload: bytes = b"{}", at_us: int = 1) -> Change:
    decision = DecisionRecord(
        stage=Stage.SUBMIT,
        decided_at_us=1,
        decision=Effect.ALLOW,
        code="rule",
        reason="",
        snapshot="5" * 64,
        job_hash="7" * 64,
    )
    job = Job(
        id=job_id,
        trace_id="t",
        tenant="acme",
        principal="ci",
        state=JobState.PENDING,
        topic="job.demo",
        job_hash="7" * 64,
        created_at_us=1,
        updated_at_us=1,
    )
    record = Record(
        kind="job.submitted", at_us=at_us, tenant="acme", actor="ci", salt="0", job_id=job_id
    )
    return Change(
        records=(record,),
        expect=(JobAbsent("acme", job_id),),
        puts=(PutJob(job=job, payload=payload, decision=decision),),
    )


async def submit_all(store: SqliteStore, changes: Sequence[Change]) -> list[object]:
    return await asyncio.gather(
        *(store.commit(change) for change in changes), return_exceptions=True
    )


async def the_log(store: SqliteStore) -> list[ChainLink]:
    return list(await store.links(start=0, limit=1_000_000))


async def commit_one(store: SqliteStore) -> Receipt:
    return await store.commit(a_birth("j"))


async def nothing(store: SqliteStore) -> None:
    """Open and close."""


def edit(path: Path, statement: str, row: tuple[object, ...] = ()) -> None:
    """Change a database behind the store's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement, row).fetchall()
    connection.close()


# -- the file --


def test_a_database_is_for_its_owner_only(path: Path) -> None:
    """The database and its -wal and -shm are made 0600, whatever the umask allows."""

    async def scenario(store: SqliteStore) -> list[int]:
        await commit_one(store)
        files = (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm"))
        return [stat.S_IMODE(one.stat().st_mode) for one in files]

    before = os.umask(0)
    try:
        assert drive(path, scenario) == [0o600] * 3
    finally:
        os.umask(before)


def test_what_was_committed_outlives_the_store(path: Path) -> None:
    """A store that is opened again goes on where the log ended; closed, it is one file."""
    assert drive(path, commit_one) == Receipt(0)
    assert [one.name for one in path.parent.iterdir()] == [path.name]

    async def scenario(store: SqliteStore) -> None:
        assert await store.job("acme", "j") is not None
        assert await store.commit(a_birth("k")) == Receipt(1)
        verify_links(await the_log(store))

    drive(path, scenario)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_database_is_refused(path: Path, read_only: bool) -> None:
    """Refused with advice, and left as it is."""
    text = b"these are my notes, not a database\n" * 200
    path.write_bytes(text)
    with pytest.raises(StoreUnavailableError, match="is not a Forestall database"):
        SqliteStore.open(path, read_only=read_only)
    assert path.read_bytes() == text


@pytest.mark.parametrize("read_only", [False, True])
def test_a_database_of_somebody_else_is_refused(path: Path, read_only: bool) -> None:
    """Another program's SQLite file is not migrated, not even switched to WAL."""
    edit(path, "CREATE TABLE notes (text)")
    before = path.read_bytes()
    with pytest.raises(StoreUnavailableError, match="not a Forestall database"):
        SqliteStore.open(path, read_only=read_only)
    assert path.read_bytes() == before


def test_a_damaged_database_is_refused(path: Path) -> None:
    """A page of nonsense in the schema: refused on opening, with advice."""
    drive(path, commit_one)
    damaged = bytearray(path.read_bytes())
    damaged[100:4096] = b"\xa5" * 3996
    path.write_bytes(damaged)
    with pytest.raises(StoreUnavailableError, match="damaged"):
        SqliteStore.open(path)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """The message says which path, and what to check."""
    with pytest.raises(StoreUnavailableError, match="nowhere"):
        SqliteStore.open(tmp_path / "nowhere" / "forestall.db")


# -- the schema --


def test_every_named_statement_is_valid(path: Path) -> None:
    """SQLite accepts each block against the tables as the migrations make them."""
    connection = schema.connect_writer(path)
    for file_name in ("read.sql", "write.sql", "schema.sql"):
        assert blocks(file_name)
        for name, statement in blocks(file_name).items():
            if name not in ("begin", "commit", "rollback"):
                names = {word: 1 for word in ROW_NAMES if f":{word}" in statement}
                marks = [1] * statement.count("?")
                connection.execute(f"EXPLAIN {statement}", names or marks).fetchall()
    connection.close()


ROW_NAMES = (
    "tenant",
    "state",
    "topic",
    "trace_id",
    "principal",
    "after_us",
    "before_us",
    "cursor_us",
    "cursor_id",
    "limit",
)


@pytest.mark.parametrize("block", ["jobs", "jobs_in_state"])
def test_a_page_is_read_along_an_index(path: Path, block: str) -> None:
    """Listing jobs neither sorts nor walks the table, however many jobs there are."""
    connection = schema.connect_writer(path)
    statement = blocks("read.sql")[block]
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", dict.fromkeys(ROW_NAMES, 1))
    steps = " ".join(row[3] for row in plan.fetchall())
    connection.close()
    assert "USING INDEX jobs_newest" in steps
    assert "TEMP B-TREE" not in steps
    assert "SCAN" not in steps


@pytest.mark.parametrize("order", ["", "_dead", "_asked"])
def test_a_page_of_one_principal_reads_along_an_index(path: Path, order: str) -> None:
    """Its cost does not grow with what other principals have submitted."""
    connection = schema.connect_writer(path)
    statement = blocks("read.sql")[f"jobs_of_principal{order}"]
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", dict.fromkeys(ROW_NAMES, 1))
    steps = " ".join(row[3] for row in plan.fetchall())
    connection.close()
    assert f"USING INDEX jobs_of_principal{order} (tenant=? AND principal=?" in steps
    assert "TEMP B-TREE" not in steps


def test_a_newer_database_is_refused(path: Path) -> None:
    """A database that a newer release migrated says: upgrade. For reading, too."""
    drive(path, commit_one)
    edit(path, "INSERT INTO schema_migrations VALUES (99, 'pre_future', 'x', 1)")
    for read_only in (False, True):
        with pytest.raises(schema.SchemaTooNewError, match="upgrade"):
            SqliteStore.open(path, read_only=read_only)


def test_an_edited_migration_is_refused(path: Path) -> None:
    """When the applied text is not the text we carry, nobody knows what the tables are."""
    drive(path, commit_one)
    edit(path, "UPDATE schema_migrations SET sha256 = 'x' WHERE version = 1")
    for read_only in (False, True):
        with pytest.raises(schema.SchemaChangedError, match="pre_tables"):
            SqliteStore.open(path, read_only=read_only)


def test_a_migration_is_applied_once_and_whole(path: Path) -> None:
    """A step that fails half-way leaves no trace, not even of the steps before it."""
    connection = schema.connect_writer(path)
    known = schema.migrations()
    good = schema.Migration(len(known) + 1, "pre_good", "CREATE TABLE good (a);\n")
    bad = schema.Migration(
        len(known) + 2, "pre_bad", "CREATE TABLE bad (a);\nINSERT INTO lost VALUES (1);\n"
    )
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, [*known, good, bad])
    assert not connection.in_transaction
    assert schema.pending(connection, [*known, good]) == [good]
    schema.migrate(connection, [*known, good])
    schema.migrate(connection, [*known, good])
    assert connection.execute("SELECT count(*) FROM good").fetchall() == [(0,)]
    assert schema.pending(connection, [*known, good]) == []
    connection.close()


def test_a_reader_does_not_migrate(path: Path) -> None:
    """Opened for reading only, a database that lacks a migration is refused and stays as it is."""
    edit(path, f"PRAGMA application_id = {schema.APPLICATION_ID}")
    with pytest.raises(schema.SchemaOutdatedError, match="pre_tables"):
        SqliteStore.open(path, read_only=True)


def test_a_reader_reads_beside_a_writer(path: Path) -> None:
    """It sees what was committed since it was opened, and commits nothing itself."""

    async def scenario(store: SqliteStore) -> None:
        reader = SqliteStore.open(path, read_only=True)
        await commit_one(store)
        view = await reader.job("acme", "j")
        assert view is not None
        assert len(await reader.jobs(JobFilter(tenant="acme"), limit=9)) == 1
        with pytest.raises(StoreUnavailableError, match="reading only"):
            await reader.commit(a_birth("k"))
        await reader.close()
        await reader.close()

    drive(path, scenario)


@pytest.mark.parametrize("table", ["log", "decisions"])
def test_what_was_recorded_cannot_be_changed(path: Path, table: str) -> None:
    """UPDATE and DELETE on the log and on decisions are refused by the database itself."""
    drive(path, commit_one)
    before = drive(path, the_log)
    for statement in (
        f"DELETE FROM {table}",
        f"UPDATE {table} SET tenant = 'rival'",
        f"REPLACE INTO {table} SELECT * FROM {table}",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            edit(path, statement)
    assert drive(path, the_log) == before


# -- the writer --


def test_one_poisoned_change_fails_alone(path: Path) -> None:
    """Whatever cannot be applied takes nobody of its group with it, and quotes nothing."""

    async def scenario(store: SqliteStore) -> None:
        changes = [a_birth(f"j-{n}", payload=b"secret") for n in range(20)]
        changes[7] = a_birth("poison", payload=b"secret", at_us=2**63)  # no SQLite integer
        found = await submit_all(store, changes)
        refused = found.pop(7)
        assert isinstance(refused, StoreUnavailableError)
        assert isinstance(refused.__cause__, OverflowError)
        assert "secret" not in str(refused)
        assert all(isinstance(one, Receipt) for one in found)
        assert await store.job("acme", "poison") is None
        log = await the_log(store)
        assert len(log) == 19
        verify_links(log)

    drive(path, scenario)


def test_a_full_queue_refuses(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past COMMITS_PENDING_MAX a change is refused at once, and may be tried again."""
    monkeypatch.setattr(writer, "COMMITS_PENDING_MAX", 5)

    async def scenario(store: SqliteStore) -> None:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # the writer waits for this, so the queue can only grow
        tasks = [asyncio.ensure_future(store.commit(a_birth(f"j-{n}"))) for n in range(300)]
        await asyncio.sleep(0)
        other.execute("ROLLBACK")
        other.close()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        refused = [one for one in found if isinstance(one, StoreBusyError)]
        assert refused
        assert all(one.retry_after_s == 1 for one in refused)
        assert len(await the_log(store)) == 300 - len(refused)

    drive(path, scenario)


def test_a_lock_held_elsewhere_refuses_and_passes(path: Path) -> None:
    """Another process holds the write lock too long: refused; when it lets go, all is well."""

    async def scenario(store: SqliteStore) -> None:
        store._writer_pragma("busy_timeout = 0")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        found = await submit_all(store, [a_birth(f"j-{n}") for n in range(5)])
        assert all(isinstance(one, StoreUnavailableError) for one in found)
        assert all(getattr(one, "retry_after_s", 0) == 1 for one in found)
        other.execute("ROLLBACK")
        other.close()
        assert await commit_one(store) == Receipt(0)

    drive(path, scenario)


def test_a_commit_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When COMMIT itself fails, the group is rolled back and the writer lives on."""
    broken = {**blocks("write.sql"), "commit": "INSERT INTO log (position) VALUES (NULL)"}
    held = blocks

    async def scenario(store: SqliteStore) -> None:
        monkeypatch.setattr(writer, "blocks", lambda name: broken)
        found = await submit_all(store, [a_birth("a"), a_birth("b")])
        assert all(isinstance(one, StoreUnavailableError) for one in found)
        monkeypatch.setattr(writer, "blocks", held)
        assert await store.job("acme", "a") is None
        assert not await the_log(store)
        assert await store.commit(a_birth("a")) == Receipt(0)

    drive(path, scenario)


def test_a_group_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No transaction holds more than COMMIT_GROUP_MAX changes."""
    sizes: list[int] = []

    def watched(
        connection: sqlite3.Connection, changes: Sequence[group.PreparedChange]
    ) -> list[group.Outcome]:
        sizes.append(len(changes))
        return group.apply_group(connection, changes)

    monkeypatch.setattr(writer, "apply_group", watched)
    monkeypatch.setattr(writer, "COMMIT_GROUP_MAX", 16)

    async def scenario(store: SqliteStore) -> None:
        found = await submit_all(store, [a_birth(f"j-{n}") for n in range(100)])
        assert all(isinstance(one, Receipt) for one in found)

    drive(path, scenario)
    assert sum(sizes) == 100
    assert max(sizes) <= 16


# -- the disk and the other processes --


def test_a_full_disk_refuses_and_recovers(path: Path) -> None:
    """SQLite says that the disk is full: nothing is half-written, and space makes it work again."""

    async def scenario(store: SqliteStore) -> None:
        await store.commit(a_birth("before"))
        store._writer_pragma("max_page_count = 100")
        large = [a_birth(f"large-{n}", payload=bytes(1_000_000)) for n in range(3)]
        found = await submit_all(store, [*large, a_birth("small")])
        assert [type(one) for one in found] == [StoreUnavailableError] * 3 + [Receipt]
        assert "full" in str(found[0])
        for n in range(3):
            assert await store.job("acme", f"large-{n}") is None
            assert not await store.decisions("acme", f"large-{n}", limit=1)
        assert await store.job("acme", "small") is not None
        store._writer_pragma("max_page_count = 1000000")
        assert await store.commit(large[0]) == Receipt(2)
        log = await the_log(store)
        assert len(log) == 3
        verify_links(log)

    drive(path, scenario)


_LIMITED_FILE_SIZE = """
import asyncio, resource, sys
from pathlib import Path
from forestall.ports.store import StoreUnavailableError
from tests.unit.store.test_sqlite import a_birth, the_log
from forestall.store.sqlite import SqliteStore
from forestall.audit.chain import verify_links

async def main():
    store = SqliteStore.open(Path(sys.argv[1]))
    await store.commit(a_birth("before"))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    refused = 0
    for n in range(4):
        try:
            await store.commit(a_birth(f"large-{n}", payload=bytes(2 << 20)))
        except StoreUnavailableError as error:
            assert error.retry_after_s == 1, error
            refused += 1
    assert refused == 4, refused
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    for n in range(4):
        assert await store.job("acme", f"large-{n}") is None
        await store.commit(a_birth(f"large-{n}", payload=bytes(2 << 20)))
    log = await the_log(store)
    assert verify_links(log).position == 4
    await store.close()

asyncio.run(main())
"""


def run_child(code: str, *args: str) -> "subprocess.Popen[str]":
    """Another process that runs `code` and can import these tests' helpers."""
    root = Path(__file__).parents[3]
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *args],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_FSIZE)[1] >= 0, reason="files are limited")
def test_a_write_that_the_system_refuses(path: Path) -> None:
    """The kernel fails the write (RLIMIT_FSIZE): refused, whole, and fine again afterwards."""
    with run_child(_LIMITED_FILE_SIZE, str(path)) as child:
        assert child.wait() == 0


_SUBMITS_FOR_EVER = """
import asyncio, itertools, sys
from pathlib import Path
from tests.unit.store.test_sqlite import a_birth
from forestall.store.sqlite import SqliteStore

async def submitter(store, who):
    for n in itertools.count():
        job_id = f"j-{who}-{n}"
        await store.commit(a_birth(job_id, payload=job_id.encode()))
        print(job_id, flush=True)

async def main():
    store = SqliteStore.open(Path(sys.argv[1]))
    await asyncio.gather(*(submitter(store, who) for who in range(32)))

asyncio.run(main())
"""


def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    """kill -9 in the middle of commits: each acknowledged job is there, whole, and the log holds.

    What was not acknowledged is there whole or not at all.
    """
    with run_child(_SUBMITS_FOR_EVER, str(path)) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(700)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
    acknowledged = {line.strip() for line in lines if line.endswith("\n")}
    assert len(acknowledged) >= 700

    async def scenario(store: SqliteStore) -> None:
        log = await the_log(store)
        verify_links(log)
        recorded = {msgspec.json.decode(link.record)["job_id"] for link in log}
        assert acknowledged <= recorded
        for job_id in acknowledged:
            view = await store.job("acme", job_id)
            assert view is not None, f"lost {job_id}"
            assert view.payload == job_id.encode()
            assert len(await store.decisions("acme", job_id, limit=9)) == 1
        jobs = await store.jobs(JobFilter(tenant="acme"), limit=1_000_000)
        assert {job.id for job in jobs} == recorded
        await store.commit(a_birth("after"))
        verify_links(await the_log(store))

    drive(path, scenario)


_SUBMITS_200 = """
import asyncio, sys
from pathlib import Path
from forestall.ports.change import Receipt
from tests.unit.store.test_sqlite import a_birth, submit_all
from forestall.store.sqlite import SqliteStore

async def main():
    store = SqliteStore.open(Path(sys.argv[1]))
    for start in range(0, 200, 20):
        births = [a_birth(f"{sys.argv[2]}-{n}") for n in range(start, start + 20)]
        assert all(isinstance(one, Receipt) for one in await submit_all(store, births))
    await store.close()

asyncio.run(main())
"""


def test_two_processes_share_one_log(path: Path) -> None:
    """Two writers on one file, from its very first moment: one log, no gap, no position twice."""
    with (
        run_child(_SUBMITS_200, str(path), "a") as one,
        run_child(_SUBMITS_200, str(path), "b") as two,
    ):
        assert (one.wait(), two.wait()) == (0, 0)
    log = drive(path, the_log)
    assert len(log) == 400
    verify_links(log)


def test_the_wal_does_not_grow_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is copied back beside the commits, so it starts over instead of keeping everything."""
    monkeypatch.setattr("forestall.store.checkpoint.WAL_PAGES_BEFORE_COPY", 200)

    sizes: list[int] = []

    async def scenario(store: SqliteStore) -> None:
        for start in range(40):
            births = [a_birth(f"j-{start}-{n}", payload=bytes(20_000)) for n in range(20)]
            found = await submit_all(store, births)
            assert all(isinstance(one, Receipt) for one in found)
        sizes.extend(one.stat().st_size for one in (path.with_name(path.name + "-wal"), path))
        assert len(await the_log(store)) == 800

    drive(path, scenario)
    assert sizes[0] < sizes[1] / 2


def _pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_commit_is_synced_before_it_is_answered(path: Path) -> None:
    """Asked of the live connections: with less than FULL (2), SQLite answers a commit that a power
    cut takes back. Nothing but a power cut shows it, so no other test can."""

    async def scenario(store: SqliteStore) -> None:
        await store.commit(a_birth("one"))
        assert store._writing is not None
        assert store._checkpointer is not None
        for connection in (store._writing, store._checkpointer._connection):
            assert _pragma(connection, "synchronous") == 2
            assert _pragma(connection, "journal_mode") == "wal"
            assert _pragma(connection, "wal_autocheckpoint") == 0  # the checkpointer copies it
        for connection in (store._points, store._pages):
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                connection.execute("DELETE FROM log")

    drive(path, scenario)
