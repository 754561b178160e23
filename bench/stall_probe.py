"""`forestall serve` with a heartbeat in its event loop, and agents beside it: who waits how long?

Run by `bench/stalls.py` as a process of its own, over whatever checkout comes first on its path.
On SIGUSR1 it prints the longest stall of the loop, and the p50 and p99 of what agents of two other
keys asked, since the last SIGUSR1. Changes nothing that is measured: keys of two tenants are made
through the plane, since one HTTP key makes none for another tenant.

Each figure is the smaller of wall time and the processor time that this process used meanwhile:
what other programs take from a shared machine, and what the disk takes, is left out. So it says for
how much work of this server, for whomever, a request has waited.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forestall.server.serve as serve_module
from forestall.control.keys import create_key
from forestall.identity.credentials import NewKey, WorkerGrant
from forestall.identity.roles import Role
from forestall.server.settings import read_settings

BEAT_SECONDS = 0.004
PING_SECONDS = 0.02
PINGS = (
    ("/api/v1/policy/evaluate", b'{"topic":"job.demo.read","prompt":"status"}'),
    ("/api/v1/output/check", b'{"content":"' + b"the build has ended well. " * 40 + b'"}'),
)
KEYS = (
    ("hostile", "one", Role.AGENT),
    ("author", "one", Role.AUTHOR),
    ("worker", "one", Role.WORKER),
    ("neighbour", "one", Role.AGENT),
    ("stranger", "two", Role.AGENT),
)


class Meter:
    """How long something took that should take no time: the smaller of wall and processor time."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def ms(self, due_seconds: float = 0.0) -> float:
        """Milliseconds since the making of this meter, without those that were due."""
        wall = time.perf_counter() - self.wall - due_seconds
        return 1_000 * min(wall, time.process_time() - self.cpu)


class Watch:
    """Heartbeats in the event loop, and agents that ask while it is busy."""

    def __init__(self, gateway: Any, keys: dict[str, str]) -> None:
        self._gateway = gateway
        self._asks = [(keys[who], *ping) for who in ("neighbour", "stranger") for ping in PINGS]
        self._beats_ms: list[float] = []
        self._pings_ms: list[float] = []
        self._failed = 0

    async def run(self) -> None:
        """Beat and ask, for ever."""
        await asyncio.gather(self._beat(), *(self._agent(*ask) for ask in self._asks))

    async def _beat(self) -> None:
        while True:
            meter = Meter()
            await asyncio.sleep(BEAT_SECONDS)
            self._beats_ms.append(meter.ms(BEAT_SECONDS))

    async def _agent(self, key: str, path: str, body: bytes) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            meter = Meter()
            status = await asyncio.create_task(self._ask(key, path, body))
            self._pings_ms.append(meter.ms())
            self._failed += status != 200

    async def _ask(self, key: str, path: str, body: bytes) -> int:
        statuses: list[int] = []
        parts = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> dict[str, Any]:
            for part in parts:
                return part
            await asyncio.Event().wait()
            raise AssertionError("the agent stays")

        async def send(message: dict[str, Any]) -> None:
            statuses.append(message.get("status", 0))

        headers = [(b"x-api-key", key.encode()), (b"content-type", b"application/json")]
        headers.append((b"content-length", b"%d" % len(body)))
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b""}
        await self._gateway({**scope, "headers": headers, "client": None}, receive, send)
        return statuses[0]

    def _not_asked_ms(self) -> Iterator[float]:
        """What agents would have waited that were due while the loop did not run. They did not ask,
        since they run in that loop themselves."""
        for late_ms in self._beats_ms:
            while late_ms > BEAT_SECONDS * 1_000:
                yield from [late_ms] * len(self._asks)
                late_ms -= PING_SECONDS * 1_000

    def report(self) -> None:
        """Print the figures since the last report, and begin anew."""
        pings_ms = [*self._pings_ms, *self._not_asked_ms()]
        found = {
            "stall_ms": round(max(self._beats_ms, default=0.0), 1),
            "p50_ms": _percentile(pings_ms, 50),
            "p99_ms": _percentile(pings_ms, 99),
            "pings": len(self._pings_ms),
            "failed": self._failed,
        }
        print(json.dumps(found), flush=True)
        self._beats_ms, self._pings_ms, self._failed = [], [], 0


def _percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values) or [0.0]
    return round(ordered[len(ordered) * percent // 100], 2)


def main() -> None:
    """Arguments: data directory, policy file."""
    data_dir, policy = sys.argv[1:]
    deliver: Any = vars(serve_module)["deliver_to_webhooks"]
    make_gateway: Any = vars(serve_module)["Gateway"]
    gateways: list[Any] = []

    async def deliver_and_beat(plane: Any, metrics: Any) -> None:
        texts = {}
        for name, tenant, role in KEYS:
            grant = WorkerGrant(worker_id="w", topics=("*",), capabilities=("*",))
            wanted = NewKey(
                tenant=tenant, name=name, role=role, worker=grant if role is Role.WORKER else None
            )
            texts[name] = (await create_key(plane, wanted, actor="bench"))[1]
        watch = Watch(gateways[0], texts)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, watch.report)
        print(json.dumps({"keys": texts}), flush=True)
        await asyncio.gather(watch.run(), deliver(plane, metrics))

    def gateway(*args: Any) -> Any:
        gateways.append(make_gateway(*args))
        return gateways[0]

    vars(serve_module)["deliver_to_webhooks"] = deliver_and_beat
    vars(serve_module)["Gateway"] = gateway
    flags = {
        "data_dir": data_dir,
        "policy": policy,
        "listen": "127.0.0.1:0",
        "metrics_listen": "127.0.0.1:0",
    }
    serve_module.serve(read_settings(flags, {}, Path(data_dir)), lambda text: print(text))


if __name__ == "__main__":
    main()
