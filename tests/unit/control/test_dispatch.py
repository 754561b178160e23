"""The dispatch gate and what workers may do: the abuse first."""

import asyncio
from typing import Any

import pytest

from forestall.control.keys import KeyInvalidError, create_key
from forestall.control.verify import verify_log
from forestall.identity.credentials import NewKey, WorkerGrant
from forestall.identity.roles import Role
from forestall.limits import HOLD_SECONDS_MAX, LEASE_SECONDS
from forestall.ports.change import Change, Receipt
from forestall.store.memory import MemoryStore
from tests.asgi import POLICY, Door, assert_coded, opened
from tests.http_samples import Reply
from tests.workers_under_test import (
    JOBS,
    WORKERS,
    Worker,
    enforce,
    job,
    kinds,
    pass_time,
    submit,
)

DENY_DEMO = """\
name: tightened
default_decision: deny
rules:
  - id: no-more-demos
    decision: deny
    reason: "demonstrations are over"
    match: {topics: ["job.demo.*"]}
"""
HOLD_DEMO = DENY_DEMO.replace("decision: deny\n    reason", "decision: throttle\n    reason")
ASK_DEMO = DENY_DEMO.replace("decision: deny\n    reason", "decision: require_approval\n    reason")


@pytest.fixture
def worker(door: Door) -> Worker:
    return Worker(door)


def verified(door: Door) -> None:
    """Log and state agree."""
    report = door.run(verify_log(door.store))
    assert report.ok, report.problems


# -- the gate decides again --


def test_a_job_runs_from_submit_to_result(door: Door, worker: Worker) -> None:
    """Each move has its record; the dispatch decision stands beside the one at submit."""
    job_id = submit(door)["job_id"]
    (given,) = worker.lease()
    assert job(door, job_id)["state"] == "DISPATCHED"
    assert worker.beat(given) == []
    assert job(door, job_id)["state"] == "RUNNING"
    assert worker.answer(given, result={"answer": [1, 2.5, "x"]}).json["state"] == "SUCCEEDED"
    ended = job(door, job_id)
    assert (ended["state"], ended["result"]) == ("SUCCEEDED", {"answer": [1, 2.5, "x"]})
    stages = [one["stage"] for one in door.ask("GET", f"{JOBS}/{job_id}/decisions").json]
    assert stages == ["dispatch", "submit"]
    assert kinds(door, job_id) == [
        "job.submitted",
        "job.dispatched",
        "job.started",
        "job.succeeded",
    ]
    verified(door)


def test_a_policy_tightened_meanwhile_stops_the_queued_job_and_says_why(
    door: Door, worker: Worker
) -> None:
    """Control 4: decided under the snapshot in force at dispatch, recorded, on the dead letters."""
    job_id = submit(door)["job_id"]
    enforce(door, DENY_DEMO)
    assert worker.lease() == []
    stopped = job(door, job_id)
    assert (stopped["state"], stopped["failure_code"]) == ("DENIED", "policy_denied")
    assert stopped["failure_reason"] == "demonstrations are over"
    decision = door.ask("GET", f"{JOBS}/{job_id}/decisions").json[0]
    assert (decision["stage"], decision["decision"]) == ("dispatch", "DENY")
    assert decision["rule_id"] == "no-more-demos"
    assert decision["policy_snapshot"] == door.plane.policy.digest
    assert kinds(door, job_id)[-1] == "job.denied"
    (letter,) = door.ask("GET", "/api/v1/dlq").json
    assert (letter["job_id"], letter["reason_code"]) == (job_id, "policy_denied")
    verified(door)


def test_a_policy_that_now_wants_a_person_holds_the_job(door: Door, worker: Worker) -> None:
    """Nothing runs, and no worker is offered it again."""
    job_id = submit(door)["job_id"]
    enforce(door, ASK_DEMO)
    assert worker.lease() == []
    assert job(door, job_id)["state"] == "APPROVAL_REQUIRED"
    enforce(door, POLICY)
    assert worker.lease() == []
    verified(door)


