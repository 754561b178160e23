"""`only` closes an object: a member that no rule names is not sent along, in `args` or in the
context."""

from datetime import UTC, datetime
from typing import Any

import pytest

from forestall.policy import PolicyError, Request, compile_policy, evaluate, load_policy
from forestall.policy.lint.weaker import weakened

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = "rules:\n  - {id: r, decision: %s, match: {topics: [job.a], args: {%s}}}\n"
ALL = '"$": {only: [to, body]}'
OTHERS = '"$": {not: {only: [to, body]}}'
HEADERS = "$.headers: {only: []}"
ITEMS = '"$.items[*]": {%s: {only: [sku, count]}}'
NOTHING: Any = object()


def answer(condition: str, args: Any, context: Any = None, decision: str = "allow") -> str:
    snapshot = compile_policy(load_policy(RULES % (decision, condition)))
    request = Request(topic="job.a", args=args, payload={"prompt": "", "context": context})
    decided = evaluate(snapshot, request, now=NOW)
    if decided.code == "rule_error":
        return "error"
    return "holds" if decided.rule_id == "r" else "fails"


@pytest.mark.parametrize(
    ("condition", "args", "expected"),
    [
        (ALL, {"to": 1, "body": 2}, "holds"),
        (ALL, {}, "holds"),
        (ALL, None, "fails"),
        (ALL, {"to": 1, "bcc": 2}, "fails"),
        (ALL, {"to": 1, "To": 2}, "fails"),
        (ALL, {"t\u043e": 1}, "fails"),
        (ALL, {"to\u200b": 1}, "fails"),
        (ALL, {"__proto__": {"to": 1}}, "fails"),
        (ALL, {"": 1}, "fails"),
        (ALL, {"to": {"bcc": 1}}, "holds"),
        (ALL, {f"x{number}": number for number in range(10_000)}, "fails"),
        (ALL, ["to"], "error"),
        (ALL, "to", "error"),
        (ALL, 0, "error"),
        (ALL, False, "error"),
        (HEADERS, {"headers": {}}, "holds"),
        (HEADERS, {"headers": {"Bcc": 1}}, "fails"),
        (HEADERS, {}, "fails"),
        (HEADERS, {"headers": None}, "error"),
        (HEADERS, {"headers": ["Bcc"]}, "error"),
        (ITEMS % "every", {"items": [{"sku": 1}, {"count": 1}]}, "holds"),
        (ITEMS % "every", {"items": [{"sku": 1}, {"hook": 1}]}, "fails"),
        (ITEMS % "every", {"items": [{"sku": 1}, "x"]}, "error"),
        (ITEMS % "any", {"items": [{"hook": 1}, {"sku": 1}]}, "holds"),
        (ITEMS % "none", {"items": [{"hook": 1}]}, "holds"),
        (ITEMS % "none", {"items": [{"hook": 1}, {}]}, "fails"),
        ('"$[*]": {every: {only: [a]}}', [{"a": 1}], "holds"),
        ('"$": {only: [1, "null"]}', {"1": 0, "null": 0}, "holds"),
        ('"$": {only: [{literal: "$x*"}]}', {"$x*": 0}, "holds"),
    ],
)
def test_an_allow_rule(condition: str, args: Any, expected: str) -> None:
    assert answer(condition, args) == expected


@pytest.mark.parametrize(
    ("args", "context", "allowed", "denied"),
    [
        ({"to": 1}, {"bcc": 1}, "fails", "holds"),
        ({}, {"bcc": 1}, "fails", "holds"),
        (None, {"bcc": 1}, "fails", "holds"),
        ({"bcc": 1}, {}, "fails", "holds"),
        ({"to": 1}, {"body": 1}, "holds", "fails"),
        (None, {"to": 1}, "holds", "fails"),
        (None, None, "fails", "fails"),
        ({"to": 1}, ["bcc"], "error", "error"),
        ({"to": 1}, "bcc", "error", "error"),
    ],
)
def test_the_context_counts(args: Any, context: Any, allowed: str, denied: str) -> None:
    assert answer(ALL, args, context) == allowed
    assert answer(OTHERS, args, context, "deny") == denied


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ('"$": {only: to}', "takes a list of names"),
        ('"$": {only: [""]}', "empty name"),
        ('"$": {only: ["x-*"]}', "looks like a glob"),
        ('"$": {only: ["$.to"]}', "looks like a path"),
        ('"$": {only: [[to]]}', "takes a list of names"),
        ('"$": {only: ["@ours"]}', "unknown list"),
        ('"$": {exists: true}', "`$` takes `only`"),
        ('"$": {not: {eq: 1}}', "`$` takes `only`"),
        ('"$": {any: {only: [a]}}', "takes one of"),
        ('"$": {none: {only: [a]}}', "takes one of"),
        ('"$": {count: {only: [a]}}', "takes one of"),
        ('"$.a[*]": {count: {only: [a]}}', "whole numbers"),
        ('"$.a[*]": {only: [a]}', "takes one of"),
        (f'"$": {{only: [{", ".join(map(str, range(1001)))}]}}', "at most 1000"),
        ('"$": {only: [to]}, $.bcc: {exists: true}', "`$.bcc` would have to be there"),
        ('"$": {only: [to]}, "$[0]": {eq: 1}', "would have to be there"),
        ('"$.a": {only: [to], eq: 1}', "two types"),
    ],
)
def test_a_mistake_does_not_load(condition: str, text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        compile_policy(load_policy(RULES % ("deny", condition)))
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "decision", "codes"),
    [
        (ALL, '"$": {only: [to, body, bcc]}', "allow", ["rule_widened"]),
        ('"$": {only: [to, body, bcc]}', ALL, "allow", []),
        (OTHERS, '"$": {not: {only: [to, body, bcc]}}', "deny", ["rule_shrank"]),
        ('"$": {not: {only: [to, body, bcc]}}', OTHERS, "deny", []),
        ("$.bcc: {exists: true}", OTHERS, "deny", []),
        ("$.bcc: {exists: false}", ALL, "allow", []),
    ],
)
def test_a_longer_list_is_weaker(old: str, new: str, decision: str, codes: list[str]) -> None:
    before, after = (compile_policy(load_policy(RULES % (decision, text))) for text in (old, new))
    assert [each.code for each in weakened(before, after)] == codes
    assert before.digest != after.digest


def test_the_report_shows_the_member_that_is_let_through() -> None:
    before, after = (
        compile_policy(load_policy(RULES % ("allow", text)))
        for text in (ALL, '"$": {only: [to, body, bcc]}')
    )
    assert '{"bcc":"x"}' in str(weakened(before, after)[0])
