"""Topics, pools and input schemas over HTTP: first what must not work, then what must."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from forestall.control.keys import authenticate
from forestall.control.publish import publish
from forestall.identity.credentials import WorkerGrant
from forestall.identity.roles import PERMISSIONS, Permission, Role
from forestall.jobs.schedule import Lane
from forestall.limits import SCHEMA_BYTES_MAX, SCHEMA_VIOLATIONS_MAX, TOPICS_PER_TENANT_MAX
from forestall.ports.change import Change, Receipt
from forestall.projections.registry import CLOSED_POOL
from forestall.projections.worker_sessions import WorkerSession
from forestall.server.api_registry import ENDPOINTS
from forestall.store.memory import MemoryStore
from tests.asgi import VERBS, Door, assert_coded, opened
from tests.http_samples import Reply

TOPICS, POOLS, SCHEMAS = "/api/v1/topics", "/api/v1/pools", "/api/v1/schemas"
POLICY = """\
rules:
  - {id: deny-pii, decision: deny, match: {topics: ["job.demo.*"], risk_tags: [pii]}}
  - {id: deny-gpu, decision: deny, match: {topics: ["job.demo.*"], requires: [gpu]}}
  - {id: allow-demo, decision: allow, match: {topics: ["job.demo.*"]}}
"""
SCHEMA = {
    "type": "object",
    "required": ["path"],
    "properties": {"path": {"type": "string", "pattern": "^/[a-z/]*$"}, "n": {"maximum": 10}},
    "additionalProperties": False,
}


@pytest.fixture
def door() -> Iterator[Door]:
    with opened(policy=POLICY) as door:
        yield door


def topic(door: Door, name: str = "job.demo.read", want: int = 201, **more: Any) -> Reply:
    reply = door.ask("POST", TOPICS, {"name": name, **more})
    assert reply.status == want, reply.body
    return reply


def pool(door: Door, name: str = "gpu", status: int = 201, **more: Any) -> Reply:
    reply = door.ask("PUT", f"{POOLS}/{name}", more)
    assert reply.status == status, reply.body
    return reply


def schema(door: Door, value: Any, status: int = 204, schema_id: str = "in") -> Reply:
    reply = door.ask("POST", SCHEMAS, {"id": schema_id, "schema": value})
    assert reply.status == status, reply.body
    return reply


def submit(door: Door, name: str = "job.demo.read", **more: Any) -> Reply:
    return door.submit({"topic": name, "prompt": "hi", **more})


class SlowStore(MemoryStore):
    """A store whose commits take a moment, so that verbs can meet."""

    async def commit(self, change: Change) -> Receipt:
        """See `Store.commit`."""
        await asyncio.sleep(0)
        return await super().commit(change)


@pytest.fixture
def slow_door() -> Iterator[Door]:
    with opened(SlowStore(), POLICY) as door:
        yield door


# -- abuse: who may, and whose --


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: f"{each.method} {each.path}")
def test_only_an_admin_writes_and_a_worker_does_not_even_read(door: Door, endpoint: Any) -> None:
    path = endpoint.path.replace("{name}", "gpu").replace("{topic}", "job.a").replace("{id}", "in")
    before = door.trace()
    for role in Role:
        if role is Role.WORKER or endpoint.permission in PERMISSIONS[role]:
            continue
        key = door.key(role)
        before = door.trace()
        assert_coded(door.ask(endpoint.method, path, {}, key=key), 403, "forbidden")
        assert door.trace() == before
    writers = [role for role in Role if Permission.REGISTRY_WRITE in PERMISSIONS[role]]
    assert writers == [Role.ADMIN]
    assert Permission.REGISTRY_READ not in PERMISSIONS[Role.WORKER]


def test_another_tenants_registry_is_invisible(door: Door) -> None:
    """It cannot be read, named, changed or ended; and it governs nobody else's jobs."""
    pool(door)
    schema(door, SCHEMA)
    topic(door, pool="gpu", input_schema_id="in")
    other = door.key(Role.ADMIN, tenant="acme")
    assert door.ask("GET", TOPICS, key=other).json == {"items": [], "registry_empty": True}
    assert door.ask("GET", POOLS, key=other).json == {"items": []}
    assert door.ask("GET", SCHEMAS, key=other).json == {"schemas": []}
    for method, path, code in (
        ("GET", f"{POOLS}/gpu", "POOL_NOT_FOUND"),
        ("PATCH", f"{POOLS}/gpu", "POOL_NOT_FOUND"),
        ("DELETE", f"{POOLS}/gpu", "POOL_NOT_FOUND"),
        ("POST", f"{POOLS}/gpu/drain", "POOL_NOT_FOUND"),
        ("PUT", f"{POOLS}/gpu/topics/job.demo.read", "POOL_NOT_FOUND"),
        ("DELETE", f"{TOPICS}/job.demo.read", "TOPIC_NOT_FOUND"),
        ("GET", f"{SCHEMAS}/in", "schema_not_found"),
        ("DELETE", f"{SCHEMAS}/in", "schema_not_found"),
    ):
        assert_coded(door.ask(method, path, {}, key=other), 404, code)
    named = {"name": "job.demo.x", "pool": "gpu"}
    assert_coded(door.ask("POST", TOPICS, named, key=other), 400, "TOPIC_SCHEMA_VIOLATION")
    job = {"topic": "job.demo.any", "prompt": "hi"}
    assert door.submit(job, key=other).status == 200
    assert door.ask("GET", f"{POOLS}/gpu").json["topics"] == ["job.demo.read"]


