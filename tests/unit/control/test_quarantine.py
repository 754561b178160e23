"""Withheld results and the second person: who may release, what is read when, what is recorded."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from forestall.control.purge import purge
from forestall.control.verify import verify_log
from forestall.errors import UnavailableError
from forestall.identity.roles import Role
from forestall.jobs.job import original_digest
from forestall.limits import APPROVAL_NOTE_CHARS_MAX
from forestall.policy.problems import PolicyError
from forestall.ports.entries import EntryKind
from forestall.ports.output import OutputMeans, ScannerBusyError
from forestall.server.keyring import KEYRING_FILE, load_keyring, rotate
from tests.asgi import POLICY, Door, FailingStore, assert_coded
from tests.workers_under_test import JOBS, Worker, enforce, job, kinds, submit

CANARY = "ghp_" + "Zq3vN8rT1xK5mB7wY2cD4fG6hJ9kL0pSaUeI"
QUARANTINE = """
output_rules:
  - {id: out-stop, decision: quarantine, reason: "a credential", match: {detectors: [secret]}}
"""
LETTING = """
output_rules:
  - {id: out-let, decision: allow, match: {topics: ["job.demo.*"]}}
"""
REASON = {"reason": "looked at; a test key"}


class House(Door):
    """A door with a keyring and one worker."""

    def __init__(self, folder: Path, policy: str = POLICY + QUARANTINE) -> None:
        super().__init__(FailingStore(), policy)
        self.folder = folder
        self.plane.output = OutputMeans(sealer=load_keyring(folder))
        self.worker = Worker(self, topics=["*"])

    def given(self, **more: Any) -> dict[str, Any]:
        """A job in the worker's hands."""
        submit(self, **more)
        (leased,) = self.worker.lease()
        return leased

    def withheld(self, result: Any = None) -> str:
        """A job whose result is withheld."""
        leased = self.given()
        reply = self.worker.answer(leased, result=result or {"token": CANARY, "n": 1})
        assert (reply.status, reply.json["state"]) == (200, "OUTPUT_QUARANTINED")
        job_id: str = leased["job_id"]
        return job_id

    def decide(self, job_id: str, verb: str = "release", body: Any = None, **more: Any) -> Any:
        """Release or confirm."""
        return self.ask("POST", f"{JOBS}/{job_id}/output/{verb}", body or REASON, **more)

    def verified(self) -> None:
        """The log and the state agree."""
        report = self.run(verify_log(self.store))
        assert report.ok, report.problems


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.runner.close()


# -- who --


def test_another_person_releases_and_nothing_runs_again(house: House) -> None:
    """SUCCEEDED with the original, one attempt, off the dead letters, and a record of all of it."""
    job_id = house.withheld()
    before = job(house, job_id)
    assert (before["result"], before["attempts"]) == (None, 1)
    assert [one["reason_code"] for one in house.ask("GET", "/api/v1/dlq").json] == [
        "output_quarantined"
    ]
    reply = house.decide(job_id, key=house.key(Role.APPROVER, name="second"))
    assert reply.status == 200
    assert (reply.json["state"], reply.json["output_decision"]) == ("SUCCEEDED", "RELEASED")
    after = job(house, job_id)
    assert after["result"] == {"token": CANARY, "n": 1}
    assert (after["attempts"], after["error_code"], after["output_decision"]) == (1, "", "RELEASED")
    assert house.ask("GET", "/api/v1/dlq").json == []
    assert kinds(house, job_id)[-2:] == ["job.quarantined", "job.released"]
    record = house.records()[-1]["data"]
    assert record["release_reason"] == REASON["reason"]
    assert house.worker.lease() == []
    house.verified()


def test_the_recorded_digest_is_that_of_the_released_original(house: House) -> None:
    """Behind a salt that only the release tells; before it nobody can try what it may have been."""
    job_id = house.withheld()
    digest = house.records()[-1]["data"]["original_digest"]
    house.decide(job_id, key=house.key(Role.APPROVER))
    salt = bytes.fromhex(house.records()[-1]["data"]["original_salt"])
    original = json.dumps({"token": CANARY, "n": 1}, separators=(",", ":")).encode()
    assert original_digest(salt, original) == digest


