"""Labels of keys, attacked: what is bound to a credential no claim replaces, and a key vouches for
nothing but what it was allowed to."""

from collections.abc import Iterator
from typing import Any

import pytest

from forestall.identity.roles import Role
from tests.agents_under_test import DEMO_JOB, KEYS
from tests.asgi import Door, assert_coded, opened
from tests.http_samples import Reply
from tests.workers_under_test import JOBS, Worker, enforce, job

POLICY = """\
name: labelled
labels: {env: {trust: credential}, tainted: {trust: credential}}
rules:
  - {id: no-prod, decision: deny, reason: "production", match: {labels: {env: "prod"}}}
  - {id: tainted, decision: require_approval, match: {labels: {tainted: "yes"}}}
  - {id: staging, decision: allow, match: {labels: {env: "staging"}}}
  - {id: clean, decision: allow, match: {labels: {tainted: "no"}}}
"""


@pytest.fixture
def door() -> Iterator[Door]:
    """The gateway, under rules that believe credentials only."""
    with opened(policy=POLICY) as one:
        yield one


def key_with(door: Door, **fields: Any) -> str:
    """The text of a new key of an agent's role."""
    made = door.ask("POST", KEYS, {"name": "k", "role": "agent", **fields})
    assert made.status == 201, made.body
    return str(made.json["secret"])


def submit(door: Door, key: str, **body: Any) -> Reply:
    return door.ask("POST", JOBS, {**DEMO_JOB, **body}, key=key)


def test_a_label_of_the_key_is_a_fact(door: Door) -> None:
    key = key_with(door, labels={"env": "staging"})
    assert submit(door, key).json["rule_id"] == "staging"
    assert submit(door, key_with(door, name="bare")).status == 403


@pytest.mark.parametrize(
    "claims",
    [
        {"labels": {"env": "staging"}},
        {"label": {"env": "prod"}, "labels": {"env": "staging"}},
        {"meta": {"labels": {"env": "staging"}}},
        {"credential_labels": {"env": "staging"}, "labels": {"Env": "staging", "env ": "staging"}},
    ],
)
def test_what_is_bound_to_production_is_production(door: Door, claims: dict[str, Any]) -> None:
    key = key_with(door, labels={"env": "prod"})
    reply = submit(door, key, **claims)
    assert (reply.status, reply.json["rule_id"]) == (403, "no-prod")
    checked = door.ask("POST", "/api/v1/policy/evaluate", {**DEMO_JOB, **claims}, key=key).json
    assert (checked["decision"], checked["rule_id"]) == ("DENY", "no-prod")


def test_the_dispatch_gate_reads_the_labels_of_the_key_too(door: Door) -> None:
    key = key_with(door, labels={"env": "staging"})
    job_id = submit(door, key).json["job_id"]
    assert [one["job_id"] for one in Worker(door).lease()] == [job_id]
    waiting = submit(door, key).json["job_id"]
    enforce(door, POLICY.replace('labels: {env: "prod"}', 'labels: {env: "staging"}'))
    assert Worker(door, "late").lease() == []
    assert job(door, waiting)["failure_code"] == "policy_denied"


def test_a_key_attests_what_it_may_and_nothing_else(door: Door) -> None:
    gateway = key_with(door, attests=["tainted"])
    assert submit(door, gateway, labels={"tainted": "no"}).json["rule_id"] == "clean"
    asked = submit(door, gateway, labels={"tainted": "yes"}).json
    assert asked["rule_id"] == "tainted"
    assert submit(door, gateway, labels={"env": "staging"}).status == 403  # not its to attest
    other = key_with(door, name="other")
    assert submit(door, other, labels={"tainted": "no"}).status == 403  # a claim is no fact


def test_a_fixed_label_cannot_be_attested(door: Door) -> None:
    body = {"name": "k", "labels": {"env": "prod"}, "attests": ["env"]}
    assert_coded(door.ask("POST", KEYS, body), 400, "AUTH_KEY_INVALID")


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": {"_x": "1"}},
        {"labels": {"approval_x": "1"}},
        {"attests": ["Policy.x"]},
        {"labels": {"": "1"}},
        {"labels": {"a": ""}},
        {"labels": {"a\nb": "1"}},
        {"labels": {"a": "x" * 4_097}},
        {"labels": {f"l{n}": "x" for n in range(51)}},
        {"attests": [f"l{n}" for n in range(51)]},
    ],
)
def test_a_label_that_cannot_be_is_refused(door: Door, fields: dict[str, Any]) -> None:
    before = door.trace()
    assert_coded(door.ask("POST", KEYS, {"name": "k", **fields}), 400, "AUTH_KEY_INVALID")
    assert door.trace() == before


def test_the_labels_of_an_admin_are_not_those_of_the_agent_it_rehearses_for(door: Door) -> None:
    body = {"name": "bot", "risk_tier": "low", "allowed_topics": ["*"]}
    agent = door.ask("POST", "/api/v1/agents", body).json["id"]
    admin = door.key(Role.ADMIN, labels={"env": "staging"})
    path = "/api/v1/policy/simulate"
    assert door.ask("POST", path, DEMO_JOB, key=admin).json["decision"] == "ALLOW"
    rehearsed = door.ask("POST", f"{path}?as_agent={agent}", DEMO_JOB, key=admin).json
    assert rehearsed["decision"] == "DENY"


def test_labels_are_listed_and_recorded(door: Door) -> None:
    key_with(door, labels={"env": "prod"}, attests=["session", "session"])
    listed = door.ask("GET", KEYS).json["items"][-1]
    assert (listed["labels"], listed["attests"]) == ({"env": "prod"}, ["session"])
    data = door.records()[-1]["data"]
    assert (data["labels"], data["attests"]) == ([["env", "prod"]], ["session"])
