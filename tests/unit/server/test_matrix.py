"""The whole matrix: endpoint x role x own or other tenant x own or other agent.

What is expected comes from the roles table (`identity/roles.py`) and from what a path names, never
from the code under test. Every endpoint is a row by construction: one whose path names something
that is not in TARGETS fails until somebody says whose that thing is.

An answer is one of these: *refused* (403 that names the missing permission), *foreign* (403: the
request names another tenant), *hidden* (exactly the answer to an id that nothing has), *reached*.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from forestall.identity.credentials import WorkerGrant
from forestall.identity.roles import (
    PERMISSIONS,
    PLATFORM_PERMISSIONS,
    PLATFORM_TENANT,
    Permission,
    Role,
)
from forestall.server.api import ENDPOINTS
from forestall.server.endpoints import Endpoint
from tests import streams
from tests.asgi import POLICY, Door
from tests.http_samples import Reply
from tests.unit.server.test_access import BODIES
from tests.unit.server.test_tenancy import NOBODYS_JOB, OUTPUT_RULES, SECRET

OWN, OTHER = "own", "other"
NORTH, SOUTH = "north", "south"
JOBS, KEYS = "/api/v1/jobs", "/api/v1/auth/keys"
RELATIONS = [(tenant, agent) for tenant in (OWN, OTHER) for agent in (OWN, OTHER)]
# Only whoever holds the lease of a job may answer for it, whatever else it may.
BY_LEASE = ("/result", "/return", "/renew", "/complete")
# It makes what it names, in one's own tenant, whoever else has something of that name.
MAKES = {("PUT", "/api/v1/pools/{name}")}


class Cell(NamedTuple):
    """One question: who asks which endpoint about whose thing."""

    endpoint: Endpoint
    role: Role
    tenant: str  # of the thing: own or other
    agent: str  # who made it: own or other


def permitted(role: Role, tenant: str, permission: Permission) -> bool:
    """What the table says, read here once more."""
    platform = PLATFORM_PERMISSIONS.get(role, frozenset()) if tenant == PLATFORM_TENANT else ()
    return permission in PERMISSIONS[role] or permission in platform


def expected(cell: Cell, tenant: str) -> str:
    """What the answer must be, with a key of this tenant."""
    permission, path = cell.endpoint.permission, cell.endpoint.path
    names = re.findall(r"\{(\w+)\}", path)
    if permission is None:
        return "reached"
    if not names and cell.tenant == OTHER:
        return "foreign"  # the request says that it is for another tenant
    if not permitted(cell.role, tenant, permission):
        return "refused"
    if not names:
        return "reached"
    if names == ["digest"]:  # one policy holds the rules of all tenants
        return "reached" if tenant == PLATFORM_TENANT else "hidden"
    if names == ["tenant"] or (cell.endpoint.method, path) in MAKES:
        return "reached"  # the plane's people look after every tenant
    if cell.tenant == OTHER:
        return "hidden"
    return _expected_of_own_tenant(cell, names[0])


def _expected_of_own_tenant(cell: Cell, name: str) -> str:
    path = cell.endpoint.path
    if name == "worker_id" and cell.endpoint.permission is Permission.WORK:
        return "reached" if cell.agent == OWN else "hidden"
    if name not in ("job_id", "trace_id") or cell.agent == OWN:
        return "reached"
    if path.endswith(BY_LEASE):
        return "hidden"
    return "reached" if Permission.JOBS_READ_ALL in PERMISSIONS[cell.role] else "hidden"


class House:
    """One door with two tenants; what the cells ask about is made when it is asked about."""

    def __init__(self) -> None:
        self.door = Door(policy=POLICY + OUTPUT_RULES)
        self.made = 0
        self.keys: dict[tuple[str, str, str], str] = {}
        self.workers: dict[tuple[str, str], str] = {}
        digest = self.door.plane.snapshot.digest if self.door.plane.snapshot else ""
        self.digest = digest

    def name(self, what: str) -> str:
        """A name that nothing has."""
        self.made += 1
        return f"{what}-{self.made}"

    def key(self, role: Role, tenant: str, who: str) -> str:
        """The key of `who` with this role; a worker's is that of the worker of this name."""
        if role is Role.WORKER:
            return self.worker(tenant, who)
        name = (role.value, tenant, who)
        if name not in self.keys:
            self.keys[name] = self.door.key(
                role, tenant, name=f"{role}-{who}-{tenant}", principal=f"{who}-{tenant}"
            )
        return self.keys[name]

    def worker(self, tenant: str, who: str) -> str:
        """The key of a registered worker that is called after `who`."""
        if (tenant, who) not in self.workers:
            grant = WorkerGrant(worker_id=f"worker-{who}-{tenant}", topics=("job.*",))
            key = self.door.key(
                Role.WORKER, tenant, name=f"w-{who}-{tenant}", principal=f"w-{who}", worker=grant
            )
            path = f"/api/v1/workers/worker-{who}-{tenant}/register"
            assert self.door.ask("POST", path, {"max_parallel": 99}, key=key).status == 200
            self.workers[tenant, who] = key
        return self.workers[tenant, who]

    def admin(self, method: str, tenant: str, path: str, body: Any = None) -> Any:
        """One request of the tenant's admin, which must succeed."""
        key = self.key(Role.ADMIN, tenant, "admin")
        reply = self.door.ask(method, f"/api/v1{path}", body, key=key)
        assert reply.status < 300, (path, reply.body)
        return reply.json if reply.body else None

    def submit(self, tenant: str, role: Role, who: str, **body: Any) -> dict[str, Any]:
        """A new job of the principal of `who`, who asks with a key that may submit."""
        role = role if permitted(role, tenant, Permission.JOBS_WRITE) else Role.AGENT
        sent = {"topic": "job.demo.read", "prompt": self.name("do"), **body}
        reply = self.door.submit(sent, key=self.key(role, tenant, who))
        assert reply.status in (200, 403), reply.body
        made: dict[str, Any] = reply.json
        return made