@pytest.mark.parametrize("verb", ["release", "confirm"])
@pytest.mark.parametrize("who", ["same key", "same principal", "key made by the submitter"])
def test_who_asked_does_not_decide(house: House, who: str, verb: str) -> None:
    """Not under the same key, another key of the same principal, or a key that they made."""
    job_id = house.withheld()
    key = None
    if who == "same principal":
        principal = job(house, job_id)["principal"]
        key = house.key(Role.APPROVER, principal=principal)
    elif who == "key made by the submitter":
        made = {"name": "mine", "role": "approver"}
        key = house.ask("POST", "/api/v1/auth/keys", made).json["secret"]
    assert_coded(house.decide(job_id, verb, key=key), 403, "self_release_denied")
    assert job(house, job_id)["state"] == "OUTPUT_QUARANTINED"
    assert house.records()[-1]["kind"] == "output.refused"
    assert house.decide(job_id, verb, key=house.key(Role.APPROVER)).status == 200


def test_whoever_gave_the_result_does_not_release_it(house: House) -> None:
    """A person whose principal is the name of the worker."""
    job_id = house.withheld()
    key = house.key(Role.APPROVER, principal=house.worker.name)
    assert_coded(house.decide(job_id, key=key), 403, "self_release_denied")
    assert_coded(house.decide(job_id, key=house.worker.token), 403, "forbidden")


def test_another_tenant_sees_nothing(house: House) -> None:
    """404, and an empty list."""
    job_id = house.withheld()
    key = house.key(Role.ADMIN, tenant="other")
    assert_coded(house.decide(job_id, key=key), 404, "job_not_found")
    assert_coded(house.ask("GET", f"{JOBS}/{job_id}/output", key=key), 404, "job_not_found")
    assert house.ask("GET", "/api/v1/quarantine", key=key).json["items"] == []
    assert len(house.ask("GET", "/api/v1/quarantine").json["items"]) == 1


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": " \n"}, {"reason": "x" * 2_001}])
def test_a_reason_is_required(house: House, body: dict[str, str]) -> None:
    """For both; nothing is changed without one."""
    job_id = house.withheld()
    key = house.key(Role.APPROVER)
    for verb in ("release", "confirm"):
        reply = house.ask("POST", f"{JOBS}/{job_id}/output/{verb}", body, key=key)
        assert_coded(reply, 400, "invalid_request")
    wrong = house.decide(job_id, body={"reason": "r", "mode": "raw"}, key=key)
    assert_coded(wrong, 400, "invalid_request")


def test_a_retry_is_no_release(house: House) -> None:
    """It would run the job again; only with `force`."""
    job_id = house.withheld()
    assert_coded(house.ask("POST", f"/api/v1/dlq/{job_id}/retry", {}), 409, "retry_withheld")
    assert house.worker.lease() == []


def test_whoever_asked_may_not_run_a_withheld_job_twice(house: House) -> None:
    """`force` needs the same permission here as for a job that was denied."""
    agent = house.key(Role.AGENT, name="agent")
    asked = {"topic": "job.demo.read", "prompt": "status"}
    job_id = house.submit(asked, key=agent).json["job_id"]
    (leased,) = house.worker.lease()
    house.worker.answer(leased, result={"token": CANARY})
    path = f"/api/v1/dlq/{job_id}/retry"
    assert_coded(house.ask("POST", path, {}, key=agent), 409, "retry_withheld")
    assert_coded(house.ask("POST", path, {"force": True}, key=agent), 403, "forbidden")
    assert house.worker.lease() == []
    assert house.ask("POST", path, {"force": True}).status == 200


# -- how it ends --


