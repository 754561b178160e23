"""The verdict: first in a layer, strictest across layers, secrets by default, failures withheld."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from forestall.output.clean import clean_copy
from forestall.output.findings import ScanBudget
from forestall.output.scan import scan
from forestall.policy.compile import compile_policy
from forestall.policy.language.policy_file import load_policy
from forestall.policy.output_verdict import OutputRuling, content_type_of, detectors_for, judge
from forestall.policy.problems import PolicyError
from forestall.policy.request import Request
from forestall.policy.rules import Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "ghp_" + "Zq3vN8rT1xK5mB7wY2cD4fG6hJ9kL0pSaUeI"
LET = '  - {id: let, decision: allow, match: {topics: ["*"]}}\n'
LET_SECRETS = "  - {id: let, decision: allow, match: {detectors: [secret]}}\n"
STOP = "  - {id: stop, decision: quarantine, match: {detectors: [secret]}}\n"
CUT = "  - {id: cut, decision: redact, match: {keywords: [heron]}}\n"
CUT_ALL = '  - {id: cut-all, decision: redact, match: {topics: ["job.a"]}}\n'


def ruled(
    *layers: str, result: Any, level: str = "", topic: str = "job.a", labels: Any = None
) -> OutputRuling:
    """The ruling on a result under some layers of output rules."""
    policies = [
        load_policy(f"name: l{number}\npriority: {number}\noutput_rules:\n{text}".encode())
        for number, text in enumerate(layers)
    ]
    snapshot = compile_policy(policies)
    return judge(
        snapshot,
        Request(topic=topic, labels=labels or {}),
        scan(msgspec.json.encode(result), detectors=detectors_for(snapshot, level)),
        content_type=content_type_of(result),
        now=NOW,
        redaction_level=level,
    )


def said(ruling: OutputRuling) -> tuple[str, str, str, int]:
    return ruling.verdict.value, ruling.code, ruling.rule_id, len(ruling.remove)


@pytest.mark.parametrize(
    ("layers", "result", "level", "want"),
    [
        ([], "clean", "", ("allow", "default", "", 0)),
        ([], SECRET, "", ("redact", "default", "", 1)),
        ([LET], SECRET, "", ("allow", "rule", "let", 0)),
        ([LET_SECRETS], SECRET, "", ("allow", "rule", "let", 0)),
        ([LET], SECRET, "none", ("allow", "rule", "let", 0)),
        ([LET], SECRET, "standard", ("redact", "redaction_level", "", 1)),
        ([STOP], SECRET, "", ("quarantine", "rule", "stop", 0)),
        ([STOP], "clean", "", ("allow", "default", "", 0)),
        ([LET + STOP], SECRET, "", ("allow", "rule", "let", 0)),
        ([STOP + LET], SECRET, "", ("quarantine", "rule", "stop", 0)),
        ([LET, STOP], SECRET, "", ("quarantine", "rule", "stop", 0)),
        ([CUT], "heron", "", ("redact", "rule", "cut", 1)),
        ([CUT], f"HERON {SECRET}", "", ("redact", "rule", "cut", 2)),
        ([LET, CUT], f"heron {SECRET}", "", ("redact", "rule", "cut", 2)),
        ([CUT_ALL, CUT], f"heron {SECRET}", "", ("redact", "rule", "cut-all", 2)),
        ([CUT_ALL], "clean", "", ("allow", "default", "", 0)),
    ],
)
def test_the_table(
    layers: list[str], result: str, level: str, want: tuple[str, str, str, int]
) -> None:
    """Verdict, how it came about, the rule, and how many findings go."""
    assert said(ruled(*layers, result=result, level=level)) == want


def test_an_allow_spares_what_it_names_and_nothing_else() -> None:
    """A rule about a code name lets no secret through."""
    spare = "  - {id: spare, decision: allow, match: {keywords: [heron]}}\n"
    assert said(ruled(spare, result=f"heron {SECRET}")) == ("redact", "default", "", 1)


def test_of_several_layers_that_allow_each_has_to_spare_it() -> None:
    """One that is about something else does not widen."""
    spare = "  - {id: spare, decision: allow, match: {keywords: [heron]}}\n"
    assert said(ruled(LET, spare, result=f"heron {SECRET}")) == ("redact", "default", "", 1)


def test_a_claim_can_tighten_and_never_loosen() -> None:
    """A label that a client claims against a stronger origin: the strictest view stands."""
    text = """
labels: {env: {trust: credential}}
output_rules:
  - {id: let, decision: allow, match: {labels: {env: test}}}
