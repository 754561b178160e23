"""What the check of results needs of the world: threads to scan in, and keys to seal with."""

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
    """Keeps originals from everybody who has the store and not the keys. For many threads."""

    def seal(self, plain: bytes, *, bound_to: bytes) -> Sealed:
        """MUST use a fresh nonce each time; MUST open only under the same `bound_to`."""
        ...

    def open(self, sealed: Sealed, *, bound_to: bytes) -> bytes:
        """What was sealed. Raises SealError for anything else than what `seal` made."""
        ...

    def correlation_key(self, tenant: str) -> bytes:
        """The key of the hashes that tell equal findings of one tenant; never changes."""
        ...


class ScannerBusyError(UnavailableError):
    """Too many results wait to be looked at. Nothing was changed; answer again in a moment."""

    code, http_status = "scanner_busy", 503


class Scanners(Protocol):
    """Runs scans beside the event loop, for a bounded time each."""

    async def run(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """What `work` returns; it is given a function that says whether its time is over.

        Raises TimeoutError when it did not return in time, ScannerBusyError when too many wait.
        """
        ...


class InlineScanners:
    """Scans where it is asked, without a bound on time: for simulations and tests."""

    async def run(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """See `Scanners.run`."""
        return work(lambda: False)


class OutputMeans:
    """What the plane checks results with. Without a sealer no original is kept, and what was
    withheld cannot be released. `switched_on` are the detectors that a setting brought."""

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
        self.warm_for = ""  # the snapshot whose patterns are compiled

    @property
    def switched_on_names(self) -> frozenset[str]:
        """The classes of findings that a setting brought."""
        return frozenset(each.name for each in self.switched_on)

    async def run(
        self, work: Callable[[Callable[[], bool]], T], *, size_bytes: int, snapshot: str
    ) -> T:
        """Do a scan: where it is asked when it is short and everything is compiled, else beside
        the event loop. With detectors that a setting brought no scan is short.

        Raises as `Scanners.run`.
        """
        is_short = size_bytes <= SCAN_INLINE_BYTES_MAX and not self.switched_on
        if is_short and self.warm_for == snapshot:
            return work(lambda: False)
        done = await self.scanners.run(work)
        self.warm_for = snapshot
        return done

    def correlation_key(self, tenant: str) -> bytes:
        """The key of hashes of findings; empty without a sealer."""
        return self.sealer.correlation_key(tenant) if self.sealer is not None else b""

    def seal(self, plain: bytes, *, bound_to: bytes) -> Sealed | None:
        """The sealed original; None without a sealer."""
        return self.sealer.seal(plain, bound_to=bound_to) if self.sealer is not None else None
