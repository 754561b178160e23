"""Worker processes against a real server, and what tests look at."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.e2e.harness import FORESTALL, Server, environment, poll

# Handlers note that they ran in a file of the working directory: the only proof that one did.
HANDLERS = """
import asyncio, pathlib, time
from forestall.client.worker import Failure, Retryable

def note(text):
    with pathlib.Path("ran.txt").open("a") as file:
        file.write(text + "\\n")

def plain(job):
    note(job.id)
    return {"prompt": job.prompt, "attempt": job.attempt, "topic": job.topic}

async def gently(job):
    note(job.id)
    await asyncio.sleep(0)
    return {"context": job.context, "labels": dict(job.labels)}

async def long(job):
    note("began")
    job.progress("half way", 50)
    try:
        await asyncio.sleep(float(job.prompt))
    except asyncio.CancelledError:
        note("cancelled")
        raise
    note("ended")
    return "done"

def long_thread(job):
    note("began")
    if job.cancelled.wait(float(job.prompt)):
        note("cancelled")
        return "too late"
    note("ended")
    return "done"

def deaf(job):
    note("began")
    time.sleep(float(job.prompt))
    note("ended")

def odd(job):
    note(job.id)
    if job.prompt == "set": return {1, 2}
    if job.prompt == "nan": return float("nan")
    if job.prompt == "surrogate": return chr(0xD800)
    if job.prompt == "nul": return chr(0)
    if job.prompt == "large": return "x" * (1024 * 1024)
    if job.prompt == "larger": return ["x" * 1024] * 3_000
    if job.prompt == "deep":
        value = 1
        for _ in range(100_000): value = [value]
        return value
    if job.prompt == "itself":
        value = []; value.append(value)
        return value
    if job.prompt == "twice": return {1: "a", "1": "b"}
    if job.prompt == "progress":
        job.progress("half " + chr(0xD800) + chr(0), 12.5); time.sleep(1.2)
        return bytes([255])
    if job.prompt == "exit": raise SystemExit(7)
    if job.prompt == "raise": raise ValueError("password=hunter2")
    if job.prompt == "failure": raise Failure("no_stock", "sold out")
    if job.prompt == "retry" and job.attempt == 1: raise Retryable("try later")
    return "fine"

not_a_function = 3
"""


class Worker:
    """One `forestall worker run` in a process of its own."""

    def __init__(
        self, server: Server, folder: Path, function: str, *arguments: str, name: str = "w1"
    ) -> None:
        self.folder = folder
        (folder / "handlers.py").write_text(HANDLERS)
        self.token = issue(server, name)
        self._log = (folder / f"{name}.log").open("ab")
        self.process = subprocess.Popen(
            [str(FORESTALL), "worker", "run", f"handlers:{function}", "--id", name, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            cwd=folder,
            env=environment({"FORESTALL_URL": server.url, "FORESTALL_WORKER_TOKEN": self.token}),
        )
        self._name = name

    @property
    def log(self) -> str:
        """What it said on stderr."""
        return (self.folder / f"{self._name}.log").read_text()

    @property
    def ran(self) -> list[str]:
        """What handlers noted."""
        notes = self.folder / "ran.txt"
        return notes.read_text().split() if notes.exists() else []

    def wait(self, seconds: float = 30.0) -> int:
        """Its exit code."""
        return self.process.wait(seconds)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; its exit code."""
        self.process.send_signal(number)
        return self.wait()

    def end(self) -> None:
        """kill -9 if it still runs."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()


@contextlib.contextmanager
def working(
    server: Server, folder: Path, function: str, *arguments: str, name: str = "w1"
) -> Iterator[Worker]:
    """A worker for the length of a block."""
    worker = Worker(server, folder, function, *arguments, name=name)
    try:
        yield worker
    finally:
        worker.end()


def issue(server: Server, name: str, *topics: str, **more: Any) -> str:
    """The token of a new worker."""
    body = {"worker_id": name, "allowed_topics": list(topics) or ["job.*"], **more}
    reply = server.ask("POST", "/api/v1/workers/credentials", body)
    assert reply.status in (200, 201), reply.body
    token: str = reply.json["token"]
    return token


def submitted(server: Server, prompt: str, **more: Any) -> str:
    """The id of a job that the starter policy allows."""
    reply = server.submit({"topic": "job.demo.read", "prompt": prompt, **more})
    assert reply.status == 200, reply.body
    job_id: str = reply.json["job_id"]
    return job_id


def job(server: Server, job_id: str) -> dict[str, Any]:
    """The job as it is now."""
    found: dict[str, Any] = server.ask("GET", f"/api/v1/jobs/{job_id}").json
    return found


def until(server: Server, job_id: str, *states: str, seconds: float = 20.0) -> dict[str, Any]:
    """The job, once it is in one of the states."""

    def look() -> dict[str, Any] | None:
        found = job(server, job_id)
        return found if found["state"] in states else None

    return poll(look, f"{job_id} in {states}, is {job(server, job_id)['state']}", seconds)
