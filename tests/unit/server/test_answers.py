"""The wire shapes, as clients that we did not write read them."""

import json
import re
from datetime import datetime
from typing import Any

import pytest

from forestall.identity.roles import Role
from tests.asgi import Door, assert_coded, opened
from tests.http_samples import ALLOWED_JOB, DENIED_JOB, HELD_JOB

ALLOWED = ALLOWED_JOB
DENIED = DENIED_JOB
HELD = HELD_JOB
THROTTLED = {"topic": "job.slow.thing", "prompt": "again"}
LIMITED = {"topic": "job.limited.edit", "prompt": "edit"}
MAIL = {"topic": "job.mail.send", "prompt": "hello", "labels": {"urgent": "yes"}}
WORDS = {"ALLOW", "DENY", "REQUIRE_APPROVAL", "THROTTLE", "ALLOW_WITH_CONSTRAINTS"}
OUTCOMES = (
    (ALLOWED, "ALLOW", "DECISION_TYPE_ALLOW", "allow-demo"),
    (DENIED, "DENY", "DECISION_TYPE_DENY", "deny-destructive-exec"),
    (HELD, "REQUIRE_APPROVAL", "DECISION_TYPE_REQUIRE_HUMAN", "require-approval-prod-write"),
    (THROTTLED, "THROTTLE", "DECISION_TYPE_THROTTLE", "slow-down"),
    (LIMITED, "ALLOW_WITH_CONSTRAINTS", "DECISION_TYPE_ALLOW_WITH_CONSTRAINTS", "allow-limited"),
    (MAIL, "DENY", "DECISION_TYPE_DENY", "deny-mail"),
    ({"topic": "job.unheard.of", "prompt": "x"}, "DENY", "DECISION_TYPE_DENY", ""),
)
IDS = [f"{word}-{rule or 'default'}" for _, word, _, rule in OUTCOMES]


def no_nulls(value: Any, *, but: frozenset[str] = frozenset()) -> None:
    """No null anywhere, but under the names given."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name not in but:
                assert item is not None, f"`{name}` is null"
                no_nulls(item, but=but)
    elif isinstance(value, list):
        for item in value:
            no_nulls(item, but=but)


def is_iso(text: str) -> bool:
    """An ISO 8601 text with a time zone, as the SDK's parser wants it."""
    return isinstance(text, str) and datetime.fromisoformat(text).tzinfo is not None


def series(door: Door) -> dict[str, float]:
    """Every series of ours with its value, but those that count HTTP answers as such."""
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in door.metrics.registry.collect()
        for sample in family.samples
        if sample.name.startswith("forestall_") and "_http_" not in sample.name
    }


# -- policy checks --


@pytest.mark.parametrize("verb", ["evaluate", "simulate", "explain"])
@pytest.mark.parametrize(("body", "word", "twin", "rule"), OUTCOMES, ids=IDS)
def test_a_check_answers_in_the_words_of_every_client(
    door: Door, verb: str, body: dict[str, Any], word: str, twin: str, rule: str
) -> None:
    """Bare capitals, the prefixed twin beside them, both spellings of every field, no null."""
    reply = door.ask("POST", f"/api/v1/policy/{verb}", {**body, "job_id": "job-7"})
    assert reply.status == 200
    answer = reply.json
    assert (answer["decision"], answer["decision_type"]) == (word, twin)
    assert answer["decision"] in WORDS
    assert answer["rule_id"] == answer["ruleId"] == rule
    assert answer["matched_rules"] == ([rule] if rule else [])
    assert isinstance(answer["reason"], str)
    assert answer["policy_snapshot"] == answer["policySnapshot"]
    assert re.fullmatch("[0-9a-f]{64}", answer["policy_snapshot"])
    held = word == "REQUIRE_APPROVAL"
    assert answer["approval_required"] is answer["approvalRequired"] is held
    assert answer["approval_ref"] == answer["approvalRef"] == ("job-7" if held else "")
    assert isinstance(answer["remediations"], list)
    assert is_iso(answer["evaluated_at"])
    seconds = answer["throttle_duration_seconds"]
    assert isinstance(seconds, int)
    if word == "THROTTLE":
        assert seconds >= 1  # a guard sleeps this long and then runs
    no_nulls(answer, but=frozenset({"constraints", "trusted_value"}))
    assert (answer["constraints"] is None) == (word != "ALLOW_WITH_CONSTRAINTS")