def test_a_discarded_original_is_gone(house: House) -> None:
    """The job stays withheld, off the dead letters; nobody can release it any more."""
    job_id, key = house.withheld(), house.key(Role.APPROVER)
    assert house.decide(job_id, "confirm", key=key).json["output_decision"] == "CONFIRMED"
    assert job(house, job_id)["state"] == "OUTPUT_QUARANTINED"
    for verb in ("release", "confirm"):
        assert_coded(house.decide(job_id, verb, key=key), 409, "output_original_gone")
    seen = house.ask("GET", f"{JOBS}/{job_id}/output", key=key).json
    assert (seen["original_kept"], seen["resolution"]) == (False, "confirmed")
    assert house.ask("GET", "/api/v1/quarantine").json["items"] == []
    assert len(house.ask("GET", "/api/v1/quarantine?include_resolved=true").json["items"]) == 1
    house.verified()


def test_a_released_job_is_not_released_again(house: House) -> None:
    """409 that says how it stands."""
    job_id, key = house.withheld(), house.key(Role.APPROVER)
    house.decide(job_id, key=key)
    body = assert_coded(house.decide(job_id, key=key), 409, "output_not_quarantined")
    assert body["details"]["state"] == "SUCCEEDED"


def test_a_release_may_be_of_the_clean_copy(house: House) -> None:
    """The original stays sealed until its time is over."""
    job_id, key = house.withheld(), house.key(Role.APPROVER)
    assert house.decide(job_id, body={**REASON, "mode": "redacted"}, key=key).status == 200
    result = job(house, job_id)["result"]
    assert result["n"] == 1
    assert result["token"].startswith("[REDACTED:")
    assert house.ask("GET", f"{JOBS}/{job_id}/output", key=key).json["original_kept"]
    house.verified()


def test_two_who_decide_at_once(house: House) -> None:
    """One of them; the other is told so."""
    job_id = house.withheld()
    keys = [house.key(Role.APPROVER) for _ in range(2)]

    async def both() -> list[int]:
        path = f"{JOBS}/{job_id}/output"
        replies = await asyncio.gather(
            house.ask_async("POST", f"{path}/release", REASON, key=keys[0]),
            house.ask_async("POST", f"{path}/confirm", REASON, key=keys[1]),
        )
        return sorted(reply.status for reply in replies)

    assert house.run(both()) == [200, 409]
    house.verified()


def test_originals_are_purged_after_their_time(house: House) -> None:
    """With a record each; the job, its verdict and its findings stay."""
    job_id, key = house.withheld(), house.key(Role.APPROVER)
    house.clock.forward(30 * 86_400 - 60)
    assert house.run(purge(house.plane)) == 0
    house.clock.forward(120)
    assert house.run(purge(house.plane)) == 1
    assert house.run(purge(house.plane)) == 0
    assert house.records()[-1]["kind"] == "output.purged"
    assert_coded(house.decide(job_id, key=key), 409, "output_original_gone")
    seen = house.ask("GET", f"{JOBS}/{job_id}/output", key=key).json
    assert len(seen["findings"]) == 1


def test_a_rotated_key_still_opens_what_it_sealed(house: House) -> None:
    """And seals nothing more; without the old key the release is refused, and says why."""
    first, second = house.withheld(), house.withheld()
    rotate(house.folder)
    third = house.withheld()
    key = house.key(Role.APPROVER)
    for job_id in (first, third):
        assert house.decide(job_id, key=key).status == 200
    (house.folder / KEYRING_FILE).unlink()
    house.plane.output = OutputMeans(sealer=load_keyring(house.folder))
    assert_coded(house.decide(second, key=key), 503, "seal_unreadable")
    assert job(house, second)["state"] == "OUTPUT_QUARANTINED"


def test_an_original_cannot_be_put_under_another_job(house: House) -> None:
    """The seal names tenant, job and attempt."""
    one, other = house.withheld(), house.withheld({"token": CANARY, "n": 2})
    entries = house.store._registry  # type: ignore[attr-defined]  # the attacker has the database
    theirs = entries["default", EntryKind.ORIGINAL, other]
    entries["default", EntryKind.ORIGINAL, one] = structs.replace(theirs, name=one)
    reply = house.decide(one, key=house.key(Role.APPROVER))
    assert_coded(reply, 503, "seal_unreadable")


# -- what a worker may try --


