"""The job: what was asked for, its canonical hash and its state. Values and one hash; no I/O.

A change of state is computed in `transitions` and `votes`; nothing here changes a job.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from forestall.canonical import canonical_struct, digest
from forestall.jobs.approval import Approval, Grounds
from forestall.jobs.registry import RegistryBinding
from forestall.policy.request import Request, ToolCall
from forestall.policy.rules import (
    Constraints,
    Decision,
    Effect,
    LabelConflict,
    Remediation,
    Verdict,
)
from forestall.structs import copied


class JobState(StrEnum):
    """The states of a job, spelled as on the wire."""

    PENDING = "PENDING"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    SCHEDULED = "SCHEDULED"
    DISPATCHED = "DISPATCHED"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMEOUT = "TIMEOUT"
    DENIED = "DENIED"
    OUTPUT_QUARANTINED = "OUTPUT_QUARANTINED"


OWN_KEY_PREFIX = "forestall:"  # prefix of the plane's own idempotency keys; refused from clients
POLICY_DENIED = "policy_denied"  # failure code of a job that a gate denied
WITHHELD_PAYLOAD = b"null"  # in the place of a payload, which is always an object

# The state of a new job, by the decision of the submit gate. A throttled submission creates no job.
BIRTH_STATE: Mapping[Effect, JobState] = {
    Effect.ALLOW: JobState.PENDING,
    Effect.ALLOW_WITH_CONSTRAINTS: JobState.PENDING,
    Effect.REQUIRE_APPROVAL: JobState.APPROVAL_REQUIRED,
    Effect.DENY: JobState.DENIED,
}


class Priority(StrEnum):
    """How urgent the submitter says a job is. The scheduler gives each priority its share."""

    CRITICAL = "critical"
    INTERACTIVE = "interactive"
    BATCH = "batch"


class Budget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Bounds that the submitter sets itself. `deadline_ms` counts from the submission; None: no
    bound."""

    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    max_total_tokens: int | None = None
    deadline_ms: int | None = None


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a job, checked and bounded, before anything is decided."""

    topic: str
    # canonical JSON of {"prompt", "context", "args"?}, handed to the worker as it is
    payload: bytes
    prompt: str = ""
    context: Any = None
    args: Any = None  # arguments of the tool call; part of the payload
    mcp: ToolCall = ToolCall()
    capability: str = ""
    pack_id: str = ""
    actor_id: str = ""
    actor_type: str = ""
    priority: Priority = Priority.INTERACTIVE
    risk_tags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    budget: Budget = Budget()
    idempotency_key: str = ""
    idempotent: bool = False  # running the job twice has the same effect as running it once
    max_retries: int | None = None  # after the first attempt; None: RETRIES_DEFAULT
    # while an identical request with this wish awaits approval, join it instead of a second job
    share_approval: bool = False

    def request(self, *, tenant: str, principal: str) -> Request:
        """The request that a gate evaluates for this submission on behalf of `principal`."""
        return Request(
            topic=self.topic,
            tenant=tenant,
            capability=self.capability,
            pack_id=self.pack_id,
            actor_id=self.actor_id or principal,
            principal=principal,
            actor_type=self.actor_type,
            risk_tags=self.risk_tags,
            requires=self.requires,
            tags=self.tags,
            labels=self.labels,
            mcp=self.mcp,
            args=self.args,
            payload={"prompt": self.prompt, "context": self.context},
        )


class Lineage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The job that this one was made from. A remediation or a retry is an ordinary submit.

    `depth` is the number of ancestors.
    """

    parent_job_id: str
    trace_id: str
    depth: int
    remediation_id: str = ""  # empty for a retry without changes
    requesters: tuple[str, ...] = ()  # principals who submitted the ancestors; none may approve


