"""An agent sees nothing of another agent of its own tenant, at any endpoint that agents may use.

The cases come from the endpoint table and the roles table. A tenant has data of every kind, made
by one agent; another agent of the same tenant looks at all of it, and must see what it would see
if none of it were there.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forestall.identity.roles import PERMISSIONS, Permission, Role
from forestall.ports.store import JobView, Store
from forestall.server.api import ENDPOINTS
from forestall.server.endpoints import Endpoint
from forestall.store.memory import MemoryStore
from forestall.store.sqlite import SqliteStore
from tests import streams
from tests.asgi import POLICY, Door
from tests.http_samples import Reply
from tests.unit.server.test_tenancy import (
    NOBODYS_JOB,
    OUTPUT_RULES,
    Tenant,
    _body,
    _choices,
    _paths,
    _without_times,
)
from tests.workers_under_test import JOBS

OF_AGENTS = [endpoint for endpoint in ENDPOINTS if endpoint.permission in PERMISSIONS[Role.AGENT]]
OF_JOBS = [
    endpoint
    for endpoint in OF_AGENTS
    if "{job_id}" in endpoint.path or "{trace_id}" in endpoint.path
]
# What the tenant declares, and what the server says of itself, is every agent's to read.
_OF_NO_JOB = ("/topics", "/pools", "/schemas", "/status", "/health")
LISTS = [
    endpoint
    for endpoint in OF_AGENTS
    if endpoint.method == "GET"
    and "{" not in endpoint.path
    and not endpoint.path.endswith(_OF_NO_JOB)
]
IDS = {"job_id": [NOBODYS_JOB], "trace_id": [NOBODYS_JOB]}


class WatchedMemory(MemoryStore):
    """A memory store that says which jobs were loaded."""

    def __init__(self, loaded: list[str]) -> None:
        super().__init__()
        self.loaded = loaded

    async def job(self, tenant: str, job_id: str) -> JobView | None:
        """See `Store.job`."""
        self.loaded.append(job_id)
        return await super().job(tenant, job_id)


class Spied:
    """One tenant, the agent whose data it is, and another agent with one job of its own."""

    def __init__(self, store: Store, loaded: list[str]) -> None:
        self.door = Door(store, POLICY + OUTPUT_RULES)
        self.loaded = loaded
        self.tenant = Tenant(self.door, "north")
        self.spy = self.door.key(Role.AGENT, "north", name="spy")
        self.empty = {path: self.read(endpoint, path) for endpoint, path in _all_lists()}
        self.tenant.fill()
        ids = self.tenant.ids()
        self.ids = {name: ids[name] for name in ("job_id", "trace_id")}
        self.secrets = [
            *self.ids["job_id"],
            *self.ids["trace_id"],
            *self.tenant.leases.values(),
            "agent-north",
            "work for north",
        ]

    def read(self, endpoint: Endpoint, path: str) -> bytes:
        """What the spy is answered; of a stream, up to the first event about a check of its own."""
        if not endpoint.streams:
            reply = self.door.ask("GET", path, key=self.spy)
            assert reply.status == 200, (path, reply.body)
            return reply.body
        stream = streams.opened(self.door, path, key=self.spy)
        mark = f"mark{self.door.clock.at_us}"
        body = {"topic": "job.demo.north", "prompt": "mine", "capability": mark}
        assert self.door.evaluate(body, key=self.spy).status == 200
        stream.until(lambda: mark in stream.body.decode(), "no event came")
        stream.hang_up()
        return stream.body

    def ask(self, endpoint: Endpoint, path: str, body: Any) -> Reply:
        """One request of the spy; a stream is answered with what it sends first."""
        if endpoint.streams:
            stream = streams.opened(self.door, path, key=self.spy)
            stream.until(lambda: bool(stream.sent), "no answer")
            stream.hang_up()
            return Reply(stream.status, {}, stream.body)
        return self.door.ask(endpoint.method, path, body, key=self.spy)


def _all_lists() -> Iterator[tuple[Endpoint, str]]:
    for endpoint in LISTS:
        for path in _paths(endpoint, "north"):
            yield endpoint, path


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def spied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tenant over one kind of store."""
    loaded: list[str] = []
    store: Store = WatchedMemory(loaded)
    if request.param == "sqlite":
        folder: Path = tmp_path_factory.mktemp("agents")
        store = SqliteStore.open(folder / "forestall.db")
    made = Spied(store, loaded)
    yield made
    made.door.run(made.door.store.close())
    made.door.runner.close()


