"""Process start to first answer, resident memory idle, and the command line without a server."""

import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from bench.server import resident_mb, server

ROUNDS = 7


def run() -> dict[str, Any]:
    """Medians over ROUNDS; seconds and MB."""
    starts, resident = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with server() as running:
            urllib.request.urlopen(f"http://127.0.0.1:{running.port}/readyz").read()
            starts.append(time.perf_counter() - began)
            resident.append(resident_mb(running.pid))
    policy = Path(__file__).parents[1] / "src/forestall/server/starter-policy.yaml"
    return {
        "start_to_first_answer_s": round(statistics.median(starts), 3),
        "resident_idle_mb": round(statistics.median(resident), 1),
        "cli_help_s": _command("--help"),
        "cli_policy_check_s": _command("policy", "check", str(policy)),
        "bare_python_s": _median_seconds([sys.executable, "-c", "pass"]),
    }


def _command(*arguments: str) -> float:
    return _median_seconds([str(Path(sys.executable).parent / "forestall"), *arguments])


def _median_seconds(command: list[str]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return round(statistics.median(times), 3)
