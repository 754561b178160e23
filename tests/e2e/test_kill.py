"""kill -9 in the middle of 5,000 submits: every job that got an answer is there.

The figures are printed; `pytest -rA tests/e2e/test_kill.py` shows them, with the seed.
"""

import asyncio
import itertools
import json
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.harness import Server, forestall, serving
from tests.http_samples import DENIED_JOB, HELD_JOB

pytestmark = pytest.mark.e2e
SUBMITS = 5_000
CONNECTIONS = 250
LOST = (ConnectionError, asyncio.IncompleteReadError, OSError)


class Answered(NamedTuple):
    """One complete answer to a submission."""

    job_id: str
    status: int
    decision: str
    job_hash: str


class Wire:
    """One keep-alive connection that sends raw requests and reads whole answers."""

    def __init__(self, server: Server, reader: Any, writer: Any) -> None:
        self._key, self._reader, self._writer = server.key, reader, writer

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of one answer. Raises one of LOST when it does not come whole."""
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        self._writer.write(head.encode() + data)
        await self._writer.drain()
        raw: bytes = await self._reader.readuntil(b"\r\n\r\n")
        lines = raw.lower().split(b"\r\n")
        (length,) = (int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        return int(raw[9:12]), json.loads(await self._reader.readexactly(length))


@asynccontextmanager
async def wire(server: Server) -> AsyncIterator[Wire]:
    """A connection for the length of a block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Wire(server, reader, writer)
    finally:
        writer.close()
        with suppress(*LOST):
            await writer.wait_closed()


def bodies() -> Iterator[dict[str, Any]]:
    """5,000 submissions: mostly allowed, some denied, some held; no two alike."""
    for number in range(SUBMITS):
        kind = {0: DENIED_JOB, 1: HELD_JOB}.get(number % 10)
        plain = {"topic": "job.demo.read", "prompt": f"status {number}"}
        yield {**(kind or plain), "context": {"number": number}}


async def storm(server: Server, kill_after: int) -> tuple[int, list[Answered]]:
    """Submit from many connections; kill -9 at the k-th answer. What was sent and answered."""
    waiting = bodies()
    answered: list[Answered] = []
    sent = itertools.count()

    async def submit_all() -> None:
        with suppress(*LOST):
            async with wire(server) as one:
                for body in waiting:
                    next(sent)
                    status, answer = await one.ask("POST", "/api/v1/jobs", body)
                    assert status in (200, 403), answer
                    fields = (answer["decision"], answer["job_hash"])
                    answered.append(Answered(answer["job_id"], status, *fields))
                    if len(answered) == kill_after:
                        server.process.kill()

    await asyncio.gather(*(submit_all() for _ in range(CONNECTIONS)))
    return next(sent), answered


async def lost(server: Server, answered: list[Answered]) -> list[Answered]:
    """Which of the answered jobs are not there, whole, with the decision that was answered."""
    waiting = iter(answered)
    missing: list[Answered] = []

    async def look_all() -> None:
        async with wire(server) as one:
            for job in waiting:
                path = f"/api/v1/jobs/{job.job_id}"
                status, found = await one.ask("GET", path)
                _, decisions = await one.ask("GET", f"{path}/decisions")
                state = {"ALLOW": "PENDING", "DENY": "DENIED"}.get(
                    job.decision, "APPROVAL_REQUIRED"
                )
                whole = (
                    status == 200
                    and (found["state"], found["job_hash"]) == (state, job.job_hash)
                    and [one["decision"] for one in decisions] == [job.decision]
                    and decisions[0]["job_hash"] == job.job_hash
                )
                if not whole:
                    missing.append(job)

    await asyncio.gather(*(look_all() for _ in range(20)))
    return missing


@pytest.mark.parametrize("part", [0, 1, 2], ids=["early", "in the middle", "late"])
def test_nothing_that_was_answered_is_lost(tmp_path: Path, part: int) -> None:
    """An answer means durable: job, decision and record, and a chain that verifies."""
    seed = int(os.environ.get("FORESTALL_KILL_SEED") or int.from_bytes(os.urandom(4), "big"))
    third = (SUBMITS - CONNECTIONS) // 3  # so that something is always under way
    kill_after = random.Random(seed + part).randrange(part * third + 1, (part + 1) * third)
    data_dir = tmp_path / "data"
    print(f"seed {seed}: kill -9 after answer {kill_after} (FORESTALL_KILL_SEED repeats it)")
    with serving(data_dir) as server:
        submitted, answered = asyncio.run(storm(server, kill_after))
        assert server.process.wait(10) == -9

    with serving(data_dir) as again:
        missing = asyncio.run(lost(again, answered))
        beside = forestall("audit", "verify", "--data-dir", str(data_dir))
        assert again.stop() is not None
    verified = forestall("audit", "verify", "--data-dir", str(data_dir), "--json")
    found = len(answered) - len(missing)
    print(f"submitted {submitted}, answered {len(answered)}, found {found}, lost {len(missing)}")
    print(beside.stdout.strip())
    assert len(answered) >= kill_after > 0
    assert submitted > len(answered), "the kill came too late to prove anything"
    assert len({job.job_id for job in answered}) == len(answered)
    assert missing == []
    assert beside.stdout.startswith("ok: "), beside.stderr
    report = json.loads(verified.stdout)
    assert (report["ok"], report["problems"]) == (True, [])
    assert report["jobs"] >= len(answered)
