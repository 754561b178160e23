"""The flow of docs/guides/agent-developer.md: evaluate, submit, wait, claim, run, complete."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import GUIDE_RULES, Server, serving
from tests.http_samples import HELD_JOB, Reply

pytestmark = pytest.mark.e2e
JOBS = "/api/v1/jobs"
WAIT = "wait_ms=20000&while_state=APPROVAL_REQUIRED"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "policy.yaml").write_text(GUIDE_RULES)
    with serving(tmp_path / "data", "--policy", str(tmp_path / "policy.yaml")) as running:
        yield running
        assert running.stop() == 0


def key_of(server: Server, name: str, role: str) -> str:
    made = server.ask("POST", "/api/v1/auth/keys", {"name": name, "role": role})
    return str(made.json["secret"])


def in_background(work: Any) -> Any:
    """Begin; the function that is returned waits for the answer."""
    found: list[Reply] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()

    def answer() -> Reply:
        thread.join(30)
        return found[0]

    return answer


def test_evaluate_submit_wait_claim_run_complete(server: Server) -> None:
    agent, ann = key_of(server, "agent", "agent"), key_of(server, "ann", "approver")
    asked = server.ask("POST", "/api/v1/policy/evaluate", HELD_JOB, key=agent).json
    assert asked["decision"] == "REQUIRE_APPROVAL"
    held = server.submit(HELD_JOB, key=agent, headers={"Idempotency-Key": "one"}).json
    path = f"{JOBS}/{held['job_id']}"
    assert server.ask("POST", f"{path}/claim", {}, key=agent).json["code"] == "not_claimable"
    waited = in_background(lambda: server.ask("GET", f"{path}?{WAIT}", key=agent))
    said = {"job_hash": held["job_hash"]}
    approved = server.ask("POST", f"/api/v1/approvals/{held['job_id']}/approve", said, key=ann)
    assert approved.status == 200, approved.body
    assert waited().json["state"] == "PENDING"
    claimed = server.ask("POST", f"{path}/claim", {}, key=agent)
    assert claimed.status == 200, claimed.body
    assert claimed.json["ticket"]
    assert server.ask("POST", f"{path}/claim", {}, key=agent).json["code"] == "not_claimable"
    lease = {"lease_id": claimed.json["lease_id"]}
    assert server.ask("POST", f"{path}/renew", lease, key=agent).status == 200
    done = {**lease, "status": "succeeded", "result": {"ran": True}}
    assert server.ask("POST", f"{path}/complete", done, key=agent).json["state"] == "SUCCEEDED"
    assert server.ask("GET", path, key=agent).json["result"] == {"ran": True}


def test_who_waits_is_told_of_a_no(server: Server) -> None:
    agent, ann = key_of(server, "agent", "agent"), key_of(server, "ann", "approver")
    held = server.submit(HELD_JOB, key=agent).json
    path = f"{JOBS}/{held['job_id']}"
    waited = in_background(lambda: server.ask("GET", f"{path}?{WAIT}", key=agent))
    said = {"reason": "not today"}
    server.ask("POST", f"/api/v1/approvals/{held['job_id']}/reject", said, key=ann)
    job = waited().json
    assert (job["state"], job["failure_code"]) == ("DENIED", "approval_rejected")
    assert job["failure_reason"] == "not today"


def test_a_stop_answers_who_waits(server: Server) -> None:
    held = server.submit(HELD_JOB).json
    path = f"{JOBS}/{held['job_id']}?{WAIT}"
    waited = in_background(lambda: server.ask("GET", path))
    while not server.metric("forestall_streams_open"):
        pass
    assert server.stop() == 0
    assert waited().json["state"] == "APPROVAL_REQUIRED"
