"""A tenant sees nothing of another one, at any endpoint: the cases come from the endpoint table.

Each tenant has data of every kind, and its name stands in every text that it could choose. So the
name of another tenant in an answer is a leak, and so is an id of one of its things.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from forestall.control.webhooks import make_link
from forestall.identity.roles import PLATFORM_PERMISSIONS, Permission, Role
from forestall.jobs.webhook import ApprovalLink
from forestall.ports.store import Store
from forestall.server.api import ENDPOINTS
from forestall.server.endpoints import Endpoint
from forestall.store.memory import MemoryStore
from forestall.store.sqlite import SqliteStore
from tests import streams
from tests.asgi import POLICY, Door
from tests.http_samples import Reply
from tests.workers_under_test import JOBS, Worker

SECRET = "ghp_" + "Zq3vN8rT1xK5mB7wY2cD4fG6hJ9kL0pSaUeI"
OUTPUT_RULES = """
output_rules:
  - {id: out-stop, decision: quarantine, reason: "a credential", match: {detectors: [secret]}}
"""
NOBODYS_JOB = "0190b5a0-0000-7000-8000-000000000000"
_SHARED_BY_ALL = ("digest",)  # names of what is no tenant's: the policy
# What no tenant may ask is refused to it as a whole: `test_tenants.py`.
_OF_THE_PLATFORM = frozenset().union(*PLATFORM_PERMISSIONS.values())
OF_TENANTS = [each for each in ENDPOINTS if each.permission not in _OF_THE_PLATFORM]
GETS = [endpoint for endpoint in OF_TENANTS if endpoint.method == "GET" and endpoint.permission]
LISTS = [endpoint for endpoint in GETS if "{" not in endpoint.path]
NAMING = [
    endpoint
    for endpoint in OF_TENANTS
    if "{" in endpoint.path and not any(f"{{{name}}}" in endpoint.path for name in _SHARED_BY_ALL)
]
# What a page may be asked for beside its first form.
_QUERIES: Mapping[str, tuple[str, ...]] = {
    "/api/v1/jobs": (
        *("state=pending", "state=denied", "state=running", "state=approval_required"),
        *("state=succeeded", "state=output_quarantined", "topic=job.demo.{tenant}"),
    ),
    "/api/v1/approvals": ("status=pending", "include_resolved=false", "status=approved"),
    "/api/v1/quarantine": ("include_resolved=true",),
    "/api/v1/governance/approvals/analytics": ("group_by=approver", "group_by=topic"),
    "/api/v1/stream": ("from=0",),
}
# The body of a write that names a thing of somebody in its path. `{lease}` is the lease of a job.
_LEASE = {"lease_id": "{lease}"}
_ANSWER = {**_LEASE, "status": "succeeded", "result": {"forged": True}}
_BODIES: Mapping[str, Any] = {
    "/retry": {"force": True},
    "/remediate": {"remediation_id": "use-draft"},
    "/result": _ANSWER,
    "/complete": _ANSWER,
    "/return": _LEASE,
    "/renew": _LEASE,
    "/results": {"results": [{"job_id": "{job}", "answer": _ANSWER}]},
    "/heartbeat": {"leases": [{"job_id": "{job}", **_LEASE}]},
    "/lease": {"limit": 1},
    "/register": {"max_parallel": 1},
    "/approve": {"reason": "so it is"},
    "/reject": {"reason": "so it is"},
    "/repair": {"apply": True},
    "/release": {"reason": "so it is", "mode": "original"},
    "/confirm": {"reason": "so it is"},
    "/drain": {"timeout_seconds": 1},
}
# A new pool may have the name of another tenant's, a list of an absent worker's jobs is empty.
_NO_404 = {("PUT", "/api/v1/pools/{name}"), ("GET", "/api/v1/workers/{worker_id}/jobs")}


class Tenant:
    """One tenant with data of every kind, and the ids of all of it by the name of a parameter."""

    def __init__(self, door: Door, name: str) -> None:
        self.door, self.name = door, name
        self.admin = door.key(Role.ADMIN, name, name=f"admin-{name}")
        self.agent = door.key(Role.AGENT, name, name=f"agent-{name}")
        self.ann = door.key(Role.APPROVER, name, name=f"ann-{name}")
        self.worker_key = ""
        self.leases: dict[str, str] = {}
        self.jobs: list[str] = []
        self.token = ""

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> Reply:
        """One request with a key of this tenant; it must succeed."""
        reply = self.door.ask(method, f"/api/v1{path}", body, key=key or self.admin)
        assert reply.status < 300, (method, path, reply.body)
        return reply

    def fill(self) -> "Tenant":
        """Make one thing of every kind, in every state that a list may ask for."""
        name = self.name
        self.ask("POST", "/schemas", {"id": f"schema-{name}", "schema": {"title": name}})
        self.ask("PUT", f"/pools/pool-{name}", {"description": f"of {name}"})
        for topic in ("demo", "deploy", "mail"):
            self.ask("POST", "/topics", {"name": f"job.{topic}.{name}", "requires": [name]})
        url = f"https://{name}.example.com/secret"
        self.ask("POST", "/webhooks", {"name": f"hook-{name}", "url": url})
        self.ask("POST", "/agents", {"name": f"bot-{name}", "risk_tier": "low", "owner": name})
        worker = Worker(
            self.door,
            f"worker-{name}",
            capabilities=(name,),
            tenant_key=self.admin,
        )
        self.worker_key = worker.token
        for result in ({"said": name}, {"said": name, "token": SECRET}, None):
            self.submit("demo")
            (leased,) = worker.lease(1)
            self.leases[leased["job_id"]] = leased["lease_id"]
            if result is not None:
                assert worker.answer(leased, result=result).status == 200
            else:
                worker.beat(leased, started=True, progress=f"at it for {name}")
        self.submit("demo")  # waits
        self.submit("mail")  # denied, with a remediation
        held, approved = self.submit("deploy"), self.submit("deploy")
        self.ask("POST", f"/approvals/{approved}/approve", {"reason": f"as {name}"}, self.ann)
        self.ask("POST", "/output/check", {"topic": "job.demo.x", "content": f"{name} {SECRET}"})
        expires_at_us = self.door.clock.at_us + 60_000_000
        link = ApprovalLink(job_id=held, webhook=f"hook-{name}", expires_at_us=expires_at_us)
        self.token = self.door.run(make_link(self.door.plane, name, link))
        return self

    def submit(self, what: str) -> str:
        """The id of a new job. All tenants use the same idempotency keys."""
        body = {
            "topic": f"job.{what}.{self.name}",
            "prompt": f"work for {self.name}",
            "labels": {"env": "prod", "owner": self.name},
            "capability": "infra.write",
            "idempotency_key": f"{what}-{len(self.jobs)}",
        }
        reply = self.door.ask("POST", JOBS, body, key=self.agent)
        assert reply.status in (200, 403), reply.body
        self.jobs.append(str(reply.json["job_id"]))
        return self.jobs[-1]

    def ids(self) -> dict[str, list[str]]:
        """What a parameter of a path may name."""
        read = self.door.ask
        found = [read("GET", f"{JOBS}/{job_id}", key=self.admin).json for job_id in self.jobs]
        keys = read("GET", "/api/v1/auth/keys", key=self.admin).json["items"]
        return {
            "job_id": self.jobs,
            "trace_id": [job["trace_id"] for job in found],
            "key_id": [key["id"] for key in keys],
            "worker_id": [f"worker-{self.name}"],
            "agent_id": [self.ask("GET", "/agents").json["items"][0]["id"]],
            "id": [f"schema-{self.name}"],
            "topic": [f"job.demo.{self.name}"],
            "/pools/{name}": [f"pool-{self.name}"],
            "/topics/{name}": [f"job.demo.{self.name}"],
            "/webhooks/{name}": [f"hook-{self.name}"],
        }

    def key_for(self, endpoint: Endpoint) -> str:
        """The key of this tenant that may use an endpoint."""
        return self.worker_key if endpoint.permission is Permission.WORK else self.admin

    def records(self) -> list[dict[str, Any]]:
        """The log of this tenant."""
        return [record for record in self.door.records() if record["tenant"] == self.name]


class World:
    """Two tenants with data, one that only looks, and one that has nothing."""

    def __init__(self, store: Store) -> None:
        self.door = Door(store, POLICY + OUTPUT_RULES)
        self.north, self.south = Tenant(self.door, "north"), Tenant(self.door, "south")
        self.west = Tenant(self.door, "west")
        self.empty = self.everything(self.west)
        self.north.fill()
        self.south.fill()
        self.ids = {"north": self.north.ids(), "south": self.south.ids()}

    def everything(self, tenant: Tenant) -> dict[str, bytes]:
        """The answer to every list that there is, for the admin of a tenant."""
        return {
            path: self.read(tenant, endpoint, path)
            for endpoint in LISTS
            for path in _paths(endpoint, tenant.name)
        }

    def read(self, tenant: Tenant, endpoint: Endpoint, path: str) -> bytes:
        """The bytes of an answer; of a stream, those up to a record that this tenant just made."""
        if not endpoint.streams:
            reply = self.door.ask("GET", path, key=tenant.key_for(endpoint))
            assert reply.status == 200, (path, reply.body)
            return reply.body
        stream = streams.opened(self.door, f"{path}", key=tenant.admin)
        before = len(tenant.records())
        last = {"topic": f"job.demo.{tenant.name}", "prompt": "last"}
        tenant.ask("POST", "/policy/evaluate", last)
        end = max(1, before + 1 if "from=0" in path else 1)
        stream.until(lambda: len(stream.events()) >= end, "no event came")
        stream.hang_up()
        return stream.body


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tenants over one kind of store."""
    store: Store = MemoryStore()
    if request.param == "sqlite":
        folder: Path = tmp_path_factory.mktemp("tenancy")
        store = SqliteStore.open(folder / "forestall.db")
    made = World(store)
    yield made
    made.door.run(made.door.store.close())
    made.door.runner.close()


