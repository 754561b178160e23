"""The worker of examples/, run as the README says."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import FORESTALL, KEY, Server, environment, forestall
from tests.e2e.worker_processes import issue, submitted, until

pytestmark = pytest.mark.e2e
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_worker_of_the_readme(server: Server) -> None:
    env = {"FORESTALL_URL": server.url, "FORESTALL_API_KEY": KEY}
    worker = subprocess.Popen(
        [str(FORESTALL), "worker", "run", "worker:greet", "--id", "first", "--max-jobs", "4"],
        cwd=EXAMPLES,
        env=environment({**env, "FORESTALL_WORKER_TOKEN": issue(server, "first", "job.demo.*")}),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        done = forestall(
            "jobs", "submit", "--topic", "job.demo.greet", "--prompt", "world", "--json", env=env
        )
        job_id = json.loads(done.stdout)["job_id"]
        waited = forestall("jobs", "wait", job_id, "--timeout", "20", env=env)
        assert waited.returncode == 0
        assert json.loads(waited.stdout)["greeting"] == "hello world"
        nobody, moon = submitted(server, " "), submitted(server, "the moon")
        assert until(server, nobody, "FAILED")["failure_code"] == "nobody_named"
        assert until(server, moon, "SUCCEEDED")["result"]["attempt"] == 2
        assert worker.wait(10) == 0
        assert worker.stderr is not None
        assert "ended: 2 succeeded, 2 failed" in worker.stderr.read()
    finally:
        worker.kill()
        worker.communicate()
