"""Who may do what: the table is written out by hand; what is not in it is refused."""

import asyncio
import json
import logging
from typing import Any

import pytest

from forestall.control.expire import tick
from forestall.identity.credentials import key_hash
from forestall.identity.roles import Role
from forestall.ports.entries import EntryKind, RegistryEntry
from forestall.server.api import ENDPOINTS
from forestall.store.memory import MemoryStore
from tests.asgi import Door, assert_coded, opened
from tests.http_samples import ALLOWED_JOB, HELD_JOB, Reply

KEYS = "/api/v1/auth/keys"
JOBS = "/api/v1/jobs"
DLQ = "/api/v1/dlq"
HELD = "/api/v1/approvals"
APPROVERS = {"approver", "admin"}
CREWS = "/api/v1/workers"
TOPICS, POOLS, SCHEMAS = "/api/v1/topics", "/api/v1/pools", "/api/v1/schemas"
HOOKS, TENANTS = "/api/v1/webhooks", "/api/v1/tenants"
AGENTS = "/api/v1/agents"
WATCHERS = {"viewer", "operator", "approver", "author", "auditor", "admin"}
READERS = {"viewer", "agent", "operator", "approver", "author", "auditor", "admin"}
SUBMITTERS = {"agent", "operator", "admin"}
CHECKERS = {"agent", "operator", "author", "admin"}
REHEARSERS = {"viewer", "operator", "approver", "author", "auditor", "admin"}
ADMINS = {"admin"}
WORKERS = {"worker"}

