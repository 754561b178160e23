"""A result that does not fit the output schema of its topic is withheld, and never lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forestall.identity.roles import Role
from forestall.limits import SCHEMA_PAYLOAD_BYTES_MAX
from tests.unit.control.test_quarantine import CANARY, House
from tests.workers_under_test import JOBS, job

TOPIC = "job.demo.read"
SCHEMA = {
    "type": "object",
    "properties": {"rows": {"type": "integer", "maximum": 10}},
    "required": ["rows"],
    "additionalProperties": False,
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path)
    made = one.ask("POST", "/api/v1/schemas", {"id": "rows", "schema": SCHEMA})
    assert made.status == 204, made.body
    topic = one.ask("POST", "/api/v1/topics", {"name": TOPIC, "output_schema_id": "rows"})
    assert (topic.status, topic.json["output_schema_id"]) == (201, "rows")
    yield one
    one.verified()
    one.runner.close()


def ended(house: House, result: Any) -> dict[str, Any]:
    """The job of the topic after a worker has answered with a result."""
    leased = house.given(topic=TOPIC)
    assert house.worker.answer(leased, result=result).status == 200
    return job(house, leased["job_id"])


def test_a_result_that_fits_is_released(house: House) -> None:
    done = ended(house, {"rows": 3})
    assert (done["state"], done["result"]) == ("SUCCEEDED", {"rows": 3})


@pytest.mark.parametrize(
    "result",
    [
        *({"rows": 11}, {"rows": "3"}, {}, None, [], "rows", 3, {"rows": 3, "more": 1}),
        {"Rows": 3},
        {"rows": 3, "pad": "a" * SCHEMA_PAYLOAD_BYTES_MAX},
    ],
    ids=lambda each: str(each)[:20],
)
def test_a_result_that_does_not_fit_is_withheld(house: House, result: Any) -> None:
    done = ended(house, result)
    assert done["state"] == "OUTPUT_QUARANTINED"
    assert done.get("result") is None
    view = house.ask("GET", f"{JOBS}/{done['id']}/output").json
    assert "output_schema_violation" in str(view)
    body = {"reason": "it is fine", "mode": "original"}
    second = house.key(Role.APPROVER)
    assert house.decide(done["id"], body=body, key=second).status == 200
    assert job(house, done["id"])["result"] == result


def test_the_reason_does_not_show_the_result(house: House) -> None:
    done = ended(house, {"rows": 3, "shown-" + "q" * 30: 1})
    assert "shown-" not in str(done)


def test_a_secret_is_withheld_as_a_secret(house: House) -> None:
    done = ended(house, {"rows": CANARY})
    assert done["state"] == "OUTPUT_QUARANTINED"
    assert CANARY not in str(done)


def test_the_schema_of_the_moment_counts(house: House) -> None:
    leased = house.given(topic=TOPIC)
    wider = {"id": "rows", "schema": {"type": "string"}}
    assert house.ask("POST", "/api/v1/schemas", wider).status == 204
    assert house.worker.answer(leased, result="now a text").status == 200
    assert job(house, leased["job_id"])["state"] == "SUCCEEDED"


def test_the_schema_of_another_tenant_has_no_say(house: House) -> None:
    other = house.key(Role.ADMIN, "other")
    wider = {"id": "rows", "schema": {"type": "string"}}
    assert house.ask("POST", "/api/v1/schemas", wider, key=other).status == 204
    assert ended(house, "a text")["state"] == "OUTPUT_QUARANTINED"
    assert ended(house, {"rows": 3})["state"] == "SUCCEEDED"


def test_an_answer_that_is_sent_again_changes_nothing(house: House) -> None:
    leased = house.given(topic=TOPIC)
    assert house.worker.answer(leased, result={"rows": 99}).status == 200
    assert house.worker.answer(leased, result={"rows": 3}).json["code"] == "already_completed"
    assert job(house, leased["job_id"])["state"] == "OUTPUT_QUARANTINED"


def test_a_schema_that_a_topic_names_stays(house: House) -> None:
    assert house.ask("DELETE", "/api/v1/schemas/rows").status == 409
    unknown = {"name": "job.demo.x", "output_schema_id": "nope"}
    assert house.ask("POST", "/api/v1/topics", unknown).status == 400


def test_a_schema_that_cannot_be_used_withholds(house: House) -> None:
    """A store that lost the entry, say."""
    leased = house.given(topic=TOPIC)
    del house.plane.registry._schemas["default"]["rows"]
    assert house.worker.answer(leased, result={"rows": 3}).status == 200
    assert job(house, leased["job_id"])["state"] == "OUTPUT_QUARANTINED"
