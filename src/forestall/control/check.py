"""Answer a caller that enforces the decision itself (a guard, a proxy): decide and record.

Unlike simulate this is a gate: the answer binds, so it is durable before it is given.
"""

import msgspec

from forestall.control.admission import admitted
from forestall.control.gate import PayloadInfo, count, decide
from forestall.control.plane import Plane
from forestall.control.records import SALT_BYTES, action_checked
from forestall.identity.credentials import Subject
from forestall.jobs.job import Stage, Submission, decision_record, job_hash
from forestall.policy.rules import Decision
from forestall.ports.change import Change


class CheckResult(msgspec.Struct, frozen=True):
    """A decision, the hash of the action that it decides, and its instant (µs since the epoch)."""

    decision: Decision
    job_hash: str
    at_us: int


async def check(plane: Plane, subject: Subject, submission: Submission) -> CheckResult:
    """Decide one action and make its record durable. Raises PolicyUnavailableError,
    InspectionBusyError, StoreUnavailableError, and what `admitted` raises."""
    # load
    submission = admitted(plane, subject.tenant, submission)
    now_us = plane.clock.now_us()
    request = submission.request(tenant=subject.tenant, principal=subject.principal)
    hash_text = job_hash(submission, tenant=subject.tenant, principal=subject.principal)
    asked = PayloadInfo(len(submission.payload), subject.key_id)
    # decide
    gated = await decide(plane, request, stage=Stage.CHECK, now_us=now_us, asked=asked)
    decision = gated.decision
    record = decision_record(decision, stage=Stage.CHECK, job_hash=hash_text, now_us=now_us)
    salt = plane.random.token(SALT_BYTES)
    # commit
    await plane.commit(Change(records=(action_checked(request, record, subject, salt),)))
    # announce
    count(plane, decision, request, stage=Stage.CHECK)
    return CheckResult(decision, hash_text, now_us)
