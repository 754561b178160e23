"""The gate: the plane's only caller of the evaluator, so no two checks can drift apart.

Theory
======

The evaluator is a pure function of snapshot, request, instant and *lifted* throttle rules. Three
things that it cannot know are added here: which snapshot is in force, how often a throttle rule has
seen such an action, and on which thread the evaluation runs. Hence a loop:

1. Take the snapshot in force. The gate is fail closed: without one, PolicyUnavailableError, not an
   allow, and not a denial: an outage is never recorded or counted as one (control 6).
2. Evaluate. When a rule may look into this payload and the payload is long, a thread evaluates,
   so that nobody else waits (`offload.py`); else the event loop does, in one step.
3. Another snapshot came into force, or the agent that asks was changed, meanwhile: begin again. Its
   rules may say something else.
4. The key belongs to an agent that has ended, or that has no right to the action: it is denied,
   whatever the policy says (`control/agent_layer.py`). Nothing is counted.
5. The decision is not a throttle: it stands.
6. It is a throttle whose limit is reached: it stands.
7. The limit is not reached: the action is counted, the rule is lifted, and the loop begins again
   without that rule. Each round lifts one rule more or sees a newer snapshot or agent, so the loop
   ends.

Between step 3 and the return there is no await, and a caller that awaits `decide` resumes in the
same step of the event loop. So what `decide` returns was decided under the snapshot that is in
force when its caller goes on; `dispatch` relies on that. What happens later, until the commit, is
the caller's matter: a dispatch expects the policy to be unchanged in its own transaction
(`docs/internals/leases-and-doubt.md`); a submit need not, since its job meets the gate again.

Counting once
-------------

A counter is reserved in step 7, before the commit: two requests at once must not both take the last
place. The rules that counted an action are returned as `passed`. Submit and dispatch store them
with the job, and the next gate begins with them lifted, so a job is counted once for each rule,
however often it is decided. A rehearsal (simulate, a vote) asks whether the limit is reached and
counts nothing. Counters are of one process, begin anew with it, and are bounded: past the bound
every new counter is over its limit.

Cases that surprise
-------------------

* Lifting a rule can make the decision stricter. In a list the first matching rule speaks; with the
  throttle lifted, a later rule may deny. The action stays counted although it is denied.
* With two throttle rules the first may count an action that the second refuses. A counter that is
  too high throttles too early; one that is given back could let two pass for one.
* A throttle that deny or require_approval outranks counts nothing, not even for a job that people
  then approve: at its dispatch require_approval outranks the throttle again.
* When the snapshot changes in the middle, lifted rules stay lifted. A counter belongs to a rule id,
  so a rule of the same id in the new policy has counted the action; an id that is gone lifts none.
* A decision that a thread made under an ended snapshot is kept in the cache. Its key holds the
  digest of that snapshot, so no request under another one finds it.
* The instant is taken once, by the caller. A rule with hours decides on when the action was asked
  for, not on when a thread became free.
"""

from typing import NamedTuple

import msgspec

from forestall.control.agent_layer import (
    agent_id_of,
    ended_credential,
    limited,
    missing_right_reason,
)
from forestall.control.plane import Plane, instant
from forestall.errors import UnavailableError
from forestall.identity.agents import Agent
from forestall.identity.credentials import ApiKey, credential_labels
from forestall.identity.shares import Payer
from forestall.jobs.agent_rights import facts_digest, with_agent
from forestall.jobs.approval import Grounds
from forestall.jobs.job import Job, Stage, stored_job_hash
from forestall.jobs.transitions import TENANT_SUSPENDED, tightened, withdrawn
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
    """No policy is in force, so no decision can be made and nothing runs. Ask again after
    `Retry-After` seconds."""

    code, http_status = "policy_unavailable", 503


def snapshot_in_force(plane: Plane) -> Snapshot:
    """The policy in force. Raises PolicyUnavailableError when there is none."""
    if plane.snapshot is None:
        raise PolicyUnavailableError("no policy is in force; try again shortly", retry_after_s=5)
    return plane.snapshot


