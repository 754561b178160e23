"""Checked results ↔ JSON: verdicts, withheld results, and contents that callers have checked."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from forestall.errors import InvalidRequestError
from forestall.jobs.checked_output import CheckedContent, OutputCounts, QuarantinePreview
from forestall.jobs.job import Job, JobState, OutputCheck
from forestall.limits import NAME_CHARS_MAX, TOPIC_CHARS_MAX
from forestall.output.findings import Finding
from forestall.policy.globs import compile_globs
from forestall.policy.request import Request
from forestall.policy.rules import Match, OutputRule, Policy, Verdict
from forestall.wire.compat import iso_time
from forestall.wire.objects import WireObject
from forestall.wire.strict_json import decode_struct


class ReleaseBody(msgspec.Struct, frozen=True):
    """The body of POST /jobs/{id}/output/release."""

    reason: str = ""
    mode: str = "original"


class ConfirmBody(msgspec.Struct, frozen=True):
    """The body of POST /jobs/{id}/output/confirm."""

    reason: str = ""


class CheckBody(msgspec.Struct, frozen=True):
    """The body of POST /output/check. `content` is a text, `result` any JSON value; exactly one is
    sent."""

    topic: str = ""
    content: str | None = None
    result: Any = msgspec.UNSET
    capability: str = ""
    labels: dict[str, str] = {}


class FindingObject(WireObject, frozen=True):
    """One finding, in our words and the peer's; what was found is not among them."""

    kind: str
    detector: str
    start: int
    end: int
    start_byte: int
    end_byte: int
    confidence: float
    masked: str
    correlation: str
    seen_in: list[str]
    type: str
    severity: str
    detail: str
    scanner: str
    matched_pattern: str
    offset: int
    length: int
    context: str | UnsetType = UNSET


class SafetyObject(WireObject, frozen=True):
    """What the check of a job's result found."""

    decision: str
    verdict: Verdict
    code: str
    reason: str
    rule_id: str
    policy_snapshot: str
    findings: list[FindingObject]
    counts: dict[str, int]
    redacted_ptr: str
    original_ptr: str
    checked_at: int
    check_duration_ms: int
    phase: str


class ReleasedObject(WireObject, frozen=True):
    """What a release or a discard came to."""

    job_id: str
    state: JobState
    output_decision: str
    released_by: str
    released_at: str
    reason: str


class WithheldObject(WireObject, frozen=True):
    """One entry of the quarantine."""

    job_id: str
    id: str
    topic: str
    tenant: str
    state: JobState
    principal: str
    worker_id: str
    verdict: Verdict
    code: str
    rule_id: str
    reason: str
    counts: dict[str, int]
    size_bytes: int
    checked_at: str
    resolution: str
    resolved_by: str


class InspectedObject(WireObject, frozen=True):
    """The check of one job's result; the fields after `result_digest` come with a check."""

    job_id: str
    state: JobState
    output_decision: str
    verdict: str
    findings: list[FindingObject]
    original_kept: bool
    result: Any
    result_digest: str
    code: str | UnsetType = UNSET
    rule_id: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    policy_snapshot: str | UnsetType = UNSET
    counts: dict[str, int] | UnsetType = UNSET
    size_bytes: int | UnsetType = UNSET
    original_digest: str | UnsetType = UNSET
    checked_at: str | UnsetType = UNSET
    resolution: str | UnsetType = UNSET
    resolved_by: str | UnsetType = UNSET
    resolved_at: str | UnsetType = UNSET
    resolution_reason: str | UnsetType = UNSET


class CheckedObject(WireObject, frozen=True):
    """A checked content. `content`, for JSON `result`, is what may be released; null: nothing."""

    verdict: Verdict
    decision: str
    code: str
    rule_id: str
    reason: str
    policy_snapshot: str
    counts: dict[str, int]
    findings: list[FindingObject]
    findings_total: int
    checked_at: str
    result: Any = UNSET
    content: str | UnsetType | None = UNSET


class RuleSource(WireObject, frozen=True):
    """Where a rule stands."""

    fragment_id: str
    tier: str
    line: int