class Lease(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which worker runs the job, and under which decision. Kept after the end, to recognise a late
    answer.

    Renewals are kept in memory only: after a restart every lease gets one full term.
    """

    id: str  # known to the worker alone; proves that an answer is for this dispatch
    worker: str
    dispatched_at_us: int
    runs_until_us: int = 0  # end of the run time that `max_runtime_ms` allows; 0: no bound
    rule_id: str = ""
    snapshot: str = ""
    constraints: Constraints | None = None


class OutputCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The verdict on the result of a job, and how a person resolved it. Never holds what was
    found."""

    verdict: Verdict
    code: str  # origin of the verdict: `rule`, `default`, `scan_incomplete`, …
    checked_at_us: int
    snapshot: str
    rule_id: str = ""
    reason: str = ""
    kinds: tuple[tuple[str, int], ...] = ()  # kind of finding → number of findings
    original_digest: str = ""  # over a salt and the original; the salt is sealed with it
    original_bytes: int = 0
    duration_us: int = 0
    resolved_by: str = ""  # the person who released or discarded a withheld result
    resolved_at_us: int = 0
    resolution: str = ""  # `released`, `confirmed`, or empty
    resolution_reason: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One unit of work that a client submitted. Times are microseconds since the epoch, UTC.

    `revision` grows by one with every move, so that two verbs cannot both move one job.
    """

    id: str
    trace_id: str
    tenant: str
    principal: str
    state: JobState
    topic: str
    job_hash: str
    created_at_us: int
    updated_at_us: int
    mcp: ToolCall = ToolCall()
    capability: str = ""
    pack_id: str = ""
    actor_id: str = ""
    actor_type: str = ""
    priority: Priority = Priority.INTERACTIVE
    risk_tags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    budget: Budget = Budget()
    idempotency_key: str = ""
    idempotent: bool = False
    max_retries: int | None = None
    share_approval: bool = False
    key_id: str = ""  # id of the API key that submitted the job
    lineage: Lineage | None = None
    revision: int = 0
    attempt: int = 0  # number of dispatches so far
    lease: Lease | None = None
    approval: Approval | None = None
    not_before_us: int = 0  # a waiting job is not dispatched before this instant
    held_since_us: int = 0  # when it was first throttled without a break; 0: it is not throttled
    holds: int = 0
    deadline_at_us: int = 0  # from `budget.deadline_ms`; 0: no deadline
    # throttle rules that counted this job already; none counts it twice
    throttles_passed: tuple[str, ...] = ()
    failure_code: str = ""
    failure_reason: str = ""
    dead_at_us: int = 0  # since when the job is a dead letter; 0: it is none
    result_digest: str = ""
    result_bytes: int = 0
    output: OutputCheck | None = None
    submit_decision: "DecisionRecord | None" = None

    @property
    def asked_at_us(self) -> int:
        """When the approval was last requested; 0 for a job without one."""
        return self.approval.asked_at_us if self.approval is not None else 0


class Stage(StrEnum):
    """The gate that made a decision."""

    SUBMIT = "submit"
    DISPATCH = "dispatch"
    CHECK = "check"  # a caller evaluates and enforces by itself (POST /policy/evaluate)


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A decision as it is stored beside its job; the fields are those of `Decision`."""

    stage: Stage
    decided_at_us: int
    decision: Effect
    code: str
    reason: str
    snapshot: str
    job_hash: str
    rule_id: str = ""
    matched_rules: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    conflicts: tuple[LabelConflict, ...] = ()
    constraints: Constraints | None = None
    remediations: tuple[Remediation, ...] = ()
    registry: tuple[RegistryBinding, ...] = ()  # the registry entries that it rests on


class Payload(msgspec.Struct, frozen=True):
    """The payload of a job, as the gates read it."""

    prompt: str = ""
    context: Any = None
    args: Any = None


_decode_payload = msgspec.json.Decoder(Payload).decode


def stored_request(job: Job, payload: bytes) -> Request:
    """The request that the dispatch gate evaluates for a stored job: the same as at submit."""
    return stored_submission(job, payload).request(tenant=job.tenant, principal=job.principal)


def stored_submission(job: Job, payload: bytes) -> Submission:
    """The submission of a stored job, rebuilt from the store. It has the same job hash."""
    # The key of the request is not repeated: another request has a key of its own, or none.
    return copied(Submission, job, _decode_payload(payload), payload=payload, idempotency_key="")


def decision_record(
    decision: Decision, grounds: Grounds, *, stage: Stage, job_hash: str, now_us: int
) -> DecisionRecord:
    """The part of a decision that is stored, with the registry entries that it rests on."""
    return copied(
        DecisionRecord, decision, grounds, stage=stage, decided_at_us=now_us, job_hash=job_hash
    )


def payload_digest(payload: bytes) -> str:
    """SHA-256 (hex) of the payload bytes."""
    return digest("payload", payload)


def result_digest(result: bytes) -> str:
    """SHA-256 (hex) of the JSON result of a worker."""
    return digest("result", result)


def original_digest(salt: bytes, original: bytes) -> str:
    """SHA-256 (hex) of a secret salt and the original of a result that is not released.

    Without the salt, a reader of the redacted copy could try candidates for the rest against the
    digest.
    """
    return digest("original-result", salt + original)


class _HashedJob(msgspec.Struct, frozen=True, kw_only=True):
    """What the job hash covers. Field names are part of the hash: renaming one changes every hash.

    Labels are sorted pairs, so no text that a client chooses becomes a key of the canonical form.
    The payload enters by the digest of its bytes.
    """

    tenant: str
    subject: str
    actor: tuple[str, str]
    topic: str
    tool_call: tuple[str, str, str, str]
    capability: str
    pack: str
    priority: Priority
    requires: list[str]
    risk_tags: list[str]
    tags: list[str]
    labels: list[tuple[str, str]]
    payload: str
    budget: tuple[int | None, int | None, int | None, int | None]
    repeats: tuple[bool, int | None]


def job_hash(submission: Submission, *, tenant: str, principal: str) -> str:
    """SHA-256 (hex) over everything that can change what runs."""
    actor = submission.actor_id or principal
    return _hash(submission, submission.payload, tenant, principal, actor)


def stored_job_hash(job: Job, payload: bytes) -> str:
    """The job hash of a job as it is stored now; differs from `job.job_hash` if the stored job was
    changed."""
    return _hash(job, payload, job.tenant, job.principal, job.actor_id)


def _hash(
    submission: Submission | Job, payload: bytes, tenant: str, principal: str, actor: str
) -> str:
    budget, call = submission.budget, submission.mcp
    hashed = _HashedJob(
        tenant=tenant,
        subject=principal,
        actor=(actor, submission.actor_type),
        topic=submission.topic,
        tool_call=(call.server, call.tool, call.resource, call.action),
        capability=submission.capability,
        pack=submission.pack_id,
        priority=submission.priority,
        requires=sorted(submission.requires),
        risk_tags=sorted(submission.risk_tags),
        tags=sorted(submission.tags),
        labels=sorted(submission.labels.items()),
        payload=payload_digest(payload),
        budget=(
            budget.max_input_tokens,
            budget.max_output_tokens,
            budget.max_total_tokens,
            budget.deadline_ms,
        ),
        repeats=(submission.idempotent, submission.max_retries),
    )
    return digest("job", canonical_struct(hashed))
