"""The peer's files in our form: what is carried over, what is said about it, what is refused."""

from typing import Any

import pytest

from forestall.cordum_import.convert import convert
from forestall.policy import Policy, PolicyError, load_policy
from forestall.policy.rules import (
    ContentMatch,
    DelegationMatch,
    Effect,
    Match,
    McpMatch,
    Throttle,
)

FILE = """\
version: "3"
tier: global
default_tenant: default
default_decision: allow
tenants: {}
rules:
  - id: No Tools!
    decision: block
    reason: "say \\"no\\" \\u2028 # to x"
    match:
      mcp: {deny_tools: ["Shell*"]}
    constraints: {budgets: {max_retries: 1}}
  - decision: permit
    match:
      tenants: [" Acme "]
      topics: ["job.deploy.*"]
      labels: {env: "[prod]", size: 007}
      agent_data_classifications: [pii]
    constraints: {budgets: {max_retries: 1}, sandbox: {isolated: true}}
  - id: odd-region
    decision: require_human
    match: {label_allowlist: {region: [eu, us]}}
  - id: often
    decision: throttle
    match: {topics: ["job.*"]}
    velocity: {max_requests: 5, window_seconds: 90, key: "tenant:labels.env"}
  - id: deep
    decision: deny
    match: {predicate: delegation.depth > 2}
  - id: rest
    remediations:
      - {id: r, replacement_topic: job.safe, add_labels: {n: 007}}
"""


def converted(text: str) -> tuple[str, Policy]:
    out = convert(text.encode(), source="peer.yaml")
    return out, load_policy(out.encode(), source="ours.yaml")


def match_of(line: str, decision: str = "deny") -> tuple[Match, Match | None]:
    _, policy = converted(f"rules:\n  - {{id: a, decision: {decision}, match: {{{line}}}}}\n")
    return policy.rules[0].match, policy.rules[0].unless


def test_a_whole_file() -> None:
    text, policy = converted(FILE)
    assert policy.default_decision is Effect.ALLOW
    tools, deploy, region, often, deep, rest = policy.rules
    assert (tools.id, tools.effect, tools.match.mcp.tools) == (
        "No-Tools-",
        Effect.DENY,
        ("Shell[*]",),
    )
    assert tools.reason == 'say "no" \u2028 # to x'
    assert (deploy.id, deploy.effect) == ("line-13", Effect.ALLOW_WITH_CONSTRAINTS)
    assert deploy.match.tenants == ("Acme",)
    assert deploy.match.labels == (("env", ("[[]prod]",)), ("size", ("007",)))
    assert deploy.match.agent_data_classes == ("pii",)
    assert region.effect is Effect.REQUIRE_APPROVAL
    assert region.match.labels == (("region", ("*",)),)
    assert region.unless == Match(labels=(("region", ("eu", "us")),))
    assert often.throttle == Throttle(limit=5, window_ms=90_000, key=("tenant", "labels.env"))
    assert deep.match.delegation == DelegationMatch(max_depth=64)
    assert deep.unless == Match(delegation=DelegationMatch(max_depth=2))
    assert (rest.effect, rest.match) == (Effect.DENY, Match(topics=("*",)))
    assert rest.remediations[0].add_labels == {"n": "007"}
    for said in (
        "# line 2: `tier: global` is left out",
        "# line 5: `tenants` is empty and left out",
        "# line 8: `block` is `deny` here",
        "# line 11: CHECK THIS: with `deny_tools` the rule denied everything except",
        "# line 12: constraints of a deny bind nobody",
        "# line 13: the rule had no `id`",
        "# line 18: `agent_data_classifications` is `agent_data_classes` here",
        "# line 30: a rule without `match` matched everything",
        "# line 30: a rule without `decision` was a deny",
    ):
        assert said in text, text
    assert convert(FILE.encode(), source="peer.yaml") == text


@pytest.mark.parametrize(
    ("line", "match", "unless"),
    [
        ("mcp: {allow_tools: [x]}", Match(mcp=McpMatch(tools=("x",))), None),
        ("risk_tags: [a], requires: [b]", Match(risk_tags=("a",), requires=("b",)), None),
        ("secrets_present: true", Match(secrets_present=True), None),
        (
            "delegation: {max_depth: 1, issuers: [i]}",
            Match(delegation=DelegationMatch(max_depth=1, issuers=("i",))),
            None,
        ),
        (
            "predicate: 'delegation.scope.contains(\"a.b\")'",
            Match(delegation=DelegationMatch(required_scope=("a.b",))),
            None,
        ),
        (
            "predicate: delegation.depth == 2",
            Match(delegation=DelegationMatch(max_depth=2)),
            Match(delegation=DelegationMatch(max_depth=1)),
        ),
        ("predicate: delegation.depth < 2", Match(delegation=DelegationMatch(max_depth=1)), None),
    ],
)
def test_matches(line: str, match: Match, unless: Match | None) -> None:
    assert match_of(line) == (match, unless)


