"""A worker answers for a job that it leases: succeeded, failed, or failed and worth another try.

An answer for a job that is not leased to this worker, or no longer, is refused with a code,
recorded, and changes nothing.
"""

import hmac
import re
from typing import Any

import msgspec

from forestall.audit.record import Value
from forestall.control.check_output import (
    OUTPUT_QUARANTINED,
    CheckedResult,
    PolicyMovedError,
    check_result,
    clean_texts,
    count_checked,
    under,
)
from forestall.control.moves import Move, commit_move
from forestall.control.plane import Plane
from forestall.control.read import JobNotFoundError, find_job
from forestall.control.records import output_data
from forestall.control.refusals import commit_refusal
from forestall.errors import ConflictError, ForbiddenError
from forestall.identity.credentials import Subject, holder_name
from forestall.jobs.attempts import may_retry, retry_delay_us
from forestall.jobs.job import Job, result_digest
from forestall.jobs.lifecycle import HELD_BY_WORKER, Event
from forestall.jobs.worker import RESULT_TOO_LARGE, WorkerAnswer
from forestall.limits import AUDIT_PAGE_RECORDS_MAX, FAILURES_JOINED_MAX, RESULT_BYTES_MAX
from forestall.policy.snapshot import Snapshot
from forestall.ports.change import Put, PutEntry, PutOutput
from forestall.ports.store import PreconditionFailedError
from forestall.projections.policy_in_force import is_of_policy

_TRIES = 8  # a job moves only a few times in its life; each try reads the job anew
RETRIES_SPENT = "max_retries_exceeded"
WORKER_FAILED = "worker_failed"


class LeaseNotHeldError(ConflictError):
    """This job is not leased to this worker under this lease; nothing was changed. Stop running
    the job."""

    code, http_status = "lease_not_held", 409


class AlreadyCompletedError(ConflictError):
    """This dispatch was answered, or ended otherwise, before; nothing was changed."""

    code, http_status = "already_completed", 409


class NotThisWorkerError(ForbiddenError):
    """The credential belongs to another worker than the request names."""

    code, http_status = "worker_mismatch", 403


async def complete(
    plane: Plane, subject: Subject, job_id: str, lease_id: str, answer: WorkerAnswer
) -> Job:
    """End an attempt. The verdict on the answer commits in the same change, so nothing of the
    answer can be read before its verdict (`docs/internals/output-scan.md`).

    Raises JobNotFoundError, LeaseNotHeldError, AlreadyCompletedError, NotThisWorkerError,
    ScannerBusyError, PolicyMovedError, StoreUnavailableError; in each case nothing was changed.
    """
    # load
    job = await require_lease(plane, subject, job_id, lease_id, what="complete")
    _keep_lease(plane, job)
    checked: CheckedResult | None = None
    cleaned: _CleanedAnswer | None = None
    for attempt in range(_TRIES):
        # decide, under the policy in force now, which may differ from the one at dispatch
        if answer.failed:
            while cleaned is None or cleaned.snapshot is not plane.snapshot:
                cleaned = await _cleaned(plane, job, answer)
            move = _failed(plane, job, cleaned.answer, now_us=plane.clock.now_us())
            looked_under = cleaned.snapshot
        else:
            answer = _bounded(job, answer)
            while checked is None or checked.snapshot is not plane.snapshot:
                checked = await check_result(
                    plane, job, answer.result, problem=answer.result_problem
                )
            move, looked_under = _succeeded(job, checked), checked.snapshot
        move = msgspec.structs.replace(move, expect=under(plane, looked_under))
        now_us = plane.clock.now_us()
        try:
            # commit
            job = await commit_move(plane, move, now_us=now_us)
            # announce
            if checked is not None:
                count_checked(plane, checked.check)
            return job
        except PreconditionFailedError as error:  # a heartbeat has reported its start, say
            if is_of_policy(error.failed) and looked_under is plane.snapshot:
                raise PolicyMovedError(
                    "the policy is being changed this moment; answer again", retry_after_s=1
                ) from None
            if attempt == _TRIES - 1:
                raise
        job = await _require_stored(plane, subject, job_id, lease_id, what="complete")
    raise AssertionError("unreachable")


