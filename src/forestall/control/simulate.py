"""Simulate and explain a decision of the gates; nothing is counted or recorded (control 10)."""

from forestall.control.admission import admitted
from forestall.control.check import CheckResult
from forestall.control.gate import PayloadInfo, rehearse, rehearse_explained
from forestall.control.plane import Plane
from forestall.identity.credentials import Subject
from forestall.jobs.job import Submission, job_hash
from forestall.policy.explanation import Explanation


async def simulate(plane: Plane, subject: Subject, submission: Submission) -> CheckResult:
    """The decision that the submit gate would give now."""
    submission = admitted(plane, subject.tenant, submission)
    request = submission.request(tenant=subject.tenant, principal=subject.principal)
    hash_text = job_hash(submission, tenant=subject.tenant, principal=subject.principal)
    asked = PayloadInfo(len(submission.payload), subject.key_id)
    decision = await rehearse(plane, request, asked=asked)
    return CheckResult(decision, hash_text, plane.clock.now_us())


async def explain(
    plane: Plane, subject: Subject, submission: Submission
) -> tuple[CheckResult, Explanation]:
    """The decision with its reasons: which rules match, and why the nearest others do not."""
    submission = admitted(plane, subject.tenant, submission)
    request = submission.request(tenant=subject.tenant, principal=subject.principal)
    hash_text = job_hash(submission, tenant=subject.tenant, principal=subject.principal)
    asked = PayloadInfo(len(submission.payload), subject.key_id)
    explanation = await rehearse_explained(plane, request, asked=asked)
    return CheckResult(explanation.decision, hash_text, plane.clock.now_us()), explanation