def test_without_a_policy_nothing_is_dispatched_and_nothing_is_denied(
    door: Door, worker: Worker
) -> None:
    """An outage is no decision (control 6): the job waits and runs once there is a policy."""
    job_id = submit(door)["job_id"]
    policy = door.plane.policy
    snapshot, policy.snapshot = policy.snapshot, None
    before = door.trace()
    assert worker.lease() == []
    assert door.trace() == before
    assert job(door, job_id)["state"] == "PENDING"
    policy.snapshot = snapshot
    pass_time(door, 10)
    assert [one["job_id"] for one in worker.lease()] == [job_id]


def test_a_throttled_job_waits_ever_longer_and_then_goes_to_the_dead_letters(
    door: Door, worker: Worker
) -> None:
    """With the peer a throttled job circles for ever; here each throttling is a record."""
    job_id = submit(door)["job_id"]
    enforce(door, HOLD_DEMO)
    holds = 0
    for _ in range(5_000):
        assert worker.lease() == []
        if job(door, job_id)["state"] != "SCHEDULED":
            break
        holds += 1
        pass_time(door, 400)
    ended = job(door, job_id)
    assert (ended["state"], ended["failure_code"]) == ("FAILED", "throttled_too_long")
    assert HOLD_SECONDS_MAX / 400 - 1 <= holds <= HOLD_SECONDS_MAX / 300 + 10
    assert kinds(door, job_id).count("job.held") == holds
    verified(door)


def test_a_revoked_key_stops_what_it_submitted(door: Door, worker: Worker) -> None:
    """Revoked means refused at dispatch too."""
    key = door.key(Role.AGENT, name="leaver")
    job_id = door.ask("POST", JOBS, {"topic": "job.demo.read", "prompt": "x"}, key=key).json[
        "job_id"
    ]
    keys = door.ask("GET", "/api/v1/auth/keys").json["items"]
    (key_id,) = [one["id"] for one in keys if one["name"] == "leaver"]
    assert door.ask("DELETE", f"/api/v1/auth/keys/{key_id}").status == 204
    assert worker.lease() == []
    stopped = job(door, job_id)
    assert (stopped["state"], stopped["failure_code"]) == ("DENIED", "submitter_revoked")


def test_a_throttle_counts_a_job_once_over_both_gates(door: Door, worker: Worker) -> None:
    """What the submit gate counted is not counted again at dispatch."""
    enforce(
        door,
        "name: n\nrules:\n"
        "  - {id: slow, decision: throttle, match: {topics: ['*']},"
        " throttle: {limit: 2, window: 1h, key: [tenant]}}\n"
        "  - {id: ok, decision: allow, match: {topics: ['*']}}\n",
    )
    submit(door)
    submit(door)
    assert door.ask("POST", JOBS, {"topic": "job.demo.read", "prompt": "x"}).status == 429
    assert len(worker.lease()) == 2


def test_a_budget_is_spent_once_and_not_dodged(door: Door, worker: Worker) -> None:
    """An amount that cannot be added up is denied; the answer names rule, path and type."""
    enforce(
        door,
        "name: n\nrules:\n"
        "  - {id: day, decision: throttle, match: {topics: ['*']},"
        " throttle: {limit: 100, window: 1d, key: [actor_id], sum: $.amount}}\n"
        "  - {id: ok, decision: allow, match: {topics: ['*']}}\n",
    )
    submit(door, context={"amount": 60})
    submit(door, context={"amount": 40})
    over = {"topic": "job.demo.read", "prompt": "x", "context": {"amount": 0.01}}
    assert door.ask("POST", JOBS, over).status == 429
    for amount in (-1, "1", None, [1]):
        body = {"topic": "job.demo.read", "prompt": "x", "context": {"amount": amount}}
        answer = door.ask("POST", JOBS, body)
        assert answer.status == 403
        assert "rule `day` could not be evaluated: `$.amount` is" in str(answer.json)
    assert len(worker.lease()) == 2


