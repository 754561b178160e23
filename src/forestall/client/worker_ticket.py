"""Verify that a delivered job is what the control plane decided, for this worker, now, before it
runs.

Offline: keys, time and the delivered job are arguments. Any difference is refused.
"""

import base64
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from forestall.client import worker_job
from forestall.errors import ForbiddenError, InvalidRequestError
from forestall.jobs.job import Budget, Job, JobState, Payload, Priority, stored_job_hash
from forestall.jobs.ticket import Ticket, TicketError, verify_ticket
from forestall.policy.request import ToolCall
from forestall.structs import copied

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY_BYTES = 32  # length of an Ed25519 public key
ATTEMPTS_REMEMBERED_MAX = 200_000  # about 30 MB; at 5,000 jobs/s a lease of 30 s needs 150,000
MAY_RUN = ("allow", "allow_with_constraints")


class DeliveredJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the server delivers it (docs/guides/worker.md). Times are microseconds, UTC.

    Unknown fields are ignored: apart from `trace_id` and the times, nothing that the ticket does
    not bind reaches the handler.
    """

    job_id: str
    lease_id: str
    ticket: str
    attempt: int
    lease_expires_at_us: int
    deadline_at_us: int = 0
    trace_id: str = ""
    tenant: str
    principal: str
    actor_id: str
    actor_type: str
    topic: str
    capability: str
    pack_id: str
    priority: Priority
    requires: tuple[str, ...]
    risk_tags: tuple[str, ...]
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    mcp: ToolCall
    budget: Budget
    idempotent: bool
    max_retries: int | None
    job_hash: str
    payload: str


class TicketExpiredError(TicketError):
    """The ticket came too late, or this machine's clock is wrong: do not run."""

    code, http_status = "ticket_expired", 403


class TicketKeysError(ForbiddenError):
    """The control plane signs with another key than the worker was told to trust."""

    code, http_status = "ticket_keys_changed", 403


_decode = msgspec.json.Decoder(DeliveredJob).decode
_payload = msgspec.json.Decoder(Payload).decode


def decode_delivered(raw: bytes | msgspec.Raw) -> DeliveredJob:
    """One job of a lease response. Raises Failure when its form is unknown."""
    try:
        return _decode(raw)
    except msgspec.DecodeError as cause:
        message = f"the job cannot be read ({cause}); is the worker too old?"
        raise worker_job.Failure(TicketError.code, message) from cause


def _raw_keys(texts: Iterable[str]) -> list[bytes]:
    """Public keys from their base64url texts. Raises InvalidRequestError."""
    keys = []
    for text in texts:
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raw = b""
        if len(raw) != KEY_BYTES:
            raise InvalidRequestError(
                f"`{text[:80]}` is not a ticket key: {KEY_BYTES} bytes in base64url"
            )
        keys.append(raw)
    return keys


def _public_keys(raw_keys: Iterable[bytes]) -> "list[Ed25519PublicKey]":
    # Slow to import, so it waits for the first ticket.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return [Ed25519PublicKey.from_public_bytes(raw) for raw in raw_keys]


class Checker:
    """Verifies tickets with the keys that one worker trusts; remembers the attempts it began."""

    def __init__(self, keys: Sequence[str], *, worker_id: str) -> None:
        """Without `keys` the first ones given to `pin` are trusted. Raises InvalidRequestError."""
        self._worker_id = worker_id
        self._texts = tuple(keys)
        self._raw_keys = _raw_keys(keys)
        self._keys: list[Ed25519PublicKey] | None = None  # made at the first ticket
        self._latest_us = 0
        self._seen: dict[tuple[str, int], int] = {}  # attempt → when its ticket expires (µs, UTC)

    def pin(self, named: Sequence[str]) -> None:
        """Take the keys that the control plane names.

        The first ones are trusted, unless some were given; after that, a trusted key must be among
        those named. Raises TicketKeysError.
        """
        if not self._texts:
            self._raw_keys, self._keys = _raw_keys(named), None
            self._texts = tuple(named)
        if not set(self._texts) & set(named):
            raise TicketKeysError(
                "the control plane signs its tickets with another key than this worker trusts; if"
                " that was changed on purpose, start the worker again (with the new --ticket-key)"
            )

    def check(
        self, given: DeliveredJob, *, tenant: str, now_us: int
    ) -> worker_job.WorkerJob | None:
        """The job for its handler; None when this attempt was begun before.

        Raises Failure, to be sent as the answer: nothing was run.
        """
        if self._keys is None:
            self._keys = _public_keys(self._raw_keys)
        # A clock that was set back would bring a ticket back whose attempt was forgotten.
        now_us = self._latest_us = max(now_us, self._latest_us)
        try:
            job, ticket = checked(
                given, self._keys, worker_id=self._worker_id, tenant=tenant, now_us=now_us
            )
        except TicketError as error:
            raise _failure(error) from error
        attempt = (ticket.job_id, ticket.attempt)
        if attempt in self._seen:
            return None
        # An expired ticket is refused anyway, so its attempt need not be remembered.
        while self._seen:
            oldest = next(iter(self._seen))
            if now_us < self._seen[oldest] and len(self._seen) < ATTEMPTS_REMEMBERED_MAX:
                break
            del self._seen[oldest]
        self._seen[attempt] = ticket.expires_at_us
        return job


