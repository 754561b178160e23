"""How good the detector of personal data is: on tables of our own, and on labelled data where it
is. A finding is right when it overlaps a labelled place of its own class, as each row says which
classes it was labelled for.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.unit.output.personal import INNOCENT, TABLES, unmarked

from forestall.output.detectors import DETECTORS
from forestall.output.findings import Detector
from forestall.output.scan import scan

PERSONAL_DATA = DETECTORS["personal_data"]
# Labels, and the kinds (by the beginning of their names) that find them.
CLASSES = {
    "EMAIL": "email",
    "PHONE": "phone",
    "CREDIT_CARD": "payment_card",
    "IBAN": "iban",
    "US_SSN": "us_ssn",
    "NATIONAL_ID": "national_id",
    "IP_ADDRESS": "ip_address",
}
_ROUNDS = 40


def own(text: str) -> list[dict[str, Any]]:
    """Each family on its table: places found exactly, and false ones there, in what is innocent
    and in what the other families look for. The speed is
    that of the family alone over `text`."""
    rows = []
    for family, (found, nothing) in TABLES.items():
        right = labelled = wrong = 0
        for each in found:
            plain, places = unmarked(each)
            hits = {(start, end) for start, end, _ in _places(plain, family)}
            right, labelled = right + len(hits & set(places)), labelled + len(places)
            wrong += len(hits - set(places))
        others = (text for name, (some, _) in TABLES.items() if name != family for text in some)
        lures = [*INNOCENT, *nothing, *(unmarked(other)[0] for other in others)]
        wrong += sum(bool(_places(other, family)) for other in lures)
        rows.append(
            {"family": family, **_scores(right, labelled, wrong), "MB/s": _speed(family, text)}
        )
    return rows


def labelled(path: Path) -> list[dict[str, Any]]:
    """Each class on the rows that were looked at while tuning, on the others, and on all."""
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    halves = {"looked at while tuning": [], "held out": [], "all": rows}  # type: dict[str, Any]
    for row in rows:
        halves["looked at while tuning" if _looked_at(row) else "held out"].append(row)
    return [
        {"rows": name, "class": label, "spans": counts[1], **_scores(*counts)}
        for name, some in halves.items()
        for label, counts in _counted(some)
    ]


def _looked_at(row: dict[str, Any]) -> bool:
    return hashlib.sha256(row["id"].encode()).digest()[0] < 128


def _counted(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Of each class, then of all: spans found, spans, findings that are none of them."""
    total = [0, 0, 0]
    for label, family in CLASSES.items():
        counts = [0, 0, 0]
        for row in rows:
            if row["eval_classes"] is not None and label not in row["eval_classes"]:
                continue
            spans = [(s["start"], s["end"]) for s in row["spans"] if s["class"] == label]
            hits = _places(row["text"], family)
            counts[0] += sum(any(s < end and e > start for s, e, _ in hits) for start, end in spans)
            counts[1] += len(spans)
            counts[2] += sum(
                not any(s < end and e > start for start, end in spans) for s, e, _ in hits
            )
        total = [a + b for a, b in zip(total, counts, strict=True)]
        yield label, (counts[0], counts[1], counts[2])
    yield "all", (total[0], total[1], total[2])


def _places(text: str, family: str) -> list[tuple[int, int, str]]:
    found = scan(text, detectors=(PERSONAL_DATA,)).findings
    return [(each.start, each.end, each.kind) for each in found if each.kind.startswith(family)]


def _scores(right: int, labelled: int, wrong: int) -> dict[str, float]:
    precision = right / (right + wrong) if right + wrong else 0.0
    recall = right / labelled if labelled else 0.0
    both = 2 * precision * recall / (precision + recall or 1)
    named = (("precision", precision), ("recall", recall), ("F1", both))
    return {name: round(100 * share, 1) for name, share in named}


def _speed(family: str, text: str) -> float:
    kinds = tuple(kind for kind in PERSONAL_DATA.kinds if kind.name.startswith(family))
    alone = (Detector(name=PERSONAL_DATA.name, kinds=kinds),)
    content = text.encode()
    scan(content, detectors=alone)
    started = time.process_time()
    for _ in range(_ROUNDS):
        scan(content, detectors=alone)
    return round(_ROUNDS * len(content) / (time.process_time() - started) / 1e6, 1)