"""
    snapshot = compile_policy(load_policy(text.encode()))
    request = Request(topic="job.a", labels={"env": "test"}, credential_labels={"env": "prod"})
    seen = scan(SECRET, detectors=detectors_for(snapshot))
    ruling = judge(snapshot, request, seen, content_type="text/plain", now=NOW)
    assert ruling.verdict.value == "redact"


def test_a_scan_that_is_not_whole_is_withheld_whatever_a_rule_allows() -> None:
    """Not text, too many findings, no time."""
    snapshot = compile_policy(load_policy(f"output_rules:\n{LET}".encode()))
    detectors = detectors_for(snapshot)
    for seen in (
        scan(b"\xff\xfe\xff", detectors=detectors),
        scan(f"{SECRET} " * 9, detectors=detectors, budget=ScanBudget(findings_max=3)),
        scan("x", detectors=detectors, budget=ScanBudget(expired=lambda: True)),
    ):
        ruling = judge(snapshot, Request(topic="job.a"), seen, content_type="text/plain", now=NOW)
        assert (ruling.verdict.value, ruling.code) == ("quarantine", "scan_incomplete")


def test_a_rule_that_cannot_be_evaluated_withholds() -> None:
    """An argument of another type than the rule compares with; the value is not in the reason."""
    rule = "  - {id: big, decision: allow, match: {args: {$.amount: {gt: 5}}}}\n"
    snapshot = compile_policy(load_policy(f"output_rules:\n{rule}".encode()))
    request = Request(topic="job.a", args={"amount": SECRET})
    seen = scan("clean", detectors=detectors_for(snapshot))
    ruling = judge(snapshot, request, seen, content_type="text/plain", now=NOW)
    assert (ruling.verdict.value, ruling.code) == ("quarantine", "rule_error")
    assert SECRET not in ruling.reason


def test_patterns_of_different_rules_do_not_answer_for_each_other() -> None:
    """Each rule has its own words."""
    first = "  - {id: a, decision: quarantine, match: {patterns: ['X[0-9]+'], size_gt: 100}}\n"
    second = "  - {id: b, decision: redact, match: {patterns: ['(Y)[0-9]+']}}\n"
    ruling = ruled(first + second, result="X12 and Y34")
    assert said(ruling) == ("redact", "rule", "b", 1)
    assert ruling.remove[0].end - ruling.remove[0].start == 3  # all of the match, not its group


def test_the_patterns_of_a_snapshot_are_compiled_once() -> None:
    """The same rules give the very same detectors."""
    one, other = (compile_policy(load_policy(f"output_rules:\n{CUT}".encode())) for _ in "ab")
    assert all(a is b for a, b in zip(detectors_for(one), detectors_for(other), strict=True))


MAIL, CARD = "ann@mail.example.org", "4111 1111 1111 1111"
KIND = "  - {id: mails, decision: %s, match: {detectors: [personal_data.email]}}\n"


def test_a_rule_can_name_one_kind_of_a_class() -> None:
    text = f"{MAIL} pays with card {CARD}"
    ruling = ruled(KIND % "redact", result=text)
    assert [finding.kind for finding in ruling.remove] == ["email"]
    assert ruled(KIND % "quarantine", result=f"card {CARD}").verdict.value == "allow"
    assert ruled(KIND % "quarantine", result=text).verdict.value == "quarantine"


def test_what_is_left_of_another_kind_is_no_reason_to_withhold() -> None:
    snapshot = compile_policy(load_policy(f"output_rules:\n{KIND % 'redact'}".encode()))
    text = f"{MAIL} pays with card {CARD}".encode()
    detectors = detectors_for(snapshot)
    seen = scan(text, detectors=detectors)
    remove = [finding for finding in seen.findings if finding.kind == "email"]
    left = [finding for finding in seen.findings if finding.kind != "email"]
    copy = clean_copy(text, remove, detectors=detectors, left=left)
    assert copy is not None
    assert MAIL.encode() not in copy
    assert CARD.encode() in copy
    assert clean_copy(text, remove, detectors=detectors) is None


def test_an_allow_of_one_kind_of_secret_spares_no_other() -> None:
    spare = "  - {id: spare, decision: allow, match: {detectors: [secret.github_oauth_token]}}\n"
    assert ruled(spare, result=SECRET).verdict.value == "redact"


@pytest.mark.parametrize("name", ["personal_data.emial", "personal_data.", "mail.email", "email"])
def test_an_unknown_kind_is_refused(name: str) -> None:
    with pytest.raises(PolicyError, match=f"unknown detector `{name}`"):
        load_policy(f"output_rules:\n{KIND % 'redact'}".replace("personal_data.email", name))


MIXED = f"write to ann.smith@example.org with {SECRET}"
LETTING = '  - {id: let, decision: allow, match: {topics: ["*"]}}\n'


@pytest.mark.parametrize("layers", [[], [LETTING]])
@pytest.mark.parametrize(
    ("level", "removed"),
    [
        ("standard", {"secret"}),
        ("strict", {"secret", "personal_data"}),
    ],
)
def test_each_level_removes_its_classes_whatever_a_rule_allows(
    layers: list[str], level: str, removed: set[str]
) -> None:
    ruling = ruled(*layers, result=MIXED, level=level)
    assert ruling.verdict is Verdict.REDACT
    assert {finding.detector for finding in ruling.remove} == removed


def test_strict_removes_personal_data_where_there_is_no_secret() -> None:
    ruling = ruled(result="write to ann.smith@example.org", level="strict")
    assert said(ruling) == ("redact", "redaction_level", "", 1)
    assert said(ruled(result="write to ann.smith@example.org", level="standard"))[0] == "allow"


def test_layers_that_allow_other_kinds_spare_no_secret_of_each_other() -> None:
    """Two layers allow, each about another kind: what both do not allow is removed."""
    one = "  - {id: one, decision: allow, match: {detectors: [secret.github_personal_token]}}\n"
    two = "  - {id: two, decision: allow, match: {detectors: [personal_data]}}\n"
    assert ruled(one, two, result=MIXED).verdict is Verdict.REDACT
    assert ruled(one, result=MIXED).verdict is Verdict.ALLOW
