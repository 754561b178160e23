"""A remediation that is certainly denied does not load; one that may be allowed does."""

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from forestall.policy import (
    Effect,
    Policy,
    PolicyError,
    Request,
    compile_policy,
    evaluate,
    load_policy,
)
from forestall.policy.lint.remediations import denied_remediations
from forestall.policy.rules import Match, Remediation, Rule
from forestall.policy.snapshot import Snapshot
from tests.property.strategies import EXAMPLES, LABEL_NAMES, instants, policies, requests, words

OFFER = """\
rules:
{rules}
  - id: offer
    decision: deny
    match: {{topics: [job.x], labels: {{env: prod}}}}
    remediations:
      - id: way-out
        {remedy}
"""


def refused(remedy: str, *rules: str) -> list[tuple[int, int, str]]:
    """The problems of a policy that offers one remediation after some other rules."""
    text = OFFER.format(remedy=remedy, rules="\n".join(f"  - {{{rule}}}" for rule in rules))
    try:
        compile_policy(load_policy(text.encode(), source="p.yaml"))
    except PolicyError as error:
        return [(each.line, each.column, each.message) for each in error.problems]
    return []


ALLOW = "id: ok, decision: allow, match: {topics: [job.ok]}"
DENY = 'id: bad, decision: deny, match: {topics: ["job.bad.*"]}'


def test_names_the_place_and_the_rule() -> None:
    ((line, column, message),) = refused("replacement_topic: job.bad.a", ALLOW, DENY)
    assert (line, column) == (8, 13)
    assert message == (
        "the remediation `way-out` of rule `offer` is always denied: rule `bad` then says deny"
    )


@pytest.mark.parametrize(
    ("remedy", "others"),
    [
        ("replacement_topic: job.nowhere", [ALLOW]),
        ("replacement_topic: job.x", [ALLOW]),
        ("replacement_capability: c", [ALLOW]),
        ("add_labels: {size: small}", [ALLOW]),
        ("remove_labels: [size]", [ALLOW]),
        ("remove_labels: [env]", [ALLOW]),
        (
            "replacement_topic: job.bad.a",
            [DENY, 'id: all, decision: allow, match: {topics: ["*"]}'],
        ),
        ("replacement_topic: job.ok, add_labels: {env: dev}", []),
        (
            "add_labels: {env: dev}",
            ["id: dev, decision: deny, match: {topics: [job.x], labels: {env: dev}}"],
        ),
    ],
)
def test_refused(remedy: str, others: list[str]) -> None:
    flow = "\n        ".join(remedy.replace("}, ", "}\n").split(", "))
    assert [line for line, _, _ in refused(flow, *others)] == [7 + len(others) - 1 if others else 7]


@pytest.mark.parametrize(
    ("remedy", "other"),
    [
        ("replacement_topic: job.ok", ALLOW),
        ("replacement_topic: job.ok", ALLOW.replace("allow", "require_approval")),
        ("replacement_topic: job.ok", ALLOW.replace("allow", "throttle")),
        ("replacement_topic: job.ok", ALLOW + ", unless: {tenants: [default]}"),
        ("replacement_topic: job.ok", ALLOW.replace("}", ", capabilities: [c]}")),
        ("replacement_topic: job.ok", ALLOW.replace("}", ", args: {$.a: {matches: a}}}")),
        ("replacement_topic: job.bad.a", DENY + ", unless: {capabilities: [c]}"),
        ("replacement_topic: job.bad.a", DENY.replace("}", ", risk_tags: [a]}")),
        ("add_labels: {env: dev}", "id: dev, decision: allow, match: {labels: {env: dev}}"),
        ("remove_labels: [env]", "id: rest, decision: allow, match: {topics: [job.x]}"),
        ("replacement_topic: 'job.[ok]'", ALLOW),
        ("replacement_topic: elsewhere", "id: e, decision: allow, match: {topics: [elsewhere]}"),
    ],
)
def test_not_certain_hence_not_refused(remedy: str, other: str) -> None:
    if other.startswith("id: bad"):
        other += "}\n  - {id: all, decision: allow, match: {topics: ['*']}"
    if other.startswith("id: rest"):  # it must not stand before the rule that offers
        text = OFFER.format(remedy=remedy, rules="").replace("\n\n", "\n") + f"  - {{{other}}}\n"
        compile_policy(load_policy(text))
        return
    assert refused(remedy, other) == []


def test_another_file_may_allow_what_is_offered() -> None:
    offer = OFFER.format(remedy="replacement_topic: job.ok", rules=f"  - {{{DENY}}}")
    first = load_policy(offer.encode(), source="a.yaml")
    with pytest.raises(PolicyError):
        compile_policy(first)
    second = load_policy(f"rules:\n  - {{{ALLOW}}}\n".encode(), source="b.yaml")
    assert compile_policy([first, second]).rule_count == 3


def test_many_remediations_stay_quick() -> None:
    """Beyond a bounded amount of work nothing is proven, and nothing is refused."""
    rules = [
        Rule(
            id=f"r{number}",
            effect=Effect.DENY if number % 2 else Effect.ALLOW,
            match=Match(topics=(f"job.t{number}.*",), capabilities=("c",)),
            remediations=(Remediation(id="x", add_labels={"a": "b"}),) if number % 2 else (),
        )
        for number in range(4_000)
    ]
    with pytest.raises(PolicyError) as caught:
        compile_policy(Policy(name="p", source="p.yaml", rules=tuple(rules)))
    assert len(caught.value.problems) < 2_000


_REMEDIES = st.builds(
    Remediation,
    id=st.just("r"),
    replacement_topic=st.sampled_from(["", "job.a", "job.exec.a", "job.b"]),
    replacement_capability=st.sampled_from(["", "", "a"]),
    add_labels=st.dictionaries(st.sampled_from(LABEL_NAMES), words, max_size=1),
    remove_labels=st.lists(st.sampled_from(LABEL_NAMES), max_size=1).map(tuple),
)


_TOPICS = st.sampled_from(["job.a", "job.exec.a", "job.exec.b"])  # as the API takes them


@settings(max_examples=max(300, EXAMPLES // 4), deadline=None)
@given(policies(), _REMEDIES, requests, _TOPICS, instants, st.booleans())
def test_what_is_refused_is_denied(
    layers: list[Policy],
    remedy: Remediation,
    request: Request,
    topic: str,
    now: datetime,
    plain: bool,
) -> None:
    """Requests of the rule whose origins do not contradict each other are denied, rewritten."""
    layers = [_offering(layer, remedy) for layer in layers]
    snapshot = Snapshot(layers)
    asked = replace(request, topic=topic, credential_labels={}, server_labels={})
    if plain:
        asked = Request(topic=topic, labels=request.labels, payload=request.payload)
    matched = evaluate(snapshot, asked, now=now).matched_rules
    refused_rules = {each.message.split("`")[3] for each in denied_remediations(snapshot)}
    if refused_rules.isdisjoint(matched):
        return
    labels = {k: v for k, v in asked.labels.items() if k not in remedy.remove_labels}
    rewritten = replace(
        asked,
        topic=remedy.replacement_topic or asked.topic,
        capability=remedy.replacement_capability or asked.capability,
        labels={**labels, **remedy.add_labels},
    )
    assert evaluate(snapshot, rewritten, now=now).decision is Effect.DENY


def _offering(layer: Policy, remedy: Remediation) -> Policy:
    """The layer with the remediation in every rule."""
    rules = tuple(replace(rule, remediations=(remedy,)) for rule in layer.rules)
    return replace(layer, rules=rules)
