"""A payload with many views, under many rules that look into it, is looked into once for each."""

from datetime import UTC, datetime
from typing import Any

import pytest

from forestall.output import scan as scanning
from forestall.output.findings import Scan
from forestall.policy import Request, compile_policy, evaluate, explain, load_policy
from forestall.policy.request import looked_into

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULE = "- {{id: r{}, decision: deny, match: {{topics: ['job.exec.*'], detectors: [secret]}}}}\n"
LABELLED = "- {id: a, decision: allow, match: {topics: ['**'], labels: {command_class: '*'}}}\n"
POLICY = f"rules:\n{LABELLED}input_rules:\n" + "".join(map(RULE.format, range(9)))
COMMANDS = "; ".join(f"program{number} x" for number in range(50))
SECRET = "AKIAQ3EGZKT5MXWB2JNV"


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the texts that were really scanned."""
    seen: list[int] = []
    real = scanning.scan

    def counted(content: bytes, **more: Any) -> Scan:
        seen.append(len(content))
        return real(content, **more)

    monkeypatch.setattr(scanning, "scan", counted)
    return seen


@pytest.mark.parametrize(("prompt", "decision"), [(COMMANDS, "allow"), (SECRET, "deny")])
def test_fifty_views_and_nine_rules_are_one_scan(
    scans: list[int], prompt: str, decision: str
) -> None:
    snapshot = compile_policy(load_policy(POLICY))
    request = Request(topic="job.exec.run", payload={"prompt": prompt, "context": None})
    assert evaluate(snapshot, request, now=NOW).decision == decision
    assert len(scans) == 1
    assert request.memo is None, "the caller's request stays as it was"
    explain(snapshot, request, now=NOW)
    assert len(scans) <= 3


def test_a_payload_that_changed_is_another_question() -> None:
    """Nothing is remembered from one evaluation to the next."""
    snapshot = compile_policy(load_policy(POLICY))
    payload = {"prompt": "ls", "context": None}
    request = Request(topic="job.exec.run", payload=payload)
    assert evaluate(snapshot, request, now=NOW).decision == "allow"
    payload["prompt"] = f"echo {SECRET}"
    assert evaluate(snapshot, request, now=NOW).decision == "deny"
    assert looked_into(request).memo == {}