class Target(NamedTuple):
    """The thing that a path names, and the lease that a body names."""

    values: Mapping[str, str]  # by parameter
    lease_id: str = "none"


Maker = Callable[[House, Cell, str, str], Target]


def _job(house: House, cell: Cell, tenant: str, who: str) -> Target:
    path = cell.endpoint.path
    if path.endswith(("/result", "/return")):
        return _leased(house, tenant, who)
    if path.endswith(("/renew", "/complete")):
        return _claimed(house, cell, tenant, who)
    if "/approvals/" in path:
        body = {"topic": "job.deploy.x", "capability": "infra.write", "labels": {"env": "prod"}}
        return Target({"job_id": house.submit(tenant, cell.role, who, **body)["job_id"]})
    if "/dlq/" in path or path.endswith("/remediate"):
        job = house.submit(tenant, cell.role, who, topic="job.mail.send")
        return Target({"job_id": job["job_id"]})
    if "/output" in path:
        return _withheld(house, cell, tenant, who)
    job = house.submit(tenant, cell.role, who)
    return Target({"job_id": job["job_id"], "trace_id": job["trace_id"]})


def _leased(house: House, tenant: str, who: str) -> Target:
    """A job that the worker called after `who` holds."""
    key = house.worker(tenant, who)
    topic = f"job.demo.{house.name('lease')}"
    house.submit(tenant, Role.AGENT, OWN, topic=topic)
    path = f"/api/v1/workers/worker-{who}-{tenant}/lease"
    jobs = house.door.ask("POST", path, {"limit": 8}, key=key).json["jobs"]
    (given,) = [job for job in jobs if job["topic"] == topic]
    return Target({"job_id": given["job_id"]}, given["lease_id"])


def _claimed(house: House, cell: Cell, tenant: str, who: str) -> Target:
    job_id = house.submit(tenant, cell.role, who)["job_id"]
    role = cell.role if permitted(cell.role, tenant, Permission.JOBS_WRITE) else Role.AGENT
    path, key = f"{JOBS}/{job_id}/claim", house.key(role, tenant, who)
    given = house.door.ask("POST", path, {}, key=key).json
    return Target({"job_id": job_id}, given["lease_id"])


def _withheld(house: House, cell: Cell, tenant: str, who: str) -> Target:
    claimed = _claimed(house, cell, tenant, who)
    job_id = claimed.values["job_id"]
    role = cell.role if permitted(cell.role, tenant, Permission.JOBS_WRITE) else Role.AGENT
    answer = {"lease_id": claimed.lease_id, "status": "succeeded", "result": {"token": SECRET}}
    path, key = f"{JOBS}/{job_id}/complete", house.key(role, tenant, who)
    assert house.door.ask("POST", path, answer, key=key).json["state"] == "OUTPUT_QUARANTINED"
    return claimed


def _key(house: House, cell: Cell, tenant: str, who: str) -> Target:
    made = house.admin("POST", tenant, "/auth/keys", {"name": house.name("key")})
    return Target({"key_id": made["key"]["id"]})


