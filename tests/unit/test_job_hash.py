"""The job hash covers everything that can change what runs, and nothing else."""

from typing import Any

import msgspec
import pytest

from forestall.jobs.job import Budget, Priority, Submission, job_hash
from forestall.policy.request import ToolCall

BASE: dict[str, Any] = {"topic": "job.a", "payload": b"{}"}


def hash_of(tenant: str = "t", principal: str = "p", **fields: Any) -> str:
    return job_hash(Submission(**{**BASE, **fields}), tenant=tenant, principal=principal)


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "u"},
        {"principal": "q"},
        {"topic": "job.b"},
        {"payload": b"{ }"},
        {"capability": "c"},
        {"pack_id": "c"},
        {"actor_id": "c"},
        {"actor_type": "human"},
        {"priority": Priority.BATCH},
        {"risk_tags": ("c",)},
        {"requires": ("c",)},
        {"tags": ("c",)},
        {"labels": {"a": "b"}},
        {"mcp": ToolCall(tool="c")},
        {"mcp": ToolCall(server="c")},
        {"budget": Budget(deadline_ms=1)},
        {"budget": Budget(max_total_tokens=1)},
        {"idempotent": True},
        {"max_retries": 0},
        {"max_retries": 1},
    ],
)
def test_every_field_counts(change: dict[str, Any]) -> None:
    assert hash_of(**change) != hash_of()


def test_every_field_of_a_submission_is_known_here() -> None:
    """A new field must be hashed or named here with a reason."""
    hashed = set(BASE) | {"capability", "pack_id", "actor_id", "actor_type", "priority"}
    hashed |= {
        "risk_tags",
        "requires",
        "tags",
        "labels",
        "budget",
        "mcp",
        "idempotent",
        "max_retries",
    }
    by_payload = {"prompt", "context", "args"}
    not_part_of_what_runs = {"idempotency_key", "share_approval"}
    fields = {field.name for field in msgspec.structs.fields(Submission)}
    assert fields == hashed | by_payload | not_part_of_what_runs


def test_fields_do_not_run_into_each_other() -> None:
    assert hash_of(labels={"a": "b=c"}) != hash_of(labels={"a=b": "c"})
    assert hash_of(risk_tags=("a", "b")) != hash_of(risk_tags=("a,b",))
    assert hash_of(risk_tags=("a",)) != hash_of(requires=("a",))


def test_order_of_sets_does_not_count() -> None:
    assert hash_of(risk_tags=("a", "b")) == hash_of(risk_tags=("b", "a"))
    assert hash_of(labels={"a": "1", "b": "2"}) == hash_of(labels={"b": "2", "a": "1"})
