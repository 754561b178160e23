"""Pages, repeated submissions and outages: what the API does when it is asked again, or cannot."""

import asyncio
import json
import re
from typing import Any

import pytest

from forestall.identity.roles import Role
from forestall.ports.store import StoreUnavailableError
from tests.asgi import Door, FailingStore, assert_coded, opened
from tests.http_samples import ALLOWED_JOB as ALLOWED
from tests.http_samples import DENIED_JOB as DENIED
from tests.http_samples import HELD_JOB as HELD
from tests.http_samples import Reply

# -- pages --


def pages(door: Door, query: str) -> list[list[str]]:
    """The job ids of every page, following `next_cursor` and checking the Link header."""
    path = f"/api/v1/jobs?{query}"
    found: list[list[str]] = []
    while path:
        reply = door.ask("GET", path)
        assert reply.status == 200
        found.append([job["id"] for job in reply.json["items"]])
        cursor = reply.json["next_cursor"]
        assert isinstance(cursor, str)
        link = re.fullmatch('<([^>]+)>; rel="next"', reply.headers.get("link", ""))
        assert bool(link) == bool(cursor)
        path = link[1] if link else ""
        assert not cursor or f"cursor={cursor}" in path
        assert len(found) < 100
    return found


def test_pages_cover_everything_once_newest_first(door: Door) -> None:
    """String cursors, a Link header on every page but the last, "" at the end."""
    ids = [door.submit(ALLOWED).json["job_id"] for _ in range(7)]
    found = pages(door, "limit=3")
    assert [len(page) for page in found] == [3, 3, 1]
    assert [one for page in found for one in page] == ids[::-1]
    assert pages(door, "limit=7") == [ids[::-1]]
    assert pages(door, "limit=100000") == [ids[::-1]]


def test_the_link_header_keeps_the_filters(door: Door) -> None:
    """Following it must not widen what was asked for; filters come before the limit."""
    wanted = []
    for number in range(5):
        door.submit({**DENIED, "prompt": f"rm -rf /{number}"})
        job = door.submit({"topic": "job.demo.a-b", "prompt": str(number)}).json
        door.submit({"topic": "job.demo.other", "prompt": str(number)})
        wanted.append(job["job_id"])
    for query in (
        "limit=2&state=pending&topic=job.demo.a-b&tenant=default",
        "topic=job.demo.a-b&status=PENDING&limit=2",
    ):
        found = pages(door, query)
        assert [len(page) for page in found] == [2, 2, 1]
        assert [one for page in found for one in page] == wanted[::-1]
    assert pages(door, "state=RUNNING") == [[]]


def test_time_filters_narrow_and_say_what_they_want(door: Door) -> None:
    """ISO texts and microseconds are read alike; anything else is a coded 400."""
    jobs = []
    for _ in range(3):
        door.clock.at_us += 1_000_000
        jobs.append(door.submit(ALLOWED).json["job_id"])
    middle = door.ask("GET", f"/api/v1/jobs/{jobs[1]}").json["updated_at"]
    found = door.ask("GET", f"/api/v1/jobs?updated_after={middle}").json["items"]
    assert [job["id"] for job in found] == [jobs[2]]
    found = door.ask("GET", f"/api/v1/jobs?updated_before={middle}").json["items"]
    assert [job["id"] for job in found] == [jobs[0]]
    assert_coded(door.ask("GET", "/api/v1/jobs?updated_after=soon"), 400, "invalid_request")


# -- idempotency --


def keyed(door: Door, body: dict[str, Any], way: str, key: str = "k-1", **more: Any) -> Reply:
    """A submission with an idempotency key in one of the places where clients put it."""
    headers = {}
    if way in ("header", "both"):
        headers["Idempotency-Key"] = key
    if way == "x-header":
        headers["X-Idempotency-Key"] = key
    if way in ("body", "both"):
        body = {**body, "idempotency_key": key}
    if way == "meta":
        body = {**body, "meta": {"idempotency_key": key}}
    return door.submit(body, headers=headers, **more)


@pytest.mark.parametrize("way", ["header", "x-header", "body", "meta", "both"])
@pytest.mark.parametrize(
    ("body", "status"), [(ALLOWED, 200), (HELD, 200), (DENIED, 403)], ids=["allow", "hold", "deny"]
)
def test_a_replay_repeats_the_first_answer(
    door: Door, way: str, body: dict[str, Any], status: int
) -> None:
    """The original status and body, marked; a denied job never turns into a 200."""
    first = keyed(door, body, way)
    traced = door.trace()
    for again in ("header", way):
        replay = keyed(door, body, again)
        assert replay.status == first.status == status
        answer = replay.json
        assert answer.pop("idempotent_replay") is True
        assert {**answer, "request_id": ""} == {**first.json, "request_id": ""}
    assert door.trace() == traced


def test_a_replay_shows_the_state_at_birth(door: Door) -> None:
    """Whatever became of the job since, the answer is the one given then."""
    first = keyed(door, ALLOWED, "header").json
    path = f"/api/v1/jobs/{first['job_id']}"
    assert door.ask("POST", f"{path}/cancel").json["state"] == "CANCELLED"
    assert keyed(door, ALLOWED, "header").json["state"] == first["state"] == "PENDING"
    assert door.ask("GET", path).json["state"] == "CANCELLED"


