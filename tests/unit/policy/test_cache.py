"""The decision cache over time, and every part of its key: one fact that changes, one new decision.

Laws at random are in tests/property/test_cache.py; these are the cases that chance finds seldom.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forestall.policy import Effect, Request, load_policy
from forestall.policy.cache import DecisionCache, cache_key
from forestall.policy.compile import assemble
from forestall.policy.request import Delegation
from forestall.policy.snapshot import Snapshot

NONE: frozenset[str] = frozenset()
MINUTE = timedelta(minutes=1)


def snapshot_of(rules: str, *, default: str = "deny") -> Snapshot:
    text = f"default_decision: {default}\nrules:\n{rules}"
    return assemble([load_policy(text)])


def asked(cache: DecisionCache, snapshot: Snapshot, now: datetime, **fields: Any) -> Effect:
    """The decision at an instant, from the cache where it has one."""
    request = Request(**{"topic": "job.a", **fields})
    now_us = int(now.timestamp() * 1_000_000)
    return cache.evaluate(snapshot, request, now=now, now_us=now_us).decision


OFFICE = """
  - id: office
    decision: allow
    match: {topics: ["job.a"], time: {days: [mon, tue, wed, thu, fri], hours: ["09:00-17:30"],
            timezone: Europe/Berlin}}
"""
NIGHT = OFFICE.replace("09:00-17:30", "22:00-06:00")


@pytest.mark.parametrize(
    ("rules", "edge", "before", "after"),
    [
        # Europe/Berlin is one hour ahead of UTC in January, two in July.
        (OFFICE, datetime(2026, 1, 5, 8, 0, tzinfo=UTC), Effect.DENY, Effect.ALLOW),
        (OFFICE, datetime(2026, 1, 5, 16, 30, tzinfo=UTC), Effect.ALLOW, Effect.DENY),
        (OFFICE, datetime(2026, 7, 6, 15, 30, tzinfo=UTC), Effect.ALLOW, Effect.DENY),
        (NIGHT, datetime(2026, 1, 5, 21, 0, tzinfo=UTC), Effect.DENY, Effect.ALLOW),
        (NIGHT, datetime(2026, 1, 6, 5, 0, tzinfo=UTC), Effect.ALLOW, Effect.DENY),
        # the night from Friday ends with Friday: Saturday is no day of the rule
        (NIGHT, datetime(2026, 1, 9, 23, 0, tzinfo=UTC), Effect.ALLOW, Effect.DENY),
    ],
)
def test_no_decision_outlives_the_end_of_a_time_window(
    rules: str, edge: datetime, before: Effect, after: Effect
) -> None:
    """Asked just before and just after, and the other way round, with a cache that keeps long."""
    snapshot, tick = snapshot_of(rules), timedelta(microseconds=1)
    for first, then, wanted in (
        (edge - tick, edge, after),
        (edge - MINUTE, edge, after),
        (edge, edge - tick, before),
        (edge, edge + tick, after),
        (edge - tick, edge + timedelta(minutes=29), after),
    ):
        cache = DecisionCache(entries_max=9, ttl_ms=3_600_000)
        asked(cache, snapshot, first)
        assert asked(cache, snapshot, then) is wanted, (first, then)


def test_inside_a_minute_a_decision_about_time_is_kept() -> None:
    cache, snapshot = DecisionCache(entries_max=9, ttl_ms=3_600_000), snapshot_of(OFFICE)
    noon = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
    for seconds in range(0, 60, 10):
        asked(cache, snapshot, noon + timedelta(seconds=seconds))
    assert (cache.hits, cache.misses) == (5, 1)


NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def test_a_decision_of_another_policy_is_no_answer() -> None:
    cache = DecisionCache(entries_max=9, ttl_ms=3_600_000)
    allows = snapshot_of('  - {id: a, decision: allow, match: {topics: ["job.a"]}}\n')
    denies = snapshot_of('  - {id: a, decision: deny, match: {topics: ["job.a"]}}\n')
    assert asked(cache, allows, NOON) is Effect.ALLOW
    assert asked(cache, denies, NOON) is Effect.DENY


def test_a_rule_that_is_lifted_once_is_not_lifted_for_the_next() -> None:
    snapshot = snapshot_of(
        '  - {id: t, decision: throttle, match: {topics: ["job.a"]},'
        " throttle: {limit: 1, window: 1h}}\n"
        '  - {id: a, decision: allow, match: {topics: ["job.a"]}}\n'
    )
    cache, now_us = DecisionCache(entries_max=9, ttl_ms=3_600_000), 0
    request = Request(topic="job.a")
    for lifted, wanted in (
        (frozenset({"t"}), Effect.ALLOW),
        (NONE, Effect.THROTTLE),
        (frozenset({"t"}), Effect.ALLOW),
        (NONE, Effect.THROTTLE),
    ):
        found = cache.evaluate(snapshot, request, now=NOON, now_us=now_us, lifted=lifted)
        assert found.decision is wanted


READS_ALL = """
  - {id: labels, decision: deny, match: {topics: ["job.a"], labels: {env: prod}}}
  - {id: args, decision: deny, match: {topics: ["job.a"], args: {$.n: {gt: 5}}}}
  - {id: secret, decision: deny, match: {topics: ["job.a"], secrets_present: true}}
  - {id: near, decision: allow, match: {topics: ["job.a"], delegation: {forbid_delegated: true}}}
