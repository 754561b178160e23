"""Named lists, `not` and numbers in labels. A list means its entries; no file changes another's."""

from datetime import UTC, datetime
from typing import Any

import pytest

from forestall.limits import LIST_ENTRIES_COPIED_MAX, LIST_ITEMS_PER_FIELD_MAX
from forestall.policy import Decision, PolicyError, Request, compile_policy, evaluate
from forestall.policy.language.policy_file import load_policies, load_policy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS = 'lists: {ours: ["*@our.example", x@partner.example]}\n'


def rule(match: str, decision: str = "allow") -> str:
    return f"rules:\n  - {{id: r, decision: {decision}, match: {{{match}}}}}\n"


def decide(*texts: str, **fields: Any) -> Decision:
    files = [(f"{number}.yaml", text.encode()) for number, text in enumerate(texts)]
    request = Request(**{"topic": "job.a", **fields})
    return evaluate(compile_policy(load_policies(files)), request, now=NOW)


def refusal(*texts: str) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policies([(f"{number}.yaml", text.encode()) for number, text in enumerate(texts)])
    return caught.value.render()


@pytest.mark.parametrize(
    ("match", "fields"),
    [
        ('labels: {to: "@ours"}', {"labels": {"to": "a@our.example"}}),
        ('labels: {to: [z, "@ours"]}', {"labels": {"to": "x@partner.example"}}),
        ('actor_ids: ["@ours"]', {"actor_id": "a@our.example"}),
        ('mcp: {tools: ["@ours"]}', {"mcp": {"tool": "a@our.example"}}),
        ('args: {$.to: {in: "@ours"}}', {"args": {"to": "x@partner.example"}}),
        ('args: {$.to: {glob: "@ours"}}', {"args": {"to": "a@our.example"}}),
        ('args: {"$.to[*]": {every: {glob: ["@ours"]}}}', {"args": {"to": ["a@our.example"]}}),
        ('labels: {to: {in: "@ours"}}', {"labels": {"to": "a@our.example"}}),
    ],
)
def test_a_list_stands_wherever_globs_or_values_do(match: str, fields: dict[str, Any]) -> None:
    """In its own file, and in another one."""
    if "mcp" in fields:
        from forestall.policy.request import ToolCall

        fields = {"mcp": ToolCall(**fields["mcp"])}
    assert decide(OURS + rule(match), **fields).rule_id == "r"
    assert decide(OURS, rule(match), **fields).rule_id == "r"
    assert decide(rule(match), OURS, **fields).rule_id == "r"


def test_a_list_keeps_the_types_of_its_values() -> None:
    text = "lists: {sizes: [1, 2.5]}\n" + rule('args: {$.n: {in: "@sizes"}}')
    assert decide(text, args={"n": 2.5}).rule_id == "r"
    assert decide(text, args={"n": "1"}).code == "rule_error"


def test_a_file_cannot_change_the_list_of_another_one() -> None:
    other = "lists: {ours: ['*']}\nrules: []\n"
    assert "the list `ours` has other entries than in another file" in refusal(OURS, other)
    assert (
        decide(OURS + rule('actor_ids: ["@ours"]'), OURS, actor_id="a@our.example").rule_id == "r"
    )


def test_a_file_of_lists_alone_changes_no_default() -> None:
    assert decide("default_decision: allow\n", OURS).decision.value == "allow"
    assert decide("default_decision: allow\n", "rules: []\n" + OURS).decision.value == "deny"
    assert decide(OURS).decision.value == "deny"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OURS + rule('actor_ids: ["@our"]'), "did you mean `@ours`?"),
        (rule('actor_ids: ["@ours"]'), "define it under `lists`"),
        (OURS + rule('actor_ids: ["@*"]'), "unknown list `@*`"),
        (OURS + rule('args: {$.a: {eq: "@ours"}}'), "`eq` compares with one value"),
        (OURS + rule('args: {$.a: {not: {eq: "@ours"}}}'), "`eq` compares with one value"),
        (rule("topics: [@ours]"), 'write "@ours"'),
        ("lists: {}\n" + rule("topics: [a]"), ""),
        ("lists: {a: []}\nrules: []\n", "at least one entry"),
        ("lists: {a: [b, [c]]}\nrules: []\n", "an entry of the list `a` is a text"),
        ('lists: {a: ["@b"], b: [c]}\nrules: []\n', "a list holds no other list"),
        ("lists: {'a b': [c]}\nrules: []\n", "is no name of a list"),
        ("lists: [a]\nrules: []\n", "`lists` is a mapping"),
        ('"l\\x69sts": {a: [b]}\n' + rule('topics: ["@a"]'), "write it plainly"),
        ("lists: {a: [" + "x," * (LIST_ITEMS_PER_FIELD_MAX + 1) + "]}\nrules: []\n", "are allowed"),
        (OURS + "lists: {ours: [x]}\nrules: []\n", "is written twice"),
    ],
)
def test_mistakes_with_lists_are_named(text: str, message: str) -> None:
    if not message:
        load_policy(text)
        return
    assert message in refusal(text)