def test_the_topic_after_the_last_is_refused(door: Door) -> None:
    async def fill() -> list[int]:
        replies = [
            await door.ask_async("POST", TOPICS, {"name": f"job.t{number}"})
            for number in range(TOPICS_PER_TENANT_MAX + 1)
        ]
        return [reply.status for reply in replies]

    assert door.run(fill()) == [201] * TOPICS_PER_TENANT_MAX + [409]
    assert_coded(door.ask("POST", TOPICS, {"name": "job.late"}), 409, "registry_full")
    topic(door, "job.t7", 200, status="deprecated")
    assert door.ask("DELETE", f"{TOPICS}/job.t7").status == 204
    topic(door, "job.late")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "demo"},
        {"name": "job."},
        {"name": "job.a/b"},
        {"name": "job." + "a" * 300},
        {"name": "job.a", "status": "on"},
        {"name": "job.a", "pool": "none"},
        {"name": "job.a", "input_schema_id": "none"},
        {"name": "job.a", "requires": ["x"] * 2},
        {"name": "job.a", "requires": [""]},
        {"name": "job.a", "risk_tags": [str(number) for number in range(60)]},
        {"name": "job.a", "require": ["x"]},
        {"name": "job.a", "pack_id": "x" * 300},
        {"name": 1},
        [],
    ],
)
def test_a_topic_that_is_none(door: Door, body: Any) -> None:
    before = door.trace()
    assert_coded(door.ask("POST", TOPICS, body), 400, "TOPIC_SCHEMA_VIOLATION")
    assert door.trace() == before


def test_concurrent_edits_one_wins_and_the_other_is_told(slow_door: Door) -> None:
    pool(slow_door)

    async def both(method: str, path: str, *bodies: Any) -> list[Reply]:
        return await asyncio.gather(*(slow_door.ask_async(method, path, body) for body in bodies))

    words = [{"description": "a"}, {"description": "b"}]
    replies = slow_door.run(both("PATCH", f"{POOLS}/gpu", *words))
    assert sorted(reply.status for reply in replies) == [200, 409]
    assert_coded(max(replies, key=lambda reply: reply.status), 409, "POOL_VERSION_CONFLICT")
    replies = slow_door.run(both("PUT", f"{POOLS}/cpu", {}, {}))
    assert sorted(reply.status for reply in replies) == [201, 409]
    assert_coded(max(replies, key=lambda reply: reply.status), 409, "POOL_NAME_CONFLICT")
    replies = slow_door.run(both("POST", TOPICS, {"name": "job.a"}, {"name": "job.a"}))
    assert sorted(reply.status for reply in replies) == [201, 409]
    assert_coded(max(replies, key=lambda reply: reply.status), 409, "precondition_failed")


