"""`policy check` on rules about results: the warnings of other rules, where they can be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.policy import compile_policy, load_policy
from forestall.policy.analyse import analyse
from forestall.policy.analyse_match import output_rule_covers
from forestall.policy.content import CONTENT_TYPES
from forestall.policy.output_rules import OutputFacts, _of_result, keywords_of, patterns_of
from forestall.policy.rules import ContentMatch, Match, OutputRule, Verdict

ALL = "rules: [{id: all, decision: allow, match: {topics: ['**']}}]\n"


def warnings(*rules: str, more: str = "") -> list[tuple[str, str]]:
    listed = "".join(f"  - {{{rule}}}\n" for rule in rules)
    text = f"{ALL}{more}output_rules:\n{listed}"
    return [(each.code, each.rule_id) for each in analyse(compile_policy(load_policy(text)))]


@pytest.mark.parametrize(
    "match",
    [
        'topics: ["mail.*"]',
        "content_types: [application/pdf]",
        "args: {$.n: {gt: 5, lt: 3}}",
    ],
)
def test_never_matches(match: str) -> None:
    assert warnings(f"id: a, decision: quarantine, match: {{{match}}}") == [("never_matches", "a")]


@pytest.mark.parametrize(
    ("wider", "narrower", "covered"),
    [
        ("topics: ['job.*']", "topics: [job.a], detectors: [secret]", True),
        ("detectors: [secret, personal_data]", "detectors: [secret]", True),
        ("detectors: [secret]", "detectors: [secret, personal_data]", False),
        ("detectors: [secret]", "topics: [job.a]", False),
        ("detectors: [secret]", "keywords: [x]", False),
        ("detectors: [secret]", "detectors: [secret], keywords: [x]", True),
        ("detectors: [secret], keywords: [x]", "detectors: [secret]", False),
        ("size_gt: 10", "size_gt: 20", True),
        ("size_gt: 20", "size_gt: 10", False),
        ("content_types: ['*/*']", "topics: [job.a]", False),
        ("content_types: ['*/*'], size_gt: 1", "size_gt: 2", True),
        ("content_types: [text/plain], size_gt: 1", "size_gt: 2", False),
        ("patterns: [a]", "patterns: [a], topics: [job.a]", True),
    ],
)
def test_shadowed(wider: str, narrower: str, covered: bool) -> None:
    found = warnings(
        f"id: first, decision: quarantine, match: {{{wider}}}",
        f"id: second, decision: redact, match: {{{narrower}}}",
    )
    assert found == ([("shadowed", "second")] if covered else [])


def test_an_allow_on_a_claim_is_told() -> None:
    rule = "id: a, decision: allow, match: {topics: [job.a], labels: {team: red}}"
    assert warnings(rule) == [("allow_on_claim", "a")]
    trusted = "labels: {team: {trust: credential}}\n"
    assert warnings(rule, more=trusted) == [], "and the trust is read by this rule"
    dodged = "id: a, decision: allow, match: {topics: [job.a]}, unless: {labels: {team: red}}"
    assert warnings(dodged) == [("dodgeable", "a")]


# What covers, covers: held against what the rules say of results.

WORDS = st.sets(st.sampled_from("ab"), max_size=2).map(lambda found: tuple(sorted(found)))
CONTENTS = st.builds(
    ContentMatch,
    detectors=WORDS,
    keywords=WORDS,
    patterns=WORDS,
    content_types=st.sampled_from([(), ("text/*",), ("*/*",), ("application/json",)]),
    size_gt=st.none() | st.integers(0, 3),
)


@given(
    contents=st.tuples(CONTENTS | st.none(), CONTENTS | st.none()),
    content_type=st.sampled_from(CONTENT_TYPES),
    size=st.integers(0, 4),
    detectors=WORDS,
    holds=st.tuples(st.booleans(), st.booleans()),
)
def test_what_covers_holds_wherever_the_other_does(
    contents: tuple[ContentMatch | None, ContentMatch | None],
    content_type: str,
    size: int,
    detectors: tuple[str, ...],
    holds: tuple[bool, bool],
) -> None:
    """`holds`: whether the one keyword, and the one pattern, that both name is in the result."""
    wider, narrower = (
        OutputRule(id=name, verdict=Verdict.ALLOW, match=Match(content=content))
        for name, content in zip("wn", contents, strict=True)
    )
    if not output_rule_covers(wider, narrower):
        return
    own = [
        named(rule.id)
        for rule in (wider, narrower)
        for named, there in zip((keywords_of, patterns_of), holds, strict=True)
        if there
    ]
    facts = OutputFacts(
        found=frozenset((*detectors, *own)), content_type=content_type, size_bytes=size
    )
    assert not _of_result(narrower)(facts) or _of_result(wider)(facts)
