"""Clock, chance, signatures and telemetry: the rest of what the plane needs of the world."""

from typing import Protocol

from forestall.jobs.ticket import Ticket
from forestall.policy.compile import Snapshot


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
