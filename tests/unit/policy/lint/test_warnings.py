"""`analyse`: each warning fires where it should, and stays silent beside it."""

from datetime import datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.policy import Policy, PolicyError, Request, compile_policy, load_policy
from forestall.policy.claims import claimed_in
from forestall.policy.compile import assemble
from forestall.policy.evaluator import evaluate
from forestall.policy.globs import GlobError, compile_globs, glob_pattern
from forestall.policy.lint.globs import can_match, example, globs_cover, globs_disjoint
from forestall.policy.lint.implication import _REASONED, contradiction
from forestall.policy.lint.warnings import analyse
from forestall.policy.problems import WARNING_CODES, PolicyWarning
from forestall.policy.rules import Match
from tests.property.strategies import instants, policies, requests


def warnings(text: str) -> list[tuple[str, str]]:
    return [(each.code, each.rule_id) for each in found(text)]


def found(text: str) -> tuple[PolicyWarning, ...]:
    return analyse(compile_policy(load_policy(text.encode(), source="p.yaml"), wire=True))


def refusal(text: str) -> str:
    """Why a policy is not compiled."""
    with pytest.raises(PolicyError) as caught:
        found(text)
    return caught.value.render()


def rules(*lines: str) -> str:
    return "rules:\n" + "".join(f"  - {{{line}}}\n" for line in lines)


NEVER = {
    "topic outside the grammar": 'topics: ["mail.*"]',
    "topic with a space": 'topics: ["job.a b"]',
    "topic that ends in a dot": 'topics: ["job.a."]',
    "topic of one word": "topics: [job]",
    "empty interval": "args: {$.n: {gt: 5, lt: 3}}",
    "point left out": "args: {$.n: {gt: 5, le: 5}}",
    "value outside": "args: {$.n: {eq: 5, gt: 9}}",
    "no listed value": "args: {$.n: {in: [1, 2], ge: 3}}",
    "two values": "args: {$.n: {eq: 1}, \"$['n']\": {eq: 2}}",
    "two types": 'args: {$.n: {gt: 5, glob: "a*"}}',
    "missing and there": "args: {$.n: {exists: false, eq: 1}}",
    "a number with fields": "args: {$.n: {eq: 1}, $.n.m: {exists: true}}",
    "missing with fields": "args: {$.n: {exists: false}, $.n.m: {eq: 1}}",
}
SOMETIMES = {
    "any topic": 'topics: ["*"]',
    "a short glob": 'topics: ["j*"]',
    "a class": 'topics: ["job.[a-c]?"]',
    "an interval": "args: {$.n: {gt: 5, lt: 6}}",
    "a point": "args: {$.n: {ge: 5, le: 5}}",
    "a listed value": "args: {$.n: {in: [1, 2], gt: 1}}",
    "an object with fields": "args: {$.n: {exists: true}, $.n.m: {eq: 1}}",
    "missing twice": "args: {$.n: {exists: false}, $.n.m: {exists: false}}",
}


@pytest.mark.parametrize("match", NEVER.values(), ids=NEVER)
def test_a_rule_that_never_matches_is_refused(match: str) -> None:
    assert "rule `a` never matches" in refusal(rules(f"id: a, decision: deny, match: {{{match}}}"))


@pytest.mark.parametrize("match", SOMETIMES.values(), ids=SOMETIMES)
def test_may_match(match: str) -> None:
    assert warnings(rules(f"id: a, decision: deny, match: {{{match}}}")) == []


