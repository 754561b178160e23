"""A canary secret in whatever a worker says is searched for in every byte that leaves the server
or is stored unsealed. It is never there; released by a second person, it is in the result alone."""

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from forestall.control.expire import tick
from forestall.identity.roles import Role
from forestall.ports.output import OutputMeans
from forestall.server.api import ENDPOINTS
from forestall.server.keyring import load_keyring
from forestall.server.thread_pools import ScanThreads
from forestall.store.sqlite import SqliteStore
from tests.asgi import POLICY, Door
from tests.workers_under_test import Worker, submit

CANARY = "ghp_" + "Zq3vN8rT1xK5mB7wY2cD4fG6hJ9kL0pSaUeI"
RULES = """
output_rules:
  - id: out-stop
    decision: quarantine
    reason: "two of them"
    match: {topics: ["job.demo.stop"], detectors: [secret]}
"""
ENCODED = (
    CANARY,
    base64.b64encode(CANARY.encode()).decode(),
    base64.b64encode(b"x" + CANARY.encode()).decode()[4:40],
    CANARY.encode().hex(),
    CANARY[::-1],
)


class House:
    """A door over a real database, with a keyring, and everything it ever said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.door = Door(SqliteStore.open(folder / "store.db"), POLICY + RULES)
        self.door.plane.output = OutputMeans(ScanThreads(), load_keyring(folder))
        self.said: list[tuple[str, bytes]] = []
        self._ask = self.door.ask_async
        self.door.ask_async = self._heard  # type: ignore[method-assign]  # keeps answers
        self.worker = Worker(self.door, topics=["*"])

    async def _heard(self, method: str, path: str, *given: Any, **more: Any) -> Any:
        reply = await self._ask(method, path, *given, **more)
        self.said.append((f"{method} {path}", reply.body + repr(reply.headers).encode()))
        return reply

    def run(self, topic: str = "job.demo.read", **answer: Any) -> str:
        """A job that its worker answers so."""
        submit(self.door, topic=topic)
        (given,) = self.worker.lease()
        self.worker.beat(given, progress=f"working with {CANARY}")
        self.look(given["job_id"])
        assert self.worker.answer(given, **answer).status == 200
        job_id: str = given["job_id"]
        return job_id

    def look(self, job_id: str) -> None:
        """Knock at every door that reads something, as an admin."""
        for endpoint in ENDPOINTS:
            if endpoint.method == "GET" and not endpoint.path.endswith("stream"):
                path = endpoint.path.replace("{job_id}", job_id).replace("{trace_id}", "t")
                self.door.ask("GET", path)

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """Every byte that left the server or stands on its disk, but for sealed originals, which
        are of random bytes."""
        yield from self.said
        for link in self.door.links():
            yield "log (stream, webhooks, audit)", link.record
        yield "metrics", generate_latest(self.door.metrics.registry)
        for path in sorted(self.folder.iterdir()):
            yield path.name, path.read_bytes()

    def leaks(self) -> list[str]:
        """Where the canary is, in any of the forms that a reader would undo."""
        return [
            where
            for where, data in self.everything()
            if any(form.encode() in data for form in ENCODED)
        ]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.door.run(house.door.store.close())
    house.door.runner.close()


ANSWERS: dict[str, dict[str, Any]] = {
    "in a text": {"result": f"the token is {CANARY}, use it"},
    "deep inside": {"result": {"a": [{"b": [f"{CANARY}"]}], "c": 1}},
    "as a name": {"result": {CANARY: True}},
    "in base64": {"result": {"data": base64.b64encode(f"token={CANARY}".encode()).decode()}},
    "twice": {"result": [CANARY, CANARY]},
    "in an error": {"status": "failed", "error": {"code": "oops", "message": f"bad {CANARY}"}},
    "in the code": {"status": "failed", "error": {"code": CANARY, "message": "bad"}},
    "to be retried": {
        "status": "failed",
        "error": {"code": "oops", "message": CANARY},
        "retryable": True,
    },
}


@pytest.mark.parametrize("topic", ["job.demo.read", "job.demo.stop"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_the_canary_is_nowhere(
    house: House, topic: str, answer: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Not in answers, errors, dead letters, records, metrics, the log file or the database."""
    with caplog.at_level(logging.DEBUG):
        job_id = house.run(topic, **answer)
        house.look(job_id)
        house.door.ask("POST", f"/api/v1/dlq/{job_id}/retry", {})
    assert house.leaks() == []
    assert CANARY not in caplog.text


