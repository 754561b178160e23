"""What an import costs in a fresh process: milliseconds and modules, of all that should be light.

Which modules may be loaded is held by tests/unit/test_light_imports.py; here is the time.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROUNDS = 15
WIRE = Path(__file__).parents[1] / "src" / "forestall" / "wire"
MODULES = (
    "forestall.client.plane",
    "forestall.client.stream",
    "forestall.client.worker",
    "forestall.client.worker_ticket",
    "forestall.jobs.ticket",
    "forestall.policy.request",
    "forestall.policy.rules",
    *sorted(f"forestall.wire.{path.stem}" for path in WIRE.glob("*.py") if path.stem != "__init__"),
    "forestall.policy.compile",  # for comparison: the engine, and all of the server
    "forestall.server.bootstrap",
)
# The process measures itself, so that the start of the interpreter is not counted.
SCRIPT = """
import sys, time
before = set(sys.modules)
began = time.perf_counter()
import {module}
spent_ms = (time.perf_counter() - began) * 1_000
loaded = set(sys.modules) - before
ours = sum(name.partition(".")[0] == "forestall" for name in loaded)
print('{{"ms": %f, "modules": %d, "forestall_modules": %d}}' % (spent_ms, len(loaded), ours))
"""


def run() -> dict[str, Any]:
    """Medians over ROUNDS; the modules take turns, so that a slow moment meets all of them."""
    found: dict[str, list[dict[str, float]]] = {module: [] for module in MODULES}
    for _ in range(ROUNDS):
        for module in MODULES:
            found[module].append(_import(module))
    imports = {
        module: {
            "ms": round(statistics.median(each["ms"] for each in rounds), 1),
            "modules": int(rounds[-1]["modules"]),
            "forestall_modules": int(rounds[-1]["forestall_modules"]),
        }
        for module, rounds in found.items()
    }
    return {"rounds": ROUNDS, "imports": imports, "table": _table(imports)}


def _import(module: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT.format(module=module)],
        check=True,
        capture_output=True,
        text=True,
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _table(imports: dict[str, dict[str, Any]]) -> str:
    rows = ["| import | ms | modules | of Forestall |", "|---|--:|--:|--:|"]
    rows += [
        f"| `{module}` | {each['ms']} | {each['modules']} | {each['forestall_modules']} |"
        for module, each in imports.items()
    ]
    return "\n".join(rows)
