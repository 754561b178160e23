"""Build the audit record of each event. Values only; commits nothing.

The records of topics, pools, schemas and webhooks are built beside their verbs. `audit/kinds.py`
lists every kind with its fields, and the page for auditors is made from that list.
"""

from collections.abc import Mapping

from forestall.audit.record import Record, Value
from forestall.identity.credentials import ApiKey, Subject
from forestall.jobs.job import DecisionRecord, Job, JobState, OutputCheck
from forestall.jobs.lifecycle import Event
from forestall.policy.compile import Snapshot
from forestall.policy.request import Request
from forestall.ports.entries import EntryName

SYSTEM_ACTOR = "system"
SALT_BYTES = 16


def _decided(decision: DecisionRecord, topic: str) -> dict[str, Value]:
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
    }


def job_submitted(
    job: Job, decision: DecisionRecord, subject: Subject, salt: bytes, *, blind_retry_of: str = ""
) -> Record:
    """A job was born, in the state that the submit gate gave it."""
    more: dict[str, Value] = {}
    if job.lineage is not None:
        more["parent_job_id"] = job.lineage.parent_job_id
        more["remediation_id"] = job.lineage.remediation_id
    if blind_retry_of:
        more["blind_retry_of"] = blind_retry_of
    return Record(
        kind="job.submitted",
        at_us=decision.decided_at_us,
        tenant=job.tenant,
        actor=subject.principal,
        salt=salt.hex(),
        job_id=job.id,
        data={
            **_decided(decision, job.topic),
            "state": job.state.value,
            "capability": job.capability,
            "key_id": subject.key_id,
            **more,
        },
    )


def job_moved(
    job: Job,
    before: JobState,
    event: Event,
    *,
    actor: str,
    at_us: int,
    salt: bytes,
    decision: DecisionRecord | None,
    data: Mapping[str, Value],
) -> Record:
    """An event of the lifecycle happened to a job; `job` is the job after it."""
    ended: dict[str, Value] = {}
    if job.failure_code:
        ended = {"failure_code": job.failure_code, "failure_reason": job.failure_reason}
    if job.result_digest:
        ended |= {"result_digest": job.result_digest, "result_bytes": job.result_bytes}
    return Record(
        kind=f"job.{event.value}",
        at_us=at_us,
        tenant=job.tenant,
        actor=actor,
        salt=salt.hex(),
        job_id=job.id,
        data={
            **(_decided(decision, job.topic) if decision is not None else {}),
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


def answer_refused(
    job: Job | None,
    code: str,
    *,
    what: str,
    subject: Subject,
    named: str,
    at_us: int,
    salt: bytes,
) -> Record:
    """A request of a worker was refused; nothing was changed.

    `job` is None when the request named no job of the tenant, or another worker; `named` is the
    name in it then.
    """
    of_job: dict[str, Value] = {"named": named}
    if job is not None:
        of_job = {"state": job.state.value, "attempt": job.attempt}
    return Record(
        kind="worker.refused",
        at_us=at_us,
        tenant=subject.tenant,
        actor=subject.principal,
        salt=salt.hex(),
        job_id=job.id if job is not None else "",
        data={"what": what, "code": code, "key_id": subject.key_id, **of_job},
    )


def approval_refused(
    job: Job, code: str, *, what: str, actor: str, at_us: int, salt: bytes
) -> Record:
    """A vote was refused: the subject may not vote, or there is nothing like it to decide."""
    return Record(
        kind="approval.refused",
        at_us=at_us,
        tenant=job.tenant,
        actor=actor,
        salt=salt.hex(),
        job_id=job.id,
        data={"what": what, "code": code, "state": job.state.value},
    )


def output_refused(
    job: Job, code: str, *, what: str, subject: Subject, at_us: int, salt: bytes
) -> Record:
    """A release or discard was refused: the subject may not, or the original is not there."""
    return Record(
        kind="output.refused",
        at_us=at_us,
        tenant=job.tenant,
        actor=subject.principal,
        salt=salt.hex(),
        job_id=job.id,
        data={"what": what, "code": code, "state": job.state.value, "key_id": subject.key_id},
    )


def original_purged(name: EntryName, *, at_us: int, salt: bytes) -> Record:
    """A sealed original was removed after its time."""
    return Record(
        kind="output.purged",
        at_us=at_us,
        tenant=name.tenant,
        actor=SYSTEM_ACTOR,
        salt=salt.hex(),
        job_id=name.name,
        data={"checked_at_us": name.updated_at_us},
    )


def output_checked(
    check: OutputCheck, request: Request, subject: Subject, *, size_bytes: int, salt: bytes
) -> Record:
    """A content was checked for a caller that releases or withholds it itself."""
    return Record(
        kind="output.checked",
        at_us=check.checked_at_us,
        tenant=request.tenant,
        actor=subject.principal,
        salt=salt.hex(),
        data={
            **output_data(check),
            "original_bytes": size_bytes,
            "topic": request.topic,
            "key_id": subject.key_id,
        },
    )


def action_checked(
    request: Request, decision: DecisionRecord, subject: Subject, salt: bytes
) -> Record:
    """An action was decided for a caller that enforces the decision, or throttled at submit."""
    return Record(
        kind="action.checked",
        at_us=decision.decided_at_us,
        tenant=request.tenant,
        actor=subject.principal,
        salt=salt.hex(),
        data={
            **_decided(decision, request.topic),
            "capability": request.capability,
            "key_id": subject.key_id,
        },
    )


def key_created(key: ApiKey, actor: str, salt: bytes) -> Record:
    """An API key was created; the record holds neither its hash nor its text."""
    return Record(
        kind="key.created",
        at_us=key.created_at_us,
        tenant=key.tenant,
        actor=actor,
        salt=salt.hex(),
        data={
            "key_id": key.id,
            "name": key.name,
            "role": key.role.value,
            "principal": key.principal,
            "expires_at_us": key.expires_at_us,
        },
    )


def key_revoked(key: ApiKey, actor: str, at_us: int, salt: bytes) -> Record:
    """An API key was revoked."""
    return Record(
        kind="key.revoked",
        at_us=at_us,
        tenant=key.tenant,
        actor=actor,
        salt=salt.hex(),
        data={"key_id": key.id, "name": key.name},
    )


def policy_kept(snapshot: Snapshot, tenant: str, actor: str, at_us: int, salt: bytes) -> Record:
    """The content of a policy was stored under its digest, which brings nothing into force."""
    return Record(
        kind="policy.kept",
        at_us=at_us,
        tenant=tenant,
        actor=actor,
        salt=salt.hex(),
        data={
            "snapshot": snapshot.digest,
            "rules": snapshot.rule_count,
            "bundles": tuple(policy.name for policy in snapshot.policies),
        },
    )


def policy_activated(
    snapshot: Snapshot, before: str, tenant: str, actor: str, at_us: int, salt: bytes
) -> Record:
    """A snapshot came into force."""
    return Record(
        kind="policy.activated",
        at_us=at_us,
        tenant=tenant,
        actor=actor,
        salt=salt.hex(),
        data={
            "snapshot": snapshot.digest,
            "snapshot_before": before,
            "rules": snapshot.rule_count,
            "bundles": tuple(policy.name for policy in snapshot.policies),
        },
    )


def policy_refused(problem: str, in_force: str, tenant: str, at_us: int, salt: bytes) -> Record:
    """A changed policy was refused; the policy in force stayed."""
    return Record(
        kind="policy.refused",
        at_us=at_us,
        tenant=tenant,
        actor=SYSTEM_ACTOR,
        salt=salt.hex(),
        data={"problem": problem, "snapshot": in_force},
    )
