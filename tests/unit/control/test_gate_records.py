"""What the gate decides or refuses leaves a record and is counted: one row for each kind.

And what a rehearsal does not do: it counts nothing and leaves nothing.
"""

from collections.abc import Callable
from typing import Any

import pytest

from forestall.identity.roles import Role
from tests.asgi import Door, assert_coded
from tests.http_samples import ALLOWED_JOB, DENIED_JOB, HELD_JOB, Reply
from tests.workers_under_test import JOBS, Worker, enforce, submit

SLOW_JOB = {"topic": "job.slow.a", "prompt": "x"}
LIMITED_JOB = {"topic": "job.limited.a", "prompt": "x"}
UNKNOWN_JOB = {"topic": "job.nobody.a", "prompt": "x"}
METRIC = "forestall_decisions_total"

# What is asked, the state and status it ends in, the record, and the decision in record and metric.
SUBMITS = {
    "allowed": (ALLOWED_JOB, 200, "job.submitted", "allow", "rule"),
    "limited": (LIMITED_JOB, 200, "job.submitted", "allow_with_constraints", "rule"),
    "held": (HELD_JOB, 200, "job.submitted", "require_approval", "rule"),
    "denied": (DENIED_JOB, 403, "job.submitted", "deny", "rule"),
    "denied by default": (UNKNOWN_JOB, 403, "job.submitted", "deny", "default"),
    "throttled": (SLOW_JOB, 429, "action.checked", "throttle", "rule"),
}


def counted(door: Door, stage: str, decision: str, code: str) -> float:
    """The decisions counted under these labels, whatever the topic."""
    return sum(
        sample.value
        for family in door.metrics.registry.collect()
        for sample in family.samples
        if sample.name == METRIC
        and (sample.labels["stage"], sample.labels["decision"], sample.labels["code"])
        == (stage, decision, code)
    )


@pytest.mark.parametrize("name", SUBMITS)
def test_every_submit_leaves_its_decision_in_the_log_and_in_the_metrics(
    door: Door, name: str
) -> None:
    body, status, kind, decision, code = SUBMITS[name]
    before, was = len(door.links()), counted(door, "submit", decision, code)
    assert door.submit(body).status == status
    (record,) = door.records()[before:]
    data = record["data"]
    assert (record["kind"], data["decision"], data["code"]) == (kind, decision, code)
    assert (data["stage"], data["topic"]) == ("submit", body["topic"])
    assert data["snapshot"] == door.plane.policy.digest
    assert data["job_hash"]
    assert counted(door, "submit", decision, code) == was + 1


def test_a_denied_job_is_found_on_the_dead_letters(door: Door) -> None:
    denied = door.submit(DENIED_JOB).json["job_id"]
    assert door.submit(ALLOWED_JOB).status == 200
    assert [letter["job_id"] for letter in door.ask("GET", "/api/v1/dlq").json] == [denied]


@pytest.mark.parametrize("name", SUBMITS)
def test_every_check_leaves_its_decision_in_the_log_and_in_the_metrics(
    door: Door, name: str
) -> None:
    body, _, _, decision, code = SUBMITS[name]
    before, was = len(door.links()), counted(door, "check", decision, code)
    assert door.evaluate(body).status == 200
    (record,) = door.records()[before:]
    data = record["data"]
    assert (record["kind"], data["decision"], data["code"]) == ("action.checked", decision, code)
    assert counted(door, "check", decision, code) == was + 1


@pytest.mark.parametrize("verb", ["simulate", "explain"])
@pytest.mark.parametrize("name", SUBMITS)
def test_a_rehearsal_leaves_nothing(door: Door, verb: str, name: str) -> None:
    trace = door.trace()
    assert door.ask("POST", f"/api/v1/policy/{verb}", SUBMITS[name][0]).status == 200
    assert door.trace() == trace


THROTTLED = """\
name: n
rules:
  - {id: slow, decision: throttle, match: {topics: ["*"]}, throttle: {limit: 1, window: 1h}}
  - {id: ask, decision: require_approval, match: {topics: ["job.deploy.*"]}}
  - {id: ok, decision: allow, match: {topics: ["*"]}}
"""


def test_a_rehearsal_uses_up_no_throttle(door: Door) -> None:
    enforce(door, THROTTLED)
    for _ in range(3):
        assert door.simulate(ALLOWED_JOB).json["decision"] == "ALLOW"
        door.explain(ALLOWED_JOB)
    assert door.submit(ALLOWED_JOB).status == 200
    assert door.submit(ALLOWED_JOB).status == 429
    assert door.simulate(ALLOWED_JOB).json["decision"] == "THROTTLE"


def test_what_is_throttled_at_dispatch_is_recorded(door: Door) -> None:
    worker = Worker(door)
    job_id = submit(door)["job_id"]
    enforce(
        door,
        'name: n\nrules:\n  - {id: slow, decision: throttle, match: {topics: ["*"]}}\n',
    )
    assert worker.lease() == []
    record = door.records()[-1]
    assert (record["kind"], record["job_id"]) == ("job.held", job_id)
    assert (record["data"]["decision"], record["data"]["stage"]) == ("throttle", "dispatch")
    assert counted(door, "dispatch", "throttle", "rule") == 1