def _worker(house: House, cell: Cell, tenant: str, who: str) -> Target:
    path = cell.endpoint.path
    if cell.endpoint.permission is Permission.WORK or path.endswith("/jobs"):
        target = _leased(house, tenant, who) if path.endswith("/jobs") else Target({})
        house.worker(tenant, who)
        return Target({**target.values, "worker_id": f"worker-{who}-{tenant}"})
    name = house.name("worker")
    wanted = {"worker_id": name, "allowed_topics": ["job.*"]}
    token = house.admin("POST", tenant, "/workers/credentials", wanted)["token"]
    reply = house.door.ask("POST", f"/api/v1/workers/{name}/register", {}, key=token)
    assert reply.status == 200
    return Target({"worker_id": name})


def _pool(house: House, cell: Cell, tenant: str, who: str) -> Target:
    name = house.name("pool")
    house.admin("PUT", tenant, f"/pools/{name}", {"description": "swim"})
    topic = "job.pool." + name.replace("-", "")
    house.admin("POST", tenant, "/topics", {"name": topic, "pool": name})
    if "/topics/" not in cell.endpoint.path:
        house.admin("DELETE", tenant, f"/topics/{topic}")
    return Target({"name": name, "topic": topic})


def _topic(house: House, cell: Cell, tenant: str, who: str) -> Target:
    topic = "job.topic." + house.name("t").replace("-", "")
    house.admin("POST", tenant, "/topics", {"name": topic})
    return Target({"name": topic})


def _webhook(house: House, cell: Cell, tenant: str, who: str) -> Target:
    name = house.name("hook")
    house.admin("POST", tenant, "/webhooks", {"name": name, "url": "https://h.example.com/"})
    return Target({"name": name})


def _schema(house: House, cell: Cell, tenant: str, who: str) -> Target:
    name = house.name("schema")
    house.admin("POST", tenant, "/schemas", {"id": name, "schema": {"title": name}})
    return Target({"id": name})


def _agent(house: House, cell: Cell, tenant: str, who: str) -> Target:
    wanted = {"name": house.name("agent"), "risk_tier": "low"}
    return Target({"agent_id": house.admin("POST", tenant, "/agents", wanted)["id"]})


def _digest(house: House, cell: Cell, tenant: str, who: str) -> Target:
    return Target({"digest": house.digest})


def _tenant(house: House, cell: Cell, tenant: str, who: str) -> Target:
    name = house.name("house")
    house.admin("POST", PLATFORM_TENANT, "/tenants", {"name": name})
    return Target({"tenant": name})


# Whose the thing is that a path names, by the part of the path that names it.
TARGETS: Mapping[str, Maker] = {
    "/jobs/{job_id}": _job,
    "/approvals/{job_id}": _job,
    "/dlq/{job_id}": _job,
    "/traces/{trace_id}": _job,
    "/keys/{key_id}": _key,
    "/credentials/{worker_id}": _worker,
    "/workers/{worker_id}": _worker,
    "/pools/{name}": _pool,
    "/topics/{name}": _topic,
    "/webhooks/{name}": _webhook,
    "/schemas/{id}": _schema,
    "/snapshots/{digest}": _digest,
    "/agents/{agent_id}": _agent,
    "/tenants/{tenant}": _tenant,
}
_LEASE_BODY = {"lease_id": "{lease}"}
_WRITES: Mapping[str, Any] = {
    "/retry": {"force": True},
    "/remediate": {"remediation_id": "use-draft"},
    "/result": {**_LEASE_BODY, "status": "succeeded"},
    "/complete": {**_LEASE_BODY, "status": "succeeded"},
    "/return": _LEASE_BODY,
    "/renew": _LEASE_BODY,
    "/results": {"results": [{"job_id": "x", "answer": {"lease_id": "x", "status": "succeeded"}}]},
    "/release": {"reason": "seen"},
    "/confirm": {"reason": "seen"},
    "/drain": {"timeout_seconds": 1},
}


def _target(house: House, cell: Cell, tenant: str) -> Target:
    place = re.search(r"/\w+/\{\w+\}", cell.endpoint.path)
    if place is None:
        return Target({})
    assert place[0] in TARGETS, f"say in TARGETS whose `{place[0]}` is"
    owner = tenant if cell.tenant == OWN else (SOUTH if tenant == NORTH else NORTH)
    return TARGETS[place[0]](house, cell, owner, cell.agent)


