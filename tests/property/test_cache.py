"""With the cache on, no request ever gets another decision than without (control 9)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.policy import Effect, Policy, Request, evaluate, load_policy
from forestall.policy.cache import DecisionCache, cache_key
from forestall.policy.compile import assemble
from tests.property.strategies import policies, requests

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NONE: frozenset[str] = frozenset()


@settings(max_examples=400)
@given(
    policies(),
    st.lists(requests, min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 200_000_000)), min_size=1, max_size=12),
    st.integers(1, 4),
)
def test_cached_and_uncached_agree(
    layers: list[Policy],
    asked: list[Request],
    order: list[tuple[int, int]],
    entries_max: int,
) -> None:
    """Any order of requests and instants (the clock may go back), and a cache of any size."""
    snapshot = assemble(layers)
    cache = DecisionCache(entries_max=entries_max, ttl_ms=60_000)
    for choice, now_us in order:
        request = asked[choice % len(asked)]
        now = EPOCH + timedelta(microseconds=now_us)
        cached = cache.evaluate(snapshot, request, now=now, now_us=now_us)
        assert cached == evaluate(snapshot, request, now=now)
        assert len(cache) <= entries_max


@settings(max_examples=300)
@given(policies(), requests, requests)
def test_one_key_means_one_decision(layers: list[Policy], first: Request, second: Request) -> None:
    snapshot = assemble(layers)
    keys = [cache_key(snapshot, each, now_us=0, lifted=NONE) for each in (first, second)]
    if keys[0] is not None and keys[0] == keys[1]:
        assert evaluate(snapshot, first, now=EPOCH) == evaluate(snapshot, second, now=EPOCH)


POLICY = """
rules:
  - {id: a, decision: allow, match: {topics: ["job.a"], labels: {env: dev}}}
  - {id: h, decision: require_approval, match: {topics: ["job.h"]}}
  - {id: t, decision: throttle, match: {topics: ["job.t"]}}
"""


def asks(cache: DecisionCache, now_us: int, **fields: Any) -> Effect:
    request = Request(**{"topic": "job.a", "labels": {"env": "dev"}, **fields})
    now = EPOCH + timedelta(microseconds=now_us)
    return cache.evaluate(assemble([load_policy(POLICY)]), request, now=now, now_us=now_us).decision


def test_hits_misses_expiry_and_eviction_are_counted() -> None:
    cache = DecisionCache(entries_max=2, ttl_ms=1)
    asks(cache, 0)
    asks(cache, 999)
    assert (cache.hits, cache.misses) == (1, 1)
    asks(cache, 1_000)  # expired
    assert (cache.hits, cache.misses, cache.evictions) == (1, 2, 0)
    for env in ("x", "y"):
        asks(cache, 1_000, labels={"env": env})
    assert (len(cache), cache.evictions) == (2, 1)
    cache.flush()
    assert len(cache) == 0


def test_what_no_rule_reads_is_not_in_the_key() -> None:
    """Else an agent could make every request a miss and fill the cache with itself."""
    cache = DecisionCache(entries_max=9, ttl_ms=1_000)
    for noise in range(5):
        asks(cache, 0, labels={"env": "dev", "noise": str(noise)}, capability=str(noise))
    assert (cache.hits, cache.misses) == (4, 1)


@pytest.mark.parametrize("topic", ["job.h", "job.t"])
def test_what_may_go_stale_is_never_kept(topic: str) -> None:
    cache = DecisionCache(entries_max=9, ttl_ms=1_000)
    for _ in range(3):
        asks(cache, 0, topic=topic)
    assert (cache.hits, len(cache)) == (0, 0)


def test_parts_of_the_key_do_not_run_into_each_other() -> None:
    snapshot = assemble([load_policy(POLICY)])
    one = Request(topic="job.a", labels={"env": "a"})
    two = Request(topic="job.a", credential_labels={"env": "a"})
    keys = {cache_key(snapshot, each, now_us=0, lifted=NONE) for each in (one, two)}
    assert len(keys) == 2