# Written by hand, from what each role is for; never from the code under test.
MATRIX: dict[tuple[str, str], set[str]] = {
    ("POST", JOBS): SUBMITTERS,
    ("GET", JOBS): READERS,
    ("GET", JOBS + "/{job_id}"): READERS,
    ("GET", JOBS + "/{job_id}/decisions"): READERS,
    ("POST", JOBS + "/{job_id}/cancel"): SUBMITTERS,
    ("POST", JOBS + "/{job_id}/remediate"): SUBMITTERS,
    ("POST", JOBS + "/{job_id}/result"): WORKERS,
    ("POST", JOBS + "/{job_id}/return"): WORKERS,
    ("POST", JOBS + "/{job_id}/claim"): SUBMITTERS,
    ("POST", JOBS + "/{job_id}/renew"): SUBMITTERS,
    ("POST", JOBS + "/{job_id}/complete"): SUBMITTERS,
    ("GET", HELD): READERS,
    ("GET", HELD + "/{job_id}"): READERS,
    ("GET", HELD + "/{job_id}/context"): READERS,
    ("POST", HELD + "/{job_id}/approve"): APPROVERS,
    ("POST", HELD + "/{job_id}/reject"): APPROVERS,
    ("POST", HELD + "/{job_id}/repair"): SUBMITTERS | {"approver"},
    ("GET", "/api/v1/traces/{trace_id}"): READERS,
    ("GET", DLQ): READERS,
    ("GET", DLQ + "/page"): READERS,
    ("POST", DLQ + "/{job_id}/retry"): SUBMITTERS,
    ("DELETE", DLQ + "/{job_id}"): SUBMITTERS,
    ("POST", CREWS + "/credentials"): ADMINS,
    ("GET", CREWS + "/credentials"): WATCHERS,
    ("DELETE", CREWS + "/credentials/{worker_id}"): ADMINS,
    ("GET", CREWS): WATCHERS,
    ("GET", CREWS + "/{worker_id}"): WATCHERS,
    ("GET", CREWS + "/{worker_id}/jobs"): WATCHERS,
    ("POST", CREWS + "/{worker_id}/revoke-session"): ADMINS,
    ("POST", CREWS + "/{worker_id}/register"): WORKERS,
    ("POST", CREWS + "/{worker_id}/lease"): WORKERS,
    ("POST", CREWS + "/{worker_id}/heartbeat"): WORKERS,
    ("POST", CREWS + "/{worker_id}/results"): WORKERS,
    ("POST", "/api/v1/policy/evaluate"): CHECKERS,
    ("POST", "/api/v1/policy/simulate"): REHEARSERS,
    ("POST", "/api/v1/policy/explain"): REHEARSERS,
    ("GET", "/api/v1/policy/snapshots"): REHEARSERS,
    ("GET", "/api/v1/policy/snapshots/{digest}"): REHEARSERS,
    ("GET", "/api/v1/policy/output/rules"): REHEARSERS,
    ("GET", "/api/v1/policy/output/stats"): REHEARSERS,
    ("GET", "/api/v1/quarantine"): READERS,
    ("GET", JOBS + "/{job_id}/output"): READERS,
    ("POST", JOBS + "/{job_id}/output/release"): APPROVERS,
    ("POST", JOBS + "/{job_id}/output/confirm"): APPROVERS,
    ("POST", "/api/v1/output/check"): CHECKERS,
    ("POST", KEYS): ADMINS,
    ("GET", KEYS): ADMINS | {"auditor"},
    ("DELETE", KEYS + "/{key_id}"): ADMINS,
    ("GET", "/api/v1/stream"): READERS,
    ("GET", JOBS + "/{job_id}/stream"): READERS,
    ("GET", "/api/v1/health"): READERS,
    ("GET", "/api/v1/status"): READERS,
    ("GET", TOPICS): READERS,
    ("POST", TOPICS): ADMINS,
    ("DELETE", TOPICS + "/{name}"): ADMINS,
    ("GET", POOLS): READERS,
    ("GET", POOLS + "/{name}"): READERS,
    ("PUT", POOLS + "/{name}"): ADMINS,
    ("PATCH", POOLS + "/{name}"): ADMINS,
    ("DELETE", POOLS + "/{name}"): ADMINS,
    ("POST", POOLS + "/{name}/drain"): ADMINS,
    ("PUT", POOLS + "/{name}/topics/{topic}"): ADMINS,
    ("DELETE", POOLS + "/{name}/topics/{topic}"): ADMINS,
    ("GET", SCHEMAS): READERS,
    ("GET", SCHEMAS + "/{id}"): READERS,
    ("POST", SCHEMAS): ADMINS,
    ("DELETE", SCHEMAS + "/{id}"): ADMINS,
    ("POST", HELD + "/open"): APPROVERS,
    ("GET", "/api/v1/governance/approvals/analytics"): REHEARSERS,
    ("GET", HOOKS): ADMINS,
    ("POST", HOOKS): ADMINS,
    ("DELETE", HOOKS + "/{name}"): ADMINS,
    # In the platform's own tenant, which is that of these keys; elsewhere nobody may.
    ("GET", TENANTS): ADMINS | {"auditor"},
    ("POST", TENANTS): ADMINS,
    ("GET", TENANTS + "/{tenant}"): ADMINS | {"auditor"},
    ("POST", TENANTS + "/{tenant}/suspend"): ADMINS,
    ("POST", TENANTS + "/{tenant}/resume"): ADMINS,
    ("POST", AGENTS): ADMINS,
    ("GET", AGENTS): ADMINS | {"auditor"},
    ("GET", AGENTS + "/{agent_id}"): ADMINS | {"auditor"},
    ("PUT", AGENTS + "/{agent_id}"): ADMINS,
    ("POST", AGENTS + "/{agent_id}/suspend"): ADMINS,
    ("POST", AGENTS + "/{agent_id}/resume"): ADMINS,
    ("DELETE", AGENTS + "/{agent_id}"): ADMINS,
}
BODIES: dict[str, Any] = {
    KEYS: {"name": "n", "role": "viewer"},
    CREWS + "/credentials": {"worker_id": "v", "allowed_topics": ["job.*"]},
    CREWS + "/{worker_id}/register": {},
    CREWS + "/{worker_id}/lease": {},
    CREWS + "/{worker_id}/heartbeat": {},
    CREWS + "/{worker_id}/results": {
        "results": [{"job_id": "x", "answer": {"lease_id": "x", "status": "succeeded"}}]
    },
    JOBS + "/{job_id}/result": {"lease_id": "x", "status": "succeeded"},
    JOBS + "/{job_id}/return": {"lease_id": "x"},
    JOBS + "/{job_id}/output/release": {"reason": "r"},
    JOBS + "/{job_id}/output/confirm": {"reason": "r"},
    "/api/v1/output/check": {"content": "c"},
    TOPICS: {"name": "job.a"},
    POOLS + "/{name}/drain": {},
    SCHEMAS: {"id": "a", "schema": {}},
    JOBS + "/{job_id}/renew": {"lease_id": "x"},
    JOBS + "/{job_id}/complete": {"lease_id": "x", "status": "succeeded"},
    HELD + "/open": {"token": "x"},
    HOOKS: {"name": "a", "url": "https://hooks.example.com/"},
    TENANTS: {"name": "acme"},
    TENANTS + "/{tenant}/suspend": {"reason": "r"},
    AGENTS: {"name": "a", "risk_tier": "low"},
    AGENTS + "/{agent_id}/suspend": {},
    AGENTS + "/{agent_id}/resume": {},
}
PROBES = {("GET", "/health"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/livez")}
PUBLIC = PROBES | {("GET", "/openapi.json")}
DOORS = [(one.method, one.path) for one in ENDPOINTS]
PROTECTED = [door for door in DOORS if door not in PUBLIC]


def knock(door: Door, method: str, path: str, key: str | None, **more: Any) -> Reply:
    """A request that is well formed for this endpoint, so that only access can refuse it."""
    body = BODIES.get(path, ALLOWED_JOB) if method == "POST" else None
    for name in ("job", "key", "trace", "agent"):
        path = path.replace("{" + name + "_id}", f"{name}-1")
    path = path.replace("{worker_id}", "w").replace("{name}", "pool-1")
    return door.ask(method, path, body, key=key, **more)


# -- the matrix --


def test_every_endpoint_is_in_the_table() -> None:
    """A new endpoint has to be thought about here first; nothing is public by accident."""
    assert set(DOORS) == MATRIX.keys() | PUBLIC
    assert {role for roles in MATRIX.values() for role in roles} == set(Role)


@pytest.mark.parametrize("role", sorted(Role))
@pytest.mark.parametrize(("method", "path"), PROTECTED, ids=lambda part: part)
def test_a_role_may_what_the_table_says_and_nothing_else(
    door: Door, method: str, path: str, role: Role
) -> None:
    """403 that names the right that is missing; whoever may gets past the check."""
    key = door.key(role)
    before = door.trace()
    reply = knock(door, method, path, key)
    if role.value in MATRIX.get((method, path), set()):
        streams = path.endswith("/stream")  # which answers what asks for no stream with 426
        assert reply.status in ((426,) if streams else (200, 201, 204, 404, 409)), reply.body
        if reply.status in (404, 409):
            code = reply.json["code"].lower()
            assert code.endswith(("not_found", "not_kept")) or code == "worker_not_registered"
    else:
        body = assert_coded(reply, 403, "forbidden")
        assert body["details"]["role"] == role.value
        assert door.trace() == before


@pytest.mark.parametrize(("method", "path"), PROTECTED, ids=lambda part: part)
def test_without_a_key_nothing_but_the_probes_answers(door: Door, method: str, path: str) -> None:
    """401 before anything else is looked at: body, tenant and existence stay unknown."""
    before = door.trace()
    for key in ("", "wrong", "fk_" + "0" * 64, "x" * 100_000):
        body = assert_coded(knock(door, method, path, key), 401, "unauthorized")
        assert "details" not in body
    malformed = door.ask(method, path, b"{" * 10, key="wrong", headers={"X-Tenant-ID": "other"})
    assert_coded(malformed, 401, "unauthorized")
    assert malformed.headers["www-authenticate"]
    assert door.trace() == before


@pytest.mark.parametrize(("method", "path"), sorted(PROBES), ids=lambda part: part)
def test_a_probe_is_public_and_tells_nothing(door: Door, method: str, path: str) -> None:
    """Health is answered without a key and names neither tenants, rules nor versions."""
    reply = knock(door, method, path, "")
    assert reply.status == 200
    assert set(reply.json) <= {"status", "checks"}


def test_head_asks_for_the_same_right_as_get(door: Door) -> None:
    """HEAD is a GET without its body, not a way around the check."""
    assert door.ask("HEAD", JOBS, key="").status == 401
    assert door.ask("HEAD", KEYS, key=door.key(Role.VIEWER)).status == 403
    reply = door.ask("HEAD", JOBS)
    assert (reply.status, reply.body) == (200, b"")


# -- credentials --


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "{key}"},
        {"X-API-Key": '"{key}"'},
        {"X-API-Key": "'{key}'"},
        {"X-API-Key": " {key} "},
        {"Authorization": "Bearer {key}"},
        {"Authorization": "bearer {key}"},
        {"Authorization": "Bearer {key}", "X-API-Key": "wrong"},
        {"Authorization": "Basic dTpw", "X-API-Key": "{key}"},
    ],
    ids=str,
)
def test_a_key_is_read_where_clients_put_it(door: Door, headers: dict[str, str]) -> None:
    """X-API-Key, quoted or not, or a bearer token, which wins."""
    filled = {name: value.replace("{key}", door.admin) for name, value in headers.items()}
    assert door.ask("GET", JOBS, key="", headers=filled).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong", "X-API-Key": "{key}"},
        {"Authorization": "Bearer ", "X-API-Key": "{key}"},
        {"Authorization": "{key}"},
        {"Authorization": "Basic {key}"},
        {"Cookie": "cordum_session={key}"},
        {"X-API-Key": "{key}x"},
        {"X-API-Key": "{hash}"},
        {"X-API-Key": "{prefix}"},
        {"X-API-Key": ""},
        {"X-API-Key": "é\xff"},
    ],
    ids=str,
)
def test_what_is_not_the_key_is_refused(door: Door, headers: dict[str, str]) -> None:
    """A wrong bearer token is not forgiven for a right key; a hash or prefix is no key."""
    words = {"{key}": door.admin, "{hash}": key_hash(door.admin), "{prefix}": door.admin[:11]}
    for word, text in words.items():
        headers = {name: value.replace(word, text) for name, value in headers.items()}
    assert_coded(door.ask("GET", JOBS, key="", headers=headers), 401, "unauthorized")


