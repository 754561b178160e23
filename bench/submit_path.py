"""The path of a submit, an older checkout and this one in turn (A B A B), in one run.

python -m bench submit-path --against DIR [--rounds N]: DIR is a checkout of an older commit, run by
the same Python with DIR/src first on its path. Both sides meet the same minutes of the machine, so
read the ratios. The open loop sends at its instants, whatever is still unanswered; a latency counts
from the instant at which the request was due.
"""

import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from bench import gateway, work
from bench.gateway import Client, closed_loop, connect, ms, request_bytes
from bench.server import (
    CLIENT_CORE,
    SERVER_CORE,
    Running,
    cpu_seconds,
    environment,
    resident_mb,
    server,
    use_core,
)

ROUNDS = 4
SECONDS = 4.0
OPEN_RATES = (1_800, 3_000)
OPEN_CONNECTIONS_MAX = 1_000  # a request that finds all of them busy waits, and that counts
FLOW_JOBS = 6_000
FLOW_WORKERS = 8
RULES = (10, 100_000)
TARGET_SUBMITS_PER_S = 4_500
TARGET_OPEN_P99_MS = 25.0
_PROBE = Path(__file__).with_name("evaluate_probe.py")

Figures = dict[str, float]


def run(against: Path, rounds: int = ROUNDS) -> dict[str, Any]:
    """Medians of the rounds for the older checkout and for this one, and new to old as ratios."""
    if not (against / "src" / "forestall").is_dir():
        sys.exit(f"{against} is no checkout: it has no src/forestall")
    use_core(CLIENT_CORE)
    sides: dict[str, Path | None] = {"old": against.resolve(), "new": None}
    measured: dict[str, list[Figures]] = {side: [] for side in sides}
    for number in range(rounds):
        for side, checkout in sides.items():
            figures = _round(checkout)
            measured[side].append(figures)
            print(f"round {number + 1} {side}", json.dumps(figures), flush=True)
    old, new = (_medians(measured[side]) for side in ("old", "new"))
    ratios = {name: round(new[name] / old[name], 3) for name in new if old.get(name)}
    return {
        "rounds": rounds,
        "old": old,
        "new": new,
        "new_to_old": ratios,
        "every_round": measured,
        "targets": {
            "submits_per_s": [TARGET_SUBMITS_PER_S, new["closed_submits_per_s"]],
            "open_3000_p99_ms": [TARGET_OPEN_P99_MS, new["open_3000_p99_ms"]],
        },
        "table": _table(old, new, ratios),
    }


def _medians(rounds: list[Figures]) -> Figures:
    return {name: round(statistics.median(each[name] for each in rounds), 3) for name in rounds[0]}


def _table(old: Figures, new: Figures, ratios: Figures) -> str:
    lines = ["| figure | old | new | new to old |", "|---|--:|--:|--:|"]
    lines += [f"| {name} | {old[name]} | {new[name]} | {ratios.get(name, '')} |" for name in new]
    return "\n".join(lines)


def _round(checkout: Path | None) -> Figures:
    """Everything once, on one side."""
    figures: Figures = {}
    began = time.perf_counter()
    with server(checkout=checkout) as running:
        urllib.request.urlopen(f"http://127.0.0.1:{running.port}/readyz").read()
        figures["start_to_first_answer_s"] = round(time.perf_counter() - began, 3)
        figures |= _without_collections(lambda: uvloop.run(_submits(running)))
    with server(checkout=checkout) as running:
        flow = _without_collections(lambda: uvloop.run(work.flow(running, FLOW_WORKERS, FLOW_JOBS)))
        figures["flow_jobs_per_s"] = flow["rate_per_s"]
        figures["flow_server_cpu_us"] = flow["server_cpu_us_per_job"]
    return figures | _evaluate(checkout)


def _without_collections(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Our own garbage collector must not be taken for a pause of the server."""
    gc.collect()
    gc.disable()
    try:
        return measure()
    finally:
        gc.enable()


async def _submits(running: Running) -> Figures:
    request = request_bytes("submit")
    clients = [await connect(running.port) for _ in range(gateway.CONNECTIONS)]
    await closed_loop(clients, request, 1.0)  # warm up
    before = cpu_seconds(running.pid)
    times = await closed_loop(clients, request, SECONDS)
    spent = cpu_seconds(running.pid) - before
    figures: Figures = {
        "closed_submits_per_s": round(len(times) / SECONDS),
        "closed_server_cpu_us": round(spent / len(times) * 1e6, 1),
        "closed_p50_ms": ms(times, 50),
        "closed_p99_ms": ms(times, 99),
    }
    for rate in OPEN_RATES:
        before = cpu_seconds(running.pid)
        latencies = await _open_loop(running.port, clients, request, rate, SECONDS)
        spent = cpu_seconds(running.pid) - before
        figures[f"open_{rate}_p50_ms"] = ms(latencies, 50)
        figures[f"open_{rate}_p99_ms"] = ms(latencies, 99)
        figures[f"open_{rate}_server_cpu_us"] = round(spent / len(latencies) * 1e6, 1)
    alone = await closed_loop(clients[:1], request, 1.0)
    figures["one_client_p50_ms"] = ms(alone, 50)
    figures["resident_mb"] = resident_mb(running.pid)
    for client in clients:
        client.close()
    return figures


async def _open_loop(
    port: int, clients: list[Client], request: bytes, rate: float, seconds: float
) -> list[float]:
    """Send at fixed instants on any connection that is free; connect more when none is."""
    free = deque(clients)
    opened = len(clients)
    latencies: list[float] = []
    tasks: set[asyncio.Task[None]] = set()
    returned = asyncio.Event()

    async def send(due: float) -> None:
        nonlocal opened
        while not free:
            if opened < OPEN_CONNECTIONS_MAX:
                opened += 1
                client = await connect(port)
                clients.append(client)
                free.append(client)
                continue
            returned.clear()
            await returned.wait()
        client = free.popleft()
        await client.ask(request)
        latencies.append(time.perf_counter() - due)
        free.append(client)
        returned.set()

    begin = time.perf_counter() + 0.1
    for number in range(round(rate * seconds)):
        due = begin + number / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(send(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    assert len(latencies) == round(rate * seconds), "every request was answered"
    return latencies


def _evaluate(checkout: Path | None) -> Figures:
    figures: Figures = {}
    for size in RULES:
        done = subprocess.run(
            [sys.executable, str(_PROBE), str(size)],
            env=environment(checkout),
            preexec_fn=lambda: use_core(SERVER_CORE),
            check=True,
            capture_output=True,
            text=True,
        )
        figures[f"evaluate_{size}_p50_us"] = json.loads(done.stdout)["p50_us"]
    return figures