class OutputRuleObject(WireObject, frozen=True):
    """One output rule in force."""

    id: str
    description: str
    topics: list[str]
    scanners: list[str]
    detectors: list[str]
    patterns: list[str]
    decision: Verdict
    severity: str
    owner: str
    reason: str
    enabled: bool
    match: Match
    unless: Match
    source: RuleSource


class OutputStatsObject(WireObject, frozen=True):
    """What became of the results of a day; `since` says when counting began."""

    total_checks_24h: int
    allowed_24h: int
    redacted_24h: int
    quarantined_24h: int
    avg_latency_ms: float
    since: str
    last_check_at: str | UnsetType = UNSET


def decode_release(body: bytes) -> tuple[str, str]:
    """The reason and the mode of a release."""
    asked = decode_struct(body, ReleaseBody)
    return asked.reason, asked.mode


def decode_confirm(body: bytes) -> str:
    """The reason of a discard."""
    return decode_struct(body, ConfirmBody).reason


def decode_content(body: bytes, *, tenant: str, principal: str) -> tuple[Request, bytes, bool]:
    """What the content belongs to, its bytes, and whether the bytes are JSON."""
    asked = decode_struct(body, CheckBody)
    if (asked.content is None) == (asked.result is msgspec.UNSET):
        raise InvalidRequestError("send either `content`, a text, or `result`, any JSON value")
    if len(asked.topic) > TOPIC_CHARS_MAX or len(asked.capability) > NAME_CHARS_MAX:
        raise InvalidRequestError("`topic` or `capability` is too long")
    request = Request(
        topic=asked.topic,
        tenant=tenant,
        capability=asked.capability,
        actor_id=principal,
        principal=principal,
        labels=asked.labels,
    )
    if asked.content is not None:
        return request, asked.content.encode(), False
    return request, msgspec.json.encode(asked.result), True


def finding_object(
    finding: Finding, context: str = "", *, for_reviewer: bool = False
) -> dict[str, Any]:
    """One finding in our words and the peer's, without the text that was found.

    Only a reviewer sees the correlation: beside a mask it tells whoever may guess whether a guess
    is right, and a check of a content is a guess.
    """
    shown = {
        "kind": finding.kind,
        "detector": finding.detector,
        "start": finding.start,
        "end": finding.end,
        "start_byte": finding.start_byte,
        "end_byte": finding.end_byte,
        "confidence": round(finding.confidence, 4),
        "masked": finding.masked,
        "correlation": finding.correlation if for_reviewer else "",
        "seen_in": list(finding.seen_in),
        "type": finding.kind,
        "severity": "",
        "detail": finding.masked,
        "scanner": finding.detector,
        "matched_pattern": finding.kind,
        "offset": finding.start,
        "length": finding.end - finding.start,
    }
    return {**shown, "context": context} if context else shown


def safety_object(check: OutputCheck, findings: Iterable[Finding] = ()) -> dict[str, Any]:
    """The `output_safety` block of a job."""
    return {
        "decision": check.verdict.value.upper(),
        "verdict": check.verdict.value,
        "code": check.code,
        "reason": check.reason,
        "rule_id": check.rule_id,
        "policy_snapshot": check.snapshot,
        "findings": [finding_object(each) for each in findings],
        "counts": dict(check.kinds),
        "redacted_ptr": "",
        "original_ptr": "",
        "checked_at": check.checked_at_us,
        "check_duration_ms": check.duration_us // 1_000,
        "phase": "sync",
    }


def released_answer(job: Job) -> dict[str, Any]:
    """The body of the answer to a release or a discard."""
    check = job.output
    assert check is not None
    return {
        "job_id": job.id,
        "state": job.state.value,
        "output_decision": check.resolution.upper(),
        "released_by": check.resolved_by,
        "released_at": iso_time(check.resolved_at_us),
        "reason": check.resolution_reason,
    }


def withheld_object(job: Job) -> dict[str, Any]:
    """One entry of the list of withheld results."""
    check = job.output
    assert check is not None
    return {
        "job_id": job.id,
        "id": job.id,
        "topic": job.topic,
        "tenant": job.tenant,
        "state": job.state.value,
        "principal": job.principal,
        "worker_id": job.lease.worker if job.lease else "",
        "verdict": check.verdict.value,
        "code": check.code,
        "rule_id": check.rule_id,
        "reason": check.reason,
        "counts": dict(check.kinds),
        "size_bytes": check.original_bytes,
        "checked_at": iso_time(check.checked_at_us),
        "resolution": check.resolution,
        "resolved_by": check.resolved_by,
    }


