"""The laws of `ports.store.Store` for whoever may see the jobs of some principals alone."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from forestall.jobs.approval import Approval, ApprovalStatus
from forestall.jobs.job import Job, JobState
from forestall.jobs.lifecycle import Event
from forestall.ports.change import Change, MoveJob
from forestall.ports.store import JobCursor, JobFilter, Store, listed_at_us
from tests.contract.test_store import (
    BACKENDS,
    Drive,
    a_birth,
    a_job,
    a_record,
    outcomes,
)

WHO = ("ann", "bob", "eve")


@pytest.fixture(params=BACKENDS)
def drive(request: pytest.FixtureRequest, tmp_path: Path) -> Drive:
    return Drive(request.param, tmp_path)


def asked(at_us: int) -> Approval:
    """An approval that was asked for at an instant."""
    return Approval(
        status=ApprovalStatus.PENDING,
        asked_at_us=at_us,
        expires_at_us=99,
        snapshot="5" * 64,
        rule_id="r",
        reason="why",
        job_hash="7" * 64,
        requester="ann",
    )


def jobs_of_three() -> list[Job]:
    """Thirty jobs of three principals, in turns, with equal instants among them."""
    return [
        a_job(
            f"j-{n:02}",
            at_us=1 + n % 4,
            principal=WHO[n % 3],
            trace_id=f"trace-{n % 2}",
            topic=f"job.{n % 2}",
            state=(JobState.PENDING, JobState.APPROVAL_REQUIRED)[n % 2],
            approval=asked(5 + n % 6) if n % 2 else None,
        )
        for n in range(30)
    ]


async def fill(store: Store) -> list[Job]:
    """All of them, every fourth one dead."""
    made = jobs_of_three()
    await outcomes(store, [a_birth(job) for job in made])
    for place, job in enumerate(made):
        if place % 4:
            continue
        dead = structs.replace(job, state=JobState.CANCELLED, revision=1, dead_at_us=50 + place % 8)
        move = MoveJob(job=dead, was=job.state, event=Event.CANCELLED)
        await store.commit(Change(puts=(move,), records=(a_record("job.cancelled"),)))
        made[place] = dead
    return made


def fits(job: Job, wanted: JobFilter) -> bool:
    """The filter once more, in the order of its fields."""
    return (
        (wanted.principals is None or job.principal in wanted.principals)
        and (not wanted.dead or job.dead_at_us > 0)
        and (not wanted.asked or job.asked_at_us > 0)
        and wanted.state in (None, job.state)
        and wanted.topic in ("", job.topic)
        and wanted.trace_id in ("", job.trace_id)
    )


def in_order(jobs: list[Job], wanted: JobFilter) -> list[Job]:
    """The jobs as a page lists them."""
    return sorted(jobs, key=lambda job: (listed_at_us(job, wanted), job.id), reverse=True)


@pytest.mark.parametrize("principals", [None, (), ("ann",), ("bob", "eve"), ("ann", "ann")])
@pytest.mark.parametrize("limit", [1, 2, 7])
def test_a_page_holds_the_jobs_of_these_principals(
    drive: Drive, principals: tuple[str, ...] | None, limit: int
) -> None:
    """Each page is full to its limit, whatever others have submitted; none is skipped or repeated;
    no principal means no job."""

    async def scenario(store: Store) -> None:
        made = await fill(store)
        for more in (
            {},
            {"state": JobState.APPROVAL_REQUIRED},
            {"topic": "job.1"},
            {"trace_id": "trace-0"},
            {"trace_id": "trace-1", "state": JobState.CANCELLED},
            {"dead": True},
            {"dead": True, "topic": "job.0"},
            {"asked": True},
            {"asked": True, "state": JobState.APPROVAL_REQUIRED},
        ):
            fields: dict[str, Any] = {**more, "principals": principals}
            wanted = JobFilter(tenant="acme", **fields)
            expected = in_order([job for job in made if fits(job, wanted)], wanted)
            assert (principals == ()) <= (not expected)
            found: list[Job] = []
            after: JobCursor | None = None
            while page := await store.jobs(wanted, limit=limit, after=after):
                assert len(page) == min(limit, len(expected) - len(found))
                found += page
                after = JobCursor(listed_at_us(page[-1], wanted), page[-1].id)
            assert found == expected, more
        assert not await store.jobs(JobFilter(tenant="Acme", principals=principals), limit=9)

    drive(scenario)


def test_names_of_principals_are_compared_byte_by_byte(drive: Drive) -> None:
    """`Ann`, `ann ` and `a%` are not `ann`."""

    async def scenario(store: Store) -> None:
        await outcomes(store, [a_birth(a_job("j", principal="ann"))])
        for other in ("Ann", "ann ", "an", "a%", "a*", "", "ann\x00", "\ud800"):
            assert not await store.jobs(JobFilter(tenant="acme", principals=(other,)), limit=9)

    drive(scenario)


def test_submitters_are_told_of_the_jobs_that_are_there(drive: Drive) -> None:
    """Of this tenant, and of none that does not exist; no id means no answer."""

    async def scenario(store: Store) -> None:
        await outcomes(store, [a_birth(job) for job in jobs_of_three()])
        await outcomes(store, [a_birth(a_job("j-00", tenant="other", principal="else"))])
        assert await store.submitters("acme", ("j-00",)) == {"j-00": "ann"}
        assert await store.submitters("other", ("j-00",)) == {"j-00": "else"}
        told = await store.submitters("acme", {"j-01", "j-02", "J-01", "x", "", "j-01\x00"})
        assert told == {"j-01": "bob", "j-02": "eve"}
        for none in ((), ("x",), ("\ud800",), ("\ud800", "x")):
            assert await store.submitters("acme", none) == {}

    drive(scenario)
