"""What an approval binds: each of its terms, one by one, is a difference; and when it is usable."""

import msgspec
import pytest

from forestall.jobs.approval import (
    Approval,
    ApprovalStatus,
    Terms,
    Vote,
    drift,
    is_usable,
    new_approval,
    settled,
)
from forestall.policy.rules import (
    ApprovalDemands,
    Budgets,
    Constraints,
    DiffLimits,
    RoleDemand,
    Sandbox,
)

HOUR_US = 3_600_000_000
DEMANDS = ApprovalDemands(each=(RoleDemand(quorum=2),), ttl_ms=3_600_000)
BOUND = Constraints(budgets=Budgets(max_runtime_ms=60_000, max_retries=2))
TERMS = Terms(
    snapshot="5" * 64,
    rule_id="ask",
    reason="a person looks at it",
    job_hash="7" * 64,
    demands=DEMANDS,
    constraints=BOUND,
    registry=(),
    rules="4" * 64,
    facts="3" * 64,
)


def vote(name: str, **fields: object) -> Vote:
    made = {
        "principal": name,
        "key_id": f"key-{name}",
        "roles": ("approver",),
        "at_us": 5,
        "approves": True,
        "saw_hash": True,
    }
    return Vote(**{**made, **fields})  # type: ignore[arg-type]


def approved(terms: Terms = TERMS) -> Approval:
    asked = new_approval(terms, requester="agent", now_us=0)
    votes = (vote("ann"), vote("bob"))
    return msgspec.structs.replace(asked, status=ApprovalStatus.APPROVED, votes=votes)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"snapshot": "6" * 64}, "policy"),
        ({"rule_id": "another"}, "rule"),
        ({"job_hash": "8" * 64}, "job"),
        ({"demands": None}, "approvers"),
        ({"demands": ApprovalDemands(each=(RoleDemand(quorum=3),))}, "approvers"),
        ({"constraints": None}, "constraints"),
        ({"constraints": Constraints(budgets=Budgets(max_runtime_ms=60_001, max_retries=2))}, ""),
        ({"constraints": Constraints(budgets=Budgets(max_runtime_ms=60_000, max_retries=3))}, ""),
        ({"constraints": Constraints(budgets=Budgets(max_runtime_ms=60_000))}, ""),
        ({"constraints": msgspec.structs.replace(BOUND, sandbox=Sandbox(isolated=False))}, ""),
        ({"constraints": msgspec.structs.replace(BOUND, diff=DiffLimits(max_files=9))}, ""),
        ({"constraints": msgspec.structs.replace(BOUND, redaction_level="none")}, ""),
    ],
)
def test_every_term_that_differs_is_drift(change: dict[str, object], word: str) -> None:
    now = msgspec.structs.replace(TERMS, **change)
    (said,) = drift(approved(), now)
    assert said.startswith(word or "constraints")
    assert is_usable(approved(), TERMS, now_us=1)
    assert not is_usable(approved(), now, now_us=1)


def test_constraints_where_there_were_none_are_drift() -> None:
    unbound = approved(msgspec.structs.replace(TERMS, constraints=None))
    assert [said.partition(":")[0] for said in drift(unbound, TERMS)] == ["constraints"]
    assert not is_usable(unbound, TERMS, now_us=1)


def test_another_reason_is_no_drift() -> None:
    """The text of a rule for people binds nothing; the snapshot that holds it does."""
    assert drift(approved(), msgspec.structs.replace(TERMS, reason="other words")) == ()


@pytest.mark.parametrize("status", ApprovalStatus)
def test_only_an_approved_one_is_usable(status: ApprovalStatus) -> None:
    approval = msgspec.structs.replace(approved(), status=status)
    assert is_usable(approval, TERMS, now_us=1) is (status is ApprovalStatus.APPROVED)


def test_it_is_usable_until_it_expires_and_not_at_that_instant() -> None:
    assert approved().expires_at_us == HOUR_US
    assert is_usable(approved(), TERMS, now_us=HOUR_US - 1)
    assert not is_usable(approved(), TERMS, now_us=HOUR_US)
    assert not is_usable(None, TERMS, now_us=1)


@pytest.mark.parametrize(
    ("votes", "enough"),
    [
        ((), False),
        ((vote("ann"),), False),
        ((vote("ann"), vote("bob")), True),
        ((vote("ann"), vote("ann")), False),
        ((vote("ann"), vote("ann", key_id="key-2")), False),
        ((vote("ann"), vote("bob", approves=False)), False),
        ((vote("ann"), vote("bob", made_by=("ann",))), False),
        ((vote("bob", made_by=("ann",)), vote("ann")), False),
        ((vote("ann", made_by=("bob",)), vote("bob")), False),
        ((vote("ann"), vote("bob", made_by=("ann",)), vote("carl")), True),
    ],
)
def test_a_quorum_counts_people(votes: tuple[Vote, ...], *, enough: bool) -> None:
    approval = msgspec.structs.replace(approved(), votes=votes)
    assert approval.is_enough(votes) is enough
    assert is_usable(approval, TERMS, now_us=1) is enough


def test_votes_of_ended_keys_are_left_out() -> None:
    left = approved().without_votes({"key-ann"})
    assert [each.principal for each in left.votes] == ["bob"]
    assert not is_usable(left, TERMS, now_us=1)


@pytest.mark.parametrize(
    ("event", "status", "then"),
    [
        ("returned", ApprovalStatus.CONSUMED, ApprovalStatus.APPROVED),
        ("returned", ApprovalStatus.REJECTED, ApprovalStatus.REJECTED),
        ("cancelled", ApprovalStatus.PENDING, ApprovalStatus.CANCELLED),
        ("denied", ApprovalStatus.APPROVED, ApprovalStatus.CANCELLED),
        ("timed_out", ApprovalStatus.INVALIDATED, ApprovalStatus.CANCELLED),
        ("failed", ApprovalStatus.CONSUMED, ApprovalStatus.CONSUMED),
        ("succeeded", ApprovalStatus.CONSUMED, ApprovalStatus.CONSUMED),
    ],
)
def test_the_end_of_a_job_closes_an_open_approval(
    event: str, status: ApprovalStatus, then: ApprovalStatus
) -> None:
    after = settled(msgspec.structs.replace(approved(), status=status), event)
    assert after is not None
    assert after.status is then