def test_references_do_not_make_a_small_file_large() -> None:
    entries = ", ".join(f"x{number}" for number in range(LIST_ITEMS_PER_FIELD_MAX))
    rules = "".join(
        f"  - {{id: r{number}, decision: deny, match: {{topics: ['@long']}}}}\n"
        for number in range(LIST_ENTRIES_COPIED_MAX // LIST_ITEMS_PER_FIELD_MAX + 1)
    )
    assert "give more than" in refusal(f"lists: {{long: [{entries}]}}\nrules:\n{rules}")


@pytest.mark.parametrize(
    ("match", "fields", "wanted"),
    [
        ("labels: {env: {not: prod}}", {"labels": {"env": "test"}}, "allow"),
        ("labels: {env: {not: prod}}", {"labels": {"env": "prod"}}, "deny"),
        ("labels: {env: {not: prod}}", {}, "deny"),
        ("labels: {env: {in: ['*-eu'], not: ['prod-*']}}", {"labels": {"env": "test-eu"}}, "allow"),
        ("labels: {env: {in: ['*-eu'], not: ['prod-*']}}", {"labels": {"env": "prod-eu"}}, "deny"),
        ("topics: {not: ['job.b*']}", {}, "allow"),
        ("topics: {in: ['job.*'], not: ['job.a']}", {}, "deny"),
        ("topics: ['job.*'], capabilities: {not: [x]}", {}, "deny"),
        ("labels: {cost: {gt: 5}}", {"labels": {"cost": "6"}}, "allow"),
        ("labels: {cost: {gt: 5, lte: 6}}", {"labels": {"cost": "6.5"}}, "deny"),
        ("labels: {cost: {gt: 5}}", {}, "deny"),
        ("labels: {cost: {lt: 5}}", {"labels": {"cost": "-0.5"}}, "allow"),
        *(
            ("labels: {cost: {lt: 5}}", {"labels": {"cost": text}}, "error")
            for text in ("", "five", "1e0", "nan", "-inf", " 4", "4 ", "0x4", "1_0", "٤", "4,0")
        ),
        ("labels: {cost: {lt: 5}}", {"labels": {"cost": "0" * 20}}, "error"),
    ],
)
def test_not_and_numbers(match: str, fields: dict[str, Any], wanted: str) -> None:
    decision = decide(rule(match), **fields)
    found = "error" if decision.code == "rule_error" else decision.decision.value
    assert found == wanted
    if wanted == "error":
        assert "rule `r`" in decision.reason
        assert "labels.cost" in decision.reason


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("topics: {nto: [a]}", "did you mean `not`?"),
        ("topics: {}", "would match everything"),
        ("topics: {not: []}", "`not` is empty"),
        ("topics: {gt: 5}", "unknown key `gt`"),
        ("risk_tags: {not: [a]}", "is a list of texts"),
        ("pack_ids: {not: [a]}", "is a list of texts"),
        ("labels: {cost: {gt: '5'}}", "compares with a number"),
        ("labels: {cost: {gt: [5]}}", "compares with a number"),
        ("labels: {cost: {eq: 5}}", "unknown key `eq`"),
        ("labels: {cost: {not: '['}}", "is not a glob"),
    ],
)
def test_what_not_and_numbers_refuse(match: str, message: str) -> None:
    assert message in refusal(rule(match))


def test_a_label_that_only_a_test_reads_is_derived_and_cached_apart() -> None:
    text = rule("topics: [job.exec.shell], labels: {command_class: {not: [destructive, unknown]}}")
    shell = {"topic": "job.exec.shell"}
    assert decide(text, payload={"prompt": "ls"}, **shell).rule_id == "r"
    assert decide(text, payload={"prompt": "ls; rm -rf /"}, **shell).rule_id == ""
