"""When a job may be tried again, and how long it waits. Pure arithmetic over values.

At most once by default: after an attempt whose effect nobody knows, only a job that says it is
idempotent is tried again; every other waits for a person.
"""

from forestall.jobs.job import Job
from forestall.limits import (
    HOLD_SECONDS_MAX,
    RETRIES_DEFAULT,
    RETRY_SECONDS_FIRST,
    RETRY_SECONDS_MAX,
)
from forestall.policy.rules import Decision

_SECOND_US = 1_000_000


THROTTLE_RETRY_AFTER_S = 30  # for a rule that names no window; published clients expect it


def retry_after_s(decision: Decision) -> int:
    """When a throttled action may be tried again, in whole seconds: a window from now."""
    if decision.throttle is None:
        return THROTTLE_RETRY_AFTER_S
    return max(1, -(-decision.throttle.window_ms // 1_000))


def may_retry(job: Job, *, now_us: int) -> bool:
    """Whether an attempt is left: of what the job asked for and what its constraints allow."""
    allowed = RETRIES_DEFAULT if job.max_retries is None else job.max_retries
    if job.lease is not None and job.lease.constraints is not None:
        bound = job.lease.constraints.budgets.max_retries
        allowed = allowed if bound is None else min(allowed, bound)
    in_time = not job.deadline_at_us or now_us < job.deadline_at_us
    return job.attempt <= allowed and in_time


def retry_delay_us(attempt: int, chance: int) -> int:
    """Exponential back-off with full jitter in its upper half; `chance` is 16 random bits."""
    ceiling = min(RETRY_SECONDS_MAX, RETRY_SECONDS_FIRST << min(attempt - 1, 20)) * _SECOND_US
    return ceiling // 2 + (ceiling // 2) * (chance & 0xFFFF) // 0xFFFF


def hold_delay_us(holds: int, first_s: int, chance: int) -> int:
    """How long a throttled job waits: the rule's own window first, then doubling, jittered."""
    ceiling = max(first_s, min(RETRY_SECONDS_MAX, first_s << min(holds, 20))) * _SECOND_US
    return ceiling + (ceiling // 8) * (chance & 0xFFFF) // 0xFFFF


def held_too_long(job: Job, *, now_us: int) -> bool:
    """Whether a job was held back longer than anybody still wants it."""
    return job.held_since_us > 0 and now_us - job.held_since_us > HOLD_SECONDS_MAX * _SECOND_US