def vouched(plane: Plane, request: Request, key: ApiKey | None, agent: Agent | None) -> Request:
    """The request with what the plane vouches for: the labels of the key that it comes with, the
    agent that asks, and the pack and the risk tags of its registered topic. Everything else of the
    kind is a claim of the client (`policy.claims`)."""
    if agent is not None:
        request = with_agent(request, agent)
    if key is not None and (labels := credential_labels(key, request.labels)):
        request = msgspec.structs.replace(request, credential_labels=labels)
    registered = plane.registry.topics(request.tenant).get(request.topic)
    if registered is None:
        return request
    topic, attested = registered.value, dict(request.attested)
    if topic.pack_id:
        attested["pack_id"] = (topic.pack_id,)
    if topic.risk_tags:
        attested["risk_tags"] = topic.risk_tags
    return msgspec.structs.replace(request, attested=attested) if attested else request


class PayloadInfo(NamedTuple):
    """Size of the payload in bytes, and the id of the key that it came with. The size decides
    whether a thread evaluates; the key bounds how many such payloads may wait, and names the agent
    that asks. `as_agent`: the id of an agent to ask as instead, for a rehearsal."""

    size_bytes: int
    key_id: str
    as_agent: str = ""


def _asking_id(plane: Plane, payload: PayloadInfo) -> str:
    """The id of the agent that asks; empty when none does."""
    return payload.as_agent or agent_id_of(plane, payload.key_id)


def _asking_agent(plane: Plane, payload: PayloadInfo) -> Agent | None:
    agent_id = _asking_id(plane, payload)
    return plane.agents.by_id(agent_id) if agent_id else None


def _asking_key(plane: Plane, payload: PayloadInfo) -> ApiKey | None:
    """The key whose labels count: none where somebody rehearses for an agent that is another."""
    key = plane.keys.by_id(payload.key_id)
    is_own = key is not None and payload.as_agent in ("", key.agent_id)
    return key if is_own else None


class GateResult(NamedTuple):
    """A decision, the ids of the throttle rules that counted this action, sorted, and what the
    decision rests on beside request and snapshot."""

    decision: Decision
    passed: tuple[str, ...]
    grounds: Grounds


async def decide(
    plane: Plane,
    request: Request,
    *,
    stage: Stage,
    now_us: int,
    payload: PayloadInfo,
    passed: tuple[str, ...] = (),
) -> GateResult:
    """The decision of a gate. Raises PolicyUnavailableError when no policy is in force, and
    InspectionBusyError when too many long payloads wait; neither is a denial.

    `passed` are the ids of the throttle rules that counted the action at an earlier gate: no rule
    counts an action twice. The caller commits the decision before it acts on it, and counts it in
    the metrics (`count`) after that commit.
    """
    try:
        return await _decide(
            plane, request, now_us=now_us, payload=payload, counting=True, passed=passed
        )
    except UnavailableError:
        plane.telemetry.unavailable(stage.value, request.topic)
        raise


async def _decide(
    plane: Plane,
    request: Request,
    *,
    now_us: int,
    payload: PayloadInfo,
    counting: bool,
    passed: tuple[str, ...] = (),
) -> GateResult:
    """The loop of the module's docstring. `counting`: false for a rehearsal."""
    lifted = frozenset(passed)
    # Read with the topic's facts, in one step: the entries that are bound are those that were read.
    registry = plane.registry.bindings(request.tenant, request.topic)
    sent = request
    while True:
        snapshot, agent = snapshot_in_force(plane), _asking_agent(plane, payload)
        request = vouched(plane, sent, _asking_key(plane, payload), agent)
        decision = await _evaluated(
            plane, snapshot, request, now_us=now_us, lifted=lifted, payload=payload
        )
        if plane.snapshot is not snapshot or _asking_agent(plane, payload) is not agent:
            continue  # another policy or agent came into force while a thread evaluated
        decision = limited(plane, decision, request, _asking_id(plane, payload))
        if decision.decision is not Effect.THROTTLE or not plane.throttles.admits(
            decision, request, now_us=now_us, trust=snapshot.label_trust, count=counting
        ):
            asks = decision.decision is Effect.REQUIRE_APPROVAL
            rules = snapshot.approval_text(decision.matched_rules) if asks else ""
            grounds = Grounds(registry, rules, facts_digest(agent))
            return GateResult(decision, tuple(sorted(lifted)) if lifted else (), grounds)
        lifted |= {decision.rule_id}


