"""Approvals, attacked: what is approved is what runs, once, by the right people."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from forestall.control.recover import recover, take_back
from forestall.control.verify import verify_log
from forestall.identity.roles import Role
from forestall.jobs.approval import ApprovalStatus
from forestall.store.memory import MemoryStore
from tests.asgi import Door, assert_coded, opened
from tests.http_samples import Reply
from tests.workers_under_test import JOBS, Worker, enforce, job, kinds, pass_time

APPROVALS = "/api/v1/approvals"
ASK = """\
name: asking
default_decision: deny
topics: {{job.guard: {{run_by: caller}}}}
rules:
  - id: ask
    decision: require_approval
    reason: "a person must look"
    match: {{topics: ["job.deploy.*", "job.guard"]}}
    {terms}
  - id: ok
    decision: allow
    match: {{topics: ["job.demo.*"]}}
"""
PLAIN = ASK.format(terms="")
TWO = ASK.format(terms="approval: {quorum: 2, ttl: 1h}")
SECURITY = ASK.format(terms="approval: {roles: [security], quorum: 1}")


class Case:
    """An agent that asks, people who answer, and a worker that would run it."""

    def __init__(self, door: Door, policy: str = PLAIN) -> None:
        self.door = door
        enforce(door, policy)
        self.agent = door.key(Role.AGENT, name="agent")
        self.ann = door.key(Role.APPROVER, name="ann")
        self.bob = door.key(Role.APPROVER, name="bob")
        self.worker = Worker(door)
        self.job_id = self.submit()

    def submit(self, **body: Any) -> str:
        """A job that is held."""
        asked = {"topic": "job.deploy.apply", "prompt": "roll out", **body}
        reply = self.door.ask("POST", JOBS, asked, key=self.agent)
        assert reply.json["state"] == "APPROVAL_REQUIRED"
        return str(reply.json["job_id"])

    def vote(self, key: str, word: str = "approve", job_id: str = "", **body: Any) -> Reply:
        """One person decides."""
        path = f"{APPROVALS}/{job_id or self.job_id}/{word}"
        return self.door.ask("POST", path, body or None, key=key)

    def state(self) -> str:
        return str(job(self.door, self.job_id)["state"])

    def runs(self) -> bool:
        """Whether a worker is handed the job."""
        return any(one["job_id"] == self.job_id for one in self.worker.lease())

    def listed(self) -> dict[str, Any]:
        """The approval as the API shows it."""
        found: dict[str, Any] = self.door.ask("GET", f"{APPROVALS}/{self.job_id}").json
        return found


@pytest.fixture
def case(door: Door) -> Iterator[Case]:
    made = Case(door)
    yield made
    report = door.run(verify_log(door.store))
    assert report.ok, report.problems


def refused(case: Case, code: str) -> None:
    """The refusal is in the log."""
    record = case.door.records()[-1]
    assert (record["kind"], record["data"]["code"]) == ("approval.refused", code)


def test_what_is_approved_runs_once(case: Case) -> None:
    """The approval is consumed in the dispatch that it allows; the decision says so."""
    assert not case.runs()
    shown = case.door.ask("GET", f"{APPROVALS}/{case.job_id}/context", key=case.ann).json
    answer = case.vote(case.ann, job_hash=shown["job_hash"], reason="fine").json
    assert (answer["state"], answer["approval_status"]) == ("PENDING", "approved")
    assert answer["approved_by"] == "ann"
    assert case.runs()
    assert case.state() == "DISPATCHED"
    decisions = case.door.ask("GET", f"{JOBS}/{case.job_id}/decisions").json
    assert [(one["stage"], one["decision"], one["code"]) for one in decisions] == [
        ("dispatch", "ALLOW", "approved"),
        ("submit", "REQUIRE_APPROVAL", "rule"),
    ]
    (approved,) = [one for one in case.door.records() if one["kind"] == "job.approved"]
    assert approved["data"]["saw_hash"] is True
    view = case.door.run(case.door.store.job("default", case.job_id))
    assert view is not None
    assert view.job.approval is not None
    assert view.job.approval.status is ApprovalStatus.CONSUMED


def test_a_spent_approval_does_not_let_a_second_attempt_run(case: Case) -> None:
    case.vote(case.ann)
    (given,) = case.worker.lease()
    case.worker.answer(given, status="failed", retryable=True)
    pass_time(case.door, 60)
    assert not case.runs()
    assert case.state() == "APPROVAL_REQUIRED"
    assert case.listed()["approval_status"] == "pending"


def test_a_dispatch_that_never_left_the_server_spends_nothing(case: Case) -> None:
    case.vote(case.ann)
    assert len(case.worker.lease()) == 1
    held = case.door.plane.leases.get("default", case.job_id)
    assert held is not None
    case.door.run(take_back(case.door.plane, held.job))
    assert case.runs()


def test_an_approval_that_a_worker_has_seen_is_spent(case: Case) -> None:
    """A worker takes the job and returns it: the ticket was read, so a person is asked again."""
    case.vote(case.ann)
    (given,) = case.worker.lease()
    path = f"{JOBS}/{case.job_id}/return"
    body = {"lease_id": given["lease_id"]}
    assert case.door.ask("POST", path, body, key=case.worker.token).status == 200
    assert not case.runs()
    assert case.state() == "APPROVAL_REQUIRED"
    assert case.listed()["approval_status"] == "pending"


def test_approve_twice(case: Case) -> None:
    case.vote(case.ann)
    again = case.vote(case.ann)
    assert (again.status, again.json["status"]) == (200, "already_approved")
    assert kinds(case.door, case.job_id).count("job.approved") == 1
    assert_coded(case.vote(case.bob), 409, "approval_already_resolved")


@pytest.mark.parametrize("who", ["same key", "same principal", "a key the requester made"])
def test_nobody_approves_their_own_request(case: Case, who: str) -> None:
    """Neither under the key that asked nor under another of theirs."""
    door = case.door
    if who == "same key":
        key = door.admin
        case.job_id = door.ask(
            "POST", JOBS, {"topic": "job.deploy.x", "prompt": "x"}, key=key
        ).json["job_id"]
    elif who == "same principal":
        key = door.key(Role.APPROVER, name="second", principal="agent")
    else:
        me = door.key(Role.ADMIN, name="boss")
        case.job_id = door.ask("POST", JOBS, {"topic": "job.deploy.x", "prompt": "x"}, key=me).json[
            "job_id"
        ]
        made = door.ask("POST", "/api/v1/auth/keys", {"name": "other", "role": "approver"}, key=me)
        key = made.json["secret"]
    assert_coded(case.vote(key), 403, "self_approval_denied")
    refused(case, "self_approval_denied")
    assert case.state() == "APPROVAL_REQUIRED"
    assert not case.runs()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AGENT, Role.OPERATOR, Role.AUTHOR, Role.WORKER])
def test_only_approvers_approve(case: Case, role: Role) -> None:
    assert_coded(case.vote(case.door.key(role)), 403, "forbidden")
    assert case.state() == "APPROVAL_REQUIRED"


def test_quorum_and_roles_come_from_the_rule(door: Door) -> None:
    """Two different people; the same one twice is one."""
    case = Case(door, TWO)
    first = case.vote(case.ann).json
    assert (first["status"], first["state"]) == ("more_approvals_needed", "APPROVAL_REQUIRED")
    assert case.vote(case.ann).json["status"] == "already_approved"
    twin = door.key(Role.APPROVER, name="twin", principal="ann")
    assert case.vote(twin).json["status"] == "already_approved"
    assert not case.runs()
    assert case.vote(case.bob).json["state"] == "PENDING"
    assert case.runs()
    assert kinds(door, case.job_id)[1:3] == ["job.voted", "job.approved"]


def test_an_approver_without_the_demanded_role_is_refused(door: Door) -> None:
    case = Case(door, SECURITY)
    assert_coded(case.vote(case.ann), 403, "approver_not_eligible")
    assert_coded(case.vote(door.key(Role.ADMIN)), 403, "approver_not_eligible")
    guard = door.key(Role.APPROVER, name="sec", groups=("security",))
    assert case.vote(guard).json["state"] == "PENDING"


def test_approve_after_expiry(case: Case) -> None:
    pass_time(case.door, 24 * 3_600 + 1)
    assert case.state() == "TIMEOUT"
    assert_coded(case.vote(case.ann), 409, "approval_already_resolved")
    assert case.listed()["approval_status"] == "expired"


def test_approve_after_expiry_before_anybody_noticed(case: Case) -> None:
    """The clock alone decides; no loop has to have run."""
    case.door.clock.forward(24 * 3_600 + 1)
    assert_coded(case.vote(case.ann), 409, "approval_not_actionable")
    assert case.state() == "TIMEOUT"


def test_an_approval_that_expires_before_the_dispatch_is_asked_again(door: Door) -> None:
    case = Case(door, ASK.format(terms="approval: {ttl: 1h}"))
    case.vote(case.ann)
    pass_time(door, 3_601)
    assert not case.runs()
    assert case.state() == "APPROVAL_REQUIRED"


def test_approve_after_the_policy_changed(case: Case) -> None:
    """409 with what changed; the job is asked for again, by itself, under the new policy."""
    enforce(case.door, TWO)
    body = assert_coded(case.vote(case.ann), 409, "approval_stale_snapshot")
    assert "policy" in body["details"]["drift"]
    assert "approvers" in body["details"]["drift"]
    path = f"{APPROVALS}/{case.job_id}/repair"
    look = case.door.ask("POST", path, key=case.agent).json
    assert (look["repairable"], look["applied"]) == (False, False)
    assert case.listed()["votes"] == []
    case.vote(case.ann)
    assert case.vote(case.bob).json["state"] == "PENDING"
    assert_coded(case.door.ask("POST", path, {"apply": True}), 409, "not_repairable")


def test_a_policy_change_after_the_approval_undoes_it(case: Case) -> None:
    """The dispatch gate asks again; the approval of the old policy is worth nothing."""
    case.vote(case.ann)
    enforce(case.door, TWO)
    assert not case.runs()
    assert case.state() == "APPROVAL_REQUIRED"
    assert case.listed()["votes"] == []


def test_a_policy_that_denies_now_denies_what_was_approved(case: Case) -> None:
    case.vote(case.ann)
    enforce(case.door, "name: n\nrules: []\n")
    assert not case.runs()
    assert case.state() == "DENIED"


def tampered(store: MemoryStore, job_id: str, **fields: Any) -> None:
    """Somebody with access to the database changes the job behind our back."""
    body = store._jobs["default", job_id]
    changed = msgspec.structs.replace(msgspec.json.decode(body, type=Job_), **fields)
    store._jobs["default", job_id] = msgspec.json.encode(changed)


from forestall.jobs.job import Job as Job_  # noqa: E402


@pytest.mark.parametrize("when", ["before the approval", "after the approval"])
@pytest.mark.parametrize("what", ["payload", "labels", "topic", "hash as well"])
def test_a_job_changed_in_the_store_never_runs(when: str, what: str) -> None:
    """Approving compares with the stored hash and never takes a new one (as the peer does)."""
    with opened() as door:
        case = Case(door)
        store = door.store
        assert isinstance(store, MemoryStore)
        if when == "after the approval":
            case.vote(case.ann)
        if what in ("payload", "hash as well"):
            store._payloads["default", case.job_id] = b'{"prompt":"rm -rf /","context":null}'
        if what == "labels":
            tampered(store, case.job_id, labels={"env": "prod"})
        if what == "topic":
            tampered(store, case.job_id, topic="job.deploy.other")
        if what == "hash as well":
            view = door.run(store.job("default", case.job_id))
            assert view is not None
            from forestall.jobs.job import stored_job_hash

            tampered(store, case.job_id, job_hash=stored_job_hash(view.job, view.payload))
        if when == "before the approval":
            assert_coded(case.vote(case.ann), 409, "approval_stale_snapshot")
        assert not case.runs()
        assert case.state() in ("APPROVAL_REQUIRED", "DENIED")


def test_an_approver_who_was_shown_another_job(case: Case) -> None:
    assert_coded(case.vote(case.ann, job_hash="0" * 64), 409, "approval_stale_request")
    assert_coded(case.vote(case.ann, policy_snapshot="é"), 409, "approval_stale_snapshot")
    assert case.state() == "APPROVAL_REQUIRED"


def test_a_strict_server_takes_no_approval_without_the_hash(case: Case) -> None:
    case.door.plane.approvals_need_hash = True
    assert_coded(case.vote(case.ann), 409, "approval_hash_required")
    assert case.vote(case.bob, job_hash=case.listed()["job_hash"]).status == 200


def test_a_revoked_requester_gets_nothing_approved(case: Case) -> None:
    """Suspended between request and approval, or between approval and dispatch."""
    other = case.submit()
    case.vote(case.ann, job_id=other)
    keys = case.door.ask("GET", "/api/v1/auth/keys").json["items"]
    (key_id,) = [one["id"] for one in keys if one["name"] == "agent"]
    case.door.ask("DELETE", f"/api/v1/auth/keys/{key_id}")
    body = assert_coded(case.vote(case.ann), 409, "approval_stale_snapshot")
    assert "revoked" in body["details"]["drift"]
    assert not case.runs()
    assert job(case.door, other)["failure_code"] == "submitter_revoked"


@pytest.mark.parametrize("label", ["approval_granted", "approval_snapshot", "APPROVAL_granted"])
def test_approval_labels_are_refused_at_submit(case: Case, label: str) -> None:
    body = {"topic": "job.deploy.x", "prompt": "x", "labels": {label: "true"}}
    assert_coded(case.door.ask("POST", JOBS, body, key=case.agent), 400, "reserved_label")


def test_another_tenants_approval_does_not_exist(case: Case) -> None:
    other = case.door.key(Role.ADMIN, tenant="other")
    assert_coded(case.vote(other), 404, "approval_not_found")
    assert case.door.ask("GET", APPROVALS, key=other).json["items"] == []
    assert_coded(case.door.ask("GET", f"{APPROVALS}/{case.job_id}/context", key=other), 404)
    assert case.state() == "APPROVAL_REQUIRED"


def test_a_rejected_job_is_denied_and_stays_so(case: Case) -> None:
    answer = case.vote(case.ann, "reject", reason="not today").json
    assert (answer["state"], answer["rejected_by"]) == ("DENIED", "ann")
    assert_coded(case.vote(case.bob), 409, "approval_already_resolved")
    (letter,) = case.door.ask("GET", "/api/v1/dlq").json
    assert (letter["reason_code"], letter["reason"]) == ("approval_rejected", "not today")
    assert case.vote(case.ann, "reject").json["status"] == "already_rejected"
    assert not case.runs()


def test_a_cancelled_job_cannot_be_approved(case: Case) -> None:
    case.door.ask("POST", f"{JOBS}/{case.job_id}/cancel", key=case.agent)
    assert_coded(case.vote(case.ann), 409, "approval_already_resolved")
    assert case.listed()["approval_actionability"] == "resolved"


def test_after_a_restart_everything_still_binds(case: Case) -> None:
    """Approval, expiry and queue come back from the store."""
    waiting = case.submit()
    case.vote(case.ann)
    door = case.door
    plane = door.plane
    plane.queue.__init__()  # type: ignore[misc]  # empty again
    plane.deadlines.clear()
    door.run(recover(plane))
    assert case.runs()
    pass_time(door, 24 * 3_600 + 1)
    assert job(door, waiting)["state"] == "TIMEOUT"


# -- whoever runs the work itself --


def test_a_guarded_call_ends_with_its_approval(case: Case) -> None:
    """What the published guard waits for: approve ends it, reject denies it."""
    yes, no = (case.submit(topic="job.guard") for _ in range(2))
    assert case.worker.lease() == []
    assert case.vote(case.ann, job_id=yes).json["state"] == "SUCCEEDED"
    result = job(case.door, yes)["result"]
    assert (result["approved"], result["approved_by"]) == (True, ["ann"])
    assert case.vote(case.ann, "reject", job_id=no).json["state"] == "DENIED"
    assert case.worker.lease() == []


def test_the_caller_claims_its_approved_job_once(case: Case) -> None:
    """evaluate → approval → claim → complete, with the ticket of a dispatch."""
    path = f"{JOBS}/{case.job_id}"
    assert_coded(case.door.ask("POST", f"{path}/claim", key=case.agent), 409, "not_claimable")
    case.vote(case.ann)
    stranger = case.door.key(Role.AGENT, name="stranger")
    assert_coded(case.door.ask("POST", f"{path}/claim", key=stranger), 404, "job_not_found")
    operator = case.door.key(Role.OPERATOR, name="operator")
    assert_coded(case.door.ask("POST", f"{path}/claim", key=operator), 403, "forbidden")
    given = case.door.ask("POST", f"{path}/claim", key=case.agent).json
    assert given["ticket"]
    assert_coded(case.door.ask("POST", f"{path}/claim", key=case.agent), 409, "not_claimable")
    assert not case.runs()
    said = {"lease_id": given["lease_id"], "status": "succeeded", "result": 7}
    assert_coded(case.door.ask("POST", f"{path}/complete", said, key=stranger), 404)
    renewed = case.door.ask(
        "POST", f"{path}/renew", {"lease_id": given["lease_id"]}, key=case.agent
    )
    assert renewed.json["state"] == "RUNNING"
    done = case.door.ask("POST", f"{path}/complete", said, key=case.agent)
    assert done.json["state"] == "SUCCEEDED"


@pytest.mark.parametrize("what", ["requires", "pool", "disabled"])
def test_what_only_workers_may_run_is_not_claimed(case: Case, what: str) -> None:
    """A claim is not a way round the pool, or round an operator who closed the topic."""
    door = case.door
    job_id = case.submit(requires=["gpu"]) if what == "requires" else case.job_id
    case.vote(case.ann, job_id=job_id)
    if what == "pool":
        assert door.ask("PUT", "/api/v1/pools/deploy", {}).status == 201
        door.ask("POST", "/api/v1/topics", {"name": "job.deploy.apply", "pool": "deploy"})
    if what == "disabled":
        door.ask("POST", "/api/v1/topics", {"name": "job.deploy.apply", "status": "disabled"})
    reply = door.ask("POST", f"{JOBS}/{job_id}/claim", key=case.agent)
    assert_coded(reply, 409, "not_claimable")
    assert job(door, job_id)["state"] == "PENDING"


# -- the list --


def test_the_list_shows_what_waits_and_what_was_decided(case: Case) -> None:
    second = case.submit()
    case.vote(case.ann)
    everything = case.door.ask("GET", APPROVALS).json["items"]
    assert [one["job_id"] for one in everything] == [second, case.job_id]
    waiting = case.door.ask("GET", f"{APPROVALS}?include_resolved=false").json["items"]
    assert [one["job_id"] for one in waiting] == [second]
    approved = case.door.ask("GET", f"{APPROVALS}?status=approved").json["items"]
    assert [one["job_id"] for one in approved] == [case.job_id]
    for one in everything:
        assert all(one[name] is not None for name in ("job_id", "topic", "tenant_id", "reason"))
        assert isinstance(one["created_at"], str)
    page = case.door.ask("GET", f"{APPROVALS}?limit=1").json
    rest = case.door.ask("GET", f"{APPROVALS}?limit=1&cursor={page['next_cursor']}").json
    assert [one["job_id"] for one in rest["items"]] == [case.job_id]
    assert case.door.ask("GET", f"{APPROVALS}?status=maybe").status == 400


def test_a_repair_whose_requester_was_revoked_ends_the_job(door: Door) -> None:
    """Before, repair said `applied`, the next vote said 409, and so on without end."""
    case = Case(door)
    (key,) = [each for each in door.plane.keys.of_tenant("default") if each.name == "agent"]
    assert door.ask("DELETE", f"/api/v1/auth/keys/{key.id}").status == 204
    path = f"{APPROVALS}/{case.job_id}/repair"
    repaired = door.ask("POST", path, {"apply": True})
    assert repaired.status == 200, repaired.body
    assert_coded(case.vote(case.ann), 409, "approval_already_resolved")
    seen = job(door, case.job_id)
    assert (seen["state"], seen["failure_code"]) == ("DENIED", "submitter_revoked")
    assert_coded(door.ask("POST", path, {"apply": True}), 409, "not_repairable")
    assert case.worker.lease() == []


def test_a_repair_that_is_throttled_is_no_denial(door: Door) -> None:
    """The job is queued again, and the dispatch gate holds it for as long as the rule says."""
    case = Case(door)
    enforce(door, "name: slow\nrules: [{id: s, decision: throttle, match: {topics: ['job.*']}}]")
    repaired = door.ask("POST", f"{APPROVALS}/{case.job_id}/repair", {"apply": True})
    assert repaired.status == 200, repaired.body
    assert job(door, case.job_id)["state"] == "PENDING"
    assert case.worker.lease() == []
    assert job(door, case.job_id)["state"] == "SCHEDULED"