@pytest.mark.parametrize(
    ("match", "unless", "never"),
    [
        ('topics: ["job.a.*"]', 'topics: ["job.*"]', True),
        ('topics: ["job.a.*"]', 'topics: ["job.a.*.b"]', False),
        ('topics: ["job.a"], labels: {x: "p*"}', 'labels: {x: "*"}', True),
        ('topics: ["job.a"], labels: {x: "p*"}', 'labels: {x: "?*"}', True),
        ('topics: ["job.a"], labels: {x: "*"}', 'labels: {x: "?*"}', False),
        ('topics: ["job.a"], labels: {x: "p"}', 'labels: {y: "*"}', False),
        # An exception that rests on a claim keeps no rule from speaking.
        ("risk_tags: [a]", "risk_tags: [a, b]", False),
        ("risk_tags: [a, b]", "risk_tags: [a]", False),
        ("requires: [a, b]", "requires: [a]", True),
        ("requires: [a]", "requires: [a, b]", False),
        ("args: {$.n: {gt: 5}}", "args: {$.n: {ge: 5}}", True),
        ("args: {$.n: {ge: 5}}", "args: {$.n: {gt: 5}}", False),
        ("args: {$.n: {eq: 5}}", "args: {$.n: {in: [4, 5]}}", True),
        ("args: {$.n: {eq: 5}}", "args: {$.n: {exists: true}}", True),
        ('args: {$.n: {glob: "ab*"}}', 'args: {$.n: {glob: "a*"}}', True),
        ("args: {$.n: {exists: false}}", "args: {$.n.m: {exists: false}}", True),
        ("time: {days: [mon]}", "time: {days: [mon, tue]}", True),
        ('time: {hours: ["09:00-10:00"]}', 'time: {hours: ["22:00-09:30"]}', False),
        ('time: {hours: ["23:00-01:00"]}', 'time: {hours: ["22:00-09:30"]}', True),
        ("time: {days: [mon], timezone: Europe/Berlin}", "time: {days: [mon]}", False),
        ("delegation: {max_depth: 1}", "delegation: {max_depth: 2}", True),
        ("delegation: {max_depth: 2}", "delegation: {max_depth: 1}", False),
        ("delegation: {required_scope: [a]}", "delegation: {forbid_delegated: true}", False),
        ("secrets_present: true", "secrets_present: true", True),
        ("secrets_present: true", "secrets_present: false", False),
    ],
)
def test_unless_that_covers_the_match(match: str, unless: str, never: bool) -> None:
    policy = load_policy(
        rules(f"id: a, decision: deny, match: {{{match}}}, unless: {{{unless}}}").encode()
    )
    assert bool(contradiction(policy.rules[0])) is never


def test_shadowed_names_the_earlier_rule() -> None:
    (one,) = found(
        rules(
            'id: wide, decision: deny, match: {topics: ["job.exec.*", "job.x"]}',
            "id: narrow, decision: deny, match: {topics: [job.exec.a.b, job.x], tenants: [t]}",
        )
    )
    assert (one.code, one.rule_id, one.line) == ("shadowed", "narrow", 3)
    assert "`wide` on line 2" in one.message


@pytest.mark.parametrize(
    ("earlier", "later", "shadowed"),
    [
        ('match: {topics: ["job.*"]}', "match: {tenants: [a]}", True),
        ('match: {tenants: ["*"]}', "match: {topics: [job.a]}", False),
        ("match: {topics: [job.a]}", 'match: {topics: ["job.[a-a]"]}', True),
        ('match: {topics: ["job.a*", "job.[b-z]*"]}', 'match: {topics: ["job.[a-f]*"]}', True),
        ("match: {topics: [job.a], tenants: [t]}", "match: {topics: [job.a]}", False),
        (
            'match: {topics: ["job.*"]}, unless: {topics: [job.b]}',
            "match: {topics: [job.a]}",
            True,
        ),
        (
            'match: {topics: ["job.*"]}, unless: {topics: [job.a]}',
            "match: {topics: [job.a]}",
            False,
        ),
        (
            'match: {topics: ["job.*"]}, unless: {labels: {env: dev}}',
            'match: {topics: [job.a]}, unless: {labels: {env: "d*"}}',
            True,
        ),
        (
            'match: {topics: ["job.*"]}, unless: {labels: {env: dev}}',
            "match: {topics: [job.a]}, unless: {labels: {env: test}}",
            False,
        ),
    ],
)
def test_shadowing(earlier: str, later: str, shadowed: bool) -> None:
    text = rules(f"id: one, decision: deny, {earlier}", f"id: two, decision: deny, {later}")
    assert (("shadowed", "two") in warnings(text)) is shadowed


