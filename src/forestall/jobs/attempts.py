"""Whether a job gets another attempt, and how long it waits. Pure arithmetic over values.

At most once by default: after an attempt with an unknown effect, only a job that is marked
idempotent is tried again. Every other job waits for a person.
"""

import math

from forestall.jobs.job import Job
from forestall.limits import (
    HOLD_SECONDS_MAX,
    RETRIES_DEFAULT,
    RETRY_SECONDS_FIRST,
    RETRY_SECONDS_MAX,
)
from forestall.policy.rules import Decision

_SECOND_US = 1_000_000
_DOUBLINGS_MAX = 20  # of a delay; the bound is reached long before
_CHANCE_MAX = 0xFFFF  # `chance` is 16 random bits
THROTTLE_RETRY_AFTER_S = 30  # for a rule without a window; published clients expect it


def retry_after_s(decision: Decision) -> int:
    """Seconds until a throttled action may be tried again: the window of the rule, at least 1."""
    if decision.throttle is None:
        return THROTTLE_RETRY_AFTER_S
    return max(1, math.ceil(decision.throttle.window_ms / 1_000))


def may_retry(job: Job, *, now_us: int) -> bool:
    """Whether the job has an attempt left, by its own `max_retries`, its constraints and its
    deadline."""
    allowed = RETRIES_DEFAULT if job.max_retries is None else job.max_retries
    if job.lease is not None and job.lease.constraints is not None:
        bound = job.lease.constraints.budgets.max_retries  # of the rule that allowed the dispatch
        allowed = allowed if bound is None else min(allowed, bound)
    in_time = not job.deadline_at_us or now_us < job.deadline_at_us
    return job.attempt <= allowed and in_time


def retry_delay_us(attempt: int, chance: int) -> int:
    """Microseconds until the next attempt: exponential back-off, jittered over its upper half.

    `chance` is 16 random bits.
    """
    doubled_s = RETRY_SECONDS_FIRST << min(attempt - 1, _DOUBLINGS_MAX)
    half_us = min(RETRY_SECONDS_MAX, doubled_s) * _SECOND_US // 2
    return half_us + half_us * (chance & _CHANCE_MAX) // _CHANCE_MAX


def throttle_delay_us(holds: int, first_s: int, chance: int) -> int:
    """Microseconds that a job waits that was throttled `holds` times before without a break: first
    `first_s`, the window of the rule, then doubled each time, jittered by up to an eighth."""
    doubled_s = first_s << min(holds, _DOUBLINGS_MAX)
    delay_us = max(first_s, min(RETRY_SECONDS_MAX, doubled_s)) * _SECOND_US
    return delay_us + delay_us // 8 * (chance & _CHANCE_MAX) // _CHANCE_MAX


def throttled_too_long(job: Job, *, now_us: int) -> bool:
    """Whether a job has been throttled for longer than HOLD_SECONDS_MAX without a break."""
    return job.held_since_us > 0 and now_us - job.held_since_us > HOLD_SECONDS_MAX * _SECOND_US