def test_a_pool_that_vanishes_while_a_topic_is_put_into_it(slow_door: Door) -> None:
    pool(slow_door)

    async def race() -> tuple[Reply, Reply]:
        return await asyncio.gather(
            slow_door.ask_async("DELETE", f"{POOLS}/gpu"),
            slow_door.ask_async("POST", TOPICS, {"name": "job.a", "pool": "gpu"}),
        )

    ended, declared = slow_door.run(race())
    assert (ended.status, declared.status) == (204, 409)
    assert slow_door.ask("GET", TOPICS).json["registry_empty"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/.", {}),
        ("PUT", "/!", {}),
        ("PUT", "/" + "a" * 200, {}),
        ("PUT", "/ok", {"description": "x" * 2_000}),
        ("PUT", "/ok", {"require": []}),
        ("PATCH", "/gpu", {"status": "closed"}),
        ("PATCH", "/gpu", {"status": "draining"}),
        ("POST", "/gpu/drain", {"timeout_seconds": 3_601}),
        ("POST", "/gpu/drain", {"timeout_seconds": -1}),
        ("POST", "/gpu/drain", {"timeout_seconds": "1"}),
    ],
)
def test_a_pool_that_is_none(door: Door, method: str, path: str, body: Any) -> None:
    pool(door)
    before = door.trace()
    assert_coded(door.ask(method, POOLS + path, body), 400, "POOL_INVALID_CONFIG")
    assert door.trace() == before


# -- abuse: schemas --


