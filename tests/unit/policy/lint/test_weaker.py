"""What a change weakens is reported, with a request that shows it; what tightens is not."""

from collections.abc import Sequence
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from forestall.policy import Policy, Request, compile_policy, evaluate, load_policy
from forestall.policy.compile import assemble
from forestall.policy.lint.weaker import weakened
from forestall.policy.problems import WARNING_CODES
from tests.property.strategies import SOME_CHANGES, changes, instants, requests

BASE = """\
rules:
  - id: wipe
    decision: deny
    match: {topics: ["job.exec.*", job.run], labels: {command_class: [destructive, privileged]}}
  - id: ask
    decision: require_approval
    match: {topics: ["job.deploy.*"]}
    approval: {roles: [ops], quorum: 2}
  - id: slow
    decision: throttle
    match: {topics: ["job.mail.*"]}
    throttle: {limit: 5, window: 1m}
  - id: look
    decision: allow
    match: {topics: ["job.exec.*"], labels: {command_class: read}}
    constraints: {budgets: {max_retries: 1}}
output_rules:
  - {id: secrets, decision: quarantine, match: {topics: ["job.exec.*"], detectors: [secret]}}
labels: {env: {trust: credential}}
detect: {internal_hosts: [corp.example]}
derive: [{kind: shell, topics: [job.run, "job.exec.*"]}]
"""
EDITS = {
    "nothing": ([], []),
    "a comment": ([("labels: {env", "# ours\nlabels: {env")], []),
    "a value less": ([("[destructive, privileged]", "[destructive]")], [("rule_shrank", "wipe")]),
    "a topic less": ([(", job.run], labels", "], labels")], [("rule_shrank", "wipe")]),
    "a value more": ([("[destructive, privileged]", "[destructive, privileged, write]")], []),
    "an exception": (
        [("privileged]}}\n", "privileged]}}\n    unless: {tenants: [acme]}\n")],
        [("rule_shrank", "wipe")],
    ),
    "a rule that is gone": ([("id: ask\n", "id: ask-2\n")], [("rule_removed", "ask")]),
    "a looser decision": (
        [("decision: deny", "decision: require_approval")],
        [("rule_loosened", "wipe")],
    ),
    "fewer approvers": ([("quorum: 2", "quorum: 1")], [("rule_loosened", "ask")]),
    "a larger limit": ([("limit: 5", "limit: 50")], [("rule_loosened", "slow")]),
    "no constraints": (
        [("    constraints: {budgets: {max_retries: 1}}\n", "")],
        [("rule_loosened", "look")],
    ),
    "an allow for more": (
        [("command_class: read}", "command_class: [read, write]}")],
        [("rule_widened", "look")],
    ),
    "a limited allow for less": (
        [("command_class: read}", "command_class: read, env: x}")],
        [("rule_shrank", "look")],
    ),
    "a default": (
        [("labels: {env", "default_decision: allow\nlabels: {env")],
        [("default_loosened", "")],
    ),
    "a weaker trust": ([("{trust: credential}", "{trust: claimed}")], [("fact_weakened", "")]),
    "a host less": ([("[corp.example]", "[other.example]")], [("fact_weakened", "")]),
    "a result that is read": (
        [("decision: quarantine", "decision: redact")],
        [("rule_loosened", "secrets")],
    ),
    "fewer findings": (
        [("detectors: [secret]", "detectors: [secret], size_gt: 9")],
        [("rule_shrank", "secrets")],
    ),
}


def snapshots(old: str, new: str) -> tuple[tuple[str, str], ...]:
    before, after = (compile_policy(load_policy(text.encode(), source="p")) for text in (old, new))
    return tuple((each.code, each.rule_id) for each in weakened(before, after))


@pytest.mark.parametrize(("edits", "wanted"), EDITS.values(), ids=EDITS)
def test_an_edit(edits: Sequence[tuple[str, str]], wanted: list[tuple[str, str]]) -> None:
    text = BASE
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    found = snapshots(BASE, text)
    if wanted == [("rule_removed", "ask")]:  # the renamed rule is a new one that does not deny
        wanted = [*wanted, ("rule_added", "ask-2")]
    assert sorted(found) == sorted(wanted)


def test_a_looser_rule_in_front() -> None:
    deny = "  - {id: d, decision: deny, match: {topics: [job.a]}}\n"
    allow = '  - {id: a, decision: allow, match: {topics: ["job.*"]}}\n'
    assert snapshots("rules:\n" + deny + allow, "rules:\n" + allow + deny) == (
        ("rule_hidden", "d"),
    )
    assert snapshots("rules:\n" + allow + deny, "rules:\n" + deny + allow) == ()


def test_a_request_that_shows_it() -> None:
    text = """\
rules:
  - {id: d, decision: deny, match: {topics: [job.a, job.b]}}
  - {id: r, decision: allow, match: {topics: ["*"]}}
"""
    before = compile_policy(load_policy(text.encode()))
    after = compile_policy(load_policy(text.replace(", job.b", "").encode()))
    (one,) = weakened(before, after)
    assert one.hint == "for example topic job.b: was deny by `d`, becomes allow by `r`"
    assert one.code in WARNING_CODES


def test_what_weakens_nothing_today_says_so() -> None:
    old = "rules: [{id: d, decision: deny, match: {topics: [job.a, job.b]}}]\n"
    before, after = (
        compile_policy(load_policy(text.encode())) for text in (old, old.replace(", job.b", ""))
    )
    (one,) = weakened(before, after)
    assert (one.code, "no decision gets weaker by it" in one.hint) == ("rule_shrank", True)


@settings(max_examples=SOME_CHANGES, deadline=None)
@given(changes(), requests, st.sampled_from(["job.a", "job.exec.a", "job.exec.b"]), instants)
def test_without_a_report_no_decision_gets_weaker(
    change: tuple[list[Policy], list[Policy]], request: Request, topic: str, now: datetime
) -> None:
    old, new = (assemble(policies) for policies in change)
    request = replace(request, topic=topic)
    before, after = (evaluate(snapshot, request, now=now) for snapshot in (old, new))
    if before.code != "rule_error" and after.decision.strictness < before.decision.strictness:
        assert weakened(old, new)
