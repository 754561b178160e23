"""What must hold of what people are asked, looked at while it happens (properties 15 to 17).

Knows policies and registry entries in the order of the log, and compares questions by itself: the
rules as they are written, and what the evaluator says under both policies.
"""

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from forestall.canonical import digest
from forestall.control.plane import instant
from forestall.jobs.approval import Approval, ApprovalStatus
from forestall.jobs.job import Job, JobState, stored_request
from forestall.jobs.lifecycle import Event
from forestall.jobs.registry import Topic
from forestall.policy import evaluate
from forestall.policy.rules import Rule
from forestall.policy.snapshot import Snapshot
from forestall.ports.change import Change, DropEntry, MoveJob, PutEntry
from forestall.ports.entries import EntryKind

if TYPE_CHECKING:
    from tests.sim.world import World

_ANSWERS = (Event.VOTED, Event.APPROVED, Event.FULFILLED)
_SAME = ("status", "votes", "asked_at_us", "expires_at_us", "first_asked_at_us", "requester")


class Questions:
    """Watches approvals, and the registry entries that they rest on."""

    def __init__(self, world: "World", counts: "Counter[str]") -> None:
        self.world, self.counts = world, counts
        self.entries: dict[tuple[str, str, str], bytes] = {}  # by the order of the log
        self.told: dict[tuple[str, str], int] = {}  # revision of a topic that was answered

    def kept(self, change: Change) -> None:
        """A change is durable: follow the registry."""
        for put in change.puts:
            if isinstance(put, PutEntry):
                self.entries[put.entry.key] = put.entry.body
            elif isinstance(put, DropEntry):
                self.entries.pop(put.entry.key, None)

    def moved(
        self, put: MoveJob, before: Job, payload: bytes, snapshots: dict[str, Snapshot], now: str
    ) -> None:
        """A job was moved, while the snapshot `now` was in force by the order of the log."""
        job, approval = put.job, put.job.approval
        if approval is None:
            return
        if put.event is Event.REBOUND:
            assert before.approval is not None, "it was awaiting approval"
            self._rebound(job, before.approval, approval, payload, snapshots, now)
        elif put.event in _ANSWERS:
            self.counts["votes on what is in force"] += 1
            if approval.snapshot != now or not self._is_bound(job, approval):
                raise self._violated("15", job, f"{put.event} on what is not asked any more")
        elif put.event is Event.APPROVAL_DEMANDED:
            self._asked_again(job, before.approval, approval)

    def _rebound(
        self,
        job: Job,
        was: Approval,
        now_bound: Approval,
        payload: bytes,
        snapshots: dict[str, Snapshot],
        now: str,
    ) -> None:
        self.counts["questions that stayed"] += 1
        if was.status is not ApprovalStatus.PENDING or was.votes:
            raise self._violated("15", job, "somebody had answered what was bound anew")
        if any(getattr(was, name) != getattr(now_bound, name) for name in _SAME):
            raise self._violated("15", job, "its age, its end or its votes changed")
        if now_bound.snapshot != now or not self._is_bound(job, now_bound):
            raise self._violated("15", job, "bound to what is not in force")
        contents = [{each.digest for each in bound.registry} for bound in (was, now_bound)]
        if contents[0] != contents[1]:
            raise self._violated("15", job, "bound anew although its registry entries changed")
        old, new = snapshots[was.snapshot], snapshots[now_bound.snapshot]
        if _rule(old, was.rule_id) != _rule(new, now_bound.rule_id):
            raise self._violated("15", job, "bound anew although the rule reads otherwise")
        request, lifted = stored_request(job, payload), frozenset(job.throttles_passed)
        before, after = (
            evaluate(each, request, now=instant(job.updated_at_us), lifted=lifted)
            for each in (old, new)
        )
        for field in ("decision", "facts", "constraints", "approval", "reason"):
            if getattr(before, field) != getattr(after, field):
                raise self._violated("15", job, f"bound anew although its {field} differ")

    def _asked_again(self, job: Job, before: Approval | None, approval: Approval) -> None:
        # A dispatch may ask under a policy that ends at this moment: `all_current` finds it.
        if approval.votes:
            raise self._violated("15", job, "asked with votes")
        if before is None:
            return
        self.counts["questions asked again"] += 1
        if not approval.changes:
            raise self._violated("15", job, "asked again, and nobody is told why")

    def dispatched(self, job: Job, approval: Approval) -> None:
        """A dispatch stands on an approval: of the registry entries as the log has them."""
        self.counts["dispatches on registry entries"] += bool(approval.registry)
        if not self._is_bound(job, approval):
            raise self._violated("16", job, "dispatched on registry entries that have changed")

    def handed_over(self, job: Job) -> None:
        """A ticket leaves on an approval; no change of its topic was answered since."""
        assert job.approval is not None, "it leaves on an approval"
        revisions = [each.revision for each in job.approval.registry if each.kind == "topic"]
        told = self.told.get((job.tenant, job.topic), 0)
        if revisions and revisions[0] < told and not self._is_bound(job, job.approval):
            raise self._violated("16", job, "handed over after its topic was changed")

    def joined(self, job: Job, actor: str, key_id: str, job_hash: str) -> None:
        """A request shares the approval of a job."""
        self.counts["requests that share an approval"] += 1
        waits = job.state is JobState.APPROVAL_REQUIRED and job.approval is not None
        if not waits or job.approval is None or job.approval.status is not ApprovalStatus.PENDING:
            raise self._violated("17", job, "shared although nobody is asked")
        if not job.share_approval:
            raise self._violated("17", job, "shared although its requester did not ask for that")
        if (actor, key_id, job_hash) != (job.principal, job.key_id, job.job_hash):
            raise self._violated("17", job, "shared by somebody else, or with another job")

    def all_current(self, jobs: list[Job], now: str) -> str:
        """What is wrong with the questions once the plane had time; empty when nothing is."""
        for job in jobs:
            approval = job.approval
            if approval is None or approval.status is not ApprovalStatus.PENDING:
                continue
            if job.state is not JobState.APPROVAL_REQUIRED:
                return f"{job.id[-6:]} ({job.state}) is listed as pending"
            if approval.snapshot != now or not self._is_bound(job, approval):
                return f"{job.id[-6:]} asks for what is not in force"
        return ""

    def _is_bound(self, job: Job, approval: Approval) -> bool:
        """Whether the approval names each entry that its topic rests on, with its content."""
        body = self.entries.get((job.tenant, EntryKind.TOPIC, job.topic))
        names: list[tuple[str, str]] = []
        if body is not None:
            topic = msgspec.json.decode(body, type=Topic)
            names = [(EntryKind.TOPIC.value, job.topic)]
            names += [(EntryKind.POOL.value, topic.pool)] if topic.pool else []
        bound = {(each.kind, each.name): each.digest for each in approval.registry}
        return bound == {
            name: _content(self.entries[job.tenant, name[0], name[1]]) for name in names
        }

    def _violated(self, number: str, job: Job, what: str) -> Exception:
        return self.world.violate(number, f"job {job.id[-6:]} of {job.tenant}: {what}")


def _content(body: bytes) -> str:
    return digest("registry-entry", body)


def _rule(snapshot: Snapshot, rule_id: str) -> Rule | None:
    rules = (rule for layer in snapshot.layers for rule in layer.rules)
    return next((msgspec.structs.replace(r, line=0) for r in rules if r.id == rule_id), None)
