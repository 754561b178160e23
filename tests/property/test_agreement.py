"""Evaluate, explain and the oracle agree on every policy and request (STYLE 2, habit 12)."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.policy import Effect, Policy, Request, compile_policy, evaluate, explain
from forestall.policy.rules import Match, Rule
from tests.oracle import STRICTNESS, oracle
from tests.property.strategies import labels, policies, requests

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@settings(max_examples=1_000)
@given(policies(), requests)
def test_index_and_oracle_agree(layers: list[Policy], request: Request) -> None:
    decision = evaluate(compile_policy(layers), request, now=NOW)
    assert (decision.decision, decision.rule_id) == oracle(layers, request)


@given(policies(), requests)
def test_explain_gives_the_same_decision(layers: list[Policy], request: Request) -> None:
    snapshot = compile_policy(layers)
    explanation = explain(snapshot, request, now=NOW)
    assert explanation.decision == evaluate(snapshot, request, now=NOW)
    for rule in explanation.rules:
        assert rule.matched == (not rule.failed)
        assert rule.matched or not rule.spoke


@given(policies(), requests, labels)
def test_a_claim_can_tighten_and_never_loosen(
    layers: list[Policy], request: Request, claims: dict[str, str]
) -> None:
    """Claims on labels that demand a stronger origin: with them is never laxer than without."""
    snapshot = compile_policy(layers)
    guarded = {name: value for name, value in claims.items() if snapshot.label_trust.get(name)}
    rest = {
        name: value for name, value in request.labels.items() if not snapshot.label_trust.get(name)
    }
    silent = Request(**{**_fields(request), "labels": rest})
    claiming = Request(**{**_fields(request), "labels": {**rest, **guarded}})
    strict = evaluate(snapshot, silent, now=NOW).decision.strictness
    assert evaluate(snapshot, claiming, now=NOW).decision.strictness >= strict


@given(policies(), requests, st.sampled_from(list(Effect)))
def test_another_layer_can_tighten_and_never_loosen(
    layers: list[Policy], request: Request, effect: Effect
) -> None:
    """A rule for everything in a layer of its own never makes a matched request laxer."""
    if effect is Effect.ALLOW_WITH_CONSTRAINTS:
        effect = Effect.ALLOW
    everything = Rule(id="all", effect=effect, match=Match(topics=("*",)))
    extra = Policy(name="extra", source="", invariants=True, rules=(everything,))
    before = evaluate(compile_policy(layers), request, now=NOW)
    after = evaluate(compile_policy([*layers, extra]), request, now=NOW)
    if before.code == "rule":
        assert after.decision.strictness >= before.decision.strictness
    assert after.decision.strictness >= effect.strictness


@given(policies(), requests)
def test_the_digest_tells_policies_apart(layers: list[Policy], request: Request) -> None:
    """Same digest, same decisions: dropping a rule or flipping the default changes the digest."""
    snapshot = compile_policy(layers)
    assert compile_policy(list(reversed(layers))).digest == snapshot.digest
    for number, layer in enumerate(layers):
        if layer.rules:
            fewer = [*layers]
            fewer[number] = Policy(**{**_fields(layer), "rules": layer.rules[1:]})
            assert compile_policy(fewer).digest != snapshot.digest


def test_strictness_is_the_order_of_the_design() -> None:
    assert sorted(Effect, key=lambda effect: effect.strictness) == STRICTNESS


def _fields(value: Request | Policy) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}