# -- what a worker may be offered --


def test_a_worker_that_lies_gets_nothing_it_is_not_entitled_to(door: Door) -> None:
    """What it says of itself only narrows its grant."""
    liar = Worker(door, "liar", topics=["job.limited.*"], register=False)
    submit(door)
    submit(door, requires=["gpu"], topic="job.limited.run")
    said = {"topics": ["*"], "capabilities": ["gpu", "*"], "max_parallel": 8}
    assert liar.ask("register", said).json["capabilities"] == []
    assert liar.lease() == []
    submit(door, topic="job.limited.run")
    assert [one["topic"] for one in liar.lease()] == ["job.limited.run"]


def test_jobs_go_only_to_workers_with_what_they_require(door: Door) -> None:
    plain = Worker(door, "plain")
    able = Worker(door, "able", capabilities=["gpu", "cuda"])
    submit(door, requires=["gpu"])
    assert plain.lease() == []
    assert len(able.lease()) == 1


def test_another_tenants_jobs_do_not_exist(door: Door, worker: Worker) -> None:
    """Neither offered nor answered for, and nothing tells that they are there."""
    other = door.key(Role.ADMIN, tenant="other")
    stranger = Worker(door, "w1", tenant_key=other)
    submit(door)
    assert stranger.lease() == []
    (given,) = worker.lease()
    reply = stranger.answer(given)
    assert_coded(reply, 404, "job_not_found")
    assert job(door, given["job_id"])["state"] == "DISPATCHED"


def test_the_jobs_of_a_disabled_topic_wait(door: Door, worker: Worker) -> None:
    """Disabling a topic stops what is queued, and enabling it lets that go on."""
    topics = "/api/v1/topics"
    job_id = submit(door)["job_id"]
    for status, given in (("disabled", 0), ("active", 1)):
        door.ask("POST", topics, {"name": "job.demo.read", "status": status})
        assert len(worker.lease()) == given
    door.ask("POST", f"{JOBS}/{job_id}/cancel")
    submit(door)
    door.ask("POST", topics, {"name": "job.demo.other"})
    assert door.ask("DELETE", f"{topics}/job.demo.read").status == 204
    assert worker.lease() == []


def test_no_more_than_it_can_run(door: Door) -> None:
    narrow = Worker(door, "narrow", parallel=2)
    for _ in range(5):
        submit(door)
    given = narrow.lease(5)
    assert len(given) == 2
    assert narrow.lease(5) == []
    narrow.answer(given[0])
    assert len(narrow.lease(5)) == 1


class SlowStore(MemoryStore):
    """Commits as a disk does: others go on meanwhile."""

    async def commit(self, change: Change) -> Receipt:
        """See `Store.commit`."""
        await asyncio.sleep(0)
        return await super().commit(change)


def test_requests_of_one_worker_at_once_take_no_more_than_it_can_run() -> None:
    with opened(SlowStore()) as door:
        narrow = Worker(door, "narrow", parallel=3)
        for _ in range(12):
            submit(door)

        async def at_once() -> list[Reply]:
            path, body = "/api/v1/workers/narrow/lease", {"limit": 3}
            asks = (door.ask_async("POST", path, body, key=narrow.token) for _ in range(4))
            return list(await asyncio.gather(*asks))

        replies = door.run(at_once())
        assert sum(len(reply.json["jobs"]) for reply in replies) == 3


def test_at_most_so_many_run_at_once_under_a_rule(door: Door, worker: Worker) -> None:
    """`max_concurrent_jobs`: the next runs when one ends, and not before."""
    enforce(
        door,
        "name: n\nrules:\n  - {id: few, decision: allow_with_constraints, match: {topics: ['*']},"
        " constraints: {budgets: {max_concurrent_jobs: 2}}}\n",
    )
    for _ in range(4):
        submit(door)
    first = worker.lease()
    assert len(first) == 2
    assert worker.lease() == []
    worker.answer(first[0])
    assert len(worker.lease()) == 1
    assert worker.lease() == []


