"""A commit is a value (ADR-0002): preconditions, puts and records that stand or fall together.

So a store can apply many in one transaction, a simulation can drop or repeat one, a test can read
one.
"""

import msgspec

from forestall.audit.record import Record
from forestall.identity.credentials import ApiKey
from forestall.jobs.job import DecisionRecord, Job, JobState
from forestall.jobs.lifecycle import Event


class IdempotencyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Which job a key stands for, and the digest of the request it came with."""

    tenant: str
    key: str
    request_digest: str
    job_id: str


class SnapshotEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot that was in force from an instant on."""

    digest: str
    activated_at_us: int
    rule_count: int
    names: tuple[str, ...]


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


class KeyUnrevoked(msgspec.Struct, frozen=True):
    """This API key exists in this tenant and is not revoked."""

    tenant: str
    key_id: str


class KeyNameAbsent(msgspec.Struct, frozen=True):
    """No unrevoked API key of this tenant has this name."""

    tenant: str
    name: str


class PolicyInForce(msgspec.Struct, frozen=True):
    """The snapshot of this digest is the last one that came into force."""

    digest: str


class OriginalKept(msgspec.Struct, frozen=True):
    """The sealed original of this job is there."""

    tenant: str
    job_id: str


Precondition = (
    JobAbsent
    | JobUnmoved
    | EntryUnchanged
    | IdempotencyKeyAbsent
    | KeyUnrevoked
    | KeyNameAbsent
    | PolicyInForce
    | OriginalKept
)


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


class RegistryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an operator declared under a name: a topic, a pool, a schema.

    `body` is its JSON; `revision` grows by one with every change.
    """

    tenant: str
    kind: str
    name: str
    revision: int
    updated_at_us: int
    body: bytes


class PutEntry(msgspec.Struct, frozen=True):
    """Insert or replace a registry entry; implies EntryUnchanged at the revision before."""

    entry: RegistryEntry


class DropEntry(msgspec.Struct, frozen=True):
    """Remove a registry entry; implies EntryUnchanged at its revision."""

    entry: RegistryEntry


class Sealed(msgspec.Struct, frozen=True):
    """Bytes that only the keyring can read."""

    key_id: str
    nonce: bytes
    box: bytes


class OutputEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What the check of a result found, as JSON, and the original, sealed, if it was not released.

    Never the original itself, and of what was found only the masked form.
    """

    tenant: str
    job_id: str
    checked_at_us: int
    findings: bytes
    sealed: Sealed | None = None


class PutOutput(msgspec.Struct, frozen=True):
    """Insert or replace what the check of a job's result found."""

    entry: OutputEntry


class DropSealed(msgspec.Struct, frozen=True):
    """Remove the sealed original of a job, if there is one; what was found stays."""

    tenant: str
    job_id: str


class PutIdempotency(msgspec.Struct, frozen=True):
    """Remember an idempotency key."""

    entry: IdempotencyEntry


class PutKey(msgspec.Struct, frozen=True):
    """Insert an API key, or replace the one with the same id."""

    key: ApiKey


class PutSnapshot(msgspec.Struct, frozen=True):
    """Append to the history of snapshots in force."""

    entry: SnapshotEntry


Put = (
    PutJob
    | MoveJob
    | PutIdempotency
    | PutKey
    | PutSnapshot
    | PutEntry
    | DropEntry
    | PutOutput
    | DropSealed
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one verb changes. No state changes without its record (DESIGN, promise 4)."""

    records: tuple[Record, ...]
    expect: tuple[Precondition, ...] = ()
    puts: tuple[Put, ...] = ()

    def __post_init__(self) -> None:
        if not self.records:
            raise ValueError("a change without a record is not a change we may make")


class Receipt(msgspec.Struct, frozen=True):
    """Where in the log the records of a change stand: the first position."""

    position: int
