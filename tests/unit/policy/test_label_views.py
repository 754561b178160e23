"""Origins and views: what a client claims can tighten and is recorded; no part hides another."""

from datetime import UTC, datetime
from typing import Any

import pytest

from forestall.facts.derive import FIELDS_OF_KIND, PayloadKind
from forestall.policy import Decision, Effect, Request, compile_policy, evaluate, load_policy
from forestall.policy.rules import LabelConflict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GUIDE_RULES = """
rules:
  - id: deny-destructive-exec
    decision: deny
    match: {topics: ["job.exec.*"], labels: {command_class: destructive}}
"""
PERMISSIVE = (
    GUIDE_RULES
    + """
  - id: hold-privileged
    decision: require_approval
    match: {topics: ["job.exec.*"], labels: {command_class: privileged}}
  - id: allow-reads
    decision: allow
    match: {topics: ["job.exec.*"], labels: {command_class: read}}
"""
)


def decide(policy: str, **fields: Any) -> Decision:
    return evaluate(compile_policy(load_policy(policy)), Request(**fields), now=NOW)


def shell(text: str, **labels: str) -> dict[str, Any]:
    return {"topic": "job.exec.shell", "payload": {"prompt": text}, "labels": labels}


def test_the_guides_two_rules_alone_deny_an_unlabelled_rm() -> None:
    decision = decide(GUIDE_RULES, **shell("rm -rf /"))
    assert (decision.decision, decision.rule_id) == (Effect.DENY, "deny-destructive-exec")


def test_every_command_of_a_pipeline_is_decided() -> None:
    assert decide(PERMISSIVE, **shell("ls -la")).decision is Effect.ALLOW
    assert decide(PERMISSIVE, **shell("ls | grep x | wc -l")).decision is Effect.ALLOW
    held = decide(PERMISSIVE, **shell("ls; sudo ls"))
    assert held.rule_id == "hold-privileged"
    denied = decide(PERMISSIVE, **shell("ls; sudo rm -rf /; ls"))
    assert denied.rule_id == "deny-destructive-exec"


def test_adding_a_milder_or_worse_command_never_helps() -> None:
    """With one worst label, adding `rm x` would turn a held command into another class."""
    policy = PERMISSIVE.replace("decision: deny", "decision: allow")
    assert decide(policy, **shell("sudo ls; rm x")).rule_id == "hold-privileged"


@pytest.mark.parametrize("claim", ["read", "safe", "", "DESTRUCTIVE"])
def test_a_claim_does_not_hide_what_was_derived(claim: str) -> None:
    decision = decide(PERMISSIVE, **shell("rm -rf /", command_class=claim))
    assert decision.rule_id == "deny-destructive-exec"
    assert decision.conflicts == (
        LabelConflict(
            label="command_class", origin="claimed", value=claim, trusted_value="destructive"
        ),
    )


def test_a_claim_can_tighten() -> None:
    decision = decide(PERMISSIVE, **shell("ls", command_class="destructive"))
    assert decision.rule_id == "deny-destructive-exec"


def test_a_claim_of_a_derived_label_does_not_open_another_topic() -> None:
    policy = "rules: [{id: a, decision: allow, match: {labels: {command_class: read}}}]\n"
    decision = decide(policy, topic="job.mail.send", labels={"command_class": "read"})
    assert decision.decision is Effect.DENY


def test_nothing_to_parse_is_unknown() -> None:
    assert decide(PERMISSIVE, topic="job.exec.shell").decision is Effect.DENY
    payloads: list[Any] = [None, {}, {"prompt": "  "}, {"prompt": 7}, {"context": {"command": []}}]
    for payload in payloads:
        request: dict[str, Any] = {"topic": "job.exec.shell", "payload": payload}
        assert dict(decide(PERMISSIVE, **request).facts)["command_class"] == "unknown"


@pytest.mark.parametrize(
    "field", [name for name in FIELDS_OF_KIND[PayloadKind.SHELL] if name != "context"]
)
def test_no_field_of_the_payload_is_overlooked(field: str) -> None:
    payload: dict[str, Any] = {"prompt": "ls"}
    *path, last = field.split(".")
    inner: dict[str, Any] = payload
    for name in path:
        inner = inner.setdefault(name, {})
    name, items, _ = last.partition("[*]")
    inner[name] = ["ls", "rm -rf /"] if items else "rm -rf /"
    decision = decide(PERMISSIVE, topic="job.exec.shell", payload=payload)
    assert decision.rule_id == "deny-destructive-exec"


@pytest.mark.parametrize(
    "argv", [["rm", "-rf", "/"], ["sh", "-c", "rm -rf /"], ["rm -rf /"], ["ls", "rm -rf /"]]
)
def test_an_argument_vector_is_a_command(argv: list[str]) -> None:
    payload: dict[str, Any] = {"prompt": "run this", "context": {"argv": argv}}
    decision = decide(PERMISSIVE, topic="job.exec.shell", payload=payload)
    assert decision.rule_id == "deny-destructive-exec"


def test_credential_labels_outrank_claims_where_the_policy_says_so() -> None:
    policy = """
labels: {env: {trust: credential}}
rules:
  - {id: hold-prod, decision: require_approval, match: {labels: {env: prod}}}
  - {id: allow-dev, decision: allow, match: {labels: {env: dev}}}
"""
    request = {"topic": "job.x", "credential_labels": {"env": "prod"}, "labels": {"env": "dev"}}
    assert decide(policy, **request).rule_id == "hold-prod"
    assert decide(policy, topic="job.x", labels={"env": "dev"}).decision is Effect.DENY
    assert decide(policy, topic="job.x", credential_labels={"env": "dev"}).rule_id == "allow-dev"
    tightened = {"topic": "job.x", "credential_labels": {"env": "dev"}, "labels": {"env": "prod"}}
    assert decide(policy, **tightened).rule_id == "hold-prod"


@pytest.mark.parametrize("last", ["rm -rf /", "ls", "curl x"])
def test_what_cannot_be_decided_command_by_command_is_denied(last: str) -> None:
    """Not cut short: an agent could hide one command behind a hundred others."""
    script = "; ".join(f"program{n}" for n in range(300)) + f"; {last}"
    decision = decide("default_decision: allow\nrules: []\n", **shell(script))
    assert (decision.decision, decision.code) == (Effect.DENY, "rule_error")


def test_a_value_that_cannot_be_evaluated_denies() -> None:
    broken: Any = {"command_class": ["read"]}
    decision = decide(PERMISSIVE, topic="job.exec.a", labels=broken)
    assert (decision.decision, decision.code) == (Effect.DENY, "rule_error")
