"""The output gate: the verdict on what workers and people write, before anybody may read it.

Nothing is readable before its verdict is committed. `content_scan` scans and judges; what fails
there is withheld. The theory is in `docs/internals/output-scan.md`.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec

from forestall.control.agent_layer import agent_of
from forestall.control.content_scan import ScanResult, may_stand_together, scan_and_judge, withheld
from forestall.control.gate import PolicyUnavailableError, vouched
from forestall.control.plane import Plane
from forestall.control.records import SALT_BYTES, output_data, record_of
from forestall.control.result_schema import result_misfit
from forestall.errors import UnavailableError
from forestall.identity.credentials import Subject
from forestall.jobs.checked_output import CheckedContent
from forestall.jobs.job import Job, OutputCheck, original_digest, stored_request
from forestall.jobs.worker import RESULT_PROBLEMS
from forestall.limits import FINDINGS_KEPT_MAX
from forestall.output.findings import Finding
from forestall.policy.request import Request
from forestall.policy.rules import Verdict
from forestall.policy.snapshot import Snapshot
from forestall.ports.change import Change, EntryUnchanged, OutputEntry
from forestall.ports.entries import EntryKind, RegistryEntry, entry_after

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


async def check_result(
    plane: Plane, job: Job, result: bytes, *, problem: str = ""
) -> CheckedResult:
    """The verdict on the result of a job, and the copy that may be read. Commits nothing.

    `result` is JSON. With a `problem`, a key of RESULT_PROBLEMS, it is withheld without a scan, and
    may be empty. Raises ScannerBusyError, StoreUnavailableError; there is no verdict then.
    """
    salt = plane.random.token(SALT_BYTES)
    snapshot = plane.snapshot
    scan_result = await _scan_of_result(plane, snapshot, job, result, problem=problem)
    is_withheld = scan_result.ruling.verdict is not Verdict.ALLOW
    check = _output_check(plane, snapshot, scan_result, result)
    if is_withheld and result:
        check = msgspec.structs.replace(check, original_digest=original_digest(salt, result))
    has_findings = is_withheld or bool(scan_result.findings)
    return CheckedResult(
        check=check,
        snapshot=snapshot,
        released=scan_result.released,
        findings=scan_result.findings,
        entry=_output_entry(job, check, scan_result.findings) if has_findings else None,
        original=_sealed_original(plane, job, check, salt, result) if is_withheld else None,
    )


async def _scan_of_result(
    plane: Plane, snapshot: Snapshot | None, job: Job, result: bytes, *, problem: str
) -> ScanResult:
    """The ruling on a result by its problem, by the policy, and by the output schema."""
    if problem:
        return withheld(problem, RESULT_PROBLEMS[problem])
    scan_result = await scan_and_judge(
        plane,
        snapshot,
        await output_request(plane, snapshot, job),
        result,
        redaction_level=_redaction_level(job),
        is_json=True,
        job_id=job.id,
    )
    misfit = result_misfit(plane, job, result)
    if misfit is None or scan_result.ruling.verdict is Verdict.QUARANTINE:
        return scan_result
    by_schema = withheld(misfit.code, misfit.reason, scan_result.findings)
    return msgspec.structs.replace(by_schema, duration_us=scan_result.duration_us)


def _sealed_original(
    plane: Plane, job: Job, check: OutputCheck, salt: bytes, result: bytes
) -> RegistryEntry | None:
    """The sealed original of a result; None of an empty result, or without a keyring."""
    if not result:
        return None
    sealed = plane.output.seal(salt + result, bound_to=seal_binding(job))
    if sealed is None:
        return None
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
    scan_result = await scan_and_judge(plane, snapshot, request, content, is_json=is_json)
    check = _output_check(plane, snapshot, scan_result, content)
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
    return CheckedContent(check=check, released=scan_result.released, findings=scan_result.findings)


def _output_check(
    plane: Plane, snapshot: Snapshot | None, scan_result: ScanResult, content: bytes
) -> OutputCheck:
    """The check of a content, as it stands in the job and in the record."""
    ruling = scan_result.ruling
    kinds = Counter(finding.kind for finding in scan_result.findings)
    return OutputCheck(
        verdict=ruling.verdict,
        code=ruling.code,
        checked_at_us=plane.clock.now_us(),
        snapshot=snapshot.digest if snapshot is not None else "",
        rule_id=ruling.rule_id,
        reason=ruling.reason,
        kinds=tuple(sorted(kinds.items())),
        original_bytes=len(content),
        duration_us=scan_result.duration_us,
    )


def _output_entry(job: Job, check: OutputCheck, findings: Sequence[Finding]) -> OutputEntry:
    """The findings as they are stored beside the job: the surest FINDINGS_KEPT_MAX of them."""
    kept = sorted(findings, key=lambda finding: -finding.confidence)[:FINDINGS_KEPT_MAX]
    kept.sort(key=lambda finding: (finding.start, finding.end))
    return OutputEntry(
        tenant=job.tenant,
        job_id=job.id,
        checked_at_us=check.checked_at_us,
        findings=msgspec.json.encode(kept),
    )


def count_checked(plane: Plane, check: OutputCheck) -> None:
    """Count a check in the metrics. Call it after the commit of its record."""
    plane.telemetry.output_checked(
        check.verdict.value, check.duration_us / 1_000_000, check.original_bytes
    )


def policy_unchanged(plane: Plane, snapshot: Snapshot | None) -> tuple[EntryUnchanged, ...]:
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
    level = _redaction_level(job)
    cleaned = []
    for text in texts:
        if not text:
            cleaned.append("")
            continue
        content = text.encode("utf-8", "replace")
        scan_result = await scan_and_judge(plane, snapshot, request, content, redaction_level=level)
        released = scan_result.released
        cleaned.append(released.decode() if released is not None else WITHHELD_TEXT)
    shown_together = [text for text in (*after, *texts) if text]
    if len(shown_together) > 1 and not await may_stand_together(
        plane, snapshot, request, shown_together, redaction_level=level
    ):
        return [WITHHELD_TEXT if text else "" for text in texts]
    return cleaned


async def clean_text(plane: Plane, job: Job, text: str) -> str:
    """As `clean_texts`, for one text that a person writes about a job."""
    (cleaned,) = await clean_texts(plane, job, (text,))
    return cleaned


async def may_be_shown(plane: Plane, tenant: str, texts: Sequence[str]) -> bool:
    """Whether texts that belong to no job may be shown as they are, also side by side. Raises
    PolicyUnavailableError, ScannerBusyError."""
    snapshot, request = plane.snapshot, Request(topic="", tenant=tenant)
    if snapshot is None:
        raise PolicyUnavailableError("no policy is in force; ask again when there is one")
    content = "\n".join(texts).encode("utf-8", "replace")
    scan_result = await scan_and_judge(plane, snapshot, request, content)
    if scan_result.ruling.verdict is not Verdict.ALLOW:
        return False
    return await may_stand_together(plane, snapshot, request, texts)


def seal_binding(job: Job) -> bytes:
    """The associated data that a sealed original is bound to, so that it opens for this job and
    attempt alone."""
    parts = (job.tenant.encode(), job.id.encode(), b"%d" % job.attempt)
    return b"forestall.original.v1" + b"".join(b"\0%d\0%b" % (len(part), part) for part in parts)


def _redaction_level(job: Job) -> str:
    """The redaction level that the constraints of the dispatch demand; empty: none."""
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