def _normal(reply: Reply, *values: str) -> tuple[int, str]:
    """An answer without what differs between two requests, and without the ids that they named."""
    text = reply.body.decode()
    for value in values:
        text = text.replace(value, "(id)")
    return reply.status, re.sub(r'"request_id":"\w+"|20\d\d-[0-9T:.]+Z', "", text)


@pytest.mark.parametrize("endpoint", OF_JOBS, ids=lambda each: f"{each.method} {each.path}")
def test_a_job_of_another_agent_is_answered_as_an_unknown_one(
    spied: Spied, endpoint: Endpoint
) -> None:
    """Status, body and records; and no row of the job is loaded, so that no time tells either."""
    (absent,) = _choices(endpoint.path, IDS)
    before = len(spied.door.records())
    del spied.loaded[:]
    for path in _choices(endpoint.path, spied.ids):
        job_id = next((each for each in spied.tenant.jobs if each in path), NOBODYS_JOB)
        lease_id = spied.tenant.leases.get(job_id, "none")
        body = _body(endpoint, job_id, lease_id)
        hidden, unknown = (spied.ask(endpoint, each, body) for each in (path, absent))
        ids = (*path.split("/")[4:5], NOBODYS_JOB)
        assert _normal(hidden, *ids) == _normal(unknown, *ids)
        assert hidden.status == 404, hidden.body
        assert {name: len(value) for name, value in hidden.headers.items()} == {
            name: len(value) for name, value in unknown.headers.items()
        }
    assert not set(spied.loaded) & set(spied.tenant.jobs)
    made = spied.door.records()[before:]
    assert not [record for record in made if record.get("job_id")], made


@pytest.mark.parametrize("endpoint", LISTS, ids=lambda each: each.path)
def test_a_list_is_what_it_was_before_the_other_agent_did_anything(
    spied: Spied, endpoint: Endpoint
) -> None:
    """Items, pages, cursors and counts; of the stream, every event but those about oneself."""
    for path in _paths(endpoint, "north"):
        body = spied.read(endpoint, path)
        assert not [value for value in spied.secrets if value in body.decode()], body[:2_000]
        if not endpoint.streams:
            assert _without_times(body) == _without_times(spied.empty[path])


def test_every_job_is_there_for_its_own_agent_and_for_an_admin(spied: Spied) -> None:
    """Else the tests above would pass over endpoints that answer 404 to everybody."""
    for key in (spied.tenant.agent, spied.tenant.admin):
        for job_id in spied.tenant.jobs:
            for tail in ("", "/decisions"):
                assert spied.door.ask("GET", f"{JOBS}/{job_id}{tail}", key=key).status == 200
        listed = spied.door.ask("GET", JOBS, key=key).json["items"]
        assert {job["id"] for job in listed} >= set(spied.tenant.jobs)
        for path in ("/api/v1/approvals", "/api/v1/dlq/page", "/api/v1/quarantine"):
            assert spied.door.ask("GET", path, key=key).json["items"], path
        stream = streams.opened(spied.door, "/api/v1/stream?from=0", key=key)
        _until_told(stream, spied.tenant.jobs[-1])
        seen = {event["job_id"] for event in stream.events()} - {""}
        assert seen >= set(spied.tenant.jobs)
        stream.hang_up()


def _until_told(stream: streams.Opened, job_id: str) -> None:
    stream.until(lambda: job_id in stream.body.decode(), "no event came")


def test_agents_that_follow_together_share_no_page(spied: Spied) -> None:
    """Both read the same records at the same moment; each is sent its own."""
    keys = {"agent-north": spied.tenant.agent, "spy": spied.spy}
    body = {"topic": "job.demo.north", "prompt": "mine"}
    mine = spied.door.submit(body, key=spied.spy).json["job_id"]
    opened = {
        name: streams.opened(spied.door, "/api/v1/stream?from=0", key=key)
        for name, key in keys.items()
    }
    for name, stream in opened.items():
        last = mine if name == "spy" else spied.tenant.jobs[-1]
        _until_told(stream, last)
        jobs = {event["job_id"] for event in stream.events()} - {""}
        assert (mine in jobs) is (name == "spy")
        assert bool(jobs & set(spied.tenant.jobs)) is (name != "spy")
        stream.hang_up()
    spied.door.ask("POST", f"{JOBS}/{mine}/cancel", {}, key=spied.spy)


