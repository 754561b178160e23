"""The stall table: how long each hostile payload stops the event loop, and what others notice.

python -m bench stalls [--against DIR]: for each payload a new server (with DIR one of each side, in
turn), first quiet, then with the flood for SECONDS. Beside it agents of two other keys, one of the
same tenant and one of another, have an action and a text checked; their p99 is read as a ratio to
the quiet one of the same server. All in milliseconds of the server's own work (`stall_probe.py`):
a machine that others use as well gives the same figures. `failed`: answers to those agents that
were not 200; `after_s`: how long the server is busy when the flood has ended.
"""

import asyncio
import contextlib
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from bench.server import CLIENT_CORE, SERVER_CORE, cpu_seconds, environment, use_core
from bench.stall_flood import answer_status, request_bytes
from bench.stall_payloads import PAYLOADS, POLICY, Payload

SECONDS = 1.5
STALL_MS_MAX, RATIO_MAX = 50.0, 3.0
IDLE_SECONDS_MAX, IDLE_STEP_SECONDS = 40.0, 0.3
# Without a disk: the time that a disk takes would count where the flood keeps the processor busy.
_IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
_PROBE = Path(__file__).with_name("stall_probe.py")


class _Server(NamedTuple):
    process: asyncio.subprocess.Process
    port: int
    metrics_port: int
    keys: dict[str, str]
    folder: Path

    async def report(self) -> dict[str, float]:
        """The figures of `stall_probe.py` since the last call."""
        self.process.send_signal(signal.SIGUSR1)
        assert self.process.stdout is not None
        while b"stall_ms" not in (line := await self.process.stdout.readline()):
            assert line, "the server ended"
        found: dict[str, float] = json.loads(line)
        return found


def run(against: Path | None = None, only: str = "") -> dict[str, Any]:
    """Stalls in ms, p99 of others as a ratio to quiet, answers of the flood by status."""
    use_core(CLIENT_CORE)
    sides: dict[str, Path | None] = {} if against is None else {"old": against.resolve()}
    sides["new"] = None
    rows = []
    for payload in PAYLOADS:
        if only and only not in payload.name:
            continue
        for side, checkout in sides.items():
            row = {"payload": payload.name, "side": side}
            row |= uvloop.run(_measured(payload, checkout))
            rows.append(row)
            print(json.dumps(row), flush=True)
    return {"seconds": SECONDS, "rows": rows, "table": _table(rows)}


def _table(rows: list[dict[str, Any]]) -> str:
    lines = ["| payload | side | stall ms | p50 quiet | with | p99 quiet | with | ratio | failed"]
    lines[0] += " | after s | MB | answers |"
    lines.append("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|")
    names = ("stall_ms", "quiet_p50_ms", "p50_ms", "quiet_p99_ms", "p99_ms", "ratio", "failed")
    for row in rows:
        answers = " ".join(f"{status}:{count}" for status, count in row["answers"].items())
        figures = " | ".join(str(row[name]) for name in (*names, "after_s", "written_mb"))
        lines.append(f"| {row['payload']} | {row['side']} | {figures} | {answers} |")
    for side in dict.fromkeys(row["side"] for row in rows):
        own = [row for row in rows if row["side"] == side]
        stalled = sum(row["stall_ms"] > STALL_MS_MAX for row in own)
        slow = sum(row["ratio"] > RATIO_MAX for row in own)
        lines.append(
            f"\n{side}: of {len(own)} payloads {stalled} stall the loop for more than"
            f" {STALL_MS_MAX:.0f} ms, {slow} make the p99 of others more than {RATIO_MAX:.0f} times"
            " the quiet one."
        )
    return "\n".join(lines)


async def _measured(payload: Payload, checkout: Path | None) -> dict[str, Any]:
    async with _server(checkout) as server:
        await asyncio.sleep(1.5)  # warm up
        await server.report()
        quiet_cpu = cpu_seconds(server.process.pid)
        await asyncio.sleep(SECONDS)
        quiet = await server.report()
        quiet_share = (cpu_seconds(server.process.pid) - quiet_cpu) / SECONDS
        if payload.before is not None:
            key, path, body = payload.before
            await _once(server.port, request_bytes("POST", path, server.keys[key], body))
        size = _size(server.folder)
        flood = await _flood(payload, server)
        answers = json.loads((await flood.communicate())[0])
        during, began = await server.report(), time.perf_counter()
        await _idle(server, quiet_share)
        after = await server.report()
        return {
            "stall_ms": max(during["stall_ms"], after["stall_ms"]),
            "quiet_p50_ms": quiet["p50_ms"],
            "p50_ms": during["p50_ms"],
            "quiet_p99_ms": quiet["p99_ms"],
            "p99_ms": during["p99_ms"],
            "ratio": round(during["p99_ms"] / quiet["p99_ms"], 1),
            "failed": during["failed"],
            "after_s": round(time.perf_counter() - began, 1),
            "written_mb": round((_size(server.folder) - size) / 1e6, 1),
            "answers": dict(sorted(answers.items())),
        }


@contextlib.asynccontextmanager
async def _server(checkout: Path | None) -> AsyncIterator[_Server]:
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY) as folder:
        policy = Path(folder) / "bench.yaml"
        policy.write_text(POLICY)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(_PROBE),
            folder,
            str(policy),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(checkout),
            preexec_fn=lambda: use_core(SERVER_CORE),
        )
        assert process.stdout is not None
        ports: dict[str, int] = {}
        keys: dict[str, str] = {}
        try:
            while len(ports) < 2 or not keys:
                line = (await process.stdout.readline()).decode()
                assert line, "the server did not start"
                for name in ("API", "metrics"):
                    if line.strip().startswith(name) and "127.0.0.1:" in line:
                        address = line.partition("127.0.0.1:")[2]
                        ports[name] = int("".join(itertools.takewhile(str.isdigit, address)))
                if line.startswith('{"keys"'):
                    keys = json.loads(line)["keys"]
            yield _Server(process, ports["API"], ports["metrics"], keys, Path(folder))
        finally:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()


# -- the flood --


async def _flood(payload: Payload, server: _Server) -> asyncio.subprocess.Process:
    """The flood, in a process of its own, so that it does not delay the agents here."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.stall_flood",
        payload.name,
        str(SECONDS),
        str(server.port),
        str(server.metrics_port),
        server.keys.get(payload.key, "no-such-key-0123456789abcdef012345"),
        cwd=_PROBE.parent.parent,
        stdout=subprocess.PIPE,
    )


async def _once(port: int, request: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await answer_status(reader)
    writer.close()


async def _idle(server: _Server, quiet_share: float) -> None:
    """Wait until the server uses at most a tenth of a core more than its quiet share, which is what
    the agents beside the flood cost it."""
    until = time.perf_counter() + IDLE_SECONDS_MAX
    while time.perf_counter() < until:
        before = cpu_seconds(server.process.pid)
        await asyncio.sleep(IDLE_STEP_SECONDS)
        used = cpu_seconds(server.process.pid) - before
        if used <= (quiet_share + 0.1) * IDLE_STEP_SECONDS:
            return


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
