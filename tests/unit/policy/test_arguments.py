"""Conditions on lists: what cannot be evaluated denies and says where; an empty list proves
nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest

from forestall.limits import ARG_ELEMENTS_MAX
from forestall.policy import (
    Decision,
    PolicyError,
    Request,
    compile_policy,
    evaluate,
    load_policy,
)
from forestall.policy.explainer import explain

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def policy(condition: str, decision: str = "allow") -> str:
    return (
        "rules:\n"
        f"  - {{id: r, decision: {decision}, match: {{topics: [job.a], args: {{{condition}}}}}}}\n"
    )


def decide(text: str, args: Any) -> Decision:
    request = Request(topic="job.a", args=args)
    return evaluate(compile_policy(load_policy(text)), request, now=NOW)


def answer(condition: str, args: Any) -> str:
    decision = decide(policy(condition), args)
    return "error" if decision.code == "rule_error" else decision.decision.value


OURS = '"$.to[*]": {every: {glob: "*@our.example"}}'
MARKS = '"$.n[*]": {any: {gt: 5}}'
NO_X = '"$.rows[*].kind": {none: {eq: x}}'
NESTED = '"$.rows[*][*]": {every: {le: 9}}'


@pytest.mark.parametrize(
    ("condition", "args", "wanted"),
    [
        (OURS, {"to": ["a@our.example"]}, "allow"),
        (OURS, {"to": ["a@our.example", "b@else.example"]}, "deny"),
        (OURS, {"to": []}, "deny"),
        (OURS, {}, "deny"),
        (OURS, None, "deny"),
        (OURS, {"to": "a@our.example"}, "error"),
        (OURS, {"to": {"0": "a@our.example"}}, "error"),
        (OURS, {"to": None}, "error"),
        (OURS, {"to": ["a@our.example", 5]}, "error"),
        (OURS, {"to": ["a@our.example", ["b@our.example"]]}, "error"),
        (OURS, {"to": [5, "b@else.example", {}]}, "deny"),
        (MARKS, {"n": [1, 6]}, "allow"),
        (MARKS, {"n": [1, "6"]}, "error"),
        (MARKS, {"n": ["6", 7]}, "allow"),
        (MARKS, {"n": [True]}, "error"),
        (MARKS, {"n": [float("nan")]}, "error"),
        (MARKS, {"n": []}, "deny"),
        (NO_X, {"rows": [{"kind": "a"}]}, "allow"),
        (NO_X, {"rows": []}, "allow"),
        (NO_X, {"rows": [{"kind": "a"}, {}]}, "error"),
        (NO_X, {"rows": [{}, {"kind": "x"}]}, "deny"),
        (NO_X, {"rows": [{"kind": "a"}, "x"]}, "error"),
        (NO_X, {}, "deny"),
        ('"$.rows[*].kind": {none: {exists: true, eq: x}}', {"rows": [{}]}, "allow"),
        (NESTED, {"rows": [[1, 2], [3]]}, "allow"),
        (NESTED, {"rows": [[1, 2], [30]]}, "deny"),
        (NESTED, {"rows": [[], []]}, "deny"),
        (NESTED, {"rows": [[1], 2]}, "error"),
        ('"$[*]": {every: {eq: a}}', ["a", "a"], "allow"),
        ('"$.a[*]": {count: 0}', {"a": []}, "allow"),
        ('"$.a[*]": {count: 0}', {}, "deny"),
        ('"$.a[*]": {count: {gte: 1, lte: 2}}', {"a": [0, 0, 0]}, "deny"),
        ('"$.a[*].b": {count: {lt: 2}}', {"a": [{"b": 1}, {}]}, "error"),
        ("$.a: {not: {in: [x, y]}}", {"a": "z"}, "allow"),
        ("$.a: {not: {in: [x, y]}}", {"a": "x"}, "deny"),
        ("$.a: {not: {in: [x, y]}}", {"a": 7}, "error"),
        ("$.a: {not: {in: [x, y]}}", {}, "deny"),
        ('"$.to[*]": {any: {not: {glob: "*@our.example"}}}', {"to": ["a@our.example"]}, "deny"),
        ('"$.to[*]": {any: {not: {glob: "*@our.example"}}}', {"to": ["a@x"]}, "allow"),
        ('$.a: {glob: ["x*", "y*"]}', {"a": "yes"}, "allow"),
    ],
)
def test_quantifiers(condition: str, args: Any, wanted: str) -> None:
    assert answer(condition, args) == wanted


@pytest.mark.parametrize("quantifier", ["every", "any", "none"])
def test_a_huge_array_is_denied_and_not_looked_through(quantifier: str) -> None:
    text = policy(f'"$.a[*][*]": {{{quantifier}: {{eq: 1}}}}', "deny")
    rows = [[0] * 100] * (ARG_ELEMENTS_MAX // 100)
    assert decide(text, {"a": [[1], *rows]}).code == "rule_error"
    assert decide("default_decision: allow\n" + text, {"a": rows}).code != "rule_error"


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ('"$.to[*]": {glob: "*"}', "takes one of `every`"),
        ('$.to: {every: {glob: "*"}}', "takes one of `every`"),
        ('"$.to[*]": {every: {}}', "compares with nothing"),
        ('"$.to[*]": {every: {any: {eq: 1}}}', "stands directly under a path"),
        ('"$.to[*]": {evry: {eq: 1}}', "unknown key `evry`"),
        ('"$.to[*]": {count: {glob: x}}', "compares with whole numbers"),
        ('"$.to[*]": {count: many}', "compares with whole numbers"),
        ('"$.to[*]": {every: [a, b]}', "is a mapping"),
        ("$.a: {not: {not: {eq: 1}}}", "`not` turns a comparison of a value"),
        ("$.a: {not: {exists: true}}", "`not` turns a comparison of a value"),
        ("$.a: {not: x}", "is a mapping"),
        ("$.a: {glob: []}", "takes a text or a list of texts"),
        ('"$.to[**]": {every: {eq: 1}}', "is no step"),
    ],
)
def test_what_cannot_be_meant_is_refused(condition: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(policy(condition))
    assert message in caught.value.render()


def test_a_rule_error_says_which_rule_which_path_and_which_type() -> None:
    snapshot = compile_policy(load_policy(policy(OURS)))
    request = Request(topic="job.a", args={"to": ["secret-value@our.example", 5]})
    explanation = explain(snapshot, request, now=NOW)
    decision = explanation.decision
    assert (decision.code, decision.rule_id) == ("rule_error", "")
    assert decision.reason == (
        "rule `r` could not be evaluated: `$.to[*]` has an element that is of type number"
        " where the rule wants text"
    )
    (clause,) = decision.clauses
    assert clause.field == "args.$.to[*]"
    assert clause.wanted == ("every glob '*@our.example'",)
    (rule,) = explanation.rules
    assert (rule.rule_id, rule.matched, rule.spoke) == ("r", False, False)
    assert clause in rule.failed
    assert "secret-value" not in repr(explanation)


def test_an_exception_that_cannot_be_evaluated_names_its_rule() -> None:
    text = (
        "rules:\n  - {id: r, decision: allow, match: {topics: ['*']},"
        " unless: {args: {$.n: {gt: 1}}}}\n"
    )
    decision = decide(text, {"n": "2"})
    assert "rule `r`" in decision.reason
    assert "`$.n` is of type text" in decision.reason
    assert [clause.field for clause in decision.clauses] == ["unless"]