def test_a_second_answer_changes_nothing(house: House) -> None:
    """Neither a clean one after a withheld one nor the reverse."""
    leased = house.given()
    assert house.worker.answer(leased, result={"token": CANARY}).status == 200
    again = house.worker.answer(leased, result={"clean": True})
    assert_coded(again, 409, "already_completed")
    assert job(house, leased["job_id"])["result"] is None
    leased = house.given()
    assert house.worker.answer(leased, result={"clean": True}).status == 200
    assert_coded(house.worker.answer(leased, result={"token": CANARY}), 409, "already_completed")
    assert job(house, leased["job_id"])["result"] == {"clean": True}


def test_two_answers_at_once(house: House) -> None:
    """One of them counts, with its own verdict."""
    leased = house.given()
    path = f"{JOBS}/{leased['job_id']}/result"

    async def both() -> list[int]:
        said = {"lease_id": leased["lease_id"], "status": "succeeded"}
        replies = await asyncio.gather(
            *(
                house.ask_async("POST", path, {**said, "result": result}, key=house.worker.token)
                for result in ({"token": CANARY}, {"clean": True})
            )
        )
        return sorted(reply.status for reply in replies)

    assert house.run(both()) == [200, 409]
    assert CANARY not in json.dumps(job(house, leased["job_id"]))
    house.verified()


def test_the_rules_in_force_at_the_answer_decide(tmp_path: Path) -> None:
    """Tightened after the dispatch: withheld. Loosened: read."""
    with_rules, without = POLICY + QUARANTINE, POLICY + LETTING
    for before, after, state in (
        (without, with_rules, "OUTPUT_QUARANTINED"),
        (with_rules, without, "SUCCEEDED"),
    ):
        house = House(tmp_path, before)
        leased = house.given()
        enforce(house, after)
        reply = house.worker.answer(leased, result={"token": CANARY})
        assert reply.json["state"] == state
        house.runner.close()


class Meddling:
    """Scanners during whose work something happens."""

    def __init__(self, before: Callable[[], Any]) -> None:
        self.before = before
        self.runs = 0

    async def run(self, work: Callable[[Callable[[], bool]], Any]) -> Any:
        """See `Scanners.run`."""
        self.runs += 1
        if self.runs == 1:
            done = self.before()
            if asyncio.iscoroutine(done):
                await done
        return work(lambda: False)


def test_rules_that_change_while_it_is_looked_at(house: House) -> None:
    """It is looked at again, under the new ones."""
    from forestall.control.publish import publish

    enforce(house, POLICY + LETTING)
    leased = house.given()
    tightened = [("changed.yaml", (POLICY + QUARANTINE).encode())]
    scanners = Meddling(lambda: publish(house.plane, tightened, actor="test"))
    house.plane.output.scanners = scanners
    reply = house.worker.answer(leased, result={"token": CANARY})
    assert (reply.json["state"], scanners.runs) == ("OUTPUT_QUARANTINED", 2)


@pytest.mark.parametrize(
    ("failure", "code"),
    [(TimeoutError(), "scan_timeout"), (None, "policy_unavailable")],
    ids=["time", "no policy"],
)
def test_what_cannot_be_looked_at_is_withheld(
    house: House, failure: Exception | None, code: str
) -> None:
    """Also when nothing is wrong with it."""
    leased = house.given()

    def meddle() -> None:
        raise failure or AssertionError

    if failure is None:
        house.plane.policy.snapshot = None
    else:
        house.plane.output.scanners = Meddling(meddle)
    reply = house.worker.answer(leased, result={"clean": True})
    assert reply.json["state"] == "OUTPUT_QUARANTINED"
    seen = house.ask("GET", f"{JOBS}/{leased['job_id']}/output").json
    assert (seen["code"], seen["result"]) == (code, None)


