"""A key or word of the peer's language: one problem, at its place, that says what to write."""

import pytest

from forestall.cordum_import.convert import convert
from forestall.policy import PolicyError, load_policy
from forestall.policy.language.cordum_hints import PEER_MCP_KEYS
from forestall.policy.problems import Problem

RULE = "  - {id: a, decision: deny, match: {topics: [job.a]}}\n"
CONVERT = "`forestall policy convert FILE`"


def problem(text: str) -> Problem:
    """The one problem of a text."""
    with pytest.raises(PolicyError) as caught:
        load_policy(text.encode(), source="p.yaml")
    (one,) = caught.value.problems
    return one


@pytest.mark.parametrize(
    ("line", "replacement"),
    [
        ("tier: global", "`layer` and `priority`"),
        ("selector: {job_id: a}", "`layer` and `priority`"),
        ("default_tenant: a", "leave it out"),
        ("tenants: {a: {allow_topics: [x]}}", "`tenants` in their `match`"),
        ("input_policy: {enabled: true}", "`input_rules`"),
        ("output_policy: {enabled: true}", "write `output_rules`"),
    ],
)
def test_at_the_top(line: str, replacement: str) -> None:
    one = problem(f"rules:\n{RULE}{line}\n")
    assert (one.line, one.column) == (3, 1)
    assert replacement in one.hint


@pytest.mark.parametrize(
    ("key", "value", "replacement"),
    [
        ("tier", "job", "`layer` and `priority`"),
        ("selector", "{job_id: a}", "`layer` and `priority`"),
        ("velocity", "{max_requests: 1, window_seconds: 60}", "`throttle: {limit"),
        ("enabled", "false", "leave it out"),
        ("description", "d", "`reason`"),
    ],
)
def test_in_a_rule(key: str, value: str, replacement: str) -> None:
    one = problem(
        f"rules:\n  - {{id: a, decision: deny, {key}: {value}, match: {{topics: [x]}}}}\n"
    )
    assert (one.line, one.column, one.length) == (2, 29, len(key))
    assert replacement in one.hint
    assert CONVERT in one.hint


@pytest.mark.parametrize(
    ("key", "value", "replacement"),
    [
        ("label_threshold", "{amount: 10}", "`args: {$.amount: {gt: 10}}`"),
        ("label_allowlist", "{env: [dev]}", "`unless`"),
        ("predicate", "delegation.depth > 2", "`delegation: {max_depth"),
        ("agent_data_classifications", "[pii]", "`agent_data_classes`"),
        ("scanners", "[secret]", "`detectors`"),
        ("content_patterns", "[a]", "`patterns`"),
        ("detectors", "[secret]", "`input_rules`"),
    ],
)
def test_in_a_match(key: str, value: str, replacement: str) -> None:
    text = f"rules:\n  - {{id: a, decision: deny, match: {{topics: [x], {key}: {value}}}}}\n"
    one = problem(text)
    assert (one.line, one.column) == (2, text.splitlines()[1].index(key) + 1)
    assert replacement in one.hint


@pytest.mark.parametrize("key", PEER_MCP_KEYS)
def test_a_list_of_tools_is_one_mistake(key: str) -> None:
    one = problem(f"rules:\n  - {{id: a, decision: deny, match: {{mcp: {{{key}: [x]}}}}}}\n")
    assert one.message == f"unknown key `{key}` in `mcp`"
    assert f"write `{key.partition('_')[2]}`" in one.hint
    assert CONVERT in one.hint


def test_who_issued_a_delegation() -> None:
    match = "{topics: [x], delegation: {require_issuer: i}}"
    one = problem(f"rules:\n  - {{id: a, decision: deny, match: {match}}}\n")
    assert "`issuers`" in one.hint


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("permit", "allow"),
        ("block", "deny"),
        ("require_human", "require_approval"),
        ("require-approval", "require_approval"),
        ("allow-with-constraints", "allow_with_constraints"),
    ],
)
def test_decisions(word: str, ours: str) -> None:
    one = problem(f"rules:\n  - {{id: a, decision: {word}, match: {{topics: [x]}}}}\n")
    assert one.message == f"unknown decision `{word}`"
    assert one.hint.startswith(f"write `{ours}`; `forestall policy convert FILE`")


def test_what_the_hint_promises_is_so() -> None:
    """A file of keys whose hint names `policy convert` is converted by it."""
    text = (
        "tier: global\ndefault_tenant: default\nrules:\n"
        "  - id: a\n    decision: block\n    match:\n      mcp: {deny_tools: [x]}\n"
        "  - id: b\n    decision: require_human\n    match:\n      label_allowlist: {env: [dev]}\n"
        "  - id: c\n    decision: throttle\n    match: {topics: [job.x]}\n"
        "    velocity: {max_requests: 1, window_seconds: 60, key: tenant}\n"
    )
    with pytest.raises(PolicyError) as caught:
        load_policy(text.encode())
    assert sum(CONVERT in each.hint for each in caught.value.problems) >= 6
    assert load_policy(convert(text.encode(), source="peer.yaml").encode()).rules
