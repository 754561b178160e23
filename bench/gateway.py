"""Submits per second over HTTP with a durable record, and latency at 85 % of that load.

The server has one core, the client the other. Closed loop first (64 connections, each waits for
its answer), then an open loop that sends on a fixed schedule, so that a stall counts for every
request that should have been sent during it.
"""

import asyncio
import statistics
import time
from typing import Any, cast

import uvloop

from bench.server import CLIENT_CORE, KEY, Running, cpu_seconds, server, use_core

CONNECTIONS = 64
CLOSED_SECONDS = 5.0
OPEN_SECONDS = 5.0
BODIES = {
    "submit": b'{"topic":"job.demo.read","prompt":"status of the nightly build","labels":'
    b'{"env":"dev","team":"a"},"capability":"read","risk_tags":["low"]}',
    "evaluate": b'{"topic":"job.deploy.apply","labels":{"env":"prod"},"meta":{"capability":'
    b'"infra.write","risk_tags":["change"]}}',
    "simulate": b'{"topic":"job.deploy.apply","labels":{"env":"prod"},"meta":{"capability":'
    b'"infra.write","risk_tags":["change"]}}',
}
PATHS = {"submit": "/api/v1/jobs"}


def run() -> dict[str, Any]:
    """Rates in requests per second, latencies in ms."""
    use_core(CLIENT_CORE)
    results: dict[str, Any] = {"connections": CONNECTIONS, "policy_rules": 3}
    for verb in BODIES:
        with server() as running:
            results[verb] = uvloop.run(_verb(verb, running))
            print(verb, results[verb], flush=True)
    return results


async def _verb(verb: str, running: Running) -> dict[str, Any]:
    request = request_bytes(verb)
    clients = [await connect(running.port) for _ in range(CONNECTIONS)]
    await closed_loop(clients, request, 1.0)  # warm up
    before = cpu_seconds(running.pid)
    times = await closed_loop(clients, request, CLOSED_SECONDS)
    spent = cpu_seconds(running.pid) - before
    rate = len(times) / CLOSED_SECONDS
    latencies = await open_loop(clients, request, rate * 0.85, OPEN_SECONDS)
    for client in clients:
        client.close()
    return {
        "rate_per_s": round(rate),
        "server_cpu_us": round(
            spent / len(times) * 1e6, 1
        ),  # steadier than rates on a busy machine
        "closed_p50_ms": ms(times, 50),
        "closed_p99_ms": ms(times, 99),
        "open_at_per_s": round(rate * 0.85),
        "open_p50_ms": ms(latencies, 50),
        "open_p99_ms": ms(latencies, 99),
    }


def request_bytes(verb: str) -> bytes:
    body = BODIES[verb]
    head = (
        f"POST {PATHS.get(verb, f'/api/v1/policy/{verb}')} HTTP/1.1\r\nHost: localhost\r\n"
        f"X-API-Key: {KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ms(times: list[float], percentile: int) -> float:
    return round(statistics.quantiles(times, n=100)[percentile - 1] * 1_000, 2)


class Client(asyncio.Protocol):
    """One keep-alive connection; one request at a time; understands just enough HTTP."""

    def __init__(self) -> None:
        self._buffer = b""
        self._waiting: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by shape only

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(rest) >= length and self._waiting is not None:
            if not self._buffer.startswith(b"HTTP/1.1 20"):
                self._waiting.set_exception(RuntimeError(self._buffer[:300].decode()))
            else:
                self._waiting.set_result(rest)
            self._buffer = b""

    async def ask(self, request: bytes) -> bytes:
        """Send and wait for the whole answer, which must be 200 or 201; its body."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


async def connect(port: int) -> Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(Client, "127.0.0.1", port)
    return client


async def closed_loop(clients: list[Client], request: bytes, seconds: float) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def work(client: Client) -> None:
        while (started := time.perf_counter()) < end:
            await client.ask(request)
            times.append(time.perf_counter() - started)

    await asyncio.gather(*(work(client) for client in clients))
    return times


async def open_loop(
    clients: list[Client], request: bytes, rate: float, seconds: float
) -> list[float]:
    """Each connection sends on its own schedule; latency counts from when it was due."""
    times: list[float] = []
    gap = len(clients) / rate
    begin = time.perf_counter() + 0.1

    async def work(client: Client, number: int) -> None:
        due = begin + gap * number / len(clients)
        while due < begin + seconds:
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            await client.ask(request)
            times.append(time.perf_counter() - due)
            due += gap

    await asyncio.gather(*(work(client, number) for number, client in enumerate(clients)))
    return times