def test_an_agent_pages_through_its_own_jobs_alone(spied: Spied) -> None:
    """Every page is full, however many jobs of others lie between; a cursor of an admin's page
    opens nothing."""
    mine = []
    for place in range(5):
        body = {"topic": "job.demo.north", "prompt": f"mine {place}"}
        mine.append(spied.door.submit(body, key=spied.spy).json["job_id"])
        spied.tenant.submit("demo")
    try:
        found, cursor = [], ""
        while True:
            query = f"?limit=2&cursor={cursor}" if cursor else "?limit=2"
            page = spied.door.ask("GET", JOBS + query, key=spied.spy).json
            found += [job["id"] for job in page["items"]]
            cursor = page["next_cursor"]
            if not cursor:
                break
            assert len(page["items"]) == 2
        assert found[:5] == mine[::-1]
        assert not set(found) & set(spied.tenant.jobs)
        cursor = spied.door.ask("GET", f"{JOBS}?limit=1", key=spied.tenant.admin).json[
            "next_cursor"
        ]
        page = spied.door.ask("GET", f"{JOBS}?limit=9&cursor={cursor}", key=spied.spy).json
        assert {job["id"] for job in page["items"]} <= set(found)
        for query in ("principal=agent-north", "tenant=north&principal_id=agent-north"):
            page = spied.door.ask("GET", f"{JOBS}?{query}", key=spied.spy).json
            assert {job["id"] for job in page["items"]} <= set(found)
    finally:
        for job_id in mine:
            spied.door.ask("POST", f"{JOBS}/{job_id}/cancel", {}, key=spied.spy)


@pytest.mark.parametrize("name", ["X-Principal-Id", "X-Principal-Role", "X-Actor-Id"])
def test_a_header_names_no_other_principal(spied: Spied, name: str) -> None:
    """Neither the agent whose jobs they are, nor a role that would see all of them."""
    job_id = spied.tenant.jobs[0]
    for value in ("agent-north", "admin-north", "admin"):
        headers = {name: value}
        reply = spied.door.ask("GET", f"{JOBS}/{job_id}", key=spied.spy, headers=headers)
        assert reply.status == 404
        body = {"topic": "job.demo.north", "prompt": "x"}
        reply = spied.door.ask("POST", JOBS, body, key=spied.spy, headers=headers)
        made = spied.door.ask("GET", f"{JOBS}/{reply.json['job_id']}", key=spied.spy).json
        assert made["principal"] == "spy"
        spied.door.ask("POST", f"{JOBS}/{made['id']}/cancel", {}, key=spied.spy)


def test_two_keys_of_one_principal_see_the_same(spied: Spied) -> None:
    """What is one's own is the principal's, not the key's: a rotated key loses nothing."""
    again = spied.door.key(Role.AGENT, "north", name="again", principal="agent-north")
    reply = spied.door.ask("GET", f"{JOBS}/{spied.tenant.jobs[0]}", key=again)
    assert reply.status == 200


def test_the_same_name_in_another_tenant_sees_nothing(spied: Spied) -> None:
    """A principal is one of its tenant."""
    twin = spied.door.key(Role.AGENT, "south", name="agent-north")
    for job_id in spied.tenant.jobs:
        assert spied.door.ask("GET", f"{JOBS}/{job_id}", key=twin).status == 404
    assert spied.door.ask("GET", JOBS, key=twin).json["items"] == []


def test_the_role_that_sees_its_own_alone_is_the_agents() -> None:
    """By the table: whoever may read jobs at all and is no agent reads those of the tenant."""
    bounded = {
        role
        for role in Role
        if Permission.JOBS_READ in PERMISSIONS[role]
        and Permission.JOBS_READ_ALL not in PERMISSIONS[role]
    }
    assert bounded == {Role.AGENT}
    assert json.dumps(sorted(each.path for each in OF_JOBS))
