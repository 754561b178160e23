"""What an approver is shown, attacked: an agent writes the texts, and must not write the screen."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.cli.approval_view import rendered
from forestall.cli.output import print_json
from forestall.limits import RETRIES_DEFAULT
from forestall.visible import visible

HASH = "b71e" * 16
ESC, RLO, CSI, BEL = "\x1b", "\u202e", "\x9b", "\x07"
ATTACKS = {
    "colour": f"{ESC}[8mrm -rf /{ESC}[0m echo hello",
    "c1": f"{CSI}2Jgone",
    "title": f"{ESC}]0;approved{BEL}",
    "link": f"{ESC}]8;;https://evil.example{ESC}\\click{ESC}]8;;{ESC}\\",
    "right-to-left": f"echo {RLO}/ fr- mr",
    "isolate": "\u2066\u2067rm\u2069",
    "carriage return": "rm -rf /\recho hi   ",
    "backspace": "rm -rf /\b\b\b\b\b\b\b\becho ok",
    "new line": f"ls\n  job hash     {'0' * 64}\nfine",
    "line separator": f"ls\u2028  job hash     {'0' * 64}",
    "next line": f"ls\x85  job hash     {'0' * 64}",
    "wrapped": "ls" + " " * 600 + f"  job hash     {'0' * 64}",
    "wide": "\u3000" * 200 + "字" * 200,
    "invisible": "rm\u200b -rf\u2060 /\ufeff\u3164\u2800\u00ad",
    "tag": "\U000e0041\U000e0042",
    "surrogate": "\ud800",
    "nul": "a\0b",
    "delete": "rm -rf /\x7f\x7f",
}
OURS = (
    "topic",
    "capability",
    "asked by",
    "rule",
    "why",
    "job hash",
    "policy",
    "who approves",
    "time left",
)


def context(text: str = "roll out") -> dict[str, Any]:
    """An approval as the server describes it, with one text wherever a client may put one."""
    return {
        "approval": {
            "job_id": "77aa",
            "approval_status": "pending",
            "approval_actionability": "actionable",
            "policy_rule_id": "ask",
            "policy_reason": text,
            "changes": [text],
            "first_asked_at": "2026-01-01T00:00:00Z",
            "demands": [{"roles": ["security"], "quorum": 2}],
            "votes": [
                {
                    "principal": "bob",
                    "decision": "approve",
                    "at": "2026-06-01T12:00:00Z",
                    "saw_hash": True,
                    "reason": text,
                    "note": text,
                    "roles": ["security"],
                }
            ],
            "submitted_by": "agent",
        },
        "job_hash": HASH,
        "policy_snapshot": "3f9c" * 16,
        "will_run": {
            "topic": "job.deploy.apply",
            "capability": text,
            "pack_id": text,
            "principal": "agent",
            "actor_id": text,
            "actor_type": "service",
            "priority": "batch",
            "requires": [text],
            "risk_tags": [text],
            "tags": [text],
            "labels": {text: text},
            "tool_call": {"server": text, "tool": text, "args": {text: text}},
            "budget": None,
            "idempotent": False,
            "max_retries": 3,
        },
        "job_input": {"prompt": text, "context": {text: [text, 1, None]}},
        "constraints": {"budgets": {"max_runtime_ms": 60_000}, "note": text},
        "facts": {text: text},
        "drift": [],
        "registry": [{"kind": "topic", "name": text, "revision": 2}],
        "time_remaining_ms": 3_600_000,
        "prior_approvals": [],
    }


def test_everything_that_runs_is_shown() -> None:
    shown = rendered(context(), width=100)
    for word in (*OURS, HASH, "roll out", "max_runtime_ms", "2 with the role security", "1 h"):
        assert word in shown, shown


def test_a_job_that_says_nothing_of_retries_shows_the_default() -> None:
    silent = context()
    silent["will_run"]["max_retries"] = None
    assert f"  retries      {RETRIES_DEFAULT}\n" in rendered(silent, width=100)


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_no_text_of_an_agent_moves_the_cursor_or_fakes_a_line(text: str) -> None:
    """No control or format character; each of our lines once; no line longer than the screen."""
    for width in (60, 100):
        lines = rendered(context(text), width=width).split("\n")
        assert_harmless(lines, width)
        hashes = [line for line in lines if line.startswith("  job hash")]
        assert hashes == [f"  job hash     {HASH}"] if width == 100 else len(hashes) == 1
        for name in OURS:
            assert sum(line.startswith(f"  {name}") for line in lines) == 1, name


@given(st.text(max_size=200))
def test_any_text_is_harmless(text: str) -> None:
    """Whatever the characters: printable lines, each of ours once."""
    lines = rendered(context(text), width=80).split("\n")
    assert_harmless(lines, 80)
    for name in OURS:
        assert sum(line.startswith(f"  {name}") for line in lines) == 1


def assert_harmless(lines: list[str], width: int) -> None:
    for line in lines:
        assert line.isprintable(), line
        assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co") for char in line)
        columns = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)
        assert columns <= width, line


def test_what_is_hidden_is_named() -> None:
    """The approver sees that something was there, and what."""
    assert visible(f"a{ESC}[1m{RLO}b") == "a<U+001B>[1m<U+202E>b"
    shown = rendered(context(ATTACKS["invisible"]), width=100)
    assert "<U+200B>" in shown
    assert "would hide or reorder" in shown
    assert "right-to-left letters" in rendered(context("שלום rm"), width=100)
    assert "!" not in rendered(context(), width=100)


def test_the_prompt_keeps_its_lines() -> None:
    shown = rendered(context("one\ntwo"), width=100)
    assert "\n  | one\n  | two\n" in shown


def test_drift_is_said_first_and_last() -> None:
    asked = context()
    asked["drift"] = ["policy: 3f9c became 77aa"]
    shown = rendered(asked, width=100)
    assert "policy: 3f9c became 77aa" in shown
    assert "cannot be approved as it stands" in shown


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_json_for_a_terminal_is_harmless_too(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` says the same values, with what a terminal would obey escaped."""
    print_json(context(text))
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.split("\n"))
    assert json.loads(out) == context(text)
