"""The laws of a token bucket, over made-up rates, bursts and instants."""

from hypothesis import given
from hypothesis import strategies as st

from forestall.server.rates import SECOND_NS, Buckets, RateLimitedError, Rates

RATES = st.integers(1, 1_000_000)
BURSTS = st.integers(1, 50)
GAPS = st.lists(
    st.one_of(st.just(0), st.integers(0, 2_000), st.integers(0, 3 * SECOND_NS)),
    min_size=1,
    max_size=120,
)


@given(RATES, BURSTS, GAPS, st.integers(0, 2**62))
def test_no_window_admits_more_than_a_burst_and_its_rate(
    rate: int, burst: int, gaps: list[int], start: int
) -> None:
    """Whatever the instants: in any window of t, at most burst + rate * t."""
    buckets = Buckets(rate, burst)
    now, admitted = start, []
    for gap in gaps:
        now += gap
        if buckets.take("k", now):
            admitted.append(now)
    for first, since in enumerate(admitted):
        for last in range(first, len(admitted)):
            window = admitted[last] - since
            assert (last - first + 1 - burst) * SECOND_NS <= rate * window


@given(RATES, BURSTS, st.lists(st.integers(-3 * SECOND_NS, 3 * SECOND_NS), max_size=120))
def test_a_clock_that_goes_back_gives_nothing(rate: int, burst: int, moves: list[int]) -> None:
    """However it jumps, it admits no more than the span between its extremes would."""
    buckets = Buckets(rate, burst)
    now = at = 10**15
    seen, admitted = [now], 0
    for move in moves:
        at += move
        seen.append(at)
        admitted += buckets.take("k", at)
    assert (admitted - burst) * SECOND_NS <= rate * (max(seen) - min(seen))


@given(RATES, BURSTS)
def test_a_whole_burst_and_then_the_rate(rate: int, burst: int) -> None:
    """A rested bucket gives exactly its burst, and one more after each interval."""
    buckets, now = Buckets(rate, burst), 10**15
    assert all(buckets.take("k", now) for _ in range(burst))
    assert not buckets.take("k", now)
    assert not buckets.take("k", now + buckets.interval - 1)
    assert buckets.take("k", now + buckets.interval)
    assert not buckets.take("k", now + buckets.interval)


@given(st.integers(1, 40), st.integers(1, 40), st.lists(st.integers(0, 10**9), max_size=80))
def test_what_is_refused_is_not_counted_and_the_advice_holds(
    per_key: int, per_tenant: int, gaps: list[int]
) -> None:
    """After Retry-After seconds of silence the request is admitted."""
    rates, now = Rates(per_key=per_key, per_tenant=per_tenant), 10**15
    for gap in gaps:
        now += gap
        try:
            rates.admit("k", "t", now)
        except RateLimitedError as refused:
            assert refused.retry_after_s is not None  # noqa: PT017 - not always refused
            now += refused.retry_after_s * SECOND_NS
            rates.admit("k", "t", now)


def test_no_more_buckets_than_the_bound_and_none_in_use_forgotten() -> None:
    """A full table forgets rested buckets; while all are in use, newcomers wait."""
    buckets, now = Buckets(1, limit=100), 10**15
    assert all(buckets.take(str(name), now) for name in range(100))
    assert not buckets.take("late", now)
    assert not buckets.take("0", now), "no bucket was forgotten to make room"
    assert len(buckets) == 100
    assert buckets.take("late", now + 2 * SECOND_NS)
    assert len(buckets) == 1
