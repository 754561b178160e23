"""The wire shapes, as clients that we did not write read them (clients 3.2, 4.4, 9; wire-api 9)."""

import asyncio
import json
import re
from datetime import datetime
from typing import Any

import pytest

from forestall.control.ports import StoreUnavailableError
from forestall.identity.roles import Role
from tests.asgi import Door, FailingStore, Reply, assert_coded, opened
from tests.e2e.harness import ALLOWED_JOB, DENIED_JOB, HELD_JOB

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


@pytest.mark.parametrize("verb", ["simulate", "explain"])
def test_a_rehearsal_leaves_no_trace_and_needs_read_rights_only(door: Door, verb: str) -> None:
    """Control 10: no job, no record, no decision counted; a viewer may."""
    viewer = door.key(Role.VIEWER)
    before = door.trace()
    counted = {sample for family in door.metrics.registry.collect() for sample in family.samples}
    for body, *_ in OUTCOMES:
        reply = door.ask("POST", f"/api/v1/policy/{verb}", body, key=viewer)
        assert reply.status == 200
    assert door.trace() == before
    after = {sample for family in door.metrics.registry.collect() for sample in family.samples}
    moved = {one.name for one in after - counted if one.name.startswith("forestall_")}
    assert not {name for name in moved if not name.startswith("forestall_http_")}


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
    """cordum_guard sends labels, capability and tags under `meta` only (clients 3.1)."""
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
    names = [
        "context",
        "priority",
        "job_id",
        "tenant",
        "tenant_id",
        "org_id",
        "principal_id",
        "actor_id",
        "actor_type",
        "idempotency_key",
        "pack_id",
        "capability",
        "risk_tags",
        "requires",
        "tags",
        "labels",
        "max_input_tokens",
        "max_output_tokens",
        "max_total_tokens",
        "deadline_ms",
        "budget",
        "meta",
    ]
    nulls: dict[str, Any] = dict.fromkeys(names)
    inner = dict.fromkeys(
        [
            "tenant_id",
            "actor_id",
            "actor_type",
            "idempotency_key",
            "capability",
            "risk_tags",
            "requires",
            "pack_id",
            "labels",
        ]
    )
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
    """A 403 of the policy is read by the same client code as every other error (wire-api 4.3)."""
    assert_coded(door.submit(DENIED), 403, "policy_denied")


@pytest.mark.parametrize("body", [ALLOWED, HELD, DENIED, LIMITED], ids=lambda b: b["topic"])
def test_a_job_reads_without_nulls_and_with_iso_dates(door: Door, body: dict[str, Any]) -> None:
    """clients 3.2 and 4.4: strings where guard wants strings, ISO where the SDK parses."""
    submitted = door.submit({**body, "context": {"deep": [1, 2.5, None]}}).json
    job = door.ask("GET", f"/api/v1/jobs/{submitted['job_id']}").json
    strings = [
        "id",
        "job_id",
        "trace_id",
        "state",
        "topic",
        "tenant",
        "tenant_id",
        "principal",
        "actor_id",
        "actor_type",
        "capability",
        "pack_id",
        "result_ptr",
        "context_ptr",
        "failure_reason",
        "idempotency_key",
        "safety_decision",
        "safety_reason",
        "safety_rule_id",
        "safety_snapshot",
        "safety_job_hash",
        "approval_ref",
    ]
    for name in strings:
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
    """wire-api 9.4: the submit-time decision is there right after submit."""
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
    """clients 4.2: an array of objects; exactly one is in force."""
    entries = door.ask("GET", "/api/v1/policy/snapshots").json
    assert isinstance(entries, list)
    assert [one["in_force"] for one in entries] == [True]
    assert entries[0]["id"] == door.simulate(ALLOWED).json["policy_snapshot"]
    assert is_iso(entries[0]["created_at"])


# -- pages --


def pages(door: Door, query: str) -> list[list[str]]:
    """The job ids of every page, following `next_cursor` and checking the Link header."""
    path = f"/api/v1/jobs?{query}"
    found: list[list[str]] = []
    while path:
        reply = door.ask("GET", path)
        assert reply.status == 200
        found.append([job["id"] for job in reply.json["items"]])
        cursor = reply.json["next_cursor"]
        assert isinstance(cursor, str)
        link = re.fullmatch('<([^>]+)>; rel="next"', reply.headers.get("link", ""))
        assert bool(link) == bool(cursor)
        path = link[1] if link else ""
        assert f"cursor={cursor}" in path
        assert len(found) < 100
    return found


