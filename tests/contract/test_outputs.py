"""The laws of `ports.store.Store` for checked results: findings, and originals by their age."""

from pathlib import Path

import pytest
from msgspec import structs

from forestall.ports.change import (
    Change,
    DropEntry,
    EntryUnchanged,
    OutputEntry,
    PutEntry,
    PutOutput,
    Receipt,
)
from forestall.ports.entries import EntryKind, EntryName, RegistryEntry
from forestall.ports.store import Store
from tests.contract.test_store import BACKENDS, Drive, a_record, outcomes


@pytest.fixture(params=BACKENDS)
def drive(request: pytest.FixtureRequest, tmp_path: Path) -> Drive:
    return Drive(request.param, tmp_path)


def an_output(job_id: str = "j", *, at_us: int = 1, tenant: str = "acme") -> OutputEntry:
    return OutputEntry(tenant=tenant, job_id=job_id, checked_at_us=at_us, findings=b"[]")


def an_original(job_id: str = "j", *, at_us: int = 1, tenant: str = "acme") -> RegistryEntry:
    return RegistryEntry(
        tenant=tenant,
        kind=EntryKind.ORIGINAL,
        name=job_id,
        revision=1,
        updated_at_us=at_us,
        body=b"sealed",
    )


async def put(store: Store, *entries: OutputEntry) -> None:
    for entry in entries:
        await store.commit(Change(records=(a_record("probe"),), puts=(PutOutput(entry),)))


async def seal(store: Store, *entries: RegistryEntry) -> None:
    for entry in entries:
        await store.commit(Change(records=(a_record("probe"),), puts=(PutEntry(entry),)))


def test_what_a_check_found_can_be_read_and_replaced(drive: Drive) -> None:
    """By tenant and job, byte by byte."""

    async def scenario(store: Store) -> None:
        first, other = an_output(), an_output(tenant="Acme", at_us=7)
        await put(store, first, other)
        assert await store.output("acme", "j") == first
        assert await store.output("Acme", "j") == other
        assert await store.output("acme", "J") is None
        again = OutputEntry(tenant="acme", job_id="j", checked_at_us=2, findings=b"[1]")
        await put(store, again)
        assert await store.output("acme", "j") == again

    drive(scenario)


def test_a_dropped_original_is_gone_and_the_findings_stay(drive: Drive) -> None:
    """An original is dropped once; a second drop meets nothing and is refused."""

    async def scenario(store: Store) -> None:
        await put(store, an_output())
        await seal(store, an_original())
        drop = Change(records=(a_record("probe"),), puts=(DropEntry(an_original()),))
        found = await outcomes(store, [drop, drop])
        assert [isinstance(one, Receipt) for one in found] == [True, False]
        assert await store.entry("acme", EntryKind.ORIGINAL, "j") is None
        assert await store.output("acme", "j") == an_output()

    drive(scenario)


def test_a_change_may_need_an_original(drive: Drive) -> None:
    """It is refused where there is none, or none any more; also in the same group."""

    async def scenario(store: Store) -> None:
        await seal(store, an_original(), an_original(tenant="Acme"))
        kept = EntryUnchanged("acme", EntryKind.ORIGINAL, "j", 1)
        needs = Change(records=(a_record("needs"),), expect=(kept,))
        drops = Change(records=(a_record("drops"),), puts=(DropEntry(an_original()),))
        found = await outcomes(store, [needs, drops, needs])
        assert [isinstance(one, Receipt) for one in found] == [True, True, False]
        others = EntryUnchanged("Acme", EntryKind.ORIGINAL, "j", 1)
        other = Change(records=(a_record("other"),), expect=(others,))
        assert isinstance((await outcomes(store, [other]))[0], Receipt)

    drive(scenario)


def test_entries_of_a_kind_are_listed_by_age(drive: Drive) -> None:
    """Strictly before the instant, oldest first, over all tenants, bounded, without other kinds."""

    async def scenario(store: Store) -> None:
        await seal(
            store,
            an_original("c", at_us=3),
            an_original("a", at_us=1),
            an_original("b", at_us=2, tenant="b"),
        )
        await seal(store, structs.replace(an_original("z", at_us=1), kind=EntryKind.TOPIC))
        names = [EntryName("acme", "a", 1, 1), EntryName("b", "b", 1, 2)]
        assert list(await store.entries_before(EntryKind.ORIGINAL, 3, limit=10)) == names
        assert list(await store.entries_before(EntryKind.ORIGINAL, 3, limit=1)) == names[:1]
        assert list(await store.entries_before(EntryKind.ORIGINAL, 1, limit=10)) == []

    drive(scenario)
