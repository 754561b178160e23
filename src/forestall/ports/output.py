"""The ports of the output check: threads to scan in, and keys to seal originals with."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from forestall.errors import UnavailableError
from forestall.limits import SCAN_INLINE_BYTES_MAX, SEALED_DAYS
from forestall.output.findings import Detector
from forestall.ports.entries import Sealed

T = TypeVar("T")


class SealError(UnavailableError):
    """A sealed original cannot be opened: its key is not in the keyring, or it was changed."""

    code, http_status = "seal_unreadable", 503


class Sealer(Protocol):
    """Encrypts originals, so that the store without the keyring does not tell them. For many
    threads."""

    def seal(self, plain: bytes, *, bound_to: bytes) -> Sealed:
        """MUST use a fresh nonce each time; MUST open only under the same `bound_to`."""
        ...

    def open(self, sealed: Sealed, *, bound_to: bytes) -> bytes:
        """The bytes that were sealed. Raises SealError unless `seal` made this value under the same
        `bound_to`."""
        ...

    def correlation_key(self, tenant: str, job_id: str) -> bytes:
        """The key for the correlation hashes of one job: equal findings of its result have equal
        hashes, and those of another job tell nothing of them. It never changes."""
        ...


class ScannerBusyError(UnavailableError):
    """Too many results wait for their scan. Nothing was changed; send the answer again soon."""

    code, http_status = "scanner_busy", 503


class Scanners(Protocol):
    """Runs scans beside the event loop, for a bounded time each."""

    async def run(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """Run `work`, and return what it does. `work` is given a function that says whether its
        time is over.

        Raises TimeoutError when `work` did not return in time, ScannerBusyError when too many scans
        wait.
        """
        ...


class InlineScanners:
    """Scans on the calling thread, without a bound on time: for simulations and tests."""

    async def run(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """See `Scanners.run`."""
        return work(lambda: False)


class OutputMeans:
    """The means of the output check: scanners, a sealer, and detectors.

    Without a sealer no original is stored, so a withheld result cannot be released. `switched_on`
    are the detectors that a setting brought; `sealed_us` is how long an original is kept (µs).
    """

    __slots__ = ("scanners", "sealed_us", "sealer", "switched_on", "warm_for")

    def __init__(
        self,
        scanners: Scanners | None = None,
        sealer: Sealer | None = None,
        *,
        sealed_days: int = SEALED_DAYS,
        switched_on: tuple[Detector, ...] = (),
    ) -> None:
        self.scanners: Scanners = scanners if scanners is not None else InlineScanners()
        self.sealer = sealer
        self.switched_on = switched_on
        self.sealed_us = sealed_days * 86_400_000_000
        self.warm_for = ""  # digest of the snapshot whose patterns are compiled

    @property
    def switched_on_names(self) -> frozenset[str]:
        """The names of the detectors that a setting brought."""
        return frozenset(each.name for each in self.switched_on)

    async def run(
        self, work: Callable[[Callable[[], bool]], T], *, size_bytes: int, snapshot: str
    ) -> T:
        """Run a scan: on the event loop when the content is short and the patterns of the snapshot
        (a digest) are compiled, else in a thread. With detectors that a setting brought no content
        is short, since one may be slow on any text.

        Raises as `Scanners.run`.
        """
        is_short = size_bytes <= SCAN_INLINE_BYTES_MAX and not self.switched_on
        if is_short and self.warm_for == snapshot:
            return work(lambda: False)
        done = await self.scanners.run(work)
        self.warm_for = snapshot
        return done

    def correlation_key(self, tenant: str, job_id: str) -> bytes:
        """See `Sealer.correlation_key`; empty without a sealer."""
        return self.sealer.correlation_key(tenant, job_id) if self.sealer is not None else b""

    def seal(self, plain: bytes, *, bound_to: bytes) -> Sealed | None:
        """See `Sealer.seal`; None without a sealer."""
        return self.sealer.seal(plain, bound_to=bound_to) if self.sealer is not None else None
