"""How good the detector of orders to a model is, and what it costs alone."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from forestall.output.detectors import DETECTORS
from forestall.output.scan import scan

_FAMILIES = Path(__file__).with_name("injection_families.yaml")
_ORDERS = (DETECTORS["prompt_injection"],)
# Requests that are orders only because of where they stand say nothing that a pattern could know.
_BARE = "tool_result/embedded_request"


def labelled(folder: Path) -> list[dict[str, Any]]:
    """Rows of other projects: half of them were looked at while tuning, the other half was not."""
    if not folder.is_dir():
        return []
    rows = list(_rows(folder / "injection.jsonl"))
    cards = [
        _card("looked at while tuning", filter(_looked_at, rows)),
        _card("held out", (row for row in rows if not _looked_at(row))),
        _card("all", rows),
    ]
    held = [row for row in rows if not _looked_at(row)]
    cards += [
        _card("held out: in results and documents", filter(_in_result, held)),
        _card("held out: typed by users", (r for r in held if r["group"].startswith("user"))),
    ]
    others = [
        {**row, "label": "benign"}
        for name in ("secrets_negatives", "secrets_positives", "pii")
        for row in _rows(folder / f"{name}.jsonl")
    ]
    return [*cards, _card("rows about secrets and people", others)]


def families() -> list[dict[str, Any]]:
    """Recall on families of attacks that nobody tuned for; see the head of their file."""
    written = yaml.safe_load(_FAMILIES.read_text(encoding="utf-8"))["families"]
    found = {
        name: sum(bool(scan(text, detectors=_ORDERS).findings) for text in texts)
        for name, texts in written.items()
    }
    orders = {name: len(texts) for name, texts in written.items()}
    return [
        *(_family(name, found[name], orders[name]) for name in written),
        _family("all", sum(found.values()), sum(orders.values())),
    ]


def _family(name: str, found: int, orders: int) -> dict[str, Any]:
    return {
        "family that nobody tuned for": name,
        "orders": orders,
        "found": found,
        "recall": round(100 * found / orders, 1),
    }


def speed(texts: Mapping[str, Callable[[int], str]]) -> list[dict[str, Any]]:
    """MB/s of this detector alone."""
    rows = []
    for name, make in texts.items():
        content = make(1_000_000).encode()
        scan(content[:100_000], detectors=_ORDERS)
        started = time.process_time()
        scan(content, detectors=_ORDERS)
        rate = len(content) / (time.process_time() - started) / 1e6
        rows.append({"text": name, "prompt_injection, MB/s": round(rate, 1)})
    return rows


def _in_result(row: dict[str, Any]) -> bool:
    return not row["group"].startswith("user") and row["group"] != _BARE


def _card(name: str, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    orders = found = benign = alarms = 0
    for row in rows:
        alarm = bool(scan(row["text"], detectors=_ORDERS).findings)
        if row["label"] == "injection":
            orders, found = orders + 1, found + alarm
        else:
            benign, alarms = benign + 1, alarms + alarm
    precision = found / (found + alarms) if found + alarms else 0.0
    recall = found / orders if orders else 0.0
    return {
        "rows": name,
        "orders": orders,
        "precision": round(100 * precision, 1) if orders else "",
        "recall": round(100 * recall, 1) if orders else "",
        "F1": round(200 * precision * recall / (precision + recall or 1), 1) if orders else "",
        "alarms on benign": f"{alarms}/{benign}",
    }


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        yield json.loads(line)


def _looked_at(row: dict[str, Any]) -> bool:
    return hashlib.sha256(row["id"].encode()).digest()[0] < 128
