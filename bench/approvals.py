"""Approvals: how many a second are resolved while many wait, and how long a page of the list takes.

The server has one core, the client the other. Every answer is durable, and every approval asks the
gate again. Pages are asked one after the other, on a server that does nothing else.
"""

import asyncio
import json
import statistics
import time
from typing import Any

import uvloop

from bench.gateway import Client, connect
from bench.server import CLIENT_CORE, KEY, Running, cpu_seconds, server, use_core

PENDING = 10_000  # at least so many wait during all of it
RESOLVED = 5_000  # of each word
LISTED = 100_000
CONNECTIONS = 64
PAGES = 200
_LIMITS_OFF = ("--rate-limit", "off", "--tenant-rate-limit", "off")
_HELD = (
    b'{"topic":"job.deploy.apply","prompt":"terraform apply","labels":{"env":"prod"},'
    b'"capability":"infra.write","risk_tags":["change"]}'
)
_LIST = "/api/v1/approvals"


def run() -> dict[str, Any]:
    """Rates per second, times in ms."""
    use_core(CLIENT_CORE)
    with server(_LIMITS_OFF) as running:
        return uvloop.run(_all(running))


async def _all(running: Running) -> dict[str, Any]:
    clients = [await connect(running.port) for _ in range(CONNECTIONS)]
    agent, ann = await _key(clients[0], "agent", "agent"), await _key(clients[0], "ann", "approver")
    results: dict[str, Any] = {"pending_at_least": PENDING, "connections": CONNECTIONS}
    await _submit(clients, agent, PENDING + 2 * RESOLVED)
    waiting = await _waiting(clients[0], 2 * RESOLVED)
    for word in ("approve", "reject"):
        jobs, waiting = waiting[:RESOLVED], waiting[RESOLVED:]
        results[word] = await _resolve(running, clients, ann, word, jobs)
        print(word, results[word], flush=True)
    await _submit(clients, agent, LISTED - PENDING - 2 * RESOLVED)
    results["listed"] = LISTED
    results["pages"] = await _pages(clients[0])
    for client in clients:
        client.close()
    return results


async def _resolve(
    running: Running, clients: list[Client], key: str, word: str, jobs: list[tuple[str, str]]
) -> dict[str, Any]:
    left, times = list(jobs), list[float]()

    async def work(client: Client) -> None:
        while left:
            job_id, job_hash = left.pop()
            body = json.dumps({"job_hash": job_hash, "reason": "bench"}).encode()
            started = time.perf_counter()
            answer = json.loads(await client.ask(_post(f"{_LIST}/{job_id}/{word}", body, key)))
            times.append(time.perf_counter() - started)
            assert "approval_status" in answer, answer

    before, started = cpu_seconds(running.pid), time.perf_counter()
    await asyncio.gather(*map(work, clients))
    seconds = time.perf_counter() - started
    return {
        "rate_per_s": round(len(jobs) / seconds),
        "server_cpu_us": round((cpu_seconds(running.pid) - before) / len(jobs) * 1e6),
        "p50_ms": _ms(times, 50),
        "p99_ms": _ms(times, 99),
    }


async def _pages(client: Client) -> dict[str, Any]:
    """Each kind of page, many times; the deep ones follow cursors from page to page."""
    found: dict[str, Any] = {}
    for name, query in (
        ("first_50", "limit=50"),
        ("first_500", "limit=500"),
        ("pending_50", "status=pending&limit=50"),
        ("topic_50", "topic=job.deploy.apply&limit=50"),
    ):
        times, _ = await _timed(client, f"{_LIST}?{query}", PAGES)
        found[name] = {"p50_ms": _ms(times, 50), "p99_ms": _ms(times, 99)}
    times, cursor = list[float](), ""
    for _ in range(PAGES):  # 200 pages of 500 are all of them
        one, body = await _timed(client, f"{_LIST}?limit=500&cursor={cursor}", 1)
        times += one
        cursor = body["next_cursor"]
        if not cursor:
            break
    found["walk_500"] = {
        "pages": len(times),
        "p50_ms": _ms(times, 50),
        "p99_ms": _ms(times, 99),
        "seconds": round(sum(times), 2),
    }
    path = "/api/v1/governance/approvals/analytics?group_by=rule"
    times, body = await _timed(client, path, 5)
    looked_at = body["summary"]["total"]
    found["analytics"] = {"p50_ms": _ms(times, 50), "looked_at": looked_at}
    print("pages", found, flush=True)
    return found


async def _timed(client: Client, path: str, count: int) -> tuple[list[float], Any]:
    times, body = list[float](), b""
    for _ in range(count):
        started = time.perf_counter()
        body = await client.ask(_get(path))
        times.append(time.perf_counter() - started)
    return times, json.loads(body)


async def _submit(clients: list[Client], key: str, count: int) -> None:
    left = count

    async def work(client: Client) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await client.ask(_post("/api/v1/jobs", _HELD, key))

    await asyncio.gather(*map(work, clients))


async def _waiting(client: Client, count: int) -> list[tuple[str, str]]:
    """Ids and hashes of approvals that wait."""
    found: list[tuple[str, str]] = []
    cursor = ""
    while len(found) < count:
        path = f"{_LIST}?status=pending&limit=500&cursor={cursor}"
        page = json.loads(await client.ask(_get(path)))
        found += [(item["job_id"], item["job_hash"]) for item in page["items"]]
        cursor = page["next_cursor"]
    return found[:count]


async def _key(client: Client, name: str, role: str) -> str:
    body = json.dumps({"name": name, "role": role}).encode()
    return str(json.loads(await client.ask(_post("/api/v1/auth/keys", body, KEY)))["secret"])


def _post(path: str, body: bytes, key: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n\r\n".encode()


def _ms(times: list[float], percentile: int) -> float:
    if len(times) < 2:
        return round(times[0] * 1_000, 2)
    return round(statistics.quantiles(times, n=100)[percentile - 1] * 1_000, 2)
