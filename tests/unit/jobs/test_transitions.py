"""Every decision, vote and passing of time, and what becomes of the job then."""

from typing import Any

import msgspec
import pytest

from forestall.jobs.approval import NO_GROUNDS, ApprovalStatus, Grounds, Vote
from forestall.jobs.job import Job, JobState, Lease
from forestall.jobs.lifecycle import Event, after
from forestall.jobs.registry import RegistryBinding
from forestall.jobs.transitions import (
    Asker,
    Transition,
    after_deadline,
    after_decision,
    after_lease_end,
    at_birth,
    tightened,
)
from forestall.jobs.votes import after_drift, after_vote, asked_approval
from forestall.policy.rules import (
    ApprovalDemands,
    Constraints,
    Decision,
    Effect,
    LabelConflict,
    RoleDemand,
)
from tests.unit.jobs.sample_jobs import a_job

NOW_US = 1_000_000_000_000
ALLOWS = (Effect.ALLOW, Effect.ALLOW_WITH_CONSTRAINTS)


def a_decision(effect: Effect, **fields: Any) -> Decision:
    made = {"decision": effect, "code": "rule", "reason": "so", "snapshot": "s", "rule_id": "r"}
    return Decision(**{**made, **fields})


def a_lease(**fields: Any) -> Lease:
    made = {
        "id": "l",
        "worker": "w",
        "dispatched_at_us": NOW_US,
        "runs_until_us": 0,
        "rule_id": "r",
        "snapshot": "s",
    }
    return Lease(**{**made, **fields})


def asked(grounds: Grounds = NO_GROUNDS, **fields: Any) -> Job:
    """A job that somebody was asked to approve."""
    job = a_job(**fields)
    born = at_birth(
        a_decision(Effect.REQUIRE_APPROVAL),
        job_hash=job.job_hash,
        requester=job.principal,
        now_us=NOW_US,
        grounds=grounds,
    )
    return msgspec.structs.replace(job, **born)


def a_vote(**fields: Any) -> Vote:
    made = {
        "principal": "ann",
        "key_id": "k",
        "roles": ("approver",),
        "at_us": NOW_US,
        "approves": True,
        "saw_hash": True,
    }
    return Vote(**{**made, **fields})


@pytest.mark.parametrize("effect", [each for each in Effect if each is not Effect.THROTTLE])
def test_a_job_is_born_as_the_decision_says(effect: Effect) -> None:
    fields = at_birth(a_decision(effect), job_hash="h", requester="p", now_us=NOW_US)
    wanted = {Effect.DENY: JobState.DENIED, Effect.REQUIRE_APPROVAL: JobState.APPROVAL_REQUIRED}
    assert fields["state"] is wanted.get(effect, JobState.PENDING)
    assert ("approval" in fields) is (effect is Effect.REQUIRE_APPROVAL)
    assert (fields.get("dead_at_us", 0) > 0) is (effect is Effect.DENY)


def test_no_job_is_born_under_a_throttle() -> None:
    with pytest.raises(KeyError):
        at_birth(a_decision(Effect.THROTTLE), job_hash="h", requester="p", now_us=NOW_US)


@pytest.mark.parametrize("asker", Asker)
@pytest.mark.parametrize("effect", Effect)
def test_every_decision_leads_where_the_table_says(effect: Effect, asker: Asker) -> None:
    """And where it leads is a move of the lifecycle."""
    is_repair = asker is Asker.REPAIR
    job = asked() if is_repair else a_job()
    lease = a_lease() if effect in ALLOWS and not is_repair else None
    found = after_decision(
        job, a_decision(effect), asker, passed=("t",), now_us=NOW_US, lease=lease
    )
    wanted = {
        Effect.DENY: Event.DENIED,
        Effect.REQUIRE_APPROVAL: Event.REBOUND if is_repair else Event.APPROVAL_DEMANDED,
        Effect.THROTTLE: Event.CLEARED if is_repair else Event.THROTTLED,
    }
    allowed = Event.CLEARED if is_repair else Event.DISPATCHED
    assert found.event is wanted.get(effect, allowed)
    assert found.fields["throttles_passed"] == ("t",)
    after(job.state, found.event)


