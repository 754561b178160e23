"""How often and when again: never more than was allowed, never sooner than said."""

from hypothesis import given
from hypothesis import strategies as st

from forestall.jobs.attempts import may_retry, retry_delay_us, throttle_delay_us, throttled_too_long
from forestall.limits import (
    HOLD_SECONDS_MAX,
    RETRIES_DEFAULT,
    RETRY_SECONDS_FIRST,
    RETRY_SECONDS_MAX,
)
from tests.unit.jobs.sample_jobs import a_job, a_lease

bounds = st.none() | st.integers(0, 100)
chances = st.integers(0, 0xFFFF)
SECOND_US = 1_000_000


@given(bounds, bounds, st.integers(1, 200))
def test_both_bounds_hold(asked: int | None, allowed: int | None, attempt: int) -> None:
    job = a_job(max_retries=asked, attempt=attempt, lease=a_lease(max_retries=allowed))
    most = min(RETRIES_DEFAULT if asked is None else asked, 10**9 if allowed is None else allowed)
    assert may_retry(job, now_us=0) == (attempt <= most)


@given(bounds, bounds)
def test_attempts_end_after_the_retries_that_are_allowed(
    asked: int | None, allowed: int | None
) -> None:
    attempt, lease = 1, a_lease(max_retries=allowed)
    while may_retry(a_job(max_retries=asked, attempt=attempt, lease=lease), now_us=0):
        attempt += 1
    retries = attempt - 1
    assert retries <= (RETRIES_DEFAULT if asked is None else asked)
    assert allowed is None or retries <= allowed


@given(st.integers(1, 10**15), st.integers(-5, 5))
def test_nothing_is_tried_again_from_the_deadline_on(deadline_us: int, off_us: int) -> None:
    job = a_job(attempt=1, deadline_at_us=deadline_us)
    assert may_retry(job, now_us=deadline_us + off_us) == (off_us < 0)


@given(st.integers(1, 10_000), chances)
def test_retries_wait_longer_and_longer_up_to_a_bound(attempt: int, chance: int) -> None:
    delay_us = retry_delay_us(attempt, chance)
    ceiling_us = min(RETRY_SECONDS_MAX, RETRY_SECONDS_FIRST * 2 ** min(attempt - 1, 60)) * SECOND_US
    assert ceiling_us // 2 <= delay_us <= ceiling_us


@given(st.integers(0, 10_000), st.integers(1, 10_000), chances)
def test_a_throttled_job_waits_at_least_the_window_of_its_rule(
    holds: int, first_s: int, chance: int
) -> None:
    delay_us = throttle_delay_us(holds, first_s, chance)
    most_s = max(first_s, RETRY_SECONDS_MAX)
    assert first_s * SECOND_US <= delay_us <= most_s * SECOND_US * 9 // 8


def test_jitter_uses_its_whole_range() -> None:
    assert retry_delay_us(1, 0) < retry_delay_us(1, 0x8000) < retry_delay_us(1, 0xFFFF)
    assert throttle_delay_us(0, 30, 0) < throttle_delay_us(0, 30, 0xFFFF)


def test_a_job_that_is_not_throttled_is_never_throttled_too_long() -> None:
    assert not throttled_too_long(a_job(), now_us=10**18)
    throttled = a_job(held_since_us=1)
    end_us = 1 + HOLD_SECONDS_MAX * SECOND_US
    assert not throttled_too_long(throttled, now_us=end_us)
    assert throttled_too_long(throttled, now_us=end_us + 1)
