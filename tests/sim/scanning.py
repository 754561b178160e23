"""What the simulated plane checks results with: scans that take virtual time and fail, real seals.

Which scans a request caused, and which of them failed, is known in the request's own context: so
the checks see it where its commit is applied.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from contextvars import ContextVar
from random import Random
from typing import TYPE_CHECKING, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from forestall.ports.entries import Sealed
from forestall.ports.output import OutputMeans, ScannerBusyError, SealError

if TYPE_CHECKING:
    from tests.sim.world import World

T = TypeVar("T")
RETENTION_S = 60.0  # of a sealed original
PURGE_EVERY_S = 5.0
_KEYS = 3  # one after another seals; all of them open
SCANS: ContextVar[list[bool]] = ContextVar("scans of this request: whether each was whole")


class SimScanners:
    """The `Scanners` port: slow, busy, or out of time, as the weather is."""

    def __init__(self, world: "World", random: Random) -> None:
        self._world, self._random = world, random

    async def run(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """See `Scanners.run`."""
        world, random, faults = self._world, self._random, self._world.faults
        if random.random() < faults.scan_busy:
            world.counts["scans refused: busy"] += 1
            raise ScannerBusyError("too many results wait (simulated)", retry_after_s=1)
        await asyncio.sleep(random.random() * faults.scan_s)
        fate = random.random()
        if fate < faults.scan_fails:
            self._failed("a scan did not return in time")
            raise TimeoutError
        if fate < 1.5 * faults.scan_fails:
            self._failed("a scan was stopped in the middle")
            return work(lambda: True)
        return work(lambda: False)

    def _failed(self, how: str) -> None:
        self._world.counts["scans failed"] += 1
        self._world.trace("scanner", how)
        if scans := SCANS.get(None):
            scans[-1] = False


class SimOutputMeans(OutputMeans):
    """The real thing, with every scan noted where its request can be told by it."""

    def __init__(self, world: "World", life: int) -> None:
        random = world.chance(f"scanners/{life}")
        super().__init__(SimScanners(world, random), SimSealer(world, life))
        self.sealed_us = round(RETENTION_S * 1_000_000)
        self._counts = world.counts

    async def run(
        self, work: Callable[[Callable[[], bool]], T], *, size_bytes: int, snapshot: str
    ) -> T:
        """See `OutputMeans.run`."""
        self._counts["scans"] += 1
        if (scans := SCANS.get(None)) is not None:
            scans.append(True)
        return await super().run(work, size_bytes=size_bytes, snapshot=snapshot)


class SimSealer:
    """AES-256-GCM as in the server's keyring, with keys and nonces out of the seed."""

    def __init__(self, world: "World", life: int) -> None:
        random = world.chance("keyring")
        self._ciphers = {f"k{n}": AESGCM(random.randbytes(32)) for n in range(_KEYS)}
        self._correlation = random.randbytes(32)
        self._newest = f"k{min(life, _KEYS) - 1}"  # a rotation at every start, while keys last
        self._nonces = world.chance(f"nonces/{life}")

    def seal(self, plain: bytes, *, bound_to: bytes) -> Sealed:
        """See `Sealer.seal`."""
        nonce = self._nonces.randbytes(12)
        box = self._ciphers[self._newest].encrypt(nonce, plain, bound_to)
        return Sealed(self._newest, nonce, box)

    def open(self, sealed: Sealed, *, bound_to: bytes) -> bytes:
        """See `Sealer.open`."""
        try:
            return self._ciphers[sealed.key_id].decrypt(sealed.nonce, sealed.box, bound_to)
        except (KeyError, InvalidTag) as cause:
            raise SealError("not what was sealed for this job") from cause

    def correlation_key(self, tenant: str, job_id: str) -> bytes:
        """See `Sealer.correlation_key`."""
        return hmac.new(self._correlation, f"{tenant} {job_id}".encode(), hashlib.sha256).digest()
