"""Cases of a policy: instant, lifted throttles, what is attested, and what an `allow` accepts."""

import pytest

from forestall.policy import PolicyError, compile_policy, load_policy
from forestall.policy.coverage import measure
from forestall.policy.testing import cases_of, run_tests

RULES = """\
labels: {team: {trust: credential}}
rules:
  - {id: slow, decision: throttle, match: {topics: [job.a]}, throttle: {limit: 1, window: 1m}}
  - {id: night, decision: deny, match: {topics: [job.a], time: {hours: ["20:00-06:00"]}}}
  - {id: ours, decision: allow, match: {topics: [job.a], labels: {team: ours}}}
  - {id: bound, decision: allow, match: {topics: [job.b]}, constraints: {budgets: {max_retries: 1}}}
  - {id: near, decision: allow, match: {topics: [job.c], delegation: {max_depth: 1}}}
  - {id: pack, decision: allow, match: {topics: [job.d], pack_ids: [p]}}
tests:
"""
DAY, NIGHT = "now: '2026-06-01T10:00:00Z'", "now: '2026-06-01T22:00:00Z'"
OURS = "attested: {labels: {team: ours}}"


def outcome(case: str) -> tuple[bool, str]:
    (found,) = run_tests(compile_policy(load_policy(f"{RULES}  - {{{case}}}\n")))
    return found.passed, found.got


@pytest.mark.parametrize(
    ("case", "got"),
    [
        (f"request: {{topic: job.a}}, {OURS}", "throttle by slow"),
        (f"request: {{topic: job.a}}, {OURS}, lifted: [slow]", "allow by ours"),
        (f"request: {{topic: job.a}}, {OURS}, lifted: [slow], {DAY}", "allow by ours"),
        (f"request: {{topic: job.a}}, {OURS}, lifted: [slow], {NIGHT}", "deny by night"),
        ("request: {topic: job.a, labels: {team: ours}}, lifted: [slow]", "deny"),
        ("request: {topic: job.c}, attested: {delegation: {depth: 1}}", "allow by near"),
        ("request: {topic: job.c}, attested: {delegation: {depth: 2}}", "deny"),
        ("request: {topic: job.d, pack_id: p}", "deny"),
        ("request: {topic: job.d}, attested: {pack_id: p}", "allow by pack"),
    ],
)
def test_a_case_says_when_and_for_whom(case: str, got: str) -> None:
    decision, _, rule = got.partition(" by ")
    wanted = f"want: {{decision: {decision}, rule_id: '{rule}'}}"
    assert outcome(f"{case}, {wanted}") == (True, got)


def test_an_allow_with_constraints_is_an_allow_unless_exactly_that_is_wanted() -> None:
    case = "request: {topic: job.b}, want: {decision: allow%s}"
    assert outcome(case % "") == (True, "allow_with_constraints by bound")
    assert not outcome(case % ", exactly: true")[0]
    assert outcome("request: {topic: job.b}, want: {decision: allow_with_constraints}")[0]
    plain = f"request: {{topic: job.a}}, {OURS}, lifted: [slow]"
    assert not outcome(f"{plain}, want: {{decision: allow_with_constraints}}")[0]


@pytest.mark.parametrize("name", ["ours", "nobody"])
def test_only_a_throttle_with_a_limit_is_lifted(name: str) -> None:
    passed, got = outcome(f"request: {{topic: job.x}}, lifted: [{name}], want: {{decision: deny}}")
    assert (passed, got) == (False, f"no throttle rule with a limit is named `{name}`")


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("now: '2026-06-01T10:00:00', want: {decision: deny}", "with its offset"),
        ("now: yesterday, want: {decision: deny}", "is no instant"),
        ("attested: {team: x}, want: {decision: deny}", "unknown key `team` in `attested`"),
        ("attested: {delegation: {deep: 1}}, want: {decision: deny}", "unknown key `deep`"),
        ("lifted: [a], result: x, want: {verdict: allow}", "`lifted` is not for a case"),
        ("result: x, want: {verdict: allow, exactly: true}", "`exactly` is not for a case"),
        ("want: {decision: deny, exactly: maybe}", "`exactly` is `true` or `false`"),
    ],
)
def test_what_a_case_cannot_say(case: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(f"{RULES}  - {{request: {{topic: job.a}}, {case}}}\n")
    assert message in caught.value.render()


def test_coverage_decides_a_case_as_the_case_says() -> None:
    case = f"request: {{topic: job.a}}, {OURS}, lifted: [slow], {NIGHT}, want: {{decision: deny}}"
    snapshot = compile_policy(load_policy(f"{RULES}  - {{{case}}}\n"))
    coverage = measure(snapshot, [test for _, test in cases_of(snapshot)])
    assert {rule.rule_id: rule.spoke for rule in coverage.rules}["night"] == 1
