"""µs of processor time to read the facts of one payload, by kind: p50, p99 and the slowest.

The texts are the examples of the tables, the ordinary statements of the tests, and hostile texts of
repeated pieces, each as long as its deriver takes. With `--against DIR`, a checkout of an older
commit, both read the same texts in turn (A B A B) in one run: read the ratios.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROUNDS = 2  # processes of each source tree; a payload's time is its best in all of them
HOSTILE_CHARS = 3_000
HERE = Path(__file__).parents[1]
_TESTS = HERE / "tests"
_PROGRAM = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from forestall.facts.cluster.commands import verbs_in
from forestall.facts.file_paths import paths_in
from forestall.facts.shell.commands import commands_in
from forestall.facts.sql.statements import statements_in
from forestall.facts.urls import urls_in
def measured(kind, dialect, text):
    began = time.process_time_ns()
    try:
        if kind == "sql":
            statements_in(text, dialect=dialect)
        elif kind == "path":
            paths_in([text])
        else:
            {"shell": commands_in, "cluster": verbs_in, "url": urls_in}[kind](text)
    except RecursionError:  # older commits raise it for one of the hostile texts
        pass
    return (time.process_time_ns() - began) / 1_000
payloads = json.load(sys.stdin)
for kind, dialect, text in payloads:
    if len(text) < 2_000:
        measured(kind, dialect, text)
print(json.dumps([measured(*each) for each in payloads]))
"""
# Kind, dialect, how the text begins, and what is repeated.
_HOSTILE = (
    ("sql", "postgres", "SELECT a", "[1]"),
    ("sql", "hive", "SELECT a", ".f(1)"),
    ("sql", "", "SELECT a", "||'b'"),
    ("sql", "postgres", "SELECT ", "("),
    ("shell", "", "echo ", "$("),
    ("shell", "", "echo ", "{a,b}"),
    ("shell", "", "", "ls a;"),
    ("shell", "", "echo ", "'& a'"),
    ("cluster", "", "", "kubectl get a;"),
    ("url", "", "", "http://a/%252e "),
    ("path", "", "", "../a%2e/"),
)


def run(against: Path | None = None) -> dict[str, Any]:
    """The table; with an older checkout also its figures, and new over old."""
    payloads = [*_ordinary(), *_hostile()]
    sources = [HERE, *([against] if against else [])]
    best = {source: [float("inf")] * len(payloads) for source in sources}
    for _ in range(ROUNDS):
        for source in sources:
            times = _times(source, payloads)
            best[source] = [min(pair) for pair in zip(best[source], times, strict=True)]
    groups: dict[str, list[int]] = {}
    for at, (kind, _, text) in enumerate(payloads):
        name = kind if len(text) < HOSTILE_CHARS // 2 else f"{kind}: {text[:12]!r} …"
        groups.setdefault(name, []).append(at)
    rows = []
    for name, places in groups.items():
        row: dict[str, Any] = {"payloads": name, "texts": len(places)}
        for source in sources:
            label = "" if source == HERE else "old_"
            times = sorted(best[source][at] for at in places)
            row |= {
                f"{label}p50_us": round(statistics.median(times)),
                f"{label}p99_us": round(times[int(len(times) * 0.99)]),
                f"{label}max_us": round(times[-1]),
            }
        if against:
            row["ratio_p50"] = round(row["p50_us"] / row["old_p50_us"], 3)
        rows.append(row)
    return {"rounds": ROUNDS, "rows": rows, "table": _table(rows)}


def _ordinary() -> list[tuple[str, str, str]]:
    examples = (_TESTS / "golden" / "facts-of-examples.jsonl").read_text().splitlines()
    rooms = {"shell": "shell", "cluster": "cluster", "hosts": "url", "paths": "path", "sql": "sql"}
    found = [
        (rooms[row["room"]], "", row["text"])
        for row in map(json.loads, examples)
        if row["room"] in rooms
    ]
    statements = _TESTS / "unit" / "facts" / "sql" / "ordinary_statements.txt"
    for line in statements.read_text().splitlines():
        if line and not line.startswith("# "):
            dialect, _, text = line.split("|", 2)
            found.append(("sql", dialect, text))
    return found


def _hostile() -> list[tuple[str, str, str]]:
    return [
        (kind, dialect, start + piece * (HOSTILE_CHARS // len(piece)))
        for kind, dialect, start, piece in _HOSTILE
    ]


def _times(source: Path, payloads: list[tuple[str, str, str]]) -> list[float]:
    command = [sys.executable, "-c", _PROGRAM, str(source / "src")]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, input=json.dumps(payloads)
    )
    times: list[float] = json.loads(done.stdout)
    return times


def _table(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|---|" + "--:|" * (len(names) - 1)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)