def test_a_key_in_the_query_is_no_credential(door: Door) -> None:
    """Query strings end up in logs of proxies."""
    for name in ("api_key", "key", "token", "X-API-Key"):
        reply = door.ask("GET", f"{JOBS}?{name}={door.admin}", key="")
        assert_coded(reply, 401, "unauthorized")


def test_an_expired_key_looks_like_an_unknown_one(door: Door) -> None:
    """Refused at the very microsecond, with the body of a key that never was."""
    key = door.key(Role.VIEWER, expires_at_us=door.clock.at_us + 1_000_000)
    assert door.ask("GET", JOBS, key=key).status == 200
    door.clock.at_us += 1_000_000
    expired = door.ask("GET", JOBS, key=key)
    unknown = door.ask("GET", JOBS, key="fk_" + "1" * 64)
    assert_coded(expired, 401, "unauthorized")
    assert {**expired.json, "request_id": ""} == {**unknown.json, "request_id": ""}


def test_a_revoked_key_is_refused_at_once(door: Door) -> None:
    """From the moment DELETE answers; again is 404; the name is free for the next key."""
    made = door.ask("POST", KEYS, {"name": "ci", "role": "agent"}).json
    key, key_id = made["secret"], made["key"]["id"]
    assert door.ask("GET", JOBS, key=key).status == 200
    assert door.ask("DELETE", f"{KEYS}/{key_id}").status == 204
    assert_coded(door.ask("GET", JOBS, key=key), 401, "unauthorized")
    assert_coded(door.submit(ALLOWED_JOB, key=key), 401, "unauthorized")
    assert_coded(door.ask("DELETE", f"{KEYS}/{key_id}"), 404, "AUTH_KEY_NOT_FOUND")
    assert key_id not in {one["id"] for one in door.ask("GET", KEYS).json["items"]}
    assert door.ask("POST", KEYS, {"name": "ci", "role": "agent"}).status == 201


