"""What must hold of results, looked at while it happens (properties 11 to 13).

Knows what every worker sent and what every policy says; from that it decides anew what may be read.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from forestall.identity.credentials import ApiKey
from forestall.identity.roles import Role
from forestall.jobs.job import Job, JobState
from forestall.jobs.lifecycle import Event
from forestall.limits import RESULT_BYTES_MAX
from forestall.policy.rules import Verdict
from forestall.ports.change import Change, DropEntry, MoveJob, Put, PutEntry, PutJob, PutOutput
from forestall.ports.entries import EntryKind
from tests.sim.canaries import Canaries, Canary
from tests.sim.output_rules import Treatment
from tests.sim.scanning import SCANS
from tests.sim.worker_texts import Text

if TYPE_CHECKING:
    from tests.sim.world import World

Name = tuple[str, str]  # tenant and job id
_RESOLVED = (Event.RELEASED, Event.CONFIRMED)


class Results:
    """Watches what becomes of everything that workers say."""

    def __init__(self, world: "World", counts: "Counter[str]", keys: dict[str, ApiKey]) -> None:
        self.world, self.counts, self._keys = world, counts, keys
        self.canaries = Canaries(world.chance("canaries"))
        self.treatments: dict[str, Treatment] = {}  # by the digest of the snapshot
        self.sent: dict[str, Text] = {}  # lease id → the result
        self.failures: dict[str, tuple[Text, ...]] = {}  # lease id → texts of an error
        self.beats: dict[str, dict[Canary, tuple[Canary, ...]]] = {}  # lease id → said at once
        self.reasons: dict[str, list[Canary]] = {}  # job id → in what people say of its result
        self.sealed: dict[Name, int] = {}  # whose original is kept, and since when
        self.resolved: dict[Name, Event] = {}

    # -- what the store applied --

    def moved(self, put: MoveJob, before: Job, change: Change, in_force: str) -> None:
        """A job was moved; `in_force` is the snapshot in force at that place of the log."""
        if put.event in _RESOLVED:
            self._resolved(put, before, change, in_force)
        elif put.event in (Event.SUCCEEDED, Event.QUARANTINED):
            self._checked(put, in_force)
        elif put.job.lease is not None:
            for text in self.failures.get(put.job.lease.id, ()):
                self._may_read(self.treatments[in_force].judged(text.planted).left)

    def _checked(self, put: MoveJob, in_force: str) -> None:
        job, check = put.job, put.job.output
        if check is None or job.lease is None:
            raise self._violated("12", job, "it has a result and no verdict")
        self.counts[f"verdict {check.verdict}"] += 1
        if check.snapshot != in_force:
            raise self._violated("12", job, "judged under a policy that is not in force")
        sent = self.sent[job.lease.id]
        judged = self.treatments[in_force].judged(sent.planted)
        scans = SCANS.get(None) or [True]
        too_large = check.code == "result_too_large"
        if too_large != (len(sent.kept) > _result_bytes_max(job)):
            raise self._violated("15", job, f"{len(sent.kept)} bytes came to {check.code}")
        scanned = scans[-1] and not sent.unreadable and not too_large
        wanted = judged.verdict if scanned else Verdict.QUARANTINE
        self.counts["hostile results"] += bool(sent.kept_as)
        if check.verdict is not wanted:
            raise self._violated(
                "12", job, f"{check.verdict} ({check.code}); the policy says {wanted}"
            )
        if (put.result is None) != (put.event is Event.QUARANTINED) or (
            (put.event is Event.QUARANTINED) != (check.verdict is Verdict.QUARANTINE)
        ):
            raise self._violated("12", job, f"{put.event} by the verdict {check.verdict}")
        if sent.unreadable and not too_large and check.code != "result_unreadable":
            raise self._violated("15", job, f"a result without one reading came to {check.code}")
        if check.verdict is Verdict.ALLOW and put.result != sent.kept:
            raise self._violated("13", job, "what can be read is not what the worker sent")
        if put.result is not None:
            self._may_read(judged.left)

    def _resolved(self, put: MoveJob, before: Job, change: Change, in_force: str) -> None:
        job, name = put.job, (put.job.tenant, put.job.id)
        assert job.lease is not None
        record = next(made for made in change.records if made.job_id == job.id)
        self.counts[f"{put.event} {record.data.get('mode', '')}".rstrip()] += 1
        if name in self.resolved:
            raise self._violated("13", job, f"{put.event} after it was {self.resolved[name]}")
        self.resolved[name] = put.event
        self._by_second_person(job, self._keys[str(record.data["key_id"])])
        if (job.attempt, job.lease) != (before.attempt, before.lease):
            raise self._violated("13", job, f"{put.event} makes another attempt of it")
        if put.event is Event.RELEASED and name not in self.sealed:
            raise self._violated("13", job, "released although its original was gone")
        sent, treatment = self.sent[job.lease.id], self.treatments[in_force]
        drops = any(drops_original(put) for put in change.puts)
        original = record.data.get("mode") == "original"
        ends = original or put.event is Event.CONFIRMED
        if drops != (ends and name in self.sealed):
            raise self._violated("13", job, f"{put.event}, and the seal is as it was")
        if original:
            if put.result != sent.kept:
                raise self._violated("13", job, "released is not what the worker sent")
            self._may_read(sent.planted)
        elif put.event is Event.RELEASED and not treatment.of_words:
            self._may_read(tuple(canary for canary in sent.planted if canary.is_word))
        self._may_read(treatment.judged(self.reasons.get(job.id, ())).left)

    def _by_second_person(self, job: Job, key: ApiKey) -> None:
        assert job.lease is not None
        worker = key.worker.worker_id if key.worker is not None else ""
        if (
            key.tenant != job.tenant
            or job.principal in (key.principal, key.created_by)
            or key.id == job.key_id
            or worker == job.lease.worker
        ):
            raise self._violated("13", job, f"decided on by {key.principal}, who took part in it")

    def kept(self, change: Change) -> None:
        """A change is in the store; what of it can be read must hold no canary."""
        for put in change.puts:
            if isinstance(put, PutEntry) and put.entry.kind == EntryKind.ORIGINAL:
                self.sealed[put.entry.tenant, put.entry.name] = put.entry.updated_at_us
            elif isinstance(put, DropEntry) and drops_original(put):
                name = (put.entry.tenant, put.entry.name)
                self.counts["seals dropped"] += self.sealed.pop(name, 0) > 0
        self.counts["originals purged"] += sum(
            record.kind == "output.purged" for record in change.records
        )
        for where, data in readable(change):
            self.search(data, f"the store keeps in {where}")

    # -- what anybody reads --

    def search(self, data: bytes, where: str, *, but_words: bool = False) -> None:
        """No canary that nobody may read is in there. `but_words`: only credentials count."""
        found = self.canaries.found(data)
        for canary in found:
            if not (but_words and canary.is_word):
                raise self.world.violate("11", f"{where}: {canary.text}")

    def progress(self, in_force: str, said: tuple[Canary, ...]) -> tuple[Canary, ...]:
        """What may be seen of a progress under a policy."""
        return self.treatments[in_force].judged(said).left

    def retried(self, job: Job, parent: Job) -> None:
        """A dead letter was submitted again, and will run."""
        withheld = parent.state is JobState.OUTPUT_QUARANTINED
        if withheld and self._keys[job.key_id].role is Role.AGENT:  # agents never force
            raise self._violated("13", parent, "it runs again, and nobody said `force`")

    def ran(self, job: Job) -> None:
        """A worker does the job."""
        if (job.tenant, job.id) in self.resolved:
            raise self._violated("13", job, "run again after its result was decided on")

    def _may_read(self, canaries: tuple[Canary, ...]) -> None:
        self.canaries.readable.update(canaries)

    def _violated(self, number: str, job: Job, what: str) -> Exception:
        return self.world.violate(
            number, f"result of job {job.id[-6:]} of {job.tenant} ({job.state}): {what}"
        )


def _result_bytes_max(job: Job) -> int:
    assert job.lease is not None
    constraints = job.lease.constraints
    bound = constraints.budgets.max_artifact_bytes if constraints is not None else None
    return RESULT_BYTES_MAX if bound is None else bound


def drops_original(put: Put) -> bool:
    """Whether a put removes the sealed original of a result."""
    return isinstance(put, DropEntry) and put.entry.kind == EntryKind.ORIGINAL


def readable(change: Change) -> Iterator[tuple[str, bytes]]:
    """Everything of a change that whoever has the store can read; a seal as it is."""
    for record in change.records:
        yield f"record {record.kind}", record.canonical()
    for put in change.puts:
        if isinstance(put, MoveJob):
            yield "job", msgspec.json.encode(put.job)
            yield "result", put.result or b""
        elif isinstance(put, PutJob):
            yield "job", msgspec.json.encode(put.job)
            yield "payload", put.payload
        elif isinstance(put, PutOutput):
            yield "findings", put.entry.findings
        elif isinstance(put, PutEntry):
            yield f"entry {put.entry.kind}", put.entry.body
        else:
            yield type(put).__name__, msgspec.json.encode(put)
