"""What people are asked, after what it rests on changed: never dispatched silently, never lost.

Three tables of attacks, one row each: registry entries that change between an approval and its
dispatch, policies that change under a question or under an answer, and requests that would share an
approval. `pytest -s` prints what became of each row.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from forestall.control.follow_log import load_entries
from forestall.control.recover import recover
from forestall.control.redecide import redecide_stale
from forestall.control.verify import verify_log
from forestall.identity.roles import Role
from forestall.limits import REDECIDED_AT_ONCE
from forestall.ports.change import Change
from tests.asgi import Door, assert_coded, opened
from tests.http_samples import Reply
from tests.unit.control.test_approvals import APPROVALS, ASK, PLAIN, TWO, Case
from tests.unit.control.test_dispatch import SlowStore
from tests.workers_under_test import JOBS, decide_again, enforce, job, kinds, pass_time

TOPIC = "job.deploy.apply"
TOPICS, POOLS, SCHEMAS = "/api/v1/topics", "/api/v1/pools", "/api/v1/schemas"
KEYS = "/api/v1/auth/keys"
MAIL = (
    "  - {{id: mail, decision: throttle, match: {{topics: ['job.mail.*']}},"
    " throttle: {{limit: {limit}, window: 1m, key: [tenant]}}}}\n"
)
DENY, ALLOW = "name: n\nrules: []\n", "name: n\ndefault_decision: allow\n"


@pytest.fixture
def case(door: Door) -> Iterator[Case]:
    made = Case(door)
    yield made
    report = door.run(verify_log(door.store))
    assert report.ok, report.problems


def with_mail(limit: int, policy: str = PLAIN) -> str:
    """A policy with a rule beside those that ask people."""
    return policy + MAIL.format(limit=limit)


def approval(case: Case) -> dict[str, Any]:
    """The approval as it is stored, without any reading that would decide it again."""
    view = case.door.run(case.door.store.job("default", case.job_id))
    assert view is not None
    assert view.job.approval is not None
    bound = view.job.approval
    return {"status": bound.status.value, "snapshot": bound.snapshot, "changes": bound.changes}


def in_force(door: Door) -> str:
    assert door.plane.snapshot is not None
    return door.plane.snapshot.digest


def show(row: str, result: object) -> None:
    """One row of a table of attacks with its result."""
    print(f"| {row} | {result} |")


# -- registry entries change between an approval and its dispatch --

TOPIC_NOW: dict[str, Any] = {"name": TOPIC, "input_schema_id": "s", "pool": "deploy"}
REGISTRY: dict[str, tuple[str, str, Any]] = {
    "requires": ("POST", TOPICS, {**TOPIC_NOW, "requires": ["gpu"]}),
    "risk tags": ("POST", TOPICS, {**TOPIC_NOW, "risk_tags": ["prod"]}),
    "pack": ("POST", TOPICS, {**TOPIC_NOW, "pack_id": "other"}),
    "input schema taken away": ("POST", TOPICS, {"name": TOPIC, "pool": "deploy"}),
    "output schema": ("POST", TOPICS, {**TOPIC_NOW, "output_schema_id": "s"}),
    "schema text": ("POST", SCHEMAS, {"id": "s", "schema": {"required": ["ticket"]}}),
    "status": ("POST", TOPICS, {**TOPIC_NOW, "status": "deprecated"}),
    "other pool": ("POST", TOPICS, {"name": TOPIC, "input_schema_id": "s"}),
    "pool's own entry": ("PATCH", f"{POOLS}/deploy", {"requires": ["gpu"]}),
    "topic removed": ("DELETE", f"{TOPICS}/{TOPIC}", None),
}


class RegisteredCase(Case):
    """A case whose topic stands in the registry, with a schema and a pool, before anybody asks."""

    def __init__(self, door: Door) -> None:
        assert door.ask("PUT", f"{POOLS}/deploy", {}).status == 201
        schema = {"id": "s", "schema": {"type": "object"}}
        assert door.ask("POST", SCHEMAS, schema).status < 300
        assert door.ask("POST", TOPICS, TOPIC_NOW).status == 201
        super().__init__(door)
        grant = {"worker_id": "w2", "allowed_topics": ["job.*"], "allowed_pools": ["deploy"]}
        token = door.ask("POST", "/api/v1/workers/credentials", grant).json["token"]
        self.worker.name, self.worker.token = "w2", token
        assert self.worker.ask("register", {"max_parallel": 8}).status == 200

    def submit(self, **body: Any) -> str:
        """A job that fits the schema."""
        return super().submit(**{"context": {"note": 1}, **body})

    def change(self, row: str) -> None:
        """One row of the table."""
        method, path, body = REGISTRY[row]
        assert self.door.ask(method, path, body).status < 300


@pytest.mark.parametrize("row", REGISTRY)
@pytest.mark.parametrize("when", ["at the dispatch", "by the loop"])
def test_a_registry_change_after_the_approval_asks_again(door: Door, row: str, when: str) -> None:
    case = RegisteredCase(door)
    case.vote(case.ann)
    case.change(row)
    if when == "by the loop":
        decide_again(door)
    ran = case.runs()
    show(f"{row}, {when}", "DISPATCHED" if ran else case.state())
    assert not ran
    decide_again(door)
    assert case.state() == "APPROVAL_REQUIRED"
    assert approval(case)["changes"], "people are told why"


def test_what_did_not_change_runs(door: Door) -> None:
    """The same entry declared again, another topic, another tenant: no reason to ask."""
    case = RegisteredCase(door)
    case.vote(case.ann)
    assert door.ask("POST", TOPICS, TOPIC_NOW).status == 200
    assert door.ask("POST", TOPICS, {"name": "job.other.x"}).status == 201
    there = door.key(Role.ADMIN, "other")
    assert door.ask("POST", TOPICS, {**TOPIC_NOW, "pool": "", "input_schema_id": ""}, key=there)
    decide_again(door)
    assert case.runs()


@pytest.mark.parametrize("row", [("POST", TOPICS, TOPIC_NOW), ("PATCH", f"{POOLS}/deploy", {})])
def test_a_question_stays_answerable_when_an_entry_is_declared_again(door: Door, row: Any) -> None:
    """The entry has a new revision and the same content: the vote counts."""
    case = RegisteredCase(door)
    method, path, body = row
    assert door.ask(method, path, body).status < 300
    assert case.vote(case.ann).json["state"] == "PENDING"
    assert case.runs()


def test_a_question_that_waits_is_asked_again_when_its_topic_changes(door: Door) -> None:
    """And the vote of a person who saw it before is refused, whether the loop was there or not."""
    case = RegisteredCase(door)
    shown = case.door.ask("GET", f"{APPROVALS}/{case.job_id}/context", key=case.ann).json
    assert [each["kind"] for each in shown["registry"]] == ["topic", "schema", "pool"]
    case.change("requires")
    body = assert_coded(case.vote(case.ann), 409, "approval_stale_snapshot")
    assert f"topic: `{TOPIC}` changed from revision 1 to 2" in body["details"]["drift"]
    told = job(door, case.job_id)
    assert (told["approval_status"], len(told["approval_changes"])) == ("pending", 1)
    assert case.vote(case.ann).json["state"] == "PENDING"
    assert case.runs()


def test_a_topic_that_changes_while_the_dispatch_is_on_its_way() -> None:
    """Both reach the store together: no ticket leaves on the old entry."""
    with opened(SlowStore()) as door:
        case = RegisteredCase(door)
        case.vote(case.ann)

        async def at_once() -> list[Reply]:
            lease = f"/api/v1/workers/{case.worker.name}/lease"
            asks = (
                door.ask_async("POST", lease, {"limit": 1}, key=case.worker.token),
                door.ask_async("POST", TOPICS, {**TOPIC_NOW, "requires": ["gpu"]}),
            )
            return list(await asyncio.gather(*asks))

        leased, declared = door.run(at_once())
        assert declared.status == 200
        if leased.json["jobs"]:  # the ticket left before the change was asked for
            log = [record["kind"] for record in door.records()]
            assert log.index("job.dispatched") < len(log) - 1 - log[::-1].index("topic.changed")
        else:
            pass_time(door, 2)
            decide_again(door)
            assert not case.runs()


def test_the_decision_names_the_entries_that_it_rests_on(door: Door) -> None:
    case = RegisteredCase(door)
    (record,) = [each for each in door.records() if each["kind"] == "job.submitted"]
    names = [name for name, _ in record["data"]["registry"]]
    assert names == [f"topic:{TOPIC}", "schema:s", "pool:deploy"]
    (decision,) = door.ask("GET", f"{JOBS}/{case.job_id}/decisions").json
    assert [each["revision"] for each in decision["registry"]] == [1, 1, 1]


# -- policies change under a question or an answer --

SECURITY_ROLE = ASK.format(terms="approval: {roles: [security], quorum: 1}")
POLICIES: dict[str, tuple[str, str]] = {
    "a throttle of another topic": (with_mail(21), "stays"),
    "a comment": (PLAIN.replace("rules:", "rules:\n  # a comment"), "stays"),
    "rule text": (with_mail(20, PLAIN.replace("must look", "looks")), "asked again"),
    "rule id": (with_mail(20, PLAIN.replace("id: ask", "id: asks")), "asked again"),
    "quorum": (with_mail(20, TWO), "asked again"),
    "roles": (with_mail(20, SECURITY_ROLE), "asked again"),
    "time to answer": (with_mail(20, ASK.format(terms="approval: {ttl: 1h}")), "asked again"),
    "constraints": (
        with_mail(20, ASK.format(terms="constraints: {budgets: {max_runtime_ms: 1000}}")),
        "asked again",
    ),
    "whom the rule matches": (
        with_mail(20, PLAIN.replace("job.deploy.*", "job.d*.*")),
        "asked again",
    ),
    "one more rule asks": (
        with_mail(20)
        + "  - {id: also, decision: require_approval, match: {topics: ['job.deploy.*']},"
        " reason: x}\n",
        "stays",
    ),
    "deny": (DENY, "DENIED"),
    "allow": (ALLOW, "PENDING"),
    "throttle": (
        "name: t\nrules: [{id: s, decision: throttle, match: {topics: ['job.*']}}]",
        "PENDING",
    ),
}


def became(case: Case, before: str) -> str:
    """What a change of the policy made of a question."""
    if case.state() != "APPROVAL_REQUIRED":
        return case.state()
    now = approval(case)
    assert now["status"] == "pending"
    assert now["snapshot"] == in_force(case.door) != before
    return "asked again" if now["changes"] else "stays"


@pytest.mark.parametrize("row", POLICIES)
def test_a_policy_change_and_a_question_without_an_answer(case: Case, row: str) -> None:
    enforce(case.door, with_mail(20))
    decide_again(case.door)
    before, asked_at = in_force(case.door), case.listed()["requested_at"]
    policy, expected = POLICIES[row]
    enforce(case.door, policy)
    decide_again(case.door)
    found = became(case, before)
    show(row, found)
    assert found == expected
    if found == "stays":
        (record,) = [each for each in case.door.records() if each["kind"] == "job.rebound"][-1:]
        assert record["data"]["snapshot_before"] == before
        assert record["data"]["snapshot"] == in_force(case.door)
        assert case.listed()["requested_at"] == asked_at
        assert case.vote(case.ann).json["state"] == "PENDING"
        assert case.runs()
    else:
        (record,) = [each for each in case.door.records() if "drift" in each["data"]][-1:]
        assert record["data"]["drift"]
        assert case.listed()["first_asked_at"] == asked_at
        waiting = case.door.ask("GET", f"{APPROVALS}?status=pending").json["items"]
        assert (len(waiting) == 1) is (found == "asked again")


ANSWERS = ("granted", "one of two votes")


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(
    ("policy", "state"), [("mail", "APPROVAL_REQUIRED"), ("deny", "DENIED"), ("allow", "PENDING")]
)
def test_a_policy_change_and_an_answer(door: Door, answer: str, policy: str, state: str) -> None:
    """Undone, and asked again by itself, before any worker comes."""
    asks = TWO if answer == "one of two votes" else PLAIN
    case = Case(door, with_mail(20, asks))
    case.vote(case.ann)
    enforce(door, {"mail": with_mail(21, asks), "deny": DENY, "allow": ALLOW}[policy])
    decide_again(door)
    show(f"{answer}, {policy}", case.state())
    assert case.state() == state
    if state == "APPROVAL_REQUIRED":
        assert case.listed()["votes"] == []
        assert any("ann" in change for change in approval(case)["changes"])
        assert not case.runs()
    else:
        assert case.runs() is (policy == "allow")


def test_two_changes_in_quick_succession_and_back_again(case: Case) -> None:
    """Each question ends bound to the last policy, whichever the loop had reached."""
    others = [case.submit(prompt=str(number)) for number in range(3)]
    first = in_force(case.door)
    enforce(case.door, TWO)
    case.door.run(redecide_stale(case.door.plane))
    enforce(case.door, with_mail(20))
    enforce(case.door, PLAIN)
    assert in_force(case.door) == first
    decide_again(case.door)
    for job_id in (case.job_id, *others):
        case.job_id = job_id
        assert approval(case)["snapshot"] == first
        assert case.vote(case.ann).json["state"] == "PENDING"
    assert len(case.worker.lease()) == 4


def test_a_vote_that_comes_before_the_loop(case: Case) -> None:
    """On the same question it counts; with the policy that the person saw, it does not."""
    seen = in_force(case.door)
    enforce(case.door, with_mail(20))
    stale = case.vote(case.bob, policy_snapshot=seen)
    assert_coded(stale, 409, "approval_stale_snapshot")
    assert case.vote(case.ann).json["state"] == "PENDING"
    assert case.runs()


def test_the_list_is_current_before_the_loop(case: Case) -> None:
    """Nothing that cannot be answered is listed as pending, however a list is asked for."""
    enforce(case.door, DENY)
    for query in ("?status=pending", "?include_resolved=false"):
        assert case.door.ask("GET", APPROVALS + query).json["items"] == []
    (item,) = case.door.ask("GET", APPROVALS).json["items"]
    assert item["approval_status"] == "invalidated"
    assert case.state() == "DENIED"


def test_a_job_that_needs_no_approval_any_more_is_not_pending(case: Case) -> None:
    enforce(case.door, ALLOW)
    decide_again(case.door)
    assert case.listed()["approval_actionability"] == "resolved"
    assert case.listed()["approval_status"] != "pending"
    assert case.runs()


def test_the_question_of_a_revoked_requester_ends(case: Case) -> None:
    (key,) = [each for each in case.door.plane.keys.of_tenant("default") if each.name == "agent"]
    assert case.door.ask("DELETE", f"{KEYS}/{key.id}").status == 204
    decide_again(case.door)
    assert job(case.door, case.job_id)["failure_code"] == "submitter_revoked"
    assert case.door.ask("GET", f"{APPROVALS}?status=pending").json["items"] == []


def test_an_expired_question_is_not_revived(case: Case) -> None:
    case.door.clock.forward(24 * 3_600 + 1)
    enforce(case.door, TWO)
    case.door.run(redecide_stale(case.door.plane))
    assert case.door.ask("GET", f"{APPROVALS}?status=pending").json["items"] == []
    pass_time(case.door, 1)
    assert case.state() == "TIMEOUT"


def test_a_policy_that_came_into_force_while_the_server_was_down(case: Case) -> None:
    """Memory is made anew from the store, after a crash in the middle of a batch."""
    for number in range(5):
        case.submit(prompt=str(number))
    enforce(case.door, with_mail(20))
    plane = case.door.plane

    async def crashed() -> None:
        work = asyncio.ensure_future(redecide_stale(plane))
        for _ in range(9):
            await asyncio.sleep(0)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    case.door.run(crashed())
    plane.projections.open_approvals.__init__()  # type: ignore[misc]  # a new process
    case.door.run(load_entries(plane))
    case.door.run(recover(plane))
    decide_again(case.door)
    waiting = case.door.ask("GET", f"{APPROVALS}?status=pending").json["items"]
    assert {item["policy_snapshot"] for item in waiting} == {in_force(case.door)}
    assert len(waiting) == 6
    assert sum(record["kind"] == "job.rebound" for record in case.door.records()) == 6
    assert not any(kinds(case.door, item["job_id"]).count("job.rebound") > 1 for item in waiting)


def test_many_questions_take_as_many_batches_as_they_need(case: Case) -> None:
    count = 2 * REDECIDED_AT_ONCE
    for number in range(count):
        case.submit(prompt=str(number))
    enforce(case.door, with_mail(20))
    assert decide_again(case.door) == 3
    assert decide_again(case.door) == 0


def test_a_strict_server_wants_the_policy_of_what_was_asked_again(case: Case) -> None:
    case.door.plane.approvals_need_hash = True
    shown = case.listed()["job_hash"]
    enforce(case.door, ASK.format(terms="approval: {ttl: 1h}"))
    decide_again(case.door)
    assert_coded(case.vote(case.ann, job_hash=shown), 409, "approval_hash_required")
    seen = {"job_hash": shown, "policy_snapshot": in_force(case.door)}
    assert case.vote(case.ann, **seen).json["state"] == "PENDING"


def test_who_may_ask_again(case: Case) -> None:
    """The approver may, for what only the clock or a key has changed; for another agent there is
    nothing to ask about."""
    path = f"{APPROVALS}/{case.job_id}/repair"
    stranger = case.door.key(Role.AGENT, name="stranger")
    refused = case.door.ask("POST", path, {"apply": True}, key=stranger)
    assert_coded(refused, 404, "approval_not_found")
    assert_coded(case.door.ask("POST", path, {"apply": True}, key=case.ann), 409, "not_repairable")
    viewer = case.door.key(Role.VIEWER)
    assert_coded(case.door.ask("POST", path, {"apply": True}, key=viewer), 403, "forbidden")


# -- two identical requests --

SAME = {"prompt": "roll out", "share_approval": True}


def shares(case: Case, key: str = "", **body: Any) -> tuple[str, bool]:
    """A submission, and whether it shares the approval of the case's job."""
    asked = {"topic": TOPIC, **SAME, **body}
    reply = case.door.ask("POST", JOBS, asked, key=key or case.agent)
    assert reply.status == 200, reply.body
    assert reply.json.get("approval_shared", False) is (reply.json["job_id"] == case.job_id)
    return str(reply.json["job_id"]), reply.json["job_id"] == case.job_id


