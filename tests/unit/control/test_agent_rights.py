"""Agents and their rights, attacked: what an agent has no right to never runs, whatever the policy
allows, and rights are those of now."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from forestall.control.verify import verify_log
from forestall.identity.roles import Role
from forestall.ports.change import Change, Receipt
from forestall.store.memory import MemoryStore
from forestall.wire.compat import iso_time
from tests.agents_under_test import AGENTS, DEMO_JOB, KEYS, AgentCase
from tests.asgi import assert_coded, opened
from tests.workers_under_test import (
    JOBS,
    WORKERS,
    Worker,
    decide_again,
    enforce,
    job,
    kinds,
    pass_time,
)

ALLOW_ALL = """\
name: all
default_decision: deny
topics: {job.guard: {run_by: caller}}
rules:
  - {id: high, decision: require_approval, reason: "a high tier",
     match: {topics: ["job.*"], agent_risk_tiers: [high, critical]}}
  - {id: ask, decision: require_approval, reason: "a person", match: {topics: ["job.deploy.*"]}}
  - {id: slow, decision: throttle, reason: "slow", match: {topics: ["job.slow.*"]},
     throttle: {limit: 1, window: 1h, key: [agent]}}
  - {id: all, decision: allow, match: {topics: ["job.*"]}}
"""
EVALUATE = "/api/v1/policy/evaluate"


@pytest.fixture
def case() -> Iterator[AgentCase]:
    """An agent that may do demo jobs, under a policy that allows everything."""
    with opened(policy=ALLOW_ALL) as door:
        yield AgentCase(door)
        report = door.run(verify_log(door.store))
        assert report.ok, report.problems


def denied(case: AgentCase, right: str, **body: Any) -> str:
    """The reason with which a submission is denied for want of a right."""
    reply = case.submit(**body)
    assert reply.status == 403, reply.body
    assert (reply.json["state"], reply.json["decision_code"]) == ("DENIED", "agent_right_missing")
    assert reply.json["rule_id"] == ""
    assert f"`{right}`" in reply.json["reason"]
    return str(reply.json["reason"])


# -- the layer --


def test_an_agent_may_do_what_its_rights_and_the_policy_say(case: AgentCase) -> None:
    job_id = case.taken()
    found = job(case.door, job_id)
    assert (found["state"], found["principal"]) == ("PENDING", "bot")
    assert (found["agent_id"], found["agent_risk_tier"]) == (case.id, "low")
    (record,) = [one for one in case.door.records() if one["job_id"] == job_id]
    assert record["data"]["agent_id"] == case.id


@pytest.mark.parametrize(
    ("right", "body"),
    [
        ("allowed_topics", {"topic": "job.pay.out"}),
        ("allowed_topics", {"topic": "job.Demo.read"}),  # another case is another topic
        ("allowed_topics", {"topic": "job.demo"}),
        ("allowed_capabilities", {"capability": "infra.write"}),
        ("allowed_servers", {"action": {"server": "shell"}}),
        ("allowed_tools", {"action": {"tool": "kubectl.apply"}}),
        ("allowed_resources", {"action": {"target_resource": "file:///etc/passwd"}}),
    ],
)
def test_an_empty_right_is_no_right(case: AgentCase, right: str, body: dict[str, Any]) -> None:
    """Each list covers what its globs cover, case by case, and an empty one covers nothing."""
    denied(case, right, **body)
    assert case.door.run(case.door.plane.store.job_count()) == 1  # kept, as any denied job


def test_a_right_is_granted_by_what_the_denial_says(case: AgentCase) -> None:
    reason = denied(case, "allowed_capabilities", capability="infra.write")
    assert "ask its owner `platform`" in reason
    assert reason.endswith("forestall agents update bot --allow-capability infra.write")
    assert case.update(allowed_capabilities=["infra.*"]).status == 200
    case.taken(capability="infra.write")


def test_no_denial_proposes_a_wildcard_that_the_agent_wrote(case: AgentCase) -> None:
    """Whoever copies the command must not grant more than one action."""
    for value in ("*", "infra.[a-z]", "a; rm -rf /", "x\u202e\ngrant all", "y" * 200):
        reason = denied(case, "allowed_capabilities", capability=value)
        command = reason.partition("forestall agents update bot ")[2]
        assert command in ("--allow-capability GLOB", "--allow-capability 'a; rm -rf /'")


@pytest.mark.parametrize(
    "resource",
    [
        "file:///srv/../etc/passwd",
        "file:///srv/%2e%2e/etc/passwd",
        "file:///srv/%2E./etc",
        "file:///srv/..",
        "file:///srv/a%2fb",
        "file:///srv/..\\..\\etc",
        "file:///srv/%252e%252e/etc",
        "../srv/a",
    ],
)
def test_no_glob_covers_a_resource_that_climbs(case: AgentCase, resource: str) -> None:
    case.update(allowed_resources=["file:///srv/*", "*"])
    case.taken(action={"target_resource": "file:///srv/a..b/.hidden"})
    denied(case, "allowed_resources", action={"target_resource": resource})


def test_a_denial_of_the_policy_keeps_its_words(case: AgentCase) -> None:
    """A right never loosens, and the rule that denies is still named."""
    enforce(case.door, "name: none\nrules: [{id: no, decision: deny, match: {topics: ['job.*']}}]")
    for topic in ("job.demo.read", "job.pay.out"):
        reply = case.submit(topic=topic)
        assert (reply.status, reply.json["rule_id"]) == (403, "no")
    case.update(allowed_topics=["*"])
    assert case.submit(topic="job.pay.out").json["rule_id"] == "no"


def test_what_the_layer_denies_is_counted_by_no_throttle(case: AgentCase) -> None:
    denied(case, "allowed_topics", topic="job.slow.x")
    case.update(allowed_topics=["*"])
    case.taken(topic="job.slow.x")
    assert_coded(case.submit(topic="job.slow.x"), 429, "throttled")


def test_a_binding_decision_asks_the_layer_too(case: AgentCase) -> None:
    asked = {**DEMO_JOB, "topic": "job.pay.out"}
    answer = case.door.ask("POST", EVALUATE, asked, key=case.key).json
    assert (answer["decision"], answer["code"]) == ("DENY", "agent_right_missing")
    record = case.door.records()[-1]
    assert (record["kind"], record["data"]["agent_id"]) == ("action.checked", case.id)
    allowed = case.door.ask("POST", EVALUATE, DEMO_JOB, key=case.key).json
    assert allowed["decision"] == "ALLOW"


def test_a_topic_of_a_pool_needs_a_right_to_the_pool(case: AgentCase) -> None:
    door = case.door
    assert door.ask("PUT", "/api/v1/pools/gpu", {}).status == 201
    assert (
        door.ask("POST", "/api/v1/topics", {"name": "job.demo.read", "pool": "gpu"}).status == 201
    )
    denied(case, "allowed_pools")
    case.update(allowed_pools=["g*"])
    case.taken()


def test_rules_read_what_the_plane_knows_of_an_agent(case: AgentCase) -> None:
    """And never what the client says of itself."""
    claims = {"agent": "x", "agent_risk_tier": "low", "labels": {"agent_risk_tier": "low"}}
    case.update(risk_tier="high")
    reply = case.submit(**claims)
    assert (reply.json["state"], reply.json["rule_id"]) == ("APPROVAL_REQUIRED", "high")


# -- rights are those of now --


def test_a_job_queued_before_the_right_was_taken_does_not_run(case: AgentCase) -> None:
    job_id = case.taken()
    assert case.update(allowed_topics=[]).status == 200
    assert Worker(case.door).lease() == []
    found = job(case.door, job_id)
    assert (found["state"], found["failure_code"]) == ("DENIED", "agent_right_missing")
    assert kinds(case.door, job_id) == ["job.submitted", "job.denied"]


def test_a_granted_approval_does_not_outlive_the_right(case: AgentCase) -> None:
    case.update(allowed_topics=["job.*"])
    job_id = case.taken(topic="job.deploy.x")
    ann = case.door.key(Role.APPROVER, name="ann")
    assert case.door.ask("POST", f"/api/v1/approvals/{job_id}/approve", key=ann).status == 200
    case.update(allowed_topics=["job.demo.*"])
    decide_again(case.door)
    assert job(case.door, job_id)["failure_code"] == "agent_right_missing"
    assert Worker(case.door).lease() == []


def test_a_vote_meets_the_rights_of_now(case: AgentCase) -> None:
    case.update(allowed_topics=["job.*"])
    job_id = case.taken(topic="job.deploy.x")
    ann = case.door.key(Role.APPROVER, name="ann")
    case.update(allowed_topics=["job.demo.*"])
    reply = case.door.ask("POST", f"/api/v1/approvals/{job_id}/approve", key=ann)
    body = assert_coded(reply, 409, "approval_stale_snapshot")
    assert "has no right to the topic" in body["details"]["drift"]
    assert job(case.door, job_id)["state"] == "DENIED"


def test_another_risk_tier_asks_people_again(case: AgentCase) -> None:
    """They were asked about an agent of a low tier, and answered for that one."""
    case.update(allowed_topics=["job.*"])
    job_id = case.taken(topic="job.deploy.x")
    ann = case.door.key(Role.APPROVER, name="ann")
    path = f"/api/v1/approvals/{job_id}"
    assert case.door.ask("POST", f"{path}/approve", key=ann).status == 200
    case.update(data_classifications=["health"])
    decide_again(case.door)
    shown = case.door.ask("GET", path).json
    assert (job(case.door, job_id)["state"], shown["approval_status"]) == (
        "APPROVAL_REQUIRED",
        "pending",
    )
    assert case.door.ask("POST", f"{path}/approve", key=ann).status == 200
    case.update(description="words for people", allowed_capabilities=["x"])
    decide_again(case.door)
    assert job(case.door, job_id)["state"] == "PENDING"  # no rule reads those


def test_the_dispatch_gate_does_not_take_an_approval_of_another_tier(case: AgentCase) -> None:
    """A worker comes before the server's loop has asked people again."""
    case.update(allowed_topics=["job.*"])
    job_id = case.taken(topic="job.deploy.x")
    ann = case.door.key(Role.APPROVER, name="ann")
    assert case.door.ask("POST", f"/api/v1/approvals/{job_id}/approve", key=ann).status == 200
    case.update(data_classifications=["health"])
    assert Worker(case.door).lease() == []
    assert job(case.door, job_id)["state"] == "APPROVAL_REQUIRED"