GROUNDS = Grounds((RegistryBinding("topic", "job.a", 1, "d"),), "rules")
OTHERS: dict[str, tuple[dict[str, Any], Grounds]] = {
    "rule": ({"rule_id": "q"}, GROUNDS),
    "text": ({}, Grounds(GROUNDS.registry, "other rules")),
    "facts": ({"facts": (("env", "prod"),)}, GROUNDS),
    "conflicts": (
        {"conflicts": (LabelConflict(label="l", origin="o", value="v", trusted_value=None),)},
        GROUNDS,
    ),
    "constraints": ({"constraints": Constraints(redaction_level="strict")}, GROUNDS),
    "people": ({"approval": ApprovalDemands(each=(RoleDemand(quorum=2),))}, GROUNDS),
    "topic": ({}, Grounds((RegistryBinding("topic", "job.a", 2, "e"),), "rules")),
    "pool": ({}, Grounds((*GROUNDS.registry, RegistryBinding("pool", "p", 1, "f")), "rules")),
    "no topic": ({}, Grounds((), "rules")),
}


def repaired(job: Job, grounds: Grounds = GROUNDS, **fields: Any) -> Transition:
    """The transition of a job that a new policy asks people about."""
    decision = a_decision(Effect.REQUIRE_APPROVAL, **{"snapshot": "new", **fields})
    more: dict[str, Any] = {"passed": (), "now_us": NOW_US + 1, "grounds": grounds}
    return after_decision(job, decision, Asker.REPAIR, **more)


def test_the_same_question_is_bound_to_the_new_policy() -> None:
    """It keeps its age and its end; an entry that was declared again as it was is the same."""
    job = asked(grounds=GROUNDS)
    again = Grounds((RegistryBinding("topic", "job.a", 7, "d"),), "rules")
    found = repaired(job, again)
    assert (found.event, found.data) == (Event.REBOUND, {"snapshot_before": "s"})
    bound = found.fields["approval"]
    assert bound == msgspec.structs.replace(
        asked_approval(job), snapshot="new", registry=again.registry
    )


@pytest.mark.parametrize("what", OTHERS)
def test_another_question_is_asked_again(what: str) -> None:
    """Whatever differs, people are told of it; the age is kept, and the time to answer is new."""
    fields, grounds = OTHERS[what]
    found = repaired(asked(grounds=GROUNDS), grounds, **fields)
    assert found.event is Event.APPROVAL_DEMANDED
    approval = found.fields["approval"]
    assert (approval.asked_at_us, approval.first_asked_at_us) == (NOW_US + 1, NOW_US)
    assert len(approval.changes) == 2, approval.changes  # the policy, and what differs
    assert found.data["drift"] == approval.changes


@pytest.mark.parametrize("status", [each for each in ApprovalStatus if each.value != "pending"])
def test_only_a_question_without_an_answer_stays(status: ApprovalStatus) -> None:
    job = asked(grounds=GROUNDS)
    approval = msgspec.structs.replace(asked_approval(job), status=status)
    found = repaired(msgspec.structs.replace(job, approval=approval))
    assert found.event is Event.APPROVAL_DEMANDED
    assert found.fields["approval"].changes


def test_a_vote_is_an_answer() -> None:
    job = asked(grounds=GROUNDS)
    approval = msgspec.structs.replace(asked_approval(job), votes=(a_vote(),))
    found = repaired(msgspec.structs.replace(job, approval=approval)).fields["approval"]
    assert (found.votes, found.status) == ((), ApprovalStatus.PENDING)
    assert any("ann" in change for change in found.changes)