async def _evaluated(
    plane: Plane,
    snapshot: Snapshot,
    request: Request,
    *,
    now_us: int,
    lifted: frozenset[str],
    payload: PayloadInfo,
) -> Decision:
    now = instant(now_us)
    if payload.size_bytes <= INSPECT_INLINE_BYTES_MAX or not snapshot.reads.payload_of(
        request.topic
    ):
        return plane.cache.evaluate(snapshot, request, now=now, now_us=now_us, lifted=lifted)
    key = cache_key(snapshot, request, now_us=now_us, lifted=lifted)
    cached = plane.cache.get(key, now_us=now_us)
    if cached is not None:
        return cached
    decision = await plane.inspections.run(
        lambda: evaluate(snapshot, request, now=now, lifted=lifted),
        payer=Payer(request.tenant, payload.key_id),
    )
    plane.cache.keep(key, decision, now_us=now_us)
    return decision


def tightened_by(plane: Plane, view: JobView, decision: Decision, *, now_us: int) -> Decision:
    """The decision on a stored job, or a denial for one of two facts that no rule reads: the
    submitter's key has ended, or the stored job no longer has the hash that was decided.

    Dispatch and repair call this; a vote reports the same two facts as drift.
    """
    job = view.job
    return tightened(
        decision,
        submitter_ended=submitter_ended(plane, job, now_us=now_us),
        changed=stored_job_hash(job, view.payload) != job.job_hash,
    )


def submitter_ended(plane: Plane, job: Job, *, now_us: int) -> str:
    """Why the submitter's key carries the job no longer, as a code; empty while it does."""
    return ended_credential(plane, job.key_id, now_us=now_us)


def lost_right(plane: Plane, job: Job) -> str:
    """The reason why the agent that submitted a job has no right to it any more; empty while it
    has. Reads memory only, so it is asked again when the decision of the gate may be out of
    date."""
    agent_id = agent_id_of(plane, job.key_id)
    return missing_right_reason(plane, job, tenant=job.tenant, agent_id=agent_id)


def ended_votes(plane: Plane, job: Job, *, now_us: int) -> frozenset[str]:
    """The keys that voted on the job and have ended since: their votes count no longer."""
    votes = job.approval.votes if job.approval is not None else ()
    return frozenset(
        vote.key_id for vote in votes if ended_credential(plane, vote.key_id, now_us=now_us)
    )


def withdrawal(plane: Plane, job: Job, *, now_us: int) -> str:
    """Why a job that runs must stop, because its tenant is suspended or a key that it rests on has
    ended; empty: it may go on."""
    if plane.tenants.is_suspended(job.tenant):
        return TENANT_SUSPENDED
    return withdrawn(
        job,
        submitter_ended=submitter_ended(plane, job, now_us=now_us),
        ended_votes=ended_votes(plane, job, now_us=now_us),
    )


def count(plane: Plane, decision: Decision, request: Request, *, stage: Stage) -> None:
    """Count a decision in the metrics. Call it after the commit of its record."""
    plane.telemetry.decided(stage.value, decision.decision.value, request.topic, decision.code)


async def rehearse(
    plane: Plane, request: Request, *, payload: PayloadInfo, passed: tuple[str, ...] = ()
) -> GateResult:
    """The decision that a gate would give; counts and records nothing (simulate, control 10).
    `passed`: see `decide`."""
    now_us = plane.clock.now_us()
    return await _decide(
        plane, request, now_us=now_us, payload=payload, counting=False, passed=passed
    )


async def rehearse_explained(
    plane: Plane, request: Request, *, payload: PayloadInfo
) -> Explanation:
    """The decision with its reasons, from the same evaluator. Every throttle limit counts as
    reached, so that the explanation shows the throttle rules that match."""
    snapshot, now = snapshot_in_force(plane), instant(plane.clock.now_us())
    key, agent = _asking_key(plane, payload), _asking_agent(plane, payload)
    request = vouched(plane, request, key, agent)
    if payload.size_bytes <= INSPECT_INLINE_BYTES_MAX:
        explanation = explain(snapshot, request, now=now, own_only=True)
    else:
        explanation = await plane.inspections.run(
            lambda: explain(snapshot, request, now=now, own_only=True),
            payer=Payer(request.tenant, payload.key_id),
        )
    decision = limited(plane, explanation.decision, request, _asking_id(plane, payload))
    if decision is explanation.decision:
        return explanation
    return msgspec.structs.replace(explanation, decision=decision, default_used=False)
