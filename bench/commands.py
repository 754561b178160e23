"""How many everyday commands a policy holds that allows only reading, by program.

The rows are labelled commands of a file that is not part of the project, and no result keeps their
texts: {text, topic, want}. `want` lists the acceptable classes. A row passes if its classes lie in
`want`, `read` and `public` and such aside. A row whose `want` begins with `read` should be allowed.
A row that wants no reading and is called `read` all the same is the failure that matters.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from forestall.facts.cluster.commands import verbs_in
from forestall.facts.shell.commands import commands_in

_NO_EFFECT = frozenset(("read", "public", "workspace", "transaction"))
FAMILY_MIN = 3  # rows of a program that gets a line of its own


def run(data: Path) -> dict[str, Any]:
    """The shares: of reads held, of reads in a wrong class, of the others called `read`."""
    rows = list(judged(data))
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        families.setdefault(row["program"], []).append(row)
    named = sorted(name for name, members in families.items() if len(members) >= FAMILY_MIN)
    rest = [row for row in rows if row["program"] not in named]
    table = [_line(name, families[name]) for name in named]
    table += [_line("others", rest), _line("all", rows)]
    lines = ["| program | rows | reads | held | called read | wrong class |", "|" + "---|" * 6]
    lines += ["| " + " | ".join(map(str, line.values())) + " |" for line in table]
    return {"families": table, "table": "\n".join(lines)}


def judged(data: Path) -> Iterator[dict[str, Any]]:
    """Every row, with what the room of its topic finds in it."""
    for line in data.read_bytes().splitlines():
        row = msgspec.json.decode(line)
        facts_in = verbs_in if row["topic"].startswith("job.k8s.") else commands_in
        classes = {str(kind) for one in facts_in(row["text"]) for kind in one.classes}
        reads = row["want"][0] == "read"
        yield {
            "text": row["text"],
            "program": row["text"].split()[0],
            "classes": sorted(classes),
            "reads": reads,
            "held": reads and classes != {"read"},
            "wrongly_read": classes == {"read"} and "read" not in row["want"],
            "passes": classes - _NO_EFFECT <= set(row["want"]),
        }


def _line(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    reads = sum(row["reads"] for row in rows)
    held = sum(row["held"] for row in rows)
    return {
        "program": name,
        "rows": len(rows),
        "reads": reads,
        "held": f"{held} ({held / reads:.0%})" if reads else "0",
        "called read": sum(row["wrongly_read"] for row in rows),
        "wrong class": sum(not row["passes"] for row in rows),
    }
