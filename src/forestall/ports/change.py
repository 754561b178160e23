"""A commit is a value (ADR-0002): preconditions, puts and records that stand or fall together.

A value can be handed on: a store applies many changes in one transaction, a simulation drops or
repeats one, a test reads one.
"""

import msgspec

from forestall.audit.record import Record
from forestall.jobs.job import DecisionRecord, Job, JobState
from forestall.jobs.lifecycle import Event
from forestall.ports.entries import RegistryEntry


class IdempotencyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The job that an idempotency key stands for."""

    tenant: str
    key: str
    request_digest: str  # of the request that used the key first; another one conflicts
    job_id: str


class JobAbsent(msgspec.Struct, frozen=True):
    """Precondition: no job of this tenant has this id."""

    tenant: str
    job_id: str


class JobUnmoved(msgspec.Struct, frozen=True):
    """Precondition: the job is in this state at this revision, so no move followed its reading."""

    tenant: str
    job_id: str
    state: JobState
    revision: int


class EntryUnchanged(msgspec.Struct, frozen=True):
    """Precondition: the registry entry is at this revision; 0: there is no such entry."""

    tenant: str
    kind: str
    name: str
    revision: int

    @classmethod
    def of(cls, entry: RegistryEntry) -> "EntryUnchanged":
        """The precondition that this entry is as it was read."""
        return cls(entry.tenant, entry.kind, entry.name, entry.revision)


class IdempotencyKeyAbsent(msgspec.Struct, frozen=True):
    """Precondition: no submission of this tenant has used this idempotency key."""

    tenant: str
    key: str


Precondition = JobAbsent | JobUnmoved | EntryUnchanged | IdempotencyKeyAbsent


class PutJob(msgspec.Struct, frozen=True, kw_only=True):
    """Insert a job with its payload (JSON) and the decision of the submit gate; implies
    JobAbsent."""

    job: Job
    payload: bytes
    decision: DecisionRecord


class MoveJob(msgspec.Struct, frozen=True, kw_only=True):
    """Replace a job by the job after an event; implies JobUnmoved at the state and revision before.

    `job` is the job after the event, with its revision one greater than before.
    """

    job: Job
    was: JobState  # the state before the event
    event: Event
    decision: DecisionRecord | None = None  # appended to the decisions of the job
    result: bytes | None = None  # JSON; becomes the result of the last attempt

    @property
    def before(self) -> JobUnmoved:
        """The precondition that the move implies."""
        return JobUnmoved(self.job.tenant, self.job.id, self.was, self.job.revision - 1)


class PutEntry(msgspec.Struct, frozen=True):
    """Insert or replace a registry entry; implies EntryUnchanged at the revision before."""

    entry: RegistryEntry


class DropEntry(msgspec.Struct, frozen=True):
    """Remove a registry entry; implies EntryUnchanged at its revision."""

    entry: RegistryEntry


class OutputEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The findings in a result. The original of a result that was not released whole is a registry
    entry of its own, of kind `original`."""

    tenant: str
    job_id: str
    checked_at_us: int  # µs since the epoch, UTC
    findings: bytes  # JSON; holds of each finding the masked form, never the text


class PutOutput(msgspec.Struct, frozen=True):
    """Insert or replace the findings in a job's result."""

    entry: OutputEntry


class PutIdempotency(msgspec.Struct, frozen=True):
    """Insert an idempotency key; implies IdempotencyKeyAbsent."""

    entry: IdempotencyEntry


Put = PutJob | MoveJob | PutIdempotency | PutEntry | DropEntry | PutOutput


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """All that one verb changes, applied whole or not at all. Raises ValueError without a record:
    no state changes without its record."""

    records: tuple[Record, ...]  # appended to the log in this order
    expect: tuple[Precondition, ...] = ()  # beside those that the puts imply
    puts: tuple[Put, ...] = ()

    def __post_init__(self) -> None:
        if not self.records:
            raise ValueError("a change without a record is not a change we may make")


class Receipt(msgspec.Struct, frozen=True):
    """The store's receipt of a durable change."""

    position: int  # in the log, of the change's first record; the others follow without a gap
