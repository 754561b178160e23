"""Detectors of a policy file: beside the built-in classes, tried on their examples."""

from datetime import UTC, datetime

import pytest

from forestall.output.scan import scan
from forestall.policy import PolicyError, Request, compile_policy, evaluate
from forestall.policy.language.policy_file import load_policies, load_policy
from forestall.policy.output_verdict import detectors_for, judge
from forestall.policy.testing import run_tests

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = """\
detectors:
  - name: order_number
    pattern: 'ORD-[0-9]{6}'
    keywords: [ord-]
    examples: {match: ["see «ORD-123456»"], no_match: ["ORD-12"]}
  - name: club_card
    pattern: '[0-9]{16}'
    validator: luhn
    examples: {match: ["card 4111111111111111"], no_match: ["card 4111111111111112"]}
"""
RULES = """\
rules:
  - {id: ok, decision: allow, match: {topics: [job.a]}}
input_rules:
  - {id: in, decision: deny, match: {detectors: [order_number]}}
output_rules:
  - {id: out, decision: redact, match: {detectors: [order_number, club_card]}}
"""


def refusal(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policy(text)
    return caught.value.render()


def test_rules_name_own_detectors() -> None:
    snapshot = compile_policy(load_policy(ORDER + RULES))
    asked = Request(topic="job.a", payload={"prompt": "about ORD-123456"})
    assert evaluate(snapshot, asked, now=NOW).rule_id == "in"
    other = Request(topic="job.a", payload={"prompt": "about ORD-12"})
    assert evaluate(snapshot, other, now=NOW).rule_id == "ok"
    seen = scan(b"ORD-123456 by 4111111111111111", detectors=detectors_for(snapshot))
    ruling = judge(snapshot, other, seen, content_type="text/plain", now=NOW)
    assert (ruling.verdict.value, ruling.rule_id) == ("redact", "out")
    assert sorted(one.detector for one in ruling.remove) == ["club_card", "order_number"]


def test_policy_test_tries_the_examples() -> None:
    outcomes = run_tests(compile_policy(load_policy(ORDER + RULES)))
    assert [each.passed for each in outcomes] == [True] * 4
    wrong = ORDER.replace("see «ORD-123456»", "see «ORD-12345»6").replace('ORD-12"', 'ORD-999999"')
    outcomes = run_tests(compile_policy(load_policy(wrong + RULES)))
    assert [each.passed for each in outcomes] == [False, False, True, True]
    assert outcomes[1].got == "found `ORD-999999`"


def test_two_files_share_a_name_only_with_one_meaning() -> None:
    other = ORDER + "output_rules: [{id: o, decision: redact, match: {detectors: [club_card]}}]\n"
    compile_policy(load_policies([("a", (ORDER + RULES).encode()), ("b", other.encode())]))
    changed = other.replace("{16}", "{15}")
    policies = load_policies([("a", (ORDER + RULES).encode()), ("b", changed.encode())])
    with pytest.raises(PolicyError, match="`club_card` finds other things than in another file"):
        compile_policy(policies)


EXAMPLES = "examples: {match: [a], no_match: [b]}"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (f"{{name: secret, pattern: x, {EXAMPLES}}}", "is no name of an own detector"),
        (f"{{name: Big, pattern: x, {EXAMPLES}}}", "is no name of an own detector"),
        (f"{{name: a, pattern: 'x*', {EXAMPLES}}}", "holds of the empty text"),
        (f"{{name: a, pattern: '(', {EXAMPLES}}}", "not a pattern that RE2 takes"),
        (f"{{name: a, pattern: x, validator: luna, {EXAMPLES}}}", "there is no validator `luna`"),
        (f"{{name: a, pattern: x, keywords: [BIG], {EXAMPLES}}}", "are lower case"),
        ("{name: a, pattern: x}", "a detector has `examples`"),
        ("{name: a, pattern: x, examples: {match: [a]}}", "a detector has `examples`"),
        (f"{{pattern: x, {EXAMPLES}}}", "needs a `name` and a `pattern`"),
        (f"{{name: a, patern: x, {EXAMPLES}}}", "did you mean `pattern`?"),
    ],
)
def test_what_is_no_detector(entry: str, message: str) -> None:
    assert message in refusal(f"rules: []\ndetectors:\n  - {entry}\n")


def test_a_detector_that_is_not_defined_is_unknown() -> None:
    assert "unknown detector `order_number`" in refusal(RULES)