class _CleanedAnswer(msgspec.Struct, frozen=True):
    """A failure with its texts as they may be shown, and the snapshot that they were scanned
    under; None when no policy was in force, and the texts are withheld."""

    answer: WorkerAnswer
    snapshot: Snapshot | None


async def _cleaned(plane: Plane, job: Job, answer: WorkerAnswer) -> _CleanedAnswer:
    snapshot = plane.snapshot
    texts = (answer.error_code, answer.error_message)
    after = await _shown_before(plane, job)
    code, message = await clean_texts(plane, job, texts, after=after)
    same = code == answer.error_code
    clean = msgspec.structs.replace(
        answer, error_code=code if same else WORKER_FAILED, error_message=message
    )
    return _CleanedAnswer(clean, snapshot)


async def _shown_before(plane: Plane, job: Job) -> list[str]:
    """What people have seen of the last failures of this job, and of the progress of this attempt.
    Raises StoreUnavailableError."""
    shown: list[str] = []
    if job.attempt > 1:
        links = await plane.store.links(
            start=0, limit=AUDIT_PAGE_RECORDS_MAX, tenant=job.tenant, job_id=job.id
        )
        records = (msgspec.json.decode(link.record, type=_FailureRecord) for link in links)
        texts = dict.fromkeys(each.data.failure_reason for each in records)
        shown = list(texts)[-FAILURES_JOINED_MAX:]
    leased = plane.leases.get(job.tenant, job.id)
    return [*shown, leased.earlier_progress_end] if leased is not None else shown


class _FailureData(msgspec.Struct, frozen=True):
    failure_reason: str = ""


class _FailureRecord(msgspec.Struct, frozen=True):
    data: _FailureData = _FailureData()


async def require_lease(
    plane: Plane, subject: Subject, job_id: str, lease_id: str, *, what: str
) -> Job:
    """The job leased to the worker under this lease. `what` names the request in the record of a
    refusal. Raises as `complete`."""
    # load
    leased = plane.leases.get(subject.tenant, job_id)
    # decide
    if leased is not None and _is_theirs(leased.job, subject, lease_id):
        return leased.job
    return await _require_stored(plane, subject, job_id, lease_id, what=what)


async def _require_stored(
    plane: Plane, subject: Subject, job_id: str, lease_id: str, *, what: str
) -> Job:
    """As `require_lease`, by the job in the store, since memory may be behind."""
    if subject.worker is not None:  # a worker's job is another principal's; its lease is its own
        view = await plane.store.job(subject.tenant, job_id)
    else:
        view = await find_job(plane, subject, job_id)
    # A worker must not learn whether a job exists that was never leased to it.
    if view is None:
        await record_refusal(plane, subject, JobNotFoundError.code, what=what, named=job_id)
        raise JobNotFoundError(_NOT_AMONG_THEIRS)
    job = view.job
    if job.lease is None or job.lease.worker != holder_name(subject):
        await record_refusal(plane, subject, LeaseNotHeldError.code, what=what, job=job)
        raise JobNotFoundError(_NOT_AMONG_THEIRS)
    if _is_theirs(job, subject, lease_id):
        if job.state in HELD_BY_WORKER:
            return job
        await record_refusal(plane, subject, AlreadyCompletedError.code, what=what, job=job)
        raise AlreadyCompletedError(
            f"the job is {job.state} already; nothing was changed",
            details={"state": job.state.value, "reason": job.failure_reason},
        )
    await record_refusal(plane, subject, LeaseNotHeldError.code, what=what, job=job)
    raise LeaseNotHeldError(
        "the lease is not held any more; stop running the job, its result is not taken",
        details={"state": job.state.value},
    )


_NOT_AMONG_THEIRS = "job not found among those that this worker was given"


