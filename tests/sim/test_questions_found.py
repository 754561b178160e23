"""What seeds meet too seldom of questions to people, told without chance.

Each case must hold, and must not hold in a plane that is broken on purpose.
"""

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from forestall.control import approve
from forestall.control.check_output import clean_texts
from forestall.control.publish import publish
from tests.asgi import Door, opened
from tests.sim.mutants_of_questions import RARE_MUTANTS
from tests.unit.control.test_approvals import APPROVALS, PLAIN, TWO, Case
from tests.workers_under_test import JOBS, decide_again, enforce

TOPIC = "job.deploy.apply"
LABELLED = {"name": TOPIC, "risk_tags": ["prod"]}
SAME = {"topic": TOPIC, "prompt": "roll out"}


def _runs_although_its_topic_changed(door: Door) -> bool:
    door.ask("POST", "/api/v1/topics", {"name": TOPIC})
    case = Case(door)
    case.vote(case.ann)
    assert door.ask("POST", "/api/v1/topics", LABELLED).status == 200
    return case.runs()


def _stays_although_its_rule_reads_otherwise(door: Door) -> bool:
    case = Case(door)
    enforce(door, PLAIN.replace("must look", "looks"))
    decide_again(door)
    return not case.listed()["changes"]


def _is_shared_although_nobody_asked(door: Door) -> bool:
    case = Case(door)
    body = {**SAME, "share_approval": True}
    return bool(door.ask("POST", JOBS, body, key=case.agent).json["job_id"] == case.job_id)


def _counts_although_the_policy_changed(door: Door) -> bool:
    """A policy comes into force while the reason of a vote is scanned, after the gate decided."""
    case = Case(door)

    async def overtaken(*given: Any) -> Any:
        files = [("changed.yaml", TWO.encode())]
        if door.plane.snapshot is not None and len(door.plane.snapshot.policies[0].rules) == 2:
            await publish(door.plane, files, actor="test")
        return await clean_texts(*given)

    with mock.patch.object(approve, "clean_texts", overtaken):
        door.ask("POST", f"{APPROVALS}/{case.job_id}/approve", {"reason": "x"}, key=case.ann)
    return "job.approved" in [record["kind"] for record in door.records()]


FOUND: dict[str, Callable[[Door], bool]] = dict(
    zip(
        RARE_MUTANTS,
        (
            _runs_although_its_topic_changed,
            _stays_although_its_rule_reads_otherwise,
            _is_shared_although_nobody_asked,
            _counts_although_the_policy_changed,
        ),
        strict=True,
    )
)


@pytest.mark.parametrize("name", RARE_MUTANTS)
def test_it_holds_and_a_broken_plane_is_caught(name: str) -> None:
    with opened() as door:
        assert not FOUND[name](door)
    with RARE_MUTANTS[name](), opened() as door:
        assert FOUND[name](door), f"nothing noticed that {name}"