def _failure(error: TicketError) -> worker_job.Failure:
    """The failure to answer. Only an expired ticket may be retried; the others need a person."""
    if isinstance(error, TicketExpiredError):
        return worker_job.Retryable(error.message, code=error.code)
    return worker_job.Failure(error.code, error.message)


def checked(
    given: DeliveredJob,
    keys: "Iterable[Ed25519PublicKey]",
    *,
    worker_id: str,
    tenant: str,
    now_us: int,
) -> tuple[worker_job.WorkerJob, Ticket]:
    """The job for its handler, if all checks pass. Raises TicketError, TicketExpiredError."""
    # (1) The plane signed the ticket. An empty set of keys proves nothing, and refuses.
    ticket = verify_ticket(given.ticket, keys, now_us=0)
    # (2) The ticket is for this worker, tenant, job and attempt.
    named = (ticket.worker, ticket.tenant, ticket.job_id, ticket.attempt, ticket.topic)
    if named != (worker_id, tenant, given.job_id, given.attempt, given.topic):
        raise TicketError("the ticket is for another worker, tenant, job or attempt")
    if given.tenant != tenant:
        raise TicketError("the job is another tenant's")
    # (3) The ticket allows the job.
    if ticket.decision not in MAY_RUN:
        raise TicketError("the ticket does not allow the job")
    # (4) The delivered job is the one that was decided: every field that can change what runs, and
    # the bytes of the payload. The hash is computed here; the delivered hash is only compared.
    payload = given.payload.encode("utf-8", "surrogatepass")
    if stored_job_hash(_job(given), payload) != ticket.job_hash or (
        given.job_hash != ticket.job_hash
    ):
        raise TicketError("the job is not the one that was decided: its hash differs")
    # (5) The ticket has not expired.
    if now_us >= ticket.expires_at_us:
        late_s = (now_us - ticket.expires_at_us) / 1_000_000
        raise TicketExpiredError(
            f"the ticket expired {late_s:.1f} s ago by this machine's clock; if nothing held it up,"
            " set the clock"
        )
    return _for_handler(given, ticket, payload), ticket


def _job(given: DeliveredJob) -> Job:
    return copied(
        Job,
        given,
        id=given.job_id,
        state=JobState.DISPATCHED,
        job_hash="",
        created_at_us=0,
        updated_at_us=0,
        attempt=0,
        deadline_at_us=0,
    )


def _for_handler(given: DeliveredJob, ticket: Ticket, payload: bytes) -> worker_job.WorkerJob:
    try:
        contents = _payload(payload)
    except msgspec.DecodeError as cause:
        raise TicketError("the payload cannot be read") from cause
    constraints: dict[str, Any] = msgspec.to_builtins(ticket.constraints) or {}
    ends_at = None
    if given.deadline_at_us:
        # Counted from the plane's own instant of dispatch, so that the two clocks need not agree.
        left_us = given.deadline_at_us - ticket.issued_at_us
        ends_at = time.monotonic() + left_us / 1_000_000
    return copied(
        worker_job.WorkerJob,
        given,
        contents,
        id=given.job_id,
        priority=given.priority.value,
        payload=payload,
        mcp=msgspec.to_builtins(given.mcp),
        constraints=constraints,
        ends_at=ends_at,
    )