SHARING: dict[str, dict[str, Any]] = {
    "neither asked for it": {},
    "only the second asked": {"share_approval": True},
    "another payload": {"prompt": "roll back"},
    "another label": {"labels": {"env": "prod"}},
    "other retries": {"max_retries": 0},
}


@pytest.mark.parametrize("row", SHARING)
def test_two_requests_are_two_approvals(case: Case, row: str) -> None:
    """One vote lets one of them run."""
    if row not in ("neither asked for it", "only the second asked"):
        case.job_id = case.submit(**SAME)
    body = {"share_approval": row != "neither asked for it", **SHARING[row]}
    other, is_shared = shares(case, **body)
    show(row, "one approval" if is_shared else "two approvals")
    assert not is_shared
    case.vote(case.ann)
    assert [one["job_id"] for one in case.worker.lease()] == [case.job_id]
    assert job(case.door, other)["state"] == "APPROVAL_REQUIRED"


@pytest.mark.parametrize("who", ["principal", "key of the same principal", "tenant"])
def test_nobody_else_shares(case: Case, who: str) -> None:
    case.job_id = case.submit(**SAME)
    key = {
        "principal": lambda: case.door.key(Role.AGENT, name="second"),
        "key of the same principal": lambda: case.door.key(
            Role.AGENT, name="second", principal="agent"
        ),
        "tenant": lambda: case.door.key(Role.AGENT, "other", name="agent"),
    }[who]()
    _, is_shared = shares(case, key)
    show(f"another {who}", "one approval" if is_shared else "two approvals")
    assert not is_shared


