"""Strict reading: every mistake is an error at its place, with the key that was meant."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.facts.origin import Origin
from forestall.policy import (
    Effect,
    PolicyError,
    Request,
    compile_policy,
    evaluate,
    explain,
    load_policy,
)
from forestall.policy.rules import Budgets

GUIDE = b"""rules:
  - id: deny-destructive-exec
    decision: deny
    reason: "destructive command class blocked"
    match:
      topics: ["job.exec.*"]
      labels: {command_class: "destructive"}
  - id: require-approval-prod-write
    decision: require_approval
    reason: "human review required for prod write"
    match:
      topics: ["job.deploy.*"]
      labels: {env: "prod"}
      capabilities: ["infra.write"]
"""


def problems_of(text: str | bytes) -> list[tuple[int, int, str, str]]:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(PolicyError) as caught:
        load_policy(data, source="p.yaml")
    return [(p.line, p.column, p.message, p.hint) for p in caught.value.problems]


def rule(body: str) -> str:
    return f"rules:\n  - id: x\n    decision: deny\n    match: {{topics: [a]}}\n{body}"


def test_the_rules_of_the_guide_load_unchanged() -> None:
    policy = load_policy(GUIDE)
    assert [rule.id for rule in policy.rules] == [
        "deny-destructive-exec",
        "require-approval-prod-write",
    ]
    assert policy.rules[1].effect is Effect.REQUIRE_APPROVAL
    assert policy.rules[1].match.labels == (("env", ("prod",)),)
    assert policy.rules[0].line == 2


@pytest.mark.parametrize(
    ("text", "line", "column", "words", "hint"),
    [
        ("ruels: []", 1, 1, "unknown key `ruels`", "did you mean `rules`?"),
        (rule("    raeson: b"), 5, 5, "unknown key `raeson`", "did you mean `reason`?"),
        (
            "rules:\n  - id: x\n    decision: deny\n    match: {topcis: [a]}",
            4,
            13,
            "unknown key `topcis`",
            "did you mean `topics`?",
        ),
        ("rules:\n  - id: x\n    decision: dney\n    match: {topics: [a]}", 3, 15, "dney", "deny"),
        ("rules:\n  - id: x\n    match: {topics: [a]}", 2, 5, "no `decision`", "allow"),
        ("rules:\n  - id: x\n    decision: deny", 2, 5, "no `match`", "*"),
        ("rules:\n  - id: x\n    decision: deny\n    match: {}", 4, 12, "empty `match`", "*"),
        ("rules:\n  - decision: deny\n    match: {topics: [a]}", 2, 5, "no `id`", ""),
        (rule("") + "  - id: x\n    decision: deny\n    match: {topics: [b]}", 5, 9, "twice", "2"),
        ("rules:\n  - id: x\n    decision: deny\n    match: {topics: ['[a']}", 4, 22, "glob", ""),
        ("rules:\n  - id: x\n    decision: deny\n    match: {topics: a}", 4, 21, "list", "[a, b]"),
        ("rules:\n  - id: x\n    decision: deny\n    match: {topics: []}", 4, 21, "empty", ""),
        ("rules:\n  - id: x\n    decision: deny\n    match: {topics: }", 4, 13, "no value", ""),
        (
            "rules:\n  - id: x\n    decision: deny\n    match: {actor_types: [robot]}",
            4,
            26,
            "unknown actor type",
            "",
        ),
        (rule("    constraints: {budgets: {max_retries: 1}}"), 5, 5, "bind nobody", ""),
        ("rules: {a: b}", 1, 8, "list of mappings", ""),
        ("- a", 1, 1, "a policy file is a mapping", ""),
        ("", 1, 1, "empty", "rules"),
        ("name: x", 1, 1, "no `rules`", ""),
        ("default_decision: throttle", 1, 19, "unknown default_decision", ""),
        ("rules: []\nlabels: {env: {trust: me}}", 2, 23, "unknown trust `me`", ""),
        ("rules: []\nlabels: {env: {}}", 2, 10, "says no `trust`", ""),
        ("rules: []\nderive: [{topics: [a]}]", 2, 10, "needs a `kind`", ""),
        ("rules: []\npriority: high", 2, 11, "whole number", ""),
        ("rules: []\ntests: [{request: {topic: a}, want: {decision: dney}}]", 2, 48, "dney", ""),
        ("a: 1\na: 2", 2, 1, "written twice", "first on line 1"),
        ("a: &x 1", 1, 4, "anchors", "write the value out"),
        ("a: *x", 1, 4, "aliases", "write the value out"),
        ("a: !!str 1", 1, 4, "tag", "leave it out"),
        ("a:\n\tb: 1", 2, 1, "not YAML", "spaces, not tabs"),
        ("--- {}\n--- {}", 2, 1, "one document", ""),
        ("[" * 60, 1, 25, "nested deeper", ""),
        (b"rules: \xff", 1, 8, "UTF-8", ""),
    ],
)
def test_each_mistake_has_its_place(
    text: str | bytes, line: int, column: int, words: str, hint: str
) -> None:
    problems = problems_of(text)
    assert any(
        (at_line, at_column) == (line, column) and words in message and hint in said
        for at_line, at_column, message, said in problems
    ), problems


def test_one_run_shows_all_mistakes() -> None:
    text = (
        "rulez: []\nrules:\n  - id: a\n    decison: deny\n    match: {tpoics: [x]}\n"
        "  - id: a b\n    decision: alow\n    match: {topics: ['[']}\n"
    )
    assert len(problems_of(text)) == 7


def test_the_rendering_points_at_the_place() -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(b"rules:\n  - id: x\n    decison: deny\n    match: {topics: [a]}\n", source="p")
    text = caught.value.render()
    assert "p:3:5: unknown key `decison` in a rule" in text
    assert "    3 |     decison: deny\n      |     ^^^^^^^\n" in text
    assert "did you mean `decision`?" in text


def test_a_terminal_does_not_obey_a_policy_file() -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(b'"\\e[2J": 1' + "\n# \u202e\nx: 1\n".encode(), source="p")
    assert "\x1b" not in caught.value.render()


def test_plain_words_mean_what_they_say() -> None:
    """`on`, `no` and `1.0` are not turned into booleans and numbers behind the author's back."""
    policy = load_policy(
        b"rules:\n  - id: x\n    decision: deny\n"
        b"    match: {labels: {a: on, b: [no, 1.0], c: 'null'}}\n"
    )
    assert policy.rules[0].match.labels == (("a", ("on",)), ("b", ("no", "1.0")), ("c", ("null",)))