class SlowReads(MemoryStore):
    """A store whose next read of an entry comes back late, as a busy database's may."""

    def __init__(self) -> None:
        super().__init__()
        self.hold: asyncio.Event | None = None
        self.reading = asyncio.Event()

    async def entry(self, tenant: str, kind: EntryKind, name: str) -> RegistryEntry | None:
        """See `Store.entry`: what was true when the read began."""
        found = await super().entry(tenant, kind, name)
        hold, self.hold = self.hold, None
        if hold is not None:
            self.reading.set()
            await hold.wait()
        return found


def test_a_late_read_does_not_bring_a_revoked_key_back() -> None:
    """A key is read again because it was in doubt, and revoked meanwhile: it stays revoked."""
    store = SlowReads()

    async def race(door: Door, key_id: str) -> None:
        release = store.hold = asyncio.Event()
        door.plane.projections.entry_doubts.add(("default", EntryKind.KEY, key_id))
        settling = asyncio.create_task(tick(door.plane))
        await asyncio.wait_for(store.reading.wait(), 5)
        revoked = await door.ask_async("DELETE", f"{KEYS}/{key_id}")
        assert revoked.status == 204
        release.set()
        await settling

    with opened(store) as door:
        made = door.ask("POST", KEYS, {"name": "first", "role": "admin"}).json
        door.run(race(door, made["key"]["id"]))
        assert_coded(door.ask("GET", JOBS, key=made["secret"]), 401, "unauthorized")
        door.run(tick(door.plane))
        assert_coded(door.ask("GET", JOBS, key=made["secret"]), 401, "unauthorized")
        assert not len(door.plane.projections.entry_doubts)


