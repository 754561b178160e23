"""The output gate: scan a result, judge it, and make the copy that may be released.

Nothing is readable before its verdict is committed. Every failure here quarantines: a scan that is
incomplete, takes too long or raises, no policy in force, a copy that cannot be made clean. The
theory is in `docs/internals/output-scan.md`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations

import msgspec

from forestall.control.agent_layer import agent_of
from forestall.control.gate import PolicyUnavailableError, vouched
from forestall.control.plane import Plane, instant
from forestall.control.records import SALT_BYTES, output_data, record_of
from forestall.control.result_schema import result_misfit
from forestall.errors import UnavailableError
from forestall.identity.credentials import Subject
from forestall.jobs.checked_output import CheckedContent
from forestall.jobs.job import Job, OutputCheck, original_digest, stored_request
from forestall.jobs.worker import RESULT_PROBLEMS
from forestall.limits import (
    FINDINGS_KEPT_MAX,
    PAIRED_TEXTS_MAX,
    SCAN_DECODED_BYTES_MAX,
    SCAN_FINDINGS_MAX,
)
from forestall.output.clean import clean_copy
from forestall.output.detectors import DETECTORS
from forestall.output.findings import Detector, Finding, ScanBudget
from forestall.output.joined import joined_findings, texts_of
from forestall.output.scan import scan
from forestall.policy.compile import Snapshot
from forestall.policy.output_verdict import ALWAYS_REMOVED, OutputRuling, detectors_for, judge
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
    joins: bool = False  # texts of it hold together what none holds alone: no copy is clean


async def check_result(
    plane: Plane, job: Job, result: bytes, *, problem: str = ""
) -> CheckedResult:
    """The verdict on the result of a job, and the copy that may be read. Commits nothing.

    `result` is JSON. With a `problem`, a key of RESULT_PROBLEMS, it is withheld unread, and may be
    empty. Raises ScannerBusyError, StoreUnavailableError; there is no verdict then.
    """
    salt = plane.random.token(SALT_BYTES)
    snapshot = plane.snapshot
    if problem:
        looked, duration_us = _nothing(problem, RESULT_PROBLEMS[problem]), 0
    else:
        looked, duration_us = await look(
            plane,
            snapshot,
            await output_request(plane, snapshot, job),
            result,
            level=_level(job),
            is_json=True,
            job_id=job.id,
        )
        misfit = result_misfit(plane, job, result)
        if misfit is not None and looked.ruling.verdict is not Verdict.QUARANTINE:
            looked = _nothing(misfit.code, misfit.reason, looked.findings)
    ruling = looked.ruling
    withheld = ruling.verdict is not Verdict.ALLOW
    check = msgspec.structs.replace(
        _check(plane, snapshot, looked, result, duration_us),
        original_digest=original_digest(salt, result) if withheld and result else "",
    )
    entry = original = None
    if withheld or looked.findings:
        entry = output_entry(job, check, looked.findings)
    if withheld and result:
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


async def clean_texts(
    plane: Plane, job: Job, texts: Sequence[str], *, after: Sequence[str] = ()
) -> list[str]:
    """The texts that a worker, or a person, writes about a job (errors, progress, reasons), as they
    may be shown: whole, redacted, or `WITHHELD_TEXT`.

    `after` are earlier texts, which their readers have seen. Where something is found that begins
    in one text and ends in another one, all of `texts` are withheld. Raises ScannerBusyError,
    StoreUnavailableError.
    """
    snapshot = plane.snapshot
    if not any(texts):
        return [""] * len(texts)
    request = await output_request(plane, snapshot, job)
    level = _level(job)
    cleaned = []
    for text in texts:
        if not text:
            cleaned.append("")
            continue
        looked, _ = await look(
            plane, snapshot, request, text.encode("utf-8", "replace"), level=level
        )
        cleaned.append(looked.released.decode() if looked.released is not None else WITHHELD_TEXT)
    parts = [text for text in (*after, *texts) if text]
    if len(parts) > 1 and not await _may_stand_together(plane, snapshot, request, parts, level):
        return [WITHHELD_TEXT if text else "" for text in texts]
    return cleaned


async def _may_stand_together(
    plane: Plane, snapshot: Snapshot | None, request: Request, parts: list[str], level: str
) -> bool:
    """Whether a reader may see these texts side by side. Raises ScannerBusyError."""
    if snapshot is None:
        return False
    in_force, switched_on, now_us = snapshot, plane.output.switched_on, plane.clock.now_us()
    # Many texts are a list, which people see in its order or sorted, and not two by two.
    few = len(parts) <= PAIRED_TEXTS_MAX
    groups = [parts, *(combinations(parts, 2) if few else [sorted(parts)])]

    def work(expired: Callable[[], bool]) -> bool:
        budget = _budget(expired)
        return all(
            _may_be_joined(
                in_force,
                request,
                groups,
                glue=glue,
                budget=budget,
                level=level,
                switched_on=switched_on,
                now_us=now_us,
            )
            for glue in _GLUES
        )

    size_bytes = sum(map(len, parts))
    try:
        return await plane.output.run(work, size_bytes=size_bytes, snapshot=snapshot.digest)
    except TimeoutError:
        return False


_JOINED = "two texts of the result hold together what neither holds alone"
_GLUES = ("", ": ")  # between two texts as people see them: nothing, or a code and its message


def _may_be_joined(
    snapshot: Snapshot,
    request: Request,
    groups: Sequence[Sequence[str]],
    *,
    budget: ScanBudget,
    level: str,
    switched_on: tuple[Detector, ...],
    now_us: int,
    glue: str = "",
) -> bool:
    """Whether the rules let everything stay that is found in two texts together and in neither
    alone. Looks for credentials, and for what the policy's own detectors find; of personal data
    there is too much that only looks like it where two texts touch."""
    detectors = [
        each
        for each in detectors_for(snapshot, level, switched_on)
        if each.reader is None and (each.name in ALWAYS_REMOVED or each.name not in DETECTORS)
    ]
    joined = joined_findings(groups, detectors=detectors, budget=budget, glue=glue)
    if joined is None or (joined.complete and not joined.findings):
        return True
    ruling = judge(
        snapshot,
        request,
        joined,
        content_type="text/plain",
        now=instant(now_us),
        redaction_level=level,
        switched_on=switched_on,
    )
    return ruling.verdict is Verdict.ALLOW


async def may_be_shown(plane: Plane, tenant: str, texts: Sequence[str]) -> bool:
    """Whether texts that belong to no job may be shown as they are, also side by side. Raises
    PolicyUnavailableError, ScannerBusyError."""
    snapshot, request = plane.snapshot, Request(topic="", tenant=tenant)
    if snapshot is None:
        raise PolicyUnavailableError("no policy is in force; ask again when there is one")
    looked, _ = await look(plane, snapshot, request, "\n".join(texts).encode("utf-8", "replace"))
    return looked.ruling.verdict is Verdict.ALLOW and await _may_stand_together(
        plane, snapshot, request, list(texts), ""
    )


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
    job_id: str = "",
) -> tuple[ScanResult, int]:
    """Scan and judge a content under a snapshot; the ruling, and how long it took (µs), the wait
    for a thread included. `level` is the redaction level of the lease. Findings are correlated
    within the result of the job `job_id`; without one not at all.

    Raises ScannerBusyError.
    """
    began_us = plane.clock.now_us()
    if snapshot is None:
        return _nothing("policy_unavailable", "no policy is in force"), 0
    key = plane.output.correlation_key(request.tenant, job_id) if job_id else b""
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
        budget = _budget(expired)
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
        joins = is_json and not _may_be_joined(
            snapshot,
            request,
            texts_of(content),
            budget=budget,
            level=level,
            switched_on=switched_on,
            now_us=now_us,
        )
        if ruling.verdict is Verdict.QUARANTINE:
            return ScanResult(ruling=ruling, released=None, findings=report.findings, joins=joins)
        if joins:
            nothing = _nothing("joined_texts", _JOINED, report.findings)
            return msgspec.structs.replace(nothing, joins=True)
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


def _budget(expired: Callable[[], bool]) -> ScanBudget:
    return ScanBudget(
        findings_max=SCAN_FINDINGS_MAX, decoded_bytes_max=SCAN_DECODED_BYTES_MAX, expired=expired
    )


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
    key, agent = plane.keys.by_id(job.key_id), agent_of(plane, job.key_id)
    return vouched(plane, stored_request(job, payload), key, agent)