def test_a_deny_list_outside_a_deny_rule_is_an_exception() -> None:
    match, unless = match_of("topics: [job.a], mcp: {deny_tools: [x]}", "allow")
    assert match == Match(topics=("job.a",))
    assert unless == Match(mcp=McpMatch(tools=("x",)))


REFUSED: dict[str, tuple[str, int, str]] = {
    "input rule for everything": ("input_rules:\n  - {id: a}\n", 2, "without a `match`"),
    "input rule on no content": (
        "input_rules:\n  - {id: a, match: {topics: [x]}}\n",
        2,
        "says nothing of the content",
    ),
    "input rule that allows": (
        "input_rules:\n  - {id: a, decision: allow, match: {keywords: [x]}}\n",
        2,
        "an input rule that says `allow`",
    ),
    "scope": (
        "input_rules:\n  - {id: a, match: {scope: {items_path: x}}}\n",
        2,
        "`scope` has no counterpart",
    ),
    "scanner": (
        "input_rules:\n  - {id: a, match: {scanners: [injection]}}\n",
        2,
        "there is no detector `injection` here",
    ),
    "pattern": (
        "input_rules:\n  - {id: a, match: {content_patterns: ['(']}}\n",
        2,
        "`(`: ",
    ),
    "an id of both lists": (
        "rules:\n  - {id: a}\ninput_rules:\n  - {id: a, match: {keywords: [x]}}\n",
        4,
        "is used twice",
    ),
    "output scanner": (
        "output_rules:\n  - {id: a, match: {scanners: [injection]}}\n",
        2,
        "there is no detector `injection` here",
    ),
    "output error": (
        "output_rules:\n  - {id: a, match: {has_error: true}}\n",
        2,
        "`has_error` has no counterpart here",
    ),
    "output key": ("output_rules:\n  - {id: a, match: {labels: {}}}\n", 2, "unknown key `labels`"),
    "output policy key": ("output_policy: {mode: x}\n", 1, "unknown key `mode`"),
    "tenants": ("tenants: {a: {allow_topics: [x]}}\n", 1, "`allow_topics` of tenant `a` is not"),
    "tier": ("tier: job\n", 1, "there is no tier `job` here"),
    "selector": ("selector: {job_id: a}\n", 1, "there is no `selector` here"),
    "unknown key": ("ruels: []\n", 1, "unknown key `ruels`"),
    "threshold": (
        "rules:\n  - {id: a, match: {label_threshold: {amount: 10}}}\n",
        2,
        "`label_threshold` compares a label",
    ),
    "empty label": (
        'rules:\n  - {id: a, match: {labels: {env: ""}}}\n',
        2,
        "the empty value of label `env` also matched",
    ),
    "unknown match key": ("rules:\n  - {id: a, match: {metadata: {}}}\n", 2, "unknown key"),
    "glob": ('rules:\n  - {id: a, match: {topics: ["job.[a"]}}\n', 2, "is not a glob"),
    "negated class": ('rules:\n  - {id: a, match: {topics: ["job.[!a]"]}}\n', 2, "otherwise"),
    "issuer": (
        "rules:\n  - {id: a, match: {delegation: {require_issuer: x}}}\n",
        2,
        "`require_issuer` looked at the root",
    ),
    "predicate": (
        "rules:\n  - {id: a, match: {predicate: 'delegation.issuer == \"x\"'}}\n",
        2,
        "is not converted",
    ),
    "two deny lists": (
        "rules:\n  - {id: a, match: {mcp: {deny_tools: [x], deny_servers: [y]}}}\n",
        2,
        "denies in several lists",
    ),
    "velocity elsewhere": (
        "rules:\n  - {id: a, decision: deny, velocity: {max_requests: 1, window_seconds: 1}}\n",
        2,
        "`velocity` on a rule that says `deny`",
    ),
    "an id used twice": ("rules:\n  - {id: a}\n  - {id: a}\n", 3, "is used twice"),
    "several allowlists": (
        "rules:\n  - {id: a, match: {label_allowlist: {a: [x], b: [y]}}}\n",
        2,
        "names several labels",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_counterpart_is_an_error_at_its_line(case: str) -> None:
    text, line, message = REFUSED[case]
    with pytest.raises(PolicyError) as caught:
        convert(text.encode(), source="peer.yaml")
    problems: list[Any] = [each for each in caught.value.problems if message in each.message]
    assert [(each.source, each.line) for each in problems] == [("peer.yaml", line)]


def test_the_hint_for_a_threshold_names_the_replacement() -> None:
    with pytest.raises(PolicyError) as caught:
        convert(REFUSED["threshold"][0].encode(), source="peer.yaml")
    assert "args: {$.amount: {gt: 10}}" in caught.value.render()


INPUT = """\
input_policy: {enabled: true, fail_mode: open}
output_policy: {enabled: false}
input_rules:
  - id: injection
    severity: critical
    description: "no prompts that give orders"
    decision: require_human
    match: {topics: ["job.*"], scanners: [prompt_injection], keywords: [obey], max_input_bytes: 99}
  - id: large
    enabled: true
    description: too large
    reason: "too large to read"
    match: {input_size_gt: 1000}
  - {id: off, enabled: false, match: {keywords: [x]}}
  - {id: text, match: {tenants: [Acme], content_patterns: ["a+b"], content_types: ["text/plain"]}}
"""


def test_input_rules() -> None:
    text, policy = converted(INPUT)
    injection, size, large, plain = policy.input_rules
    assert (injection.effect, injection.severity) == (Effect.REQUIRE_APPROVAL, "critical")
    assert injection.reason == "no prompts that give orders"
    assert injection.match == Match(
        topics=("job.*",),
        content=ContentMatch(detectors=("prompt_injection",), keywords=("obey",)),
    )
    assert (size.id, size.effect) == ("injection-size", Effect.REQUIRE_APPROVAL)
    assert size.match == Match(topics=("job.*",), content=ContentMatch(size_gt=99))
    assert (large.reason, large.effect) == ("too large to read", Effect.DENY)
    assert large.match == Match(content=ContentMatch(size_gt=1000))
    assert plain.match == Match(
        tenants=("Acme",), content=ContentMatch(patterns=("a+b",), content_types=("text/plain",))
    )
    for said in (
        "# line 1: `input_policy` was never read",
        "# line 2: `output_policy` was switched off and is left out",
        "# line 8: `scanners` is `detectors` here",
        "# line 8: all of detectors, keywords must find something here",
        "# its size alone was enough, so that is a rule of its own here",
        "# line 11: description: too large",
        "# line 14: the input rule that stood here was not enabled",
        "# line 15: here a prompt alone is text/plain",
    ):
        assert said in text, text


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (
            'allow_topics: ["job.*"]',
            '{id: allow-topics, decision: allow, match: {tenants: ["a"], topics: ["job.*"]}}',
        ),
        ("deny_topics: [sys.x]", "{id: deny-topics, decision: deny,"),
        ("max_concurrent_jobs: 4", "constraints: {budgets: {max_concurrent_jobs: 4}}"),
        ("denied_repo_hosts: [x.org]", 'labels: {url_host: ["x.org"]}'),
        ("mcp: {deny_tools: [x]}", "mcp: {tools: [name]}"),
    ],
)
def test_the_hint_for_a_tenant_is_the_rule_to_write(said: str, hint: str) -> None:
    with pytest.raises(PolicyError) as caught:
        convert(f"tenants:\n  a:\n    {said}\n".encode(), source="peer.yaml")
    (one,) = caught.value.problems
    assert (one.line, one.column) == (3, 5)
    assert hint in one.hint


