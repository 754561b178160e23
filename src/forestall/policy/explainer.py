"""Explain a decision: what `evaluate` returns, and which clauses of the nearest rules held or
failed.

The decision comes from `evaluate` alone. Each clause is then tested by `rule_conditions`, without
the index.
"""

from datetime import datetime

import msgspec

from forestall.facts.derive import LabelView
from forestall.limits import EXPLAINED_RULES_MAX
from forestall.policy.arguments import ArgumentError
from forestall.policy.calendar import CalendarError
from forestall.policy.claims import attested_views, exceptions
from forestall.policy.evaluator import evaluate
from forestall.policy.explanation import (
    ExplainedRule,
    Explanation,
    OwnProgramUse,
    UnreadPlace,
)
from forestall.policy.label_views import programs_run, unread_places, variants_of, views_of
from forestall.policy.request import Request, looked_into
from forestall.policy.rule_conditions import CompiledClause, rule_clauses
from forestall.policy.rules import Clause, Decision, Rule
from forestall.policy.snapshot import Snapshot
from forestall.structs import copied


def explain(
    snapshot: Snapshot, request: Request, *, now: datetime, own_only: bool = False
) -> Explanation:
    """Evaluate, then test every clause of every rule. Rules that spoke come first, or the rule that
    could not be evaluated, then the rules with the fewest failed clauses; at most
    EXPLAINED_RULES_MAX of them.

    `own_only` leaves out rules for other tenants than the one of the request: such a rule names the
    other tenant, and what that tenant is not allowed.
    """
    decision = evaluate(snapshot, request, now=now)
    views: tuple[LabelView, ...] = ()
    unread: tuple[UnreadPlace, ...] = ()
    programs: tuple[OwnProgramUse, ...] = ()
    try:
        views, _ = views_of(snapshot, request)
        unread = unread_places(snapshot, request)
        programs = _own_programs(snapshot, request)
    except Exception:  # noqa: BLE001 - the decision is the rule error of this, and says so
        views = ()
    variants = attested_views(variants_of(snapshot, looked_into(request)).requests)
    explained = [
        _nearest(snapshot, layer.name, rule, variants, views, decision, now)
        for layer in snapshot.layers
        for rule in layer.rules
        if views
    ]
    if own_only:
        explained = [
            rule for rule in explained if all(clause.field != "tenants" for clause in rule.failed)
        ]
    explained.sort(
        key=lambda rule: (
            not rule.spoke and not any(clause in rule.failed for clause in decision.clauses),
            len(rule.failed),
            -len(rule.held),
        )
    )
    return Explanation(
        decision=decision,
        rules=tuple(explained[:EXPLAINED_RULES_MAX]),
        views=views,
        default_decision=snapshot.default,
        default_used=decision.code == "default",
        unread=unread,
        own_programs=programs,
    )


def _own_programs(snapshot: Snapshot, request: Request) -> tuple[OwnProgramUse, ...]:
    """The own programs that the payload of a request runs. Raises TooMuchToDeriveError."""
    described = {own.name: policy.name for policy in snapshot.policies for own in policy.programs}
    if not described:
        return ()
    return tuple(
        OwnProgramUse(
            program=name,
            described_by=described[name],
            used_by=tuple(
                policy.name
                for policy in snapshot.policies
                if any(own.name == name for own in policy.all_programs)
            ),
        )
        for name in sorted(described.keys() & programs_run(snapshot, request))
    )


def _nearest(
    snapshot: Snapshot,
    layer: str,
    rule: Rule,
    variants: tuple[Request, ...],
    views: tuple[LabelView, ...],
    decision: Decision,
    now: datetime,
) -> ExplainedRule:
    """The rule under the variant and label view in which the fewest of its clauses failed."""
    clauses = rule_clauses(rule)
    foreign = snapshot.foreign_of_rule.get(rule.id)
    held, failed = min(
        (
            _tested(clauses, request, labels, exception_of, now)
            for request in variants
            for labels in views
            for exception_of in exceptions(rule, request, labels, foreign)
        ),
        key=lambda tested: len(tested[1]),
    )
    return copied(
        ExplainedRule,
        rule,
        rule_id=rule.id,
        layer=layer,
        matched=not failed,
        spoke=rule.id in decision.matched_rules,
        held=held,
        failed=failed,
    )


def _tested(
    clauses: tuple[CompiledClause, ...],
    request: Request,
    labels: LabelView,
    exception_of: tuple[Request, LabelView],
    now: datetime,
) -> tuple[tuple[Clause, ...], tuple[Clause, ...]]:
    """The clauses that held and those that failed, on one request under one label view; `unless` is
    tested on `exception_of`. A clause that cannot be evaluated failed."""
    held: list[Clause] = []
    failed: list[Clause] = []
    for each in clauses:
        try:
            tested_on = exception_of if each.clause.field == "unless" else (request, labels)
            passed = each.holds(*tested_on, now)
            has = tuple(each.found(*tested_on, now))
        except (ArgumentError, CalendarError) as error:
            passed, has = False, (str(error),)
        except Exception as error:  # noqa: BLE001 - as in evaluate: only the type is shown
            passed, has = False, (type(error).__name__,)
        (held if passed else failed).append(msgspec.structs.replace(each.clause, found=has))
    return tuple(held), tuple(failed)
