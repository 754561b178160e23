"""What a worker and the plane tell each other: offers, dispatched jobs, heartbeats, answers.

Values alone. Whether a worker may be believed is decided by the verbs that take them.
"""

import msgspec

from forestall.identity.credentials import WorkerGrant
from forestall.jobs.job import Job


class WorkerOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker offers to do; it narrows the grant, never widens it."""

    topics: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    max_parallel: int = 1


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A registered worker as it stands now. Times are microseconds since the epoch, UTC.

    `topics` is empty for a worker that narrows nothing; `capabilities` are those it may claim.
    """

    tenant: str
    grant: WorkerGrant
    topics: tuple[str, ...]
    capabilities: frozenset[str]
    max_parallel: int
    last_seen_us: int

    @property
    def id(self) -> str:
        """The worker's name."""
        return self.grant.worker_id


class DispatchedJob(msgspec.Struct, frozen=True):
    """What a worker is handed. `expires_at_us`: when the lease ends unless it is renewed."""

    job: Job
    payload: bytes
    ticket: str
    expires_at_us: int


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker reports of one job that it has leased."""

    job_id: str
    lease_id: str
    started: bool = True  # False: it is kept for later and nothing of it was done
    progress: str = ""
    percent: int = 0


class LeaseLost(msgspec.Struct, frozen=True):
    """A job that the worker must stop: it has the lease no more."""

    job_id: str
    state: str
    reason: str


class WorkerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt. `result` is JSON; without an error the attempt succeeded.

    `retryable` says that nothing was done, or that doing it again does no harm.
    """

    result: bytes = b"null"
    error_code: str = ""
    error_message: str = ""
    retryable: bool = False

    @property
    def failed(self) -> bool:
        """The attempt failed."""
        return bool(self.error_code)