def test_pages_cover_everything_once_newest_first(door: Door) -> None:
    """String cursors, a Link header on every page but the last, "" at the end."""
    ids = [door.submit(ALLOWED).json["job_id"] for _ in range(7)]
    found = pages(door, "limit=3")
    assert [len(page) for page in found] == [3, 3, 1]
    assert [one for page in found for one in page] == ids[::-1]
    assert pages(door, "limit=7") == [ids[::-1]]
    assert pages(door, "limit=100000") == [ids[::-1]]


def test_the_link_header_keeps_the_filters(door: Door) -> None:
    """Following it must not widen what was asked for; filters come before the limit."""
    wanted = []
    for number in range(5):
        door.submit({**DENIED, "prompt": f"rm -rf /{number}"})
        job = door.submit({"topic": "job.demo.a-b", "prompt": str(number)}).json
        door.submit({"topic": "job.demo.other", "prompt": str(number)})
        wanted.append(job["job_id"])
    for query in (
        "limit=2&state=pending&topic=job.demo.a-b&tenant=default",
        "topic=job.demo.a-b&status=PENDING&limit=2",
    ):
        found = pages(door, query)
        assert [len(page) for page in found] == [2, 2, 1]
        assert [one for page in found for one in page] == wanted[::-1]
    assert pages(door, "state=RUNNING") == [[]]


def test_time_filters_narrow_and_say_what_they_want(door: Door) -> None:
    """ISO texts and microseconds are read alike; anything else is a coded 400."""
    jobs = []
    for _ in range(3):
        door.clock.at_us += 1_000_000
        jobs.append(door.submit(ALLOWED).json["job_id"])
    middle = door.ask("GET", f"/api/v1/jobs/{jobs[1]}").json["updated_at"]
    found = door.ask("GET", f"/api/v1/jobs?updated_after={middle}").json["items"]
    assert [job["id"] for job in found] == [jobs[2]]
    found = door.ask("GET", f"/api/v1/jobs?updated_before={middle}").json["items"]
    assert [job["id"] for job in found] == [jobs[0]]
    assert_coded(door.ask("GET", "/api/v1/jobs?updated_after=soon"), 400, "invalid_request")


# -- idempotency --


def keyed(door: Door, body: dict[str, Any], way: str, key: str = "k-1", **more: Any) -> Reply:
    """A submission with an idempotency key in one of the places where clients put it."""
    headers = {}
    if way in ("header", "both"):
        headers["Idempotency-Key"] = key
    if way == "x-header":
        headers["X-Idempotency-Key"] = key
    if way in ("body", "both"):
        body = {**body, "idempotency_key": key}
    if way == "meta":
        body = {**body, "meta": {"idempotency_key": key}}
    return door.submit(body, headers=headers, **more)


@pytest.mark.parametrize("way", ["header", "x-header", "body", "meta", "both"])
@pytest.mark.parametrize(
    ("body", "status"), [(ALLOWED, 200), (HELD, 200), (DENIED, 403)], ids=["allow", "hold", "deny"]
)
def test_a_replay_repeats_the_first_answer(
    door: Door, way: str, body: dict[str, Any], status: int
) -> None:
    """The original status and body, marked; a denied job never turns into a 200."""
    first = keyed(door, body, way)
    traced = door.trace()
    for again in ("header", way):
        replay = keyed(door, body, again)
        assert replay.status == first.status == status
        answer = replay.json
        assert answer.pop("idempotent_replay") is True
        assert {**answer, "request_id": ""} == {**first.json, "request_id": ""}
    assert door.trace() == traced


def test_an_idempotency_key_stands_for_one_request(door: Door) -> None:
    """Another body is 409 and stores nothing, whichever field differs."""
    assert keyed(door, ALLOWED, "header").status == 200
    before = door.trace()
    for change in (
        {"prompt": "other"},
        {"topic": "job.demo.write"},
        {"labels": {"a": "b"}},
        {"context": {"x": 1}},
        {"risk_tags": ["r"]},
        {"capability": "c"},
        {"max_total_tokens": 5},
        {"priority": "batch"},
        {"actor_id": "somebody"},
        {"tags": ["t"]},
    ):
        assert_coded(keyed(door, {**ALLOWED, **change}, "header"), 409, "IDEMPOTENCY_CONFLICT")
    assert door.trace() == before


