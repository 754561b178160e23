"""Run the benches and keep their results as JSON in bench/results.

python -m bench [approvals] [evaluate] [field] [first_decision] [gateway] [startup] [work]
"""

import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import approvals, detect, evaluate, field, first_decision, gateway, startup, work

RESULTS = Path(__file__).parent / "results"
BENCHES: dict[str, Callable[[], dict[str, Any]]] = {
    "approvals": approvals.run,
    "detect": detect.run,
    "evaluate": evaluate.run,
    "field": field.run,
    "first_decision": first_decision.run,
    "gateway": gateway.run,
    "startup": startup.run,
    "work": work.run,
}


def main() -> None:
    """Run the named benches (all of them without names) and print what they found."""
    names = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        sys.exit(f"no such bench: {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    RESULTS.mkdir(exist_ok=True)
    for name in names:
        result = {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "load_before": round(os.getloadavg()[0], 2),
            **BENCHES[name](),
        }
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
        print(f"== {name}")
        print(result.get("table") or json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
