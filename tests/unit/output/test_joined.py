"""What stands in two texts together and in neither alone, and what only looks like it."""

import hashlib
import json
import random
import uuid
from typing import Any

import pytest

from forestall.output.detectors import DETECTORS
from forestall.output.findings import ScanBudget
from forestall.output.joined import joined_findings, texts_of

SECRET = (DETECTORS["secret"],)
TOKEN = "ghp_" + "Zq3vN8rT1xK5mB7wY2cD4fG6hJ9kL0pSaUeI"
KEY = "AKIA" + "Q7ZL4MX2WPB3RTKD"


def kinds(value: Any) -> list[str]:
    """What is found where the texts of a JSON value touch."""
    groups = texts_of(json.dumps(value).encode())
    report = joined_findings(groups, detectors=SECRET, budget=ScanBudget())
    return [finding.kind for finding in report.findings] if report is not None else []


HALVED = {
    "two elements": [TOKEN[:20], TOKEN[20:]],
    "three, the first its prefix": {"parts": [TOKEN[:4], TOKEN[4:30], TOKEN[30:]]},
    "two fields": {"a": TOKEN[:9], "b": TOKEN[9:]},
    "two depths": {"x": {"y": KEY[:9]}, "z": KEY[9:]},
    "two lists": [[KEY[:3]], [KEY[3:]]],
    "one character each": list(TOKEN),
    "parts of an output": [{"n": 1, "out": KEY[:10]}, {"n": 2, "out": KEY[10:]}],
    "parts with another text between": [{"out": KEY[:8], "to": "b"}, {"out": KEY[8:], "to": "b"}],
    "name and value": ["password:", "Hunter2xyz!"],
    "in the middle of others": {"a": "ok", "b": [f"log in with {TOKEN[:12]}", TOKEN[12:], "bye"]},
    "an empty text between": [KEY[:10], "", KEY[10:]],
}


@pytest.mark.parametrize("value", HALVED.values(), ids=HALVED)
def test_a_halved_secret_is_found(value: Any) -> None:
    assert kinds(value)


WHOLE: dict[str, Any] = {
    "a secret alone, and a neighbour": [TOKEN, "abcdef"],
    "a value at the end of a line": [f"export TOKEN={TOKEN}", "next=1"],
    "one text": TOKEN,
    "no text": [1, None, {"a": []}],
    "white space between": [TOKEN[:20] + " ", TOKEN[20:]],
    "words": ["quick", "token", "secret", "password", "access", "authorization", "bearer", "id"],
    "names and places": [
        {"name": "PATH", "value": "/usr/bin"},
        {"name": "TOKEN_URL", "value": "https://x.example/z"},
        {"name": "PASSWORD_FILE", "value": "/run/secrets/x"},
    ],
}


@pytest.mark.parametrize("value", WHOLE.values(), ids=WHOLE)
def test_texts_that_only_stand_side_by_side_are_no_finding(value: Any) -> None:
    assert kinds(value) == []


def test_lists_of_ids_raise_no_alarm() -> None:
    chance = random.Random(5)
    ids = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(500)]
    hashes = [hashlib.sha256(each.encode()).hexdigest() for each in ids]
    rows = [
        {"id": one, "sha": two, "path": f"/srv/{one}/x.py"}
        for one, two in zip(ids, hashes, strict=True)
    ]
    assert (kinds(ids), kinds(hashes), kinds(rows)) == ([], [], [])


def test_a_code_and_its_message_are_read_together() -> None:
    parts = [["password", "Hunter2xyz!"]]
    budget = ScanBudget()
    for glue, found in (("", False), (": ", True), ("=", True)):
        report = joined_findings(parts, detectors=SECRET, budget=budget, glue=glue)
        assert bool(report is not None and report.findings) is found


def test_a_scan_that_is_not_complete_says_so() -> None:
    budget = ScanBudget(expired=lambda: True)
    report = joined_findings([[TOKEN[:20], TOKEN[20:]]], detectors=SECRET, budget=budget)
    assert report is not None
    assert not report.complete
