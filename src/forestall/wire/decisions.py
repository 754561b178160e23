"""Answers to policy checks, and decision records → JSON objects."""

import re
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from forestall.facts.derive import PayloadKind
from forestall.jobs.job import DecisionRecord, Stage
from forestall.jobs.registry import RegistryBinding
from forestall.policy.explanation import ExplainedRule, Explanation, UnreadPlace
from forestall.policy.request import Request
from forestall.policy.rules import Decision, Effect, LabelConflict
from forestall.wire.compat import (
    DECISION_TYPE,
    DECISION_WORD,
    ConstraintsObject,
    DecisionType,
    DecisionWord,
    RemediationObject,
    constraints_object,
    iso_time,
    remediation_objects,
)
from forestall.wire.objects import WireObject

# A guard sleeps this many seconds on THROTTLE and then runs, so 0 would not throttle.
THROTTLE_DURATION_SECONDS = 30


class WantedClause(WireObject, frozen=True):
    """A clause of the rule that decided."""

    field: str
    wanted: list[str]


class CheckObject(WireObject, frozen=True):
    """The answer of evaluate and simulate; what stands in two spellings is one value."""

    decision: DecisionWord
    decision_type: DecisionType
    code: str
    reason: str
    rule_id_camel: str = msgspec.field(name="ruleId")
    rule_id: str
    matched_rules: list[str]
    policy_snapshot_camel: str = msgspec.field(name="policySnapshot")
    policy_snapshot: str
    approval_required_camel: bool = msgspec.field(name="approvalRequired")
    approval_required: bool
    approval_ref_camel: str = msgspec.field(name="approvalRef")
    approval_ref: str
    redacted_context_ptr: str = msgspec.field(name="redactedContextPtr")
    constraints: ConstraintsObject | None
    remediations: list[RemediationObject]
    throttle_duration_seconds: int
    job_hash: str
    evaluated_at: str
    facts: dict[str, str]
    label_conflicts: list[LabelConflict]
    clauses: list[WantedClause]


class ClauseObject(WireObject, frozen=True):
    """A clause, and what it was compared with."""

    field: str
    wanted: list[str]
    found: list[str]


class EffectiveInput(WireObject, frozen=True):
    """What rules were compared with."""

    topic: str
    tenant: str
    capability: str
    risk_tags: list[str]
    requires: list[str]
    labels: dict[str, str]
    actor_id: str
    actor_type: str
    pack_id: str


class ExplainedRuleObject(WireObject, frozen=True):
    """One rule, and which of its clauses held."""

    rule_id: str
    bundle_id: str
    decision: DecisionWord
    matched: bool
    spoke: bool
    line: int
    owner: str
    severity: str
    held: list[ClauseObject]
    failed: list[ClauseObject]
    failed_on: str | UnsetType = UNSET
    expected: list[str] | UnsetType = UNSET
    actual: list[str] | UnsetType = UNSET


class CacheUse(WireObject, frozen=True):
    """Whether an explanation came from a cache: it never does."""

    hit: bool


class UnreadPlaceObject(WireObject, frozen=True):
    """A place of the payload with a text that counts as unknown, and the two keys of a `derive`
    entry under either of which a policy declares it."""

    place: str
    kind: PayloadKind
    declare_under: list[str]


class OwnProgramObject(WireObject, frozen=True):
    """An own program that the payload runs, the policy that describes it, and those whose rules
    know it."""

    program: str
    described_by: str
    used_by: list[str]


class ExplainObject(WireObject, frozen=True):
    """The `explain` block."""

    effective_input: EffectiveInput
    views: list[dict[str, str]]
    rules: list[ExplainedRuleObject]
    default_decision: DecisionWord
    default_used: bool
    unread: list[UnreadPlaceObject]
    own_programs: list[OwnProgramObject]
    cache: CacheUse


class ExplainedCheckObject(CheckObject, frozen=True):
    """The answer of explain."""

    explain: ExplainObject


class DecisionObject(WireObject, frozen=True):
    """One decision of a job. `registry` holds the registry entries that it rests on."""

    stage: Stage
    decision: DecisionWord
    action: DecisionWord
    code: str
    reason: str
    rule_id: str
    matched_rules: list[str]
    policy_snapshot: str
    approval_required: bool
    approval_ref: str
    job_hash: str
    constraints: ConstraintsObject | None
    remediations: list[RemediationObject]
    facts: dict[str, str]
    label_conflicts: list[LabelConflict]
    registry: list[RegistryBinding]
    checked_at: int
    evaluated_at: str