def test_another_workers_credential_is_not_ones_own(door: Door, worker: Worker) -> None:
    other = Worker(door, "w2")
    reply = door.ask("POST", f"{WORKERS}/w1/lease", {}, key=other.token)
    assert_coded(reply, 403, "worker_mismatch")


def test_a_rotated_credential_ends_the_session(door: Door, worker: Worker) -> None:
    """The old token is refused, and the new one has to register before it gets anything."""
    submit(door)
    again = Worker(door, "w1", register=False)
    assert worker.ask("lease").status == 401
    assert_coded(again.ask("lease"), 409, "worker_not_registered")


# -- answers that are refused: coded, recorded, no state change --


def refused(door: Door, job_id: str, state: str) -> dict[str, Any]:
    """The latest record is a refusal, and the job is as it was."""
    record = door.records()[-1]
    assert (record["kind"], record["job_id"]) == ("worker.refused", job_id)
    assert job(door, job_id)["state"] == state
    verified(door)
    return record


def test_twice(door: Door, worker: Worker) -> None:
    submit(door)
    (given,) = worker.lease()
    worker.answer(given, result=1)
    assert_coded(worker.answer(given, result=2), 409, "already_completed")
    refused(door, given["job_id"], "SUCCEEDED")
    assert job(door, given["job_id"])["result"] == 1


def test_under_a_lease_that_is_not_held(door: Door, worker: Worker) -> None:
    submit(door)
    (given,) = worker.lease()
    for lease_id in ("", "0" * 32, given["lease_id"][:-1], "é" * 40):
        reply = worker.answer({**given, "lease_id": lease_id})
        assert_coded(reply, 409, "lease_not_held")
        refused(door, given["job_id"], "DISPATCHED")


def test_for_a_job_of_another_worker(door: Door, worker: Worker) -> None:
    """It learns nothing of a job that it never held, not even that there is one."""
    submit(door)
    (given,) = worker.lease()
    thief = Worker(door, "thief")
    assert_coded(thief.answer(given), 404, "job_not_found")
    refused(door, given["job_id"], "DISPATCHED")
    assert thief.beat(given) == [
        {
            "job_id": given["job_id"],
            "state": "UNKNOWN",
            "reason": "this worker does not hold the job",
        }
    ]


def test_several_answers_at_once_stand_or_fall_alone(door: Door, worker: Worker) -> None:
    """One bad answer takes nothing from the others, and each refusal is recorded."""
    for _ in range(4):
        submit(door)
    one, two, three, four = worker.lease()
    worker.answer(three)
    said = [
        {"job_id": one["job_id"], "answer": {"lease_id": one["lease_id"], "status": "succeeded"}},
        {"job_id": two["job_id"], "answer": {"lease_id": "wrong", "status": "succeeded"}},
        {
            "job_id": three["job_id"],
            "answer": {"lease_id": three["lease_id"], "status": "succeeded"},
        },
        {"job_id": "nowhere", "answer": {"lease_id": "x", "status": "failed"}},
    ]
    results = worker.ask("results", {"results": said}).json["results"]
    assert [each["status"] for each in results] == [200, 409, 409, 404]
    assert [each["code"] for each in results] == [
        "",
        "lease_not_held",
        "already_completed",
        "job_not_found",
    ]
    assert job(door, one["job_id"])["state"] == "SUCCEEDED"
    assert job(door, two["job_id"])["state"] == "DISPATCHED"
    assert [each["kind"] for each in door.records()].count("worker.refused") == 3
    twice = [{"job_id": four["job_id"], "answer": said[0]["answer"]}] * 2
    assert worker.ask("results", {"results": twice}).status == 400
    assert worker.ask("results", {"results": []}).status == 400
    verified(door)


