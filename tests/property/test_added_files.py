"""Adding a file never weakens what a rule of another file decided.

Where only the default spoke, a new file may allow. Whatever a file may hold is drawn: rules of
every effect with exceptions, claims, throttles and arguments, input and output rules, label trust,
derivations, own programs, a default, a layer of invariants.
"""

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from forestall.output.findings import Scan
from forestall.policy import Effect, Policy, Request, evaluate
from forestall.policy.approval import is_met
from forestall.policy.compile import assemble
from forestall.policy.output_verdict import judge
from tests.property.strategies import (
    ASKED_PER_POLICY,
    CASES,
    POLICIES,
    SHARES,
    approvers,
    asked,
    limited_throttles,
    output_rules,
    policies,
)

MANY = settings(max_examples=POLICIES * SHARES, deadline=None)


@MANY
@given(policies(), policies(), asked, st.data())
def test_an_added_file_never_weakens_what_a_rule_decided(
    layers: list[Policy],
    others: list[Policy],
    questions: list[tuple[Request, datetime]],
    data: st.DataObject,
) -> None:
    added = _renamed(others[0])
    before, after = assemble(layers), assemble([*layers, added])
    throttles = limited_throttles([*layers, added])
    lifted = frozenset(data.draw(st.sets(st.sampled_from(throttles))) if throttles else ())
    people = data.draw(approvers)
    for request, now in questions:
        was = evaluate(before, request, now=now, lifted=lifted)
        if was.code == "default":
            continue
        now_is = evaluate(after, request, now=now, lifted=lifted)
        assert now_is.decision.strictness >= was.decision.strictness
        if was.decision is now_is.decision is Effect.REQUIRE_APPROVAL:
            assert is_met(was.approval, people) or not is_met(now_is.approval, people)
        if was.constraints is not None and now_is.decision is not Effect.DENY:
            assert now_is.constraints is not None
    CASES["an added file = at least as strict"] += ASKED_PER_POLICY


@MANY
@given(policies(), policies(), st.data(), asked)
def test_an_added_file_never_reveals_what_a_rule_withheld(
    layers: list[Policy],
    others: list[Policy],
    data: st.DataObject,
    questions: list[tuple[Request, datetime]],
) -> None:
    layers = [
        replace(layer, output_rules=data.draw(output_rules(f"o{number}")))
        for number, layer in enumerate(layers)
    ]
    added = replace(_renamed(others[0]), output_rules=data.draw(output_rules("added")))
    before, after = assemble(layers), assemble([*layers, added])
    nothing = Scan(findings=(), complete=True, reasons=(), size_bytes=3, encoding="utf-8")
    for request, now in questions:
        was, now_is = (
            judge(snapshot, request, nothing, content_type="text/plain", now=now)
            for snapshot in (before, after)
        )
        if was.code != "default":
            assert now_is.verdict.strictness >= was.verdict.strictness


def _renamed(policy: Policy) -> Policy:
    """The policy under names of its own."""
    return replace(
        policy,
        name=f"added {policy.name}",
        rules=tuple(replace(rule, id=f"added {rule.id}") for rule in policy.rules),
        input_rules=tuple(replace(rule, id=f"added {rule.id}") for rule in policy.input_rules),
    )
