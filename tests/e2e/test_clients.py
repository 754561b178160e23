"""Published clients against the real server: the guard's approval flow from end to end.

They come from `make clients`, into a folder of their own that nothing else sees; without it these
tests are skipped and say so.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forestall import __version__
from tests.e2e.harness import Server, environment, poll, serving

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("FORESTALL_CLIENTS", ROOT / ".venv" / "clients")) / "bin" / "python"
SCRIPTS = ROOT / "tests" / "clients"
APPROVALS = "/api/v1/approvals"
POLICY = """\
topics: {job.guard: {run_by: caller}}
rules:
  - {id: deny-theft, decision: deny, reason: "not yours", match: {capabilities: [steal]}}
  - {id: ask, decision: require_approval, reason: "a person must look",
     match: {topics: [job.guard], capabilities: [transfer]}}
  - {id: ok, decision: allow, match: {topics: [job.guard], capabilities: [look]}}
"""
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not PYTHON.exists(), reason="`make clients` installs the clients"),
]


class Cast:
    """A server, an agent with a guard, and somebody who answers."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.agent, self.ann = self._key("agent", "agent"), self._key("ann", "approver")

    def _key(self, name: str, role: str) -> str:
        made = self.server.ask("POST", "/api/v1/auth/keys", {"name": name, "role": role})
        return str(made.json["secret"])

    def start(self, key: str, script: str, *words: str) -> "subprocess.Popen[str]":
        env = environment({"FORESTALL_URL": self.server.url, "FORESTALL_API_KEY": key})
        command = [str(PYTHON), str(SCRIPTS / script), *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env)

    def said(self, process: "subprocess.Popen[str]") -> Any:
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return json.loads(out)

    def guarded(self, capability: str, seconds: float = 30) -> "subprocess.Popen[str]":
        return self.start(self.agent, "guard_flow.py", capability, str(seconds))

    def answered(self, client: str, word: str, job_id: str) -> Any:
        return self.said(self.start(self.ann, "approve_flow.py", client, word, job_id))

    def asked(self) -> str:
        """The job that the guard has just submitted."""

        def look() -> str | None:
            items = self.server.ask("GET", f"{APPROVALS}?status=pending").json["items"]
            return str(items[0]["job_id"]) if items else None

        return poll(look, "the guard asks", 30)


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    folder = tmp_path_factory.mktemp("clients")
    (folder / "policy.yaml").write_text(POLICY)
    with serving(folder / "data", "--policy", str(folder / "policy.yaml")) as server:
        yield Cast(server)
        assert server.stop() == 0


def test_allowed_and_denied_calls_need_nobody(cast: Cast) -> None:
    assert cast.said(cast.guarded("look")) == {"value": "sent 10 to bob", "ran": 1}
    denied = cast.said(cast.guarded("steal"))
    assert (denied["error"], denied["ran"]) == ("CordumBlockedError", 0)
    assert "not yours" in denied["text"]


@pytest.mark.parametrize("client", ["guard", "sdk"])
def test_an_approved_call_runs_once_and_ends(cast: Cast, client: str) -> None:
    """The approver uses the same client, or the strict one; the guarded call returns its value."""
    call = cast.guarded("transfer")
    job_id = cast.asked()
    told = cast.answered(client, "approve", job_id)
    if client == "guard":
        assert told["state"] == "SUCCEEDED"
        assert job_id in told["listed"]
    else:
        assert told["status"] == 200
        assert told["rule"] == "ask"
        assert told["left_ms"] > 0
        assert "PENDING" in told["listed"]
        assert told["groups"] == ["ask"]
    assert cast.said(call) == {"value": "sent 10 to bob", "ran": 1}
    job = cast.server.ask("GET", f"/api/v1/jobs/{job_id}").json
    assert (job["state"], job["result"]["approved_by"]) == ("SUCCEEDED", ["ann"])


@pytest.mark.parametrize("client", ["guard", "sdk"])
def test_a_rejected_call_raises_and_never_runs(cast: Cast, client: str) -> None:
    call = cast.guarded("transfer")
    cast.answered(client, "reject", cast.asked())
    said = cast.said(call)
    assert (said["error"], said["ran"]) == ("CordumBlockedError", 0)


def test_a_call_that_nobody_answers_never_runs(cast: Cast) -> None:
    """The guard gives up; the approval stays open and may still be withdrawn."""
    call = cast.guarded("transfer", seconds=2)
    job_id = cast.asked()
    said = cast.said(call)
    assert (said["error"], said["ran"]) == ("CordumTimeoutError", 0)
    assert cast.server.ask("POST", f"/api/v1/jobs/{job_id}/cancel").status == 200


def test_strict_models_read_keys_credentials_statistics_and_status(cast: Cast) -> None:
    """A key without a role, a credential without an end, statistics before the first check."""
    told = cast.said(cast.start(cast.server.key, "keys_flow.py"))
    assert told["made"] == [201, True]
    assert told["issued"] == [201, True]
    assert [one[0] for one in told["credentials"]] == ["sdk-worker"]
    assert (told["ended"], told["revoked"], told["health"]) == (204, 204, 200)
    assert told["keys"].keys() >= {"sdk", "agent", "ann"}
    assert told["status"][2:] == [0, {"version": __version__}]
    assert told["stats"][0] == 0
    assert told["dlq"] == []
