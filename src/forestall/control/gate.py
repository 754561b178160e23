"""The gate: the plane's only caller of the evaluator, so no two checks can drift apart.

The gate is fail closed: without a snapshot there is no decision, only PolicyUnavailableError. An
outage is never reported, recorded or counted as a denial (control 6).
"""

from typing import NamedTuple

from forestall.control.plane import Plane, instant
from forestall.errors import UnavailableError
from forestall.jobs.job import Stage, stored_job_hash
from forestall.jobs.transitions import tightened
from forestall.limits import INSPECT_INLINE_BYTES_MAX
from forestall.policy.cache import cache_key
from forestall.policy.compile import Snapshot
from forestall.policy.evaluator import evaluate
from forestall.policy.explainer import explain
from forestall.policy.explanation import Explanation
from forestall.policy.request import Request
from forestall.policy.rules import Decision, Effect
from forestall.ports.store import JobView


class PolicyUnavailableError(UnavailableError):
    """No decision can be had now. Nothing runs; ask again after `Retry-After` seconds."""

    code, http_status = "policy_unavailable", 503


def snapshot_in_force(plane: Plane) -> Snapshot:
    """The policy in force. Raises PolicyUnavailableError when there is none."""
    if plane.snapshot is None:
        raise PolicyUnavailableError("no policy is in force; try again shortly", retry_after_s=5)
    return plane.snapshot


class PayloadInfo(NamedTuple):
    """How long the payload is, and whose key it came with: what decides where we look into it."""

    size_bytes: int
    key_id: str


class GateResult(NamedTuple):
    """A decision, and the throttle rules that counted this action and let it pass."""

    decision: Decision
    passed: tuple[str, ...]


async def decide(
    plane: Plane,
    request: Request,
    *,
    stage: Stage,
    now_us: int,
    asked: PayloadInfo,
    passed: tuple[str, ...] = (),
) -> GateResult:
    """The decision of a gate. Raises PolicyUnavailableError when there is no policy, and
    InspectionBusyError.

    `passed` are the throttle rules that counted the action at an earlier gate: none counts it
    twice. The caller makes the decision durable before it acts on it, and counts it then.
    """
    try:
        return await _decide(
            plane, request, now_us=now_us, asked=asked, counting=True, passed=passed
        )
    except UnavailableError:
        plane.telemetry.unavailable(stage.value, request.topic)
        raise


async def _decide(
    plane: Plane,
    request: Request,
    *,
    now_us: int,
    asked: PayloadInfo,
    counting: bool,
    passed: tuple[str, ...] = (),
) -> GateResult:
    """Evaluate; while a throttle rule decides whose limit is not reached, lift it and ask again."""
    lifted = frozenset(passed)
    while True:
        snapshot = snapshot_in_force(plane)
        decision = await _evaluated(
            plane, snapshot, request, now_us=now_us, lifted=lifted, asked=asked
        )
        if plane.snapshot is not snapshot:
            continue  # another policy came into force while we looked
        if decision.decision is not Effect.THROTTLE or not plane.throttles.admits(
            decision, request, now_us=now_us, count=counting
        ):
            return GateResult(decision, tuple(sorted(lifted)) if lifted else ())
        lifted |= {decision.rule_id}


async def _evaluated(
    plane: Plane,
    snapshot: Snapshot,
    request: Request,
    *,
    now_us: int,
    lifted: frozenset[str],
    asked: PayloadInfo,
) -> Decision:
    now = instant(now_us)
    if asked.size_bytes <= INSPECT_INLINE_BYTES_MAX or not snapshot.reads.payload_of(request.topic):
        return plane.cache.evaluate(snapshot, request, now=now, now_us=now_us, lifted=lifted)
    key = cache_key(snapshot, request, now_us=now_us, lifted=lifted)
    known = plane.cache.get(key, now_us=now_us)
    if known is not None:
        return known
    decision = await plane.inspections.run(
        lambda: evaluate(snapshot, request, now=now, lifted=lifted), key_id=asked.key_id
    )
    plane.cache.keep(key, decision, now_us=now_us)
    return decision


def tightened_by(plane: Plane, view: JobView, decision: Decision) -> Decision:
    """The decision on a stored job, unless something that no rule reads forbids the job.

    Dispatch and repair ask here; a vote finds the same as drift.
    """
    job, key = view.job, plane.keys.by_id(view.job.key_id)
    return tightened(
        decision,
        submitter_revoked=key is None or key.revoked_at_us is not None,
        changed=stored_job_hash(job, view.payload) != job.job_hash,
    )


def count(plane: Plane, decision: Decision, request: Request, *, stage: Stage) -> None:
    """Count a decision whose record is durable."""
    plane.telemetry.decided(stage.value, decision.decision.value, request.topic, decision.code)


async def rehearse(plane: Plane, request: Request, *, asked: PayloadInfo) -> Decision:
    """The decision that a gate would give, leaving no trace (simulate, control 10)."""
    now_us = plane.clock.now_us()
    return (await _decide(plane, request, now_us=now_us, asked=asked, counting=False)).decision


async def rehearse_explained(plane: Plane, request: Request, *, asked: PayloadInfo) -> Explanation:
    """The decision with its reasons, from the same evaluator; throttle limits count as reached."""
    snapshot, now = snapshot_in_force(plane), instant(plane.clock.now_us())
    if asked.size_bytes <= INSPECT_INLINE_BYTES_MAX:
        return explain(snapshot, request, now=now, own_only=True)
    return await plane.inspections.run(
        lambda: explain(snapshot, request, now=now, own_only=True), key_id=asked.key_id
    )