def test_two_different_idempotency_keys_are_refused(door: Door) -> None:
    """Header and body differ: nobody knows which was meant (wire-api 5)."""
    before = door.trace()
    headers = {"Idempotency-Key": "one"}
    reply = door.submit({**ALLOWED, "idempotency_key": "two"}, headers=headers)
    assert_coded(reply, 400, "invalid_request")
    both = {"Idempotency-Key": "one", "X-Idempotency-Key": "two"}
    assert_coded(door.submit(ALLOWED, headers=both), 400, "invalid_request")
    inner = {**ALLOWED, "idempotency_key": "one", "meta": {"idempotency_key": "two"}}
    assert_coded(door.submit(inner), 400, "invalid_request")
    assert door.trace() == before


def test_an_idempotency_key_belongs_to_its_tenant(door: Door) -> None:
    """Two tenants may use the same key for different things."""
    other = door.key(Role.AGENT, "other")
    first = keyed(door, ALLOWED, "header")
    second = keyed(door, DENIED, "header", key="k-1")
    assert_coded(second, 409, "IDEMPOTENCY_CONFLICT")
    reply = door.submit(DENIED, key=other, headers={"Idempotency-Key": "k-1"})
    assert (reply.status, reply.json.get("idempotent_replay")) == (403, None)
    assert reply.json["job_id"] != first.json["job_id"]


def test_twenty_submits_at_once_with_one_key_make_one_job(door: Door) -> None:
    """The precondition is checked in the commit, so the losers get the winner's answer."""

    async def race() -> list[Reply]:
        headers = {"Idempotency-Key": "k-1"}
        asks = (
            door.ask_async("POST", "/api/v1/jobs", HELD, headers=headers, chunks=_halves(HELD))
            for _ in range(20)
        )
        return await asyncio.gather(*asks)

    replies = door.run(race())
    assert {reply.status for reply in replies} == {200}
    assert len({reply.json["job_id"] for reply in replies}) == 1
    assert {reply.json["status"] for reply in replies} == {"approval_required"}
    assert door.trace()[0] == 1


def _halves(body: dict[str, Any]) -> list[bytes]:
    data = json.dumps(body).encode()
    return [data[:9], data[9:]]


# -- outages --


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("jobs", "submit"),
        ("policy/evaluate", "check"),
        ("policy/simulate", ""),
        ("policy/explain", ""),
    ],
)
def test_an_outage_is_503_and_never_a_denial(door: Door, path: str, stage: str) -> None:
    """Control 6: no policy, no decision; Retry-After; nothing stored; the gates count it."""
    door.plane.snapshot = None
    before = door.trace()
    reply = door.ask("POST", f"/api/v1/{path}", ALLOWED)
    assert_coded(reply, 503, "policy_unavailable")
    assert int(reply.headers["retry-after"]) >= 1
    assert door.trace() == before
    if stage:
        assert door.counted("forestall_policy_unavailable_total", stage=stage) == 1
    assert door.ask("GET", "/health", key="").status == 503
    assert door.ask("GET", "/livez", key="").status == 200


@pytest.mark.parametrize("path", ["jobs", "policy/evaluate"])
def test_a_full_disk_refuses_and_says_when_to_come_back(path: str) -> None:
    """What cannot be recorded is not answered: 503 with Retry-After, nothing stored."""
    store = FailingStore()
    with opened(store) as door:
        before = door.trace()
        store.failure = StoreUnavailableError("the disk is full")
        reply = door.ask("POST", f"/api/v1/{path}", ALLOWED)
        assert_coded(reply, 503, "store_unavailable")
        assert door.trace() == before
        store.failure = None
        assert door.ask("POST", f"/api/v1/{path}", ALLOWED).status == 200
        assert int(reply.headers["retry-after"]) >= 1


def test_what_nobody_foresaw_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """500 with a fixed text; the cause is in the log under the request id, not in the answer."""
    store = FailingStore()
    with opened(store) as door:
        store.failure = ZeroDivisionError("secret detail")
        reply = door.submit(ALLOWED)
        body = assert_coded(reply, 500, "internal_error")
        assert b"secret detail" not in reply.body
        assert body["error"] == "internal error"
        assert body["request_id"] in caplog.text


# -- headers --


def test_every_answer_carries_the_security_headers(door: Door) -> None:
    """Success, refusal, unknown path and public endpoints alike (wire-api 2.5)."""
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
