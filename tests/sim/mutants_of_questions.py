"""Planes that ask people wrongly on purpose; properties 14 to 17 must catch each.

Every entry patches functions of the plane for the length of a run; see `mutants.py`.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import msgspec

from forestall.control import approve, dispatch, moves, redecide, share
from forestall.jobs import approval as approvals
from forestall.jobs import transitions
from forestall.jobs.approval import Approval, ApprovalStatus, Terms
from forestall.jobs.job import Job, JobState
from forestall.projections import catch_up, open_approvals
from forestall.projections.open_approvals import OpenApprovals
from forestall.projections.registry import Registry

Patch = Any


@contextlib.contextmanager
def _all(*patches: Patch) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


def _registry_unbound() -> Patch:
    return mock.patch.object(Registry, "bindings", return_value=())


def _registry_change_unseen() -> Patch:
    """Entries are bound, and nobody compares them."""
    rooms = (approvals, dispatch, redecide, catch_up)
    unseen = [mock.patch.object(room, "registry_drift", return_value=()) for room in rooms]
    return _all(*unseen, mock.patch.object(approve, "_bound_to", return_value=()))


def _any_question_stays() -> Patch:
    def bound(approval: Approval, terms: Terms) -> Approval | None:
        if approval.status is not ApprovalStatus.PENDING or approval.votes:
            return None
        return msgspec.structs.replace(
            approval, snapshot=terms.snapshot, registry=terms.registry, rule_id=terms.rule_id
        )

    return mock.patch.object(transitions, "rebound", bound)


def _answered_question_stays() -> Patch:
    real = approvals.rebound

    def bound(approval: Approval, terms: Terms) -> Approval | None:
        found = real(msgspec.structs.replace(approval, votes=()), terms)
        return msgspec.structs.replace(found, votes=approval.votes) if found else None

    return mock.patch.object(transitions, "rebound", bound)


def _question_made_young() -> Patch:
    """A question that stays begins anew: its age and its end are those of a new one."""
    real = approvals.rebound

    def bound(approval: Approval, terms: Terms) -> Approval | None:
        found = real(approval, terms)
        return msgspec.structs.replace(found, asked_at_us=found.asked_at_us + 1) if found else None

    return mock.patch.object(transitions, "rebound", bound)


def _never_decided_again() -> Patch:
    async def nothing(plane: Any) -> int:
        return 0

    return mock.patch.object(redecide, "redecide_stale", nothing)


def _old_snapshot_approves() -> Patch:
    """An approval stands under every policy, and a vote is no matter of the policy in force."""
    real = approvals.drift

    def blind(approval: Approval, terms: Terms) -> tuple[str, ...]:
        return real(msgspec.structs.replace(approval, snapshot=terms.snapshot), terms)

    return mock.patch.object(approvals, "drift", blind)


def _vote_expects_nothing() -> Patch:
    """Between the gate and the store of a vote another policy may come into force."""
    return mock.patch.multiple(
        approve, _bound_to=lambda *_: (), is_current=lambda *_: True, drift_of=_no_drift
    )


async def _no_drift(*_: Any) -> tuple[str, ...]:
    return ()


def _nobody_is_told_why() -> Patch:
    return mock.patch.object(approvals, "_changes", return_value=())


def _pending_after_the_end() -> Patch:
    """A job that needs no approval any more goes on being listed as pending."""
    real = approvals.settled

    def settled(approval: Approval | None, event: str) -> Approval | None:
        return approval if event == "cleared" else real(approval, event)

    return mock.patch.object(moves, "settled", settled)


def _shared_unasked() -> Patch:
    def joinable(job: Job) -> bool:
        return (
            job.state is JobState.APPROVAL_REQUIRED
            and job.approval is not None
            and job.approval.status is ApprovalStatus.PENDING
        )

    return _all(
        mock.patch.object(share, "is_joinable", joinable),
        mock.patch.object(open_approvals, "is_joinable", joinable),
    )


def _shared_by_anybody() -> Patch:
    """Whoever asks in a tenant that shares at all, is given what waits there."""

    def any_of(self: OpenApprovals, tenant: str, job_hash: str) -> str:
        found = [job_id for (name, _), job_id in self._shared.items() if name == tenant]
        return found[-1] if found else ""

    return _all(
        mock.patch.object(share, "_may_join", return_value=True),
        mock.patch.object(OpenApprovals, "shared_by", any_of),
    )


MUTANTS_OF_QUESTIONS: dict[str, Callable[[], Patch]] = {
    "an approval binds no registry entry": _registry_unbound,
    "a question that somebody answered stays": _answered_question_stays,
    "a question that stays loses its age": _question_made_young,
    "no question is decided again": _never_decided_again,
    "an approval stands under every policy": _old_snapshot_approves,
    "a vote counts on what is not asked any more": _vote_expects_nothing,
    "nobody is told why people are asked again": _nobody_is_told_why,
    "a job that needs no approval is listed as pending": _pending_after_the_end,
    "approvals are shared by anybody": _shared_by_anybody,
}

# Met too seldom by seeds: `test_questions_found.py` tells them without chance.
RARE_MUTANTS: dict[str, Callable[[], Patch]] = {
    "a topic that changed after the approval is dispatched": _registry_change_unseen,
    "every question stays under every policy": _any_question_stays,
    "approvals are shared with who did not ask for it": _shared_unasked,
    "a vote expects no policy": lambda: mock.patch.object(approve, "_bound_to", return_value=()),
}