def _is_theirs(job: Job, subject: Subject, lease_id: str) -> bool:
    lease = job.lease
    return (
        lease is not None
        and lease.worker == holder_name(subject)
        and hmac.compare_digest(lease.id.encode(), lease_id.encode("utf-8", "replace"))
    )


async def record_refusal(
    plane: Plane, subject: Subject, code: str, *, what: str, job: Job | None = None, named: str = ""
) -> None:
    """Record and count that a worker was refused. `what` names the request; `named` is the text
    that stood in it for a job or a worker, when there is no such job."""
    data: dict[str, Value] = {"key_id": subject.key_id}
    if job is not None:
        data["attempt"] = job.attempt
    else:
        data["named"] = named if _is_name(plane, subject, named) else _NO_NAME
    await commit_refusal(plane, subject, "worker.refused", code, what=what, job=job, **data)


_NO_NAME = "(the name of nothing here)"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def _is_name(plane: Plane, subject: Subject, text: str) -> bool:
    """Whether a text may stand in a record: an id, or the name of a registered worker. Any other
    text may hold a secret, and people read the log."""
    is_id = _ID.fullmatch(text) is not None
    return is_id or not text or plane.workers.get(subject.tenant, text) is not None


def _keep_lease(plane: Plane, job: Job) -> None:
    """Renew the lease of a job whose answer came: the worker must not lose the job while the server
    scans its answer."""
    leased = plane.leases.get(job.tenant, job.id)
    if leased is not None:
        plane.leases.renew(leased, expires_at_us=plane.clock.now_us() + plane.lease_us)


def _bounded(job: Job, answer: WorkerAnswer) -> WorkerAnswer:
    """The answer, marked as too large where it is. What passes the bound of a constraint is not
    even kept for a person, since the policy allows nobody a larger result."""
    assert job.lease is not None
    constraints = job.lease.constraints
    bound = constraints.budgets.max_artifact_bytes if constraints is not None else None
    size = len(answer.result)
    if bound is not None and size > bound:
        return msgspec.structs.replace(answer, result=b"", result_problem=RESULT_TOO_LARGE)
    if size > RESULT_BYTES_MAX and not answer.result_problem:
        return msgspec.structs.replace(answer, result_problem=RESULT_TOO_LARGE)
    return answer


def _succeeded(job: Job, checked: CheckedResult) -> Move:
    assert job.lease is not None
    check, released = checked.check, checked.released
    fields: dict[str, Any] = {"output": check}
    if released is None:
        fields |= {"failure_code": OUTPUT_QUARANTINED, "failure_reason": check.reason}
    else:
        fields |= {"result_digest": result_digest(released), "result_bytes": len(released)}
    return Move(
        job=job,
        event=Event.QUARANTINED if released is None else Event.SUCCEEDED,
        actor=job.lease.worker,
        fields=fields,
        data=output_data(check),
        result=released,
        puts=_kept(checked),
    )


def _kept(checked: CheckedResult) -> tuple[Put, ...]:
    """What is stored beside the job: the findings, and the sealed original of a result that was
    not released whole."""
    puts: list[Put] = []
    if checked.entry is not None:
        puts.append(PutOutput(checked.entry))
    if checked.original is not None:
        puts.append(PutEntry(checked.original))
    return tuple(puts)


def _failed(plane: Plane, job: Job, answer: WorkerAnswer, *, now_us: int) -> Move:
    assert job.lease is not None
    fields: dict[str, Any] = {
        "failure_code": answer.error_code,
        "failure_reason": answer.error_message,
    }
    if (answer.retryable or job.idempotent) and may_retry(job, now_us=now_us):
        chance = int.from_bytes(plane.random.token(2), "big")
        fields["not_before_us"] = now_us + retry_delay_us(job.attempt, chance)
        return Move(job=job, event=Event.RETRIED, actor=job.lease.worker, fields=fields)
    if answer.retryable or job.idempotent:
        fields["failure_code"] = RETRIES_SPENT
        fields["failure_reason"] = f"{answer.error_code}: {answer.error_message}"
    return Move(job=job, event=Event.FAILED, actor=job.lease.worker, fields=fields)