def test_constraints_come_in_both_spellings(door: Door) -> None:
    """snake_case for the record, camelCase for the peer's readers, the same values in both."""
    constraints = door.evaluate(LIMITED).json["constraints"]
    assert constraints["budgets"]["max_runtime_ms"] == constraints["budgets"]["maxRuntimeMs"]
    assert constraints["budgets"]["max_runtime_ms"] == 60_000
    sandbox = constraints["sandbox"]
    assert sandbox["network_allowlist"] == sandbox["networkAllowlist"] == ["example.org"]
    assert sandbox["isolated"] is True
    assert constraints["toolchain"]["allowedTools"] == ["git"]
    assert constraints["diff"]["denyPathGlobs"] == constraints["diff"]["deny_path_globs"]
    assert constraints["redactionLevel"] == constraints["redaction_level"] == "strict"


def test_remediations_come_whole_and_in_both_spellings(door: Door) -> None:
    """Every field present, lists and maps never null, on checks, on 403 and in the records."""
    denied = door.submit(MAIL).json
    decisions = door.ask("GET", f"/api/v1/jobs/{denied['job_id']}/decisions").json
    job = door.ask("GET", f"/api/v1/jobs/{denied['job_id']}").json
    offered = (
        door.evaluate(MAIL).json["remediations"],
        denied["remediations"],
        decisions[0]["remediations"],
        job["safety_remediations"],
    )
    for remediations in offered:
        (one,) = remediations
        assert one["id"] == "use-draft"
        assert one["replacement_topic"] == one["replacementTopic"] == "job.demo.draft"
        assert one["replacement_capability"] == one["replacementCapability"] == "mail.draft"
        assert one["add_labels"] == one["addLabels"] == {"draft": "yes"}
        assert one["remove_labels"] == one["removeLabels"] == ["urgent"]
        no_nulls(one)


@pytest.mark.parametrize(("body", "word", "twin", "rule"), OUTCOMES, ids=IDS)
def test_explain_decides_as_simulate_does(
    door: Door, body: dict[str, Any], word: str, twin: str, rule: str
) -> None:
    """One evaluator: explain adds reasons and changes nothing."""
    simulated, explained = door.simulate(body).json, door.explain(body).json
    reasons = explained.pop("explain")
    for answer in (simulated, explained):
        answer.pop("evaluated_at")
    assert simulated == explained
    assert reasons["default_used"] is (rule == "")
    assert reasons["default_decision"] == "DENY"
    if rule:
        assert reasons["rules"][0]["rule_id"] == rule
        assert reasons["rules"][0]["matched"] is True
    no_nulls(reasons)


def test_explain_tells_nothing_of_rules_for_other_tenants() -> None:
    """They name the tenant, and what it is not allowed."""
    policy = """
rules:
  - {id: rival-freeze, decision: deny, reason: "merger", match: {tenants: [rival], topics: ["**"]}}
  - {id: everybody, decision: allow, match: {topics: ["job.demo.*"]}}
  - {id: ours, decision: deny, match: {tenants: [def*], topics: ["job.other"]}}
"""
    with opened(policy=policy) as door:
        reply = door.explain({"topic": "job.demo.read", "prompt": "x"})
        assert b"rival" not in reply.body
        assert b"merger" not in reply.body
        named = [rule["rule_id"] for rule in reply.json["explain"]["rules"]]
        assert named == ["everybody", "ours"]


@pytest.mark.parametrize("verb", ["simulate", "explain"])
def test_a_rehearsal_leaves_no_trace_and_needs_read_rights_only(door: Door, verb: str) -> None:
    """Control 10: no job, no record, no decision counted; a viewer may."""
    viewer = door.key(Role.VIEWER)
    before = door.trace()
    counted = series(door)
    for body, *_ in OUTCOMES:
        reply = door.ask("POST", f"/api/v1/policy/{verb}", body, key=viewer)
        assert reply.status == 200
    assert door.trace() == before
    assert series(door) == counted


def test_evaluate_leaves_exactly_one_record_and_no_job(door: Door) -> None:
    """A binding answer is recorded before it is given, whatever it says; nothing else is."""
    for body, word, _, rule in OUTCOMES:
        jobs, records, keys = door.trace()
        assert door.evaluate(body).status == 200
        assert door.trace() == (jobs, records + 1, keys)
        record = json.loads(door.links()[-1].record)
        assert record["kind"] == "action.checked"
        assert record["data"]["decision"] == word.lower()
        assert record["data"]["rule_id"] == rule


