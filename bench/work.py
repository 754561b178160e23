"""Jobs per second through submit, both gates, dispatch and completion, all durable, over HTTP.

The server has one core; submitters and workers share the other. Each worker is one connection that
leases in batches and answers each job by itself, as the worker library does.
"""

import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.gateway import Client, connect
from bench.server import CLIENT_CORE, KEY, Running, cpu_seconds, server, use_core

JOBS = 10_000
SUBMITTERS = 16
WORKERS = (1, 8, 64)
BATCH = 16  # jobs a worker takes at once
_SUBMIT = (
    b'{"topic":"job.demo.read","prompt":"status of the nightly build","labels":'
    b'{"env":"dev","team":"a"},"capability":"read","risk_tags":["low"]}'
)


def run() -> dict[str, Any]:
    """Rates in jobs per second, waits in ms, memory in MB."""
    use_core(CLIENT_CORE)
    results: dict[str, Any] = {"jobs": JOBS}
    for workers in WORKERS:
        with server() as running:
            results[f"{workers}_workers"] = uvloop.run(_flow(running, workers))
            print(workers, "workers", results[f"{workers}_workers"], flush=True)
    with server() as running:
        results["queue_of_100000"] = uvloop.run(_memory(running, 100_000))
        print("queue", results["queue_of_100000"], flush=True)
    return results


async def _flow(running: Running, workers: int) -> dict[str, Any]:
    """Submitters and workers at once, until every job is answered for."""
    crew = [await _worker(running, number) for number in range(workers)]
    clients = [await connect(running.port) for _ in range(SUBMITTERS)]
    submitted_at: dict[str, float] = {}
    waits: list[float] = []
    left = JOBS
    done = asyncio.Event()

    async def submit(client: Client) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            started = time.perf_counter()
            body = await client.ask(_post("/api/v1/jobs", _SUBMIT, KEY))
            submitted_at[json.loads(body)["job_id"]] = started

    async def work(client: Client, name: str, token: str) -> None:
        lease = _post(
            f"/api/v1/workers/{name}/lease",
            json.dumps({"limit": BATCH, "wait_ms": 1_000}).encode(),
            token,
        )
        while not done.is_set():
            jobs = json.loads(await client.ask(lease))["jobs"]
            now = time.perf_counter()
            for job in jobs:
                waits.append(now - submitted_at.get(job["job_id"], now))
                body = json.dumps({"lease_id": job["lease_id"], "status": "succeeded"}).encode()
                await client.ask(_post(f"/api/v1/jobs/{job['job_id']}/result", body, token))
            if len(waits) >= JOBS:
                done.set()

    before, started = cpu_seconds(running.pid), time.perf_counter()
    await asyncio.gather(
        *(submit(client) for client in clients), *(work(*member) for member in crew)
    )
    seconds = time.perf_counter() - started
    spent = cpu_seconds(running.pid) - before
    return {
        "rate_per_s": round(JOBS / seconds),
        "server_cpu_us_per_job": round(spent / JOBS * 1e6),
        "wait_p50_ms": _ms(waits, 50),
        "wait_p99_ms": _ms(waits, 99),
        "resident_mb": _resident_mb(running.pid),
    }


async def _memory(running: Running, jobs: int) -> dict[str, Any]:
    """What a long queue costs."""
    before = _resident_mb(running.pid)
    clients = [await connect(running.port) for _ in range(64)]
    left = jobs

    async def submit(client: Client) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await client.ask(_post("/api/v1/jobs", _SUBMIT, KEY))

    started = time.perf_counter()
    await asyncio.gather(*(submit(client) for client in clients))
    return {
        "submit_rate_per_s": round(jobs / (time.perf_counter() - started)),
        "resident_before_mb": before,
        "resident_after_mb": _resident_mb(running.pid),
    }


async def _worker(running: Running, number: int) -> tuple[Client, str, str]:
    name = f"w{number}"
    client = await connect(running.port)
    wanted = json.dumps({"worker_id": name, "allowed_topics": ["job.*"]}).encode()
    issued = json.loads(await client.ask(_post("/api/v1/workers/credentials", wanted, KEY)))
    token = issued["token"]
    body = json.dumps({"max_parallel": BATCH}).encode()
    await client.ask(_post(f"/api/v1/workers/{name}/register", body, token))
    return client, name, token


def _post(path: str, body: bytes, key: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nX-API-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _ms(times: list[float], percentile: int) -> float:
    return round(statistics.quantiles(times, n=100)[percentile - 1] * 1_000, 1)


def _resident_mb(pid: int) -> float:
    """Resident memory of a process (Linux; elsewhere 0)."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)
