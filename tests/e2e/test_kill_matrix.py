"""kill -9 of the server and of workers at random moments under load.

What must hold afterwards: no job that was answered for is lost, none that is not idempotent ran
twice, none ran without an allow at dispatch, the log verifies and explains every state. There are
FORESTALL_KILLS kills: 12 in the suite, 200 in `make drill-kill`. Figures and seed are printed.
"""

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Server, environment, forestall, poll
from tests.e2e.test_kill import LOST, wire

pytestmark = pytest.mark.e2e
KILLS = int(os.environ.get("FORESTALL_KILLS", "12"))
CREW = 3
SUBMITTERS = 6
POLICIES = {
    "open": "name: p\nrules:\n  - {id: ok, decision: allow, match: {topics: ['job.a', 'job.b']}}\n",
    "tight": "name: p\nrules:\n  - {id: ok, decision: allow, match: {topics: ['job.a']}}\n"
    "  - {id: closed, decision: deny, match: {topics: ['job.b']}}\n",
}


class Drill:
    """One data directory, its servers and workers one after another, and what was observed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.book = folder / "effects"
        self.policy = folder / "policy.yaml"
        self.policy.write_text(POLICIES["open"])
        self.answered: set[str] = set()  # ids of jobs whose submit was answered
        self.server = self.start("127.0.0.1:0")
        self.tokens = [self.issue(f"w{number}") for number in range(CREW)]
        self.crew = [self.hire(number) for number in range(CREW)]
        self.kills: Counter[str] = Counter()
        self.submitted = 0

    def start(self, listen: str) -> Server:
        return Server(
            self.folder / "data",
            *("--listen", listen, "--metrics-listen", "127.0.0.1:0"),
            *("--policy", str(self.policy), "--lease-seconds", "2"),
            listen=False,
        )

    def issue(self, name: str) -> str:
        body = {"worker_id": name, "allowed_topics": ["job.*"]}
        return str(self.server.ask("POST", "/api/v1/workers/credentials", body).json["token"])

    def hire(self, number: int) -> "subprocess.Popen[bytes]":
        script = str(Path(__file__).with_name("kill_worker.py"))
        arguments = [str(self.server.port), f"w{number}", self.tokens[number], str(self.book)]
        return subprocess.Popen([sys.executable, script, *arguments], env=environment())

    async def load(self, until: asyncio.Event) -> None:
        """Submit over many connections until told to stop or the server is gone."""

        async def submit() -> None:
            with suppress(*LOST):
                async with wire(self.server) as line:
                    while not until.is_set():
                        self.submitted += 1
                        body = {
                            "topic": self.random.choice(("job.a", "job.b")),
                            "prompt": f"work {self.submitted}",
                            "idempotent": self.random.random() < 0.3,
                        }
                        status, answer = await line.ask("POST", "/api/v1/jobs", body)
                        if status == 200:
                            self.answered.add(answer["job_id"])

        await asyncio.gather(*(submit() for _ in range(SUBMITTERS)))

    async def round(self) -> None:
        """Load, and a kill in the middle of it; then everything that died comes back."""
        stop = asyncio.Event()
        load = asyncio.create_task(self.load(stop))
        await asyncio.sleep(self.random.uniform(0.0, 0.25))  # the random moment, not a wait
        if self.random.random() < 0.1:
            self.policy.write_text(POLICIES[self.random.choice(tuple(POLICIES))])
        what = self.random.choice(("server", "worker", "both"))
        self.kills[what] += 1
        if what != "worker":
            self.server.process.kill()
        if what != "server":
            number = self.random.randrange(CREW)
            self.crew[number].kill()
            self.crew[number].wait()
            self.crew[number] = self.hire(number)
        stop.set()
        await load
        if what != "worker":
            port = self.server.port
            self.server.kill()
            self.server = self.start(f"127.0.0.1:{port}")

    def settle(self) -> None:
        """Wait until nothing is in anybody's hands any more."""

        def quiet() -> bool:
            page = self.server.ask("GET", "/api/v1/jobs?state=PENDING&limit=1").json["items"]
            busy = self.server.metric("forestall_leased_jobs")
            queued = self.server.metric("forestall_queued_jobs")
            return not page and busy == 0 and queued == 0

        poll(quiet, "the queue runs dry", seconds=120)

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.ask("GET", f"/api/v1/jobs/{job_id}").json
        return found

    def close(self) -> None:
        for worker in self.crew:
            worker.kill()
            worker.wait()
        self.server.kill()


def effects(book: Path) -> Counter[str]:
    """How often each job ran."""
    return Counter(line.split()[0] for line in book.read_text().splitlines())


def lawless(records: list[dict[str, Any]], ran: set[str]) -> list[str]:
    """Jobs that ran although no record says that the dispatch gate allowed them."""
    allowed = {
        record["job_id"]
        for record in records
        if record["kind"] == "job.dispatched" and record["data"]["decision"].startswith("allow")
    }
    return sorted(ran - allowed)


def log_of(drill: Drill) -> list[dict[str, Any]]:
    """Every record, read straight from the database of the stopped server."""
    with sqlite3.connect(drill.folder / "data" / "forestall.db") as connection:
        rows = connection.execute("SELECT record FROM log ORDER BY position").fetchall()
    return [json.loads(row[0]) for row in rows]


def test_nothing_is_lost_and_nothing_runs_twice(tmp_path: Path) -> None:
    """The whole promise, under fire."""
    seed = int(os.environ.get("FORESTALL_SEED", random.randrange(2**32)))
    print(f"seed {seed}, {KILLS} kills")
    drill = Drill(tmp_path, seed)
    try:

        async def fire() -> None:
            for _ in range(KILLS):
                await drill.round()

        asyncio.run(fire())
        drill.policy.write_text(POLICIES["open"])
        drill.settle()
        ran = effects(drill.book)
        ended = {job_id: drill.job(job_id) for job_id in {*drill.answered, *ran}}
    finally:
        drill.close()
    lost = [job_id for job_id in drill.answered if "state" not in ended[job_id]]
    states = Counter(job.get("state", "lost") for job in ended.values())
    twice = [job_id for job_id in ran if ran[job_id] > 1 and not ended[job_id].get("idempotent")]
    without_allow = lawless(log_of(drill), set(ran))
    verify = forestall("audit", "verify", "--data-dir", str(tmp_path / "data"))
    print(
        f"kills {dict(drill.kills)}; submitted {drill.submitted}, answered {len(drill.answered)};"
        f" lost {len(lost)}; ran {len(ran)} jobs in {ran.total()} runs; not idempotent and run"
        f" twice {len(twice)}; dispatched without allow {len(without_allow)}; ended {dict(states)};"
        f" {verify.stdout.strip()}"
    )
    assert lost == []
    assert twice == []
    assert without_allow == []
    assert verify.returncode == 0, verify.stdout + verify.stderr
    assert len(ran) > KILLS, "nothing ran: the drill proves nothing"
