"""Verify the log against itself and the state against the log. Reads only.

The chain shows that no record was changed, moved or removed from the middle. The second half shows
that state and log agree: each job has the record of its birth, with the same hash and decision, and
one record for each move since, the last of which names the state that the job is in.
Not found yet: records cut off the end together with the state that they explain.
"""

from collections.abc import AsyncIterator, Callable

import msgspec

from forestall.audit.chain import GENESIS, ChainError, ChainLink, verify_links
from forestall.audit.record import Record
from forestall.jobs.job import Job, JobState, result_digest, stored_job_hash
from forestall.jobs.lifecycle import Event, IllegalStateError, after
from forestall.limits import AUDIT_PAGE_RECORDS_MAX
from forestall.ports.store import Store

PROBLEMS_SHOWN_MAX = 20
_MOVES = {f"job.{event}": event for event in Event}
_DECODE = msgspec.json.Decoder(Record).decode


class LogReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a verification. `head` is the last link (hex); empty for an empty log."""

    records: int
    jobs: int
    head: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.problems


class _JobHistory(msgspec.Struct):
    """The state of one job by the records read so far."""

    position: int
    birth: Record
    state: str
    revision: int = 0


async def verify_log(store: Store, *, progress: Callable[[int], None] | None = None) -> LogReport:
    """Read the whole log, then compare every job with the state that its records give it.
    `progress` is called with the number of records read. Raises StoreUnavailableError."""
    problems: list[str] = []
    histories: dict[tuple[str, str], _JobHistory] = {}
    records = 0
    head = GENESIS

    def add(problem: str) -> None:
        if problem and len(problems) < PROBLEMS_SHOWN_MAX:
            problems.append(problem)

    try:
        async for link in _verified(store):
            records, head = link.position + 1, link.link
            add(_apply(histories, link.position, _DECODE(link.record)))
            if progress is not None and records % AUDIT_PAGE_RECORDS_MAX == 0:
                progress(records)
        for history in histories.values():
            add(await _compare(store, history))
    except ChainError as error:
        problems.append(error.message)
    except msgspec.DecodeError:
        problems.append(f"the record at position {records} cannot be read")
    stored_jobs = await store.job_count()
    if stored_jobs != len(histories) and not problems:
        problems.append(
            f"the store holds {stored_jobs} jobs, but the log tells of {len(histories)}"
        )
    return LogReport(
        records=records,
        jobs=len(histories),
        head=head.hex() if records else "",
        problems=tuple(problems),
    )


def _apply(histories: dict[tuple[str, str], _JobHistory], position: int, record: Record) -> str:
    """Apply a record to the state of its job. Returns what is wrong with the record, or empty."""
    name = (record.tenant, record.job_id)
    if record.kind == "job.submitted":
        if name in histories:
            return f"position {position}: the job `{record.job_id}` is born twice"
        histories[name] = _JobHistory(position, record, str(record.data.get("state")))
        return ""
    if record.kind not in _MOVES:
        return ""
    history = histories.get(name)
    if history is None:
        return f"position {position}: the job `{record.job_id}` moves before it is born"
    data = record.data
    before, revision = history.state, history.revision + 1
    history.state, history.revision = str(data.get("state")), revision
    if (data.get("state_before"), data.get("revision")) != (before, revision):
        return f"position {position}: a record of job `{record.job_id}` is missing before this one"
    try:
        is_lawful = after(JobState(before), _MOVES[record.kind]).value == history.state
    except (ValueError, IllegalStateError):
        is_lawful = False
    if not is_lawful:
        return f"position {position}: `{record.kind}` cannot lead to {history.state}"
    return ""


async def _verified(store: Store) -> AsyncIterator[ChainLink]:
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


async def _compare(store: Store, history: _JobHistory) -> str:
    """The difference between a stored job and its records; empty when they agree."""
    position, record = history.position, history.birth
    view = await store.job(record.tenant, record.job_id)
    if view is None:
        return f"position {position}: the job `{record.job_id}` is not in the store"
    decisions = await store.decisions(record.tenant, record.job_id, limit=AUDIT_PAGE_RECORDS_MAX)
    if not decisions:
        return f"position {position}: the job `{record.job_id}` has no decision"
    # The decision at birth is the oldest; a job with more decisions than one page holds a copy.
    birth = view.job.submit_decision or decisions[-1]
    data = record.data
    recorded = (data.get("job_hash"), data.get("decision"), data.get("snapshot"))
    if recorded != (birth.job_hash, birth.decision.value, birth.snapshot):
        return f"position {position}: the decision on job `{record.job_id}` is not the recorded one"
    if len(decisions) < AUDIT_PAGE_RECORDS_MAX and decisions[-1] != birth:
        return f"position {position}: the job `{record.job_id}` shows another decision than its own"
    if not birth.job_hash == view.job.job_hash == stored_job_hash(view.job, view.payload):
        return f"position {position}: the job `{record.job_id}` is not the one that was decided"
    if (view.job.state.value, view.job.revision) != (history.state, history.revision):
        return f"position {position}: no record explains the state of job `{record.job_id}`"
    return await _compare_result(store, view.job)


async def _compare_result(store: Store, job: Job) -> str:
    """The difference between a stored result and its digest in the job; empty when they agree."""
    result = await store.result(job.tenant, job.id)
    digest = result_digest(result) if result is not None else ""
    return "" if digest == job.result_digest else f"the result of job `{job.id}` was changed"
