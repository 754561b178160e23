"""One agent among others: what is too much is refused to it alone, with 429 and before the work."""

import asyncio
import base64
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from forestall.control import submit as submit_verb
from forestall.control.keys import authenticate
from forestall.identity.roles import Role
from forestall.identity.shares import Payer, Shares, payer_of
from forestall.limits import (
    BODY_BYTES_MAX,
    COST_DEBT_SECONDS_MAX,
    COST_PER_KEY_BURST,
    COST_PER_KEY_SECOND,
    COST_PER_TENANT_BURST,
    DECODE_INLINE_BYTES_MAX,
    JSON_CONTAINERS_MAX,
    WORKER_WAITS_MAX,
    WORKER_WILDCARDS_MAX,
)
from forestall.ports.output import OutputMeans
from forestall.server import api_jobs
from forestall.server.api import ENDPOINTS
from forestall.server.bodies import cost_of
from forestall.server.rates import RateLimitedError, Rates
from tests.asgi import Door, Message, assert_coded, opened
from tests.http_samples import Reply
from tests.workers_under_test import Worker

T = TypeVar("T")
_CHECK = "/api/v1/output/check"
_JOB = {"topic": "job.demo.read", "prompt": "p"}


@pytest.fixture
def door() -> Iterator[Door]:
    with opened() as open_door:
        yield open_door