TAGGED = """\
name: n
rules:
  - {id: allow-pii, decision: allow, match: {topics: ["job.demo.*"], risk_tags: [pii]}}
"""


def test_the_plane_vouches_for_the_tags_of_a_registered_topic(door: Door) -> None:
    """A tag that only the client claims allows nothing; the same tag on the topic does."""
    enforce(door, TAGGED)
    claimed = {**ALLOWED_JOB, "risk_tags": ["pii"]}
    assert door.simulate(claimed).json["decision"] == "DENY"
    topic = {"name": ALLOWED_JOB["topic"], "risk_tags": ["pii"]}
    assert door.ask("POST", "/api/v1/topics", topic).status == 201
    assert door.simulate(ALLOWED_JOB).json["decision"] == "ALLOW"


Case = Callable[["Asker"], Reply]


class Asker:
    """Who sends what is refused: an agent, an approver and two workers."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.agent = door.key(Role.AGENT, name="agent")
        self.worker, self.other = Worker(door, "w1"), Worker(door, "w2")
        self.job_id = str(submit(door)["job_id"])
        (self.given,) = self.worker.lease()
        self.held = str(door.submit(HELD_JOB).json["job_id"])  # of the admin

    def answer(self, worker: Worker, verb: str = "result", **more: Any) -> Reply:
        """Answer for the leased job, rightly but for what `more` says."""
        body = {"lease_id": self.given["lease_id"], **more}
        if verb == "result":
            body = {"status": "succeeded", **body}
        return self.door.ask("POST", f"{JOBS}/{self.job_id}/{verb}", body, key=worker.token)

    def vote(self, verb: str, key: str | None = None, **body: Any) -> Reply:
        """Vote on the held job."""
        return self.door.ask("POST", f"/api/v1/approvals/{self.held}/{verb}", body or {}, key=key)

    def release(self, verb: str = "release") -> Reply:
        """Release a result that is not withheld, as the one who asked for it."""
        body = {"reason": "so it is"}
        return self.door.ask("POST", f"{JOBS}/{self.job_id}/output/{verb}", body)


REFUSALS: dict[str, tuple[Case, int, str, str]] = {
    "an answer under no lease": (
        lambda a: a.answer(a.worker, lease_id="0" * 32),
        409,
        "worker.refused",
        "lease_not_held",
    ),
    "an answer for another's job": (
        lambda a: a.answer(a.other),
        404,
        "worker.refused",
        "lease_not_held",
    ),
    "an answer for no job": (
        lambda a: a.door.ask(
            "POST",
            f"{JOBS}/0190b5a0-0000-7000-8000-000000000000/result",
            {"lease_id": "x", "status": "succeeded"},
            key=a.worker.token,
        ),
        404,
        "worker.refused",
        "job_not_found",
    ),
    "a second answer": (
        lambda a: (a.answer(a.worker), a.answer(a.worker))[1],
        409,
        "worker.refused",
        "already_completed",
    ),
    "a job given back that was begun": (
        lambda a: (a.worker.beat(a.given, started=True), a.answer(a.worker, "return"))[1],
        409,
        "worker.refused",
        "illegal_state",
    ),
    "another worker's name": (
        lambda a: a.door.ask("POST", "/api/v1/workers/w2/lease", {}, key=a.worker.token),
        403,
        "worker.refused",
        "worker_mismatch",
    ),
    "an approval of one's own": (
        lambda a: a.vote("approve", reason="mine"),
        403,
        "approval.refused",
        "self_approval_denied",
    ),
    "an approval of another job": (
        lambda a: a.vote("approve", a.door.key(Role.APPROVER, name="ann"), job_hash="0" * 64),
        409,
        "approval.refused",
        "approval_stale_request",
    ),
    "a vote too late": (
        lambda a: (a.vote("reject"), a.vote("approve", a.door.key(Role.APPROVER, name="bob")))[1],
        409,
        "approval.refused",
        "approval_already_resolved",
    ),
    "a release of one's own": (
        lambda a: a.release(),
        403,
        "output.refused",
        "self_release_denied",
    ),
    "a discard of one's own": (
        lambda a: a.release("confirm"),
        403,
        "output.refused",
        "self_release_denied",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_every_refusal_leaves_a_record_and_is_counted(door: Door, name: str) -> None:
    case, status, kind, code = REFUSALS[name]
    asker = Asker(door)
    assert_coded(case(asker), status)
    record = door.records()[-1]
    assert (record["kind"], record["data"]["code"], record["tenant"]) == (kind, code, "default")
    assert record["data"]["what"]
    what = record["data"]["what"]
    assert door.counted("forestall_refused_total", what=what, code=code) == 1