def test_a_guard_is_understood(door: Door) -> None:
    """cordum_guard sends labels, capability and tags under `meta` only."""
    guard = {
        "topic": "job.deploy.apply",
        "job_id": "g-1",
        "meta": {"capability": "infra.write", "risk_tags": ["x"], "labels": {"env": "prod"}},
    }
    answer = door.evaluate(guard).json
    assert (answer["decision"], answer["approval_ref"]) == ("REQUIRE_APPROVAL", "g-1")
    submitted = door.submit({**guard, "prompt": "Approval required: f(1)"}).json
    assert submitted["status"] == "approval_required"
    job = door.ask("GET", f"/api/v1/jobs/{submitted['job_id']}").json
    assert (job["labels"], job["capability"], job["risk_tags"]) == (
        {"env": "prod"},
        "infra.write",
        ["x"],
    )


def test_labels_and_tags_of_both_places_are_merged(door: Door) -> None:
    """Top-level labels go over those of `meta`; tags and requirements add up."""
    body = {
        **ALLOWED,
        "labels": {"a": "top", "b": "top"},
        "risk_tags": ["r1"],
        "requires": ["q1"],
        "meta": {"labels": {"a": "meta", "c": "meta"}, "risk_tags": ["r2"], "requires": ["q2"]},
    }
    job = door.ask("GET", f"/api/v1/jobs/{door.submit(body).json['job_id']}").json
    assert job["labels"] == {"a": "top", "b": "top", "c": "meta"}
    assert sorted(job["risk_tags"]) == ["r1", "r2"]
    assert sorted(job["requires"]) == ["q1", "q2"]


def test_null_reads_as_absent_everywhere(door: Door) -> None:
    """The adapters send null for every option left out (clients 6)."""
    names = (
        "context priority job_id tenant tenant_id org_id principal_id actor_id actor_type"
        " idempotency_key pack_id capability risk_tags requires tags labels max_input_tokens"
        " max_output_tokens max_total_tokens deadline_ms budget meta"
    )
    nulls: dict[str, Any] = dict.fromkeys(names.split())
    inner_names = "tenant_id actor_id actor_type idempotency_key capability risk_tags requires"
    inner = dict.fromkeys(f"{inner_names} pack_id labels".split(" "))
    plain = door.simulate(ALLOWED).json
    for body in ({**nulls, **ALLOWED}, {**nulls, **ALLOWED, "meta": inner, "labels": {"a": None}}):
        assert door.simulate(body).json["job_hash"] == plain["job_hash"]
        assert door.submit(body).status == 200
    assert door.submit({**nulls, "topic": None, "prompt": "x"}).json["decision"] == "DENY"
    assert_coded(door.submit({**nulls, "topic": "job.demo.x", "prompt": None}), 400)


# -- jobs --


def test_a_submission_is_answered_as_the_contract_says(door: Door) -> None:
    """200 accepted, 200 held with its reference, 403 with job id and reason, 429 without a job."""
    allowed, held = door.submit(ALLOWED), door.submit(HELD)
    denied, throttled = door.submit(DENIED), door.submit(THROTTLED)
    assert (allowed.status, allowed.json["status"]) == (200, "accepted")
    assert allowed.json["state"] == "PENDING"
    assert (held.status, held.json["status"]) == (200, "approval_required")
    assert held.json["approval_ref"] == held.json["job_id"]
    assert held.json["reason"] == "human review required for prod write"
    assert denied.status == denied.json["status"] == 403
    assert denied.json["code"] == "policy_denied"
    assert denied.json["error"] == "destructive command class blocked"
    for reply in (allowed, held, denied):
        body = reply.json
        assert body["job_id"]
        assert body["trace_id"] == reply.headers["x-trace-id"] != ""
        assert re.fullmatch("[0-9a-f]{64}", body["job_hash"])
        no_nulls(body, but=frozenset({"constraints"}))
    assert_coded(throttled, 429, "throttled")
    assert int(throttled.headers["retry-after"]) >= 1
    assert "job_id" not in throttled.json
    assert door.trace()[0] == 3


def test_a_denied_submission_carries_the_flat_error_body(door: Door) -> None:
    """A 403 of the policy is read by the same client code as every other error."""
    assert_coded(door.submit(DENIED), 403, "policy_denied")


