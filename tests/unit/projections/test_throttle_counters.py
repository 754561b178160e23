"""Throttle rules: the limit, the window, the key; bounded, and not dodged by leaving things out."""

from typing import Any

import pytest

from forestall.policy import Decision, Effect, Request
from forestall.policy.rules import Throttle
from forestall.projections import throttle_counters as throttles
from forestall.projections.throttle_counters import ThrottleCounters


def throttled(limit: int, window_ms: int, *key: str) -> Decision:
    return Decision(
        decision=Effect.THROTTLE,
        code="rule",
        rule_id="t",
        throttle=Throttle(limit=limit, window_ms=window_ms, key=key or ("tenant",)),
    )


def asked(**fields: Any) -> Request:
    return Request(**{"topic": "job.a", **fields})


def test_past_the_limit_the_rule_speaks_until_the_window_ends() -> None:
    counters, decision = ThrottleCounters(), throttled(2, 1_000)
    at = [counters.admits(decision, asked(), now_us=now) for now in (0, 1, 2, 999_999, 1_000_000)]
    assert at == [True, True, False, False, True]


def spends(limit: int, *amounts: Any) -> list[bool]:
    counters = ThrottleCounters()
    throttle = Throttle(limit=limit, window_ms=1_000, key=("tenant",), sum="$.amount")
    decision = Decision(decision=Effect.THROTTLE, code="rule", rule_id="t", throttle=throttle)
    return [
        counters.admits(decision, asked(args={"amount": amount}), now_us=0) for amount in amounts
    ]


def test_a_budget_is_spent_by_amounts() -> None:
    assert spends(10, 4, 5, 2, 1, 1, 0) == [True, True, False, True, False, True]
    assert spends(1, *[0.1] * 11) == [True] * 10 + [False]
    assert spends(10**15, 10**15, 1e-7, 10**400, 1e300) == [True, False, False, False]


@pytest.mark.parametrize(
    "amount", [-5, -0.0001, float("nan"), float("inf"), -float("inf"), "5", True, None, [5], {}]
)
def test_no_amount_lowers_or_dodges_a_budget(amount: Any) -> None:
    assert spends(10, 10, amount, 1) == [True, False, False]
    assert spends(10, amount) == [False]


def test_amounts_too_small_to_count_are_counted() -> None:
    assert spends(1, *[1e-12] * 3, 1) == [True, True, True, False]


def test_a_budget_adds_up_the_elements_of_a_list() -> None:
    counters = ThrottleCounters()
    throttle = Throttle(limit=10, window_ms=1_000, key=("tenant",), sum="$.items[*].price")
    decision = Decision(decision=Effect.THROTTLE, code="rule", rule_id="t", throttle=throttle)

    def admits(*prices: Any) -> bool:
        items = [{"price": price} for price in prices]
        return counters.admits(decision, asked(args={"items": items}), now_us=0)

    assert admits(3, 4)
    assert not admits(20, -17)
    assert not admits(2, 2)
    assert admits(3)


def test_an_amount_in_two_places_counts_by_the_larger_one() -> None:
    counters = ThrottleCounters()
    throttle = Throttle(limit=10, window_ms=1_000, key=("tenant",), sum="$.amount")
    decision = Decision(decision=Effect.THROTTLE, code="rule", rule_id="t", throttle=throttle)
    both = asked(args={"amount": 1}, payload={"prompt": "", "context": {"amount": 9}})
    assert counters.admits(decision, both, now_us=0)
    assert not counters.admits(decision, asked(args={"amount": 2}), now_us=0)


def test_a_rule_without_a_limit_throttles_always() -> None:
    always = Decision(decision=Effect.THROTTLE, code="rule", rule_id="t")
    assert not ThrottleCounters().admits(always, asked(), now_us=0)


def test_simulate_counts_nothing() -> None:
    counters, decision = ThrottleCounters(), throttled(1, 1_000)
    assert all(counters.admits(decision, asked(), now_us=0, count=False) for _ in range(3))
    assert counters.admits(decision, asked(), now_us=0)
    assert not counters.admits(decision, asked(), now_us=0, count=False)


def test_keys_are_counted_apart_and_absence_is_a_key() -> None:
    counters, decision = ThrottleCounters(), throttled(1, 1_000, "tenant", "labels.team")
    one = asked(labels={"team": "a"})
    assert counters.admits(decision, one, now_us=0)
    assert not counters.admits(decision, one, now_us=0)
    assert counters.admits(decision, asked(), now_us=0)
    assert not counters.admits(decision, asked(labels={"other": "x"}), now_us=0)


def test_a_claimed_actor_does_not_give_a_counter_of_its_own() -> None:
    counters, decision = ThrottleCounters(), throttled(1, 1_000, "actor_id")
    assert counters.admits(decision, asked(principal="p", actor_id="a"), now_us=0)
    assert not counters.admits(decision, asked(principal="p", actor_id="b"), now_us=0)


def test_full_of_counters_means_over_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed, and open again when old windows have ended."""
    monkeypatch.setattr(throttles, "THROTTLE_COUNTERS_MAX", 2)
    counters, decision = ThrottleCounters(), throttled(5, 1_000, "topic")
    assert counters.admits(decision, asked(topic="job.a"), now_us=0)
    assert counters.admits(decision, asked(topic="job.b"), now_us=0)
    assert not counters.admits(decision, asked(topic="job.c"), now_us=0)
    assert counters.admits(decision, asked(topic="job.a"), now_us=0)
    assert counters.admits(decision, asked(topic="job.c"), now_us=1_000_000)


def test_a_principal_that_asks_under_ever_new_keys_meets_its_own_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others of its tenant have counters still, and other tenants too."""
    monkeypatch.setattr(throttles, "THROTTLE_COUNTERS_PER_PRINCIPAL_MAX", 2)
    monkeypatch.setattr(throttles, "THROTTLE_COUNTERS_PER_TENANT_MAX", 3)
    counters, decision = ThrottleCounters(), throttled(5, 1_000, "topic", "tenant")

    def admits(principal: str, topic: str, tenant: str = "one", now_us: int = 0) -> bool:
        request = asked(principal=principal, topic=f"job.{topic}", tenant=tenant)
        return counters.admits(decision, request, now_us=now_us)

    assert [admits("hostile", topic) for topic in "abcda"] == [True, True, False, False, True]
    assert [admits("neighbour", topic) for topic in "xy"] == [True, False], "the tenant is full"
    assert admits("stranger", "x", "two")
    assert admits("hostile", "c", now_us=1_000_000), "windows have ended"


def test_a_full_table_is_swept_once_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttles, "THROTTLE_COUNTERS_PER_PRINCIPAL_MAX", 1)
    counters, decision = ThrottleCounters(), throttled(5, 1, "topic")
    seen = [
        counters.admits(decision, asked(topic=f"job.{n}"), now_us=n * 100_000) for n in range(25)
    ]
    assert [number for number, admitted in enumerate(seen) if admitted] == [0, 1, 11, 21]
