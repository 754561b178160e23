"""Simulate and explain a decision of the gates; nothing is counted or recorded (control 10)."""

from forestall.control.check import CheckResult, admitted_action
from forestall.control.gate import rehearse, rehearse_explained
from forestall.control.plane import Plane
from forestall.identity.credentials import Subject
from forestall.jobs.job import Submission
from forestall.policy.explanation import Explanation


async def simulate(plane: Plane, subject: Subject, submission: Submission) -> CheckResult:
    """The decision that the submit gate would give now."""
    action = admitted_action(plane, subject, submission)
    gate_result = await rehearse(plane, action.request, payload=action.payload)
    return CheckResult(gate_result.decision, action.job_hash, plane.clock.now_us())


async def explain(
    plane: Plane, subject: Subject, submission: Submission
) -> tuple[CheckResult, Explanation]:
    """The decision with its reasons: which rules match, and why the nearest others do not."""
    action = admitted_action(plane, subject, submission)
    explanation = await rehearse_explained(plane, action.request, payload=action.payload)
    return CheckResult(explanation.decision, action.job_hash, plane.clock.now_us()), explanation
