"""Tenants are made, suspended and resumed while the server runs, by the plane's people alone."""

import json
from typing import Any

import pytest

from forestall.control.dispatch import dispatch
from forestall.control.expire import tick
from forestall.identity.roles import PLATFORM_PERMISSIONS, Role
from forestall.limits import TENANT_NOTE_CHARS_MAX, TENANTS_MAX
from forestall.ports.change import Change, Receipt
from forestall.ports.store import StoreUnavailableError
from forestall.server.api import ENDPOINTS
from forestall.server.endpoints import Endpoint
from forestall.store.memory import MemoryStore
from tests import streams
from tests.asgi import Door, FailingStore, assert_coded, opened
from tests.http_samples import ALLOWED_JOB
from tests.workers_under_test import JOBS, Worker

TENANTS, KEYS = "/api/v1/tenants", "/api/v1/auth/keys"
OF_THE_PLATFORM = [
    each
    for each in ENDPOINTS
    if each.permission in frozenset().union(*PLATFORM_PERMISSIONS.values())
]


def made(door: Door, name: str = "acme", **more: Any) -> str:
    """A new tenant; the text of its first admin key."""
    reply = door.ask("POST", TENANTS, {"name": name, **more})
    assert reply.status == 201, reply.body
    return str(reply.json["secret"])


def suspend(door: Door, name: str = "acme") -> None:
    """Suspend a tenant."""
    reply = door.ask("POST", f"{TENANTS}/{name}/suspend", {"reason": "unpaid"})
    assert (reply.status, reply.json["status"]) == (200, "suspended")


def resume(door: Door, name: str = "acme") -> None:
    """Resume a tenant."""
    reply = door.ask("POST", f"{TENANTS}/{name}/resume", {})
    assert (reply.status, reply.json["status"]) == (200, "active")


# -- the first key --


def test_a_tenant_is_made_with_its_first_admin_key(door: Door) -> None:
    """The key works at once, in its tenant; its text is in no other answer and in no record."""
    key = made(door, description="a second house", admin_principal="people/ada")
    session = door.ask("POST", KEYS, {"name": "ci", "role": "agent"}, key=key)
    assert session.status == 201
    assert session.json["key"]["tenant"] == "acme"
    assert session.json["key"]["created_by"] == "people/ada"
    agent = session.json["secret"]
    assert door.submit(ALLOWED_JOB, key=agent).json["decision"] == "ALLOW"
    assert door.ask("GET", JOBS).json["items"] == []  # the platform's tenant sees none of it
    shown = door.ask("GET", f"{TENANTS}/acme").json
    assert (shown["description"], shown["created_by"]) == (
        "a second house",
        door.ask("GET", KEYS).json["items"][0]["name"],
    )
    assert (shown["status"], shown["usable_keys"]) == ("active", 2)
    seen = door.ask("GET", TENANTS).body + b"".join(link.record for link in door.links())
    assert key.encode() not in seen
    (record,) = [one for one in door.records() if one["kind"] == "tenant.created"]
    assert (record["tenant"], record["data"]["name"]) == ("default", "acme")


def test_a_tenant_is_made_once(door: Door) -> None:
    """Neither again, nor under the name of a tenant that is there by its keys alone."""
    made(door)
    door.key(Role.VIEWER, "older")
    before = door.trace()
    for name in ("acme", "older", "default"):
        assert_coded(door.ask("POST", TENANTS, {"name": name}), 409, "tenant_exists")
    assert door.trace() == before


def test_a_tenant_whose_key_could_not_be_made_gets_it_when_it_is_made_again() -> None:
    """The store fails between the two commits: nobody was shown a key, and nobody has one."""

    class FailsSecond(FailingStore):
        commits = 0

        async def commit(self, change: Change) -> Receipt:
            """See `Store.commit`."""
            if self.failure is not None:
                self.commits += 1
            if self.failure is not None and self.commits > 1:
                return await super().commit(change)
            return await MemoryStore.commit(self, change)

    store = FailsSecond()
    with opened(store) as door:
        store.failure = StoreUnavailableError("the disk is full")
        assert_coded(door.ask("POST", TENANTS, {"name": "acme"}), 503, "store_unavailable")
        store.failure = None
        assert door.ask("GET", f"{TENANTS}/acme").json["usable_keys"] == 0
        assert door.ask("GET", JOBS, key=made(door)).status == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "a b"},
        {"name": "a/b"},
        {"name": "../default"},
        {"name": "a\u001b[31m"},
        {"name": "x" * 257},
        {"name": "acme", "description": "x" * (TENANT_NOTE_CHARS_MAX + 1)},
        {"name": "acme", "description": "two\nlines"},
        {"name": "acme", "admin_principal": "\u202eadmin"},
        {"name": "acme", "admin": "x"},
        {"name": 1},
        [],
    ],
    ids=json.dumps,
)
def test_a_tenant_is_made_only_when_asked_for_clearly(door: Door, body: Any) -> None:
    reply = door.ask("POST", TENANTS, body)
    assert_coded(reply, 400)
    assert "secret" not in reply.json


