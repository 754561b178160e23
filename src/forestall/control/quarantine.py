"""A second person releases or discards a withheld result. The job never runs again for it.

Neither the requester of the job nor the worker that gave the result may do this, under any of their
credentials. Every refusal, release and discard is recorded.
"""

import msgspec

from forestall.control.check_output import (
    PolicyMovedError,
    clean_text,
    output_request,
    policy_unchanged,
    seal_binding,
)
from forestall.control.content_scan import ScanResult, scan_and_judge
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
# Rulings after which the scan may have missed something.
_INCOMPLETE_SCANS = ("scan_incomplete", "scan_timeout", "scan_failed", "policy_unavailable")


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
    sealed_entry = await _sealed_entry(plane, job)
    previews = tuple(map(FindingPreview, _stored_findings(entry)))
    result = await read_result(plane, subject, job)
    if context and sealed_entry is not None and previews:
        in_context = await _previews_in_context(plane, job, sealed_entry)
        previews = previews if in_context is None else in_context
    return QuarantinePreview(
        job=job, findings=previews, sealed=sealed_entry is not None, result=result
    )


def _stored_findings(entry: OutputEntry | None) -> tuple[Finding, ...]:
    if entry is None:
        return ()
    return msgspec.json.decode(entry.findings, type=tuple[Finding, ...])


async def _sealed_entry(plane: Plane, job: Job) -> RegistryEntry | None:
    """The sealed original as it is stored; None where it is not kept, or not any more."""
    return await plane.store.entry(job.tenant, EntryKind.ORIGINAL, job.id)


async def _previews_in_context(
    plane: Plane, job: Job, sealed_entry: RegistryEntry
) -> tuple[FindingPreview, ...] | None:
    """Findings with the text round them, from the sealed original. None when that text cannot be
    read, or cannot be masked."""
    try:
        _, original = _opened_original(plane, job, sealed_entry)
    except SealError:
        return None
    scan_result = await _scan_again(plane, job, original)
    if not _can_be_masked(scan_result):
        return None
    text = original.decode("utf-8", "replace")
    findings = sorted(scan_result.findings, key=lambda finding: (finding.start, finding.end))
    return tuple(
        FindingPreview(finding, _surroundings(text, finding, findings))
        for finding in findings[:FINDINGS_KEPT_MAX]
    )


def _can_be_masked(scan_result: ScanResult) -> bool:
    """Whether a text without the findings of this scan holds nothing that a detector would find:
    what a scan missed, and what texts hold only together, cannot be masked."""
    missed = scan_result.ruling.code in _INCOMPLETE_SCANS
    return not missed and not scan_result.unclean_when_joined


def _surroundings(text: str, finding: Finding, findings: list[Finding]) -> str:
    """The text round a finding; every character of all `findings`, which are in order, is
    masked."""
    low = max(0, finding.start - CONTEXT_CHARS)
    high = min(len(text), finding.end + CONTEXT_CHARS)
    pieces: list[str] = []
    place = low
    for other in findings:
        if other.end <= place or other.start >= high:
            continue
        if other.start > place:
            pieces.append(text[place : other.start])
        pieces.append(f"[{other.kind}]")
        place = max(place, other.end)
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
    job = await _withheld_job(plane, subject, job_id, reason, what="release")
    snapshot = plane.snapshot
    sealed_entry = await _sealed_entry(plane, job)
    try:
        if sealed_entry is None:
            raise _original_gone(job)
        salt, original = _opened_original(plane, job, sealed_entry)
    except ForestallError as refusal:
        await _record_refusal(plane, job, subject, refusal, what="release")
        raise
    # decide
    result = await _redacted_copy(plane, job, original) if mode == "redacted" else original
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
    move = _resolution(plane, subject, job, Event.RELEASED, reason, fields, data)
    drop = (DropEntry(sealed_entry),) if mode == "original" else ()
    # The purge may have removed the original since it was read; then the log says that it is gone,
    # so this release must fail.
    expect = (*policy_unchanged(plane, snapshot), _unpurged(sealed_entry))
    move = msgspec.structs.replace(move, expect=expect, result=result, puts=drop)
    return await _commit(plane, move, subject, what="release")


