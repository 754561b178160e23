"""Answer a caller that enforces the decision itself (a guard, a proxy): decide and record.

Unlike simulate this is a gate: the answer binds, so it is durable before it is given.
"""

import asyncio
from typing import NamedTuple

import msgspec

from forestall.control.admission import admitted
from forestall.control.agent_layer import agent_unchanged
from forestall.control.gate import PayloadInfo, count, decide
from forestall.control.plane import Plane
from forestall.control.records import action_checked
from forestall.identity.credentials import Subject
from forestall.jobs.job import Stage, Submission, decision_record, job_hash
from forestall.policy.request import Request
from forestall.policy.rules import Decision
from forestall.ports.change import Change
from forestall.ports.store import PreconditionFailedError

_TRIES = 8  # the agent that asks is changed at the same instant


class CheckResult(msgspec.Struct, frozen=True):
    """A decision, the hash of the action that it decides, and its instant (µs since the epoch)."""

    decision: Decision
    job_hash: str
    at_us: int


class AdmittedAction(NamedTuple):
    """An action that the registry admits, as a gate decides it."""

    request: Request
    job_hash: str
    payload: PayloadInfo


def admitted_action(plane: Plane, subject: Subject, submission: Submission) -> AdmittedAction:
    """The action of a submission that is decided and not queued. Raises what `admitted` raises."""
    submission = admitted(plane, subject.tenant, submission)
    who = {"tenant": subject.tenant, "principal": subject.principal}
    payload = PayloadInfo(len(submission.payload), subject.key_id, subject.agent_id)
    return AdmittedAction(submission.request(**who), job_hash(submission, **who), payload)


async def check(plane: Plane, subject: Subject, submission: Submission) -> CheckResult:
    """Decide one action and make its record durable: for an agent, with the rights that it has at
    that instant of the log. Raises PolicyUnavailableError,
    InspectionBusyError, StoreUnavailableError, and what `admitted` raises."""
    passed: tuple[str, ...] = ()
    for attempt in range(_TRIES):
        # load
        action = admitted_action(plane, subject, submission)
        request, now_us = action.request, plane.clock.now_us()
        # decide
        gate_result = await decide(
            plane,
            request,
            stage=Stage.CHECK,
            now_us=now_us,
            payload=action.payload,
            passed=passed,
        )
        decision, passed = gate_result.decision, gate_result.passed
        record = decision_record(
            decision,
            gate_result.grounds,
            stage=Stage.CHECK,
            job_hash=action.job_hash,
            now_us=now_us,
        )
        # commit: no other gate follows, so the agent must be as it was when the gate decided
        expect = agent_unchanged(plane, subject.key_id)
        checked = action_checked(plane, request, record, subject)
        try:
            await plane.commit(Change(expect=expect, records=(checked,)))
        except PreconditionFailedError:
            if attempt == _TRIES - 1:
                raise
            await asyncio.sleep(0)  # the change of the agent has to reach memory
            continue
        # announce
        count(plane, decision, request, stage=Stage.CHECK)
        return CheckResult(decision, action.job_hash, now_us)
    raise AssertionError("unreachable")