def test_what_an_operator_submits_again_is_the_operators(case: AgentCase) -> None:
    """A retry by a person stands on the rights of that person."""
    reply = case.submit(topic="job.pay.out")
    path = f"/api/v1/dlq/{reply.json['job_id']}/retry"
    assert_coded(case.door.ask("POST", path, {"force": True}, key=case.key), 403, "forbidden")
    operator = case.door.key(Role.OPERATOR, name="operator")
    assert case.door.ask("POST", path, {"force": True}, key=operator).status == 200


class OvertakenStore(MemoryStore):
    """A store in which something else commits just before the next change."""

    overtake: Callable[[], Coroutine[Any, Any, object]] | None = None

    async def commit(self, change: Change) -> Receipt:
        """See `Store.commit`."""
        first, self.overtake = self.overtake, None
        if first is not None:
            await first()
        return await super().commit(change)


@pytest.mark.parametrize("verb", ["evaluate", "lease"])
def test_no_allow_follows_in_the_log_on_the_suspension(verb: str) -> None:
    """The gate allows, and the agent is suspended before that is durable."""
    store = OvertakenStore()
    with opened(store, ALLOW_ALL) as door:
        case = AgentCase(door)
        worker = Worker(door)
        case.taken()

        async def suspend() -> object:
            return await door.ask_async("POST", f"{AGENTS}/{case.id}/suspend", {})

        store.overtake = suspend
        if verb == "lease":
            assert worker.lease() == []
        else:
            answer = door.ask("POST", EVALUATE, DEMO_JOB, key=case.key).json
            assert (answer["decision"], answer["code"]) == ("DENY", "agent_suspended")
        kinds_after = [record["kind"] for record in door.records()]
        after = door.records()[kinds_after.index("agent.suspended") :]
        assert not [one for one in after if one["data"].get("decision") == "allow"]