def test_an_allow_with_constraints_is_named_so() -> None:
    policy = load_policy(
        b"rules:\n  - id: x\n    decision: allow\n    match: {topics: [a]}\n"
        b"    constraints: {budgets: {max_retries: 2}, sandbox: {network_allowlist: []}}\n"
    )
    constraints = policy.rules[0].constraints
    assert policy.rules[0].effect is Effect.ALLOW_WITH_CONSTRAINTS
    assert constraints is not None
    assert constraints.budgets == Budgets(max_retries=2)
    assert constraints.sandbox.network_allowlist == ()


def test_two_files_may_not_share_a_rule_id_or_a_name() -> None:
    one = load_policy(GUIDE, source="one.yaml")
    two = load_policy(GUIDE, source="two.yaml")
    with pytest.raises(PolicyError, match="used twice"):
        compile_policy([one, two])
    with pytest.raises(PolicyError, match="two files are named"):
        compile_policy([load_policy(b"name: x\nrules: []"), load_policy(b"name: x\nrules: []")])


def test_label_trust_is_read() -> None:
    policy = load_policy(b"rules: []\nlabels: {env: {trust: credential}}")
    assert policy.label_trust == {"env": Origin.CREDENTIAL}


@given(st.binary(max_size=400))
def test_any_bytes_give_a_policy_or_a_policy_error(data: bytes) -> None:
    assert rendered(data) is not None


WORDS_OF_YAML = "rules: ,- id: x,decision: deny,match:,{,},[,],topics:,&a,*a,<<:,',\",>,?,\t,  ,\n"
YAML_WORDS = st.sampled_from([*WORDS_OF_YAML.split(","), "# c", "!!t", "labels:", "a", "~", "---"])


@given(st.lists(YAML_WORDS, max_size=40).map("".join))
def test_any_yaml_gives_a_policy_or_a_policy_error(text: str) -> None:
    assert rendered(text.encode()) is not None


def rendered(data: bytes) -> str:
    """What a person is told of a policy text: nothing, or its problems; never another error."""
    try:
        load_policy(data)
    except PolicyError as error:
        return error.render()
    return ""


def test_a_rule_keeps_its_owner_and_decimals_stay_numbers() -> None:
    policy = load_policy(
        b"rules:\n  - id: x\n    decision: deny\n    owner: team-a\n    severity: high\n"
        b"    match: {args: {$.amount: {gt: 5.5}}}\n"
    )
    assert (policy.rules[0].owner, policy.rules[0].severity) == ("team-a", "high")
    assert policy.rules[0].match.args[0].operand == 5.5


def test_an_instant_without_a_time_zone_is_a_rule_error() -> None:
    """Python would read it as a wall clock of the machine, and decide by where that stands."""
    snapshot = compile_policy(
        load_policy("rules:\n  - {id: a, decision: allow, match: {time: {days: [mon]}}}\n")
    )
    for instant in (datetime(2026, 1, 5, 12), datetime(2026, 1, 6, 12)):  # noqa: DTZ001
        decision = evaluate(snapshot, Request(topic="job.a"), now=instant)
        assert (decision.decision, decision.code) == (Effect.DENY, "rule_error")
        assert "rule `a`: the instant of the decision has no time zone" in decision.errors
        assert explain(snapshot, Request(topic="job.a"), now=instant).decision == decision
