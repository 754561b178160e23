"""Run the benches and keep their results as JSON in bench/results.

python -m bench [approvals] [derive] [detect] [evaluate] [field] [first_decision] [gateway]
                [imports] [stalls] [startup] [work]
python -m bench derive --against DIR
python -m bench stalls --against DIR
python -m bench submit-path --against DIR [--rounds N]
python -m bench commands --data FILE
"""

import argparse
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import (
    approvals,
    commands,
    derive,
    detect,
    evaluate,
    field,
    first_decision,
    gateway,
    imports,
    stalls,
    startup,
    submit_path,
    work,
)

RESULTS = Path(__file__).parent / "results"
BENCHES: dict[str, Callable[[], dict[str, Any]]] = {
    "approvals": approvals.run,
    "derive": derive.run,
    "detect": detect.run,
    "evaluate": evaluate.run,
    "field": field.run,
    "first_decision": first_decision.run,
    "gateway": gateway.run,
    "imports": imports.run,
    "stalls": stalls.run,
    "startup": startup.run,
    "work": work.run,
}


SUBMIT_PATH, COMMANDS = "submit-path", "commands"


def main() -> None:
    """Run the named benches (without names all that need no option); print the results."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("names", nargs="*", metavar="bench")
    parser.add_argument("--against", type=Path, help="a checkout of an older commit")
    parser.add_argument("--rounds", type=int, default=submit_path.ROUNDS)
    parser.add_argument("--data", type=Path, help="a file of labelled commands")
    options = parser.parse_args()
    benches = dict(BENCHES)
    if options.data is not None:
        benches[COMMANDS] = lambda: commands.run(options.data)
    if options.against is not None:
        benches["stalls"] = lambda: stalls.run(options.against)
        benches["derive"] = lambda: derive.run(options.against)
        benches[SUBMIT_PATH] = lambda: submit_path.run(options.against, options.rounds)
    names = options.names or list(BENCHES)
    if SUBMIT_PATH in names and options.against is None:
        parser.error(f"{SUBMIT_PATH} needs --against DIR")
    if COMMANDS in names and options.data is None:
        parser.error(f"{COMMANDS} needs --data FILE")
    unknown = [name for name in names if name not in benches]
    if unknown:
        parser.error(f"no such bench: {', '.join(unknown)}; there are {', '.join(benches)}")
    RESULTS.mkdir(exist_ok=True)
    for name in names:
        _keep(name, benches[name])


def _keep(name: str, bench: Callable[[], dict[str, Any]]) -> None:
    """Run one bench; its results into a file and onto the terminal."""
    result = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        **bench(),
    }
    (RESULTS / f"{name.replace('-', '_')}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"== {name}")
    print(result.get("table") or json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