def test_a_scan_that_raises_withholds_and_says_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the error may hold part of the result."""

    def broken(*args: Any, **more: Any) -> Any:
        raise ValueError(f"cannot read {CANARY}")

    monkeypatch.setattr("forestall.control.content_scan.scan", broken)
    job_id = house.withheld({"clean": True})
    seen = house.ask("GET", f"{JOBS}/{job_id}/output")
    assert seen.json["code"] == "scan_failed"
    assert CANARY.encode() not in seen.body
    assert CANARY not in str(house.records())


def test_a_busy_scanner_changes_nothing(house: House) -> None:
    """The worker is asked to answer again, and may."""
    leased = house.given()

    def busy() -> None:
        raise ScannerBusyError("too many", retry_after_s=1)

    house.plane.output.scanners = Meddling(busy)
    reply = house.worker.answer(leased, result={"clean": True})
    assert_coded(reply, 503, "scanner_busy")
    assert job(house, leased["job_id"])["state"] == "DISPATCHED"
    assert house.worker.answer(leased, result={"clean": True}).json["state"] == "SUCCEEDED"


def test_a_crash_between_scan_and_commit_leaves_nothing_readable(house: House) -> None:
    """Nothing of the answer is stored; the worker's next answer counts."""
    leased = house.given()
    assert isinstance(house.store, FailingStore)
    house.store.failure = UnavailableError("the disk is full")
    assert house.worker.answer(leased, result={"token": CANARY}).status == 503
    house.store.failure = None
    assert house.run(house.store.output("default", leased["job_id"])) is None
    assert house.run(house.store.result("default", leased["job_id"])) is None
    assert job(house, leased["job_id"])["result"] is None
    assert house.worker.answer(leased, result={"token": CANARY}).status == 200
    house.verified()


def test_a_mebibyte_of_hostile_text(house: House) -> None:
    """Findings without end: bounded in what is kept, and nothing of it is read."""
    many = {"t": [CANARY] * 20_000}
    leased = house.given()
    reply = house.worker.answer(leased, result=many)
    assert reply.json["state"] == "OUTPUT_QUARANTINED"
    seen = house.ask("GET", f"{JOBS}/{leased['job_id']}/output")
    assert len(seen.json["findings"]) <= 100
    assert CANARY.encode() not in seen.body
    for text in ("a" * 1_000_000, "=" * 1_000_000, "eyJ" * 330_000, '\\"' * 240_000):
        leased = house.given()
        assert house.worker.answer(leased, result=text).status == 200
        shown = job(house, leased["job_id"])
        assert shown["result"] in (text, None)


# -- what is shown --


def test_findings_are_masked_and_their_surroundings_too(house: House) -> None:
    """Those who may release see what stands round a finding; nobody sees a finding."""
    job_id = house.withheld(
        {"log": f"first {CANARY} then {CANARY} and postgres://u:p4ssW0rd9x@h/d"}
    )
    path = f"{JOBS}/{job_id}/output"
    for role, context in ((Role.APPROVER, True), (Role.VIEWER, False)):
        seen = house.ask("GET", path, key=house.key(role))
        assert CANARY.encode() not in seen.body
        assert b"p4ssW0rd9x" not in seen.body
        assert all(("context" in one) is context for one in seen.json["findings"])
        assert len(seen.json["findings"]) == 3
    assert (
        "first [github_personal_token] then"
        in house.ask("GET", path).json["findings"][0]["context"]
    )


def test_the_names_of_the_guide_are_counted(house: House) -> None:
    """checked, quarantined, redacted; skipped stays 0."""
    house.withheld()
    enforce(house, POLICY)
    house.worker.answer(house.given(), result={"token": CANARY})
    house.worker.answer(house.given(), result={"clean": True})
    counted = {
        name: house.counted(f"cordum_output_policy_{name}_total")
        for name in ("checked", "quarantined", "redacted", "skipped")
    }
    assert counted == {"checked": 3, "quarantined": 1, "redacted": 1, "skipped": 0}
    assert house.counted("forestall_output_check_seconds_count") == 3


