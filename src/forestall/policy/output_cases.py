"""Judge the result of a test case exactly as the plane judges a result."""

import msgspec

from forestall.output.findings import Detector
from forestall.output.scan import scan
from forestall.policy.output_verdict import content_type_of, detectors_for, judge
from forestall.policy.rules import OutputTest, Verdict
from forestall.policy.snapshot import Snapshot
from forestall.policy.testing import CASES_AT, request_of


def judge_case(
    snapshot: Snapshot, case: OutputTest, switched_on: tuple[Detector, ...] = ()
) -> tuple[Verdict, str]:
    """The verdict on the result of a case, and the rule that gave it; empty for the default."""
    content = msgspec.json.encode(case.result)
    ruling = judge(
        snapshot,
        request_of(case.request),
        scan(content, detectors=detectors_for(snapshot, switched_on=switched_on)),
        content_type=content_type_of(case.result),
        now=case.now or CASES_AT,
        switched_on=switched_on,
    )
    return ruling.verdict, ruling.rule_id
