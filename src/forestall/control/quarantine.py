"""A second person releases or discards a withheld result. The job never runs again for it.

Neither the requester of the job nor the worker that gave the result may do this, under any of their
credentials. Every refusal, release and discard is recorded.
"""

import msgspec

from forestall.control.check_output import (
    PolicyMovedError,
    ScanResult,
    bound_to,
    clean_text,
    look,
    output_request,
    under,
)
from forestall.control.moves import Move, commit_move
from forestall.control.plane import Plane
from forestall.control.read import read_job, read_result
from forestall.control.records import SALT_BYTES
from forestall.control.refusals import commit_refusal
from forestall.control.second_person import requester_reason
from forestall.errors import ConflictError, ForbiddenError, ForestallError, InvalidRequestError
from forestall.identity.credentials import Subject, holder_name
from forestall.jobs.checked_output import FindingPreview, QuarantinePreview
from forestall.jobs.job import Job, JobState, original_digest, result_digest
from forestall.jobs.lifecycle import Event
from forestall.limits import APPROVAL_NOTE_CHARS_MAX, CONTEXT_CHARS, FINDINGS_KEPT_MAX
from forestall.output.clean import redacted
from forestall.output.findings import Finding
from forestall.ports.change import DropEntry, EntryUnchanged, OutputEntry
from forestall.ports.entries import EntryKind, RegistryEntry, Sealed
from forestall.ports.output import SealError
from forestall.ports.store import PreconditionFailedError
from forestall.projections.policy_in_force import is_of_policy

RELEASED, CONFIRMED = "released", "confirmed"
MODES = ("original", "redacted")
_TRIES = 8


class SelfReleaseError(ForbiddenError):
    """The requester of the job, and whoever gave its result, may not release or discard it."""

    code, http_status = "self_release_denied", 403


class NotQuarantinedError(ConflictError):
    """The result of this job is not withheld; `details.state` says how the job stands."""

    code, http_status = "output_not_quarantined", 409


class OriginalGoneError(ConflictError):
    """The withheld original was discarded, purged after its time, or never kept."""

    code, http_status = "output_original_gone", 409


async def inspect(
    plane: Plane, subject: Subject, job_id: str, *, context: bool
) -> QuarantinePreview:
    """The findings in a result. With `context`, each finding of a withheld result comes with the
    text round it, in which every finding of every detector is masked. Raises JobNotFoundError,
    ScannerBusyError, StoreUnavailableError."""
    job = (await read_job(plane, subject, job_id)).job
    entry = await plane.store.output(job.tenant, job.id)
    kept = await _kept_original(plane, job)
    findings = tuple(FindingPreview(each) for each in _findings(entry))
    result = await read_result(plane, subject, job)
    if context and kept is not None and findings:
        findings = await _in_context(plane, job, findings, kept)
    return QuarantinePreview(
        job=job,
        findings=findings,
        sealed=kept is not None,
        result=result,
    )


def _findings(entry: OutputEntry | None) -> tuple[Finding, ...]:
    if entry is None:
        return ()
    return msgspec.json.decode(entry.findings, type=tuple[Finding, ...])


async def _kept_original(plane: Plane, job: Job) -> RegistryEntry | None:
    return await plane.store.entry(job.tenant, EntryKind.ORIGINAL, job.id)


async def _in_context(
    plane: Plane, job: Job, plain: tuple[FindingPreview, ...], kept: RegistryEntry
) -> tuple[FindingPreview, ...]:
    """Findings with the text round them, from the sealed original. Without that text when the scan
    is incomplete: what the scan did not see cannot be masked."""
    try:
        original = _opened(plane, job, kept)[1]
    except SealError:
        return plain
    looked = await _look_again(plane, job, original)
    if looked.joins or looked.ruling.code in _NOT_WHOLE:
        return plain
    text = original.decode("utf-8", "replace")
    found = sorted(looked.findings, key=lambda each: (each.start, each.end))
    return tuple(
        FindingPreview(each, _surroundings(text, each, found)) for each in found[:FINDINGS_KEPT_MAX]
    )