def test_a_redacted_job_tells_the_verdict(house: House) -> None:
    """The record holds verdict, counts and both digests; `audit verify` compares the released."""
    enforce(house, POLICY)
    leased = house.given()
    house.worker.answer(leased, result={"token": CANARY})
    shown = job(house, leased["job_id"])
    assert (shown["output_decision"], shown["output_safety"]["code"]) == ("REDACT", "default")
    record = house.records()[-1]["data"]
    assert record["verdict"] == "redact"
    assert [count for _, count in record["findings"]] == ["1"]
    assert record["result_digest"] == shown["result_digest"] != record["original_digest"]
    house.verified()


def test_a_rule_that_nothing_can_enforce_is_not_taken_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy in force stays; otherwise every result would be withheld."""
    monkeypatch.setattr("forestall.policy.output_verdict.DETECTORS", {})
    in_force = house.plane.snapshot
    with pytest.raises(PolicyError, match="no detector here finds `secret`"):
        enforce(house, POLICY + QUARANTINE)
    assert house.plane.snapshot is in_force


def test_a_rule_about_what_is_ours_needs_to_know_what_that_is(house: House) -> None:
    """The problem says where to name it; named, the policy is taken up."""
    rules = (
        f"{POLICY}output_rules:\n"
        "  - {id: hosts, decision: redact, match: {detectors: [internal_host]}}\n"
    )
    with pytest.raises(PolicyError, match="no detector here finds `internal_host`") as raised:
        enforce(house, rules)
    assert raised.value.problems[0].hint == "name under `detect.internal_hosts` what is yours"
    enforce(house, f"{rules}detect: {{internal_hosts: [corp.example.net]}}\n")
    leased = house.given()
    house.worker.answer(leased, result={"db": "db.corp.example.net"})
    assert job(house, leased["job_id"])["output_decision"] == "REDACT"


# -- the reason --


@pytest.mark.parametrize(("verb", "kind"), [("release", "released"), ("confirm", "confirmed")])
def test_the_reason_is_recorded_with_who_and_what(house: House, verb: str, kind: str) -> None:
    job_id = house.withheld()
    rachel = house.key(Role.APPROVER, name="rachel")
    assert house.decide(job_id, verb, {"reason": "a test key of ours"}, key=rachel).status == 200
    record = house.records()[-1]
    assert (record["kind"], record["actor"]) == (f"job.{kind}", "rachel")
    assert record["data"]["release_reason"] == "a test key of ours"
    assert record["data"]["key_id"].startswith("key-")
    assert record["data"]["original_digest"]
    shown = house.ask("GET", f"{JOBS}/{job_id}/output", key=rachel).json
    assert "a test key of ours" in json.dumps(shown)


@pytest.mark.parametrize("verb", ["release", "confirm"])
def test_a_secret_in_the_reason_is_not_kept(house: House, verb: str) -> None:
    """People paste what they looked at. The rule withholds a text with a secret."""
    job_id = house.withheld({"n": 1, "token": CANARY})
    rachel = house.key(Role.APPROVER, name="rachel")
    reply = house.decide(job_id, verb, {"reason": f"it is only {CANARY}"}, key=rachel)
    assert reply.status == 200
    record = house.records()[-1]
    assert CANARY not in json.dumps(record)
    assert record["data"]["release_reason"] == "[withheld by the output policy]"
    shown = house.ask("GET", f"{JOBS}/{job_id}/output", key=rachel).json
    shown.pop("result", None)  # a release makes the result readable, and that is meant
    assert CANARY not in json.dumps(shown)


@pytest.mark.parametrize("verb", ["release", "confirm"])
@pytest.mark.parametrize("reason", ["", " \t\n", "x" * (APPROVAL_NOTE_CHARS_MAX + 1)])
def test_a_reason_is_neither_blank_nor_without_end(house: House, verb: str, reason: str) -> None:
    job_id = house.withheld()
    rachel = house.key(Role.APPROVER, name="rachel")
    trace = house.trace()
    assert_coded(house.decide(job_id, verb, {"reason": reason}, key=rachel), 400)
    assert house.trace() == trace
    assert job(house, job_id)["state"] == "OUTPUT_QUARANTINED"
    longest = {"reason": "x" * APPROVAL_NOTE_CHARS_MAX}
    assert house.decide(job_id, verb, longest, key=rachel).status == 200
