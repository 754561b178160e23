"""The gate: the plane's only caller of the evaluator, so no two checks can drift apart.

Fails closed: without a snapshot there is no decision, only PolicyUnavailableError. An outage is
never reported, recorded or counted as a denial (control 6).
"""

from typing import NamedTuple

from forestall.control.plane import Plane, instant
from forestall.errors import UnavailableError
from forestall.jobs.job import Stage
from forestall.policy.compile import Snapshot
from forestall.policy.explain import Explanation, explain
from forestall.policy.request import Request
from forestall.policy.rules import Decision, Effect


class PolicyUnavailableError(UnavailableError):
    """No decision can be had now. Nothing runs; ask again after `Retry-After` seconds."""

    code, http_status = "policy_unavailable", 503


def snapshot_in_force(plane: Plane) -> Snapshot:
    """The policy in force. Raises PolicyUnavailableError when there is none."""
    if plane.snapshot is None:
        raise PolicyUnavailableError("no policy is in force; try again shortly", retry_after_s=5)
    return plane.snapshot


class Gated(NamedTuple):
    """A decision, and the throttle rules that counted this action and let it pass."""

    decision: Decision
    passed: tuple[str, ...]


def decide(
    plane: Plane, request: Request, *, stage: Stage, now_us: int, passed: tuple[str, ...] = ()
) -> Gated:
    """The decision of a gate. Raises PolicyUnavailableError when there is no policy.

    `passed` are the throttle rules that counted the action at an earlier gate: none counts it
    twice. The caller makes the decision durable before it acts on it, and counts it then.
    """
    try:
        snapshot = snapshot_in_force(plane)
    except PolicyUnavailableError:
        plane.telemetry.unavailable(stage.value, request.topic)
        raise
    return _decide(plane, snapshot, request, now_us=now_us, counting=True, passed=passed)


def _decide(
    plane: Plane,
    snapshot: Snapshot,
    request: Request,
    *,
    now_us: int,
    counting: bool,
    passed: tuple[str, ...] = (),
) -> Gated:
    """Evaluate; while a throttle rule decides whose limit is not reached, lift it and ask again."""
    lifted = frozenset(passed)
    while True:
        decision = plane.cache.evaluate(
            snapshot, request, now=instant(now_us), now_us=now_us, lifted=lifted
        )
        if decision.decision is not Effect.THROTTLE or not plane.throttles.admits(
            decision, request, now_us=now_us, count=counting
        ):
            return Gated(decision, tuple(sorted(lifted)) if lifted else ())
        lifted |= {decision.rule_id}


def count(plane: Plane, decision: Decision, request: Request, *, stage: Stage) -> None:
    """Count a decision whose record is durable."""
    plane.telemetry.decided(stage.value, decision.decision.value, request.topic, decision.code)


def rehearse(plane: Plane, request: Request) -> Decision:
    """The decision that a gate would give, leaving no trace (simulate, control 10)."""
    snapshot, now_us = snapshot_in_force(plane), plane.clock.now_us()
    return _decide(plane, snapshot, request, now_us=now_us, counting=False).decision


def rehearse_explained(plane: Plane, request: Request) -> Explanation:
    """The decision with its reasons, from the same evaluator; throttle limits count as reached."""
    return explain(snapshot_in_force(plane), request, now=instant(plane.clock.now_us()))