def inspected_object(seen: QuarantinePreview, *, for_reviewer: bool) -> dict[str, Any]:
    """The check of one job's result. The result itself is included only once it is released."""
    job, check = seen.job, seen.job.output
    withheld = job.state is JobState.OUTPUT_QUARANTINED
    body: dict[str, Any] = {
        "job_id": job.id,
        "state": job.state.value,
        "output_decision": check.verdict.value.upper() if check else "",
        "verdict": check.verdict.value if check else "",
        "findings": [
            finding_object(each.finding, each.context, for_reviewer=for_reviewer)
            for each in seen.findings
        ],
        "original_kept": seen.sealed,
        "result": None if withheld or seen.result is None else msgspec.Raw(seen.result),
        "result_digest": job.result_digest,
    }
    if check is not None:
        body |= {
            "code": check.code,
            "rule_id": check.rule_id,
            "reason": check.reason,
            "policy_snapshot": check.snapshot,
            "counts": dict(check.kinds),
            "size_bytes": check.original_bytes,
            "original_digest": check.original_digest,
            "checked_at": iso_time(check.checked_at_us),
            "resolution": check.resolution,
            "resolved_by": check.resolved_by,
            "resolved_at": iso_time(check.resolved_at_us) if check.resolved_at_us else "",
            "resolution_reason": check.resolution_reason,
        }
    return body


def checked_object(checked: CheckedContent, *, is_json: bool, limit: int) -> dict[str, Any]:
    """The body of the answer to POST /output/check. `content` and `result` hold what may be
    released."""
    check, released = checked.check, checked.released
    body: dict[str, Any] = {
        "verdict": check.verdict.value,
        "decision": check.verdict.value.upper(),
        "code": check.code,
        "rule_id": check.rule_id,
        "reason": check.reason,
        "policy_snapshot": check.snapshot,
        "counts": dict(check.kinds),
        "findings": [finding_object(each) for each in checked.findings[:limit]],
        "findings_total": len(checked.findings),
        "checked_at": iso_time(check.checked_at_us),
    }
    if is_json:
        body["result"] = msgspec.Raw(released) if released is not None else None
    else:
        body["content"] = released.decode() if released is not None else None
    return body


def rule_objects(policies: Sequence[Policy], *, tenant: str) -> list[dict[str, Any]]:
    """Every output rule in force that is not only for other tenants, in the order of the layers."""
    return [
        _rule_object(policy, rule)
        for policy in policies
        for rule in policy.output_rules
        if not rule.match.tenants or compile_globs(rule.match.tenants)(tenant)
    ]


def stats_object(counts: OutputCounts, *, last_us: int, since_us: int) -> dict[str, Any]:
    """The verdicts on the results of a day. `since` says when counting began."""
    stats: dict[str, Any] = {
        "total_checks_24h": counts.total,
        "allowed_24h": counts.allowed,
        "redacted_24h": counts.redacted,
        "quarantined_24h": counts.quarantined,
        "avg_latency_ms": round(counts.spent_us / max(1, counts.total) / 1_000, 3),
        "since": iso_time(since_us),
    }
    if last_us:
        stats["last_check_at"] = iso_time(last_us)
    return stats


def _rule_object(policy: Policy, rule: OutputRule) -> dict[str, Any]:
    content = rule.match.content
    return {
        "id": rule.id,
        "description": rule.reason,
        "topics": list(rule.match.topics),
        "scanners": list(content.detectors) if content else [],
        "detectors": list(content.detectors) if content else [],
        "patterns": list(content.patterns) if content else [],
        "decision": rule.verdict.value,
        "severity": rule.severity,
        "owner": rule.owner,
        "reason": rule.reason,
        "enabled": True,
        "match": msgspec.to_builtins(rule.match),
        "unless": msgspec.to_builtins(rule.unless) if rule.unless is not None else {},
        "source": {"fragment_id": policy.name, "tier": "global", "line": rule.line},
    }
