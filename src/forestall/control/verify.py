"""Verify the log against itself and the state against the log. Reads only.

The chain says that no record was changed, moved or removed from the middle. The second half says
that state and log agree: each job has the record of its birth, with the same hash and decision.
What it cannot see yet: records cut off the end together with the state that they tell of.
"""

from collections.abc import AsyncIterator, Callable

import msgspec

from forestall.audit.chain import GENESIS, ChainError, Link, verify_links
from forestall.audit.record import Record
from forestall.control.ports import Store
from forestall.jobs.job import stored_job_hash
from forestall.limits import AUDIT_PAGE_RECORDS_MAX

PROBLEMS_SHOWN_MAX = 20
_DECODE = msgspec.json.Decoder(Record).decode


class LogReport(msgspec.Struct, frozen=True, kw_only=True):
    """What verification found. `head` is the last link (hex); empty for an empty log."""

    records: int
    jobs: int
    head: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.problems


async def verify_log(store: Store, *, progress: Callable[[int], None] | None = None) -> LogReport:
    """Walk the whole log and compare every job with the record of its birth."""
    problems: list[str] = []
    records = jobs = 0
    head = GENESIS
    try:
        async for link in _verified(store):
            records, head = link.position + 1, link.link
            record = _DECODE(link.record)
            if record.kind == "job.submitted":
                jobs += 1
                problem = await _compare(store, link.position, record)
                if problem and len(problems) < PROBLEMS_SHOWN_MAX:
                    problems.append(problem)
            if progress is not None and records % AUDIT_PAGE_RECORDS_MAX == 0:
                progress(records)
    except ChainError as error:
        problems.append(error.message)
    except msgspec.DecodeError:
        problems.append(f"the record at position {records} cannot be read")
    stored = await store.job_count()
    if stored != jobs and not problems:
        problems.append(f"the store holds {stored} jobs, but the log tells of {jobs}")
    return LogReport(
        records=records,
        jobs=jobs,
        head=head.hex() if records else "",
        problems=tuple(problems),
    )


async def _verified(store: Store) -> AsyncIterator[Link]:
    """Every link, in order, each verified against the one before."""
    position, previous = 0, GENESIS
    while True:
        page = await store.links(start=position, limit=AUDIT_PAGE_RECORDS_MAX)
        last = verify_links(page, start=position, previous=previous)
        if last is None:
            return
        for link in page:
            yield link
        position, previous = last.position + 1, last.link


async def _compare(store: Store, position: int, record: Record) -> str:
    """What is wrong with the job that a record tells of; empty when nothing is."""
    view = await store.job(record.tenant, record.job_id)
    if view is None:
        return f"position {position}: the job `{record.job_id}` is not in the store"
    decisions = await store.decisions(record.tenant, record.job_id, limit=AUDIT_PAGE_RECORDS_MAX)
    if not decisions:
        return f"position {position}: the job `{record.job_id}` has no decision"
    birth = decisions[-1]
    recorded = tuple(record.data.get(name) for name in ("job_hash", "decision", "snapshot"))
    if recorded != (birth.job_hash, birth.decision.value, birth.snapshot):
        return f"position {position}: the decision on job `{record.job_id}` is not the recorded one"
    if view.job.submit_decision != birth:
        return f"position {position}: the job `{record.job_id}` shows another decision than its own"
    if not birth.job_hash == view.job.job_hash == stored_job_hash(view.job, view.payload):
        return f"position {position}: the job `{record.job_id}` is not the one that was decided"
    # Nothing moves a job after its birth yet; later steps record each move.
    if view.job.state.value != record.data.get("state"):
        return f"position {position}: no record explains the state of job `{record.job_id}`"
    return ""
