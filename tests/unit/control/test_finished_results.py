"""A worker's finished result is never lost: whatever stands in its message, the job ends as the
worker said, and is not tried again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forestall.identity.roles import Role
from tests.unit.control.test_quarantine import CANARY, House
from tests.workers_under_test import job

DEEP = 5_000


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path)
    yield one
    one.runner.close()


def sent(house: House, given: dict[str, Any], rest: bytes) -> Any:
    """The reply to a message whose first member is the lease."""
    body = b'{"lease_id":%b,%b' % (json.dumps(given["lease_id"]).encode(), rest)
    return house.ask("POST", f"/api/v1/jobs/{given['job_id']}/result", body, key=house.worker.token)


def ended(house: House, rest: bytes, **more: Any) -> dict[str, Any]:
    """The job after a message; it runs once, whatever comes later."""
    given = house.given(idempotent=True, **more)
    reply = sent(house, given, rest)
    assert reply.status == 200, reply.body
    found = job(house, given["job_id"])
    assert (found["state"], found["attempts"]) == (reply.json["state"], 1)
    assert sent(house, given, rest).json["code"] == "already_completed"
    assert house.worker.lease() == []
    house.verified()
    return found


KEPT = {
    b'"a\\u0000b"': "a\\u0000b",
    b'"raw \x00 byte"': "raw \\u0000 byte",
    b'"half \\ud800 pair"': "half \\ud800 pair",
    b'"\xff\xfe no utf-8"': "\\udcff\\udcfe no utf-8",
    b'"tab\tand\nline"': "tab\tand\nline",
    b'{"n\\u0000":1}': {"n\\u0000": 1},
    b'[NaN,-Infinity,1e999,{"x":Infinity}]': ["NaN", "-Infinity", "1e999", {"x": "Infinity"}],
    b"[9007199254740992,-123456789012345678901234567890]": [
        "9007199254740992",
        "-123456789012345678901234567890",
    ],
    b"1" * 5_000: "1" * 5_000,
    b'"\\ud83d\\ude00\\ude00"': "\U0001f600\\ude00",
}


@pytest.mark.parametrize("result", KEPT, ids=lambda raw: repr(raw[:20]))
def test_what_has_one_reading_is_kept_escaped(house: House, result: bytes) -> None:
    found = ended(house, b'"status":"succeeded","result":%b}' % result)
    assert (found["state"], found["result"]) == ("SUCCEEDED", KEPT[result])


WITHHELD = {
    "a key twice": b'"status":"succeeded","result":{"a":1,"a":2}}',
    "a key twice, escaped": b'"status":"succeeded","result":{"a\\u0000":1,"a\\\\u0000":2}}',
    "deep": b'"status":"succeeded","result":' + b"[" * 65 + b"]" * 65 + b"}",
    "deeper": b'"status":"succeeded","result":' + b'[{"a":' * DEEP + b"1" + b"}]" * DEEP + b"}",
    "never closed": b'"status":"succeeded","result":' + b"[" * DEEP,
    "no json": b'"status":"succeeded","result":hello}',
    "broken off": b'"status":"succeeded","result":"the work is do',
    "no status": b'"result":"done"}',
    "status of another type": b'"status":1,"result":"done"}',
    "unknown status": b'"status":"SUCCEEDED","result":"done"}',
    "two statuses": b'"status":"failed","status":"succeeded","result":"done"}',
    "an error too": b'"status":"succeeded","error":{"code":"x"},"result":"done"}',
    "an unknown field": b'"status":"succeeded","result":"done","more":1}',
    "the lease twice": b'"status":"succeeded","result":"done","lease_id":"x"}',
    "much of it": b'"status":"succeeded","result":[NaN' + b',{"a":1}' * 50_000 + b"]}",
    "much of it, open": b'"status":"failed","result":' + b"[{" * 500_000,
    "no text": b'"status":"succeeded","result":\xff\xfe\x00}',
}


@pytest.mark.parametrize("rest", WITHHELD.values(), ids=WITHHELD)
def test_what_has_no_single_reading_is_withheld(house: House, rest: bytes) -> None:
    if rest is WITHHELD["the lease twice"]:  # the last one names another lease
        given = house.given()
        assert sent(house, given, rest).status in (200, 409)
        return
    found = ended(house, rest)
    assert (found["state"], found["result"]) == ("OUTPUT_QUARANTINED", None)
    assert found["output_safety"]["code"] == "result_unreadable"
    reply = house.decide(found["id"], key=house.key(Role.APPROVER))
    assert (reply.status, reply.json["state"]) == (200, "SUCCEEDED")
    assert isinstance(job(house, found["id"])["result"], str)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (b'{"code":"x\\u0000y","message":"a\\ud800"}}', "x\\u0000y", "a\\ud800"),
        (b'"no room"}', "worker_failed", "no room"),
        (b'{"code":7,"message":["a",1]}}', "7", '["a",1]'),
        (b'{"code":"c","message":"m","more":1}}', "c", "m"),
        (b'null,"retryable":"yes"}', "worker_failed", ""),
        (b'null,"result":{"a":1,"a":2}}', "worker_failed", ""),
        (b'{"code":"%b","message":"m"}}' % (b"c" * 300), "worker_failed", "c" * 300 + ": m"),
        (b'{"code":"c","message":' + b"[" * DEEP, "c", " […]"),
    ],
)
def test_a_failure_stays_the_failure_that_was_reported(
    house: House, error: bytes, code: str, reason: str
) -> None:
    given = house.given()
    assert sent(house, given, b'"status":"failed","error":' + error).status == 200
    found = job(house, given["job_id"])
    assert (found["state"], found["failure_code"], found["attempts"]) == ("FAILED", code, 1)
    assert found["failure_reason"] == reason
    house.verified()


@pytest.mark.parametrize("join", ["\\u0000", "\\udc00", "\x00"])
def test_no_escape_hides_a_secret(house: House, join: str) -> None:
    """The escaped text is scanned: a secret with something between its characters is found."""
    text = join.join(CANARY).encode()
    found = ended(house, b'"status":"succeeded","result":"see %b"}' % text)
    assert found["state"] == "OUTPUT_QUARANTINED"


@pytest.mark.parametrize("problem", ["result_too_large", "result_refused", "x" * 9, CANARY])
def test_a_worker_says_that_it_cannot_send_its_result(house: House, problem: str) -> None:
    rest = b'"status":"succeeded","result_problem":%b}' % json.dumps(problem).encode()
    found = ended(house, rest)
    assert found["state"] == "OUTPUT_QUARANTINED"
    wanted = problem if problem.startswith("result_") else "result_unreadable"
    assert found["output_safety"]["code"] == wanted
    assert CANARY not in json.dumps(found)
    assert house.ask("GET", f"/api/v1/jobs/{found['id']}/output").json["original_kept"] is False
    approver = house.key(Role.APPROVER)
    assert house.decide(found["id"], key=approver).json["code"] == "output_original_gone"
    assert house.decide(found["id"], "confirm", key=approver).status == 200


def test_a_result_over_its_bound_is_kept_for_a_person(house: House) -> None:
    rest = b'"status":"succeeded","result":"%b"}' % (b"x" * (1024 * 1024 - 1))
    found = ended(house, rest)
    assert (found["state"], found["output_safety"]["code"]) == (
        "OUTPUT_QUARANTINED",
        "result_too_large",
    )
    assert house.decide(found["id"], key=house.key(Role.APPROVER)).status == 200
    assert len(job(house, found["id"])["result"]) == 1024 * 1024 - 1


def test_one_hostile_answer_of_a_batch_loses_none(house: House) -> None:
    batch = [house.given() for _ in range(3)]
    results = (b'"fine"', b'{"a":1,"a":2}', b'"\\u0000"')
    body = b",".join(
        b'{"job_id":"%b","answer":{"lease_id":"%b","status":"succeeded","result":%b}}'
        % (given["job_id"].encode(), given["lease_id"].encode(), result)
        for given, result in zip(batch, results, strict=True)
    )
    reply = house.ask(
        "POST", "/api/v1/workers/w1/results", b'{"results":[%b]}' % body, key=house.worker.token
    )
    assert [item["state"] for item in reply.json["results"]] == [
        "SUCCEEDED",
        "OUTPUT_QUARANTINED",
        "SUCCEEDED",
    ]


@pytest.mark.parametrize(
    "rest",
    [
        b'"progress":"a\\u0000b"',
        b'"progress":"\xff"',
        b'"progress":{"a":1}',
        b'"percent":1000',
        b'"percent":1.5',
        b'"percent":NaN',
        b'"started":"yes"',
        b'"more":' + b"[" * DEEP + b"]" * DEEP,
    ],
)
def test_a_heartbeat_that_is_not_valid_keeps_its_lease(house: House, rest: bytes) -> None:
    given = house.given()
    lease = b'{"job_id":"%b","lease_id":"%b"' % (
        given["job_id"].encode(),
        given["lease_id"].encode(),
    )
    house.clock.forward(20)
    body = b'{"leases":[%b,%b}],"wait_ms":0}' % (lease, rest)
    reply = house.ask("POST", "/api/v1/workers/w1/heartbeat", body, key=house.worker.token)
    assert (reply.status, reply.json["lost"]) == (200, [])
    assert job(house, given["job_id"])["state"] == "RUNNING"
    assert house.worker.answer(given, result=1).json["state"] == "SUCCEEDED"