def test_an_idempotency_key_stands_for_one_request(door: Door) -> None:
    """Another body is 409 and stores nothing, whichever field differs."""
    assert keyed(door, ALLOWED, "header").status == 200
    before = door.trace()
    for change in (
        {"prompt": "other"},
        {"topic": "job.demo.write"},
        {"labels": {"a": "b"}},
        {"context": {"x": 1}},
        {"risk_tags": ["r"]},
        {"capability": "c"},
        {"max_total_tokens": 5},
        {"priority": "batch"},
        {"actor_id": "somebody"},
        {"tags": ["t"]},
    ):
        assert_coded(keyed(door, {**ALLOWED, **change}, "header"), 409, "IDEMPOTENCY_CONFLICT")
    assert door.trace() == before


def test_two_different_idempotency_keys_are_refused(door: Door) -> None:
    """Header and body differ: nobody knows which was meant."""
    before = door.trace()
    headers = {"Idempotency-Key": "one"}
    reply = door.submit({**ALLOWED, "idempotency_key": "two"}, headers=headers)
    assert_coded(reply, 400, "invalid_request")
    both = {"Idempotency-Key": "one", "X-Idempotency-Key": "two"}
    assert_coded(door.submit(ALLOWED, headers=both), 400, "invalid_request")
    inner = {**ALLOWED, "idempotency_key": "one", "meta": {"idempotency_key": "two"}}
    assert_coded(door.submit(inner), 400, "invalid_request")
    assert door.trace() == before


def test_an_idempotency_key_belongs_to_its_tenant(door: Door) -> None:
    """Two tenants may use the same key for different things."""
    other = door.key(Role.AGENT, "other")
    first = keyed(door, ALLOWED, "header")
    second = keyed(door, DENIED, "header", key="k-1")
    assert_coded(second, 409, "IDEMPOTENCY_CONFLICT")
    reply = door.submit(DENIED, key=other, headers={"Idempotency-Key": "k-1"})
    assert (reply.status, reply.json.get("idempotent_replay")) == (403, None)
    assert reply.json["job_id"] != first.json["job_id"]


def test_an_idempotency_key_belongs_to_its_principal(door: Door) -> None:
    """Another agent of the tenant learns nothing by trying a key, and takes none by using it."""
    first = keyed(door, ALLOWED, "header")
    other = door.key(Role.AGENT, name="other")
    tried = door.submit(DENIED, key=other, headers={"Idempotency-Key": "k-1"})
    assert tried.status == 403
    assert "idempotent_replay" not in tried.json
    assert tried.json["job_id"] != first.json["job_id"]
    assert keyed(door, ALLOWED, "header").json["job_id"] == first.json["job_id"]
    second = door.key(Role.AGENT, name="second-key", principal="other")
    repeated = door.submit(DENIED, key=second, headers={"Idempotency-Key": "k-1"})
    assert repeated.json["idempotent_replay"] is True


def test_twenty_submits_at_once_with_one_key_make_one_job(door: Door) -> None:
    """The precondition is checked in the commit, so the losers get the winner's answer."""

    async def race() -> list[Reply]:
        headers = {"Idempotency-Key": "k-1"}
        asks = (
            door.ask_async("POST", "/api/v1/jobs", HELD, headers=headers, chunks=_halves(HELD))
            for _ in range(20)
        )
        return await asyncio.gather(*asks)

    replies = door.run(race())
    assert {reply.status for reply in replies} == {200}
    assert len({reply.json["job_id"] for reply in replies}) == 1
    assert {reply.json["status"] for reply in replies} == {"approval_required"}
    assert door.trace()[0] == 1


def _halves(body: dict[str, Any]) -> list[bytes]:
    data = json.dumps(body).encode()
    return [data[:9], data[9:]]


# -- outages --


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("jobs", "submit"),
        ("policy/evaluate", "check"),
        ("policy/simulate", ""),
        ("policy/explain", ""),
    ],
)
def test_an_outage_is_503_and_never_a_denial(door: Door, path: str, stage: str) -> None:
    """Control 6: no policy, no decision; Retry-After; nothing stored; the gates count it."""
    door.plane.policy.snapshot = None
    before = door.trace()
    reply = door.ask("POST", f"/api/v1/{path}", ALLOWED)
    assert_coded(reply, 503, "policy_unavailable")
    assert int(reply.headers["retry-after"]) >= 1
    assert door.trace() == before
    if stage:
        assert door.counted("forestall_policy_unavailable_total", stage=stage) == 1
    assert door.ask("GET", "/health", key="").status == 503
    assert door.ask("GET", "/livez", key="").status == 200


@pytest.mark.parametrize("path", ["jobs", "policy/evaluate"])
def test_a_full_disk_refuses_and_says_when_to_come_back(path: str) -> None:
    """What cannot be recorded is not answered: 503 with Retry-After, nothing stored."""
    store = FailingStore()
    with opened(store) as door:
        before = door.trace()
        store.failure = StoreUnavailableError("the disk is full")
        reply = door.ask("POST", f"/api/v1/{path}", ALLOWED)
        assert_coded(reply, 503, "store_unavailable")
        assert door.trace() == before
        store.failure = None
        assert door.ask("POST", f"/api/v1/{path}", ALLOWED).status == 200
        assert int(reply.headers["retry-after"]) >= 1


def test_what_nobody_foresaw_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """500 with a fixed text; the cause is in the log under the request id, not in the answer."""
    store = FailingStore()
    with opened(store) as door:
        store.failure = ZeroDivisionError("secret detail")
        reply = door.submit(ALLOWED)
        body = assert_coded(reply, 500, "internal_error")
        assert b"secret detail" not in reply.body
        assert body["error"] == "internal error"
        assert body["request_id"] in caplog.text
