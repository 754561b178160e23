"""Adding a file never weakens what a rule of another file decided.

Where only the default spoke, a new file may allow. Whatever a file may hold is drawn: rules of
every effect with exceptions, claims, throttles and arguments, input and output rules, label trust,
derivations, own programs, a default, a layer of invariants. A file that says of a label that it
believes whatever is derived (`trust: derived`) is not among the first ones: it asked for that.
"""

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from forestall.facts.derive import DERIVED_LABELS
from forestall.facts.origin import Origin
from forestall.output.findings import Scan
from forestall.policy import Effect, Policy, Request, evaluate
from forestall.policy.approval import is_met
from forestall.policy.compile import assemble
from forestall.policy.output_verdict import judge
from tests.oracle import NOON, Verdict, oracle
from tests.property import foreign_labels
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
NOTHING_FOUND = Scan(findings=(), complete=True, reasons=(), size_bytes=3, encoding="utf-8")


@MANY
@given(policies(), policies(), asked, st.data())
def test_an_added_file_never_weakens_what_a_rule_decided(
    layers: list[Policy],
    others: list[Policy],
    questions: list[tuple[Request, datetime]],
    data: st.DataObject,
) -> None:
    layers, added = _accepting_nothing(layers), _renamed(others[0])
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
        for number, layer in enumerate(_accepting_nothing(layers))
    ]
    added = replace(_renamed(others[0]), output_rules=data.draw(output_rules("added")))
    before, after = assemble(layers), assemble([*layers, added])
    for request, now in questions:
        was, now_is = (
            judge(snapshot, request, NOTHING_FOUND, content_type="text/plain", now=now)
            for snapshot in (before, after)
        )
        if was.code != "default":
            assert now_is.verdict.strictness >= was.verdict.strictness


@MANY
@given(foreign_labels.readers("p"), foreign_labels.derivers, foreign_labels.asked)
def test_a_label_that_only_an_added_file_derives_never_loosens(
    policy: Policy, added: Policy, questions: list[Request]
) -> None:
    before, after = assemble([policy]), assemble([policy, added])
    for request in questions:
        was, now_is = (evaluate(each, request, now=NOON) for each in (before, after))
        verdict = Verdict(now_is.decision, now_is.rule_id, now_is.code)
        assert verdict == oracle([policy, added], request)
        if was.code != "default":
            assert now_is.decision.strictness >= was.decision.strictness
        result_was, result_is = (
            judge(each, request, NOTHING_FOUND, content_type="text/plain", now=NOON)
            for each in (before, after)
        )
        if result_was.code != "default":
            assert result_is.verdict.strictness >= result_was.verdict.strictness
    CASES["a label of an added file never loosens"] += len(questions)


def _accepting_nothing(layers: list[Policy]) -> list[Policy]:
    """The layers without a word that they believe what other files derive."""
    return [
        replace(
            layer,
            label_trust={
                label: origin
                for label, origin in layer.label_trust.items()
                if label not in DERIVED_LABELS or origin is not Origin.DERIVED
            },
        )
        for layer in layers
    ]


def _renamed(policy: Policy) -> Policy:
    """The policy under names of its own."""
    return replace(
        policy,
        name=f"added {policy.name}",
        rules=tuple(replace(rule, id=f"added {rule.id}") for rule in policy.rules),
        input_rules=tuple(replace(rule, id=f"added {rule.id}") for rule in policy.input_rules),
    )
