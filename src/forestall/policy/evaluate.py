"""Decide one request against one snapshot. No clock, no store, no network lives here.

Rule 1: the same inputs give the same decision. Rule 2: an error denies; it never skips.
Rule 3: inside a layer the first matching rule speaks; across layers and across views the
strictest decision stands and constraints intersect (DESIGN 3).
"""

from collections.abc import Sequence
from datetime import datetime

from forestall.facts.derive import LabelView
from forestall.policy.compile import CompiledRule, Layer, Snapshot
from forestall.policy.constraints import intersect
from forestall.policy.request import Request
from forestall.policy.rules import Constraints, Decision, Effect, LabelConflict
from forestall.policy.views import views_of

DEFAULT_DENY_REASON = "no rule allows this (default decision)"
DEFAULT_ALLOW_REASON = "no rule forbids this (default decision)"


def evaluate(snapshot: Snapshot, request: Request, *, now: datetime) -> Decision:
    """The decision on `request` under `snapshot` at the instant `now`. Total: never raises.

    The one evaluator: both gates, simulate, explain, replay and tests call this function.
    """
    del now  # no field of the language reads the clock yet; every caller already passes it
    try:
        views, conflicts = views_of(snapshot, request)
        verdicts = [(_speakers(snapshot.layers, request, labels), labels) for labels in views]
        if len(verdicts) == 1 and len(verdicts[0][0]) == 1:  # by far the most common case
            ((speaker,), labels), *_ = verdicts
            return _by_rule(snapshot, speaker, labels, (speaker,), conflicts)
    except Exception as error:  # noqa: BLE001 - whatever fails here must deny, never skip
        return rule_error(snapshot, error)
    return _combine(snapshot, verdicts, conflicts)


def rule_error(snapshot: Snapshot, error: Exception) -> Decision:
    """The decision when a rule or a fact cannot be evaluated: deny, with its own code."""
    return Decision(
        decision=Effect.DENY,
        code="rule_error",
        reason="a rule could not be evaluated on this request",
        snapshot=snapshot.digest,
        # The type alone: the text of an unforeseen error may hold part of the payload.
        errors=(type(error).__name__,),
    )


def _speakers(
    layers: tuple[Layer, ...], request: Request, labels: LabelView
) -> tuple[CompiledRule, ...]:
    """The first matching rule of each layer that has one, in the order of the layers."""
    found = []
    for layer in layers:
        for number in layer.rule_index.candidates(request, labels):
            compiled = layer.rules[number]
            if all(holds(request, labels) for holds in compiled.residual):
                found.append(compiled)
                break
    return tuple(found)


def _combine(
    snapshot: Snapshot,
    verdicts: list[tuple[tuple[CompiledRule, ...], LabelView]],
    conflicts: tuple[LabelConflict, ...],
) -> Decision:
    """The strictest over all views; a view in which no rule speaks has the default decision.

    Of equally strict ones a rule goes before the default, which says less; then the first.
    """
    deciding: CompiledRule | None = None
    deciding_labels = verdicts[0][1]
    default_labels: LabelView | None = None
    speakers: dict[str, CompiledRule] = {}
    for rules, labels in verdicts:
        if not rules and default_labels is None:
            default_labels = labels
        for compiled in rules:
            speakers[compiled.rule.id] = compiled
            if deciding is None or compiled.strictness > deciding.strictness:
                deciding, deciding_labels = compiled, labels
    if deciding is None or (
        default_labels is not None and snapshot.default.strictness > deciding.strictness
    ):
        labels = deciding_labels if default_labels is None else default_labels
        return _by_default(snapshot, labels, tuple(speakers), conflicts)
    ranked = sorted(speakers.values(), key=lambda each: -each.strictness)
    return _by_rule(snapshot, deciding, deciding_labels, ranked, conflicts)


def _by_rule(
    snapshot: Snapshot,
    deciding: CompiledRule,
    labels: LabelView,
    ranked: Sequence[CompiledRule],
    conflicts: tuple[LabelConflict, ...],
) -> Decision:
    rule = deciding.rule
    return Decision(
        decision=rule.effect,
        code="rule",
        reason=rule.reason,
        rule_id=rule.id,
        matched_rules=tuple([each.rule.id for each in ranked]),
        clauses=deciding.said,
        facts=tuple(sorted(labels.items())) if labels else (),
        conflicts=conflicts,
        constraints=_constraints(rule.effect, ranked),
        remediations=rule.remediations,
        snapshot=snapshot.digest,
    )


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


def _constraints(effect: Effect, rules: Sequence[CompiledRule]) -> Constraints | None:
    """What the rules bind together. An allow stands only when no rule constrains anything."""
    if effect is Effect.DENY or effect is Effect.ALLOW:
        return None
    return intersect(each.rule.constraints for each in rules if each.rule.constraints is not None)
