"""`forestall serve` with a heartbeat in its event loop: how long was the loop not free?

Run by `bench/stalls.py` as a process of its own, over whatever checkout comes first on its path.
On SIGUSR1 it prints the longest stall, and the p99, since the last SIGUSR1. Changes nothing that
is measured: keys of two tenants are made through the plane, since one HTTP key makes none for
another tenant.

A stall is the smaller of two figures: how late the heartbeat came, and the processor time that the
process used meanwhile. What other programs take from a shared machine is so left out.
"""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import forestall.server.serve as serve_module
from forestall.control.keys import create_key
from forestall.identity.credentials import NewKey, WorkerGrant
from forestall.identity.roles import Role
from forestall.server.settings import read_settings

BEAT_SECONDS = 0.004
KEYS = (
    ("hostile", "one", Role.AGENT),
    ("author", "one", Role.AUTHOR),
    ("worker", "one", Role.WORKER),
    ("neighbour", "one", Role.AGENT),
    ("stranger", "two", Role.AGENT),
)


class Heart:
    """Beats in the event loop and remembers how late each beat was (ms)."""

    def __init__(self) -> None:
        self._late_ms: list[float] = []

    async def beat(self) -> None:
        """Beat for ever."""
        while True:
            wall, cpu = time.perf_counter(), time.process_time()
            await asyncio.sleep(BEAT_SECONDS)
            late = time.perf_counter() - wall - BEAT_SECONDS
            used = time.process_time() - cpu
            self._late_ms.append(1_000 * min(late, used))

    def report(self) -> None:
        """Print the longest stall and the p99, and begin anew."""
        late_ms, self._late_ms = sorted(self._late_ms) or [0.0], []
        p99_ms = late_ms[len(late_ms) * 99 // 100]
        print(
            json.dumps({"stall_ms": round(late_ms[-1], 1), "p99_ms": round(p99_ms, 1)}), flush=True
        )


def main() -> None:
    """Arguments: data directory, policy file."""
    data_dir, policy = sys.argv[1:]
    deliver: Any = vars(serve_module)["tell_webhooks"]

    async def deliver_and_beat(plane: Any, metrics: Any) -> None:
        texts = {}
        for name, tenant, role in KEYS:
            grant = WorkerGrant(worker_id="w", topics=("*",), capabilities=("*",))
            wanted = NewKey(
                tenant=tenant, name=name, role=role, worker=grant if role is Role.WORKER else None
            )
            texts[name] = (await create_key(plane, wanted, actor="bench"))[1]
        heart = Heart()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, heart.report)
        print(json.dumps({"keys": texts}), flush=True)
        await asyncio.gather(heart.beat(), deliver(plane, metrics))

    vars(serve_module)["tell_webhooks"] = deliver_and_beat
    flags = {
        "data_dir": data_dir,
        "policy": policy,
        "listen": "127.0.0.1:0",
        "metrics_listen": "127.0.0.1:0",
    }
    serve_module.serve(read_settings(flags, {}, Path(data_dir)), lambda text: print(text))


if __name__ == "__main__":
    main()
