"""`analyse` of output rules: silent ones and allows on a claim, and nothing beside them."""

import json
from datetime import datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.policy import Policy, Request, compile_policy, load_policy
from forestall.policy.compile import assemble
from forestall.policy.content import CONTENT_TYPES
from forestall.policy.language.match_reader import DETECTOR_CLASSES
from forestall.policy.lint.implication import contradiction
from forestall.policy.lint.warnings import analyse
from forestall.policy.lint.witness import NOON
from forestall.policy.output_rules import (
    OutputFacts,
    OutputRuleError,
    keywords_of,
    patterns_of,
)
from forestall.policy.output_verdict import content_type_of
from forestall.policy.rules import ContentMatch, OutputRule, Verdict
from forestall.wire.output import decode_content
from tests.property.strategies import instants, matches, requests
from tests.unit.policy.lint.test_warnings import found, refusal, warnings


def rules(*lines: str) -> str:
    return "default_decision: deny\noutput_rules:\n" + "".join(
        f"  - {{{line}}}\n" for line in lines
    )


@pytest.mark.parametrize(
    ("match", "never"),
    [
        ('topics: ["job.[!\\x00-\\U0010ffff]"]', True),
        ("content_types: [image/png, text/html]", True),
        ("content_types: [image/png, text/plain]", False),
        ('content_types: ["text/*"]', False),
        ("keywords: [x], args: {$.n: {gt: 5, lt: 3}}", True),
        ("keywords: [x], args: {$.n: {gt: 5, lt: 7}}", False),
        # A content that a caller asks about may have any topic.
        ('topics: ["mail.*"]', False),
    ],
)
def test_never_matches(match: str, never: bool) -> None:
    text = rules(f"id: a, decision: redact, match: {{{match}}}")
    if never:
        assert "output rule `a` never matches" in refusal(text)
    else:
        assert warnings(text) == []


def test_a_match_that_its_exception_covers() -> None:
    rule = "id: a, decision: redact, match: {{topics: [job.a], keywords: [x]}}, unless: {{{}}}"
    assert "output rule `a` never matches" in refusal(rules(rule.format('topics: ["job.*"]')))
    assert warnings(rules(rule.format("topics: [job.b]"))) == []


def test_a_content_type_of_payloads_too() -> None:
    text = "input_rules: [{id: a, decision: deny, match: {content_types: [text/html]}}]\n"
    assert (
        "rule `a` never matches: no content type fits `text/html`:"
        " there are text/plain and application/json"
    ) in refusal(text)


@pytest.mark.parametrize(
    ("earlier", "later", "shadowed"),
    [
        ("topics: [job.a]", "topics: [job.a], keywords: [x]", True),
        ("topics: [job.a], keywords: [x]", "topics: [job.a]", False),
        ("keywords: [x, y]", "keywords: [x]", True),
        ("keywords: [x]", "keywords: [x, y]", False),
        ("keywords: [x]", "patterns: [x]", False),
        ("patterns: [a, b]", "patterns: [b], size_gt: 3", True),
        ("detectors: [secret, personal_data]", "detectors: [secret], tenants: [t]", True),
        ("detectors: [secret]", "detectors: [secret, personal_data]", False),
        ("size_gt: 5", "size_gt: 6", True),
        ("size_gt: 6", "size_gt: 5", False),
        ("size_gt: 6", "keywords: [x]", False),
        ("content_types: [text/plain]", 'content_types: ["text/*"]', True),
        ('content_types: ["*/*"]', "keywords: [x]", True),
        ('content_types: ["*/*"], size_gt: 1', "size_gt: 2", True),
        ("content_types: [text/plain], size_gt: 1", "size_gt: 2", False),
        ("detectors: [secret], keywords: [x]", "detectors: [secret]", False),
        ("detectors: [secret]", "keywords: [x]", False),
        ("content_types: [text/plain]", "keywords: [x]", False),
        # Of a content that a caller asks about the topic may be absent.
        ('topics: ["*"]', "keywords: [x]", False),
        ('topics: ["job.*"]', 'topics: ["*"]', False),
        ('topics: ["job.*"]', "topics: [job.a]", True),
    ],
)
def test_shadowing(earlier: str, later: str, shadowed: bool) -> None:
    """Only by what holds of every result that the later rule holds of."""
    text = rules(
        f"id: one, decision: redact, match: {{{earlier}}}",
        f"id: two, decision: quarantine, match: {{{later}}}",
    )
    assert warnings(text) == ([("shadowed", "two")] if shadowed else [])


def test_what_is_shadowed_says_by_which_rule() -> None:
    (one,) = found(
        rules(
            "id: one, decision: redact, match: {size_gt: 5}",
            "id: two, decision: redact, match: {size_gt: 9}",
        )
    )
    assert (one.line, one.rule_id) == (4, "two")
    assert one.message == (
        "output rule `two` never speaks: rule `one` on line 3 matches first whatever this one"
        " matches"
    )


def test_a_rule_on_requests_shadows_no_output_rule() -> None:
    text = 'rules: [{id: r, decision: deny, match: {topics: ["*"]}}]\n'
    assert warnings(text + "output_rules: [{id: o, decision: redact, match: {size_gt: 1}}]\n") == []


