"""Evaluate, explain and the oracle agree on every policy and request."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.policy import Decision, Effect, Policy, Request, evaluate, explain
from forestall.policy.approval import combine_terms, is_met
from forestall.policy.cache import DecisionCache
from forestall.policy.compile import assemble
from forestall.policy.rules import ApprovalTerms, Match, Rule
from tests.oracle import STRICTNESS, Verdict, enough_approvers, oracle, shortest_time
from tests.property.strategies import (
    ASKED_PER_POLICY,
    CASES,
    EXAMPLES,
    POLICIES,
    SHARES,
    approval_terms,
    approvers,
    asked,
    instants,
    labels,
    limited_throttles,
    policies,
    requests,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MANY = settings(max_examples=POLICIES, deadline=None)
SOME = settings(max_examples=max(50, min(EXAMPLES // 10, 2_000)), deadline=None)


def verdict_of(decision: Decision) -> Verdict:
    return Verdict(decision.decision, decision.rule_id, decision.code)


@pytest.mark.parametrize("share", range(SHARES))
@MANY
@given(policies(), asked, st.data())
def test_index_cache_and_oracle_agree(
    share: int, layers: list[Policy], questions: list[tuple[Request, datetime]], data: st.DataObject
) -> None:
    """Each question decided by the index, through a cache that all of them share, by the oracle."""
    snapshot = assemble(layers)
    cache = DecisionCache(entries_max=ASKED_PER_POLICY // 2, ttl_ms=60_000)
    throttles = limited_throttles(layers)
    lifted = frozenset(data.draw(st.sets(st.sampled_from(throttles))) if throttles else ())
    for request, now in questions:
        decision = evaluate(snapshot, request, now=now, lifted=lifted)
        assert verdict_of(decision) == oracle(layers, request, now=now, lifted=lifted)
        now_us = (now - EPOCH) // timedelta(microseconds=1)
        again = cache.evaluate(snapshot, request, now=now, now_us=now_us, lifted=lifted)
        assert again == decision
    CASES["index = cached = oracle"] += len(questions)


@SOME
@given(policies(), requests, instants, st.data())
def test_an_approval_meets_the_terms_of_every_rule_that_holds(
    layers: list[Policy], request: Request, now: datetime, data: st.DataObject
) -> None:
    """Whoever is enough for the decision is enough for each rule, and the other way round."""
    decision = evaluate(assemble(layers), request, now=now)
    if decision.decision is not Effect.REQUIRE_APPROVAL:
        assert decision.approval is None
        return
    people = data.draw(approvers)
    enough = enough_approvers(layers, request, people, now=now)
    assert is_met(decision.approval, people) is enough
    ttl_ms = shortest_time(layers, request, now=now, lifted=frozenset())
    assert (decision.approval.ttl_ms if decision.approval else None) == ttl_ms


@SOME
@given(st.lists(approval_terms, min_size=1, max_size=4), approval_terms, approvers)
def test_more_terms_can_tighten_and_never_loosen(
    given_terms: list[ApprovalTerms], more: ApprovalTerms, people: list[set[str]]
) -> None:
    few, many = combine_terms(given_terms), combine_terms([*given_terms, more])
    assert few is not None
    assert many is not None
    assert is_met(few, people) or not is_met(many, people)
    assert many.quorum >= max(few.quorum, more.quorum)
    assert is_met(many, people) == is_met(combine_terms([more, *given_terms]), people)


@SOME
@given(policies(), requests, instants)
def test_explain_gives_the_same_decision(
    layers: list[Policy], request: Request, now: datetime
) -> None:
    snapshot = assemble(layers)
    explanation = explain(snapshot, request, now=now)
    assert explanation.decision == evaluate(snapshot, request, now=now)
    for rule in explanation.rules:
        assert rule.matched == (not rule.failed)
        assert rule.matched or not rule.spoke


@SOME
@given(policies(), requests, labels)
def test_a_claim_can_tighten_and_never_loosen(
    layers: list[Policy], request: Request, claims: dict[str, str]
) -> None:
    """Claims on labels that demand a stronger origin: with them is never laxer than without."""
    snapshot = assemble(layers)
    guarded = {name: value for name, value in claims.items() if snapshot.label_trust.get(name)}
    rest = {
        name: value for name, value in request.labels.items() if not snapshot.label_trust.get(name)
    }
    silent = Request(**{**_fields(request), "labels": rest})
    claiming = Request(**{**_fields(request), "labels": {**rest, **guarded}})
    strict = evaluate(snapshot, silent, now=NOW).decision.strictness
    assert evaluate(snapshot, claiming, now=NOW).decision.strictness >= strict


@SOME
@given(policies(), requests, st.sampled_from(list(Effect)))
def test_another_layer_can_tighten_and_never_loosen(
    layers: list[Policy], request: Request, effect: Effect
) -> None:
    """A rule for everything in a layer of its own never makes a matched request laxer."""
    if effect is Effect.ALLOW_WITH_CONSTRAINTS:
        effect = Effect.ALLOW
    everything = Rule(id="all", effect=effect, match=Match(topics=("*",)))
    extra = Policy(name="extra", source="", invariants=True, rules=(everything,))
    before = evaluate(assemble(layers), request, now=NOW)
    after = evaluate(assemble([*layers, extra]), request, now=NOW)
    if before.code == "rule":
        assert after.decision.strictness >= before.decision.strictness
    assert after.decision.strictness >= effect.strictness


@SOME
@given(policies(), requests, instants)
def test_lifting_what_did_not_speak_changes_nothing(
    layers: list[Policy], request: Request, now: datetime
) -> None:
    """A gate lifts a throttle that is inside its limit; the decision is of the others then."""
    snapshot = assemble(layers)
    before = evaluate(snapshot, request, now=now)
    silent = frozenset(limited_throttles(layers)) - set(before.matched_rules)
    after = evaluate(snapshot, request, now=now, lifted=silent)
    assert verdict_of(after) == verdict_of(before)


@SOME
@given(policies(), requests)
def test_the_digest_tells_policies_apart(layers: list[Policy], request: Request) -> None:
    """Same digest, same decisions: dropping a rule or flipping the default changes the digest."""
    snapshot = assemble(layers)
    assert assemble(list(reversed(layers))).digest == snapshot.digest
    for number, layer in enumerate(layers):
        if layer.rules:
            fewer = [*layers]
            fewer[number] = Policy(**{**_fields(layer), "rules": layer.rules[1:]})
            assert assemble(fewer).digest != snapshot.digest


def test_strictness_is_the_order_of_the_design() -> None:
    assert sorted(Effect, key=lambda effect: effect.strictness) == STRICTNESS


def _fields(value: Request | Policy) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}
