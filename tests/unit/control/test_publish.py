"""Policies are kept by digest, with who brought them into force; an activation needs no file."""

from collections.abc import Iterator

import msgspec
import pytest

from forestall.control.publish import (
    PolicyNotKeptError,
    activate,
    compiled_policy,
    keep_policy,
    publish,
)
from forestall.identity.roles import Role
from forestall.policy import PolicyError
from forestall.ports.entries import PLATFORM_TENANT, EntryKind, KeptPolicy
from forestall.store.memory import MemoryStore
from tests.asgi import Door, assert_coded, opened

SNAPSHOTS = "/api/v1/policy/snapshots"
ONE = b"name: one\ndefault_decision: allow\n"
TWO = b"name: two\ndefault_decision: deny\n"


@pytest.fixture
def door() -> Iterator[Door]:
    with opened() as one:
        yield one


def bring(door: Door, text: bytes, actor: str = "ann") -> str:
    files = [("/etc/forestall/p.yaml", text)]
    return door.run(publish(door.plane, files, actor=actor)).digest


def test_a_policy_can_be_read_back_by_its_digest(door: Door) -> None:
    digest = bring(door, ONE)
    bring(door, TWO, actor="bob")
    seen = door.ask("GET", f"{SNAPSHOTS}/{digest}").json
    assert seen["files"] == [{"name": "p.yaml", "content": ONE.decode()}]
    assert (seen["digest"], seen["created_by"], seen["in_force"]) == (digest, "ann", False)
    assert [each["activated_by"] for each in seen["activations"]] == ["ann"]


def test_a_rollback_names_a_digest_and_needs_no_file(door: Door) -> None:
    digest = bring(door, ONE)
    bring(door, TWO)
    door.plane.policy._staged.clear()
    door.run(activate(door.plane, digest, actor="carl"))
    assert door.plane.policy.digest == digest
    rows = door.ask("GET", SNAPSHOTS).json
    assert [row["activated_by"] for row in rows[:3]] == ["carl", "ann", "ann"]
    assert [row["in_force"] for row in rows] == [True] + [False] * (len(rows) - 1)
    seen = door.ask("GET", f"{SNAPSHOTS}/{digest}").json
    assert [each["activated_by"] for each in seen["activations"]] == ["carl", "ann"]
    assert [each["kind"] for each in door.records()[-1:]] == ["policy.activated"]


def test_content_is_kept_once(door: Door) -> None:
    digest = bring(door, ONE)
    bring(door, TWO)
    assert bring(door, ONE) == digest
    kept = [each for each in door.records() if each["kind"] == "policy.kept"]
    assert len({each["data"]["snapshot"] for each in kept}) == len(kept)


def test_the_same_decisions_leave_no_record(door: Door) -> None:
    """A restart, or another comment in the file, is no change of the policy."""
    bring(door, ONE)
    before = door.trace()
    bring(door, b"# a comment\n" + ONE)
    assert door.trace() == before


def test_keeping_alone_brings_nothing_into_force(door: Door) -> None:
    before = door.plane.policy.digest
    door.run(keep_policy(door.plane, [("p.yaml", TWO)], actor="ann"))
    assert door.plane.policy.digest == before
    assert door.ask("GET", SNAPSHOTS).json[0]["digest"] == before


def test_an_unknown_digest_changes_nothing(door: Door) -> None:
    before, trace = door.plane.policy.digest, door.trace()
    with pytest.raises(PolicyNotKeptError):
        door.run(activate(door.plane, "0" * 64, actor="ann"))
    assert (door.plane.policy.digest, door.trace()) == (before, trace)
    assert_coded(door.ask("GET", f"{SNAPSHOTS}/{'0' * 64}"), 404, "policy_not_kept")


def test_kept_content_that_was_changed_comes_into_force_nowhere(door: Door) -> None:
    """Who has the database can put other rules under a digest; compiling them betrays it."""
    digest = bring(door, TWO)
    bring(door, ONE)
    assert isinstance(door.store, MemoryStore)
    entries, name = door.store._registry, (PLATFORM_TENANT, EntryKind.POLICY.value, digest)
    kept = msgspec.json.decode(entries[name].body, type=KeptPolicy)
    file = msgspec.structs.replace(kept.files[0], text="default_decision: allow")
    body = msgspec.json.encode(msgspec.structs.replace(kept, files=(file,)))
    entries[name] = msgspec.structs.replace(entries[name], body=body)
    door.plane.policy._staged.clear()
    before = door.plane.policy.digest
    for work in (
        compiled_policy(door.plane, digest),
        activate(door.plane, digest, actor="eve"),
    ):
        with pytest.raises(PolicyError):
            door.run(work)
    assert door.plane.policy.digest == before


def test_another_tenant_reads_no_whole_policy(door: Door) -> None:
    """It holds the rules of every tenant; the history of digests is for everybody."""
    digest = bring(door, ONE)
    key = door.key(Role.ADMIN, tenant="acme")
    assert_coded(door.ask("GET", f"{SNAPSHOTS}/{digest}", key=key), 403, "forbidden")
    assert door.ask("GET", SNAPSHOTS, key=key).status == 200


@pytest.mark.parametrize(
    "digest", ["x" * 5_000, "..%2F..", "%00", "%FF", "%ED%A0%80", "A" * 64, "policy", "' OR 1=1 --"]
)
def test_an_odd_digest_is_not_kept_and_leaves_nothing(door: Door, digest: str) -> None:
    before = door.trace()
    reply = door.ask("GET", f"{SNAPSHOTS}/{digest}")
    assert reply.status == 404, reply.body[:200]
    assert len(reply.body) < 1_000
    assert door.trace() == before
