"""Keys that end, attacked: what a revoked or expired key asked for or approved does not run on.

And one person with many keys stays one person.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from forestall.control.verify import verify_log
from forestall.identity.roles import Role
from tests.asgi import Door, assert_coded, opened
from tests.http_samples import Reply
from tests.unit.control.test_approvals import APPROVALS, TWO, Case
from tests.unit.control.test_dispatch import SlowStore
from tests.workers_under_test import JOBS, WORKERS, Worker, job, kinds, pass_time, submit

KEYS = "/api/v1/auth/keys"


@pytest.fixture
def case(door: Door) -> Iterator[Case]:
    made = Case(door)
    yield made
    report = door.run(verify_log(door.store))
    assert report.ok, report.problems


def revoke(door: Door, name: str) -> None:
    """End the key of this name."""
    (key,) = [key for key in door.plane.keys.of_tenant("default") if key.name == name]
    assert door.ask("DELETE", f"{KEYS}/{key.id}").status in (200, 204)


def expiring(door: Door, role: Role, name: str, *, seconds: int) -> str:
    """The text of a key that ends after so many seconds."""
    ends_at_us = door.clock.now_us() + seconds * 1_000_000
    return door.key(role, name=name, expires_at_us=ends_at_us)


def key_made_by(door: Door, maker: str, role: Role, name: str, **more: Any) -> str:
    """The text of a key that the holder of another key makes."""
    body = {"name": name, "role": role.value, **more}
    made = door.ask("POST", KEYS, body, key=maker)
    assert made.status in (200, 201), made.body
    return str(made.json["secret"])


def test_a_vote_does_not_outlive_its_key(case: Case) -> None:
    """A stolen key approves and is revoked before a worker comes: a person is asked again."""
    case.vote(case.ann)
    revoke(case.door, "ann")
    assert not case.runs()
    assert case.state() == "APPROVAL_REQUIRED"
    assert case.listed()["approval_status"] == "pending"
    case.vote(case.bob)
    assert case.runs()


def test_a_vote_of_an_expired_key_does_not_count(case: Case) -> None:
    soon = expiring(case.door, Role.APPROVER, "soon", seconds=3_600)
    case.vote(soon)
    pass_time(case.door, 3_601)
    assert not case.runs()
    assert case.state() == "APPROVAL_REQUIRED"


def test_a_quorum_is_of_keys_that_still_stand(door: Door) -> None:
    case = Case(door, TWO)
    case.vote(case.ann)
    revoke(door, "ann")
    assert case.vote(case.bob).json["status"] == "more_approvals_needed"
    again = door.key(Role.APPROVER, name="ann-new", principal="ann")
    assert case.vote(again).json["state"] == "PENDING"
    assert case.runs()


def test_what_an_expired_key_asked_for_is_not_dispatched(door: Door) -> None:
    agent = expiring(door, Role.AGENT, "short", seconds=3_600)
    asked = door.ask("POST", JOBS, {"topic": "job.demo.read", "prompt": "status"}, key=agent).json
    worker = Worker(door)
    pass_time(door, 3_601)
    assert worker.lease() == []
    ended = job(door, asked["job_id"])
    assert (ended["state"], ended["failure_code"]) == ("DENIED", "submitter_expired")


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_running_job_stops_when_its_submitter_ends(door: Door, how: str) -> None:
    agent = expiring(door, Role.AGENT, "short", seconds=10)
    door.ask("POST", JOBS, {"topic": "job.demo.read", "prompt": "status"}, key=agent)
    worker = Worker(door)
    (given,) = worker.lease()
    assert worker.beat(given, started=True) == []
    if how == "revoked":
        revoke(door, "short")
    else:
        pass_time(door, 11)
    (lost,) = worker.beat(given)
    assert (lost["job_id"], lost["state"]) == (given["job_id"], "CANCELLED")
    assert job(door, given["job_id"])["failure_code"] == f"submitter_{how}"
    assert_coded(worker.answer(given), 409, "already_completed")


def test_heartbeats_at_once_stop_a_job_once_and_replayed_ones_stay_stopped() -> None:
    with opened(SlowStore()) as door:
        agent = door.key(Role.AGENT, name="short")
        door.ask("POST", JOBS, {"topic": "job.demo.read", "prompt": "status"}, key=agent)
        worker = Worker(door)
        (given,) = worker.lease()
        revoke(door, "short")
        beat = {"leases": [{"job_id": given["job_id"], "lease_id": given["lease_id"]}]}
        answer = {"lease_id": given["lease_id"], "status": "succeeded", "result": "late"}

        async def at_once() -> list[Reply]:
            path, result = f"{WORKERS}/w1/heartbeat", f"{JOBS}/{given['job_id']}/result"
            asks = [door.ask_async("POST", path, beat, key=worker.token) for _ in range(4)]
            asks.append(door.ask_async("POST", result, answer, key=worker.token))
            return list(await asyncio.gather(*asks))

        replies = door.run(at_once())
        assert [reply.status for reply in replies[:4]] == [200] * 4
        ends = ("job.cancelled", "job.succeeded")
        ended = [kind for kind in kinds(door, given["job_id"]) if kind in ends]
        assert len(ended) == 1
        assert [lost["job_id"] for lost in worker.beat(given)] == [given["job_id"]]
        assert kinds(door, given["job_id"]).count(ended[0]) == 1


def test_a_key_of_one_name_in_another_tenant_made_nothing_here(door: Door) -> None:
    """`boss` of the other tenant makes a key there; who asked here is another `boss`."""
    case = Case(door)
    boss = door.key(Role.ADMIN, name="boss")
    there = door.key(Role.ADMIN, "other", name="boss")
    key_made_by(door, there, Role.APPROVER, "ann")
    asked = door.ask("POST", JOBS, {"topic": "job.deploy.x", "prompt": "x"}, key=boss).json
    case.job_id = asked["job_id"]
    assert case.vote(case.ann).json["state"] == "PENDING"


def test_a_running_job_stops_when_its_approver_is_revoked(case: Case) -> None:
    case.vote(case.ann)
    (given,) = case.worker.lease()
    assert case.worker.beat(given) == []
    revoke(case.door, "ann")
    assert [lost["job_id"] for lost in case.worker.beat(given)] == [case.job_id]
    assert job(case.door, case.job_id)["failure_code"] == "approver_revoked"


def test_a_job_that_needed_no_vote_runs_on_when_an_approver_is_revoked(case: Case) -> None:
    other = submit(case.door)
    (given,) = [one for one in case.worker.lease() if one["job_id"] == other["job_id"]]
    revoke(case.door, "ann")
    assert case.worker.beat(given) == []


def test_a_caller_that_runs_its_own_job_is_stopped_too(door: Door) -> None:
    agent = door.key(Role.AGENT, name="guard")
    body = {"topic": "job.demo.read", "prompt": "status"}
    job_id = door.ask("POST", JOBS, body, key=agent).json["job_id"]
    claimed = door.ask("POST", f"{JOBS}/{job_id}/claim", {}, key=agent)
    assert claimed.status == 200, claimed.body
    lease = {"lease_id": claimed.json["lease_id"]}
    assert door.ask("POST", f"{JOBS}/{job_id}/renew", lease, key=agent).status == 200
    second = door.key(Role.AGENT, name="guard-2", principal="guard")
    revoke(door, "guard")
    stopped = door.ask("POST", f"{JOBS}/{job_id}/renew", lease, key=second)
    assert_coded(stopped, 409, "already_completed")
    assert job(door, job_id)["failure_code"] == "submitter_revoked"


def test_the_makers_of_a_key_count_to_the_end(door: Door) -> None:
    """The boss asks; the key of a key of the boss may not approve, nor after B is revoked."""
    case = Case(door)
    boss = door.key(Role.ADMIN, name="boss")
    second = key_made_by(door, boss, Role.ADMIN, "second")
    third = key_made_by(door, second, Role.APPROVER, "third")
    asked = door.ask("POST", JOBS, {"topic": "job.deploy.x", "prompt": "x"}, key=boss).json
    case.job_id = asked["job_id"]
    assert_coded(case.vote(third), 403, "self_approval_denied")
    revoke(door, "second")
    assert_coded(case.vote(third), 403, "self_approval_denied")
    assert case.vote(case.ann).json["state"] == "PENDING"


def test_a_person_who_makes_a_key_and_votes_again_is_one_person(door: Door) -> None:
    case = Case(door, TWO)
    boss = door.key(Role.ADMIN, name="boss")
    assert case.vote(boss).json["status"] == "more_approvals_needed"
    helper = key_made_by(door, key_made_by(door, boss, Role.ADMIN, "mid"), Role.APPROVER, "helper")
    assert_coded(case.vote(helper), 403, "approver_not_distinct")
    assert case.state() == "APPROVAL_REQUIRED"
    assert case.vote(case.ann).json["state"] == "PENDING"


def test_the_maker_may_not_add_a_vote_to_that_of_the_key_it_made(door: Door) -> None:
    case = Case(door, TWO)
    boss = door.key(Role.ADMIN, name="boss")
    helper = key_made_by(door, boss, Role.APPROVER, "helper")
    assert case.vote(helper).json["status"] == "more_approvals_needed"
    assert_coded(case.vote(boss), 403, "approver_not_distinct")


def test_who_asked_first_may_not_approve_the_retry_of_somebody_else(door: Door) -> None:
    case = Case(door)
    agent = door.key(Role.ADMIN, name="first")
    asked = door.ask("POST", JOBS, {"topic": "job.deploy.x", "prompt": "x"}, key=agent).json
    case.job_id = asked["job_id"]
    assert case.vote(case.ann, "reject").status == 200
    operator = door.key(Role.OPERATOR, name="operator")
    for _ in range(2):  # the retry of a retry keeps every requester
        path = f"/api/v1/dlq/{case.job_id}/retry"
        again = door.ask("POST", path, {"force": True}, key=operator)
        assert again.status == 200, again.body
        case.job_id = again.json["job_id"]
        assert_coded(case.vote(agent), 403, "self_approval_denied")
        assert case.vote(case.ann, "reject").status == 200
    assert door.ask("GET", f"{APPROVALS}/{case.job_id}").status == 200


def test_a_tenant_has_so_many_keys_and_no_more(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = len(door.plane.keys.of_tenant("default"))
    monkeypatch.setattr("forestall.control.keys.KEYS_PER_TENANT_MAX", mine + 1)
    assert door.ask("POST", KEYS, {"name": "last", "role": "viewer"}).status == 201
    reply = door.ask("POST", KEYS, {"name": "one-more", "role": "viewer"})
    assert_coded(reply, 400, "AUTH_KEY_INVALID")
    door.key(Role.VIEWER, "another")  # another tenant has keys of its own to make
