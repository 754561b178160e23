"""The laws of `ports.store.Store` for checked results: findings and sealed originals."""

from pathlib import Path

import pytest

from forestall.ports.change import (
    Change,
    DropSealed,
    OriginalKept,
    OutputEntry,
    PutOutput,
    Receipt,
    Sealed,
)
from forestall.ports.store import SealedName, Store
from tests.contract.test_store import BACKENDS, Drive, a_record, outcomes


@pytest.fixture(params=BACKENDS)
def drive(request: pytest.FixtureRequest, tmp_path: Path) -> Drive:
    return Drive(request.param, tmp_path)


def an_output(job_id: str = "j", *, at_us: int = 1, tenant: str = "acme") -> OutputEntry:
    return OutputEntry(
        tenant=tenant,
        job_id=job_id,
        checked_at_us=at_us,
        findings=b"[]",
        sealed=Sealed("k1", b"nonce", b"box"),
    )


async def put(store: Store, *entries: OutputEntry) -> None:
    for entry in entries:
        await store.commit(Change(records=(a_record("probe"),), puts=(PutOutput(entry),)))


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
    """Twice, and where there is none, changes nothing more."""

    async def scenario(store: Store) -> None:
        await put(store, an_output())
        drop = Change(
            records=(a_record("probe"),), puts=(DropSealed("acme", "j"), DropSealed("acme", "z"))
        )
        await store.commit(drop)
        await store.commit(drop)
        left = await store.output("acme", "j")
        assert left is not None
        assert (left.findings, left.sealed) == (b"[]", None)

    drive(scenario)


def test_a_change_may_need_an_original(drive: Drive) -> None:
    """It is refused where there is none, or none any more; also in the same group."""

    async def scenario(store: Store) -> None:
        await put(store, an_output(), an_output(tenant="Acme"))
        needs = Change(records=(a_record("needs"),), expect=(OriginalKept("acme", "j"),))
        drops = Change(records=(a_record("drops"),), puts=(DropSealed("acme", "j"),))
        found = await outcomes(store, [needs, drops, needs])
        assert [isinstance(one, Receipt) for one in found] == [True, True, False]
        other = Change(records=(a_record("other"),), expect=(OriginalKept("Acme", "j"),))
        assert isinstance((await outcomes(store, [other]))[0], Receipt)

    drive(scenario)


def test_sealed_originals_are_listed_by_age(drive: Drive) -> None:
    """Strictly before the instant, oldest first, over all tenants, bounded."""

    async def scenario(store: Store) -> None:
        await put(
            store,
            an_output("c", at_us=3),
            an_output("a", at_us=1),
            an_output("b", at_us=2, tenant="b"),
            OutputEntry(tenant="acme", job_id="none", checked_at_us=1, findings=b"[]"),
        )
        names = [SealedName("acme", "a", 1), SealedName("b", "b", 2)]
        assert list(await store.sealed_before(3, limit=10)) == names
        assert list(await store.sealed_before(3, limit=1)) == names[:1]
        assert list(await store.sealed_before(1, limit=10)) == []

    drive(scenario)