def test_after_a_cancel(door: Door, worker: Worker) -> None:
    """The worker is told to stop; what it answers is not taken."""
    submit(door)
    (given,) = worker.lease()
    cancelled = door.ask("POST", f"{JOBS}/{given['job_id']}/cancel")
    assert cancelled.json["state"] == "CANCELLED"
    (lost,) = worker.beat(given)
    assert (lost["state"], lost["job_id"]) == ("CANCELLED", given["job_id"])
    assert_coded(worker.answer(given), 409, "already_completed")
    refused(door, given["job_id"], "CANCELLED")


def test_a_result_that_is_too_large_is_withheld_and_not_kept(door: Door, worker: Worker) -> None:
    enforce(
        door,
        "name: n\nrules:\n  - {id: few, decision: allow_with_constraints, match: {topics: ['*']},"
        " constraints: {budgets: {max_artifact_bytes: 100}}}\n",
    )
    submit(door)
    submit(door)
    small, large = worker.lease()
    assert worker.answer(small, result="x" * 98).json["state"] == "SUCCEEDED"
    reply = worker.answer(large, result="x" * 99).json
    assert (reply["state"], reply["code"]) == ("OUTPUT_QUARANTINED", "output_quarantined")
    found = job(door, large["job_id"])
    assert (found["result"], found["output_safety"]["code"]) == (None, "result_too_large")
    verified(door)


# -- leases, retries, time --


def test_a_silent_worker_loses_the_job_and_nobody_runs_it_again(door: Door, worker: Worker) -> None:
    """At most once: the effect may have happened, so a person decides."""
    submit(door)
    (given,) = worker.lease()
    pass_time(door, LEASE_SECONDS - 1)
    assert worker.beat(given) == []
    pass_time(door, LEASE_SECONDS - 1)
    assert job(door, given["job_id"])["state"] == "RUNNING"
    pass_time(door, 2)
    lost = job(door, given["job_id"])
    assert (lost["state"], lost["failure_code"]) == ("TIMEOUT", "lease_expired")
    pass_time(door, 10_000)
    assert worker.lease() == []
    assert len(door.ask("GET", "/api/v1/dlq").json) == 1
    verified(door)


def test_an_idempotent_job_is_tried_again_and_not_for_ever(door: Door, worker: Worker) -> None:
    submit(door, idempotent=True, max_retries=2)
    attempts = 0
    for _ in range(10):
        for given in worker.lease():
            attempts += 1
            assert given["attempt"] == attempts
        pass_time(door, 400)
    assert attempts == 3
    ended = door.ask("GET", "/api/v1/dlq").json[0]
    assert (ended["state"], ended["attempts"]) == ("TIMEOUT", 3)
    verified(door)


@pytest.mark.parametrize(
    ("answer", "attempts", "code"),
    [
        ({"error": {"code": "no_disk", "message": "full"}}, 1, "no_disk"),
        ({"error": {"code": "no_disk", "message": "full"}, "retryable": True}, 3, "max_retries"),
    ],
)
def test_a_failure_is_retried_only_where_that_is_safe(
    door: Door, worker: Worker, answer: dict[str, Any], attempts: int, code: str
) -> None:
    job_id = submit(door, max_retries=2)["job_id"]
    tried = 0
    for _ in range(10):
        for given in worker.lease():
            tried += 1
            worker.answer(given, status="failed", **answer)
        pass_time(door, 400)
    assert tried == attempts
    ended = job(door, job_id)
    assert ended["state"] == "FAILED"
    assert ended["failure_code"].startswith(code)
    verified(door)


