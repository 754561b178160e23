"""Open a Forestall database: check its identity, set its pragmas, migrate it.

A SQLite file is a Forestall database when its `application_id` is ours. A file of another program
is refused before anything is written to it; so is a database that a newer Forestall has migrated.
"""

import base64
import hashlib
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from forestall.errors import UnavailableError
from forestall.ports.store import StoreUnavailableError
from forestall.store.queries import blocks

APPLICATION_ID = 0x46535431  # "FST1" in the file header, by which we and `file` know our databases
BUSY_SECONDS_MAX = 5  # how long to wait for another process's write lock before refusing
_MIGRATION_NAME = re.compile(r"(\d{4})_((?:pre|post)_[a-z0-9_]+)\.sql")
_WAL_TRIES, _WAL_TRY_SECONDS = 200, 0.025


class SchemaTooNewError(UnavailableError):
    """A newer Forestall has migrated this database; this version does not know its tables."""

    code, http_status = "schema_too_new", 503


class SchemaOutdatedError(UnavailableError):
    """The database lacks a migration, and a reader does not migrate."""

    code, http_status = "schema_outdated", 503


class SchemaChangedError(UnavailableError):
    """An applied migration differs from the file of the same number, so the schema is unknown."""

    code, http_status = "schema_changed", 503


class Migration(NamedTuple):
    """One step of the schema. `pre` steps run before the code that needs them, `post` steps after;
    the name says which."""

    version: int  # from 1, without a gap
    name: str
    text: str  # SQL

    @property
    def sha256(self) -> str:
        """Digest of the text, so that an edited migration is noticed."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Every migration that this code knows, in order, without a gap."""
    steps = []
    for file in resources.files("forestall.store").joinpath("migrations").iterdir():
        name = _MIGRATION_NAME.fullmatch(file.name)
        if name is not None:
            steps.append(Migration(int(name[1]), name[2], file.read_text("utf-8")))
    steps.sort()
    assert [step.version for step in steps] == list(range(1, len(steps) + 1)), "a migration is lost"
    return steps


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection that writes. Makes the file when it is missing, and migrates the database.

    Raises StoreUnavailableError when the file cannot be opened or belongs to another program, and
    the Schema errors above.
    """
    _create_private(path)
    connection = _connect(path, "rw")
    try:
        require_ours(connection, path)
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL").fetchall()
        migrate(connection, migrations())
    except sqlite3.Error as cause:
        connection.close()
        raise _not_usable(path, cause) from cause
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log. While another process switches the same new file, SQLite
    refuses at once, whatever the busy timeout; so this retries, for as long as that timeout."""
    for _ in range(_WAL_TRIES - 1):
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite3.OperationalError as cause:
            if cause.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(_WAL_TRY_SECONDS)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises as `connect_writer`, and migrates nothing."""
    connection = _connect(path, "ro")
    try:
        require_ours(connection, path)
        if missing := pending(connection, migrations()):
            raise SchemaOutdatedError(
                f"the database lacks migration `{missing[0].name}` and is open for reading only;"
                " open it once for writing with this version (`forestall serve` does)"
            )
    except sqlite3.Error as cause:
        connection.close()
        raise _not_usable(path, cause) from cause
    except BaseException:
        connection.close()
        raise
    return connection


def _create_private(path: Path) -> None:
    # SQLite gives its -wal and -shm files the mode of the database file, so one mode covers three.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as cause:
        raise StoreUnavailableError(
            f"cannot open the database `{path}`: {cause.strerror}; check that its directory exists"
            " and is writable"
        ) from cause


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    try:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS_MAX
        )
    except sqlite3.Error as cause:
        raise _not_usable(path, cause) from cause
    return connection


def require_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Raises StoreUnavailableError unless the file is new or carries our `application_id`."""
    # Tables before mark: another process may make both in one transaction between the two reads,
    # and the other order would then see tables without a mark.
    (tables,) = connection.execute(blocks("schema.sql")["count_tables"]).fetchone()
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    if mark != APPLICATION_ID and (mark != 0 or tables != 0):
        raise StoreUnavailableError(
            f"`{path}` is a SQLite file, but not a Forestall database; choose another path"
        )


def _not_usable(path: Path, cause: sqlite3.Error) -> StoreUnavailableError:
    if getattr(cause, "sqlite_errorcode", 0) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return StoreUnavailableError(
            f"`{path}` is not a Forestall database or is damaged; choose another path, or put"
            " back a copy of the database that you trust"
        )
    return StoreUnavailableError(f"cannot use the database `{path}`: {cause}", retry_after_s=1)


def pending(
    connection: sqlite3.Connection, known_migrations: Sequence[Migration]
) -> list[Migration]:
    """The migrations that are not applied yet. Raises SchemaTooNewError and SchemaChangedError."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema").fetchall()}
    if "schema_migrations" not in tables:
        return list(known_migrations)
    applied = connection.execute(blocks("schema.sql")["applied_migrations"]).fetchall()
    for number, (version, name, sha256) in enumerate(applied):
        if number >= len(known_migrations):
            raise SchemaTooNewError(
                f"a newer Forestall has migrated this database (migration `{name}`); upgrade"
                " Forestall to open it"
            )
        if (version, sha256) != (known_migrations[number].version, known_migrations[number].sha256):
            raise SchemaChangedError(
                f"migration {version} (`{name}`) was applied with another text than this version"
                " of Forestall carries; use the release that made the database"
            )
    return list(known_migrations[len(applied) :])


def migrate(connection: sqlite3.Connection, known_migrations: Sequence[Migration]) -> None:
    """Apply every missing migration in one transaction. Two processes may call this at once."""
    if not pending(connection, known_migrations):
        return
    connection.create_function(
        "base64", 1, lambda value: base64.b64encode(value).decode(), deterministic=True
    )
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(blocks("schema.sql")["create_schema_migrations"])
        # Asked again inside the transaction: another process may have migrated meanwhile.
        for step in pending(connection, known_migrations):
            for statement in _statements(step.text):
                connection.execute(statement)
            row = (step.version, step.name, step.sha256)
            connection.execute(blocks("schema.sql")["insert_migration"], row)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(text: str) -> Iterator[str]:
    """The statements of a text, one by one: `executescript` would commit the open transaction."""
    lines: list[str] = []
    for line in text.splitlines():
        lines.append(line)
        statement = "\n".join(lines)
        if sqlite3.complete_statement(statement):
            yield statement
            lines = []
    assert not "\n".join(line for line in lines if not line.startswith("--")).strip()
