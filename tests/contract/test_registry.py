"""The laws of `ports.store.Store` for the registry: topics, pools and schemas.

Each test is one law for every backend, as in test_store.py.
"""

from pathlib import Path
from typing import Any

import pytest

from forestall.ports.change import (
    Change,
    DropEntry,
    EntryUnchanged,
    Precondition,
    Put,
    PutEntry,
    Receipt,
)
from forestall.ports.entries import EntryKind, RegistryEntry
from forestall.ports.store import PreconditionFailedError, Store
from tests.contract.test_store import BACKENDS, Drive, a_record, outcomes, the_log


@pytest.fixture(params=BACKENDS)
def drive(request: pytest.FixtureRequest, tmp_path: Path) -> Drive:
    return Drive(request.param, tmp_path)


async def holds(store: Store, wanted: Precondition) -> bool:
    (answer,) = await outcomes(store, [Change(records=(a_record("probe"),), expect=(wanted,))])
    return isinstance(answer, Receipt)


def an_entry(name: str = "job.a", *, revision: int = 1, **fields: Any) -> RegistryEntry:
    made = {
        "tenant": "acme",
        "kind": "topic",
        "name": name,
        "revision": revision,
        "updated_at_us": revision,
        "body": b"{}",
    }
    return RegistryEntry(**{**made, **fields})


def a_declaration(put: Put, *expect: Precondition) -> Change:
    return Change(records=(a_record("topic.changed"),), puts=(put,), expect=expect)


def test_a_registry_entry_can_be_read_replaced_and_removed(drive: Drive) -> None:
    """`entries` sees what was committed, of its kind alone, over all tenants, in order."""

    async def scenario(store: Store) -> None:
        first, second = an_entry("job.b", body=b'{"a":1}'), an_entry("job.a")
        other = an_entry("job.z", tenant="aaaa")
        pool = an_entry("job.a", kind="pool")
        for entry in (first, second, other, pool):
            await store.commit(a_declaration(PutEntry(entry)))
        assert list(await store.entries(EntryKind.TOPIC)) == [other, second, first]
        assert list(await store.entries(EntryKind.POOL)) == [pool]
        assert not await store.entries(EntryKind.SCHEMA)
        replaced = an_entry("job.b", revision=2, body=b"2")
        await store.commit(a_declaration(PutEntry(replaced)))
        await store.commit(a_declaration(DropEntry(second)))
        assert list(await store.entries(EntryKind.TOPIC)) == [other, replaced]
        assert list(await store.entries(EntryKind.POOL)) == [pool]

    drive(scenario)


@pytest.mark.parametrize("revision", [0, 1, 3])
def test_an_entry_that_moved_on_is_not_overwritten(drive: Drive, revision: int) -> None:
    """PutEntry implies the revision before, DropEntry its own; a failure changes nothing."""

    async def scenario(store: Store) -> None:
        entry = an_entry()
        await store.commit(a_declaration(PutEntry(entry)))
        before = await the_log(store)
        late = an_entry(revision=revision, body=b"late")
        with pytest.raises(PreconditionFailedError) as caught:
            await store.commit(a_declaration(PutEntry(late)))
        assert caught.value.failed == EntryUnchanged("acme", "topic", "job.a", revision - 1)
        with pytest.raises(PreconditionFailedError):
            await store.commit(a_declaration(DropEntry(an_entry(revision=2))))
        assert list(await store.entries(EntryKind.TOPIC)) == [entry]
        assert await the_log(store) == before

    drive(scenario)


def test_of_two_edits_at_once_one_wins(drive: Drive) -> None:
    """In one group too: the second sees what the first did."""

    async def scenario(store: Store) -> None:
        await store.commit(a_declaration(PutEntry(an_entry())))
        edits = [an_entry(revision=2, body=body) for body in (b"1", b"2")]
        answers = await outcomes(store, [a_declaration(PutEntry(edit)) for edit in edits])
        assert [type(answer) for answer in answers] == [Receipt, PreconditionFailedError]
        assert list(await store.entries(EntryKind.TOPIC)) == [edits[0]]
        ends = await outcomes(store, [a_declaration(DropEntry(edits[0]))] * 2)
        assert [type(end) for end in ends] == [Receipt, PreconditionFailedError]
        await store.commit(a_declaration(PutEntry(an_entry())))
        assert list(await store.entries(EntryKind.TOPIC)) == [an_entry()], "a name begins anew at 1"

    drive(scenario)


def test_an_entry_may_hang_on_another(drive: Drive) -> None:
    """EntryUnchanged holds at that revision of that tenant, kind and name, and at no other."""

    async def scenario(store: Store) -> None:
        pool = EntryUnchanged("acme", "pool", "gpu", 1)
        assert not await holds(store, pool)
        assert await holds(store, EntryUnchanged("acme", "pool", "gpu", 0))
        await store.commit(a_declaration(PutEntry(an_entry("gpu", kind="pool"))))
        assert await holds(store, pool)
        for tenant, kind, name in (("Acme", "pool", "gpu"), ("acme", "topic", "gpu")):
            assert not await holds(store, EntryUnchanged(tenant, kind, name, 1))
        await store.commit(a_declaration(PutEntry(an_entry()), pool))
        await store.commit(a_declaration(DropEntry(an_entry("gpu", kind="pool"))))
        with pytest.raises(PreconditionFailedError):
            await store.commit(a_declaration(PutEntry(an_entry("job.b")), pool))

    drive(scenario)