@pytest.mark.parametrize(
    "value",
    [
        {"description": "x" * SCHEMA_BYTES_MAX},
        {"$ref": "http://127.0.0.1:9/x"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "other"},
        {"$dynamicRef": "http://127.0.0.1:9/x"},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
        {"properties": {"a": {"$id": "http://127.0.0.1:9/"}}},
        {"$ref": "#"},
        {"$ref": "#/$defs/none"},
        {"pattern": "(?=a)b"},
        {"pattern": "(a)\\1"},
        {"pattern": "(a{1000}){1000}"},
        {"pattern": "("},
        {"pattern": "a" * 2_000},
        {"type": "strin"},
        {"reqired": ["a"]},
        {"format": "nosuch"},
        {"minLength": -1},
        {"allOf": [{"pattern": "a"}] * 20},
        {"properties": []},
        {"properties": {"a": 3}},
        [],
        "true",
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_schema_that_is_none_cannot_be_stored(door: Door, value: Any) -> None:
    before = door.trace()
    assert_coded(schema(door, value, 400), 400, "schema_invalid")
    assert door.trace() == before
    assert door.ask("GET", SCHEMAS).json == {"schemas": []}


def test_what_is_wrong_is_said_without_the_values(door: Door) -> None:
    schema(door, SCHEMA)
    topic(door, input_schema_id="in")
    context = {"path": "HUNTER2", "n": 99, "extra": "HUNTER2"}
    before = door.trace()
    for path in VERBS:
        body = {"topic": "job.demo.read", "prompt": "hi", "context": context}
        reply = door.ask("POST", path, body)
        told = assert_coded(reply, 400, "schema_validation_failed")
        assert sorted(told["violations"]) == [
            "`/` breaks `#/additionalProperties`",
            "`/n` breaks `#/properties/n/maximum`",
            "`/path` breaks `#/properties/path/pattern`",
        ]
        assert b"HUNTER2" not in reply.body
    assert door.trace() == before
    assert submit(door, context={"path": "/a", "n": 3}).status == 200
    assert_coded(submit(door), 400, "schema_validation_failed")


def test_violations_are_bounded(door: Door) -> None:
    schema(door, {"items": {"type": "string"}})
    topic(door, input_schema_id="in")
    told = assert_coded(submit(door, context=list(range(5_000))), 400, "schema_validation_failed")
    assert len(told["violations"]) == SCHEMA_VIOLATIONS_MAX
    huge = submit(door, context=["x" * 200_000])
    assert_coded(huge, 400, "schema_validation_failed")


def test_a_schema_that_is_named_cannot_be_ended(door: Door) -> None:
    schema(door, SCHEMA)
    topic(door, input_schema_id="in")
    assert_coded(door.ask("DELETE", f"{SCHEMAS}/in"), 409, "schema_in_use")
    topic(door, want=200)
    assert door.ask("DELETE", f"{SCHEMAS}/in").status == 204


def test_a_schema_that_is_missing_takes_no_job(door: Door) -> None:
    schema(door, SCHEMA)
    topic(door, input_schema_id="in")
    known = door.plane.registry.schemas("default")["in"]
    door.plane.registry.drop(known.entry.key)
    before = door.trace()
    reply = submit(door, context={"path": "/a"})
    assert_coded(reply, 503, "schema_unavailable")
    assert door.trace() == before


# -- what the registry does to submits --


def test_unknown_and_disabled_topics_are_refused_by_every_verb(door: Door) -> None:
    assert submit(door, "job.demo.any").status == 200
    for number in range(25):
        topic(door, f"job.demo.t{number:02}")
    before = door.trace()
    for path in VERBS:
        told = assert_coded(
            door.ask("POST", path, {"topic": "job.demo.any", "prompt": "hi"}), 400, "unknown_topic"
        )
        assert told["registered_topics"] == [f"job.demo.t{number:02}" for number in range(20)]
        assert told["truncated"] is True
        assert told["topics_endpoint"] == TOPICS
    topic(door, "job.demo.t00", 200, status="disabled")
    assert_coded(submit(door, "job.demo.t00"), 400, "topic_disabled")
    topic(door, "job.demo.t01", 200, status="deprecated")
    assert submit(door, "job.demo.t01").status == 200
    assert door.trace()[0] == before[0] + 1


def test_what_a_topic_says_is_no_claim(door: Door) -> None:
    """The plane vouches for the pack and the risk tags of a registered topic, and for no others."""
    topic(door, "job.demo.mine", pack_id="ops", risk_tags=["low"])
    topic(door, "job.demo.other")
    for rule in ("risk_tags: [low]", "pack_ids: [ops]"):
        text = f'rules: [{{id: a, decision: allow, match: {{topics: ["job.demo.*"], {rule}}}}}]\n'
        door.run(publish(door.plane, [("wire.yaml", text.encode())], actor="test"))
        for name, status in (("job.demo.mine", 200), ("job.demo.other", 403)):
            body = {"topic": name, "prompt": "hi", "risk_tags": ["low"], "pack_id": "ops"}
            assert door.ask("POST", "/api/v1/jobs", body).status == status
            simulated = door.simulate(body).json["decision"]
            assert simulated == ("ALLOW" if status == 200 else "DENY")


@pytest.mark.parametrize(("field", "word"), [("risk_tags", "pii"), ("requires", "gpu")])
def test_what_a_topic_adds_is_decided_and_hashed(door: Door, field: str, word: str) -> None:
    """A client cannot leave out what the server knows, and simulate says what submit does."""
    topic(door, "job.demo.plain")
    plain = submit(door, "job.demo.plain").json
    hash_plain = door.ask("GET", f"/api/v1/jobs/{plain['job_id']}").json["job_hash"]
    topic(door, "job.demo.plain", 200, **{field: [word]})
    refused = submit(door, "job.demo.plain")
    assert refused.status == 403
    job = door.ask("GET", f"/api/v1/jobs/{refused.json['job_id']}").json
    assert job[field] == [word]
    simulated = door.simulate({"topic": "job.demo.plain", "prompt": "hi"}).json
    assert simulated["decision"] == "DENY"
    assert simulated["job_hash"] == job["job_hash"] != hash_plain


def test_an_idempotency_key_answers_as_before_whatever_became_of_the_topic(door: Door) -> None:
    topic(door)
    body = {"topic": "job.demo.read", "prompt": "hi", "idempotency_key": "once"}
    first = door.submit(body)
    topic(door, want=200, risk_tags=["pii"])
    assert door.submit(body).json["job_id"] == first.json["job_id"]
    assert door.ask("DELETE", f"{TOPICS}/job.demo.read").status == 204
    topic(door, "job.other")
    assert door.submit(body).json["job_id"] == first.json["job_id"]
    changed = {**body, "risk_tags": ["pii"]}
    assert_coded(door.submit(changed), 409, "IDEMPOTENCY_CONFLICT")


def test_the_last_topic_gone_any_topic_will_do(door: Door) -> None:
    topic(door)
    assert_coded(submit(door, "job.demo.any"), 400, "unknown_topic")
    assert door.ask("DELETE", f"{TOPICS}/job.demo.read").status == 204
    assert submit(door, "job.demo.any").status == 200
    assert_coded(door.ask("DELETE", f"{TOPICS}/job.demo.read"), 404, "TOPIC_NOT_FOUND")


# -- pools --


def worker(door: Door, worker_id: str, *pools: str) -> WorkerSession:
    grant = WorkerGrant(worker_id=worker_id, topics=("job.*",), pools=pools)
    session = WorkerSession(
        "default",
        grant,
        key_id=authenticate(door.plane, door.key(Role.WORKER, worker=grant)).key_id,
        topics=(),
        capabilities=(),
        max_parallel=4,
        now_us=door.clock.now_us(),
    )
    door.plane.workers.add(session)
    return session


def test_only_the_workers_of_its_pool_serve_a_topic(door: Door) -> None:
    inside, outside = worker(door, "in", "gpu"), worker(door, "out")
    lane = Lane("default", "job.demo.read", "", ())
    workers = door.plane.workers

    def served() -> tuple[bool, bool]:
        return workers.serves(inside, lane), workers.serves(outside, lane)

    assert served() == (True, True)
    pool(door)
    topic(door)
    path = f"{POOLS}/gpu/topics/job.demo.read"
    assert door.ask("PUT", path).status == 204
    assert served() == (True, False)
    assert door.plane.registry.pool_of("default", "job.demo.read") == "gpu"
    (item,) = door.ask("GET", TOPICS).json["items"]
    assert (item["pool"], item["active_worker_count"]) == ("gpu", 1)
    body = door.ask("GET", f"{POOLS}/gpu").json
    assert (body["workers"], body["capacity"], body["topics"]) == (["in"], 4, ["job.demo.read"])

    assert door.ask("POST", f"{POOLS}/gpu/drain", {"timeout_seconds": 5}).json["status"] == (
        "draining"
    )
    assert served() == (False, False)
    door.clock.at_us += 5_000_000
    assert door.ask("GET", f"{POOLS}/gpu").json["status"] == "inactive"
    assert door.ask("PATCH", f"{POOLS}/gpu", {"status": "active"}).status == 200
    assert served() == (True, False)

    told = assert_coded(door.ask("DELETE", f"{POOLS}/gpu"), 409, "POOL_IN_USE")
    assert (told["pool"], told["agent_ids"]) == ("gpu", ["in"])
    assert door.ask("DELETE", f"{POOLS}/gpu?force=true").status == 204
    assert served() == (False, False), "a topic whose pool is gone waits; it is not everybody's"
    assert door.plane.registry.pool_of("default", "job.demo.read") == CLOSED_POOL


def test_a_topic_leaves_only_the_pool_that_it_is_in(door: Door) -> None:
    pool(door)
    pool(door, "cpu")
    topic(door, pool="gpu")
    path = "topics/job.demo.read"
    assert_coded(door.ask("DELETE", f"{POOLS}/cpu/{path}"), 404, "TOPIC_NOT_FOUND")
    assert_coded(door.ask("PUT", f"{POOLS}/gpu/topics/job.x"), 404, "TOPIC_NOT_FOUND")
    assert_coded(door.ask("PUT", f"{POOLS}/none/{path}"), 404, "POOL_NOT_FOUND")
    assert_coded(door.ask("PATCH", f"{POOLS}/none", {}), 404, "POOL_NOT_FOUND")
    assert door.ask("DELETE", f"{POOLS}/gpu/{path}").status == 204
    assert door.plane.registry.pool_of("default", "job.demo.read") == ""


def test_every_change_has_its_record_and_a_restart_knows_it_all(door: Door) -> None:
    pool(door, description="the big ones")
    schema(door, SCHEMA)
    topic(door, pool="gpu", input_schema_id="in", risk_tags=["x"])
    topic(door, want=200, pool="gpu", input_schema_id="in")
    topic(door, "job.gone")
    door.ask("DELETE", f"{TOPICS}/job.gone")
    kinds = [b'"kind":"' + kind for kind in (b"pool.created", b"schema.created", b"topic.created")]
    kinds += [b'"kind":"topic.changed', b'"kind":"topic.created', b'"kind":"topic.removed']
    leaves = [link.record for link in door.links()][-len(kinds) :]
    for leaf, kind in zip(leaves, kinds, strict=True):
        assert kind in leaf
    before = door.ask("GET", TOPICS).json
    door.reload()
    assert door.ask("GET", TOPICS).json == before
    assert door.ask("GET", f"{SCHEMAS}/in").json == {"id": "in", "schema": SCHEMA}
    assert_coded(submit(door, context={}), 400, "schema_validation_failed")