def test_a_withheld_result_is_read_only_after_its_release(house: House) -> None:
    """Then in the job and in the store; the findings beside it stay masked."""
    job_id = house.run("job.demo.stop", result={"token": CANARY})
    assert house.door.ask("GET", f"/api/v1/jobs/{job_id}").json["state"] == "OUTPUT_QUARANTINED"
    assert house.leaks() == []
    key = house.door.key(Role.APPROVER)
    path = f"/api/v1/jobs/{job_id}/output/release"
    assert house.door.ask("POST", path, {"reason": "a test key"}, key=key).status == 200
    assert house.leaks() != []
    job = house.door.ask("GET", f"/api/v1/jobs/{job_id}").json
    assert job["result"] == {"token": CANARY}
    del job["result"]
    assert CANARY not in json.dumps(job)


def test_a_reason_that_holds_the_secret_is_cleaned(house: House) -> None:
    """A reviewer who pastes what was found does not put it into the log."""
    job_id = house.run("job.demo.stop", result={"token": CANARY})
    path = f"/api/v1/jobs/{job_id}/output/confirm"
    key = house.door.key(Role.APPROVER)
    reply = house.door.ask("POST", path, {"reason": f"it was {CANARY}"}, key=key)
    assert reply.status == 200
    assert house.leaks() == []


def test_a_check_for_a_caller_leaves_nothing_of_the_content(house: House) -> None:
    """POST /output/check: the copy is clean, and so is the record."""
    for body in ({"content": f"a {CANARY} b"}, {"result": {"x": [CANARY]}}):
        reply = house.door.ask("POST", "/api/v1/output/check", body)
        assert reply.status == 200
        assert reply.json["verdict"] == "redact"
        assert reply.json["findings"]
    assert house.leaks() == []


def test_a_worker_that_names_what_is_not_there_writes_nothing_of_it(house: House) -> None:
    """A refusal is a record, and a record is read by many."""
    body = {"lease_id": "x", "status": "succeeded", "result": 1}
    for path in (f"/api/v1/jobs/{CANARY}/result", f"/api/v1/workers/{CANARY}/lease"):
        assert house.door.ask("POST", path, body, key=house.worker.token).status in (403, 404)
    kinds = [link for link in house.door.links() if b"worker.refused" in link.record]
    assert len(kinds) == 2
    assert house.leaks() == []


def test_a_request_that_is_malformed_is_not_quoted(house: House) -> None:
    """Error bodies name fields and types, never values; what is taken is withheld."""
    for said in (
        {"result": CANARY, "status": CANARY},
        {"status": 7, "result": CANARY},
        {"error": CANARY},
        {CANARY: 1},
        {"lease_id": CANARY, "result": CANARY},
    ):
        submit(house.door)
        (given,) = house.worker.lease()
        reply = house.worker.answer(given, **said)
        assert reply.status >= 400 or reply.json["state"] == "OUTPUT_QUARANTINED"
        house.look(given["job_id"])
    assert house.leaks() == []


# -- doors at which a text is shown that belongs to no result, or only to two texts together --

HALF = CANARY[:18], CANARY[18:]


def halves(house: House) -> list[str]:
    """Where the first half is shown, and where the second one is; both together are the secret."""
    everything = [data for where, data in house.everything() if not where.endswith(".json")]
    return [half for half in HALF if any(half.encode() in data for data in everything)]


