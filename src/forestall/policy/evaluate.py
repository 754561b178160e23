"""Decide one request against one snapshot. No clock, no store, no network lives here.

Rule 1: the same inputs give the same decision. Rule 2: an error denies; it never skips.
Rule 3: inside a layer the first matching rule speaks; across layers and across views the
strictest decision stands and constraints intersect (DESIGN 3).
"""

from datetime import datetime

from forestall.facts.derive import LabelView
from forestall.policy.compile import CompiledRule, Layer, Snapshot
from forestall.policy.constraints import intersect
from forestall.policy.request import Request
from forestall.policy.rules import Clause, Constraints, Decision, Effect, Rule
from forestall.policy.views import Views, views_of

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
    except Exception as error:  # noqa: BLE001 - whatever fails here must deny, never skip
        return rule_error(snapshot, error)
    return _combine(snapshot, request, verdicts, Views(views, conflicts))


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
        for compiled in layer.rules:
            if all(clause.holds(request, labels) for clause in compiled.clauses):
                found.append(compiled)
                break
    return tuple(found)


def _combine(
    snapshot: Snapshot,
    request: Request,
    verdicts: list[tuple[tuple[CompiledRule, ...], LabelView]],
    views: Views,
) -> Decision:
    """The strictest over all views; a view in which no rule speaks has the default decision."""
    deciding: CompiledRule | None = None
    deciding_labels = verdicts[0][1]
    strictest: Effect | None = None
    speakers: dict[str, Rule] = {}
    for rules, labels in verdicts:
        candidates: tuple[CompiledRule | None, ...] = rules or (None,)
        for compiled in candidates:
            effect = snapshot.default if compiled is None else compiled.rule.effect
            if compiled is not None:
                speakers[compiled.rule.id] = compiled.rule
            if strictest is None or effect.strictness > strictest.strictness:
                strictest, deciding, deciding_labels = effect, compiled, labels
    assert strictest is not None, "there is always at least one view"
    ranked = sorted(speakers.values(), key=lambda rule: -rule.effect.strictness)
    return Decision(
        decision=strictest,
        code="rule" if deciding else "default",
        reason=deciding.rule.reason if deciding else _default_reason(strictest),
        rule_id=deciding.rule.id if deciding else "",
        matched_rules=tuple(rule.id for rule in ranked),
        clauses=held_clauses(deciding, request, deciding_labels) if deciding else (),
        facts=tuple(sorted(deciding_labels.items())),
        conflicts=views.conflicts,
        constraints=_constraints(strictest, ranked),
        remediations=deciding.rule.remediations if deciding else (),
        snapshot=snapshot.digest,
    )


def _constraints(effect: Effect, rules: list[Rule]) -> Constraints | None:
    if effect in (Effect.DENY, Effect.ALLOW):
        return None
    return intersect(rule.constraints for rule in rules if rule.constraints is not None)


def _default_reason(effect: Effect) -> str:
    return DEFAULT_ALLOW_REASON if effect is Effect.ALLOW else DEFAULT_DENY_REASON


def held_clauses(compiled: CompiledRule, request: Request, labels: LabelView) -> tuple[Clause, ...]:
    """The clauses of a rule with what they found; used for the reasons of a decision."""
    return tuple(
        Clause(field=clause.field, wanted=clause.wanted, found=found(clause.field, request, labels))
        for clause in compiled.clauses
    )


def found(field: str, request: Request, labels: LabelView) -> tuple[str, ...]:
    """What the request has in a field of `match`; empty when it has nothing there."""
    if field.startswith("labels."):
        value = labels.get(field.removeprefix("labels."))
        return () if value is None else (value,)
    if field in ("risk_tags", "requires"):
        return tuple(getattr(request, field))
    text = getattr(request, _FIELD_OF_CLAUSE[field])
    return (text,) if text else ()


_FIELD_OF_CLAUSE = {
    "topics": "topic",
    "tenants": "tenant",
    "capabilities": "capability",
    "actor_ids": "actor_id",
    "actor_types": "actor_type",
    "pack_ids": "pack_id",
}
