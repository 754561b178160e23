"""An agent that may guess learns nothing of a withheld number: whatever it may ask, the answer to
the right guess is the answer to a wrong one."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forestall.identity.roles import Role
from forestall.server.api import ENDPOINTS
from tests.asgi import POLICY
from tests.unit.control.test_quarantine import House

RULES = """
output_rules:
  - {id: stop, decision: quarantine, match: {topics: ["job.demo.stop"], detectors: [personal_data]}}
"""
GUESSES = {
    "us_ssn": [f"{area:03}-45-6789" for area in range(123, 159)],
    "payment_card": [
        "4111111111111111",
        "4012888888881881",
        "4222222222222220",
        "4539578763621486",
    ],
    "email": [f"{name}.quill@acme-mail.com" for name in ("ann", "bob", "eve", "joy", "lea", "max")],
}
_VARIES = re.compile(r'"(checked_at|created_at|updated_at|request_id|[a-z_]*_(ms|us))": *[^,}]+')


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path, POLICY + RULES)
    yield one
    one.runner.close()


def alike(answers: list[Any]) -> bool:
    """Whether the answers say the same, but for ids and times."""
    return len({_VARIES.sub("", json.dumps(answer, sort_keys=True)) for answer in answers}) == 1


def digits_of(value: str, told: bytes) -> bool:
    """Whether four characters in a row of the value are in what was told."""
    text = told.decode()
    value = value.partition("@")[0]
    runs = [value[at : at + 4] for at in range(len(value) - 3)]
    return any(run in text for run in runs)


@pytest.mark.parametrize("kind", GUESSES)
def test_the_right_guess_looks_like_a_wrong_one(house: House, kind: str) -> None:
    agent = house.key(Role.AGENT, principal="agents/guesser")
    right = GUESSES[kind][len(GUESSES[kind]) // 2]
    body = {"topic": "job.demo.stop", "prompt": "look up"}
    job_id = house.submit(body, key=agent).json["job_id"]
    (given,) = house.worker.lease()
    text = "his number is {}, please keep it"
    reply = house.worker.answer(given, result=text.format(right))
    assert reply.json["state"] == "OUTPUT_QUARANTINED"
    for endpoint in ENDPOINTS:  # whatever the agent may read of its own job
        if endpoint.method == "GET" and not endpoint.path.endswith("stream"):
            path = re.sub(r"\{\w+\}", "x", endpoint.path.replace("{job_id}", job_id))
            told = house.ask("GET", path, key=agent).body
            assert not digits_of(right, told), path
            assert b'"correlation":"' not in told.replace(b'"correlation":""', b"")
    for record in house.records():
        assert not digits_of(right, json.dumps(record).encode())
    checks, results = [], []
    for guess in GUESSES[kind]:
        content = {"content": text.format(guess), "topic": "job.demo.stop"}
        checks.append(house.ask("POST", "/api/v1/output/check", content, key=agent).json)
        own = house.submit(body, key=agent).json["job_id"]
        (leased,) = house.worker.lease()
        house.worker.answer(leased, result=text.format(guess))
        results.append(house.ask("GET", f"/api/v1/jobs/{own}/output", key=agent).json["findings"])
    assert checks[0]["findings"]
    assert alike([check["findings"] for check in checks])
    assert alike([check["counts"] for check in checks])
    assert alike(results)


def test_a_reviewer_sees_what_is_equal_within_one_job_alone(house: House) -> None:
    seen = []
    for _ in range(2):
        house.submit({"topic": "job.demo.stop", "prompt": "look up"})
        (given,) = house.worker.lease()
        house.worker.answer(given, result=["ann 123-45-6789", "bob 124-45-6789", "123-45-6789 ssn"])
        path = f"/api/v1/jobs/{given['job_id']}/output"
        findings = house.ask("GET", path, key=house.key(Role.APPROVER)).json["findings"]
        seen.append([finding["correlation"] for finding in findings])
    (first, other, again), second = seen
    assert first == again != other
    assert not {first, other} & set(second)