def test_names_that_a_worker_registers_are_looked_at(house: House) -> None:
    """They are listed with the worker. Names of its credential are an administrator's."""
    for offer in (
        {"topics": [f"job.{CANARY}.*"]},
        {"capabilities": ["gpu", CANARY]},
        {"topics": [f"job.{HALF[0]}", HALF[1]]},
        {"capabilities": list(HALF)},
        {"topics": ["job.x"], "capabilities": [base64.b64encode(CANARY.encode()).decode()]},
    ):
        reply = house.worker.ask("register", offer)
        assert (reply.status, reply.json["code"]) == (400, "invalid_request")
    assert (
        house.worker.ask("register", {"topics": ["job.*"], "capabilities": ["gpu"]}).status == 200
    )
    house.look("x")
    assert house.leaks() == []


@pytest.mark.parametrize("topic", ["job.demo.read", "job.demo.stop"])
@pytest.mark.parametrize(
    "answer",
    [
        {"status": "failed", "error": {"code": HALF[0], "message": HALF[1]}},
        {"status": "failed", "error": {"code": HALF[0], "message": HALF[1]}, "retryable": True},
        {"result": {"stdout": [HALF[0], HALF[1]]}},
        {"result": [{"stream": "out", "text": HALF[0]}, {"stream": "out", "text": HALF[1]}]},
        {"result": {"a": {"b": HALF[0]}, "c": [HALF[1]]}},
        {"result": list(CANARY)},
    ],
)
def test_a_secret_in_two_texts_is_not_shown(house: House, topic: str, answer: Any) -> None:
    """Neither half by half nor joined."""
    submit(house.door, topic=topic)
    (given,) = house.worker.lease()
    assert house.worker.answer(given, **answer).status == 200
    house.look(given["job_id"])
    assert len(halves(house)) < 2
    assert "".join(json.dumps(list(CANARY))[1:-1]).encode() not in b"".join(
        data for _, data in house.everything()
    )


def test_a_secret_in_two_heartbeats_is_shown_by_half_at_most(house: House) -> None:
    submit(house.door)
    (given,) = house.worker.lease()
    for text in (*HALF, "and on"):
        house.worker.beat(given, progress=text)
        house.look(given["job_id"])
    assert halves(house) == [HALF[0]]
    found = house.door.ask("GET", f"/api/v1/jobs/{given['job_id']}").json
    assert found["progress"]["message"] == "and on"


def test_a_secret_in_progress_and_error_is_shown_by_half_at_most(house: House) -> None:
    submit(house.door)
    (given,) = house.worker.lease()
    house.worker.beat(given, progress=HALF[0])
    house.look(given["job_id"])
    error = {"code": "oops", "message": HALF[1]}
    house.worker.answer(given, status="failed", error=error)
    house.look(given["job_id"])
    assert halves(house) == [HALF[0]]


def test_a_secret_in_two_attempts_is_shown_by_half_at_most(house: House) -> None:
    submit(house.door, idempotent=True)
    for text in HALF:
        (given,) = house.worker.lease()
        error = {"code": "oops", "message": text}
        house.worker.answer(given, status="failed", error=error, retryable=True)
        house.look(given["job_id"])
        house.door.clock.forward(600)
        house.door.run(tick(house.door.plane))
    assert halves(house) == [HALF[0]]


@pytest.mark.parametrize("verb", ["approve", "reject"])
@pytest.mark.parametrize(
    "texts",
    [
        {"reason": f"see {CANARY}"},
        {"reason": "ok", "note": f"see {CANARY}"},
        {"reason": HALF[0], "note": HALF[1]},
    ],
)
def test_what_an_approver_writes_is_cleaned(house: House, verb: str, texts: dict[str, str]) -> None:
    """It stands in the log, in the approval, and in what the agent is told."""
    body = {"topic": "job.deploy.apply", "prompt": "roll out", "capability": "infra.write"}
    reply = house.door.ask("POST", "/api/v1/jobs", {**body, "labels": {"env": "prod"}})
    job_id = reply.json["job_id"]
    key = house.door.key(Role.APPROVER)
    path = f"/api/v1/approvals/{job_id}/{verb}"
    assert house.door.ask("POST", path, texts, key=key).status == 200
    house.look(job_id)
    assert house.leaks() == []
    assert len(halves(house)) < 2
