"""Scan one content, judge what was found, and make the copy that may be released.

Total: every failure withholds the content. That is a scan that is incomplete, takes too long or
raises, no policy in force, and a copy that cannot be made clean. The work runs in a thread for a
bounded time. Nothing is committed or read from the store here. The theory is in
`docs/internals/output-scan.md`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import combinations

import msgspec

from forestall.control.plane import Plane, instant
from forestall.limits import PAIRED_TEXTS_MAX, SCAN_DECODED_BYTES_MAX, SCAN_FINDINGS_MAX
from forestall.output.clean import clean_copy
from forestall.output.detectors import DETECTORS
from forestall.output.findings import Detector, Finding, Scan, ScanBudget
from forestall.output.joined import joined_findings, texts_of
from forestall.output.scan import scan
from forestall.policy.output_verdict import ALWAYS_REMOVED, OutputRuling, detectors_for, judge
from forestall.policy.request import Request
from forestall.policy.rules import Verdict
from forestall.policy.snapshot import Snapshot

# What people see between two texts: nothing, or the colon between a code and its message.
_GLUES = ("", ": ")
_UNCLEAN_WHEN_JOINED = "two texts of the result hold together what neither holds alone"


class ScanResult(msgspec.Struct, frozen=True, kw_only=True):
    """The ruling on one scanned content."""

    ruling: OutputRuling
    released: bytes | None  # the content, or its redacted copy; None: nothing may be read
    findings: tuple[Finding, ...] = ()  # in the original content
    unclean_when_joined: bool = False  # no copy is clean: see `docs/internals/output-scan.md`
    duration_us: int = 0  # of the scan, the wait for a thread included


def withheld(code: str, reason: str, findings: tuple[Finding, ...] = ()) -> ScanResult:
    """The quarantine of a content, with the code and the reason of its ruling."""
    return ScanResult(ruling=_quarantine(code, reason), released=None, findings=findings)


def _quarantine(code: str, reason: str) -> OutputRuling:
    return OutputRuling(verdict=Verdict.QUARANTINE, code=code, reason=reason)


class _OutputPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What a content is judged by: a snapshot, asked about one request at one instant."""

    snapshot: Snapshot
    request: Request
    redaction_level: str  # of the lease; empty: none
    switched_on: tuple[Detector, ...]  # the detectors that a server setting adds
    now: datetime

    def detectors(self) -> tuple[Detector, ...]:
        """The detectors that the snapshot needs."""
        return detectors_for(self.snapshot, self.redaction_level, self.switched_on)

    def ruling(self, scanned: Scan, content_type: str) -> OutputRuling:
        """The verdict on a scan, with its reasons."""
        return judge(
            self.snapshot,
            self.request,
            scanned,
            content_type=content_type,
            now=self.now,
            redaction_level=self.redaction_level,
            switched_on=self.switched_on,
        )


def _output_policy(
    plane: Plane, snapshot: Snapshot, request: Request, redaction_level: str, *, now_us: int
) -> _OutputPolicy:
    return _OutputPolicy(
        snapshot=snapshot,
        request=request,
        redaction_level=redaction_level,
        switched_on=plane.output.switched_on,
        now=instant(now_us),
    )


async def scan_and_judge(
    plane: Plane,
    snapshot: Snapshot | None,
    request: Request,
    content: bytes,
    *,
    redaction_level: str = "",
    is_json: bool = False,
    job_id: str = "",
) -> ScanResult:
    """Scan and judge a content under a snapshot.

    `redaction_level` is that of the lease. Findings are correlated within the result of the job
    `job_id`; without a job they are not correlated. Raises ScannerBusyError.
    """
    began_us = plane.clock.now_us()
    if snapshot is None:
        return withheld("policy_unavailable", "no policy is in force")
    key = plane.output.correlation_key(request.tenant, job_id) if job_id else b""
    policy = _output_policy(plane, snapshot, request, redaction_level, now_us=began_us)

    def work(expired: Callable[[], bool]) -> ScanResult:
        return _scan_and_judge(content, policy, is_json=is_json, key=key, expired=expired)

    try:
        result = await plane.output.run(work, size_bytes=len(content), snapshot=snapshot.digest)
    except TimeoutError:
        result = withheld("scan_timeout", "the result could not be looked at in time")
    duration_us = max(0, plane.clock.now_us() - began_us)
    return msgspec.structs.replace(result, duration_us=duration_us)


