"""What the plane needs of the world. Adapters implement these; the plane never names one.

A commit is a value (ADR-0002): preconditions, puts and records that stand or fall together. So a
store can apply many in one transaction, a simulation can drop or repeat one, a test can read one.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from forestall.audit.chain import Link
from forestall.audit.record import Record
from forestall.errors import ConflictError, UnavailableError
from forestall.identity.credentials import ApiKey
from forestall.jobs.job import DecisionRecord, Job, JobState
from forestall.jobs.lifecycle import Event
from forestall.jobs.ticket import Ticket
from forestall.policy.compile import Snapshot

# -- a commit, as a value --


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


# -- what can go wrong --


class PreconditionFailedError(ConflictError):
    """The state moved on: a precondition of the change does not hold. Nothing was changed."""

    code, http_status = "precondition_failed", 409

    def __init__(self, failed: Precondition) -> None:
        super().__init__("the state changed in the meantime; read it again and decide anew")
        self.failed = failed


class StoreUnavailableError(UnavailableError):
    """The store cannot make the change durable. Nothing was changed, nothing may run."""

    code, http_status = "store_unavailable", 503


class StoreBusyError(UnavailableError):
    """Too many commits are waiting already. Nothing was changed; try again later."""

    code, http_status = "store_busy", 503


# -- reading --


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to list; empty fields do not narrow. Newest change first; with `dead` only dead
    letters, the last to die first; with `asked` only jobs that somebody was asked to approve, the
    last asked first."""

    tenant: str
    dead: bool = False
    asked: bool = False
    state: JobState | None = None
    topic: str = ""
    trace_id: str = ""
    updated_after_us: int | None = None
    updated_before_us: int | None = None


def listed_at_us(job: Job, wanted: JobFilter) -> int:
    """The instant that a page of such jobs is sorted by."""
    if wanted.dead:
        return job.dead_at_us
    return job.asked_at_us if wanted.asked else job.updated_at_us


class JobCursor(msgspec.Struct, frozen=True, array_like=True):
    """The last job of a page; the next page starts after it. The instant is what the page is
    sorted by: the last change, the death, or when somebody was asked."""

    updated_at_us: int
    job_id: str


class JobView(msgspec.Struct, frozen=True):
    """A job with its payload bytes."""

    job: Job
    payload: bytes


class OpenCursor(msgspec.Struct, frozen=True):
    """The last unfinished job of a page; the next page starts after it."""

    created_at_us: int = 0
    tenant: str = ""
    job_id: str = ""


class SealedName(msgspec.Struct, frozen=True):
    """A job whose original is sealed, and since when."""

    tenant: str
    job_id: str
    checked_at_us: int


class Store(Protocol):
    """Where everything is kept.

    Reads MUST see every change whose commit has returned. Tenants, ids and names MUST be compared
    byte by byte: `Prod` and `prod` are two tenants.
    """

    async def commit(self, change: Change) -> Receipt:
        """Apply the change whole or not at all.

        MUST be durable when it returns. MUST check every precondition in the same transaction and
        raise PreconditionFailedError without changing anything when one fails. MUST give records
        consecutive log positions, never reused, chained as audit.chain says. MUST raise
        StoreUnavailableError when durability cannot be had, and MUST work again once it can.
        """
        ...

    async def job(self, tenant: str, job_id: str) -> JobView | None:
        """One job of this tenant."""
        ...

    async def jobs(
        self, wanted: JobFilter, *, limit: int, after: JobCursor | None = None
    ) -> Sequence[Job]:
        """A page of jobs, newest change first. MUST apply the filter before the limit."""
        ...

    async def open_jobs(self, *, after: OpenCursor, limit: int) -> Sequence[Job]:
        """A page of the jobs of all tenants that are in no terminal state, oldest first."""
        ...

    async def result(self, tenant: str, job_id: str) -> bytes | None:
        """What the last attempt of a job answered; None when none did."""
        ...

    async def output(self, tenant: str, job_id: str) -> OutputEntry | None:
        """What the check of a job's last result found; None when nothing was worth keeping."""
        ...

    async def sealed_before(self, at_us: int, *, limit: int) -> Sequence[SealedName]:
        """Sealed originals that were checked before an instant, over all tenants, oldest first."""
        ...

    async def entries(self, kind: str) -> Sequence[RegistryEntry]:
        """Every registry entry of a kind, over all tenants, by tenant and name."""
        ...

    async def job_count(self) -> int:
        """How many jobs there are, over all tenants."""
        ...

    async def decisions(self, tenant: str, job_id: str, *, limit: int) -> Sequence[DecisionRecord]:
        """The decisions on one job, newest first; empty when there is no such job."""
        ...

    async def idempotency(self, tenant: str, key: str) -> IdempotencyEntry | None:
        """What an idempotency key stands for."""
        ...

    async def keys(self) -> Sequence[ApiKey]:
        """Every API key of every tenant, revoked ones too, oldest first."""
        ...

    async def snapshots(self, *, limit: int) -> Sequence[SnapshotEntry]:
        """The history of snapshots in force, newest first."""
        ...

    async def links(
        self, *, start: int, limit: int, tenant: str = "", job_id: str = ""
    ) -> Sequence[Link]:
        """A page of the log from a position on, oldest first; of one job, one tenant, or all."""
        ...

    async def log_end(self) -> int:
        """Where the next record will stand: 0 for an empty log."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and let go. A later commit MUST be refused."""
        ...


class Clock(Protocol):
    """The only source of the present instant."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC."""
        ...


class Random(Protocol):
    """The only source of chance."""

    def token(self, size_bytes: int) -> bytes:
        """That many unpredictable bytes."""
        ...


class Signer(Protocol):
    """Signs tickets with a key of the plane that no verb ever sees."""

    public_key: str  # base64url of the raw Ed25519 key, for whoever verifies

    def ticket(self, ticket: Ticket) -> str:
        """The text of a signed ticket."""
        ...

    def secret(self, purpose: str) -> str:
        """A secret that belongs to the key and a purpose, always the same one (HKDF)."""
        ...


class Telemetry(Protocol):
    """What the plane counts. Must never raise and never block."""

    def decided(self, stage: str, decision: str, topic: str, code: str) -> None:
        """One decision of a gate, once its record is durable."""
        ...

    def moved(self, event: str, topic: str, code: str) -> None:
        """Something happened to a job, once its record is durable."""
        ...

    def output_checked(self, verdict: str, seconds: float, size_bytes: int) -> None:
        """A result got its verdict, and that is durable."""
        ...

    def refused(self, what: str, code: str) -> None:
        """A worker's answer was refused, or a retry was blind."""
        ...

    def waited(self, seconds: float) -> None:
        """How long a dispatched job had been ready to run."""
        ...

    def commit_failed(self, code: str) -> None:
        """The store could not make a change durable."""
        ...

    def unavailable(self, stage: str, topic: str) -> None:
        """No decision was to be had."""
        ...

    def policy_loaded(self, snapshot: Snapshot, at_us: int) -> None:
        """A snapshot came into force."""
        ...

    def policy_refused(self) -> None:
        """A changed policy could not be loaded; the old one stays."""
        ...