def test_an_approval_of_an_old_version_is_asked_again() -> None:
    """It says neither which text asked nor which facts were seen."""
    job = asked(grounds=GROUNDS)
    old = msgspec.structs.replace(asked_approval(job), rules="", facts="", registry=())
    assert repaired(msgspec.structs.replace(job, approval=old)).event is Event.APPROVAL_DEMANDED


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize(
    ("ended", "changed", "code"),
    [
        ("submitter_revoked", False, "submitter_revoked"),
        ("submitter_expired", False, "submitter_expired"),
        ("", True, "job_changed"),
        ("submitter_revoked", True, "submitter_revoked"),
    ],
)
def test_what_no_rule_reads_denies_whatever_the_rules_say(
    effect: Effect, ended: str, changed: bool, code: str
) -> None:
    decision = tightened(a_decision(effect), submitter_ended=ended, changed=changed)
    for asker, job in ((Asker.DISPATCH, a_job()), (Asker.REPAIR, asked())):
        found = after_decision(job, decision, asker, passed=(), now_us=NOW_US)
        assert (found.event, found.fields["failure_code"]) == (Event.DENIED, code)


def test_a_job_is_throttled_no_longer_than_anybody_wants_it() -> None:
    job = a_job(held_since_us=1)
    decision = a_decision(Effect.THROTTLE)
    found = after_decision(job, decision, Asker.DISPATCH, passed=(), now_us=NOW_US)
    assert (found.event, found.fields["failure_code"]) == (Event.FAILED, "throttled_too_long")


@pytest.mark.parametrize(
    ("job", "lease", "event"),
    [
        ({}, {}, Event.LOST),
        ({"idempotent": True}, {}, Event.RETRIED),
        ({"idempotent": True, "attempt": 99}, {}, Event.LOST),
        ({"idempotent": True}, {"runs_until_us": NOW_US}, Event.TIMED_OUT),
        ({}, {"runs_until_us": NOW_US + 1}, Event.LOST),
    ],
)
def test_the_end_of_a_lease(job: dict[str, Any], lease: dict[str, Any], event: Event) -> None:
    made = {"state": JobState.RUNNING, "attempt": 1, **job, "lease": a_lease(**lease)}
    found = after_lease_end(a_job(**made), now_us=NOW_US, chance=0)
    assert found.event is event
    assert ("not_before_us" in found.fields) is (event is Event.RETRIED)


@pytest.mark.parametrize("state", JobState)
def test_a_deadline_ends_what_has_not_ended(state: JobState) -> None:
    found = after_deadline(a_job(state=state, deadline_at_us=NOW_US), now_us=NOW_US)
    ended = after_deadline(a_job(state=state, deadline_at_us=NOW_US + 1), now_us=NOW_US)
    assert ended is None
    if found is not None:
        assert after(state, found.event) is JobState.TIMEOUT
    else:
        with pytest.raises(Exception, match="cannot be"):
            after(state, Event.TIMED_OUT)


def test_an_approval_expires_at_its_instant() -> None:
    job = asked()
    assert job.approval is not None
    assert after_deadline(job, now_us=job.approval.expires_at_us - 1) is None
    found = after_deadline(job, now_us=job.approval.expires_at_us)
    assert found is not None
    assert (found.event, found.fields["failure_code"]) == (Event.EXPIRED, "approval_expired")


@pytest.mark.parametrize(
    ("vote", "by_caller", "event", "status"),
    [
        ({}, False, Event.APPROVED, ApprovalStatus.APPROVED),
        ({}, True, Event.FULFILLED, ApprovalStatus.CONSUMED),
        ({"approves": False}, False, Event.REJECTED, ApprovalStatus.REJECTED),
        ({"approves": False}, True, Event.REJECTED, ApprovalStatus.REJECTED),
    ],
)
def test_a_vote(
    vote: dict[str, Any], by_caller: bool, event: Event, status: ApprovalStatus
) -> None:
    found = after_vote(asked(), a_vote(**vote), ended_votes=(), by_caller=by_caller)
    assert (found.event, found.fields["approval"].status) == (event, status)
    assert (found.result is not None) is (event is Event.FULFILLED)
    assert found.data["approver"] == "ann"


def test_drift_undoes_an_approval_and_says_why() -> None:
    found = after_drift(asked(), ["policy: a became b"], now_us=NOW_US)
    assert found.event is Event.INVALIDATED
    assert found.fields["approval"].drift == ("policy: a became b",)
