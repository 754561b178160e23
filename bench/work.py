"""Jobs per second through submit, both gates, dispatch and completion, all durable, over HTTP.

The server has one core; submitters and workers share the other. Each worker is one connection that
leases in batches and answers in batches, as the worker library does under load.
"""

import asyncio
import json
import os
import signal
import statistics
import tempfile
import time
from typing import Any

import uvloop

from bench.gateway import Client, connect
from bench.server import (
    CLIENT_CORE,
    KEY,
    Running,
    cpu_seconds,
    resident_mb,
    server,
    use_core,
)

JOBS = 10_000
SUBMITTERS = 16
WORKERS = (1, 8, 64)
IN_FLIGHT = 10_000
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
            results[f"{workers}_workers"] = uvloop.run(flow(running, workers, JOBS))
            print(workers, "workers", results[f"{workers}_workers"], flush=True)
    with server() as running:
        results["queue_of_100000"] = uvloop.run(_memory(running, 100_000))
        print("queue", results["queue_of_100000"], flush=True)
    results["recovery"] = _recovery(IN_FLIGHT)
    print("recovery", results["recovery"], flush=True)
    return results


def _recovery(jobs: int) -> dict[str, Any]:
    """kill -9 with so many jobs in the hands of workers; how long until all are known again."""
    with tempfile.TemporaryDirectory() as folder:
        with server(folder=folder) as running:
            uvloop.run(_fill(running, jobs))
            os.kill(running.pid, signal.SIGKILL)
        started = time.perf_counter()
        with server(folder=folder) as running:
            seconds = time.perf_counter() - started
            held = uvloop.run(_held(running))
    return {"in_flight": jobs, "seconds_to_ready": round(seconds, 2), "leases_known": held}


async def _fill(running: Running, jobs: int) -> None:
    """Submit, and have every job leased."""
    clients = [await connect(running.port) for _ in range(SUBMITTERS)]
    left = jobs

    async def submit(client: Client) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await client.ask(_post("/api/v1/jobs", _SUBMIT, KEY))

    await asyncio.gather(*(submit(client) for client in clients))
    leased = number = 0
    while leased < jobs:
        client, name, token = await _worker(running, number, parallel=1_000)
        number += 1
        lease = _post(f"/api/v1/workers/{name}/lease", b'{"limit": 64}', token)
        while given := json.loads(await client.ask(lease))["jobs"]:
            leased += len(given)


async def _held(running: Running) -> int:
    """Leases that the server knows of."""
    client = await connect(running.port)
    workers = json.loads(await client.ask(_get("/api/v1/workers/credentials")))["items"]
    held = 0
    for worker in workers:
        path = f"/api/v1/workers/{worker['worker_id']}/jobs"
        held += len(json.loads(await client.ask(_get(path)))["items"])
    return held


async def flow(running: Running, workers: int, jobs: int) -> dict[str, Any]:
    """Submitters and workers at once, until every job is answered for."""
    crew = [await _worker(running, number) for number in range(workers)]
    clients = [await connect(running.port) for _ in range(SUBMITTERS)]
    submitted_at: dict[str, float] = {}
    waits: list[float] = []
    left = jobs
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
            leased = json.loads(await client.ask(lease))["jobs"]
            now = time.perf_counter()
            if leased:
                waits.extend(now - submitted_at.get(job["job_id"], now) for job in leased)
                await client.ask(_post(f"/api/v1/workers/{name}/results", _answers(leased), token))
            if len(waits) >= jobs:
                done.set()

    before, started = cpu_seconds(running.pid), time.perf_counter()
    await asyncio.gather(
        *(submit(client) for client in clients), *(work(*member) for member in crew)
    )
    seconds = time.perf_counter() - started
    spent = cpu_seconds(running.pid) - before
    return {
        "rate_per_s": round(jobs / seconds),
        "server_cpu_us_per_job": round(spent / jobs * 1e6),
        "wait_p50_ms": _ms(waits, 50),
        "wait_p99_ms": _ms(waits, 99),
        "resident_mb": resident_mb(running.pid),
    }


def _answers(jobs: list[dict[str, Any]]) -> bytes:
    results = [
        {
            "job_id": job["job_id"],
            "answer": {"lease_id": job["lease_id"], "status": "succeeded", "result": {"ok": True}},
        }
        for job in jobs
    ]
    return json.dumps({"results": results}).encode()


async def _memory(running: Running, jobs: int) -> dict[str, Any]:
    """What a long queue costs."""
    before = resident_mb(running.pid)
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
        "resident_after_mb": resident_mb(running.pid),
    }


async def _worker(running: Running, number: int, parallel: int = BATCH) -> tuple[Client, str, str]:
    name = f"w{number}"
    client = await connect(running.port)
    wanted = json.dumps({"worker_id": name, "allowed_topics": ["job.*"]}).encode()
    issued = json.loads(await client.ask(_post("/api/v1/workers/credentials", wanted, KEY)))
    token = issued["token"]
    body = json.dumps({"max_parallel": parallel}).encode()
    await client.ask(_post(f"/api/v1/workers/{name}/register", body, token))
    return client, name, token


def _post(path: str, body: bytes, key: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n\r\n".encode()


def _ms(times: list[float], percentile: int) -> float:
    return round(statistics.quantiles(times, n=100)[percentile - 1] * 1_000, 1)
