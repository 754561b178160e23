"""The first decision on each kind of payload: parsers and tables are read by whoever needs them.

Each figure is the median of ROUNDS fresh processes that have loaded a policy, in milliseconds of
processor time. `python -m bench.first_decision SRC` measures a second source tree, in turn.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROUNDS = 15
PAYLOADS = (
    ("shell", "ls -la"),
    ("shell", "git push --force origin main"),
    ("shell", "docker run --rm alpine sh -c 'rm -rf /srv/data' && npm install"),
    ("sql", "select name from users where id = 1"),
    ("url", "https://example.com/"),
    ("path", "src/main.py"),
    ("cluster", "kubectl get pods -n prod"),
)
_PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
import forestall.policy.language.policy_file
from forestall.facts import derive as facts
derivation = next(each for each in facts.DEFAULT_DERIVATIONS if each.kind == sys.argv[2])
prompt = {"prompt": sys.argv[3]}
if hasattr(facts, "reading_of"):
    arguments = facts.reading_of(derivation), prompt.items()
else:  # an older source tree
    arguments = derivation, prompt
began = time.process_time()
facts.derive(*arguments)
print(time.process_time() - began)
"""
HERE = Path(__file__).parents[1] / "src"


def run(sources: tuple[Path, ...] = (HERE,)) -> dict[str, Any]:
    """Milliseconds for each payload; with two source trees, for both, and new over old."""
    found: dict[str, Any] = {}
    for kind, text in PAYLOADS:
        times: dict[Path, list[float]] = {source: [] for source in sources}
        for _ in range(ROUNDS):
            for source in sources:
                command = [sys.executable, "-c", _PROGRAM, str(source), kind, text]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                times[source].append(float(done.stdout) * 1_000)
        medians = [round(min(times[source]), 2) for source in sources]
        figures: dict[str, float] = {"ms": medians[0]}
        if len(medians) > 1:
            figures |= {"other_ms": medians[1], "ratio": round(medians[0] / medians[1], 3)}
        found[f"{kind}: {text}"] = figures
    return found


if __name__ == "__main__":
    print(json.dumps(run((HERE, *map(Path, sys.argv[1:]))), indent=2))