@pytest.mark.parametrize("body", [ALLOWED, HELD, DENIED, LIMITED], ids=lambda b: b["topic"])
def test_a_job_reads_without_nulls_and_with_iso_dates(door: Door, body: dict[str, Any]) -> None:
    """Strings where guard wants strings, ISO where the SDK parses."""
    submitted = door.submit({**body, "context": {"deep": [1, 2.5, None]}}).json
    job = door.ask("GET", f"/api/v1/jobs/{submitted['job_id']}").json
    strings = (
        "id job_id trace_id state topic tenant tenant_id principal actor_id actor_type capability"
        " pack_id result_ptr context_ptr failure_reason idempotency_key safety_decision"
        " safety_reason safety_rule_id safety_snapshot safety_job_hash approval_ref"
    )
    for name in strings.split(" "):
        assert isinstance(job[name], str), name
    assert job["id"] == job["job_id"] == submitted["job_id"]
    assert job["state"].isupper()
    assert isinstance(job["labels"], dict)
    assert isinstance(job["risk_tags"], list)
    assert isinstance(job["requires"], list)
    assert isinstance(job["safety_remediations"], list)
    assert is_iso(job["created_at"])
    assert is_iso(job["updated_at"])
    assert job["safety_decision"] in WORDS
    assert job["context"] == {"prompt": body["prompt"], "context": {"deep": [1, 2.5, None]}}
    assert "delegation" not in job
    no_nulls(job, but=frozenset({"result", "context", "safety_constraints"}))
    if body is LIMITED:
        assert job["safety_constraints"]["budgets"]["maxRetries"] == 2
    if body is DENIED:
        assert job["failure_reason"] == "destructive command class blocked"


@pytest.mark.parametrize("body", [ALLOWED, HELD, DENIED, LIMITED], ids=lambda b: b["topic"])
def test_decisions_are_a_bare_array_there_at_once(door: Door, body: dict[str, Any]) -> None:
    """The submit-time decision is there right after submit."""
    submitted = door.submit(body).json
    path = f"/api/v1/jobs/{submitted['job_id']}/decisions"
    (one,) = door.ask("GET", path).json
    assert one["decision"] == one["action"] == submitted["decision"]
    assert one["rule_id"] == submitted["rule_id"]
    assert one["policy_snapshot"] == submitted["policy_snapshot"]
    assert one["job_hash"] == submitted["job_hash"]
    assert one["stage"] == "submit"
    assert is_iso(one["evaluated_at"])
    assert isinstance(one["remediations"], list)
    held = one["decision"] == "REQUIRE_APPROVAL"
    assert one["approval_required"] is held
    assert one["approval_ref"] == (submitted["job_id"] if held else "")
    no_nulls(one, but=frozenset({"constraints", "trusted_value"}))


def test_the_snapshot_list_is_a_bare_array_with_iso_dates(door: Door) -> None:
    """What the SDK reads is an array of objects; exactly one is in force."""
    entries = door.ask("GET", "/api/v1/policy/snapshots").json
    assert isinstance(entries, list)
    assert [one["in_force"] for one in entries] == [True]
    assert entries[0]["id"] == door.simulate(ALLOWED).json["policy_snapshot"]
    assert is_iso(entries[0]["created_at"])


# -- headers --


def test_every_answer_carries_the_security_headers(door: Door) -> None:
    """Success, refusal, unknown path and public endpoints alike."""
    for reply in (
        door.submit(ALLOWED),
        door.submit(b"{"),
        door.ask("GET", "/nowhere"),
        door.ask("GET", "/health", key=""),
        door.ask("GET", "/api/v1/jobs", key=""),
        door.ask("PUT", "/api/v1/jobs"),
        door.ask("HEAD", "/api/v1/jobs"),
    ):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-request-id"]


@pytest.mark.parametrize("sent", ["abc-123", "A.b_c-9", "x" * 64])
def test_a_request_id_comes_back(door: Door, sent: str) -> None:
    """In the header, and in the body of an error."""
    reply = door.ask("GET", "/nowhere", headers={"X-Request-Id": sent})
    assert reply.headers["x-request-id"] == reply.json["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "a\nb", "<b>", "é", "a/b", '"'])
def test_a_strange_request_id_is_replaced(door: Door, sent: str) -> None:
    """What could forge a log line or a header is not echoed."""
    reply = door.ask("GET", "/nowhere", headers={"X-Request-Id": sent})
    assert re.fullmatch("[0-9a-f]{16}", reply.headers["x-request-id"])
