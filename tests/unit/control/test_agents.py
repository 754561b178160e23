"""Agents, registered and changed: what is kept of them, who may change them, and their keys."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from forestall.control.expire import tick
from forestall.control.verify import verify_log
from forestall.identity.credentials import ApiKey
from forestall.identity.roles import Role
from forestall.limits import AGENT_LIST_ITEMS_MAX, DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX
from forestall.ports.entries import EntryKind
from forestall.ports.store import StoreUnavailableError
from forestall.wire.compat import iso_time
from tests.agents_under_test import AGENTS, DEMO_JOB, KEYS, AgentCase
from tests.asgi import Door, FailingStore, assert_coded, opened, second_process
from tests.http_samples import Reply
from tests.workers_under_test import JOBS, Worker, job, pass_time

SIMULATE, EXPLAIN = "/api/v1/policy/simulate", "/api/v1/policy/explain"
BODY = {"name": "one", "risk_tier": "low"}


@pytest.fixture
def case(door: Door) -> Iterator[AgentCase]:
    """An agent that may do demo jobs."""
    yield AgentCase(door)
    report = door.run(verify_log(door.store))
    assert report.ok, report.problems


# -- what is kept --


def test_what_was_registered_is_what_is_read(door: Door) -> None:
    body = {
        **BODY,
        "owner": "platform",
        "team": "sre",
        "purpose": "rolls out",
        "description": "two\nlines",
        "workspace": "eu-1",
        "data_classifications": ["pii"],
        "allowed_topics": ["job.a.*"],
        "allowed_resources": ["db:*"],
        "expires_at": "2027-01-31T12:00:00+01:00",
    }
    made = door.ask("POST", AGENTS, body)
    assert made.status == 201, made.body
    assert made.json["id"].startswith("agt-")
    assert {name: made.json[name] for name in body if name != "expires_at"} == {
        name: value for name, value in body.items() if name != "expires_at"
    }
    assert made.json["expires_at"] == "2027-01-31T11:00:00.000000Z"
    assert "allowed_tools" not in made.json  # an empty list is left out
    assert made.json["preapproved_mutating_tools"] == []
    assert door.ask("GET", f"{AGENTS}/{made.json['id']}").json == made.json
    record = door.records()[-1]
    assert (record["kind"], record["data"]["allowed_topics"]) == ("agent.created", ["job.a.*"])


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"name": ""}, "`name`"),
        ({"risk_tier": ""}, "`risk_tier`"),
        ({"risk_tier": "Low"}, "`risk_tier`"),
        ({"name": "two words"}, "agent name"),
        ({"name": "x" * (NAME_CHARS_MAX + 1)}, "agent name"),
        ({"name": "agt-1"}, "`agt-`"),
        ({"name": "worker:w"}, "`worker:`"),
        ({"owner": "a\nb"}, "`owner`"),
        ({"purpose": "x" * (DESCRIPTION_CHARS_MAX + 1)}, "`purpose`"),
        ({"allowed_topics": ["job.[a"]}, "`allowed_topics`"),
        ({"allowed_topics": [""]}, "`allowed_topics`"),
        ({"allowed_tools": ["a", "a"]}, "`allowed_tools`"),
        ({"allowed_topics": "job.*"}, "`allowed_topics`"),
        ({"allowed_pools": [f"p{n}" for n in range(AGENT_LIST_ITEMS_MAX + 1)]}, "`allowed_pools`"),
        ({"alowed_topics": ["*"]}, "alowed_topics"),
        ({"entitlements": ["all"]}, "`entitlements`"),
        ({"preapproved_mutating_tools": ["rm"]}, "`preapproved_mutating_tools`"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "past"),
        ({"expires_at": "2027-01-01"}, "`expires_at`"),
        ({"expires_at": "99999-01-01T00:00:00Z"}, "`expires_at`"),
        ({"status": "dead"}, "`status`"),
    ],
)
def test_an_agent_that_cannot_be_is_refused(door: Door, body: dict[str, Any], word: str) -> None:
    before = door.trace()
    refusal = assert_coded(door.ask("POST", AGENTS, {**BODY, **body}), 400)
    assert refusal["code"] in ("AGENT_REQUEST_INVALID", "invalid_json")
    assert word in refusal["error"]
    assert door.trace() == before


def test_a_new_agent_is_active_whatever_the_body_says(door: Door) -> None:
    made = door.ask("POST", AGENTS, {**BODY, "status": "suspended"})
    assert (made.status, made.json["status"]) == (201, "active")


def test_a_name_is_taken_once_and_its_case_counts(door: Door) -> None:
    assert door.ask("POST", AGENTS, BODY).status == 201
    assert_coded(door.ask("POST", AGENTS, BODY), 409, "AGENT_NAME_CONFLICT")
    assert door.ask("POST", AGENTS, {**BODY, "name": "One"}).status == 201
    other = door.key(Role.ADMIN, "other")
    assert door.ask("POST", AGENTS, BODY, key=other).status == 201


def test_of_two_agents_of_one_name_at_once_there_is_one(door: Door) -> None:
    async def at_once() -> list[Reply]:
        return list(await asyncio.gather(*(door.ask_async("POST", AGENTS, BODY) for _ in range(8))))

    replies = door.run(at_once())
    assert sorted(reply.status for reply in replies) == [201, *[409] * 7]
    assert len(door.ask("GET", AGENTS).json["items"]) == 1


def test_a_tenant_has_so_many_agents_and_no_more(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forestall.control.agents.AGENTS_PER_TENANT_MAX", 2)
    first = door.ask("POST", AGENTS, BODY).json["id"]
    door.ask("POST", AGENTS, {**BODY, "name": "two"})
    door.ask("DELETE", f"{AGENTS}/{first}")  # a revoked agent counts: its name stays taken
    assert_coded(door.ask("POST", AGENTS, {**BODY, "name": "three"}), 409, "AGENTS_FULL")
    other = door.key(Role.ADMIN, "other")
    assert door.ask("POST", AGENTS, BODY, key=other).status == 201


def test_a_change_keeps_what_it_does_not_name(case: AgentCase) -> None:
    case.update(team="sre", data_classifications=["pii"])
    after = case.update(owner="", team="", allowed_tools=["git"], data_classifications=[]).json
    assert (after["owner"], after["team"]) == ("platform", "sre")
    assert (after["allowed_topics"], after["allowed_tools"]) == (["job.demo.*"], ["git"])
    assert "data_classifications" not in after
    before = case.door.trace()
    assert case.update(name="bot", team="sre").json == after  # it changes nothing
    assert case.door.trace() == before
    assert_coded(case.update(name="other"), 400, "AGENT_REQUEST_INVALID")


def test_a_change_on_an_older_revision_is_refused(case: AgentCase) -> None:
    """Two admins each add a right to what they have read: neither undoes the other."""
    revision = case.read()["revision"]
    case.update(allowed_topics=["job.demo.*", "job.a"], revision=revision)
    late = case.update(allowed_topics=["job.demo.*", "job.b"], revision=revision)
    assert_coded(late, 409, "AGENT_VERSION_CONFLICT")
    assert case.read()["allowed_topics"] == ["job.demo.*", "job.a"]


def test_a_suspension_wins_against_changes_at_once(case: AgentCase) -> None:
    async def at_once() -> list[Reply]:
        path = f"{AGENTS}/{case.id}"
        changes = [
            case.door.ask_async("PUT", path, {"description": f"change {n}"}) for n in range(4)
        ]
        suspend = case.door.ask_async("POST", f"{path}/suspend", {"reason": "now"})
        return list(await asyncio.gather(*changes, suspend))

    assert [reply.status for reply in case.door.run(at_once())] == [200] * 5
    assert case.read()["status"] == "suspended"
    assert_coded(case.submit(), 403, "agent_suspended")


def test_a_list_is_paged_and_narrowed(door: Door) -> None:
    for number in range(5):
        tier = "high" if number == 3 else "low"
        body = {"name": f"bot-{number}", "risk_tier": tier, "team": f"t{number % 2}"}
        assert door.ask("POST", AGENTS, body).status == 201

    def names(query: str) -> list[str]:
        return [each["name"] for each in door.ask("GET", f"{AGENTS}?{query}").json["items"]]

    first = door.ask("GET", f"{AGENTS}?limit=2").json
    assert first["cursor"] == first["next_cursor"] != ""
    assert names("limit=2") == ["bot-0", "bot-1"]
    assert names(f"limit=9&cursor={first['cursor']}") == ["bot-2", "bot-3", "bot-4"]
    assert names("risk_tier=high") == names("name=bot-3") == ["bot-3"]
    assert names("team=t0&status=active") == ["bot-0", "bot-2", "bot-4"]
    for query in ("limit=0", "cursor=x", "status=dead", "risk_tier=x"):
        assert door.ask("GET", f"{AGENTS}?{query}").status == 400


def test_findings_say_what_an_agent_lacks(door: Door) -> None:
    door.key(Role.AGENT, name="old", principal="bot")
    bare = AgentCase(door, "bot", owner="", allowed_topics=[])
    assert bare.read()["findings"] == ["no_owner", "no_expiry", "no_rights", "unbound_key"]
    (old,) = [key for key in door.plane.keys.of_tenant("default") if key.name == "old"]
    door.ask("DELETE", f"{KEYS}/{old.id}")
    bare.update(owner="me", allowed_topics=["job.*"], expires_at="2030-01-01T00:00:00Z")
    assert bare.read()["findings"] == []
    bare.revoke()
    assert bare.read()["findings"] == []


def test_a_last_use_is_shown(case: AgentCase) -> None:
    assert "last_active" not in case.read()
    case.taken()
    assert case.read()["last_active"] == case.door.clock.at_us // 1_000_000


# -- who may --


def test_an_agent_makes_no_keys_and_changes_no_agent(case: AgentCase) -> None:
    before = case.door.trace()
    path = f"{AGENTS}/{case.id}"
    for method, where, body in (
        ("POST", KEYS, {"name": "more", "role": "admin"}),
        ("POST", KEYS, {"name": "more", "agent_id": case.id}),
        ("GET", KEYS, None),
        ("PUT", path, {"allowed_topics": ["*"]}),
        ("POST", AGENTS, BODY),
        ("GET", AGENTS, None),
        ("GET", path, None),
        ("DELETE", path, None),
        ("POST", f"{path}/resume", {}),
        ("POST", "/api/v1/workers/credentials", {"worker_id": "w", "allowed_topics": ["*"]}),
    ):
        assert_coded(case.door.ask(method, where, body, key=case.key), 403, "forbidden")
    assert case.door.trace() == before


def test_an_agent_of_another_tenant_is_not_there(case: AgentCase) -> None:
    """A foreign id answers as one that nothing has, wherever an id is taken."""
    other = case.door.key(Role.ADMIN, "other")
    absent = "agt-00000000-0000-7000-8000-000000000000"

    def answers(agent_id: str) -> list[tuple[int, str]]:
        path, worker = f"{AGENTS}/{agent_id}", {"worker_id": "w", "allowed_topics": ["*"]}
        asks = [
            ("GET", path, None),
            ("PUT", path, {"owner": "me"}),
            ("POST", f"{path}/suspend", {}),
            ("DELETE", path, None),
            ("POST", KEYS, {"name": "k", "agent_id": agent_id}),
            ("POST", "/api/v1/workers/credentials", {**worker, "agent_id": agent_id}),
            ("POST", f"{SIMULATE}?as_agent={agent_id}", DEMO_JOB),
        ]
        replies = [case.door.ask(*ask, key=other) for ask in asks]
        return [(reply.status, reply.json["error"].replace(agent_id, "(id)")) for reply in replies]

    assert answers(case.id) == answers(absent)
    assert {status for status, _ in answers(case.id)} == {404}
    assert case.read()["status"] == "active"


# -- bound keys --


def test_a_bound_key_is_its_agent_and_nothing_else(case: AgentCase) -> None:
    def made(**body: Any) -> Reply:
        return case.door.ask("POST", KEYS, {"name": "k", "agent_id": case.id, **body})

    assert_coded(made(principal_id="admin"), 400, "AUTH_KEY_INVALID")
    assert_coded(made(groups=["security"]), 400, "AUTH_KEY_INVALID")
    for role in ("admin", "approver", "operator", "viewer", "author"):
        assert_coded(made(role=role), 400, "AUTH_KEY_INVALID")
    assert_coded(made(role="worker"), 400, "AUTH_KEY_INVALID")
    key = made(principal_id="bot").json["key"]
    assert (key["role"], key["principal_id"], key["agent_id"]) == ("agent", "bot", case.id)
    listed = case.door.ask("GET", KEYS).json["items"]
    assert [each["name"] for each in listed if each.get("agent_id") == case.id] == ["bot-key", "k"]
    record = next(one for one in reversed(case.door.records()) if one["kind"] == "key.created")
    assert record["data"]["agent_id"] == case.id


def test_nobody_gets_an_unbound_key_under_the_name_of_an_agent(case: AgentCase) -> None:
    for body in ({"name": "bot"}, {"name": "x", "principal_id": "bot"}):
        refusal = assert_coded(case.door.ask("POST", KEYS, {**body, "role": "agent"}), 400)
        assert refusal["code"] == "AUTH_KEY_INVALID"
        assert "bound" in refusal["error"]


def test_of_an_agent_and_a_key_of_one_name_at_once_one_is_first(door: Door) -> None:
    """Never both: the key would act under the name of the agent, without its rights."""

    async def at_once() -> list[Reply]:
        body = {"name": "one", "role": "agent"}
        asks = [door.ask_async("POST", KEYS, body), door.ask_async("POST", AGENTS, BODY)]
        return list(await asyncio.gather(*asks))

    key, agent = door.run(at_once())
    assert (key.status, agent.status) in ((201, 201), (409, 201), (400, 201))
    if key.status == 201:  # the key was first: people are told
        assert "unbound_key" in door.ask("GET", f"{AGENTS}/{agent.json['id']}").json["findings"]


def test_a_key_does_not_outlive_its_agent(case: AgentCase) -> None:
    ends_us = case.door.clock.at_us + 3_600_000_000
    case.update(expires_at=iso_time(ends_us))

    def made(name: str, **body: Any) -> Reply:
        return case.door.ask("POST", KEYS, {"name": name, "agent_id": case.id, **body})

    assert made("a").json["key"]["expires_at"] == iso_time(ends_us)
    assert_coded(made("b", expiresAt=iso_time(ends_us + 1)), 400, "AUTH_KEY_INVALID")
    assert made("b", expiresAt=iso_time(ends_us)).status == 201
    case.door.clock.forward(3_601)
    assert_coded(made("c"), 409, "AGENT_NOT_ACTIVE")


@pytest.mark.parametrize("word", ["suspend", "revoke"])
def test_an_agent_that_may_not_act_gets_no_key(case: AgentCase, word: str) -> None:
    assert (case.revoke() if word == "revoke" else case.verb(word)).status == 200
    reply = case.door.ask("POST", KEYS, {"name": "k", "agent_id": case.id})
    assert_coded(reply, 409, "AGENT_NOT_ACTIVE")


def test_an_agent_has_so_many_keys_and_no_more(
    case: AgentCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forestall.control.keys.KEYS_PER_AGENT_MAX", 2)
    case.bound_key("second")
    reply = case.door.ask("POST", KEYS, {"name": "third", "agent_id": case.id})
    assert_coded(reply, 400, "AUTH_KEY_INVALID")


# -- races, failures, restarts --


def test_a_key_that_slips_in_beside_a_revocation_carries_nothing(case: AgentCase) -> None:
    """And the next tick revokes it."""

    async def at_once() -> list[Reply]:
        body = {"name": "late", "agent_id": case.id}
        asks = [case.door.ask_async("POST", KEYS, body) for _ in range(2)]
        asks.append(case.door.ask_async("DELETE", f"{AGENTS}/{case.id}"))
        return list(await asyncio.gather(*asks))

    replies = case.door.run(at_once())
    assert replies[-1].status == 200
    for reply in replies[:2]:
        if reply.status == 201:
            asked = case.door.ask("GET", JOBS, key=reply.json["secret"])
            assert_coded(asked, 401, "unauthorized")
    pass_time(case.door, 0.1)
    assert not [key for key in case.door.plane.keys.of_agent(case.id) if key.revoked_at_us is None]


def test_a_full_disk_changes_nothing_and_nothing_is_handed_out_meanwhile() -> None:
    store = FailingStore()
    with opened(store) as door:
        case = AgentCase(door)
        worker = Worker(door)
        case.taken()
        store.failure = StoreUnavailableError("the disk is full")
        assert_coded(case.verb("suspend"), 503, "store_unavailable")
        assert worker.lease() == []  # nobody knows whether the agent is suspended
        store.failure = None
        pass_time(door, 2)
        assert case.read()["status"] == "active"
        assert len(worker.lease()) == 1


def test_a_second_process_learns_of_every_change_from_the_log(case: AgentCase) -> None:
    plane = second_process(case.door)
    assert plane.agents.of_tenant("default") == case.door.plane.agents.of_tenant("default")
    case.update(allowed_topics=[])
    AgentCase(case.door, "second").verb("suspend", reason="odd")
    case.revoke()
    case.door.run(tick(plane))
    case.door.clock.forward(2)
    case.door.run(tick(plane))
    assert plane.agents.of_tenant("default") == case.door.plane.agents.of_tenant("default")
    assert plane.agents.of_tenant("default")[0].status == "revoked"


def test_what_ran_for_an_agent_is_cancelled_after_a_restart_too(case: AgentCase) -> None:
    """The server stops between the suspension and the tick."""
    job_id = case.taken()
    assert len(Worker(case.door).lease()) == 1
    case.verb("suspend")
    case.door.run(tick(second_process(case.door)))
    assert job(case.door, job_id)["failure_code"] == "agent_suspended"


def test_an_agent_that_memory_does_not_know_is_a_revoked_one(case: AgentCase) -> None:
    """Unknown is never safe: a key names an agent, and the agent is not there."""
    job_id = case.taken()
    case.door.plane.agents._by_id.clear()
    assert_coded(case.submit(), 401, "unauthorized")
    assert Worker(case.door).lease() == []
    assert job(case.door, job_id)["failure_code"] == "agent_revoked"


# -- rehearsals for an agent --


def test_a_rehearsal_for_an_agent_decides_as_its_gate_would(case: AgentCase) -> None:
    for body in (DEMO_JOB, {**DEMO_JOB, "capability": "x"}, {**DEMO_JOB, "topic": "job.mail.a"}):
        before = case.door.trace()
        said = case.door.ask("POST", f"{SIMULATE}?as_agent={case.id}", body).json
        explained = case.door.ask("POST", f"{EXPLAIN}?as_agent={case.id}", body).json
        assert case.door.trace() == before
        done = case.submit(**body).json
        wanted = (done["decision"], done["reason"], done["job_hash"])
        for answer in (said, explained):
            assert (answer["decision"], answer["reason"], answer["job_hash"]) == wanted
    case.verb("suspend")
    said = case.door.ask("POST", f"{SIMULATE}?as_agent={case.id}", DEMO_JOB).json
    assert said["code"] == "agent_suspended"


def test_a_rehearsal_for_an_agent_needs_the_right_to_read_agents(case: AgentCase) -> None:
    viewer = case.door.key(Role.VIEWER)
    reply = case.door.ask("POST", f"{SIMULATE}?as_agent={case.id}", DEMO_JOB, key=viewer)
    assert assert_coded(reply, 403, "forbidden")["details"]["required"] == "agents.read"


def test_a_key_of_an_older_version_belongs_to_no_agent(door: Door) -> None:
    door.key(Role.AGENT, name="old")
    entries = door.run(door.store.entries(EntryKind.KEY))
    (stored,) = [body for each in entries if (body := json.loads(each.body))["name"] == "old"]
    del stored["agent_id"]
    assert msgspec.convert(stored, ApiKey).agent_id == ""