# -- suspended, revoked, expired --


def test_a_suspended_agent_is_refused_everywhere_and_resumed(case: AgentCase) -> None:
    job_id = case.taken()
    assert case.verb("suspend", reason="odd traffic").json["status"] == "suspended"
    for method, path in (("POST", JOBS), ("GET", JOBS), ("POST", EVALUATE)):
        body = DEMO_JOB if method == "POST" else None
        refusal = assert_coded(case.door.ask(method, path, body, key=case.key), 403)
        assert refusal["code"] == "agent_suspended"
        assert "forestall agents resume bot" in refusal["error"]
    assert Worker(case.door).lease() == []
    assert job(case.door, job_id)["failure_code"] == "agent_suspended"
    assert case.verb("resume").json["status"] == "active"
    case.taken()


def test_the_work_of_a_suspended_agent_is_cancelled_without_a_heartbeat(case: AgentCase) -> None:
    """And the worker is told at its next one."""
    other = case.door.submit(DEMO_JOB).json["job_id"]
    job_id = case.taken()
    worker = Worker(case.door)
    given = {one["job_id"]: one for one in worker.lease()}
    assert given.keys() == {job_id, other}
    assert worker.beat(*given.values(), started=True) == []
    case.verb("suspend")
    pass_time(case.door, 0.1)
    found = job(case.door, job_id)
    assert (found["state"], found["failure_code"]) == ("CANCELLED", "agent_suspended")
    (lost,) = worker.beat(*given.values())
    assert (lost["job_id"], lost["state"]) == (job_id, "CANCELLED")
    assert_coded(worker.answer(given[job_id], result="late"), 409, "already_completed")
    assert job(case.door, other)["state"] == "RUNNING"  # nobody else lost anything
    name = "forestall_agent_withdrawal_seconds"
    assert case.door.counted(f"{name}_count") == 1
    assert 0.1 <= case.door.counted(f"{name}_sum") < 0.2


