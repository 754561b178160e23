"""Jobs as the tests of this room need them."""

from typing import Any

from forestall.jobs.job import Job, JobState, Lease, Priority
from forestall.policy.rules import Budgets, Constraints


def a_job(**fields: Any) -> Job:
    """A job of the tenant `t`; everything that matters is said by the test."""
    usual: dict[str, Any] = {
        "id": "j",
        "trace_id": "trace",
        "tenant": "t",
        "principal": "p",
        "state": JobState.PENDING,
        "topic": "job.a",
        "job_hash": "0" * 64,
        "created_at_us": 1,
        "updated_at_us": 1,
        "priority": Priority.INTERACTIVE,
    }
    return Job(**{**usual, **fields})


def a_lease(*, max_retries: int | None = None) -> Lease:
    """A lease whose constraints allow so many retries."""
    constraints = Constraints(budgets=Budgets(max_retries=max_retries))
    return Lease(id="l", worker="w", dispatched_at_us=1, constraints=constraints)