def _ask(house: House, cell: Cell, tenant: str, values: Mapping[str, str], lease: str) -> Reply:
    """One request, with headers that name another tenant or principal where no path does."""
    endpoint = cell.endpoint
    path = endpoint.path
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    headers = {}
    if not values:
        headers = {"X-Principal-Id": "other-north"} if cell.agent == OTHER else {}
        if cell.tenant == OTHER:
            headers["X-Tenant-ID"] = SOUTH if tenant != SOUTH else NORTH
    key = house.key(cell.role, tenant, OWN) if endpoint.permission is not None else ""
    if endpoint.streams:
        stream = streams.opened(house.door, path, key=key, headers=headers)
        stream.until(lambda: bool(stream.sent), "no answer")
        status, sent = stream.status, stream.body
        stream.hang_up()
        return Reply(status, {}, sent)
    body = _body(house, endpoint, lease, makes=not values)
    return house.door.ask(endpoint.method, path, body, key=key, headers=headers)


def _body(house: House, endpoint: Endpoint, lease: str, *, makes: bool) -> Any:
    """A body that is well formed, so that only access can refuse it. What is made has a name of
    its own."""
    if endpoint.method in ("GET", "DELETE"):
        return None
    if endpoint.path == JOBS or "/policy/" in endpoint.path:
        return {"topic": "job.demo.read", "prompt": house.name("ask")}
    if endpoint.path == "/api/v1/topics":
        return {"name": "job.matrix." + house.name("t").replace("-", "")}
    body = next((each for end, each in _WRITES.items() if endpoint.path.endswith(end)), None)
    body = body if body is not None else BODIES.get(endpoint.path, {})
    text = json.dumps(body).replace("{lease}", lease)
    if makes:
        text = text.replace('"name": "', f'"name": "{house.name("n")}')
    return json.loads(text)


def _outcome(reply: Reply, unknown: Reply | None, values: Mapping[str, str]) -> str:
    if unknown is not None and _alike(reply, values) == _alike(unknown, values):
        return "refused" if _is_refusal(reply) else "hidden"
    if _is_refusal(reply):
        return "refused"
    code = reply.json.get("code", "") if reply.status == 403 else ""
    if code == "tenant_access_denied":
        return "foreign"
    assert reply.status not in (401, 500), reply.body
    return "reached"


def _is_refusal(reply: Reply) -> bool:
    return (
        reply.status == 403
        and "required" in reply.json.get("details", {})
        and ("may not do this; it needs" in reply.json["error"])
    )


def _alike(reply: Reply, values: Mapping[str, str]) -> tuple[int, str]:
    text = reply.body.decode()
    for value in (*values.values(), *_unknown(values).values()):
        text = text.replace(value, "(id)")
    return reply.status, re.sub(r'"request_id":"\w+"|20\d\d-[0-9T:.]+Z', "", text)


def _unknown(values: Mapping[str, str]) -> dict[str, str]:
    """As many ids that nothing has."""
    absent = {"job_id": NOBODYS_JOB, "trace_id": NOBODYS_JOB, "digest": "0" * 64}
    absent["topic"] = "job.pool.nobody"
    return {name: absent.get(name, "nobody") for name in values}


@pytest.fixture
def house() -> Any:
    made = House()
    yield made
    made.door.runner.close()


def _cells(endpoint: Endpoint) -> list[Cell]:
    return [Cell(endpoint, role, *relation) for role in Role for relation in RELATIONS]


@pytest.mark.parametrize("acting", [NORTH, PLATFORM_TENANT])
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: f"{each.method} {each.path}")
def test_every_cell_is_as_the_table_says(house: House, endpoint: Endpoint, acting: str) -> None:
    """With keys of an ordinary tenant, and with keys of the platform's own."""
    wrong = []
    for cell in _cells(endpoint):
        target = _target(house, cell, acting)
        reply = _ask(house, cell, acting, target.values, target.lease_id)
        unknown = None
        if target.values and (endpoint.method, endpoint.path) not in MAKES:
            unknown = _ask(house, cell, acting, _unknown(target.values), target.lease_id)
        found, wanted = _outcome(reply, unknown, target.values), expected(cell, acting)
        if found != wanted:
            about = f"{cell.role} of {acting}, {cell.tenant} tenant, {cell.agent} agent"
            wrong.append(f"{about}: {found} ({reply.status}), the table says {wanted}")
    assert not wrong, "\n".join(wrong)


def test_the_size_of_the_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    """Every endpoint, every role, and each of the four relations, twice."""
    columns = len(Role) * len(RELATIONS) * 2
    cells = sum(len(_cells(endpoint)) for endpoint in ENDPOINTS) * 2
    assert cells == len(ENDPOINTS) * columns
    assert len({(each.method, each.path) for each in ENDPOINTS}) == len(ENDPOINTS)
    with capsys.disabled():
        print(f"\nmatrix: {len(ENDPOINTS)} rows x {columns} columns = {cells} cells")
