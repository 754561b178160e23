"""A database of an earlier version is opened without losing what it holds."""

import asyncio
import sqlite3
from pathlib import Path

import msgspec

from forestall.control.follow_log import load_entries
from forestall.control.plane import Plane
from forestall.identity.credentials import ApiKey
from forestall.identity.roles import Role
from forestall.ports.entries import IN_FORCE, PLATFORM_TENANT, Activation, EntryKind, Sealed
from forestall.server.bootstrap import NoTelemetry, SystemRandom
from forestall.server.clock import ForwardClock
from forestall.server.signing import load_signer
from forestall.store import schema
from forestall.store.sqlite import SqliteStore

BEFORE_PRINCIPALS = 7
BEFORE_SCOPED_KEYS = 6
BEFORE_ENTRIES = (
    5  # the last version in which keys, snapshots and originals had tables of their own
)


def a_key(key_id: str, name: str, revoked_at_us: int | None = None) -> ApiKey:
    return ApiKey(
        id=key_id,
        tenant="acme",
        name=name,
        role=Role.AGENT,
        principal=name,
        prefix="fk_00000000",
        hash=key_id * 8,
        created_at_us=7,
        revoked_at_us=revoked_at_us,
    )


def old_database(path: Path, keys: list[ApiKey]) -> None:
    """As version 5 left it: two keys of which one is revoked, two activations, one original."""
    connection = sqlite3.connect(path, isolation_level=None)
    schema.migrate(connection, schema.migrations()[:BEFORE_ENTRIES])
    for key in keys:
        row = (key.id, key.tenant, key.name, key.created_at_us, key.revoked_at_us)
        connection.execute(
            "INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?)", (*row, msgspec.json.encode(key))
        )
    for at_us, digest in enumerate(("a" * 64, "b" * 64), 10):
        body = {"digest": digest, "activated_at_us": at_us, "rule_count": 3, "names": ["p"]}
        connection.execute(
            "INSERT INTO snapshots (digest, activated_at_us, body) VALUES (?, ?, ?)",
            (digest, at_us, msgspec.json.encode(body)),
        )
    connection.execute(
        "INSERT INTO outputs VALUES ('acme', 'j1', 20, X'5b5d', 'k\"1', X'0001ff', X'00ff00')"
    )
    connection.execute("INSERT INTO outputs VALUES ('acme', 'j2', 21, X'5b5d', NULL, NULL, NULL)")
    connection.close()


def test_an_idempotency_key_becomes_that_of_its_principal(tmp_path: Path) -> None:
    """Also where the new name of one key is the old name of another."""
    path = tmp_path / "forestall.db"
    connection = sqlite3.connect(path, isolation_level=None)
    schema.migrate(connection, schema.migrations()[:BEFORE_SCOPED_KEYS])
    names = {"j1": ("ci", "once"), "j2": ("x", "ci once"), "j3": ("op", "forestall:retry:j1")}
    for job_id, (principal, key) in names.items():
        body = msgspec.json.encode({"id": job_id, "principal": principal})
        connection.execute(
            "INSERT INTO jobs (tenant, job_id, trace_id, state, topic, updated_at_us, body)"
            " VALUES ('acme', ?, 't', 'PENDING', 'job.a', 1, ?)",
            (job_id, body),
        )
        connection.execute("INSERT INTO idempotency VALUES ('acme', ?, 'd', ?)", (key, job_id))
    schema.migrate(connection, schema.migrations())
    rows = connection.execute("SELECT key, job_id FROM idempotency ORDER BY job_id").fetchall()
    connection.close()
    assert rows == [("ci once", "j1"), ("x ci once", "j2"), ("forestall:retry:j1", "j3")]


def test_a_job_is_found_by_its_principal(tmp_path: Path) -> None:
    """The column is filled from the stored job; jobs of an earlier version are listed like new."""
    path = tmp_path / "forestall.db"
    connection = sqlite3.connect(path, isolation_level=None)
    schema.migrate(connection, schema.migrations()[:BEFORE_PRINCIPALS])
    for job_id, body in (("j1", {"principal": "ci"}), ("j2", {"principal": "é"}), ("j3", {})):
        connection.execute(
            "INSERT INTO jobs (tenant, job_id, trace_id, state, topic, updated_at_us, body)"
            " VALUES ('acme', ?, 't', 'PENDING', 'job.a', 1, ?)",
            (job_id, msgspec.json.encode(body)),
        )
    schema.migrate(connection, schema.migrations())
    rows = connection.execute("SELECT job_id, principal FROM jobs ORDER BY job_id").fetchall()
    connection.close()
    assert rows == [("j1", "ci"), ("j2", "é"), ("j3", "")]


def test_keys_policies_and_originals_become_entries(tmp_path: Path) -> None:
    path = tmp_path / "forestall.db"
    alive, ended = a_key("key-1", "ci"), a_key("key-2", "old", revoked_at_us=9)
    old_database(path, [alive, ended])

    async def look() -> None:
        store = SqliteStore.open(path)
        try:
            plane = Plane(
                store=store,
                clock=ForwardClock(),
                random=SystemRandom(),
                telemetry=NoTelemetry(),
                signer=load_signer(tmp_path),
            )
            await load_entries(plane)
            assert plane.keys.of_tenant("acme") == [alive, ended]
            names = await store.entries(EntryKind.KEY_NAME)
            assert [(each.name, msgspec.json.decode(each.body)) for each in names] == [
                ("ci", "key-1")
            ]
            in_force = await store.entry(PLATFORM_TENANT, EntryKind.POLICY_IN_FORCE, IN_FORCE)
            assert in_force is not None
            assert (plane.policy.digest, in_force.revision) == ("b" * 64, 2)
            rows = await store.latest_entries(PLATFORM_TENANT, EntryKind.ACTIVATION, limit=9)
            history = [msgspec.json.decode(row.body, type=Activation) for row in rows]
            assert [(each.digest[0], each.activated_at_us) for each in history] == [
                ("b", 11),
                ("a", 10),
            ]
            kept = await store.entry("acme", EntryKind.ORIGINAL, "j1")
            assert kept is not None
            sealed = msgspec.json.decode(kept.body, type=Sealed)
            assert sealed == Sealed('k"1', b"\x00\x01\xff", b"\x00\xff\x00")
            assert kept.updated_at_us == 20
            assert await store.entry("acme", EntryKind.ORIGINAL, "j2") is None
            for job_id in ("j1", "j2"):
                found = await store.output("acme", job_id)
                assert found is not None
                assert found.findings == b"[]"
        finally:
            await store.close()

    asyncio.run(look())
