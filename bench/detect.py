"""How good detectors are and what a scan costs.

Quality on samples of our own (drawn, with placeholders and stumps as what must not be found) and on
labelled rows of other projects, in the folder that FORESTALL_LABELLED names: half of these rows
were looked at while tuning, the other half was not; both are given. Alarms are counted in drawn
logs. Speed is CPU time, all detectors, warm.
"""

import hashlib
import json
import os
import random
import string
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.unit.output.samples import SECRETS, drawn, dull, short

from bench import detect_injection, detect_logs, detect_personal
from forestall.output.detectors import DETECTORS
from forestall.output.findings import Detector
from forestall.output.scan import scan

LABELLED = Path(os.environ.get("FORESTALL_LABELLED", "labelled"))
SEED = 20261122
ALL = tuple(DETECTORS.values())


def run() -> dict[str, Any]:
    """The tables."""
    speed = _speed()
    families = _families()
    labelled = _labelled()
    alarms = detect_logs.alarms()
    log = _filled(_log_line, random.Random(SEED), 100_000)
    personal = detect_personal.own(log)
    people = detect_personal.labelled(LABELLED / "pii.jsonl")
    orders = detect_injection.labelled(LABELLED)
    untuned = detect_injection.families()
    alone = detect_injection.speed(_texts(random.Random(SEED)))
    tables = (speed, families, labelled, alarms, personal, people, orders, untuned, alone)
    return {
        "speed": speed,
        "own": families,
        "labelled": labelled,
        "alarms without a secret": alarms,
        "personal data, own": personal,
        "personal data, labelled": people,
        "orders to a model, labelled": orders,
        "orders to a model, untuned families": untuned,
        "orders to a model, speed": alone,
        "table": "\n\n".join(_table(each) if each else "no labelled data" for each in tables),
    }


# -- speed --


def _texts(chance: random.Random) -> dict[str, Callable[[int], str]]:
    return {
        "log": lambda size: _filled(_log_line, chance, size),
        "JSON": lambda size: _filled(_json_line, chance, size),
        "JSON, all names of secrets": lambda size: _filled(_named_line, chance, size),
        "source": lambda size: _cut(_source(), size),
        "prose": lambda size: _cut(_prose(), size),
        "one letter": lambda size: "a" * size,
        "hostile: random letters": lambda size: _random(chance, size),
        "hostile: escapes": lambda size: _cut("a\\n%41&#x41;", size),
        "hostile: base64 in lines": lambda size: _cut("dGhlIHRva2VuIGlzIG5vdCBoZXJl\n", size),
        "hostile: keywords": lambda size: _soup(chance, size),
    }


def _speed() -> list[dict[str, Any]]:
    return [
        {"text": name, "size": label, "MB/s": _rate(make(size))}
        for name, make in _texts(random.Random(SEED)).items()
        for label, size in (("1 KB", 1_000), ("100 KB", 100_000), ("10 MB", 10_000_000))
        if size < 10_000_000 or not name.startswith("hostile: keywords")
    ]