def test_who_asked_to_share_waits_for_one_answer_and_runs_once(case: Case) -> None:
    case.job_id = case.submit(**SAME)
    jobs = len(case.door.run(case.door.store.links(start=0, limit=10_000)))
    _, is_shared = shares(case)
    assert is_shared
    assert len(case.door.records()) == jobs + 1
    record = case.door.records()[-1]
    assert (record["kind"], record["job_id"]) == ("approval.joined", case.job_id)
    case.vote(case.ann)
    assert [one["job_id"] for one in case.worker.lease()] == [case.job_id]
    _, is_shared = shares(case)
    assert not is_shared, "an approval that was used is shared by nobody"


@pytest.mark.parametrize("end", ["approve", "reject", "expire", "cancel", "policy"])
def test_an_answered_question_is_shared_by_nobody(case: Case, end: str) -> None:
    case.job_id = case.submit(**SAME)
    if end in ("approve", "reject"):
        case.vote(case.ann, end)
    elif end == "expire":
        case.door.clock.forward(24 * 3_600 + 1)
    elif end == "cancel":
        case.door.ask("POST", f"{JOBS}/{case.job_id}/cancel", key=case.agent)
    else:
        enforce(case.door, TWO)
    assert not shares(case)[1]


def test_an_answer_that_comes_while_a_request_joins_is_not_used_twice(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vote commits after the second request has seen the question, and before it has joined."""
    case.job_id = case.submit(**SAME)
    store = case.door.plane.store
    commit = store.commit
    voted: list[str] = []

    async def with_a_vote_before(change: Change) -> Any:
        if not voted and any(each.kind == "approval.joined" for each in change.records):
            voted.append(case.job_id)
            body = {"reason": "looked at"}
            path = f"/api/v1/approvals/{case.job_id}/approve"
            reply = await case.door.ask_async("POST", path, body, key=case.ann)
            assert reply.status == 200, reply.body
        return await commit(change)

    monkeypatch.setattr(store, "commit", with_a_vote_before)
    _, is_shared = shares(case)
    assert voted
    assert not is_shared


def test_an_idempotency_key_stands_for_the_shared_job(case: Case) -> None:
    case.job_id = case.submit(**SAME)
    asked = {"topic": TOPIC, **SAME}
    headers = {"idempotency-key": "k"}
    first = case.door.ask("POST", JOBS, asked, key=case.agent, headers=headers).json
    assert (first["job_id"], first["approval_shared"]) == (case.job_id, True)
    case.vote(case.ann)
    again = case.door.ask("POST", JOBS, asked, key=case.agent, headers=headers).json
    assert (again["job_id"], again["idempotent_replay"]) == (case.job_id, True)
    other = case.door.ask(
        "POST", JOBS, {**asked, "prompt": "else"}, key=case.agent, headers=headers
    )
    assert_coded(other, 409, "IDEMPOTENCY_CONFLICT")


@pytest.mark.parametrize("value", ["yes", 1, [], {}])
def test_the_wish_to_share_is_true_or_false(case: Case, value: Any) -> None:
    body = {"topic": TOPIC, "prompt": "x", "share_approval": value}
    assert case.door.ask("POST", JOBS, body, key=case.agent).status == 400