def test_a_key_that_cost_too_much_is_refused_before_its_body_is_read(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 to this key, until its share comes back; what costs nothing is served, and another
    key."""
    neighbour = door.key(Role.AGENT)
    denied = {**_JOB, "topic": "job.mail.send", "context": "a" * (BODY_BYTES_MAX - 99)}
    assert door.submit(denied).status == 403
    subject = authenticate(door.plane, door.admin)
    door.gateway._charge_thread_time(payer_of(subject), 1_000.0)
    before = door.trace()
    monkeypatch.setattr(api_jobs, "decode_submission", lambda *a, **k: pytest.fail("it was read"))
    refused = door.submit(denied)
    assert_coded(refused, 429, "rate_limited")
    assert refused.json["details"] == {"scope": "key"}
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert door.trace() == before
    monkeypatch.undo()
    assert door.submit(_JOB).status == 200
    assert door.submit(denied, key=neighbour).status == 403


def test_the_bytes_of_a_body_are_refused_before_they_are_uploaded(door: Door) -> None:
    """A body that is declared and costs too much is refused by the head of its request."""
    door.gateway._charge_thread_time(payer_of(authenticate(door.plane, door.admin)), 1_000.0)
    received: list[str] = []

    def parts() -> Iterator[Message]:
        received.append("a part")
        yield {"type": "http.request", "body": b"{", "more_body": True}

    head = [
        (b"x-api-key", door.admin.encode()),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % BODY_BYTES_MAX),
    ]
    reply = door.run(door.call("POST", "/api/v1/jobs", head, parts()))
    assert_coded(reply, 429, "rate_limited")
    assert received == []


@pytest.mark.parametrize("digits", [19, 20, 4_300, 5_000])
def test_a_declared_length_of_many_digits_is_too_long(door: Door, digits: int) -> None:
    """Also one that Python would not read as a number."""
    head = [
        (b"x-api-key", door.admin.encode()),
        (b"content-type", b"application/json"),
        (b"content-length", b"9" * digits),
    ]
    reply = door.run(door.call("POST", "/api/v1/jobs", head, iter(())))
    assert_coded(reply, 413, "tier_limit_exceeded")


def test_bytes_and_work_come_back_with_time() -> None:
    """By a given clock: 181 MB in 4 s, as one connection wrote, are 49 MB at most."""
    rates, payer, second = Rates(), Payer("one", "k"), 1_000_000_000
    accepted, refused = 0, []
    for at_ms in range(0, 4_000, 10):
        try:
            rates.charge(payer, BODY_BYTES_MAX // 1_024, at_ms * second // 1_000)
        except RateLimitedError as error:
            refused.append((error.scope, error.retry_after_s))
        else:
            accepted += BODY_BYTES_MAX
    assert set(refused) == {("key", 1)}
    assert accepted <= (COST_PER_KEY_BURST + 4 * COST_PER_KEY_SECOND) * 1_024
    rates.charge(Payer("one", "other"), 1, 4 * second)


def test_many_keys_of_one_tenant_share_what_the_tenant_has() -> None:
    rates, refused = Rates(), []
    for number in range(10):
        try:
            rates.charge(Payer("one", f"k{number}"), COST_PER_KEY_BURST, 0)
        except RateLimitedError as error:
            refused.append(error.scope)
    assert refused == ["tenant"] * (10 - COST_PER_TENANT_BURST // COST_PER_KEY_BURST)
    rates.charge(Payer("two", "k"), COST_PER_KEY_BURST, 0)


def test_work_that_took_long_leaves_a_bounded_debt() -> None:
    rates, payer, second = Rates(), Payer("one", "k"), 1_000_000_000
    rates.charge_time(payer, 3_600.0, 0)
    with pytest.raises(RateLimitedError):
        rates.charge(payer, 1, 0)
    rates.charge(payer, 1, (COST_DEBT_SECONDS_MAX + 1) * second)


@pytest.mark.parametrize(
    "item", ['{"a":1}', "[]", "1", '"a"', "null", "1.5", '{"a":[]}'], ids=lambda item: item
)
def test_dense_json_costs_more_than_its_bytes(item: str) -> None:
    dense = ("[" + ",".join([item] * 20_000) + "]").encode()
    assert cost_of(dense) >= cost_of(b"a" * len(dense)) + 20_000 // 64
    assert cost_of(b"{}") == 0


@pytest.mark.parametrize("item", ["{}", "[]", '{"a":1}', "[[]]", '[{"a":{}}]'])
def test_more_containers_than_the_bound_are_not_made(door: Door, item: str) -> None:
    body = '{"topic":"job.demo.read","prompt":"p","context":[%s]}'
    reply = door.submit((body % ",".join([item] * JSON_CONTAINERS_MAX)).encode())
    assert_coded(reply, 400, "invalid_json")


@pytest.mark.parametrize("text", ["[", "{[", '\\"[', "\\\\", '\\\\\\"{'])
def test_brackets_inside_of_a_text_are_no_containers(door: Door, text: str) -> None:
    context = text * (JSON_CONTAINERS_MAX + 10)
    reply = door.submit({**_JOB, "context": [context, {"a": text}]})
    assert reply.status == 200, reply.body


def test_a_long_body_is_read_beside_the_event_loop(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every endpoint that takes a body: the names of the threads that read are those of the
    pool."""
    seen: list[str] = []
    loads = json.JSONDecoder.decode

    def decode(self: json.JSONDecoder, text: str) -> Any:
        seen.append(threading.current_thread().name)
        return loads(self, text)

    monkeypatch.setattr(json.JSONDecoder, "decode", decode)
    long = b'{"x":"' + b"a" * DECODE_INLINE_BYTES_MAX + b'"}'
    worker = Worker(door)
    for endpoint in ENDPOINTS:
        if endpoint.request is None:
            continue
        seen.clear()
        path = "/".join("w1" if part.startswith("{") else part for part in endpoint.path.split("/"))
        is_workers = str(endpoint.permission) == "work"
        door.ask(endpoint.method, path, long, key=worker.token if is_workers else None)
        names = {name.rpartition("_")[0] for name in seen}
        assert names == {"forestall-decode"}, (endpoint.path, seen)


class SlowScanners:
    """Scans that end when they are told to, or when the request that waits for them ends."""

    def __init__(self) -> None:
        self.ended = ""

    async def run(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """See `Scanners.run`."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        raise AssertionError("unreachable")


def test_a_check_ends_when_its_client_leaves(door: Door) -> None:
    scanners = SlowScanners()
    door.plane.output = OutputMeans(scanners)
    content = json.dumps({"content": "word " * 2_000}).encode()
    records = len(door.links())

    def messages() -> Iterator[Message]:
        yield {"type": "http.request", "body": content, "more_body": False}
        yield {"type": "http.disconnect"}

    pairs = [(b"x-api-key", door.admin.encode()), (b"content-type", b"application/json")]
    reply: Reply = door.run(door.call("POST", _CHECK, pairs, messages()))
    assert reply.status == 0, "nobody was answered"
    assert scanners.ended == "cancelled"
    assert len(door.links()) == records


def test_a_bomb_is_withheld_after_a_bounded_part_of_it(door: Door) -> None:
    packed = base64.b64encode(gzip.compress(b"key = 4111 1111 " * 1_000_000)).decode()
    reply = door.ask("POST", _CHECK, {"content": f"log: {packed}"})
    assert (reply.status, reply.json["verdict"]) == (200, "quarantine")


@pytest.mark.parametrize(
    "kind",
    [
        lambda n: {"requires": [f"r{n}"]},
        lambda n: {"topic": f"job.demo.t{n}"},
        lambda n: {"capability": f"c{n}"},
        lambda n: {"meta": {"requires": [f"m{n}"]}},
        lambda n: {"requires": ["a", f"r{n}"], "priority": "critical"},
    ],
    ids=["requires", "topics", "capabilities", "meta", "critical"],
)
def test_lanes_of_one_key_leave_room_for_others(
    door: Door, kind: Callable[[int], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit_verb, "QUEUE_LANES_PER_KEY_MAX", 5)
    monkeypatch.setattr(submit_verb, "QUEUE_LANES_PER_TENANT_MAX", 8)
    hostile, neighbour = door.key(Role.AGENT), door.key(Role.AGENT)
    statuses = [door.submit({**_JOB, **kind(n)}, key=hostile).status for n in range(7)]
    assert statuses == [200] * 5 + [429] * 2
    assert_coded(door.submit({**_JOB, **kind(8)}, key=hostile), 429, "BACKPRESSURE")
    assert door.submit({**_JOB, **kind(0)}, key=hostile).status == 200, "its own lane is open"
    assert door.submit({**_JOB, **kind(9)}, key=neighbour).status == 200
    assert door.plane.queue.lane_count("default") == 6


@pytest.mark.parametrize("bound", ["QUEUED_JOBS_PER_TENANT_MAX", "QUEUE_LANES_PER_TENANT_MAX"])
def test_many_keys_of_one_tenant_share_its_queue(
    door: Door, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many keys a tenant makes, another tenant has its room."""
    monkeypatch.setattr(submit_verb, bound, 3)
    jobs = [{**_JOB, "topic": f"job.demo.t{n}"} for n in range(4)]
    replies = [door.submit(job, key=door.key(Role.AGENT)) for job in jobs]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert_coded(replies[3], 429, "BACKPRESSURE")
    assert door.submit(jobs[3], key=door.key(Role.AGENT, "other")).status == 200


def test_jobs_of_one_key_leave_room_for_others(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit_verb, "QUEUED_JOBS_PER_KEY_MAX", 3)
    hostile, neighbour = door.key(Role.AGENT), door.key(Role.AGENT)
    assert [door.submit(_JOB, key=hostile).status for _ in range(4)] == [200, 200, 200, 429]
    assert door.submit(_JOB, key=neighbour).status == 200
    given = Worker(door).lease()
    assert len(given) >= 1
    assert door.submit(_JOB, key=hostile).status == 200, "its place is free again"


@pytest.mark.parametrize(
    "globs",
    [
        [f"job.[a-c]{n}*" for n in range(WORKER_WILDCARDS_MAX)],
        ["*a" * (WORKER_WILDCARDS_MAX + 1)],
        ["?" * (WORKER_WILDCARDS_MAX + 1)],
        [f"*a*b{n}" for n in range(1_000)],
        ["[a]" * 80, "[b]" * 80],
    ],
    ids=["classes", "stars in one", "questions", "a thousand", "two long"],
)
def test_many_wildcards_of_a_worker_are_not_compiled(door: Door, globs: list[str]) -> None:
    worker = Worker(door)
    body = {"topics": globs, "max_parallel": 1}
    reply = door.ask("POST", "/api/v1/workers/w1/register", body, key=worker.token)
    assert_coded(reply, 400, "invalid_request")
    for field in ("allowed_topics", "allowed_capabilities"):
        grant = {"worker_id": "v", "allowed_topics": ["job.a"], field: globs}
        assert_coded(door.ask("POST", "/api/v1/workers/credentials", grant), 400)
    names = [f"job.demo.t{n}" for n in range(1_000)]
    body = {"topics": names, "max_parallel": 1}
    assert door.ask("POST", "/api/v1/workers/w1/register", body, key=worker.token).status == 200


def test_waits_of_one_worker_are_bounded(door: Door) -> None:
    worker = Worker(door)
    session = door.plane.workers.get("default", "w1")
    assert session is not None
    session._waits = WORKER_WAITS_MAX
    for verb in ("lease", "heartbeat"):
        body = {"wait_ms": 30_000, "limit": 1} if verb == "lease" else {"wait_ms": 30_000}
        reply = door.ask("POST", f"/api/v1/workers/w1/{verb}", body, key=worker.token)
        assert_coded(reply, 429, "too_many_waits")


@pytest.mark.parametrize("what", ["_requests", "_long_bodies"])
def test_what_one_key_has_in_progress_is_bounded(door: Door, what: str) -> None:
    """Refused before the body is read; everything is given back when requests have ended."""
    neighbour = door.key(Role.AGENT)
    long = {**_JOB, "context": "a" * DECODE_INLINE_BYTES_MAX}
    size = len(json.dumps(long))
    per_key = 1 if what == "_requests" else size + 1_000
    shares = Shares("requests", per_key=per_key, per_tenant=per_key * 2, total=per_key * 3)
    setattr(door.gateway, what, shares)

    async def scene() -> tuple[Reply, Reply, Reply]:
        go = asyncio.Event()
        commit = door.plane.store.commit

        async def slow(change: Any) -> Any:
            await go.wait()
            return await commit(change)

        door.plane.store.commit = slow  # type: ignore[method-assign]
        headers = {"content-length": str(size)}
        path = "/api/v1/jobs"
        first = asyncio.ensure_future(door.ask_async("POST", path, long, headers=headers))
        await asyncio.sleep(0.1)
        second = await door.ask_async("POST", path, long, headers=headers)
        other = asyncio.ensure_future(
            door.ask_async("POST", path, long, headers=headers, key=neighbour)
        )
        await asyncio.sleep(0)
        go.set()
        return await first, second, await other

    first, second, other = door.run(scene())
    assert (first.status, other.status) == (200, 200)
    assert_coded(second, 429, "share_taken")
    assert shares.taken == 0
