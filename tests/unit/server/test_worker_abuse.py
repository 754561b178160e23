"""What a worker may not do: each refusal has a code, is recorded, and changes no state."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from forestall.identity.credentials import WorkerGrant
from forestall.identity.roles import Role
from tests.asgi import Door, assert_coded, opened


@pytest.fixture
def door() -> Iterator[Door]:
    """A door with one job queued."""
    with opened() as one:
        yield one


def worker(door: Door, name: str = "w1", tenant: str = "default", **grant: Any) -> str:
    """The token of a worker that is registered."""
    given = {"topics": ("job.*",), **grant}
    key = door.key(Role.WORKER, tenant, worker=WorkerGrant(worker_id=name, **given))
    body = {"capabilities": ["git", "root"], "max_parallel": 8}
    assert door.ask("POST", f"/api/v1/workers/{name}/register", body, key=key).status == 200
    return key


def leased(door: Door, key: str, name: str = "w1") -> list[dict[str, Any]]:
    """What the worker is offered now."""
    body = {"limit": 10}
    jobs: list[dict[str, Any]] = door.ask(
        "POST", f"/api/v1/workers/{name}/lease", body, key=key
    ).json["jobs"]
    return jobs


def one(door: Door, key: str) -> dict[str, Any]:
    """A job in the hands of the worker."""
    assert door.submit({"topic": "job.demo.read", "prompt": "x"}).status == 200
    (job,) = leased(door, key)
    return job


def records(door: Door) -> list[dict[str, Any]]:
    """The whole log."""
    return [json.loads(link.record) for link in door.links()]


def refusals(door: Door) -> list[tuple[str, str, str]]:
    """Every refusal in the log: what, code, job."""
    return [
        (record["data"]["what"], record["data"]["code"], record["job_id"])
        for record in records(door)
        if record["kind"] == "worker.refused"
    ]


def refused(
    door: Door, key: str, path: str, body: Any, status: int, code: str, *, job_id: str = ""
) -> tuple[str, str, str]:
    """Ask, be refused, and see that nothing but one record came of it; that record."""
    state = door.ask("GET", f"/api/v1/jobs/{job_id}").json if job_id else None
    before = len(door.links())
    assert_coded(door.ask("POST", path, body, key=key), status, code)
    assert len(door.links()) == before + 1
    if job_id:
        assert door.ask("GET", f"/api/v1/jobs/{job_id}").json == state
    return refusals(door)[-1]


DONE = {"status": "succeeded", "result": 1}


def test_a_lease_that_is_not_held(door: Door) -> None:
    key = worker(door)
    job = one(door, key)
    path, job_id = f"/api/v1/jobs/{job['job_id']}/result", job["job_id"]
    for lease_id in ("", "0" * 32, job["lease_id"][:-1], job["lease_id"] + "0", "ä"):
        body = {"lease_id": lease_id, **DONE}
        told = refused(door, key, path, body, 409, "lease_not_held", job_id=job_id)
        assert told == ("complete", "lease_not_held", job_id)
    path = f"/api/v1/jobs/{job_id}/return"
    told = refused(door, key, path, {"lease_id": "x"}, 409, "lease_not_held", job_id=job_id)
    assert told == ("hand_back", "lease_not_held", job_id)


@pytest.mark.parametrize("verb", ["result", "return"])
def test_twice(door: Door, verb: str) -> None:
    key = worker(door)
    job = one(door, key)
    body = {"lease_id": job["lease_id"], **DONE}
    result = f"/api/v1/jobs/{job['job_id']}/result"
    assert door.ask("POST", result, body, key=key).status == 200
    again = body if verb == "result" else {"lease_id": job["lease_id"]}
    path = f"/api/v1/jobs/{job['job_id']}/{verb}"
    refused(door, key, path, again, 409, "already_completed", job_id=job["job_id"])


def test_after_a_cancel(door: Door) -> None:
    key = worker(door)
    job = one(door, key)
    door.ask("POST", f"/api/v1/jobs/{job['job_id']}/cancel")
    body = {"lease_id": job["lease_id"], **DONE}
    path = f"/api/v1/jobs/{job['job_id']}/result"
    refused(door, key, path, body, 409, "already_completed", job_id=job["job_id"])
    assert door.ask("GET", f"/api/v1/jobs/{job['job_id']}").json["result"] is None


def test_giving_back_what_was_begun(door: Door) -> None:
    """It would run twice."""
    key = worker(door)
    job = one(door, key)
    beat = {"leases": [{"job_id": job["job_id"], "lease_id": job["lease_id"]}]}
    assert door.ask("POST", "/api/v1/workers/w1/heartbeat", beat, key=key).json == {"lost": []}
    path, body = f"/api/v1/jobs/{job['job_id']}/return", {"lease_id": job["lease_id"]}
    told = refused(door, key, path, body, 409, "illegal_state", job_id=job["job_id"])
    assert told == ("hand_back", "illegal_state", job["job_id"])


def test_another_workers_job_and_another_tenants_job(door: Door) -> None:
    """Even with the right lease id; and neither worker learns that the job is there."""
    job = one(door, worker(door))
    body, path = {"lease_id": job["lease_id"], **DONE}, f"/api/v1/jobs/{job['job_id']}/result"
    other = worker(door, "w2")
    refused(door, other, path, body, 404, "job_not_found", job_id=job["job_id"])
    foreign = worker(door, "w1", "acme")
    told = refused(door, foreign, path, body, 404, "job_not_found", job_id=job["job_id"])
    assert told == ("complete", "job_not_found", "")
    assert records(door)[-1]["tenant"] == "acme"


def test_a_job_that_is_not_there(door: Door) -> None:
    path, body = "/api/v1/jobs/nothing/result", {"lease_id": "x", **DONE}
    refused(door, worker(door), path, body, 404, "job_not_found")


@pytest.mark.parametrize("verb", ["register", "lease", "heartbeat"])
def test_another_workers_name(door: Door, verb: str) -> None:
    key = worker(door)
    worker(door, "w2")
    told = refused(door, key, f"/api/v1/workers/w2/{verb}", {}, 403, "worker_mismatch")
    assert told == (verb, "worker_mismatch", "")


def test_what_a_worker_claims_beyond_its_grant_gets_it_nothing(door: Door) -> None:
    """Topics and capabilities: its own words only narrow."""
    for body in (
        {"topic": "job.demo.read", "prompt": "another topic"},
        {"topic": "job.guard", "prompt": "a capability", "requires": ["root"]},
    ):
        assert door.submit(body).status == 200
    key = worker(door, topics=("job.guard",), capabilities=("git",))
    wide = {"topics": ["*", "job.demo.*"], "capabilities": ["git", "root", "*"]}
    registered = door.ask("POST", "/api/v1/workers/w1/register", wide, key=key).json
    assert registered["capabilities"] == ["git"]
    assert leased(door, key) == []
    pool = {"pool": "gpu", "pools": ["gpu"]}
    assert_coded(door.ask("POST", "/api/v1/workers/w1/register", pool, key=key), 400)


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/workers", "/api/v1/auth/keys"])
def test_a_worker_may_do_nothing_else(door: Door, path: str) -> None:
    assert_coded(door.ask("GET", path, key=worker(door)), 403, "forbidden")


def test_other_roles_do_no_work(door: Door) -> None:
    for role in Role:
        if role is not Role.WORKER:
            reply = door.ask("POST", "/api/v1/workers/w1/lease", {}, key=door.key(role))
            assert_coded(reply, 403, "forbidden")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"lease_id": 1, "status": "succeeded"},
        {"lease_id": "x" * 300, "status": "succeeded"},
        b"[]",
        b"",
        b"{",
        b'{"lease_id":',
        b'["lease_id"]',
    ],
)
def test_answers_that_name_no_lease_change_nothing(door: Door, body: Any) -> None:
    key = worker(door)
    job = one(door, key)
    before = len(door.links())
    assert_coded(door.ask("POST", f"/api/v1/jobs/{job['job_id']}/result", body, key=key), 400)
    assert len(door.links()) == before
    assert door.ask("GET", f"/api/v1/jobs/{job['job_id']}").json["state"] == "DISPATCHED"


@pytest.mark.parametrize(
    "body",
    [
        {"lease_id": "x"},
        {"lease_id": "x", "status": "done"},
        {"lease_id": "x", "status": "succeeded", "error": {"code": "x"}},
        {"lease_id": "x", "status": "succeeded", "more": 1},
        b'{"lease_id":"x","status":"succeeded","result":NaN}',
        b'{"lease_id":"x","lease_id":"y","status":"succeeded","result":"\\u0000"}',
        b'{"lease_id":"x","status":"succeeded","result":' + b"[" * 100 + b"]" * 100 + b"}",
    ],
)
def test_answers_that_are_not_valid_end_nothing_of_another_lease(door: Door, body: Any) -> None:
    key = worker(door)
    job = one(door, key)
    reply = door.ask("POST", f"/api/v1/jobs/{job['job_id']}/result", body, key=key)
    assert_coded(reply, 409, "lease_not_held")
    assert door.records()[-1]["kind"] == "worker.refused"
    assert door.ask("GET", f"/api/v1/jobs/{job['job_id']}").json["state"] == "DISPATCHED"