_NOT_WHOLE = ("scan_incomplete", "scan_timeout", "scan_failed", "policy_unavailable")


def _surroundings(text: str, finding: Finding, found: list[Finding]) -> str:
    """The text round a finding; every character of every finding is masked."""
    low = max(0, finding.start - CONTEXT_CHARS)
    high = min(len(text), finding.end + CONTEXT_CHARS)
    pieces: list[str] = []
    place = low
    for each in found:
        if each.end <= place or each.start >= high:
            continue
        if each.start > place:
            pieces.append(text[place : each.start])
        pieces.append(f"[{each.kind}]")
        place = max(place, each.end)
    if place < high:
        pieces.append(text[place:high])
    return "".join(pieces)


async def release(
    plane: Plane, subject: Subject, job_id: str, *, reason: str, mode: str = "original"
) -> Job:
    """Make a withheld result readable: whole (`mode` `original`), or without its findings
    (`redacted`). The job does not run again.

    Raises SelfReleaseError, NotQuarantinedError, OriginalGoneError, SealError, JobNotFoundError,
    InvalidRequestError, ScannerBusyError, PolicyMovedError, StoreUnavailableError; in each case
    nobody can read more than before.
    """
    if mode not in MODES:
        raise InvalidRequestError("`mode` is one of " + ", ".join(MODES))
    # load
    job = await _resolvable(plane, subject, job_id, reason, what="release")
    snapshot = plane.snapshot
    kept = await _kept_original(plane, job)
    try:
        if kept is None:
            raise _gone(job)
        salt, original = _opened(plane, job, kept)
    except ForestallError as refusal:
        await _record_refusal(plane, job, subject, refusal, what="release")
        raise
    # decide
    result = original
    if mode == "redacted":
        looked = await _look_again(plane, job, original)
        copy = None
        if not looked.joins and looked.ruling.code not in _NOT_WHOLE:
            copy = redacted(original, looked.findings, is_json=True)
        if copy is None:
            raise ConflictError("no clean copy can be made of this result; release or discard it")
        result = copy
    reason = await clean_text(plane, job, reason)
    fields = {
        "failure_code": "",
        "failure_reason": "",
        "dead_at_us": 0,
        "result_digest": result_digest(result),
        "result_bytes": len(result),
    }
    data = {"mode": mode}
    if mode == "original":
        data["original_salt"] = salt.hex()  # lets anybody check the digest recorded at quarantine
    move = _resolved(plane, subject, job, Event.RELEASED, reason, fields, data)
    drop = (DropEntry(kept),) if mode == "original" else ()
    # The purge may have removed the original since it was read; then the log says that it is gone,
    # so this release must fail.
    expect = (*under(plane, snapshot), _unpurged(kept))
    move = msgspec.structs.replace(move, expect=expect, result=result, puts=drop)
    return await _commit(plane, move, subject, what="release")


def _gone(job: Job) -> OriginalGoneError:
    return OriginalGoneError(
        "the withheld original is gone: discarded, purged or never kept",
        details={"state": job.state.value},
    )


async def confirm(plane: Plane, subject: Subject, job_id: str, *, reason: str) -> Job:
    """Discard a withheld original; the job stays withheld. Raises as `release`."""
    # load
    job = await _resolvable(plane, subject, job_id, reason, what="confirm")
    # decide
    if job.output is not None and job.output.resolution:
        raise OriginalGoneError(
            "the withheld original was discarded before", details={"state": job.state.value}
        )
    snapshot = plane.snapshot
    reason = await clean_text(plane, job, reason)
    move = _resolved(plane, subject, job, Event.CONFIRMED, reason, {"dead_at_us": 0}, {})
    kept = await _kept_original(plane, job)
    drop = (DropEntry(kept),) if kept is not None else ()
    move = msgspec.structs.replace(move, expect=under(plane, snapshot), puts=drop)
    return await _commit(plane, move, subject, what="confirm")


def _unpurged(kept: RegistryEntry) -> EntryUnchanged:
    """Precondition: the sealed original is still the one that was read."""
    return EntryUnchanged(kept.tenant, kept.kind, kept.name, kept.revision)


