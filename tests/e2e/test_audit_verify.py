"""`forestall audit verify` on data that somebody changed: it says BROKEN and ends with 1."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from forestall.audit.chain import GENESIS, leaf_hash, next_link
from tests.e2e.harness import forestall, serving
from tests.http_samples import ALLOWED_JOB, DENIED_JOB, HELD_JOB

pytestmark = pytest.mark.e2e
Tamper = Callable[[sqlite3.Connection], object]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a stopped server with three jobs and a check in it."""
    data_dir = tmp_path_factory.mktemp("honest") / "data"
    with serving(data_dir) as server:
        for body in (ALLOWED_JOB, DENIED_JOB, HELD_JOB):
            server.submit(body)
        server.ask("POST", "/api/v1/policy/evaluate", ALLOWED_JOB)
        server.stop()
    return data_dir


def tampered(honest: Path, tmp_path: Path, tamper: Tamper) -> Path:
    """A copy in which `tamper` did its work, with every trigger out of its way."""
    data_dir = tmp_path / "data"
    shutil.copytree(honest, data_dir)
    with closing(sqlite3.connect(data_dir / "forestall.db")) as connection:
        query = "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
        for (name,) in connection.execute(query).fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        tamper(connection)
        connection.commit()
    return data_dir


def test_an_honest_log_verifies(honest: Path) -> None:
    """For people and for programs; the directory may also come from the environment."""
    done = forestall("audit", "verify", "--data-dir", str(honest))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok: ")
    assert " 3 jobs match their records" in done.stdout
    env = {"FORESTALL_DATA_DIR": str(honest)}
    report = json.loads(forestall("audit", "verify", "--json", env=env).stdout)
    assert (report["ok"], report["jobs"], report["problems"]) == (True, 3, [])


def _flip(table: str, column: str, where: str) -> Tamper:
    """Change one byte in the middle of a value."""

    def tamper(connection: sqlite3.Connection) -> None:
        query = f"SELECT rowid, {column} FROM {table} WHERE {where} LIMIT 1"
        rowid, value = connection.execute(query).fetchone()
        data = bytearray(value.encode() if isinstance(value, str) else value)
        data[len(data) // 2] ^= 1
        changed = bytes(data).decode() if isinstance(value, str) else bytes(data)
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (changed, rowid))

    return tamper


def _rewrite(change: Callable[[dict[str, object]], None], table: str, column: str) -> Tamper:
    """Change a JSON value of the denied job so that it stays readable."""

    def tamper(connection: sqlite3.Connection) -> None:
        for (body,) in connection.execute(f"SELECT {column} FROM {table}").fetchall():
            value = json.loads(body)
            change(value)
            text = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (text, body))

    return tamper


def _chain_anew(connection: sqlite3.Connection) -> None:
    """What an attacker with the file can do: the chain has no secret."""
    previous = GENESIS
    rows = connection.execute("SELECT position, record FROM log ORDER BY position").fetchall()
    for position, record in rows:
        previous = next_link(previous, position, leaf_hash(record))
        connection.execute("UPDATE log SET link = ? WHERE position = ?", (previous, position))


def _forget_fields(connection: sqlite3.Connection) -> None:
    """A record of a birth that says nothing of the decision, in a chain that fits."""

    def empty(value: dict[str, object]) -> None:
        value["data"] = {}

    _rewrite(empty, "log", "record")(connection)
    _chain_anew(connection)


def _release(value: dict[str, object]) -> None:
    """A denied job becomes a pending one: it would run."""
    if value["state"] == "DENIED":
        value["state"] = "PENDING"


def _allow(value: dict[str, object]) -> None:
    """A denial becomes an allow."""
    if value["decision"] == "deny":
        value["decision"] = "allow"


LIES: dict[str, Tamper] = {
    "a byte of a record": _flip("log", "record", "position = 2"),
    "a byte of a link": _flip("log", "link", "position = 2"),
    "a record gone": lambda c: c.execute("DELETE FROM log WHERE position = 2"),
    "the first record gone": lambda c: c.execute("DELETE FROM log WHERE position = 0"),
    "the last record gone, its job left": lambda c: c.execute(
        "DELETE FROM log WHERE position >= (SELECT max(position) FROM log WHERE job_id != '')"
    ),
    "a job gone": lambda c: c.execute("DELETE FROM jobs WHERE state = 'PENDING'"),
    "the decisions gone": lambda c: c.execute("DELETE FROM decisions"),
    "a decision turned round": _rewrite(_allow, "decisions", "body"),
    "a payload swapped": _flip("payloads", "payload", "length(payload) > 0"),
    "a denied job released": _rewrite(_release, "jobs", "body"),
    "records without a decision, chained anew": _forget_fields,
}


@pytest.mark.parametrize("tamper", LIES.values(), ids=LIES.keys())
def test_a_changed_log_or_state_is_broken(honest: Path, tmp_path: Path, tamper: Tamper) -> None:
    """Exit code 1, BROKEN with the place on stderr; `ok` false in JSON; no stack trace."""
    data_dir = tampered(honest, tmp_path, tamper)
    done = forestall("audit", "verify", "--data-dir", str(data_dir))
    assert "Traceback" not in done.stderr, done.stderr[-600:]
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("BROKEN: ")
    report = forestall("audit", "verify", "--data-dir", str(data_dir), "--json")
    assert report.returncode == 1
    assert json.loads(report.stdout)["ok"] is False


def test_what_is_no_data_directory_is_named(tmp_path: Path) -> None:
    """Exit code 2; nothing is made there."""
    for arguments in (("--data-dir", str(tmp_path)), ("--data-dir", str(tmp_path / "nowhere"))):
        done = forestall("audit", "verify", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_named(honest: Path, tmp_path: Path) -> None:
    """Not a database any more: one sentence, not a stack trace."""
    data_dir = tmp_path / "data"
    shutil.copytree(honest, data_dir)
    for leftover in data_dir.glob("forestall.db-*"):
        leftover.unlink()
    (data_dir / "forestall.db").write_bytes(b"noise" * 1_000)
    done = forestall("audit", "verify", "--data-dir", str(data_dir))
    assert "Traceback" not in done.stderr
    assert done.returncode not in (0, -1)
    assert done.stderr.startswith("error: ")