def test_run_time_and_deadline_end_a_job(door: Door, worker: Worker) -> None:
    """`max_runtime_ms` of the rule, `deadline_ms` of the job; heartbeats do not extend them."""
    limited = submit(door, topic="job.limited.run")["job_id"]
    hurried = submit(door, deadline_ms=90_000)["job_id"]
    given = worker.lease()
    for _ in range(4):
        worker.beat(*given)
        pass_time(door, 16)
    assert job(door, limited)["failure_code"] == "max_runtime_exceeded"
    assert job(door, hurried)["state"] == "RUNNING"
    worker.beat(*given)
    pass_time(door, 28)
    assert job(door, hurried)["failure_code"] == "deadline_exceeded"
    late = submit(door, deadline_ms=1_000)["job_id"]
    pass_time(door, 2)
    assert job(door, late)["state"] == "TIMEOUT"
    verified(door)


def test_what_was_not_begun_can_be_given_back(door: Door, worker: Worker) -> None:
    submit(door)
    (given,) = worker.lease()
    path = f"{JOBS}/{given['job_id']}/return"
    reply = door.ask("POST", path, {"lease_id": given["lease_id"]}, key=worker.token)
    assert reply.json["state"] == "PENDING"
    (again,) = worker.lease()
    worker.beat(again)
    begun = door.ask("POST", path, {"lease_id": again["lease_id"]}, key=worker.token)
    assert_coded(begun, 409, "illegal_state")
    verified(door)


def test_a_waiting_worker_is_woken_by_a_submit(door: Door, worker: Worker) -> None:
    """Long poll: no polling storms, no waiting for the end of the time."""

    async def scenario() -> list[Any]:
        path = f"{WORKERS}/w1/lease"
        waiting = asyncio.create_task(
            door.ask_async("POST", path, {"wait_ms": 30_000}, key=worker.token)
        )
        while not door.plane.workers._idle:  # noqa: ASYNC110 - one turn of the loop each
            await asyncio.sleep(0)
        await door.ask_async("POST", JOBS, {"topic": "job.demo.read", "prompt": "x"})
        return list((await waiting).json["jobs"])

    assert len(door.run(scenario())) == 1


def test_a_worker_key_without_a_grant_cannot_be_made(door: Door) -> None:
    reply = door.ask("POST", "/api/v1/auth/keys", {"name": "w", "role": "worker"})
    assert_coded(reply, 400, "AUTH_KEY_INVALID")
    assert WorkerGrant(worker_id="w").topics == ()


def test_a_worker_key_is_made_with_its_grant_only(door: Door) -> None:
    """Neither a worker without a grant, nor a grant for somebody who is no worker."""
    for role, grant in ((Role.WORKER, None), (Role.ADMIN, WorkerGrant(worker_id="w"))):
        new_key = NewKey(tenant="default", name="w", role=role, worker=grant)
        with pytest.raises(KeyInvalidError):
            door.run(create_key(door.plane, new_key, actor="test"))


def test_a_session_is_of_the_key_that_it_was_opened_with(door: Door) -> None:
    """Another key of the same worker, which grants less, does not use the session of the first."""
    wide = door.key(Role.WORKER, worker=WorkerGrant(worker_id="w1", topics=("job.*",)))
    narrow = door.key(Role.WORKER, worker=WorkerGrant(worker_id="w1", topics=("job.none.*",)))
    path = f"{WORKERS}/w1"
    submit(door)
    assert door.ask("POST", f"{path}/register", {"max_parallel": 1}, key=wide).status == 200
    for verb, body in (("lease", {"limit": 1}), ("heartbeat", {"leases": []})):
        reply = door.ask("POST", f"{path}/{verb}", body, key=narrow)
        assert_coded(reply, 409, "worker_not_registered")
    assert door.ask("POST", f"{path}/register", {"max_parallel": 1}, key=narrow).status == 200
    assert door.ask("POST", f"{path}/lease", {"limit": 1}, key=narrow).json["jobs"] == []
    assert_coded(
        door.ask("POST", f"{path}/lease", {"limit": 1}, key=wide), 409, "worker_not_registered"
    )
