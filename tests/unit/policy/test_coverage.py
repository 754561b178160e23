"""Cases, files of cases and what they exercise."""

import pytest

from forestall.policy import PolicyError, compile_policy, load_policy
from forestall.policy.coverage import Coverage, measure
from forestall.policy.testing import cases_of, load_cases, run_tests

RULES = """\
rules:
  - {id: stop, decision: deny, match: {topics: ["job.a.*"], labels: {env: prod}}}
  - {id: go, decision: allow, match: {topics: ["job.a.*"]}}
  - {id: never, decision: deny, match: {topics: [job.z], args: {$.n: {gt: 1}}}}
"""


def coverage_of(*cases: str) -> Coverage:
    text = "tests:\n" + "".join(f"  - {case}\n" for case in cases)
    snapshot = compile_policy(load_policy(RULES.encode(), source="p.yaml"))
    file = load_cases(text.encode(), source="cases.yaml")
    assert [outcome.source for outcome in run_tests(snapshot, [file])] == ["cases.yaml"] * len(
        cases
    )
    return measure(snapshot, [case for _, case in cases_of(snapshot, [file])])


def clauses(coverage: Coverage, rule_id: str) -> dict[str, tuple[bool, bool]]:
    (rule,) = [each for each in coverage.rules if each.rule_id == rule_id]
    return {each.field: (each.held, each.decided) for each in rule.clauses}


def test_a_rule_is_exercised_when_it_speaks() -> None:
    coverage = coverage_of(
        "{request: {topic: job.a.b, labels: {env: prod}}, want: {decision: deny, rule_id: stop}}",
        "{request: {topic: job.b}, want: {decision: deny}}",
    )
    assert [(rule.rule_id, rule.spoke) for rule in coverage.rules] == [
        ("stop", 1),
        ("go", 0),
        ("never", 0),
    ]
    assert (coverage.exercised, round(coverage.percent)) == (1, 33)
    assert (coverage.decisions, coverage.default_used) == ({"deny": 2}, 1)


def test_a_clause_decides_when_it_alone_fails() -> None:
    holds = "{request: {topic: job.a.b, labels: {env: prod}}, want: {decision: deny}}"
    beside = "{request: {topic: job.a.b, labels: {env: dev}}, want: {decision: allow}}"
    assert clauses(coverage_of(holds), "stop") == {
        "topics": (True, False),
        "labels.env": (True, False),
    }
    assert clauses(coverage_of(holds, beside), "stop")["labels.env"] == (True, True)
    assert clauses(coverage_of(beside), "stop")["labels.env"] == (False, True)


def test_a_clause_that_cannot_be_evaluated_says_nothing() -> None:
    case = '{request: {topic: job.z, context: {n: "x"}}, want: {decision: deny}}'
    assert clauses(coverage_of(case), "never") == {
        "topics": (False, False),
        "args.$.n": (False, False),
    }


def test_json_is_a_file_of_cases() -> None:
    text = b'{"tests": [{"request": {"topic": "job.b"}, "want": {"decision": "deny"}}]}'
    (case,) = load_cases(text, source="cases.json").tests
    assert (case.name, case.decision.value) == ("line 1", "deny")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("rules: []\n", "unknown key `rules`"),
        ("name: x\n", "there is no case"),
        ("tests: []\n", "there is no case"),
        ("- a\n", "a file of cases is a mapping"),
        ("tests:\n  - {request: {topc: job.a}, want: {decision: deny}}\n", "unknown key `topc`"),
    ],
)
def test_a_file_of_cases_is_read_strictly(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_cases(text.encode(), source="cases.yaml")
    assert message in caught.value.render()


def test_a_case_says_arguments_tool_and_agent() -> None:
    text = """
rules:
  - id: a
    decision: deny
    match: {args: {$.n: {gt: 5}}, mcp: {tools: [t]}, agents: [x], agent_data_classes: [pii]}
  - {id: b, decision: allow, match: {topics: ["*"]}}
tests:
  - request:
      {topic: job.a, args: {n: 6}, mcp: {server: s, tool: t}, agent: x, agent_data_classes: [pii]}
    want: {decision: deny, rule_id: a}
  - request: {topic: job.a, args: {n: 4}, mcp: {tool: t}, agent: x, agent_risk_tier: low}
    want: {decision: allow, rule_id: b}
"""
    outcomes = run_tests(compile_policy(load_policy(text)))
    assert [each.passed for each in outcomes] == [True, True]
    with pytest.raises(PolicyError, match="unknown part `tools`"):
        load_policy(text.replace("mcp: {tool: t}", "mcp: {tools: t}"))