# -- tenants --


@pytest.mark.parametrize("name", ["X-Tenant-ID", "X-Cordum-Tenant"])
def test_the_tenant_header_must_be_that_of_the_key(door: Door, name: str) -> None:
    """Both spellings; compared byte by byte; absent or empty means the key's own."""
    for value in ("default", ""):
        assert door.ask("GET", JOBS, headers={name: value}).status == 200
    for value in ("other", "Default", "default ", "default,other", "*", "defaul", "é"):
        reply = door.ask("GET", JOBS, headers={name: value})
        assert_coded(reply, 403, "tenant_access_denied")


def test_two_tenant_headers_must_both_be_right(door: Door) -> None:
    """One right header does not excuse a wrong one."""
    for one, other in (("default", "other"), ("other", "default")):
        headers = {"X-Tenant-ID": one, "X-Cordum-Tenant": other}
        assert_coded(door.ask("GET", JOBS, headers=headers), 403, "tenant_access_denied")


@pytest.mark.parametrize("verb", ["jobs", "policy/evaluate", "policy/simulate", "policy/explain"])
@pytest.mark.parametrize(
    "named",
    [
        {"tenant": "other"},
        {"tenant_id": "other"},
        {"org_id": "other"},
        {"meta": {"tenant_id": "other"}},
        {"tenant": "default", "tenant_id": "other"},
        {"tenant": "DEFAULT"},
    ],
    ids=json.dumps,
)
def test_a_tenant_in_the_body_must_be_that_of_the_key(
    door: Door, verb: str, named: dict[str, Any]
) -> None:
    """403 and nothing stored for another tenant's name; the right name is accepted."""
    before = door.trace()
    reply = door.ask("POST", f"/api/v1/{verb}", {**ALLOWED_JOB, **named})
    assert_coded(reply, 403, "tenant_access_denied")
    assert door.trace() == before
    right = {**ALLOWED_JOB, "tenant": "default", "org_id": "default"}
    assert door.ask("POST", f"/api/v1/{verb}", right).status == 200


@pytest.mark.parametrize("name", ["tenant", "tenant_id", "org_id"])
def test_a_tenant_in_the_query_must_be_that_of_the_key(door: Door, name: str) -> None:
    """`tenant`, `tenant_id` and `org_id` alike: published clients send each of them."""
    assert door.ask("GET", f"{JOBS}?{name}=default").status == 200
    assert_coded(door.ask("GET", f"{JOBS}?{name}=other"), 403, "tenant_access_denied")


def test_a_query_that_names_two_tenants_is_refused(door: Door) -> None:
    """What two readers could read differently is not answered at all."""
    for first, second in (("other", "default"), ("default", "other")):
        twice = door.ask("GET", f"{JOBS}?tenant={first}&tenant={second}")
        assert twice.status in (400, 403)