def test_a_heartbeat_between_suspension_and_tick_stops_the_work(case: AgentCase) -> None:
    case.taken()
    worker = Worker(case.door)
    (given,) = worker.lease()
    case.verb("suspend")
    (lost,) = worker.beat(given)
    assert (lost["job_id"], lost["state"]) == (given["job_id"], "CANCELLED")


def test_an_agent_that_runs_its_own_job_is_stopped(case: AgentCase) -> None:
    job_id = case.taken()
    claimed = case.door.ask("POST", f"{JOBS}/{job_id}/claim", {}, key=case.key)
    assert claimed.status == 200, claimed.body
    case.verb("suspend")
    lease = {"lease_id": claimed.json["lease_id"]}
    answer = {**lease, "status": "succeeded"}
    for verb, body in (("renew", lease), ("complete", answer)):
        reply = case.door.ask("POST", f"{JOBS}/{job_id}/{verb}", body, key=case.key)
        assert_coded(reply, 403, "agent_suspended")
    pass_time(case.door, 0.1)
    assert job(case.door, job_id)["state"] == "CANCELLED"
    case.verb("resume")
    path = f"{JOBS}/{job_id}/complete"
    assert_coded(case.door.ask("POST", path, answer, key=case.key), 409, "already_completed")


def test_an_expired_agent_stops_and_goes_on_with_a_later_end(case: AgentCase) -> None:
    ends = case.door.clock.at_us + 3_600_000_000
    assert case.update(expires_at=iso_time(ends)).status == 200
    job_id = case.taken()
    (given,) = Worker(case.door).lease()
    pass_time(case.door, 3_601)
    assert_coded(case.submit(), 403, "agent_expired")
    assert job(case.door, job_id)["failure_code"] == "agent_expired"
    assert given["job_id"] == job_id
    assert "expired" in case.read()["findings"]
    assert case.update(expires_at="never").status == 200
    case.taken()