def test_tenants_are_bounded(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are in memory and in one list."""
    assert TENANTS_MAX == 1_000
    monkeypatch.setattr("forestall.control.tenants.TENANTS_MAX", 1)
    made(door)
    assert_coded(door.ask("POST", TENANTS, {"name": "next"}), 409, "tenants_full")


# -- who may --


@pytest.mark.parametrize("endpoint", OF_THE_PLATFORM, ids=lambda one: f"{one.method} {one.path}")
@pytest.mark.parametrize("role", sorted(Role))
def test_nobody_of_another_tenant_may_ask_for_tenants(
    door: Door, endpoint: Endpoint, role: Role
) -> None:
    """Not a tenant's own admin either, about itself or others, whatever a header or body names."""
    key = door.key(role, "acme")
    before = door.trace()
    for name in ("acme", "default", "nobody"):
        path = endpoint.path.replace("{tenant}", name)
        for headers in ({}, {"X-Tenant-ID": "acme"}, {"X-Principal-Id": "admin"}):
            body = {"name": name, "tenant": "default"} if endpoint.method == "POST" else None
            reply = door.ask(endpoint.method, path, body, key=key, headers=headers)
            assert_coded(reply, 403, "forbidden")
            assert reply.json["details"]["required"] == endpoint.permission
    named = {"X-Tenant-ID": "default"}
    reply = door.ask(endpoint.method, endpoint.path, {}, key=key, headers=named)
    assert_coded(reply, 403, "tenant_access_denied")
    assert door.trace() == before
    assert not door.plane.tenants.suspended


def test_a_tenants_admin_makes_no_key_for_another_tenant(door: Door) -> None:
    """However the tenant is named, the key is one of the admin's own tenant, or none."""
    key = made(door)
    made(door, "other")
    for named in ({"tenant": "other"}, {"tenant_id": "other"}, {"org_id": "default"}):
        reply = door.ask("POST", KEYS, {"name": f"n-{next(iter(named))}", **named}, key=key)
        assert reply.status in (400, 403) or reply.json["key"]["tenant"] == "acme"
    for path in (KEYS, TENANTS):
        reply = door.ask("POST", path, {"name": "n"}, key=key, headers={"X-Tenant-ID": "other"})
        assert_coded(reply, 403, "tenant_access_denied")
    assert {one["tenant"] for one in door.ask("GET", KEYS, key=key).json["items"]} == {"acme"}
    assert door.ask("GET", f"{TENANTS}/other").json["usable_keys"] == 1


def test_the_platforms_admin_reads_nothing_of_a_tenant(door: Door) -> None:
    """To run the plane is not to look into it: jobs and keys of a tenant are its own."""
    key = made(door)
    agent = door.ask("POST", KEYS, {"name": "ci", "role": "agent"}, key=key).json["secret"]
    job_id = door.submit(ALLOWED_JOB, key=agent).json["job_id"]
    assert_coded(door.ask("GET", f"{JOBS}/{job_id}"), 404, "job_not_found")
    reply = door.ask("GET", JOBS, headers={"X-Tenant-ID": "acme"})
    assert_coded(reply, 403, "tenant_access_denied")
    assert "acme" not in door.ask("GET", KEYS).body.decode()


# -- suspended --


class House:
    """A tenant with an admin, an agent, and a worker with one job of the agent."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.admin = made(door)
        self.agent = door.ask("POST", KEYS, {"name": "ci", "role": "agent"}, key=self.admin).json[
            "secret"
        ]
        self.worker = Worker(door, "w1", tenant_key=self.admin)
        self.running = self.submit()
        (self.leased,) = self.worker.lease(1)
        self.worker.beat(self.leased, started=True)
        self.queued = self.submit()

    def submit(self) -> str:
        """The id of a new job that is queued."""
        return str(self.door.submit(ALLOWED_JOB, key=self.agent).json["job_id"])

    def state(self, job_id: str) -> tuple[str, str]:
        """State and failure code of a job, from the store."""
        view = self.door.run(self.door.store.job("acme", job_id))
        assert view is not None
        return view.job.state.value, view.job.failure_code


@pytest.fixture
def house(door: Door) -> House:
    return House(door)


def test_every_key_of_a_suspended_tenant_is_refused_with_a_code(house: House) -> None:
    """At every endpoint that wants a key, before anything else is said; an unknown key learns
    nothing; other tenants go on."""
    door = house.door
    suspend(door)
    for endpoint in ENDPOINTS:
        if endpoint.permission is None:
            continue
        for key in (house.admin, house.agent, house.worker.token):
            reply = door.ask(endpoint.method, endpoint.path, {}, key=key)
            assert_coded(reply, 403, "tenant_suspended")
    assert_coded(door.ask("GET", JOBS, key="fk_" + "0" * 64), 401, "unauthorized")
    assert door.submit(ALLOWED_JOB).status == 200
    resume(door)
    assert door.ask("GET", JOBS, key=house.agent).status == 200


def test_what_runs_is_cancelled_and_nothing_is_dispatched(house: House) -> None:
    """The running job ends with the reason; the queued one waits, and goes on when resumed."""
    door = house.door
    suspend(door)
    assert house.state(house.running) == ("CANCELLED", "tenant_suspended")
    assert house.state(house.queued) == ("PENDING", "")
    answered = house.worker.answer(house.leased, result={"late": True})
    assert_coded(answered, 403, "tenant_suspended")
    for _ in range(3):
        door.clock.forward(10)
        door.run(tick(door.plane))
    assert house.state(house.queued) == ("PENDING", "")
    resume(door)
    assert house.state(house.running) == ("CANCELLED", "tenant_suspended")
    door.clock.forward(10)
    door.run(tick(door.plane))
    assert house.worker.ask("register", {"max_parallel": 8}).status == 200
    assert [job["job_id"] for job in house.worker.lease(1)] == [house.queued]


def test_a_worker_that_waits_for_work_gets_none_after_the_suspension(house: House) -> None:
    """Its request came in before; the job that is queued meanwhile does not leave."""
    door = house.door
    session = door.plane.workers.get("acme", "w1")
    assert session is not None
    suspend(door)
    assert door.run(dispatch(door.plane, session, limit=4)) == []
    dispatched = [one for one in door.records() if one["kind"] == "job.dispatched"]
    assert [one["job_id"] for one in dispatched] == [house.running]


def test_a_suspension_by_another_process_stops_a_dispatch_in_its_transaction(
    house: House,
) -> None:
    """Memory does not know of it yet; the commit of the dispatch does."""
    door = house.door
    session = door.plane.workers.get("acme", "w1")
    assert session is not None
    before = door.plane.tenants.get("acme")
    assert before is not None
    suspend(door)
    door.plane.tenants.put(before.entry)
    assert not door.plane.tenants.suspended
    assert door.run(dispatch(door.plane, session, limit=4)) == []
    assert house.state(house.queued) == ("PENDING", "")


def test_a_stream_of_a_suspended_tenant_ends(house: House) -> None:
    stream = streams.opened(house.door, key=house.agent)
    assert stream.status == 200
    suspend(house.door)
    stream.ended()


def test_a_suspension_outlives_a_restart(house: House) -> None:
    """It is read from the store at a start; what still ran then is cancelled at the first tick."""
    door = house.door
    suspend(door)
    state = door.plane.projections
    state.tenants = door.plane.tenants = type(state.tenants)()
    assert door.ask("GET", JOBS, key=house.agent).status == 200
    door.reload()
    assert_coded(door.ask("GET", JOBS, key=house.agent), 403, "tenant_suspended")


def test_suspending_twice_and_resuming_an_active_one_change_nothing(door: Door) -> None:
    made(door)
    suspend(door)
    before = door.trace()
    suspend(door)
    assert door.trace() == before
    resume(door)
    before = door.trace()
    resume(door)
    assert door.trace() == before
    kinds = [one["kind"] for one in door.records() if one["kind"].startswith("tenant.")]
    assert kinds == ["tenant.created", "tenant.suspended", "tenant.resumed"]


def test_a_tenant_that_nobody_made_can_be_suspended(door: Door) -> None:
    """One that is there by its keys alone, as every tenant was before."""
    key = door.key(Role.VIEWER, "older")
    suspend(door, "older")
    assert_coded(door.ask("GET", JOBS, key=key), 403, "tenant_suspended")
    resume(door, "older")
    assert door.ask("GET", JOBS, key=key).status == 200


def test_the_platforms_tenant_cannot_be_suspended(door: Door) -> None:
    """Nobody could resume it."""
    reply = door.ask("POST", f"{TENANTS}/default/suspend", {})
    assert_coded(reply, 409, "platform_tenant")
    assert door.ask("GET", JOBS).status == 200


@pytest.mark.parametrize("verb", ["", "/suspend", "/resume"])
def test_a_tenant_that_is_not_there(door: Door, verb: str) -> None:
    method = "POST" if verb else "GET"
    reply = door.ask(method, f"{TENANTS}/nobody{verb}", {} if verb else None)
    assert_coded(reply, 404, "tenant_not_found")