def test_a_content_may_have_any_topic_or_none() -> None:
    """As in `POST /output/check`, where the caller says what the content belongs to."""
    text = rules(
        'id: mail, decision: quarantine, match: {topics: ["mail.*"]}',
        'id: any, decision: redact, match: {topics: ["*"]}',
        "id: secrets, decision: quarantine, match: {detectors: [secret]}",
    )
    snapshot = compile_policy(load_policy(text))
    assert analyse(snapshot) == ()
    facts = OutputFacts(found=frozenset({"secret"}), content_type="text/plain", size_bytes=1)
    for topic, rule_id in (("mail.x", "mail"), ("", "secrets")):
        body = json.dumps({"content": "c", "topic": topic}).encode()
        request, _, _ = decode_content(body, tenant="default", principal="p")
        [(speaking,)] = snapshot.output.speakers(request, request.labels, facts, NOON)
        assert speaking.id == rule_id


def test_an_allow_on_a_claim() -> None:
    rule = rules("id: a, decision: allow, match: {topics: [job.a], labels: {team: x}}")
    (one,) = found(rule)
    assert (one.code, one.message) == (
        "allow_on_claim",
        "output rule `a` allows whoever claims label `team`",
    )
    for trust in ("credential", "claimed"):  # said, so meant
        assert warnings(f"labels: {{team: {{trust: {trust}}}}}\n{rule}") == []
    for decision in ("redact", "quarantine"):
        assert warnings(rule.replace("allow", decision)) == []


def test_an_allow_whose_exception_is_claimed() -> None:
    rule = "id: a, decision: allow, match: {topics: [job.a]}, unless: {labels: {env: prod}}"
    assert warnings(rules(rule)) == [("dodgeable", "a")]


def test_a_label_that_only_an_output_rule_reads_is_read() -> None:
    trust = "labels: {team: {trust: credential}}\n"
    rule = "id: a, decision: redact, match: {topics: [job.a]}, unless: {labels: {team: x}}"
    assert warnings(trust + rules(rule)) == []
    assert warnings(trust + rules(rule.replace("team", "env"))) == [("unused_label_trust", "")]


def test_these_are_the_content_types_of_results() -> None:
    assert {content_type_of("x"), content_type_of({})} == set(CONTENT_TYPES)


# -- soundness --

_WORDS = ["x", "y", "z"]
_some = st.lists(st.sampled_from(_WORDS), max_size=2, unique=True).map(tuple)
_classes = list(DETECTOR_CLASSES[:3])
_contents = st.none() | st.builds(
    ContentMatch,
    detectors=st.lists(st.sampled_from(_classes), max_size=2, unique=True).map(tuple),
    keywords=_some,
    patterns=_some,
    content_types=st.sampled_from(
        [(), ("*",), ("text/plain",), ("application/*",), ("*/*n",), ("text/html",)]
    ),
    size_gt=st.none() | st.integers(0, 3),
)


@st.composite
def _policies(draw: st.DrawFn) -> Policy:
    output_rules = []
    for number in range(draw(st.integers(1, 5))):
        match = msgspec.structs.replace(draw(matches()), content=draw(_contents))
        output_rules.append(
            OutputRule(
                id=f"o{number}",
                verdict=draw(st.sampled_from(Verdict)),
                match=match,
                unless=draw(st.none() | st.none() | matches()),
            )
        )
    return Policy(name="p", source="", output_rules=tuple(output_rules))


def _facts(policy: Policy, said: set[str], found: set[str], kind: str, size: int) -> OutputFacts:
    """What a scan finds in a content that holds these words: the same ones for every rule."""
    names = set(found)
    for rule in policy.output_rules:
        content = rule.match.content or ContentMatch()
        if said & set(content.keywords):
            names.add(keywords_of(rule.id))
        if said & set(content.patterns):
            names.add(patterns_of(rule.id))
    return OutputFacts(found=frozenset(names), content_type=kind, size_bytes=size)


_RESULTS = st.tuples(
    st.sets(st.sampled_from(_WORDS)),
    st.sets(st.sampled_from(_classes)),
    st.sampled_from(CONTENT_TYPES),
    st.integers(0, 5),
)


@settings(max_examples=300, deadline=None)
@given(_policies(), st.lists(st.tuples(requests, _RESULTS), min_size=1, max_size=8), instants)
def test_what_is_called_silent_never_speaks(
    policy: Policy,
    asked: list[tuple[Request, tuple[set[str], set[str], str, int]]],
    now: datetime,
) -> None:
    """Sound, whatever topic the content has; labels are looked at under one view."""
    snapshot = assemble([policy])
    silent = {each.rule_id for each in analyse(snapshot) if each.code == "shadowed"}
    silent |= {rule.id for rule in policy.output_rules if contradiction(rule)}
    for request, result in asked:
        try:
            speaking = snapshot.output.speakers(
                request, request.labels, _facts(policy, *result), now
            )
        except OutputRuleError:
            continue
        assert not silent & {rule.id for rules_that_speak in speaking for rule in rules_that_speak}
