"""Build audit records. Values only; commits nothing.

A record that one verb alone writes is built in that verb, with `record_of`. `audit/kinds.py` lists
every kind with its fields, and the page for auditors is made from that list.
"""

from collections.abc import Mapping, Sequence

from forestall.audit.record import Record, Value
from forestall.control.plane import Plane
from forestall.identity.credentials import Subject
from forestall.jobs.job import DecisionRecord, Job, JobState, OutputCheck
from forestall.jobs.lifecycle import Event
from forestall.jobs.registry import RegistryBinding
from forestall.policy.compile import Snapshot
from forestall.policy.request import Request

SYSTEM_ACTOR = "system"
SALT_BYTES = 16


def record_of(
    plane: Plane,
    kind: str,
    *,
    tenant: str,
    actor: str,
    data: Mapping[str, Value],
    at_us: int | None = None,
    job_id: str = "",
    salt: bytes | None = None,
) -> Record:
    """The record of an event. `at_us`: None for now; `salt`: None for a fresh one."""
    return Record(
        kind=kind,
        at_us=plane.clock.now_us() if at_us is None else at_us,
        tenant=tenant,
        actor=actor,
        salt=(plane.random.token(SALT_BYTES) if salt is None else salt).hex(),
        job_id=job_id,
        data=data,
    )


def decided_data(decision: DecisionRecord, topic: str) -> dict[str, Value]:
    """The fields of a record that describe a decision."""
    return {
        "stage": decision.stage.value,
        "decision": decision.decision.value,
        "code": decision.code,
        "rule_id": decision.rule_id,
        "matched_rules": decision.matched_rules,
        "reason": decision.reason,
        "snapshot": decision.snapshot,
        "job_hash": decision.job_hash,
        "topic": topic,
        "facts": decision.facts,
        "label_conflicts": tuple(
            (conflict.label, f"{conflict.origin}:{conflict.value}")
            for conflict in decision.conflicts
        ),
        **({"registry": _entries(decision.registry)} if decision.registry else {}),
    }


def _entries(bound: Sequence[RegistryBinding]) -> tuple[tuple[str, str], ...]:
    """Registry entries as pairs of what an entry is, and its revision and digest."""
    return tuple((f"{one.kind}:{one.name}", f"{one.revision}:{one.digest}") for one in bound)


def job_submitted(
    plane: Plane,
    job: Job,
    decision: DecisionRecord,
    subject: Subject,
    *,
    salt: bytes,
    blind_retry_of: str = "",
) -> Record:
    """A job was born, in the state that the submit gate gave it."""
    data = {
        **decided_data(decision, job.topic),
        "state": job.state.value,
        "capability": job.capability,
        "key_id": subject.key_id,
        **_agent_data(subject),
    }
    if job.lineage is not None:
        data["parent_job_id"] = job.lineage.parent_job_id
        data["remediation_id"] = job.lineage.remediation_id
    if blind_retry_of:
        data["blind_retry_of"] = blind_retry_of
    return record_of(
        plane,
        "job.submitted",
        at_us=decision.decided_at_us,
        tenant=job.tenant,
        actor=subject.principal,
        job_id=job.id,
        salt=salt,
        data=data,
    )


def job_moved(
    plane: Plane,
    job: Job,
    before: JobState,
    event: Event,
    *,
    actor: str,
    at_us: int,
    decision: DecisionRecord | None,
    data: Mapping[str, Value],
) -> Record:
    """An event of the lifecycle happened to a job; `job` is the job after it."""
    ended: dict[str, Value] = {}
    if job.failure_code:
        ended = {"failure_code": job.failure_code, "failure_reason": job.failure_reason}
    if job.result_digest:
        ended |= {"result_digest": job.result_digest, "result_bytes": job.result_bytes}
    return record_of(
        plane,
        f"job.{event.value}",
        at_us=at_us,
        tenant=job.tenant,
        actor=actor,
        job_id=job.id,
        data={
            **(decided_data(decision, job.topic) if decision is not None else {}),
            **ended,
            **data,
            "state_before": before.value,
            "state": job.state.value,
            "revision": job.revision,
            "attempt": job.attempt,
            "job_hash": job.job_hash,
            "topic": job.topic,
        },
    )


def output_data(check: OutputCheck) -> dict[str, Value]:
    """The fields of a record that describe the check of a result: none holds any of its content."""
    return {
        "verdict": check.verdict.value,
        "verdict_code": check.code,
        "output_rule_id": check.rule_id,
        "output_reason": check.reason,
        "output_snapshot": check.snapshot,
        "findings": tuple((kind, str(count)) for kind, count in check.kinds),
        "original_digest": check.original_digest,
        "original_bytes": check.original_bytes,
        "check_us": check.duration_us,
    }


def policy_data(snapshot: Snapshot) -> dict[str, Value]:
    """The fields of a record that describe a policy."""
    return {
        "snapshot": snapshot.digest,
        "rules": snapshot.rule_count,
        "bundles": tuple(policy.name for policy in snapshot.policies),
    }


def action_checked(
    plane: Plane,
    request: Request,
    decision: DecisionRecord,
    subject: Subject,
    *,
    salt: bytes | None = None,
) -> Record:
    """An action was decided for a caller that enforces the decision, or throttled at submit."""
    return record_of(
        plane,
        "action.checked",
        at_us=decision.decided_at_us,
        tenant=request.tenant,
        actor=subject.principal,
        salt=salt,
        data={
            **decided_data(decision, request.topic),
            "capability": request.capability,
            "key_id": subject.key_id,
            **_agent_data(subject),
        },
    )


def _agent_data(subject: Subject) -> dict[str, Value]:
    return {"agent_id": subject.agent_id} if subject.agent_id else {}
