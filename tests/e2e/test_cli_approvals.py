"""`forestall approvals` against the real server, on a real terminal where it asks."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import FORESTALL, GUIDE_RULES, Server, environment, forestall, poll, serving
from tests.http_samples import HELD_JOB
from tests.unit.cli.test_approval_view import ATTACKS

pytestmark = pytest.mark.e2e
APPROVALS = "/api/v1/approvals"


class Office:
    """A server, the key of an agent that asks, and that of a person who answers."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.agent, self.ann = self._key("agent", "agent"), self._key("ann", "approver")

    def _key(self, name: str, role: str) -> str:
        made = self.server.ask("POST", "/api/v1/auth/keys", {"name": name, "role": role})
        return str(made.json["secret"])

    def held(self, **body: Any) -> str:
        """A job that waits for a person."""
        return str(self.server.submit({**HELD_JOB, **body}, key=self.agent).json["job_id"])

    def env(self) -> dict[str, str]:
        return {"FORESTALL_URL": self.server.url, "FORESTALL_API_KEY": self.ann}

    def call(self, *arguments: str, stdin: bytes | None = None, key: str = "") -> Any:
        """One command of the approver."""
        env = {**self.env(), **({"FORESTALL_API_KEY": key} if key else {})}
        done = forestall("approvals", *arguments, env=env, stdin=stdin)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def hash_of(self, job_id: str) -> str:
        return str(self.server.ask("GET", f"{APPROVALS}/{job_id}").json["job_hash"])

    def state(self, job_id: str) -> str:
        return str(self.server.ask("GET", f"/api/v1/jobs/{job_id}").json["state"])

    def on_terminal(self, *arguments: str, says: bytes) -> tuple[int, str]:
        """The same with a person at a terminal, who answers the question."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [str(FORESTALL), "approvals", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment({**self.env(), "COLUMNS": "100"}),
        )
        os.close(theirs)
        seen = b""
        try:
            while chunk := _read(ours):
                seen += chunk
                if b"[y/N]" in seen and says:
                    os.write(ours, says)
                    says = b""
        finally:
            os.close(ours)
        return process.wait(30), seen.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # the other side closed
        return b""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder: Path = tmp_path_factory.mktemp("office")
    (folder / "policy.yaml").write_text(GUIDE_RULES)
    with serving(folder / "data", "--policy", str(folder / "policy.yaml")) as server:
        yield Office(server)
        assert server.stop() == 0


def test_a_person_sees_and_approves(office: Office) -> None:
    """What runs, the hash, the question; then the hash and snapshot that were shown are sent."""
    job_id = office.held(prompt="terraform apply\nrm -rf build")
    code, seen = office.on_terminal("approve", job_id, "--reason", "fine", says=b"y\n")
    assert code == 0, seen
    assert "  | rm -rf build" in seen
    assert office.hash_of(job_id) in seen
    assert office.state(job_id) == "PENDING"
    voted = office.server.ask("GET", f"{APPROVALS}/{job_id}").json["votes"]
    assert [(one["principal"], one["saw_hash"], one["reason"]) for one in voted] == [
        ("ann", True, "fine")
    ]


@pytest.mark.parametrize("says", [b"n\n", b"\n", b"\x04"], ids=["no", "return", "end"])
def test_anything_but_yes_is_no(office: Office, says: bytes) -> None:
    job_id = office.held()
    code, seen = office.on_terminal("approve", job_id, says=says)
    assert code in (1, 130), seen
    assert office.state(job_id) == "APPROVAL_REQUIRED"


@pytest.mark.parametrize("name", ["colour", "title", "carriage return", "backspace", "c1"])
def test_a_terminal_is_told_nothing_by_the_agent(office: Office, name: str) -> None:
    """On a real terminal: `show`, `--json` and the question hold no byte that it would obey."""
    job_id = office.held(prompt=ATTACKS[name])
    for arguments in (("show", job_id), ("show", job_id, "--json"), ("approve", job_id)):
        _, seen = office.on_terminal(*arguments, says=b"n\n")
        left = seen.replace("\r\n", "\n").replace("\n", "")
        assert left.isprintable(), ascii(seen)


def test_a_script_names_the_hash(office: Office) -> None:
    job_id = office.held()
    good = office.hash_of(job_id)
    assert office.call("approve", job_id).returncode == 2  # no terminal to ask on
    assert office.call("approve", job_id, stdin=b"y\n").returncode == 2
    assert office.call("approve", job_id, "--yes").returncode == 2
    other = office.call("approve", job_id, "--yes", "--job-hash", "0" * 64)
    assert other.returncode == 1
    assert "not the one that you gave" in other.stderr
    assert office.state(job_id) == "APPROVAL_REQUIRED"
    done = office.call("approve", job_id, "--yes", "--job-hash", good, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["job_hash"] == good


def test_reject_needs_a_reason_and_one_is_enough(office: Office) -> None:
    job_id = office.held()
    assert office.call("reject", job_id).returncode == 2
    assert office.call("reject", job_id, "--reason", "not today").returncode == 0
    job = office.server.ask("GET", f"/api/v1/jobs/{job_id}").json
    assert (job["state"], job["failure_reason"]) == ("DENIED", "not today")
    again = office.call("approve", job_id, "--yes", "--job-hash", office.hash_of(job_id))
    assert again.returncode == 3


def test_what_is_listed(office: Office) -> None:
    job_id = office.held()
    assert job_id in office.call("list").stdout
    assert office.call("repair", job_id, key=office.agent).returncode == 0
    nothing_drifted = office.call("repair", job_id, "--apply", key=office.agent)
    assert nothing_drifted.returncode == 3
    office.call("reject", job_id, "--reason", "no")
    assert job_id not in office.call("list").stdout
    assert job_id in office.call("list", "--status", "rejected").stdout
    items = json.loads(office.call("list", "--status", "all", "--limit", "1", "--json").stdout)
    assert [one["job_id"] for one in items["items"]] == [job_id]
    assert office.call("show", "nothing").returncode == 3


def test_watch_prints_what_is_asked_and_what_became_of_it(office: Office) -> None:
    with subprocess.Popen(
        [str(FORESTALL), "approvals", "watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(office.env()),
    ) as process:
        assert process.stdout is not None
        try:
            poll(lambda: office.server.metric("forestall_streams_open") >= 1, "the stream")
            job_id = office.held(prompt="x")
            asked = process.stdout.readline()
            assert "ASKED" in asked
            assert job_id in asked
            office.call("reject", job_id, "--reason", "no\x1b[2J")
            rejected = process.stdout.readline()
            assert "REJECTED" in rejected
            assert "no<U+001B>[2J" in rejected
        finally:
            process.terminate()