async def _redacted_copy(plane: Plane, job: Job, original: bytes) -> bytes:
    """The original without everything that any detector finds in it. Raises ConflictError."""
    scan_result = await _scan_again(plane, job, original)
    copy = None
    if _can_be_masked(scan_result):
        copy = redacted(original, scan_result.findings, is_json=True)
    if copy is None:
        raise ConflictError("no clean copy can be made of this result; release or discard it")
    return copy


def _original_gone(job: Job) -> OriginalGoneError:
    return OriginalGoneError(
        "the withheld original is gone: discarded, purged or never kept",
        details={"state": job.state.value},
    )


async def confirm(plane: Plane, subject: Subject, job_id: str, *, reason: str) -> Job:
    """Discard a withheld original; the job stays withheld. Raises as `release`."""
    # load
    job = await _withheld_job(plane, subject, job_id, reason, what="confirm")
    # decide
    if job.output is not None and job.output.resolution:
        raise OriginalGoneError(
            "the withheld original was discarded before", details={"state": job.state.value}
        )
    snapshot = plane.snapshot
    reason = await clean_text(plane, job, reason)
    move = _resolution(plane, subject, job, Event.CONFIRMED, reason, {"dead_at_us": 0}, {})
    sealed_entry = await _sealed_entry(plane, job)
    drop = (DropEntry(sealed_entry),) if sealed_entry is not None else ()
    move = msgspec.structs.replace(move, expect=policy_unchanged(plane, snapshot), puts=drop)
    return await _commit(plane, move, subject, what="confirm")


def _unpurged(entry: RegistryEntry) -> EntryUnchanged:
    """Precondition: the sealed original is still the one that was read."""
    return EntryUnchanged(entry.tenant, entry.kind, entry.name, entry.revision)


async def _withheld_job(
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
    if reason := requester_reason(plane, job, subject):
        raise SelfReleaseError(f"{reason}; a second person decides on its result")
    if job.lease is not None and job.lease.worker in (holder_name(subject), subject.principal):
        raise SelfReleaseError("you gave this result; a second person decides on it")


def _opened_original(plane: Plane, job: Job, entry: RegistryEntry) -> tuple[bytes, bytes]:
    """The salt and the original of a sealed entry. Raises SealError unless their digest is the one
    that was recorded."""
    if plane.output.sealer is None:
        raise SealError("this server has no keyring")
    try:
        sealed = msgspec.json.decode(entry.body, type=Sealed)
    except msgspec.DecodeError as cause:
        raise SealError("the sealed original cannot be read; its entry was changed") from cause
    plain = plane.output.sealer.open(sealed, bound_to=seal_binding(job))
    salt, original = plain[:SALT_BYTES], plain[SALT_BYTES:]
    if job.output is None or original_digest(salt, original) != job.output.original_digest:
        raise SealError("the sealed original is not the one that was recorded")
    return salt, original


async def _scan_again(plane: Plane, job: Job, original: bytes) -> ScanResult:
    """The findings of every detector in a withheld original, under the policy in force."""
    return await scan_and_judge(
        plane,
        plane.snapshot,
        await output_request(plane, plane.snapshot, job),
        original,
        redaction_level="strict",
        is_json=True,
        job_id=job.id,
    )


def _resolution(
    plane: Plane,
    subject: Subject,
    job: Job,
    event: Event,
    reason: str,
    fields: dict[str, object],
    data: dict[str, str],
) -> Move:
    """The move that releases or discards a result; `fields` of the job and `data` of the record
    are added to those that both have."""
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
            refusal = _original_gone(job)
        await _record_refusal(plane, job, subject, refusal, what=what)
        raise refusal from None


async def _record_refusal(
    plane: Plane, job: Job, subject: Subject, refusal: ForestallError, *, what: str
) -> None:
    await commit_refusal(
        plane, subject, "output.refused", refusal.code, what=what, job=job, key_id=subject.key_id
    )