async def _resolvable(
    plane: Plane, subject: Subject, job_id: str, reason: str, *, what: str
) -> Job:
    """The job, if this person may release or discard its result and the result is withheld.
    Refusals are recorded. Raises as `release`."""
    if not reason.strip() or len(reason) > APPROVAL_NOTE_CHARS_MAX:
        raise InvalidRequestError(f"`reason` has 1 to {APPROVAL_NOTE_CHARS_MAX} characters")
    job = (await read_job(plane, subject, job_id)).job
    try:
        _require_second_person(plane, job, subject)
        if job.state is not JobState.OUTPUT_QUARANTINED:
            raise NotQuarantinedError(
                f"the job is {job.state}; its result is not withheld",
                details={"state": job.state.value},
            )
    except ForestallError as refusal:
        await _record_refusal(plane, job, subject, refusal, what=what)
        raise
    return job


def _require_second_person(plane: Plane, job: Job, subject: Subject) -> None:
    if why := requester_reason(plane, job, subject):
        raise SelfReleaseError(f"{why}; a second person decides on its result")
    if job.lease is not None and job.lease.worker in (holder_name(subject), subject.principal):
        raise SelfReleaseError("you gave this result; a second person decides on it")


def _opened(plane: Plane, job: Job, kept: RegistryEntry) -> tuple[bytes, bytes]:
    """Salt and original. Raises SealError unless their digest is the recorded one."""
    if plane.output.sealer is None:
        raise SealError("this server has no keyring")
    try:
        sealed = msgspec.json.decode(kept.body, type=Sealed)
    except msgspec.DecodeError as cause:
        raise SealError("the sealed original cannot be read; its entry was changed") from cause
    plain = plane.output.sealer.open(sealed, bound_to=bound_to(job))
    salt, original = plain[:SALT_BYTES], plain[SALT_BYTES:]
    if job.output is None or original_digest(salt, original) != job.output.original_digest:
        raise SealError("the sealed original is not the one that was recorded")
    return salt, original


async def _look_again(plane: Plane, job: Job, original: bytes) -> ScanResult:
    request = await output_request(plane, plane.snapshot, job)
    looked, _ = await look(
        plane, plane.snapshot, request, original, level="strict", is_json=True, job_id=job.id
    )
    return looked


def _resolved(
    plane: Plane,
    subject: Subject,
    job: Job,
    event: Event,
    reason: str,
    fields: dict[str, object],
    data: dict[str, str],
) -> Move:
    assert job.output is not None
    check = msgspec.structs.replace(
        job.output,
        resolved_by=subject.principal,
        resolved_at_us=plane.clock.now_us(),
        resolution=RELEASED if event is Event.RELEASED else CONFIRMED,
        resolution_reason=reason,
    )
    return Move(
        job=job,
        event=event,
        actor=subject.principal,
        fields={**fields, "output": check},
        data={
            **data,
            "key_id": subject.key_id,
            "release_reason": reason,
            "original_digest": check.original_digest,
        },
    )


async def _commit(plane: Plane, move: Move, subject: Subject, *, what: str) -> Job:
    # commit, and announce
    try:
        return await commit_move(plane, move, now_us=plane.clock.now_us())
    except PreconditionFailedError as error:
        if is_of_policy(error.failed):
            raise PolicyMovedError(
                "the policy changed at this moment; look and decide again", retry_after_s=1
            ) from None
        job = (await read_job(plane, subject, move.job.id)).job
        refusal: ConflictError = NotQuarantinedError(
            f"the job is {job.state}; somebody else decided on its result at this moment",
            details={"state": job.state.value},
        )
        if isinstance(error.failed, EntryUnchanged) and job.revision == move.job.revision:
            refusal = _gone(job)
        await _record_refusal(plane, job, subject, refusal, what=what)
        raise refusal from None


async def _record_refusal(
    plane: Plane, job: Job, subject: Subject, refusal: ForestallError, *, what: str
) -> None:
    await commit_refusal(
        plane, subject, "output.refused", refusal.code, what=what, job=job, key_id=subject.key_id
    )
