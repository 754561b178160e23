"""A worker answers for a job that it leases: succeeded, failed, or failed and worth another try.

An answer for a job that is not leased to this worker, or no longer, is refused
(`control/lease_holder.py`) and changes nothing.
"""

from typing import Any

import msgspec

from forestall.control.check_output import (
    OUTPUT_QUARANTINED,
    CheckedResult,
    PolicyMovedError,
    check_result,
    clean_texts,
    count_checked,
    policy_unchanged,
)
from forestall.control.lease_holder import require_lease, require_stored_lease
from forestall.control.moves import Move, commit_move
from forestall.control.plane import Plane
from forestall.control.records import output_data
from forestall.identity.credentials import Subject
from forestall.jobs.attempts import may_retry, retry_delay_us
from forestall.jobs.job import Job, result_digest
from forestall.jobs.lifecycle import Event
from forestall.jobs.worker import RESULT_TOO_LARGE, WorkerAnswer
from forestall.limits import AUDIT_PAGE_RECORDS_MAX, FAILURES_JOINED_MAX, RESULT_BYTES_MAX
from forestall.policy.snapshot import Snapshot
from forestall.ports.change import Put, PutEntry, PutOutput
from forestall.ports.store import PreconditionFailedError
from forestall.projections.policy_in_force import is_of_policy

_TRIES = 8  # a job moves only a few times in its life; each try reads the job anew
RETRIES_SPENT = "max_retries_exceeded"
WORKER_FAILED = "worker_failed"


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
    _renew_lease(plane, job)
    checked: CheckedResult | None = None
    cleaned: _CleanedAnswer | None = None
    for attempt in range(_TRIES):
        # decide, under the policy in force now, which may differ from the one at dispatch
        if answer.failed:
            while cleaned is None or cleaned.snapshot is not plane.snapshot:
                cleaned = await _cleaned(plane, job, answer)
            move = _failed(plane, job, cleaned.answer, now_us=plane.clock.now_us())
            scanned_under = cleaned.snapshot
        else:
            answer = _bounded(job, answer)
            while checked is None or checked.snapshot is not plane.snapshot:
                checked = await check_result(
                    plane, job, answer.result, problem=answer.result_problem
                )
            move = _succeeded(job, checked)
            scanned_under = checked.snapshot
        move = msgspec.structs.replace(move, expect=policy_unchanged(plane, scanned_under))
        now_us = plane.clock.now_us()
        try:
            # commit
            job = await commit_move(plane, move, now_us=now_us)
            # announce
            if checked is not None:
                count_checked(plane, checked.check)
            return job
        except PreconditionFailedError as error:  # a heartbeat has reported its start, say
            if is_of_policy(error.failed) and scanned_under is plane.snapshot:
                raise PolicyMovedError(
                    "the policy is being changed this moment; answer again", retry_after_s=1
                ) from None
            if attempt == _TRIES - 1:
                raise
        job = await require_stored_lease(plane, subject, job_id, lease_id, what="complete")
    raise AssertionError("unreachable")


class _CleanedAnswer(msgspec.Struct, frozen=True):
    """A failure with its texts as they may be shown, and the snapshot that they were scanned
    under; None when no policy was in force, and the texts are withheld."""

    answer: WorkerAnswer
    snapshot: Snapshot | None


async def _cleaned(plane: Plane, job: Job, answer: WorkerAnswer) -> _CleanedAnswer:
    snapshot = plane.snapshot
    earlier_texts = await _texts_shown_before(plane, job)
    code, message = await clean_texts(
        plane, job, (answer.error_code, answer.error_message), after=earlier_texts
    )
    if code != answer.error_code:
        code = WORKER_FAILED  # a code with a part removed would be no code
    clean = msgspec.structs.replace(answer, error_code=code, error_message=message)
    return _CleanedAnswer(clean, snapshot)


async def _texts_shown_before(plane: Plane, job: Job) -> list[str]:
    """What people have seen of the last failures of this job, and of the progress of this attempt:
    a worker could send a secret in parts. Raises StoreUnavailableError."""
    shown: list[str] = []
    if job.attempt > 1:
        links = await plane.store.links(
            start=0, limit=AUDIT_PAGE_RECORDS_MAX, tenant=job.tenant, job_id=job.id
        )
        records = (msgspec.json.decode(link.record, type=_FailureRecord) for link in links)
        reasons = dict.fromkeys(record.data.failure_reason for record in records)
        shown = list(reasons)[-FAILURES_JOINED_MAX:]
    leased = plane.leases.get(job.tenant, job.id)
    if leased is not None:
        shown.append(leased.earlier_progress_end)
    return shown


class _FailureData(msgspec.Struct, frozen=True):
    failure_reason: str = ""


class _FailureRecord(msgspec.Struct, frozen=True):
    data: _FailureData = _FailureData()


def _renew_lease(plane: Plane, job: Job) -> None:
    """Renew the lease of a job whose answer came: the worker must not lose the job while the server
    scans its answer."""
    leased = plane.leases.get(job.tenant, job.id)
    if leased is not None:
        plane.leases.renew(leased, expires_at_us=plane.clock.now_us() + plane.lease_us)


def _bounded(job: Job, answer: WorkerAnswer) -> WorkerAnswer:
    """The answer, marked as too large where it is. A result beyond the bound of a constraint is not
    kept for a person either, since the policy allows nobody a larger result."""
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
        puts=_puts_beside_job(checked),
    )


def _puts_beside_job(checked: CheckedResult) -> tuple[Put, ...]:
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
    is_retryable = answer.retryable or job.idempotent
    if is_retryable and may_retry(job, now_us=now_us):
        chance = int.from_bytes(plane.random.token(2), "big")
        fields["not_before_us"] = now_us + retry_delay_us(job.attempt, chance)
        return Move(job=job, event=Event.RETRIED, actor=job.lease.worker, fields=fields)
    if is_retryable:
        fields["failure_code"] = RETRIES_SPENT
        fields["failure_reason"] = f"{answer.error_code}: {answer.error_message}"
    return Move(job=job, event=Event.FAILED, actor=job.lease.worker, fields=fields)
