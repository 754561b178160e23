"""The ports for time, randomness, signatures and telemetry."""

from typing import Protocol

from forestall.jobs.ticket import Ticket
from forestall.policy.compile import Snapshot


class Clock(Protocol):
    """The only source of the present instant."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC; never less than any earlier answer, so that what
        has expired stays expired."""
        ...


class Random(Protocol):
    """The only source of randomness."""

    def token(self, size_bytes: int) -> bytes:
        """`size_bytes` bytes that nobody can predict."""
        ...


class Signer(Protocol):
    """Signs tickets with a key of the plane that no verb ever sees."""

    public_key: str  # base64url of the raw Ed25519 key, with which workers verify tickets

    def ticket(self, ticket: Ticket) -> str:
        """The text of a signed ticket."""
        ...

    def secret(self, purpose: str) -> str:
        """The secret for a purpose, derived from the signing key (HKDF): always the same one."""
        ...


class Telemetry(Protocol):
    """Counts what the plane does. Must never raise and never block."""

    def decided(self, stage: str, decision: str, topic: str, code: str) -> None:
        """Count a decision of a gate. Called once its record is durable."""
        ...

    def moved(self, event: str, topic: str, code: str) -> None:
        """Count an event of a job; `code` is its failure code, or empty. Called once the event is
        durable."""
        ...

    def output_checked(self, verdict: str, seconds: float, size_bytes: int) -> None:
        """Count a checked result, the duration of its check and its size. Called once the verdict
        is durable."""
        ...

    def refused(self, what: str, code: str) -> None:
        """Count a refusal: of a worker's request, a vote or a release; or a blind retry."""
        ...

    def waited(self, seconds: float) -> None:
        """Note for how long a job was ready to run before its dispatch."""
        ...

    def withdrawn(self, seconds: float) -> None:
        """Note how long after the end of its agent a running job was cancelled. Called once that is
        durable."""
        ...

    def commit_failed(self, code: str) -> None:
        """Count a change of which the store did not say that it is durable."""
        ...

    def unavailable(self, stage: str, topic: str) -> None:
        """Count a request on which a gate could make no decision."""
        ...

    def policy_loaded(self, snapshot: Snapshot, at_us: int) -> None:
        """Note that a snapshot came into force at an instant (µs, UTC)."""
        ...

    def policy_refused(self) -> None:
        """Count a changed policy that was refused; the policy in force stayed."""
        ...
