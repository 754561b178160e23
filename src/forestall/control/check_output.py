"""The output gate: scan a result, judge it, and make the copy that may be released.

Nothing is readable before its verdict is committed. Every failure here quarantines: a scan that is
incomplete, takes too long or raises, no policy in force, a copy that cannot be made clean. The
theory is in `docs/internals/output-scan.md`.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from forestall.control.gate import vouched
from forestall.control.plane import Plane, instant
from forestall.control.records import SALT_BYTES, output_data, record_of
from forestall.errors import UnavailableError
from forestall.identity.credentials import Subject
from forestall.jobs.checked_output import CheckedContent
from forestall.jobs.job import Job, OutputCheck, original_digest, stored_request
from forestall.limits import FINDINGS_KEPT_MAX, SCAN_DECODED_BYTES_MAX, SCAN_FINDINGS_MAX
from forestall.output.clean import clean_copy
from forestall.output.findings import Detector, Finding, ScanBudget
from forestall.output.scan import scan
from forestall.policy.compile import Snapshot
from forestall.policy.output_verdict import OutputRuling, detectors_for, judge
from forestall.policy.request import Request
from forestall.policy.rules import Verdict
from forestall.ports.change import Change, EntryUnchanged, OutputEntry
from forestall.ports.entries import EntryKind, RegistryEntry, Sealed, entry_after

OUTPUT_QUARANTINED = "output_quarantined"
WITHHELD_TEXT = "[withheld by the output policy]"


class PolicyMovedError(UnavailableError):
    """The policy changed while a result or text was scanned under the one before; nothing was
    changed. Send it again."""

    code, http_status = "policy_moved", 503


class CheckedResult(CheckedContent, frozen=True, kw_only=True):
    """The result of a job after its check, and what is stored of it beside the job."""

    snapshot: Snapshot | None  # the one that judged; under another one the result is checked again
    entry: OutputEntry | None = None  # the findings; None when there is nothing to keep
    original: RegistryEntry | None = None  # the sealed original of a result not released whole


class ScanResult(msgspec.Struct, frozen=True, kw_only=True):
    """The ruling on one scanned content."""

    ruling: OutputRuling
    released: bytes | None  # the content, or its redacted copy; None: nothing may be read
    findings: tuple[Finding, ...] = ()  # of the original


async def check_result(plane: Plane, job: Job, result: bytes) -> CheckedResult:
    """The verdict on the result of a job, and the copy that may be read. Commits nothing.

    `result` is JSON. Raises ScannerBusyError, StoreUnavailableError; there is no verdict then.
    """
    salt = plane.random.token(SALT_BYTES)
    snapshot = plane.snapshot
    looked, duration_us = await look(
        plane,
        snapshot,
        await output_request(plane, snapshot, job),
        result,
        level=_level(job),
        is_json=True,
    )
    ruling = looked.ruling
    withheld = ruling.verdict is not Verdict.ALLOW
    check = msgspec.structs.replace(
        _check(plane, snapshot, looked, result, duration_us),
        original_digest=original_digest(salt, result) if withheld else "",
    )
    entry = original = None
    if withheld or looked.findings:
        entry = output_entry(job, check, looked.findings)
    if withheld:
        sealed = plane.output.seal(salt + result, bound_to=bound_to(job))
        original = _original(job, check, sealed) if sealed is not None else None
    return CheckedResult(
        check=check,
        snapshot=snapshot,
        released=looked.released,
        findings=looked.findings,
        entry=entry,
        original=original,
    )


def _original(job: Job, check: OutputCheck, sealed: Sealed) -> RegistryEntry:
    return entry_after(
        None, job.tenant, EntryKind.ORIGINAL, job.id, sealed, now_us=check.checked_at_us
    )


async def check_content(
    plane: Plane, subject: Subject, request: Request, content: bytes, *, is_json: bool
) -> CheckedContent:
    """The verdict on a content that the caller itself releases or withholds. Commits a record of
    the verdict, without the content. Raises ScannerBusyError, StoreUnavailableError."""
    # load
    snapshot = plane.snapshot
    # decide
    looked, duration_us = await look(plane, snapshot, request, content, is_json=is_json)
    check = _check(plane, snapshot, looked, content, duration_us)
    record = record_of(
        plane,
        "output.checked",
        at_us=check.checked_at_us,
        tenant=request.tenant,
        actor=subject.principal,
        data={**output_data(check), "topic": request.topic, "key_id": subject.key_id},
    )
    # commit
    await plane.commit(Change(records=(record,)))
    # announce
    count_checked(plane, check)
    return CheckedContent(check=check, released=looked.released, findings=looked.findings)


def _check(
    plane: Plane, snapshot: Snapshot | None, looked: ScanResult, content: bytes, duration_us: int
) -> OutputCheck:
    ruling = looked.ruling
    return OutputCheck(
        verdict=ruling.verdict,
        code=ruling.code,
        checked_at_us=plane.clock.now_us(),
        snapshot=snapshot.digest if snapshot is not None else "",
        rule_id=ruling.rule_id,
        reason=ruling.reason,
        kinds=counted(looked.findings),
        original_bytes=len(content),
        duration_us=duration_us,
    )


def count_checked(plane: Plane, check: OutputCheck) -> None:
    """Count a check in the metrics. Call it after the commit of its record."""
    plane.telemetry.output_checked(
        check.verdict.value, check.duration_us / 1_000_000, check.original_bytes
    )


def under(plane: Plane, snapshot: Snapshot | None) -> tuple[EntryUnchanged, ...]:
    """The precondition of a commit that makes something readable by the verdict of a snapshot: this
    policy is in force still. None without a snapshot, since its verdict makes nothing readable."""
    return (plane.policy.unchanged(snapshot),) if snapshot is not None else ()


async def clean_texts(plane: Plane, job: Job, texts: Sequence[str]) -> list[str]:
    """The texts that a worker sends beside its result (errors, progress), as they may be shown:
    whole, redacted, or `WITHHELD_TEXT`.

    Raises ScannerBusyError, StoreUnavailableError.
    """
    snapshot = plane.snapshot
    cleaned = []
    request: Request | None = None
    for text in texts:
        if not text:
            cleaned.append("")
            continue
        request = request or await output_request(plane, snapshot, job)
        looked, _ = await look(
            plane, snapshot, request, text.encode("utf-8", "replace"), level=_level(job)
        )
        cleaned.append(looked.released.decode() if looked.released is not None else WITHHELD_TEXT)
    return cleaned


async def clean_text(plane: Plane, job: Job, text: str) -> str:
    """As `clean_texts`, for one text that a person writes about a job."""
    (cleaned,) = await clean_texts(plane, job, (text,))
    return cleaned


async def look(
    plane: Plane,
    snapshot: Snapshot | None,
    request: Request,
    content: bytes,
    *,
    level: str = "",
    is_json: bool = False,
) -> tuple[ScanResult, int]:
    """Scan and judge a content under a snapshot; the ruling, and how long it took (µs), the wait
    for a thread included. `level` is the redaction level of the lease.

    Raises ScannerBusyError.
    """
    began_us = plane.clock.now_us()
    if snapshot is None:
        return _nothing("policy_unavailable", "no policy is in force"), 0
    key = plane.output.correlation_key(request.tenant)
    in_force, switched_on = snapshot, plane.output.switched_on

    def work(expired: Callable[[], bool]) -> ScanResult:
        return _look(
            in_force,
            request,
            content,
            level=level,
            switched_on=switched_on,
            is_json=is_json,
            key=key,
            now_us=began_us,
            expired=expired,
        )

    try:
        looked = await plane.output.run(work, size_bytes=len(content), snapshot=snapshot.digest)
    except TimeoutError:
        looked = _nothing("scan_timeout", "the result could not be looked at in time")
    return looked, max(0, plane.clock.now_us() - began_us)


def _nothing(code: str, reason: str, findings: tuple[Finding, ...] = ()) -> ScanResult:
    ruling = OutputRuling(verdict=Verdict.QUARANTINE, code=code, reason=reason)
    return ScanResult(ruling=ruling, released=None, findings=findings)


def _look(
    snapshot: Snapshot,
    request: Request,
    content: bytes,
    *,
    level: str,
    switched_on: tuple[Detector, ...],
    is_json: bool,
    key: bytes,
    now_us: int,
    expired: Callable[[], bool],
) -> ScanResult:
    """Scan, judge, and make the copy. Total: every failure quarantines."""
    try:
        detectors = detectors_for(snapshot, level, switched_on)
        budget = ScanBudget(
            findings_max=SCAN_FINDINGS_MAX,
            decoded_bytes_max=SCAN_DECODED_BYTES_MAX,
            expired=expired,
        )
        report = scan(content, detectors=detectors, key=key, budget=budget)
        ruling = judge(
            snapshot,
            request,
            report,
            content_type=_content_type(content, is_json=is_json),
            now=instant(now_us),
            redaction_level=level,
            switched_on=switched_on,
        )
        if ruling.verdict is Verdict.QUARANTINE:
            return ScanResult(ruling=ruling, released=None, findings=report.findings)
        if ruling.verdict is Verdict.ALLOW:
            return ScanResult(ruling=ruling, released=content, findings=report.findings)
        gone = {id(finding) for finding in ruling.remove}
        copy = clean_copy(
            content,
            ruling.remove,
            detectors=detectors,
            left=[finding for finding in report.findings if id(finding) not in gone],
            budget=budget,
            is_json=is_json,
        )
        if copy is None:
            return _nothing(
                "redaction_failed", "no copy could be made that is clean", report.findings
            )
        return ScanResult(ruling=ruling, released=copy, findings=report.findings)
    except Exception as error:  # noqa: BLE001 - whatever fails here must quarantine, never pass
        # Name the type alone: the message of the exception may hold part of the result.
        return _nothing("scan_failed", f"the result could not be looked at: {type(error).__name__}")


def _content_type(content: bytes, *, is_json: bool) -> str:
    return "application/json" if is_json and content[:1] != b'"' else "text/plain"


def counted(findings: Sequence[Finding]) -> tuple[tuple[str, int], ...]:
    """The number of findings of each kind, by the name of the kind."""
    return tuple(sorted(Counter(finding.kind for finding in findings).items()))


def output_entry(job: Job, check: OutputCheck, findings: Sequence[Finding]) -> OutputEntry:
    """The findings as they are stored beside the job: the surest FINDINGS_KEPT_MAX of them."""
    kept = sorted(findings, key=lambda each: -each.confidence)[:FINDINGS_KEPT_MAX]
    kept.sort(key=lambda each: (each.start, each.end))
    return OutputEntry(
        tenant=job.tenant,
        job_id=job.id,
        checked_at_us=check.checked_at_us,
        findings=msgspec.json.encode(kept),
    )


def bound_to(job: Job) -> bytes:
    """The associated data that a sealed original is bound to, so that it opens for this job and
    attempt alone."""
    parts = (job.tenant.encode(), job.id.encode(), b"%d" % job.attempt)
    return b"forestall.original.v1" + b"".join(b"\0%d\0%b" % (len(part), part) for part in parts)


def _level(job: Job) -> str:
    lease = job.lease
    if lease is None or lease.constraints is None:
        return ""
    return lease.constraints.redaction_level


async def output_request(plane: Plane, snapshot: Snapshot | None, job: Job) -> Request:
    """The request of a job, as output rules match it. Its payload is read from the store only when
    there are output rules. Raises StoreUnavailableError."""
    payload = b"{}"
    if snapshot is not None and snapshot.output:
        view = await plane.store.job(job.tenant, job.id)
        if view is not None:
            payload = view.payload
    return vouched(plane, stored_request(job, payload))