def test_another_tenants_job_does_not_exist(door: Door) -> None:
    """404 with the very body of an id that never was; not in any list, page or filter."""
    stranger = door.key(Role.ADMIN, "other")
    ours = door.submit(HELD_JOB, headers={"Idempotency-Key": "k"}).json
    theirs = door.submit(ALLOWED_JOB, key=stranger).json
    unknown = "019e7000-0000-7000-8000-000000000000"
    for tail in ("", "/decisions"):
        found = door.ask("GET", f"{JOBS}/{ours['job_id']}{tail}", key=stranger)
        never = door.ask("GET", f"{JOBS}/{unknown}{tail}", key=stranger)
        assert_coded(found, 404, "job_not_found")
        assert {**found.json, "request_id": ""} == {**never.json, "request_id": ""}
    for query in ("", "?limit=1", "?state=APPROVAL_REQUIRED", f"?trace_id={ours['trace_id']}"):
        items = door.ask("GET", JOBS + query, key=stranger).json["items"]
        assert {job["id"] for job in items} <= {theirs["job_id"]}
    cursor = door.ask("GET", f"{JOBS}?limit=1").json["next_cursor"]
    assert cursor == ""
    again = door.submit(HELD_JOB, key=stranger, headers={"Idempotency-Key": "k"}).json
    assert again["job_id"] != ours["job_id"]
    assert "idempotent_replay" not in again


def test_another_tenants_keys_cannot_be_seen_or_revoked(door: Door) -> None:
    """An admin is an admin of one tenant; the refusal is that of an unknown key."""
    stranger = door.key(Role.ADMIN, "other")
    (ours,) = door.ask("GET", KEYS).json["items"]
    assert [one["tenant"] for one in door.ask("GET", KEYS, key=stranger).json["items"]] == ["other"]
    refused = door.ask("DELETE", f"{KEYS}/{ours['id']}", key=stranger)
    assert_coded(refused, 404, "AUTH_KEY_NOT_FOUND")
    assert door.ask("GET", JOBS).status == 200
    made = door.ask("POST", KEYS, {"name": "n", "role": "admin", "tenant": "x"}, key=stranger)
    assert made.json["key"]["tenant"] == "other"


# -- who acts --


ACTOR_POLICY = """\
rules:
  - id: deny-rogue
    decision: deny
    match: {topics: ["job.demo.*"], actor_ids: ["rogue"]}
  - id: allow-deployer
    decision: allow
    match: {topics: ["job.deploy.*"], actor_ids: ["deployer"]}
  - id: allow-demo
    decision: allow
    match: {topics: ["job.demo.*"]}
"""


@pytest.mark.parametrize("field", ["actor_id", "principal_id", "meta"])
def test_a_claimed_actor_can_tighten_and_never_loosen(field: str) -> None:
    """A claimed value never replaces a stronger one, here the key's principal."""
    with opened(policy=ACTOR_POLICY) as door:
        rogue = door.key(Role.AGENT, name="rogue")

        def claiming(name: str, topic: str) -> Reply:
            claim = {"meta": {"actor_id": name}} if field == "meta" else {field: name}
            return door.submit({"topic": topic, "prompt": "x", **claim}, key=rogue)

        assert door.submit({"topic": "job.demo.a", "prompt": "x"}, key=rogue).status == 403
        assert claiming("somebody-else", "job.demo.a").status == 403
        assert claiming("deployer", "job.deploy.a").status == 403


# -- keys --


@pytest.mark.parametrize(
    "body",
    [
        {"name": "n", "role": ""},
        {"name": "n", "role": "root"},
        {"name": "n", "role": "Admin"},
        {"name": "n", "scopes": ["jobs:write"]},
        {"name": "n", "scopes": ["viewer", "admin"]},
        {"name": "n", "role": ["admin"]},
        {"role": "viewer"},
        {"name": "", "role": "viewer"},
        {"name": "a b", "role": "viewer"},
        {"name": "x" * 257, "role": "viewer"},
        {"name": "n\u001b[31m", "role": "viewer"},
        {"name": "n", "role": "viewer", "principal_id": "\u202eadmin"},
        {"name": "n", "role": "viewer", "expiresAt": "soon"},
        {"name": "n", "role": "viewer", "expiresAt": "2020-01-01T00:00:00Z"},
        {"name": "n", "role": "viewer", "expiresAt": "2999-01-01T00:00:00"},
        {"name": "n", "role": "viewer", "expiresAt": 1},
        [],
        "admin",
    ],
    ids=json.dumps,
)
def test_a_key_is_made_only_when_asked_for_clearly(door: Door, body: Any) -> None:
    """The least role by default, no other by accident; nothing is stored and nothing is shown."""
    before = door.trace()
    reply = door.ask("POST", KEYS, body)
    assert_coded(reply, 400)
    assert "secret" not in reply.json
    assert door.trace() == before


