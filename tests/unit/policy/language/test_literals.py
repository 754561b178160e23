"""A text that looks like an operator, and a value outside a closed set, are errors."""

import pytest

from forestall.policy import PolicyError, Request, compile_policy, evaluate, load_policy
from forestall.policy.language.literals import operator_hint
from forestall.policy.lint.witness import NOON


def policy(match: str, *, decision: str = "deny") -> str:
    return f"rules:\n  - id: x\n    decision: {decision}\n    match: {{{match}}}\n"


def refusal(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policy(text.encode(), source="p.yaml")
    return caught.value.render()


SETS = {
    "command_class": ("destructve", "destructive"),
    "sql_class": ("raed", "read"),
    "url_host_kind": ("privat", "private"),
    "path_class": ("sekret", "secret"),
    "cluster_class": ("wirte", "write"),
}


@pytest.mark.parametrize("label", SETS)
def test_a_value_outside_its_closed_set(label: str) -> None:
    wrong, right = SETS[label]
    for value in (wrong, f"[read, {wrong}]", f"{{literal: {wrong}}}"):
        text = refusal(policy(f"labels: {{{label}: {value}}}"))
        assert f"`{label}` never has the value `{wrong}`" in text
        assert f"did you mean `{right}`?" in text
    assert "unknown" in text


@pytest.mark.parametrize("glob", ["destr?", "*x", "[!a-z]*", "Read", "read ", "readwrite"])
def test_a_glob_that_no_value_of_the_set_matches(glob: str) -> None:
    assert "never has the value" in refusal(policy(f'labels: {{command_class: "{glob}"}}'))


@pytest.mark.parametrize("glob", ["destr*", "*", "[rw]*", "????", "unknown"])
def test_a_glob_that_a_value_matches(glob: str) -> None:
    load_policy(policy(f'labels: {{command_class: "{glob}"}}').encode())


def test_a_closed_set_holds_in_exceptions_and_output_rules_too() -> None:
    unless = policy("topics: [a]") + "    unless: {labels: {path_class: secert}}\n"
    assert "`secert`" in refusal(unless)
    output = "output_rules: [{id: o, decision: redact, match: {labels: {sql_class: rd}}}]\n"
    assert "`rd`" in refusal(output)


OPERATORS = [
    "!users",
    "! users",
    "!=prod",
    "not prod",
    "NOT(prod)",
    "not: prod",
    "> 5",
    ">=5",
    "<100",
    "<=1",
    "=prod",
    "==prod",
    "~prod",
    "=~prod.*",
    "!~prod",
    "^prod$",
    "^prod",
    "(?i)prod",
    "regex:prod.*",
    "re:^a",
    "gte:5",
    "in:[a,b]",
    "in (a, b)",
    "ne: prod",
    "glob:prod*",
]
PLAIN = [
    "~/x",
    "~",
    "!",
    ">",
    "nothing",
    "notice board",
    "in progress",
    "a!b",
    "a>b",
    "@ours",
    "-x",
]


@pytest.mark.parametrize("text", OPERATORS)
@pytest.mark.parametrize(
    "field",
    [
        "labels: {{env: {}}}",
        "labels: {{env: [a, {}]}}",
        "topics: [{}]",
        "tenants: [{}]",
        "capabilities: [{}]",
        "risk_tags: [{}]",
        "requires: [{}]",
        "mcp: {{tools: [{}]}}",
        "args: {{$.a: {{eq: {}}}}}",
        "args: {{$.a: {{in: [a, {}]}}}}",
        "args: {{$.a: {{glob: {}}}}}",
    ],
)
def test_a_text_that_begins_with_an_operator(text: str, field: str) -> None:
    said = refusal(policy(field.format(f'"{text}"')))
    assert f"`{text}` would be taken as that text, not as an operator" in said
    assert "the text itself is written {literal: …}" in said


@pytest.mark.parametrize("text", PLAIN)
def test_a_text_that_is_no_operator(text: str) -> None:
    assert operator_hint(text) == ""


def test_constraints_and_derivations_have_no_operators_either() -> None:
    allow = policy("topics: [a]", decision="allow")
    for constraint in (
        'diff: {deny_path_globs: ["!keep.txt"]}',
        'sandbox: {network_allowlist: ["!evil.example"]}',
        'toolchain: {allowed_commands: ["^git$"]}',
    ):
        assert "not as an operator" in refusal(f"{allow}    constraints: {{{constraint}}}\n")
    assert "operator" in refusal(f'derive: [{{kind: shell, topics: ["!job.a"]}}]\n{allow}')


def test_content_to_look_for_may_look_like_anything() -> None:
    text = (
        'input_rules: [{id: i, decision: deny, match: {keywords: ["!x", ">5"],'
        ' patterns: ["^a$"]}}]\nrules: [{id: r, decision: deny, match: {args: {$.a:'
        ' {matches: "^a$"}}}}]\n'
    )
    load_policy(text.encode())


def test_a_literal_is_that_text_and_nothing_else() -> None:
    """Wildcards too stand for themselves."""
    labels = 'labels: {env: {literal: "!a*[?"}}'
    words = 'risk_tags: [{literal: ">5"}, b]'
    arguments = 'args: {$.a: {eq: {literal: "=x"}}, $.b: {glob: {literal: "!*"}}}'
    snapshot = compile_policy(load_policy(policy(f"{labels}, {words}, {arguments}").encode()))
    fits = Request(
        topic="a", labels={"env": "!a*[?"}, risk_tags=(">5",), args={"a": "=x", "b": "!*"}
    )
    assert evaluate(snapshot, fits, now=NOON).rule_id == "x"
    for change in (
        {"labels": {"env": "!axx?"}},
        {"risk_tags": ("5",)},
        {"args": {"a": "=x", "b": "!!"}},
        {"args": {"a": "x", "b": "!*"}},
    ):
        other = Request(**{**{n: getattr(fits, n) for n in fits.__struct_fields__}, **change})
        assert evaluate(snapshot, other, now=NOON).rule_id == ""


@pytest.mark.parametrize(
    "value", ["{literal: [a]}", "{literal: a, glob: b}", "{literal: }", '[{literal: ""}]', "{a: b}"]
)
def test_a_literal_is_one_text(value: str) -> None:
    refusal(policy(f"labels: {{env: {value}}}"))
