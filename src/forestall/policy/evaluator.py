"""Decide one request against one snapshot. No clock, no store, no network lives here.

Rule 1: the same inputs give the same decision. Rule 2: an error denies; it never skips.
Rule 3: inside a layer the first matching rule speaks; across layers and across views the
strictest decision stands, constraints intersect and terms of approval add up.
"""

from collections.abc import Sequence
from datetime import datetime

from forestall.errors import ForestallError
from forestall.facts.derive import LabelView
from forestall.policy.approval import demands_of
from forestall.policy.constraints import intersect
from forestall.policy.label_views import actors_of, views_of
from forestall.policy.request import Request, looked_into
from forestall.policy.rule_conditions import said_clauses
from forestall.policy.rules import (
    ApprovalDemands,
    Clause,
    Constraints,
    Decision,
    Effect,
    LabelConflict,
    Rule,
)
from forestall.policy.snapshot import Layer, RuleError, Snapshot

NONE_LIFTED: frozenset[str] = frozenset()
_WITHOUT_PAYLOAD = (RuleError, ForestallError)  # errors that never quote one
DEFAULT_DENY_REASON = "no rule allows this (default decision)"
DEFAULT_ALLOW_REASON = "no rule forbids this (default decision)"


def evaluate(
    snapshot: Snapshot, request: Request, *, now: datetime, lifted: frozenset[str] = NONE_LIFTED
) -> Decision:
    """The decision on `request` under `snapshot` at the instant `now`. Total: never raises.

    The one evaluator: both gates, simulate, explain, replay and tests call this function.
    `lifted` names throttle rules whose limit is not reached; they do not speak. The evaluator
    counts nothing: a gate counts, and asks again with what it lifted.
    """
    try:
        views, conflicts = views_of(snapshot, request)
        if snapshot.reads.insides and (len(views) > 1 or snapshot.reads.contents):
            request = looked_into(request)
        actors = actors_of(snapshot, request)
        verdicts = [
            (_speakers(snapshot.layers, each, labels, now, lifted), labels)
            for each in actors
            for labels in views
        ]
        if len(verdicts) == 1:  # by far the most common case: what _combine comes to is known
            speakers, labels = verdicts[0]
            if not speakers:
                return _by_default(snapshot, labels, (), conflicts)
            if len(speakers) == 1 and speakers[0].match.content is None:
                return _by_rule(snapshot, speakers[0], labels, speakers, conflicts)
    except Exception as error:  # noqa: BLE001 - whatever fails here must deny, never skip
        return rule_error(snapshot, error)
    if len(actors) > 1:
        conflicts = (*conflicts, _actor_conflict(request))
    return _combine(snapshot, verdicts, conflicts)


def _actor_conflict(request: Request) -> LabelConflict:
    return LabelConflict(
        label="actor_id",
        origin="claimed",
        value=request.actor_id,
        trusted_value=request.principal,
    )


def rule_error(snapshot: Snapshot, error: Exception) -> Decision:
    """The decision when a rule or a fact cannot be evaluated: deny, with its own code."""
    return Decision(
        decision=Effect.DENY,
        code="rule_error",
        reason="a rule could not be evaluated on this request",
        snapshot=snapshot.digest,
        # Of an unforeseen error the type alone: its text may hold part of the payload.
        errors=(str(error) if isinstance(error, _WITHOUT_PAYLOAD) else type(error).__name__,),
    )


def _speakers(
    layers: tuple[Layer, ...],
    request: Request,
    labels: LabelView,
    now: datetime,
    lifted: frozenset[str],
) -> list[Rule]:
    """The first matching rule of each list of each layer that has one, in their order."""
    return [
        rule
        for layer in layers
        for rules in layer.lists
        if (rule := rules.speaker(request, labels, now, lifted)) is not None
    ]


def _combine(
    snapshot: Snapshot,
    verdicts: list[tuple[list[Rule], LabelView]],
    conflicts: tuple[LabelConflict, ...],
) -> Decision:
    """The strictest over all views; a view in which no ordinary rule speaks has the default too.

    Of equally strict ones a rule goes before the default, which says less; then the first.
    """
    deciding: Rule | None = None
    deciding_labels = verdicts[0][1]
    default_labels: LabelView | None = None
    speakers: dict[str, Rule] = {}
    for rules, labels in verdicts:
        if default_labels is None and _all_of_content(rules):
            default_labels = labels
        for rule in rules:
            speakers[rule.id] = rule
            if deciding is None or rule.effect.strictness > deciding.effect.strictness:
                deciding, deciding_labels = rule, labels
    if deciding is None or (
        default_labels is not None and snapshot.default.strictness > deciding.effect.strictness
    ):
        labels = deciding_labels if default_labels is None else default_labels
        return _by_default(snapshot, labels, tuple(speakers), conflicts)
    ranked = sorted(speakers.values(), key=lambda each: -each.effect.strictness)
    return _by_rule(snapshot, deciding, deciding_labels, ranked, conflicts)


def _all_of_content(rules: Sequence[Rule]) -> bool:
    """No ordinary rule is among them. Input rules tighten what the others decide; they never
    stand in for an allow, so without an ordinary rule the default decision counts as well."""
    return all(rule.match.content is not None for rule in rules)


def _by_rule(
    snapshot: Snapshot,
    rule: Rule,
    labels: LabelView,
    ranked: Sequence[Rule],
    conflicts: tuple[LabelConflict, ...],
) -> Decision:
    return Decision(
        decision=rule.effect,
        code="rule",
        reason=rule.reason,
        rule_id=rule.id,
        matched_rules=tuple([each.id for each in ranked]),
        clauses=_said(snapshot, rule),
        facts=tuple(sorted(labels.items())) if labels else (),
        conflicts=conflicts,
        constraints=_constraints(rule.effect, ranked),
        approval=_demands(rule, ranked),
        throttle=rule.throttle,
        remediations=rule.remediations,
        snapshot=snapshot.digest,
    )


def _said(snapshot: Snapshot, rule: Rule) -> tuple[Clause, ...]:
    """What the clauses of a rule say, put into words once a rule."""
    said = snapshot.said.get(rule.id)
    if said is None:
        said = snapshot.said[rule.id] = said_clauses(rule)
    return said


def _demands(rule: Rule, ranked: Sequence[Rule]) -> ApprovalDemands | None:
    """What the rules that hold demand of an approval, when it is an approval that decides."""
    if rule.effect is not Effect.REQUIRE_APPROVAL or (len(ranked) == 1 and rule.approval is None):
        return None
    return demands_of(ranked)


def _by_default(
    snapshot: Snapshot,
    labels: LabelView,
    matched_rules: tuple[str, ...],
    conflicts: tuple[LabelConflict, ...],
) -> Decision:
    return Decision(
        decision=snapshot.default,
        code="default",
        reason=DEFAULT_ALLOW_REASON if snapshot.default is Effect.ALLOW else DEFAULT_DENY_REASON,
        matched_rules=matched_rules,
        facts=tuple(sorted(labels.items())) if labels else (),
        conflicts=conflicts,
        snapshot=snapshot.digest,
    )


def _constraints(effect: Effect, rules: Sequence[Rule]) -> Constraints | None:
    """What the rules bind together. An allow stands only when no rule constrains anything."""
    if effect is Effect.DENY or effect is Effect.ALLOW:
        return None
    if len(rules) == 1:
        return rules[0].constraints
    return intersect(each.constraints for each in rules if each.constraints is not None)