def _paths(endpoint: Endpoint, tenant: str) -> Iterator[str]:
    yield endpoint.path
    for query in _QUERIES.get(endpoint.path, ()):
        yield f"{endpoint.path}?{query.format(tenant=tenant)}"


def _choices(path: str, ids: Mapping[str, list[str]]) -> Iterator[str]:
    """The paths of an endpoint with each id of a tenant in its place."""
    name = next(iter(re.findall(r"\{(\w+)\}", path)), "")
    if not name:
        yield path
        return
    place = re.search(r"/\w+/\{name\}", path)
    for value in ids[name if name != "name" or place is None else place[0]]:
        yield from _choices(path.replace(f"{{{name}}}", value, 1), ids)


def _nobodys(ids: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """As many ids of the same form, which nothing has."""
    absent = {"job_id": NOBODYS_JOB, "trace_id": NOBODYS_JOB, "topic": "job.demo.nobody"}
    absent["/topics/{name}"] = "job.demo.nobody"
    return {name: [absent.get(name, f"nobody-{name.strip('/{}')[:4]}")] for name in ids}


def _require_nothing_of(other: Tenant, ids: Mapping[str, list[str]], body: bytes) -> None:
    foreign = [value for values in ids.values() for value in values]
    text = body.decode()
    assert not [value for value in (other.name, *foreign) if value in text], text[:2_000]


@pytest.mark.parametrize("endpoint", LISTS, ids=lambda each: each.path)
def test_no_list_shows_anything_of_another_tenant(world: World, endpoint: Endpoint) -> None:
    for mine, other in ((world.north, world.south), (world.south, world.north)):
        for path in _paths(endpoint, mine.name):
            _require_nothing_of(other, world.ids[other.name], world.read(mine, endpoint, path))


def test_lists_show_ones_own(world: World) -> None:
    """Else the test above would pass over lists that are always empty."""
    seen = world.everything(world.north)
    without = {path.partition("?")[0] for path, body in seen.items() if b"north" not in body} - {
        path.partition("?")[0] for path, body in seen.items() if b"north" in body
    }
    counts_or_platform = {"policy/snapshots", "policy/output/rules", "policy/output/stats"}
    assert without == {f"/api/v1/{name}" for name in (*counts_or_platform, "health", "status")}
    assert json.loads(seen["/api/v1/policy/output/stats"])["quarantined_24h"] == 2


@pytest.mark.parametrize("endpoint", LISTS, ids=lambda each: each.path)
def test_a_tenant_without_data_sees_what_it_saw_in_an_empty_plane(
    world: World, endpoint: Endpoint
) -> None:
    """Counts and statistics too."""
    if endpoint.streams:
        return  # the events are its own, and the test above looked at them
    for path in _paths(endpoint, "west"):
        before, now = world.empty[path], world.read(world.west, endpoint, path)
        assert _without_times(now) == _without_times(before)


def _without_times(body: bytes) -> str:
    return re.sub(r"20\d\d-[0-9T:.+-]+Z?|\d{16}", "(time)", body.decode())


@pytest.mark.parametrize(
    "endpoint",
    [endpoint for endpoint in NAMING if endpoint.method == "GET"],
    ids=lambda each: each.path,
)
def test_what_another_tenant_has_is_not_there(world: World, endpoint: Endpoint) -> None:
    ids = world.ids["south"]
    for path in _choices(endpoint.path, ids):
        _require_like_absent(world, endpoint, path, body=None)


@pytest.mark.parametrize(
    "endpoint",
    [endpoint for endpoint in NAMING if endpoint.method != "GET"],
    ids=lambda each: f"{each.method} {each.path}",
)
def test_nothing_is_done_to_what_another_tenant_has(world: World, endpoint: Endpoint) -> None:
    south = world.south
    before, shown = south.records(), world.everything(south)
    for path in _choices(endpoint.path, world.ids["south"]):
        job_id = next((each for each in south.jobs if each in path), south.jobs[2])
        body = _body(endpoint, job_id, south.leases.get(job_id, "none"))
        _require_like_absent(world, endpoint, path, body)
    made = south.records()[len(before) :]
    assert {record["kind"] for record in made} <= {"action.checked"}  # of `everything`
    assert _unmoved(world.everything(south)) == _unmoved(shown)


def _unmoved(answers: Mapping[str, bytes]) -> dict[str, str]:
    """The answers that stay while nothing happens: streams grow, and analytics hold ages."""
    return {
        path: _without_times(body)
        for path, body in answers.items()
        if "/stream" not in path and "/analytics" not in path
    }


def _body(endpoint: Endpoint, job_id: str, lease_id: str) -> Any:
    for end, body in _BODIES.items():
        if endpoint.path.endswith(end):
            text = json.dumps(body).replace("{lease}", lease_id).replace("{job}", job_id)
            return json.loads(text)
    return {} if endpoint.request is not None else None


def _require_like_absent(world: World, endpoint: Endpoint, path: str, body: Any) -> None:
    """The answer to an id of another tenant is the answer to an id that nothing has."""
    (absent,) = _choices(endpoint.path, _nobodys(world.ids["south"]))
    replies = []
    for asked in (path, absent):
        if endpoint.streams:
            stream = streams.opened(world.door, asked, key=world.north.admin)
            stream.until(lambda stream=stream: bool(stream.sent), "no answer")  # type: ignore[misc]
            status, text = stream.status, stream.body.decode()
            stream.hang_up()
        else:
            key = world.north.key_for(endpoint)
            reply = world.door.ask(endpoint.method, asked, body, key=key)
            status, text = reply.status, reply.body.decode()
        for value in (*asked.split("/")[4:], *path.split("/")[4:]):
            text = text.replace(value, "(id)")
        replies.append((status, re.sub(r'"request_id":"\w+"|20\d\d-[0-9T:.]+Z', "", text)))
    assert replies[0] == replies[1]
    if (endpoint.method, endpoint.path) == ("PUT", "/api/v1/pools/{name}"):
        for made in (path, absent):
            world.door.ask("DELETE", made, key=world.north.admin)
    if (endpoint.method, endpoint.path) not in _NO_404:
        denied = endpoint.permission is Permission.WORK and "{worker_id}" in endpoint.path
        assert replies[0][0] == (403 if denied else 404), replies[0]


def test_what_a_body_names_is_not_there_either(world: World) -> None:
    """A topic may not use the pool or the schema of another tenant; a link opens for its own."""
    for field in ("pool", "input_schema_id"):
        replies = []
        for owner in ("south", "nobody"):
            value = f"{field[:4]}-{owner}" if field == "pool" else f"schema-{owner}"
            body = {"name": "job.demo.other", field: value}
            reply = world.door.ask("POST", "/api/v1/topics", body, key=world.north.admin)
            text = reply.body.decode().replace(value, "(id)")
            replies.append((reply.status, re.sub(r'"request_id":"\w+"', "", text)))
        assert replies[0] == replies[1]
        assert replies[0][0] >= 400
    opened = world.door.ask(
        "POST", "/api/v1/approvals/open", {"token": world.south.token}, key=world.north.admin
    )
    assert opened.status == 404
    opened = world.door.ask(
        "POST", "/api/v1/approvals/open", {"token": world.south.token}, key=world.south.admin
    )
    assert opened.status == 200


def test_an_idempotency_key_is_ones_own(world: World) -> None:
    """Both tenants sent the same keys, under names that are not the same; so each has its jobs."""
    assert len({*world.north.jobs, *world.south.jobs}) == 14
    same = {"topic": "job.demo.x", "prompt": "one", "idempotency_key": "same"}
    keys = [world.door.key(Role.AGENT, tenant, name="twin") for tenant in ("east", "center")]
    one, two = (world.door.submit(same, key=key) for key in keys)
    assert (one.status, two.status) == (200, 200)
    assert one.json["job_id"] != two.json["job_id"]
