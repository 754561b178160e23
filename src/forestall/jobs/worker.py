"""Values exchanged between workers and the plane: offers, dispatched jobs, heartbeats, answers.

Whether a worker may be believed is decided by the verbs that take these values.
"""

import msgspec

from forestall.identity.credentials import WorkerGrant
from forestall.jobs.job import Job


class WorkerOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker offers to do. An offer narrows the grant of its credential and never widens
    it."""

    topics: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    max_parallel: int = 1


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A registered worker now. Times are microseconds since the epoch, UTC.

    `topics` are globs, empty where the worker offers all of its grant; `capabilities` are the words
    that jobs may require of it.
    """

    tenant: str
    grant: WorkerGrant
    topics: tuple[str, ...]
    capabilities: frozenset[str]
    max_parallel: int
    last_seen_us: int

    @property
    def id(self) -> str:
        """The worker's id."""
        return self.grant.worker_id


class DispatchedJob(msgspec.Struct, frozen=True):
    """A job as handed to a worker. `expires_at_us` is when the lease ends unless it is renewed."""

    job: Job
    payload: bytes
    ticket: str
    expires_at_us: int


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's report on one job that it has leased. `percent` is 0 to 100."""

    job_id: str
    lease_id: str
    started: bool = True  # False: the worker has the job and has not begun it
    progress: str = ""
    percent: int = 0


class LeaseLost(msgspec.Struct, frozen=True):
    """A job that the worker must stop, because it no longer has the lease."""

    job_id: str
    state: str
    reason: str


# Why the result of an attempt that succeeded is not all there, or cannot be read.
RESULT_TOO_LARGE, RESULT_NOT_JSON = "result_too_large", "result_not_json"
RESULT_REFUSED, RESULT_UNREADABLE = "result_refused", "result_unreadable"
RESULT_PROBLEMS = {
    RESULT_TOO_LARGE: "the result is larger than its bound",
    RESULT_NOT_JSON: "the worker could not write its result as JSON",
    RESULT_REFUSED: "the worker's result was refused on its way",
    RESULT_UNREADABLE: "the worker's message cannot be read in one way only",
}


class WorkerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an attempt. `result` is JSON; an empty `error_code` means that the attempt
    succeeded.

    `result_problem` is a key of RESULT_PROBLEMS: the attempt succeeded, and its result must be
    withheld unread; `result` is then what arrived of it, or empty. `retryable`: nothing was done,
    or doing it again does no harm.
    """

    result: bytes = b"null"
    result_problem: str = ""
    error_code: str = ""
    error_message: str = ""
    retryable: bool = False

    @property
    def failed(self) -> bool:
        """Whether the attempt failed."""
        return bool(self.error_code)