def test_a_revocation_ends_keys_and_workers_in_one_commit(case: AgentCase) -> None:
    door = case.door
    second = case.bound_key("second")
    grant = {"worker_id": "arm", "allowed_topics": ["*"], "agent_id": case.id}
    token = door.ask("POST", f"{WORKERS}/credentials", grant).json["token"]
    job_id = case.taken()
    before = len(door.records())
    answer = case.revoke().json
    assert (answer["status"], len(answer["revoked_keys"])) == ("revoked", 3)
    assert answer["revoked_workers"] == ["arm"]
    made = [record["kind"] for record in door.records()[before:]]
    assert made == ["agent.revoked", *["key.revoked"] * 3]
    (record,) = [one for one in door.records() if one["kind"] == "agent.revoked"]
    assert record["data"]["keys"] == answer["revoked_keys"]
    for key in (case.key, second, token):
        assert_coded(door.ask("GET", JOBS, key=key), 401, "unauthorized")
    assert Worker(door).lease() == []
    assert job(door, job_id)["failure_code"] == "agent_revoked"
    assert case.revoke().json["revoked_keys"] == []  # once more does no harm
    assert_coded(case.verb("resume"), 409, "AGENT_NOT_ACTIVE")
    assert_coded(case.update(owner="me"), 409, "AGENT_NOT_ACTIVE")
    again = {"name": "bot", "risk_tier": "low"}
    assert_coded(door.ask("POST", AGENTS, again), 409, "AGENT_NAME_CONFLICT")
    for body in ({"name": "k", "agent_id": case.id}, {"name": "bot", "role": "agent"}):
        assert door.ask("POST", KEYS, body).status in (400, 409)


# -- a worker that is an agent --


def test_a_worker_that_is_an_agent_is_offered_only_what_the_agent_may_do(case: AgentCase) -> None:
    worker = bound_worker(case, "arm")
    mine = case.door.submit(DEMO_JOB).json["job_id"]
    case.door.submit({"topic": "job.pay.out", "prompt": "x"})
    assert [one["job_id"] for one in worker.lease()] == [mine]
    case.update(allowed_topics=["job.pay.*"])
    assert [one["topic"] for one in worker.lease()] == ["job.pay.out"]


@pytest.mark.parametrize("word", ["lease", "heartbeat", "register"])
def test_a_worker_of_a_suspended_agent_is_refused(case: AgentCase, word: str) -> None:
    worker = bound_worker(case, "arm")
    case.door.submit(DEMO_JOB)
    assert len(worker.lease()) == 1
    case.verb("suspend")
    assert_coded(worker.ask(word), 403, "agent_suspended")
    assert case.door.plane.workers.get("default", "arm") is None
    case.verb("resume")
    assert_coded(worker.ask("lease"), 409, "worker_not_registered")
    assert worker.ask("register").status == 200


def test_a_rotated_credential_stays_bound(case: AgentCase) -> None:
    bound_worker(case, "arm")
    again = {"worker_id": "arm", "allowed_topics": ["*"]}
    rotated = case.door.ask("POST", f"{WORKERS}/credentials", again).json
    assert rotated["agent_id"] == case.id


def bound_worker(case: AgentCase, name: str) -> Worker:
    """A registered worker that is the agent of the case."""
    body = {"worker_id": name, "allowed_topics": ["*"], "agent_id": case.id}
    assert case.door.ask("POST", f"{WORKERS}/credentials", body).status == 201
    worker = Worker.__new__(Worker)
    worker.door, worker.name = case.door, name
    rotated = case.door.ask("POST", f"{WORKERS}/credentials", body)
    assert rotated.status == 200
    worker.token = rotated.json["token"]
    assert worker.ask("register", {"max_parallel": 8}).status == 200
    return worker
