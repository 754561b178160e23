"""Simulate and explain a decision of the gates; nothing is counted or recorded (control 10)."""

import msgspec

from forestall.control.check import CheckResult, admitted_action
from forestall.control.gate import rehearse, rehearse_explained
from forestall.control.keys import agent_of_tenant
from forestall.control.plane import Plane
from forestall.errors import ForbiddenError
from forestall.identity.credentials import Subject
from forestall.identity.roles import Permission
from forestall.jobs.job import Submission
from forestall.policy.explanation import Explanation


def asker_of(plane: Plane, subject: Subject, agent_id: str) -> Subject:
    """Whom a rehearsal is for: the subject, or an agent of its tenant, which needs `agents.read`.
    Raises ForbiddenError, AgentNotFoundError."""
    if not agent_id:
        return subject
    if not subject.may(Permission.AGENTS_READ):
        raise ForbiddenError(
            f"the role `{subject.role}` may not rehearse for an agent; it needs"
            f" `{Permission.AGENTS_READ}`",
            details={"required": Permission.AGENTS_READ.value, "role": subject.role.value},
        )
    agent = agent_of_tenant(plane, subject.tenant, agent_id)
    return msgspec.structs.replace(subject, principal=agent.name, agent_id=agent.id)


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