"""


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": {"env": "prod"}},
        {"credential_labels": {"env": "dev"}},
        {"server_labels": {"env": "dev"}},
        {"topic": "job.b"},
        {"payload": {"prompt": "p", "context": None}},
        {"args": {"n": 6}},
        {"delegation": Delegation(depth=1, issuers=("corp",), scope=())},
    ],
)
def test_each_fact_that_a_rule_reads_is_in_the_key(fields: dict[str, Any]) -> None:
    snapshot = snapshot_of(READS_ALL)
    base: dict[str, Any] = {"topic": "job.a", "labels": {"env": "dev"}, "args": {"n": 1}}
    keys = [
        cache_key(snapshot, Request(**{**base, **more}), now_us=0, lifted=NONE)
        for more in ({}, fields)
    ]
    assert None not in keys
    assert keys[0] != keys[1]


def test_who_says_a_label_is_in_the_key() -> None:
    """`env` of the client and `env` of the credential are two facts, with one value or without."""
    snapshot = snapshot_of(
        '  - {id: a, decision: allow, match: {topics: ["job.a"], labels: {env: dev}}}\n'
    )
    places = ("labels", "credential_labels", "server_labels")
    facts: list[dict[str, Any]] = [
        {place: {name: "dev"}} for place in places for name in ("env", "other")
    ]
    requests = [Request(topic="job.a", **each) for each in facts]
    keys = {cache_key(snapshot, each, now_us=0, lifted=NONE) for each in requests}
    assert len(keys) == 6


def test_an_error_is_decided_anew_each_time() -> None:
    snapshot = snapshot_of(
        '  - {id: n, decision: deny, match: {topics: ["job.a"], args: {$.n: {gt: 5}}}}\n',
    )
    cache = DecisionCache(entries_max=9, ttl_ms=3_600_000)
    request = Request(topic="job.a", args={"n": "many"})
    for _ in range(3):
        assert cache.evaluate(snapshot, request, now=NOON, now_us=0).code == "rule_error"
    assert (len(cache), cache.hits) == (0, 0)


def test_a_clock_that_goes_back_makes_no_entry_younger() -> None:
    cache = DecisionCache(entries_max=9, ttl_ms=1_000)
    snapshot = snapshot_of('  - {id: a, decision: allow, match: {topics: ["job.a"]}}\n')
    asked(cache, snapshot, NOON)
    asked(cache, snapshot, NOON - timedelta(seconds=1))
    assert (cache.hits, cache.misses) == (0, 2)
    asked(cache, snapshot, NOON + timedelta(hours=1))
    assert cache.hits == 0


def test_a_full_cache_forgets_the_oldest() -> None:
    cache = DecisionCache(entries_max=3, ttl_ms=3_600_000)
    snapshot = snapshot_of('  - {id: a, decision: allow, match: {topics: ["job.*"]}}\n')
    for number in range(10):
        asked(cache, snapshot, NOON, topic=f"job.t{number}")
        assert len(cache) <= 3
    assert cache.evictions == 7
