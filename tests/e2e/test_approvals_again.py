"""A policy changes while people are asked: what the approver and the agent see at the command line.

Then the same with a server that is killed in the middle, and a policy that changed meanwhile.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import GUIDE_RULES, Server, forestall, poll, serving
from tests.e2e.test_cli_approvals import Office
from tests.http_samples import HELD_JOB

pytestmark = pytest.mark.e2e
APPROVALS = "/api/v1/approvals"
MANY = 400
MAIL = """\
  - id: mail
    decision: throttle
    match: {{topics: ["job.mail.*"]}}
    throttle: {{limit: {limit}, window: 1m, key: [tenant]}}
"""
STRICTER = GUIDE_RULES.replace("human review required", "a lead reviews each")


class Desk(Office):
    """An office whose policy file is edited while people are asked."""

    def __init__(self, server: Server, policy: Path) -> None:
        super().__init__(server)
        self.policy = policy

    def edit(self, text: str) -> str:
        """Another policy is in force; its digest."""
        before = self.in_force()

        def changed() -> str | None:
            now = self.in_force()
            return now if now != before else None

        replaced(self.policy, text)
        return poll(changed, "the policy")

    def in_force(self) -> str:
        """The digest of the policy in force."""
        first = self.server.ask("GET", "/api/v1/policy/snapshots?limit=1").json[0]
        return str(first["digest"])

    def context(self, job_id: str) -> Any:
        """The approval as a command of the approver prints it."""
        return json.loads(self.call("show", job_id, "--json").stdout)


def replaced(path: Path, text: str) -> None:
    """The file is written beside and renamed into place, so that the server takes it at once."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    policy = tmp_path / "policy.yaml"
    policy.write_text(GUIDE_RULES + MAIL.format(limit=20))
    with serving(tmp_path / "data", "--policy", str(policy)) as server:
        yield Desk(server, policy)
        assert server.stop() == 0


def test_a_policy_change_as_the_approver_and_the_agent_see_it(desk: Desk) -> None:
    """The mail throttle changes: the deployment still waits. Its own rule changes: asked again. It
    is granted, and the policy changes: undone and asked again. It is denied: no longer listed."""
    job_id = desk.held(prompt="terraform apply")
    shown = desk.context(job_id)
    digest = desk.edit(GUIDE_RULES + MAIL.format(limit=21))
    stays = desk.context(job_id)
    assert stays["policy_snapshot"] == digest != shown["policy_snapshot"]
    assert stays["approval"]["changes"] == []
    assert stays["approval"]["requested_at"] == shown["approval"]["requested_at"]

    digest = desk.edit(STRICTER + MAIL.format(limit=21))
    listed = desk.call("list").stdout
    print(listed)
    assert "asked again, first on" in listed
    text = desk.call("show", job_id).stdout
    print(text)
    assert "the text of `require-approval-prod-write` is another one" in text
    assert "first asked" in text
    told = desk.server.ask("GET", f"/api/v1/jobs/{job_id}", key=desk.agent).json
    assert (told["approval_status"], told["state"]) == ("pending", "APPROVAL_REQUIRED")
    assert any("rule:" in change for change in told["approval_changes"])

    good = desk.hash_of(job_id)
    assert desk.call("approve", job_id, "--yes", "--job-hash", good).returncode == 0
    assert desk.state(job_id) == "PENDING"
    desk.edit(STRICTER + MAIL.format(limit=22))
    poll(lambda: desk.state(job_id) == "APPROVAL_REQUIRED", "the job to be asked again by itself")
    again = desk.context(job_id)["approval"]
    assert again["votes"] == []
    assert any("ann" in change for change in again["changes"])
    assert desk.call("repair", job_id, "--apply").returncode == 3  # nothing is left to mend

    desk.edit("default_decision: deny\nrules: []\n")
    assert job_id not in desk.call("list").stdout
    poll(lambda: desk.state(job_id) == "DENIED", "the job to end")
    assert desk.call("approve", job_id, "--yes", "--job-hash", good).returncode == 3


def test_kill_9_while_many_are_decided_again(tmp_path: Path) -> None:
    """Half of them are bound to the second policy when the server dies; a third one comes into
    force while it is down. In the end every question is bound to the third, once."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(GUIDE_RULES + MAIL.format(limit=1))
    limits = ("--rate-limit", "off", "--tenant-rate-limit", "off")
    with serving(tmp_path / "data", "--policy", str(policy), *limits) as server:
        key = server.key
        ids = {
            server.submit({**HELD_JOB, "prompt": f"apply {number}"}).json["job_id"]
            for number in range(MANY)
        }
        replaced(policy, GUIDE_RULES + MAIL.format(limit=2))
        deadline = time.monotonic() + 20
        while _rebound(server) < 20 and time.monotonic() < deadline:
            continue
        server.kill()  # at any instant: what it had done by then is not known here
    replaced(policy, GUIDE_RULES + MAIL.format(limit=3))
    with serving(tmp_path / "data", "--policy", str(policy), *limits, key=key) as server:
        digest = server.ask("GET", "/api/v1/policy/snapshots?limit=1").json[0]["digest"]
        # Only the loop can have done it: no list was asked for, which would do it, too.
        poll(lambda: _rebound(server) >= MANY or None, "all questions", 60)
        assert _rebound(server) == MANY
        assert _bound_to(server, digest) == ids
        assert server.stop() == 0
    verified = forestall("audit", "verify", "--data-dir", str(tmp_path / "data"))
    assert verified.returncode == 0, verified.stdout


def _rebound(server: Server) -> float:
    """Questions that this process has bound anew."""
    lines = [line for line in server.metrics().splitlines() if 'event="rebound"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines if "_created" not in line)


def _bound_to(server: Server, digest: str) -> set[str]:
    """The jobs whose question is bound to this policy."""
    found, cursor = set[str](), ""
    while True:
        page = server.ask("GET", f"{APPROVALS}?limit=500&cursor={cursor}").json
        found |= {item["job_id"] for item in page["items"] if item["policy_snapshot"] == digest}
        cursor = page["next_cursor"]
        if not cursor:
            return found