def check_object(
    decision: Decision,
    *,
    job_id: str,
    job_hash: str,
    at_us: int,
    explain: ExplainObject | UnsetType = UNSET,
) -> CheckObject:
    """The body of the answer to evaluate and simulate, and with `explain` to explain."""
    awaits_approval = decision.decision is Effect.REQUIRE_APPROVAL
    reference = job_id if awaits_approval else ""
    fields = {} if explain is UNSET else {"explain": explain}
    return (ExplainedCheckObject if fields else CheckObject).of(
        decision,
        decision=DECISION_WORD[decision.decision],
        decision_type=DECISION_TYPE[decision.decision],
        rule_id_camel=decision.rule_id,
        policy_snapshot_camel=decision.snapshot,
        policy_snapshot=decision.snapshot,
        approval_required_camel=awaits_approval,
        approval_required=awaits_approval,
        approval_ref_camel=reference,
        approval_ref=reference,
        redacted_context_ptr="",
        constraints=constraints_object(decision.constraints),
        remediations=remediation_objects(decision.remediations),
        throttle_duration_seconds=_throttle_seconds(decision),
        job_hash=job_hash,
        evaluated_at=iso_time(at_us),
        facts=dict(decision.facts),
        label_conflicts=decision.conflicts,
        clauses=[WantedClause.of(clause) for clause in decision.clauses],
        **fields,
    )


def _throttle_seconds(decision: Decision) -> int:
    if decision.decision is not Effect.THROTTLE:
        return 0
    if decision.throttle is None:
        return THROTTLE_DURATION_SECONDS
    return max(1, -(-decision.throttle.window_ms // 1_000))


def explain_object(explanation: Explanation, request: Request) -> ExplainObject:
    """The `explain` block of an answer."""
    return ExplainObject.of(
        explanation,
        effective_input=EffectiveInput.of(request, labels=dict(explanation.decision.facts)),
        views=[dict(view) for view in explanation.views],
        rules=[_explained_rule(rule) for rule in explanation.rules],
        default_decision=DECISION_WORD[explanation.default_decision],
        unread=[_unread_place(each) for each in explanation.unread],
        own_programs=[OwnProgramObject.of(each) for each in explanation.own_programs],
        cache=CacheUse(hit=False),
    )


def _unread_place(unread: UnreadPlace) -> UnreadPlaceObject:
    # A field lies in one of these; the other parts of a payload can only be ignored.
    readable = re.match(r"(prompt|context|args|action)\b", unread.place) is not None
    keys = ["fields", "ignore"] if readable else ["ignore"]
    return UnreadPlaceObject.of(unread, declare_under=keys)


def _explained_rule(rule: ExplainedRule) -> ExplainedRuleObject:
    first: dict[str, Any] = {}
    if rule.failed:
        clause = rule.failed[0]
        first = {"failed_on": clause.field, "expected": clause.wanted, "actual": clause.found}
    return ExplainedRuleObject.of(
        rule,
        bundle_id=rule.layer,
        decision=DECISION_WORD[rule.effect],
        held=[ClauseObject.of(clause) for clause in rule.held],
        failed=[ClauseObject.of(clause) for clause in rule.failed],
        **first,
    )


def decision_object(record: DecisionRecord, *, job_id: str) -> DecisionObject:
    """One decision on a job. The peer's SDK reads the names `action` and `evaluated_at`."""
    awaits_approval = record.decision is Effect.REQUIRE_APPROVAL
    word = DECISION_WORD[record.decision]
    return DecisionObject.of(
        record,
        decision=word,
        action=word,
        policy_snapshot=record.snapshot,
        approval_required=awaits_approval,
        approval_ref=job_id if awaits_approval else "",
        constraints=constraints_object(record.constraints),
        remediations=remediation_objects(record.remediations),
        facts=dict(record.facts),
        label_conflicts=record.conflicts,
        registry=list(record.registry),
        checked_at=record.decided_at_us,
        evaluated_at=iso_time(record.decided_at_us),
    )