@pytest.mark.parametrize("body", [{}, {"role": None}, {"scopes": []}], ids=json.dumps)
def test_a_key_without_a_role_may_only_look(door: Door, body: dict[str, Any]) -> None:
    """Published clients leave the role out."""
    made = door.ask("POST", KEYS, {"name": "n", **body})
    assert made.status == 201
    assert made.json["key"]["role"] == Role.VIEWER.value


@pytest.mark.parametrize(
    "ends",
    [
        "9999-12-31T23:59:59-23:59",
        "9999-12-31T23:59:59.999999+00:00",
        "0001-01-01T00:00:00+23:59",
        "0001-01-01T00:00:00-23:59",
    ],
)
def test_an_expiry_at_the_end_of_time_harms_nothing(door: Door, ends: str) -> None:
    """Accepted or refused with a code; and the list of keys stays readable either way."""
    reply = door.ask("POST", KEYS, {"name": "n", "role": "viewer", "expiresAt": ends})
    assert door.ask("GET", KEYS).status == 200
    assert reply.status in (201, 400)


def test_a_listing_shows_neither_key_nor_hash(door: Door) -> None:
    """The key is in the answer to POST and nowhere else, the log of records included."""
    made = door.ask("POST", KEYS, {"name": "ci", "role": "agent"})
    assert made.status == 201
    secret = made.json["secret"]
    assert secret not in json.dumps(made.json["key"])
    assert key_hash(secret) not in made.body.decode()
    door.submit(ALLOWED_JOB, key=secret)
    seen = door.ask("GET", KEYS).body + b"".join(link.record for link in door.links())
    for word in (secret, key_hash(secret), secret[11:], door.admin, key_hash(door.admin)):
        assert word.encode() not in seen
    entry = next(one for one in door.ask("GET", KEYS).json["items"] if one["name"] == "ci")
    assert entry["prefix"] == secret[:11]


def test_two_keys_of_one_name_are_refused(door: Door) -> None:
    """A name says whose key it is, so it stands for one key at a time."""
    assert door.ask("POST", KEYS, {"name": "ci", "role": "agent"}).status == 201
    again = door.ask("POST", KEYS, {"name": "ci", "role": "admin"})
    assert_coded(again, 409, "AUTH_KEY_CONFLICT")


# -- leaks --


def test_no_error_and_no_log_line_repeats_key_or_payload(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """Refusals say what is wrong with a request, never what was in it."""
    caplog.set_level(logging.DEBUG)
    secret = "hunter2-hunter2-hunter2"
    wrong = "fk_" + "5" * 64
    payloads: list[Any] = [
        {"topic": secret, "prompt": secret},
        {"topic": "job.demo.read", "prompt": {"password": secret}},
        {"topic": "job.demo.read", "prompt": secret, "labels": {"a": [secret]}},
        {"topic": "job.demo.read", "prompt": secret, "labels": {"a": secret * 300}},
        {"topic": "job.demo.read", "prompt": secret, "priority": secret},
        {"topic": "job.demo.read", "prompt": secret, "actor_type": secret},
        {"topic": "job.demo.read", "prompt": secret * 3_000},
        {"topic": "job.demo.read", "prompt": secret, "tenant": secret},
        json.dumps({"prompt": secret}).encode()[:-1],
        b"\xff" + secret.encode(),
        [secret],
    ]
    for payload in payloads:
        for key in (door.admin, wrong, secret):
            reply = door.submit(payload, key=key, headers={"Idempotency-Key": secret})
            assert reply.status in (400, 401, 403, 413), reply.body
            for word in (secret, door.admin, wrong, "Traceback", 'File "'):
                assert word.encode() not in reply.body
    for word in (secret, door.admin, wrong):
        assert word not in caplog.text
