"""The JSON of checked results: verdicts, withheld results, and contents that callers check."""

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
from forestall.wire.compat import iso_time, iso_time_or_none
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
    """What became of the results of a day; `since` says when counting began. `last_check_at` is the
    same instant until something was checked: published clients want a time there."""

    total_checks_24h: int
    allowed_24h: int
    redacted_24h: int
    quarantined_24h: int
    avg_latency_ms: float
    since: str
    last_check_at: str


def decode_content(body: bytes, *, tenant: str, principal: str) -> tuple[Request, bytes, bool]:
    """The request that the content belongs to, its bytes, and whether the bytes are JSON. Raises
    InvalidRequestError."""
    check = decode_struct(body, CheckBody)
    if (check.content is None) == (check.result is msgspec.UNSET):
        raise InvalidRequestError("send either `content`, a text, or `result`, any JSON value")
    if len(check.topic) > TOPIC_CHARS_MAX or len(check.capability) > NAME_CHARS_MAX:
        raise InvalidRequestError("`topic` or `capability` is too long")
    request = Request(
        topic=check.topic,
        tenant=tenant,
        capability=check.capability,
        actor_id=principal,
        principal=principal,
        labels=check.labels,
    )
    if check.content is not None:
        return request, check.content.encode(), False
    return request, msgspec.json.encode(check.result), True


_MASK = "*" * 8


def finding_object(
    finding: Finding, context: str = "", *, for_reviewer: bool = False
) -> FindingObject:
    """One finding in our words and the peer's, without the text that was found.

    Only a reviewer sees the correlation, and the mask with characters of the value. Whoever guesses
    values would learn from the correlation whether a guess is right, and would have fewer guesses
    to make with the mask.
    """
    mask = finding.masked if for_reviewer else _MASK
    return FindingObject.of(
        finding,
        confidence=round(finding.confidence, 4),
        masked=mask,
        correlation=finding.correlation if for_reviewer else "",
        type=finding.kind,
        severity="",
        detail=mask,
        scanner=finding.detector,
        matched_pattern=finding.kind,
        offset=finding.start,
        length=finding.end - finding.start,
        context=context or UNSET,
    )


def safety_object(check: OutputCheck, findings: Iterable[Finding] = ()) -> SafetyObject:
    """The `output_safety` block of a job."""
    return SafetyObject.of(
        check,
        decision=check.verdict.value.upper(),
        policy_snapshot=check.snapshot,
        findings=list(map(finding_object, findings)),
        counts=dict(check.kinds),
        redacted_ptr="",
        original_ptr="",
        checked_at=check.checked_at_us,
        check_duration_ms=check.duration_us // 1_000,
        phase="sync",
    )


def released_object(job: Job) -> ReleasedObject:
    """The body of the answer to a release or a discard."""
    check = job.output
    assert check is not None
    return ReleasedObject(
        job_id=job.id,
        state=job.state,
        output_decision=check.resolution.upper(),
        released_by=check.resolved_by,
        released_at=iso_time(check.resolved_at_us),
        reason=check.resolution_reason,
    )


def withheld_object(job: Job) -> WithheldObject:
    """One entry of the list of withheld results."""
    check = job.output
    assert check is not None
    return WithheldObject.of(
        job,
        check,
        job_id=job.id,
        worker_id=job.lease.worker if job.lease else "",
        counts=dict(check.kinds),
        size_bytes=check.original_bytes,
        checked_at=iso_time(check.checked_at_us),
    )


def inspected_object(preview: QuarantinePreview, *, for_reviewer: bool) -> InspectedObject:
    """The check of one job's result. The result itself is included only once it is released."""
    job, check = preview.job, preview.job.output
    withheld = job.state is JobState.OUTPUT_QUARANTINED
    result = None if withheld or preview.result is None else msgspec.Raw(preview.result)
    fields: dict[str, Any] = {"output_decision": "", "verdict": ""}
    if check is not None:
        fields = {
            "output_decision": check.verdict.value.upper(),
            "policy_snapshot": check.snapshot,
            "counts": dict(check.kinds),
            "size_bytes": check.original_bytes,
            "checked_at": iso_time(check.checked_at_us),
            "resolved_at": iso_time_or_none(check.resolved_at_us),
        }
    return InspectedObject.of(
        *((check,) if check is not None else ()),
        job_id=job.id,
        state=job.state,
        findings=[
            finding_object(shown.finding, shown.context, for_reviewer=for_reviewer)
            for shown in preview.findings
        ],
        original_kept=preview.sealed,
        result=result,
        result_digest=job.result_digest,
        **fields,
    )


def checked_object(checked: CheckedContent, *, is_json: bool, limit: int) -> CheckedObject:
    """The body of the answer to POST /output/check, with at most `limit` findings."""
    check = checked.check
    released: Any = None
    if checked.released is not None:
        released = msgspec.Raw(checked.released) if is_json else checked.released.decode()
    return CheckedObject.of(
        check,
        decision=check.verdict.value.upper(),
        policy_snapshot=check.snapshot,
        counts=dict(check.kinds),
        findings=list(map(finding_object, checked.findings[:limit])),
        findings_total=len(checked.findings),
        checked_at=iso_time(check.checked_at_us),
        **{"result" if is_json else "content": released},
    )


def rule_objects(policies: Sequence[Policy], *, tenant: str) -> list[OutputRuleObject]:
    """Every output rule in force that is not only for other tenants, in the order of the layers."""
    return [
        _rule_object(policy, rule)
        for policy in policies
        for rule in policy.output_rules
        if not rule.match.tenants or compile_globs(rule.match.tenants)(tenant)
    ]


def _rule_object(policy: Policy, rule: OutputRule) -> OutputRuleObject:
    content = rule.match.content
    detectors = content.detectors if content else ()
    return OutputRuleObject.of(
        rule,
        description=rule.reason,
        topics=rule.match.topics,
        scanners=detectors,
        detectors=detectors,
        patterns=content.patterns if content else (),
        decision=rule.verdict,
        enabled=True,
        unless=rule.unless if rule.unless is not None else {},
        source=RuleSource(fragment_id=policy.name, tier="global", line=rule.line),
    )


def stats_object(counts: OutputCounts, *, last_us: int, since_us: int) -> OutputStatsObject:
    """The verdicts on the results of a day, in which counting began at `since_us`."""
    return OutputStatsObject(
        total_checks_24h=counts.total,
        allowed_24h=counts.allowed,
        redacted_24h=counts.redacted,
        quarantined_24h=counts.quarantined,
        avg_latency_ms=round(counts.spent_us / max(1, counts.total) / 1_000, 3),
        since=iso_time(since_us),
        last_check_at=iso_time(last_us or since_us),
    )