def test_a_throttle_below_its_limit_shadows_nothing() -> None:
    throttle = "id: t, decision: throttle, match: {topics: [job.a]}"
    deny = "id: d, decision: deny, match: {topics: [job.a]}"
    assert ("shadowed", "d") in warnings(rules(throttle, deny))
    assert warnings(rules(throttle + ", throttle: {limit: 2, window: 1m}", deny)) == []


def test_an_allow_on_a_claim() -> None:
    rule = rules("id: a, decision: allow, match: {topics: [job.a], labels: {team: x}}")
    (one,) = found(rule)
    assert (one.code, one.message) == (
        "allow_on_claim",
        "rule `a` allows whoever claims label `team`",
    )
    assert "{trust: credential}" in one.hint
    for trust in ("credential", "claimed"):  # said, so meant
        assert warnings(f"labels: {{team: {{trust: {trust}}}}}\n{rule}") == []
    assert warnings(rules("id: a, decision: allow, match: {labels: {command_class: read}}")) == []
    assert warnings(rules("id: a, decision: allow, match: {capabilities: [infra.read]}")) == []


def test_a_rule_that_is_dodged() -> None:
    """Only where the same request with less said gets a looser decision."""
    hold = "id: h, decision: require_approval, match: {topics: [job.a], labels: {env: prod}}"
    allow = "id: a, decision: allow, match: {topics: [job.a]}"
    assert warnings(rules(hold)) == []  # the default denies
    (one,) = found(rules(hold, allow))
    assert (one.code, one.rule_id) == ("dodgeable", "h")
    assert "leaves out label `env`: rule `a` then says allow" in one.message
    assert warnings("default_decision: allow\n" + rules(hold)) == [("dodgeable", "h")]
    assert warnings("labels: {env: {trust: claimed}}\n" + rules(hold, allow)) == []
    tagged = "id: d, decision: deny, match: {topics: [job.a], risk_tags: [pii]}"
    assert warnings(rules(tagged, allow)) == [("dodgeable", "d")]
    exception = allow + ", unless: {risk_tags: [pii]}"
    assert warnings(rules(exception)) == [("dodgeable", "a")]


def test_a_text_that_nobody_could_read_is_not_left_to_an_allowing_default() -> None:
    deny = 'id: d, decision: deny, match: {topics: ["job.exec.sh"], labels: {command_class: %s}}'
    allowing = "default_decision: allow\n"
    found = warnings(allowing + rules(deny % "destructive"))
    assert ("unknown_allowed", "d") in found
    assert "unknown_allowed" not in dict(warnings(rules(deny % "destructive")))
    both = allowing + rules(deny % "[destructive, unknown]")
    assert "unknown_allowed" not in dict(warnings(both))
    own = 'id: u, decision: deny, match: {topics: ["job.*"], labels: {command_class: unknown}}'
    assert "unknown_allowed" not in dict(warnings(allowing + rules(deny % "destructive", own)))
    sql = 'id: s, decision: deny, match: {topics: ["job.sql.*"], labels: {sql_class: write}}'
    assert ("unknown_allowed", "s") in warnings(allowing + rules(sql))


def test_what_nothing_reads() -> None:
    rule = rules('id: a, decision: deny, match: {topics: ["job.*"]}')
    assert warnings("labels: {ghost: {trust: server}}\n" + rule) == [("unused_label_trust", "")]
    derive = "derive: [{kind: shell, topics: [job.sh]}]\n"
    assert warnings(derive + rule) == [("unused_derive", "")]
    reads = rules("id: a, decision: deny, match: {labels: {command_class: read}}")
    assert warnings(derive + reads) == []
    assert warnings(derive.replace("job.sh", "sh.*") + reads) == [("unused_derive", "")]