def _scan_and_judge(
    content: bytes,
    policy: _OutputPolicy,
    *,
    is_json: bool,
    key: bytes,
    expired: Callable[[], bool],
) -> ScanResult:
    """Scan, judge, and make the copy. Total: every failure quarantines."""
    try:
        detectors = policy.detectors()
        budget = _scan_budget(expired)
        scanned = scan(content, detectors=detectors, key=key, budget=budget)
        findings = scanned.findings
        ruling = policy.ruling(scanned, _content_type(content, is_json=is_json))
        unclean = is_json and not _is_clean_when_joined(policy, texts_of(content), budget=budget)
        if unclean and ruling.verdict is not Verdict.QUARANTINE:
            ruling = _quarantine("joined_texts", _UNCLEAN_WHEN_JOINED)
        if ruling.verdict is Verdict.QUARANTINE:
            return ScanResult(
                ruling=ruling, released=None, findings=findings, unclean_when_joined=unclean
            )
        if ruling.verdict is Verdict.ALLOW:
            return ScanResult(ruling=ruling, released=content, findings=findings)
        removed = {id(finding) for finding in ruling.remove}
        copy = clean_copy(
            content,
            ruling.remove,
            detectors=detectors,
            left=[finding for finding in findings if id(finding) not in removed],
            budget=budget,
            is_json=is_json,
        )
        if copy is None:
            return withheld("redaction_failed", "no copy could be made that is clean", findings)
        return ScanResult(ruling=ruling, released=copy, findings=findings)
    except Exception as error:  # noqa: BLE001 - whatever fails here must quarantine, never pass
        # Name the type alone: the message of the exception may hold part of the result.
        return withheld("scan_failed", f"the result could not be looked at: {type(error).__name__}")


def _scan_budget(expired: Callable[[], bool]) -> ScanBudget:
    return ScanBudget(
        findings_max=SCAN_FINDINGS_MAX, decoded_bytes_max=SCAN_DECODED_BYTES_MAX, expired=expired
    )


def _content_type(content: bytes, *, is_json: bool) -> str:
    """As rules see it: a JSON text is a text."""
    return "application/json" if is_json and content[:1] != b'"' else "text/plain"


async def may_stand_together(
    plane: Plane,
    snapshot: Snapshot | None,
    request: Request,
    texts: Sequence[str],
    *,
    redaction_level: str = "",
) -> bool:
    """Whether people may see these texts side by side; no without a snapshot, or when the scan
    takes too long. Raises ScannerBusyError."""
    if snapshot is None:
        return False
    now_us = plane.clock.now_us()
    policy = _output_policy(plane, snapshot, request, redaction_level, now_us=now_us)
    # Many texts are a list, which people see in its order or sorted, and not two by two.
    few = len(texts) <= PAIRED_TEXTS_MAX
    groups = [texts, *(combinations(texts, 2) if few else [sorted(texts)])]

    def work(expired: Callable[[], bool]) -> bool:
        budget = _scan_budget(expired)
        return all(
            _is_clean_when_joined(policy, groups, budget=budget, glue=glue) for glue in _GLUES
        )

    size_bytes = sum(map(len, texts))
    try:
        return await plane.output.run(work, size_bytes=size_bytes, snapshot=snapshot.digest)
    except TimeoutError:
        return False


def _is_clean_when_joined(
    policy: _OutputPolicy, groups: Sequence[Sequence[str]], *, budget: ScanBudget, glue: str = ""
) -> bool:
    """Whether the rules let everything stay that is found in two texts together and in neither
    alone.

    Only credentials are looked for, and what the policy's own detectors find: where two texts
    touch, too much looks like personal data.
    """
    detectors = [
        detector
        for detector in policy.detectors()
        if detector.reader is None
        and (detector.name in ALWAYS_REMOVED or detector.name not in DETECTORS)
    ]
    joined = joined_findings(groups, detectors=detectors, budget=budget, glue=glue)
    if joined is None or (joined.complete and not joined.findings):
        return True
    return policy.ruling(joined, "text/plain").verdict is Verdict.ALLOW