def _rate(text: str) -> float:
    content = text.encode()
    rounds = max(1, 200_000 // len(content))
    scan(content[:100_000], detectors=ALL)
    started = time.process_time()
    for _ in range(rounds):
        scan(content, detectors=ALL)
    return round(rounds * len(content) / (time.process_time() - started) / 1e6, 1)


def _filled(line: Callable[[random.Random], str], chance: random.Random, size: int) -> str:
    lines = [line(chance) for _ in range(min(2_000, size // 60 + 1))]
    return _cut("\n".join(lines) + "\n", size)


def _log_line(chance: random.Random) -> str:
    return (
        f"2026-01-{chance.randrange(1, 28):02} 12:00:00 INFO service={chance.randrange(9)}"
        f" path=/api/v1/jobs/{chance.getrandbits(64):x} status=200 token accepted for alice"
    )


def _json_line(chance: random.Random) -> str:
    row = {
        "id": chance.getrandbits(48),
        "title": "caf\u00e9 order shipped" if chance.random() < 0.2 else "order shipped",
        "status": chance.choice(["open", "closed", "waiting"]),
        "url": f"https://shop.example.org/orders/{chance.getrandbits(32)}",
        "customer": {"name": "Alice Example", "tags": ["new", "eu"], "score": chance.random()},
        "note": "left at the door\nno answer" if chance.random() < 0.2 else None,
    }
    return json.dumps(row)


def _named_line(chance: random.Random) -> str:
    row = {"id": chance.getrandbits(48), "name": "a \u20ac b", "path": "a/b\n", "key": "value"}
    return json.dumps(row)


def _source() -> str:
    folder = Path(json.__file__).parents[1]
    return "".join(path.read_text() for path in sorted(folder.glob("[a-m]*.py")))


def _prose() -> str:
    folder = Path(__file__).parents[1] / "docs"
    return "".join(path.read_text() for path in sorted(folder.rglob("*.md")))


def _random(chance: random.Random, size: int) -> str:
    return _cut("".join(chance.choices(string.ascii_letters + string.digits, k=200_000)), size)


def _soup(chance: random.Random, size: int) -> str:
    words = [word for each in ALL for kind in each.kinds for word in kind.keywords]
    return _cut("".join(chance.choices(words, k=20_000)), size)


def _cut(text: str, size: int) -> str:
    return (text * (size // len(text) + 1))[:size]


# -- quality --


def _families() -> list[dict[str, Any]]:
    """Kinds of secrets on samples of our own: found as anything, and as what they are."""
    seeds = range(20)
    rows = []
    for name, recipe in SECRETS.items():
        texts = [drawn(recipe, seed, words=True) for seed in seeds]
        alone = Detector(
            name="secret",
            kinds=tuple(each for each in DETECTORS["secret"].kinds if each.name == name),
        )
        found = sum(bool(scan(t, detectors=ALL).findings) for t in texts)
        own = sum(bool(scan(t, detectors=(alone,)).findings) for t in texts)
        lures = [dull(recipe), *(short(recipe, seed) for seed in seeds)]
        false = sum(bool(scan(t, detectors=(alone,)).findings) for t in lures)
        precision = own / (own + false) if own + false else 0.0
        recall = own / len(texts)
        rows.append(
            {
                "kind": name,
                "precision": round(100 * precision, 1),
                "recall": round(100 * recall, 1),
                "F1": round(200 * precision * recall / (precision + recall or 1), 1),
                "found by any": f"{found}/{len(texts)}",
                "false": f"{false}/{len(lures)}",
            }
        )
    return rows


def _labelled() -> list[dict[str, Any]]:
    if not LABELLED.is_dir():
        return []
    positives = list(_rows("secrets_positives"))
    negatives = list(_rows("secrets_negatives"))
    return [
        _score(name, [r for r in positives if wanted(r)], [r for r in negatives if wanted(r)])
        for name, wanted in (
            ("looked at while tuning", _looked_at),
            ("held out", lambda row: not _looked_at(row)),
            ("all", lambda row: True),
        )
    ]


def _rows(name: str) -> Iterator[dict[str, Any]]:
    for line in (LABELLED / f"{name}.jsonl").read_text().splitlines():
        yield json.loads(line)


def _looked_at(row: dict[str, Any]) -> bool:
    return hashlib.sha256(row["id"].encode()).digest()[0] < 128


def _score(
    name: str, positives: list[dict[str, Any]], negatives: list[dict[str, Any]]
) -> dict[str, Any]:
    secret = (DETECTORS["secret"],)
    right = wrong = labelled = extra = 0
    for row in positives:
        found = scan(row["text"], detectors=secret).findings
        hit = [
            any(f.start < span["end"] and f.end > span["start"] for f in found)
            for span in row["spans"]
        ]
        right, labelled = right + sum(hit), labelled + len(hit)
        extra += sum(
            not any(f.start < s["end"] and f.end > s["start"] for s in row["spans"]) for f in found
        )
    benign = alarms = 0
    for row in negatives:
        alarm = bool(scan(row["text"], detectors=secret).findings)
        wrong += alarm
        if row["neg_class"] == "benign_real":
            benign, alarms = benign + 1, alarms + alarm
    precision, recall = right / (right + wrong + extra), right / labelled
    return {
        "rows": name,
        "spans": labelled,
        "precision": round(100 * precision, 1),
        "recall": round(100 * recall, 1),
        "F1": round(200 * precision * recall / (precision + recall), 1),
        "alarms on benign": f"{alarms}/{benign}",
    }


def _table(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"|---|{'--:|' * (len(names) - 1)}"]
    lines += [f"| {' | '.join(str(row[name]) for name in names)} |" for row in rows]
    return "\n".join(lines)
