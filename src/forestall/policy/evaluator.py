"""Decide one request against one snapshot. No clock, no store, no network lives here.

Rule 1: the same inputs give the same decision. Rule 2: an error denies; it never skips a rule. Rule
3: inside a rule list the first matching rule speaks, and before it each that rests on a claim;
across lists, layers, actors and label views the strictest decision stands, constraints intersect,
and terms of approval add up.
"""

from collections.abc import Sequence
from datetime import datetime

from forestall.errors import ForestallError
from forestall.facts.derive import LabelView
from forestall.policy.approval import demands_of
from forestall.policy.claims import attested_views, claim_conflicts
from forestall.policy.constraints import intersect
from forestall.policy.label_views import variants_of, views_of
from forestall.policy.request import Request, looked_into
from forestall.policy.rule_conditions import clauses_in_words
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
_WITHOUT_PAYLOAD = (RuleError, ForestallError)  # errors whose texts never quote a payload
RULE_ERROR_REASON = "a rule or a fact could not be evaluated on this request"
DEFAULT_DENY_REASON = "no rule allows this (default decision)"
DEFAULT_ALLOW_REASON = "no rule forbids this (default decision)"


def evaluate(
    snapshot: Snapshot, request: Request, *, now: datetime, lifted: frozenset[str] = NONE_LIFTED
) -> Decision:
    """The decision on `request` under `snapshot` at the instant `now`. Total: never raises.

    This is the only evaluator: both gates, simulate, explain, replay and tests call it. `now` has a
    time zone. `lifted` names throttle rules whose limit is not reached; such a rule does not speak.
    The evaluator counts nothing: a gate counts, and evaluates again with the throttles that it
    lifted.
    """
    try:
        views, conflicts = views_of(snapshot, request)
        if snapshot.reads.insides and (len(views) > 1 or snapshot.reads.contents):
            request = looked_into(request)
        variants: tuple[Request, ...] = (request,)
        differences: tuple[LabelConflict, ...] = ()
        if snapshot.reads.actors or snapshot.reads.arguments:
            variants, differences = variants_of(snapshot, request)
        deciding_requests = attested_views(variants) if request.attested else variants
        on_claims: list[Rule] = []
        verdicts = [
            _verdict(snapshot.layers, each, labels, now, lifted, on_claims)
            for each in deciding_requests
            for labels in views
        ]
        if len(verdicts) == 1 and not on_claims:  # the common case, decided without _combine
            speakers, labels, settled = verdicts[0]
            if not speakers:
                return _by_default(snapshot, labels, (), conflicts)
            if settled and len(speakers) == 1:
                return _by_rule(snapshot, speakers[0], labels, speakers, conflicts)
    except Exception as error:  # noqa: BLE001 - whatever fails here must deny, never skip
        return rule_error(snapshot, error)
    if on_claims:
        rested_on = claim_conflicts(on_claims, deciding_requests, views, snapshot.foreign_of_rule)
        conflicts = (*conflicts, *rested_on)
    return _combine(snapshot, verdicts, (*conflicts, *differences))


def rule_error(snapshot: Snapshot, error: Exception) -> Decision:
    """The decision when a rule or a fact cannot be evaluated: deny, with a code of its own. Its
    reason names the rule and the cause, its clauses are the one that could not be evaluated."""
    reason = RULE_ERROR_REASON
    clauses: tuple[Clause, ...] = ()
    if isinstance(error, RuleError):
        reason = f"rule `{error.rule_id}` could not be evaluated: {error.clause.found[0]}"
        clauses = (error.clause,)
    return Decision(
        decision=Effect.DENY,
        code="rule_error",
        reason=reason,
        clauses=clauses,
        snapshot=snapshot.digest,
        # Only the type of an unforeseen error: its text may hold part of the payload.
        errors=(str(error) if isinstance(error, _WITHOUT_PAYLOAD) else type(error).__name__,),
    )


# The rules that speak under one variant and label view, that view, and whether an ordinary rule
# among them speaks whatever is not sure (`claims`): then the default decision does not count.
_Speakers = tuple[list[Rule], LabelView, bool]


def _verdict(
    layers: tuple[Layer, ...],
    request: Request,
    labels: LabelView,
    now: datetime,
    lifted: frozenset[str],
    on_claims: list[Rule],
) -> _Speakers:
    """The rules that speak, list by list, in the order of the layers. Those that rest on a claim
    are appended to `on_claims` too."""
    speaking: list[Rule] = []
    settled = False
    for layer in layers:
        for rules in layer.lists:
            before = len(on_claims)
            rule = rules.speaker(request, labels, now, lifted, on_claims)
            if len(on_claims) > before:
                speaking += on_claims[before:]
            if rule is not None:
                speaking.append(rule)
                # An input rule tightens what ordinary rules decide and never stands in for them.
                settled = settled or rule.match.content is None
    return speaking, labels, settled


def _combine(
    snapshot: Snapshot,
    verdicts: list[_Speakers],
    conflicts: tuple[LabelConflict, ...],
) -> Decision:
    """The strictest decision over all actors and label views.

    Where no ordinary rule settles some view, the default decision competes too. Among equally
    strict ones a rule goes before the default, because a rule gives a reason; then the first one
    decides.
    """
    deciding: Rule | None = None
    deciding_labels = verdicts[0][1]
    default_labels: LabelView | None = None
    speakers: dict[str, Rule] = {}
    for rules, labels, settled in verdicts:
        if default_labels is None and not settled:
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


def _by_rule(
    snapshot: Snapshot,
    rule: Rule,
    labels: LabelView,
    ranked: Sequence[Rule],
    conflicts: tuple[LabelConflict, ...],
) -> Decision:
    """The decision of one rule. `ranked` are all rules that spoke, strictest first."""
    return Decision(
        decision=rule.effect,
        code="rule",
        reason=rule.reason,
        rule_id=rule.id,
        matched_rules=tuple([each.id for each in ranked]),
        clauses=_clauses(snapshot, rule),
        facts=tuple(sorted(labels.items())) if labels else (),
        conflicts=conflicts,
        constraints=_constraints(rule.effect, ranked),
        approval=_demands(rule, ranked),
        throttle=rule.throttle,
        remediations=rule.remediations,
        snapshot=snapshot.digest,
    )


def _clauses(snapshot: Snapshot, rule: Rule) -> tuple[Clause, ...]:
    """The clauses of a rule in words, made once for each rule of the snapshot."""
    clauses = snapshot.clauses_of_rule.get(rule.id)
    if clauses is None:
        clauses = snapshot.clauses_of_rule[rule.id] = clauses_in_words(rule)
    return clauses


def _demands(rule: Rule, ranked: Sequence[Rule]) -> ApprovalDemands | None:
    """What the matching rules demand of an approval; None unless the decision is require_approval,
    or when any one approver is enough."""
    if rule.effect is not Effect.REQUIRE_APPROVAL or (len(ranked) == 1 and rule.approval is None):
        return None
    return demands_of(ranked)


def _by_default(
    snapshot: Snapshot,
    labels: LabelView,
    matched_rules: tuple[str, ...],
    conflicts: tuple[LabelConflict, ...],
) -> Decision:
    """The default decision, where no rule decides."""
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
    """The constraints of the matching rules, intersected; None for an allow or a deny.

    A plain allow can only decide when no matching rule constrains the run.
    """
    if effect is Effect.DENY or effect is Effect.ALLOW:
        return None
    if len(rules) == 1:
        return rules[0].constraints
    return intersect(each.constraints for each in rules if each.constraints is not None)
