"""Output rules are read strictly, and everything of them is in the digest."""

import pytest

from forestall.policy.compile import compile_policy
from forestall.policy.language.policy_file import load_policy
from forestall.policy.problems import PolicyError
from tests.unit.policy.language.test_cordum_hints import problem

HEAD = "output_rules:\n"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{id: a, decision: redact}", "the rule has no `match`"),
        ("{id: a, match: {detectors: [secret]}}", "the rule has no `decision`"),
        ("{decision: allow, match: {topics: [a]}}", "an output rule has no `id`"),
        ("{id: a, decision: deny, match: {topics: [a]}}", "unknown decision `deny`"),
        ("{id: a, decision: allow, match: {}}", "an empty `match`"),
        ("{id: a, decision: allow, match: {detectors: [secrets]}}", "unknown detector `secrets`"),
        ("{id: a, decision: allow, match: {detectors: []}}", "`detectors` is empty"),
        ("{id: a, decision: allow, match: {patterns: ['(']}}", "not a pattern that RE2 takes"),
        ("{id: a, decision: allow, match: {patterns: ['x*']}}", "holds of the empty text"),
        ("{id: a, decision: allow, match: {keywords: [' ']}}", "a keyword without any character"),
        ("{id: a, decision: allow, match: {size_gt: -1}}", "`size_gt` is a whole number"),
        ("{id: a, decision: allow, match: {sizes: 1}}", "unknown key `sizes` in `match`"),
        ("{id: a, decision: allow, match: {topics: [a]}, throttle: {}}", "unknown key `throttle`"),
        ("{id: a, decision: allow, match: {topics: [a]}, severity: mild}", "unknown severity"),
        (
            "{id: a, decision: allow, match: {topics: [a]}, unless: {keywords: [b]}}",
            "unknown key `keywords` in `unless`",
        ),
    ],
)
def test_a_mistake_is_named_at_its_place(rule: str, message: str) -> None:
    """Line 2, where the rule stands."""
    with pytest.raises(PolicyError) as caught:
        load_policy(f"{HEAD}  - {rule}\n".encode())
    assert {one.line for one in caught.value.problems} == {2}
    assert any(message in one.message for one in caught.value.problems), caught.value.problems


def test_a_rule_id_is_one_over_all_kinds_of_rules() -> None:
    text = f"rules:\n  - {{id: a, decision: allow, match: {{topics: [a]}}}}\n{HEAD}"
    found = problem(f"{text}  - {{id: a, decision: allow, match: {{topics: [a]}}}}\n")
    assert "used twice" in found.message


def test_a_case_of_a_result_wants_a_verdict() -> None:
    text = f"{HEAD}  - {{id: a, decision: allow, match: {{topics: [a]}}}}\ntests:\n"
    case = "  - {request: {topic: a}, result: {}, want: {decision: allow}}\n"
    assert "wants a `verdict`" in problem(text + case).message
    case = "  - {request: {topic: a}, want: {verdict: allow}}\n"
    assert "on a `result`" in problem(text + case).message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("decision: allow", "decision: redact"),
        ("detectors: [secret]", "detectors: [personal_data]"),
        ("size_gt: 5", "size_gt: 6"),
        ("topics: [b]", "topics: [c]"),
        ("internal_hosts: [a.example]", "internal_hosts: [b.example]"),
    ],
)
def test_the_digest_covers_all_of_it(one: str, other: str) -> None:
    text = (
        f"{HEAD}  - {{id: a, decision: allow, match: {{detectors: [secret], size_gt: 5}},"
        " unless: {topics: [b]}}\ndetect: {internal_hosts: [a.example]}\n"
    )
    assert one in text
    digests = {
        compile_policy(load_policy(each.encode(), source="p")).digest
        for each in (text, text.replace(one, other))
    }
    assert len(digests) == 2