OUTPUT = """\
output_policy: {enabled: true, fail_mode: open}
output_rules:
  - id: keys
    severity: critical
    description: "no keys"
    match: {topics: ["job.*"], scanners: [secret, pii], output_size_gt: 1000}
    decision: deny
  - {id: words, match: {content_patterns: ["PRJ-[0-9]+"], keywords: [x]}, decision: redact}
  - {id: off, enabled: false, match: {keywords: [z]}, decision: quarantine}
  - {id: big, match: {max_output_bytes: 10, detectors: [prompt_injection]}, decision: allow}
  - {id: rest, decision: allow}
"""


def test_output_rules() -> None:
    text, policy = converted(OUTPUT)
    assert [(rule.id, rule.verdict.value) for rule in policy.output_rules] == [
        ("keys", "quarantine"),
        ("keys-size", "quarantine"),
        ("words", "redact"),
        ("big", "allow"),
        ("rest", "allow"),
    ]
    keys, size, words, big, rest = policy.output_rules
    assert (keys.reason, keys.severity, keys.match.topics) == ("no keys", "critical", ("job.*",))
    assert keys.match.content == ContentMatch(detectors=("secret", "personal_data"))
    assert size.match.content == ContentMatch(size_gt=1000)
    assert words.match.content == ContentMatch(keywords=("x",), patterns=("PRJ-[0-9]+",))
    assert big.match.content == ContentMatch(detectors=("prompt_injection",), size_gt=10)
    assert rest.match == Match(topics=("*",))
    for note in (
        "line 1: `output_policy` is left out: results are always checked here",
        "line 9: the output rule that stood here was not enabled and is left out",
        "line 7: `deny` is `quarantine` here",
        "line 6: `pii` is `personal_data` here",
        "the peer took every result for a match of such a rule",
        "line 10: size and content must both fit here",
    ):
        assert note in text


def test_output_rules_that_were_switched_off_stay_off() -> None:
    text, policy = converted(OUTPUT.replace("enabled: true", "enabled: false"))
    assert policy.output_rules == ()
    assert "the 5 output rules that it switched off are left out" in text


def test_output_rules_without_a_fail_mode_were_in_force() -> None:
    text, policy = converted(OUTPUT.replace("enabled: true, fail_mode: open", "enabled: false"))
    assert len(policy.output_rules) == 5
    assert "line 1: CHECK THIS: were the output rules in force?" in text
