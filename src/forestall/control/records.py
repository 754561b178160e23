"""Build audit records. Values only; commits nothing.

A record that one verb alone writes is built in that verb, with `record_of`. `audit/kinds.py` lists
every kind with its fields, and the page for auditors is made from that list.
"""

from collections.abc import Mapping

from forestall.audit.record import Record, Value
from forestall.control.plane import Plane
from forestall.identity.credentials import Subject
from forestall.jobs.job import DecisionRecord, Job, OutputCheck
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
    """The fields of a record that describe a decision on a job or action of this topic."""
    data: dict[str, Value] = {
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
    }
    if decision.registry:
        data["registry"] = tuple(
            (f"{entry.kind}:{entry.name}", f"{entry.revision}:{entry.digest}")
            for entry in decision.registry
        )
    return data


def job_submitted(
    plane: Plane,
    job: Job,
    decision: DecisionRecord,
    subject: Subject,
    *,
    salt: bytes,
    blind_retry_of: str = "",
) -> Record:
    """A job was born, in the state that the submit gate gave it. `blind_retry_of` is the id of the
    job that was denied with the same payload before; empty for none."""
    data: dict[str, Value] = {"state": job.state.value}
    if job.lineage is not None:
        data["parent_job_id"] = job.lineage.parent_job_id
        data["remediation_id"] = job.lineage.remediation_id
    if blind_retry_of:
        data["blind_retry_of"] = blind_retry_of
    return _decision_for(
        plane, "job.submitted", job, decision, subject, job_id=job.id, salt=salt, data=data
    )


def action_checked(
    plane: Plane,
    request: Request,
    decision: DecisionRecord,
    subject: Subject,
    *,
    salt: bytes | None = None,
) -> Record:
    """An action was decided for a caller that enforces the decision, or throttled at submit."""
    return _decision_for(plane, "action.checked", request, decision, subject, salt=salt)


def _decision_for(
    plane: Plane,
    kind: str,
    action: Job | Request,
    decision: DecisionRecord,
    subject: Subject,
    *,
    job_id: str = "",
    salt: bytes | None,
    data: Mapping[str, Value] | None = None,
) -> Record:
    """The record of a decision that a subject asked for."""
    return record_of(
        plane,
        kind,
        at_us=decision.decided_at_us,
        tenant=action.tenant,
        actor=subject.principal,
        job_id=job_id,
        salt=salt,
        data={
            **decided_data(decision, action.topic),
            "capability": action.capability,
            "key_id": subject.key_id,
            **({"agent_id": subject.agent_id} if subject.agent_id else {}),
            **(data or {}),
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
