"""A commit is a value (ADR-0002): preconditions, puts and records that stand or fall together.

So a store can apply many in one transaction, a simulation can drop or repeat one, a test can read
one.
"""

import msgspec

from forestall.audit.record import Record
from forestall.jobs.job import DecisionRecord, Job, JobState
from forestall.jobs.lifecycle import Event
from forestall.ports.entries import RegistryEntry


class IdempotencyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Which job a key stands for, and the digest of the request it came with."""

    tenant: str
    key: str
    request_digest: str
    job_id: str


class JobAbsent(msgspec.Struct, frozen=True):
    """No job of this tenant has this id."""

    tenant: str
    job_id: str


class JobUnmoved(msgspec.Struct, frozen=True):
    """The job is in this state at this revision: nothing has moved it since it was read."""

    tenant: str
    job_id: str
    state: JobState
    revision: int


class EntryUnchanged(msgspec.Struct, frozen=True):
    """The registry entry is at this revision; 0: there is none."""

    tenant: str
    kind: str
    name: str
    revision: int


class IdempotencyKeyAbsent(msgspec.Struct, frozen=True):
    """Nobody of this tenant used this key."""

    tenant: str
    key: str


Precondition = JobAbsent | JobUnmoved | EntryUnchanged | IdempotencyKeyAbsent


class PutJob(msgspec.Struct, frozen=True, kw_only=True):
    """Insert a job with its payload and the decision it was born with."""

    job: Job
    payload: bytes
    decision: DecisionRecord


class MoveJob(msgspec.Struct, frozen=True, kw_only=True):
    """Replace a job by what an event made of it; implies JobUnmoved at what it was before.

    `job.revision` is one more than before. A `decision` is appended to those of the job, a `result`
    (JSON) becomes the answer of its last attempt.
    """

    job: Job
    was: JobState
    event: Event
    decision: DecisionRecord | None = None
    result: bytes | None = None

    @property
    def before(self) -> JobUnmoved:
        """What must still hold for the move."""
        return JobUnmoved(self.job.tenant, self.job.id, self.was, self.job.revision - 1)


class PutEntry(msgspec.Struct, frozen=True):
    """Insert or replace a registry entry; implies EntryUnchanged at the revision before."""

    entry: RegistryEntry


class DropEntry(msgspec.Struct, frozen=True):
    """Remove a registry entry; implies EntryUnchanged at its revision."""

    entry: RegistryEntry


class OutputEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What the check of a result found, as JSON: of each finding only the masked form.

    The original of a result that was not released is an entry of kind `original` of its own.
    """

    tenant: str
    job_id: str
    checked_at_us: int
    findings: bytes


class PutOutput(msgspec.Struct, frozen=True):
    """Insert or replace what the check of a job's result found."""

    entry: OutputEntry


class PutIdempotency(msgspec.Struct, frozen=True):
    """Remember an idempotency key."""

    entry: IdempotencyEntry


Put = PutJob | MoveJob | PutIdempotency | PutEntry | DropEntry | PutOutput


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one verb changes. No state changes without its record."""

    records: tuple[Record, ...]
    expect: tuple[Precondition, ...] = ()
    puts: tuple[Put, ...] = ()

    def __post_init__(self) -> None:
        if not self.records:
            raise ValueError("a change without a record is not a change we may make")


class Receipt(msgspec.Struct, frozen=True):
    """Of a durable change: the position in the log of the first of its records."""

    position: int