REMEDIES = """\
rules:
  - {id: allow, decision: allow, match: {topics: [job.ok]}}
  - {id: deny, decision: deny, match: {topics: ["job.bad.*"]}}
  - id: offer
    decision: deny
    match: {topics: [job.exec.x], labels: {command_class: destructive}}
    remediations: [{id: r, replacement_topic: TOPIC}]
"""


def test_a_remediation_that_only_may_be_denied_is_a_warning() -> None:
    maybe = REMEDIES.replace("{topics: [job.ok]}", "{topics: [job.bad.a], capabilities: [c]}")
    (one,) = found(maybe.replace("TOPIC", "job.bad.a"))
    assert (one.code, one.line, one.error) == ("remediation_denied", 7, False)


def test_every_code_is_explained() -> None:
    assert all(text.endswith(".") for text in WARNING_CODES.values())


def test_every_field_of_a_match_is_reasoned_about() -> None:
    """A field that is new covers only what is the same; add it to analyse_match to say more."""
    assert set(Match.__struct_fields__) - {"content"} <= _REASONED


# -- the glob questions against plain matching --

_GLOBS = st.text("ab*?[]!-", min_size=1, max_size=6)
_TEXTS = st.text("abc", max_size=5)


def _is_glob(text: str) -> bool:
    try:
        glob_pattern(text)
    except GlobError:
        return False
    return True


@settings(max_examples=400, deadline=None)
@given(_GLOBS.filter(_is_glob), _GLOBS.filter(_is_glob), st.lists(_TEXTS, max_size=20))
def test_glob_questions_agree_with_matching(one: str, other: str, texts: list[str]) -> None:
    matches_one, matches_other = compile_globs([one]), compile_globs([other])
    value = example(one)
    assert value is None or (value and matches_one(value))
    for text in [*texts, value or ""]:
        if globs_cover([other], [one]) and matches_one(text):
            assert matches_other(text)
        if globs_disjoint([one], [other]):
            assert not (matches_one(text) and matches_other(text))
        if text and matches_one(text):
            assert can_match(one)


def test_glob_questions_on_topics() -> None:
    assert globs_cover(["job.*"], ["*"], topic=True)
    assert not globs_cover(["job.*"], ["*"])
    assert globs_cover(["a*", "b*"], ["[ab]?"])
    assert globs_disjoint(["job.a*"], ["job.b*"], topic=True)
    assert not globs_disjoint(["*a"], ["b*"])
    assert not can_match("job..a", topic=True)
    assert can_match("*.?", topic=True)
    assert example("[!a-y]") is not None


_TOPICS = st.sampled_from(["job.a", "job.b", "job.exec.a", "job.exec.b.a"])


@settings(max_examples=300, deadline=None)
@given(policies(), st.lists(st.tuples(requests, _TOPICS), min_size=1, max_size=8), instants)
def test_what_is_called_silent_never_speaks(
    layers: list[Policy], asked: list[tuple[Request, str]], now: datetime
) -> None:
    """Sound: a rule that never matches or is shadowed decides no request whatever."""
    snapshot = assemble(layers)
    silent = {each.rule_id for each in analyse(snapshot) if each.code == "shadowed"}
    # Such a rule loads nowhere. With an exception that rests on a claim it would speak because of
    # that claim, which is not what its author means either.
    silent |= {
        rule.id
        for layer in snapshot.layers
        for rule in layer.rules
        if contradiction(rule) and not claimed_in(rule.unless)
    }
    for request, topic in asked:
        decision = evaluate(snapshot, msgspec.structs.replace(request, topic=topic), now=now)
        assert not silent & set(decision.matched_rules)
