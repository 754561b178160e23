"""A claim can tighten a decision and never loosen it, by whatever way it enters."""

from itertools import combinations
from typing import Any

import msgspec
import pytest

from forestall.output.scan import scan
from forestall.policy import Effect, PolicyError, Request, compile_policy, evaluate, load_policy
from forestall.policy.compile import Snapshot
from forestall.policy.fields import FIELDS
from forestall.policy.lint.warnings import analyse
from forestall.policy.lint.witness import NOON
from forestall.policy.output_verdict import detectors_for, judge

CLAIMS = {"actor_type": "human", "pack_id": "ops-1", "risk_tags": ("low",)}
CONDITIONS = {
    "actor_type": "actor_types: [human]",
    "pack_id": 'pack_ids: ["ops-*"]',
    "risk_tags": "risk_tags: [low]",
}
REST = "  - {id: rest, decision: require_approval, match: {topics: [job.a]}}\n"
SECRET = "ghp_" + "Zq3vN8rT1xK5mB7wY2cD4fG6hJ9kL0pSaUeI"


def compiled(rules: str) -> Snapshot:
    return compile_policy(load_policy(rules.encode(), source="p.yaml"))


def decided(rules: str, **facts: Any) -> tuple[Effect, str]:
    decision = evaluate(compiled("rules:\n" + rules), Request(topic="job.a", **facts), now=NOON)
    return decision.decision, decision.rule_id


@pytest.mark.parametrize("field", CLAIMS)
def test_a_claim_opens_nothing(field: str) -> None:
    allow = f"  - {{id: a, decision: allow, match: {{topics: [job.a], {CONDITIONS[field]}}}}}\n"
    claim = {field: CLAIMS[field]}
    assert decided(allow, **claim) == (Effect.DENY, "")
    assert decided(allow + REST, **claim) == (Effect.REQUIRE_APPROVAL, "rest")
    value = claim[field] if isinstance(claim[field], tuple) else (claim[field],)
    assert decided(allow + REST, **claim, attested={field: value}) == (Effect.ALLOW, "a")


@pytest.mark.parametrize("field", CLAIMS)
@pytest.mark.parametrize("effect", ["deny", "require_approval", "throttle"])
def test_a_claim_buys_no_exception(field: str, effect: str) -> None:
    rule = (
        f"  - {{id: hold, decision: {effect}, match: {{topics: [job.a]}},"
        f" unless: {{{CONDITIONS[field]}}}}}\n"
    )
    allow = "  - {id: go, decision: allow, match: {topics: [job.a]}}\n"
    assert decided(rule + allow, **{field: CLAIMS[field]}) == (Effect(effect), "hold")


def test_an_exception_on_a_claim_still_tightens() -> None:
    allow = "  - {id: go, decision: allow, match: {topics: [job.a]}, unless: {risk_tags: [low]}}\n"
    assert decided(allow + REST) == (Effect.ALLOW, "go")
    assert decided(allow + REST, risk_tags=("low",)) == (Effect.REQUIRE_APPROVAL, "rest")


def test_each_claim_more_is_at_least_as_strict() -> None:
    """Also where one claim would hide the rule that another one meets."""
    rules = (
        "  - {id: a, decision: allow, match: {topics: [job.a], actor_types: [human]}}\n"
        "  - {id: b, decision: deny, match: {risk_tags: [low]}, unless: {pack_ids: [ops-1]}}\n"
        "  - {id: c, decision: allow, match: {topics: [job.a]}}\n"
    )
    strict = {
        names: decided(rules, **{name: CLAIMS[name] for name in names})[0].strictness
        for count in range(len(CLAIMS) + 1)
        for names in combinations(CLAIMS, count)
    }
    for fewer, least in strict.items():
        assert all(found >= least for more, found in strict.items() if set(fewer) <= set(more))
    assert strict["actor_type", "pack_id", "risk_tags"] == Effect.DENY.strictness


def test_two_claimed_labels_hide_nothing_from_each_other() -> None:
    rules = (
        "labels: {x: {trust: credential}, y: {trust: credential}}\nrules:\n"
        "  - {id: a, decision: allow, match: {labels: {x: one}}}\n"
        "  - {id: b, decision: deny, match: {labels: {y: one}}}\n"
        "  - {id: c, decision: allow, match: {topics: [job.a]}}\n"
    )
    snapshot = compiled(rules)
    for labels in ({"y": "one"}, {"x": "one", "y": "one"}):
        decision = evaluate(snapshot, Request(topic="job.a", labels=labels), now=NOON)
        assert (decision.decision, decision.rule_id) == (Effect.DENY, "b")


def test_a_claim_frees_no_secret() -> None:
    """An output rule on a claim speaks beside the default, which removes secrets."""
    snapshot = compiled(
        "output_rules: [{id: let, decision: allow, match: {actor_types: [human]}}]\n"
    )
    seen = scan(msgspec.json.encode(SECRET), detectors=detectors_for(snapshot))
    for attested, verdict in (({}, "redact"), ({"actor_type": ("human",)}, "allow")):
        request = Request(topic="job.a", actor_type="human", attested=attested)
        ruling = judge(snapshot, request, seen, content_type="text/plain", now=NOON)
        assert ruling.verdict.value == verdict


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("pack_id", "what the client says"),
        ("actor_type", "what the client says"),
        ("labels.session", "each new value gets a new counter"),
        ("labels.url_host", "one payload may have several values"),
    ],
)
def test_a_client_chooses_no_counter(key: str, says: str) -> None:
    rule = (
        "rules: [{id: t, decision: throttle, match: {topics: [job.a]}, throttle: {limit: 1,"
        f" window: 1m, key: [{key}]}}}}]\n"
    )
    with pytest.raises(PolicyError, match=says):
        compiled(rule)


def test_an_allow_that_rests_on_a_claim_is_warned_of() -> None:
    rules = "rules: [{id: a, decision: allow, match: {topics: [job.a], actor_types: [human]}}]\n"
    (one,) = analyse(compiled(rules))
    assert one.code == "allow_on_claim"
    assert "allows nothing by itself: `actor_types`" in one.message


def test_every_field_is_a_claim_or_what_is_asked_for() -> None:
    """A new field of a match has to be put on one side, here and in the theory of `claims`."""
    asked_for = {"topics", "capabilities", "requires"} | {
        f"mcp.{part}" for part in ("servers", "tools", "resources", "actions")
    }
    proven = {"tenants", "agents", "agent_risk_tiers", "agent_data_classes", "actor_ids"}
    claims = {field.name for field in FIELDS if field.claimed}
    assert claims == {"pack_ids", "actor_types", "risk_tags"}
    assert {field.name for field in FIELDS} == asked_for | proven | claims
