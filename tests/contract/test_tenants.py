"""The laws of `ports.store.Store` for two tenants whose things have the same names, all of them.

No name above the store shows them: an id of a job is unique. So only these laws find a statement
that forgets the tenant.
"""

from pathlib import Path

import pytest
from msgspec import structs

from forestall.audit.record import Record
from forestall.jobs.job import Job, JobState
from forestall.jobs.lifecycle import Event
from forestall.ports.change import (
    Change,
    DropEntry,
    IdempotencyEntry,
    MoveJob,
    OutputEntry,
    PutEntry,
    PutIdempotency,
    PutJob,
    PutOutput,
)
from forestall.ports.entries import EntryKind
from forestall.ports.store import JobFilter, OpenCursor, Store
from tests.contract.test_store import BACKENDS, Drive, a_decision, a_job, an_entry

NORTH, SOUTH = "north", "south"
PAYLOADS = {NORTH: b'{"prompt":"north"}', SOUTH: b'{"prompt":"south"}'}


@pytest.fixture(params=BACKENDS)
def drive(request: pytest.FixtureRequest, tmp_path: Path) -> Drive:
    return Drive(request.param, tmp_path)


def of(tenant: str) -> Job:
    """The job `j` of a tenant."""
    return a_job("j", tenant=tenant, principal=f"ci-{tenant}", trace_id="t")


def record(kind: str, tenant: str) -> Record:
    return Record(kind=kind, at_us=1, tenant=tenant, actor=tenant, salt="00" * 16, job_id="j")


async def fill(store: Store, tenant: str) -> None:
    """One of everything, under names that both tenants use."""
    decision = structs.replace(a_decision(), reason=f"because of {tenant}")
    key = IdempotencyEntry(tenant=tenant, key="k", request_digest=tenant, job_id="j")
    found = OutputEntry(tenant=tenant, job_id="j", checked_at_us=1, findings=tenant.encode())
    entry = an_entry("e", tenant=tenant, body=tenant.encode())
    born = PutJob(job=of(tenant), payload=PAYLOADS[tenant], decision=decision)
    puts = (born, PutIdempotency(key), PutOutput(found), PutEntry(entry))
    await store.commit(Change(puts=puts, records=(record("job.submitted", tenant),)))


async def move(store: Store, tenant: str, event: Event, state: JobState, *, was: Job) -> Job:
    """The job after an event, with a result."""
    job = structs.replace(was, state=state, revision=was.revision + 1, updated_at_us=9)
    put = MoveJob(job=job, was=was.state, event=event, result=b'"%b"' % tenant.encode())
    await store.commit(Change(puts=(put,), records=(record(f"job.{event}", tenant),)))
    return job


async def everything(store: Store, tenant: str) -> list[object]:
    """What the store holds of a tenant, by each way of reading."""
    by = JobFilter
    filters = [
        by(tenant=tenant),
        by(tenant=tenant, state=JobState.PENDING),
        by(tenant=tenant, state=JobState.DENIED),
        by(tenant=tenant, trace_id="t"),
        by(tenant=tenant, dead=True),
        by(tenant=tenant, asked=True),
    ]
    return [
        *[await store.jobs(each, limit=9) for each in filters],
        await store.job(tenant, "j"),
        await store.result(tenant, "j"),
        await store.output(tenant, "j"),
        await store.entry(tenant, EntryKind.KEY, "e"),
        await store.latest_entries(tenant, EntryKind.KEY, limit=9),
        await store.decisions(tenant, "j", limit=9),
        await store.idempotency(tenant, "k"),
        [link.record for link in await store.links(start=0, limit=9, tenant=tenant)],
        [link.record for link in await store.links(start=0, limit=9, tenant=tenant, job_id="j")],
    ]


def test_nothing_is_read_of_another_tenant(drive: Drive) -> None:
    """Every read names a tenant, and gives what a store with that tenant alone gives."""

    async def scenario(store: Store) -> None:
        empty = await everything(store, SOUTH)
        await fill(store, NORTH)
        assert await everything(store, SOUTH) == empty
        alone = await everything(store, NORTH)
        await fill(store, SOUTH)
        assert await everything(store, NORTH) == alone
        view, other = await store.job(NORTH, "j"), await store.job(SOUTH, "j")
        assert view is not None
        assert other is not None
        assert (view.payload, other.payload) == (PAYLOADS[NORTH], PAYLOADS[SOUTH])
        assert len(await store.entries(EntryKind.KEY)) == 2  # this one read is of all tenants

    drive(scenario)


def test_nothing_is_written_of_another_tenant(drive: Drive) -> None:
    """A move, a result and a removal touch the tenant that they name."""

    async def scenario(store: Store) -> None:
        await fill(store, NORTH)
        await fill(store, SOUTH)
        before = await everything(store, NORTH)
        job = await move(store, SOUTH, Event.DISPATCHED, JobState.DISPATCHED, was=of(SOUTH))
        await move(store, SOUTH, Event.SUCCEEDED, JobState.SUCCEEDED, was=job)
        found = OutputEntry(tenant=SOUTH, job_id="j", checked_at_us=7, findings=b"[1]")
        entry = an_entry("e", tenant=SOUTH, body=b"south")
        changed = structs.replace(entry, revision=2, body=b"changed")
        for put in (PutOutput(found), PutEntry(changed), DropEntry(changed)):
            await store.commit(Change(puts=(put,), records=(record("probe", SOUTH),)))
        assert await everything(store, NORTH) == before
        assert await store.result(SOUTH, "j") == b'"south"'
        assert await store.result(NORTH, "j") is None
        assert await store.entry(SOUTH, EntryKind.KEY, "e") is None

    drive(scenario)


def test_jobs_of_all_tenants_come_by_tenant(drive: Drive) -> None:
    """The only list of jobs over all tenants is that of a start, and it forgets none."""

    async def scenario(store: Store) -> None:
        await fill(store, NORTH)
        await fill(store, SOUTH)
        open_ones = await store.open_jobs(after=OpenCursor(), limit=9)
        assert [job.tenant for job in open_ones] == [NORTH, SOUTH]

    drive(scenario)
