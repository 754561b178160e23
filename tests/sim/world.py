"""The simulated world: one store, a plane that crashes and comes back, a network, a clock.

Everything that is decided by chance comes from the seed, by one stream for each purpose, so that a
change in one part moves the others as little as possible.
"""

import asyncio
import contextlib
import hashlib
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from forestall.control import redecide
from forestall.control.expire import tick
from forestall.control.follow_log import load_entries
from forestall.control.plane import Plane
from forestall.control.publish import publish
from forestall.control.purge import purge
from forestall.control.recover import recover
from forestall.errors import ForestallError
from forestall.jobs.job import Job
from forestall.policy.compile import Snapshot
from forestall.server.bootstrap import NoTelemetry
from forestall.server.signing import FileSigner
from tests.sim.scanning import PURGE_EVERY_S, SimOutputMeans
from tests.sim.store import Connection, Disk, Faults

T = TypeVar("T")
EPOCH_US = 1_780_000_000_000_000
TRACE_KEPT = 400


class NoAnswerError(Exception):
    """The network, or a crash of the plane, took the request or its answer. Nobody knows more."""


class ViolatedError(Exception):
    """A property that must hold does not."""

    def __init__(self, number: str, what: str) -> None:
        super().__init__(f"property ({number}): {what}")
        self.number = number


class SimClock:
    """Virtual time, as far as the plane and its workers can read it; it may be set."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.set_by_us = 0

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return EPOCH_US + round(self._loop.time() * 1_000_000) + self.set_by_us


class SimRandom:
    """The plane's source of chance."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def token(self, size_bytes: int) -> bytes:
        """That many bytes."""
        return self._random.randbytes(size_bytes)


class Client:
    """One side of a connection. `gone` is what the plane may notice of a client that hung up."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        """The next message of the client: that it hung up, or none."""
        await self.gone.wait()
        return {"type": "http.disconnect"}


Send = Callable[["Process", Client], Coroutine[Any, Any, T]]


class Process:
    """One life of the plane, from its start to its crash."""

    def __init__(self, world: "World", number: int) -> None:
        self.number = number
        self.store = Connection(world.disk)
        self.plane = Plane(
            store=self.store,
            clock=world.clock,
            random=SimRandom(world.chance(f"plane/{number}")),
            telemetry=NoTelemetry(),
            signer=world.signer,
            output=SimOutputMeans(world, number),
        )
        self.tasks: dict[asyncio.Task[Any], None] = {}  # in order: a set would be in none

    def begin(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run something that ends with the process."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks[task] = None
        task.add_done_callback(lambda done: self.tasks.pop(done, None))
        task.add_done_callback(_looked_at)
        return task

    async def crash(self) -> None:
        """Whatever was under way stops where it is; nothing more reaches the store."""
        self.store.cut = True
        while self.tasks:
            for task in list(self.tasks):
                task.cancel()
            await asyncio.sleep(0)


class Trace:
    """What happened, in order: a digest of all of it, and the last lines."""

    def __init__(self, clock: SimClock, *, printing: bool) -> None:
        self._clock = clock
        self._hash = hashlib.sha256()
        self.last: deque[str] = deque(maxlen=TRACE_KEPT)
        self._printing = printing

    def __call__(self, who: str, what: str) -> None:
        at = (self._clock.now_us() - EPOCH_US) / 1_000_000
        line = f"{at:12.6f} {who:<14} {what}"
        self._hash.update(line.encode() + b"\n")
        self.last.append(line)
        if self._printing:
            print(line)

    def digest(self) -> str:
        """Of every line so far."""
        return self._hash.hexdigest()


class World:
    """What all actors share. `stopping`: no new chaos; what is under way comes to its end."""

    def __init__(
        self,
        seed: int,
        applied: Callable[["World"], Any],
        *,
        printing: bool = False,
    ) -> None:
        self.seed = seed
        self.loop = asyncio.get_running_loop()
        self.clock = SimClock(self.loop)
        self.trace = Trace(self.clock, printing=printing)
        self.signer = FileSigner(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
        self.counts: Counter[str] = Counter()
        self.checks = applied(self)
        self.disk = Disk(self.chance("disk"), self.checks.applied)
        self.network = self.chance("network")
        self.process: Process | None = None
        self.lives = 0
        self.policy = ""  # the text that the operator wants in force
        self.steps = 0
        self.stopping = False
        self.violation: ViolatedError | None = None
        self._over = asyncio.Event()

    def chance(self, name: str) -> Random:
        """A stream of chance of its own for each purpose."""
        return Random(f"{self.seed}/{name}")

    @property
    def faults(self) -> Faults:
        """What goes wrong now."""
        return self.disk.faults

    def violate(self, number: str, what: str) -> ViolatedError:
        """Note the first violation and end the run."""
        error = ViolatedError(number, what)
        if self.violation is None:
            self.violation = error
            self.trace("CHECK", str(error))
            self._over.set()
        return error

    async def until_violated(self, seconds: float) -> None:
        """Let time pass; raises what was violated meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()
        if self.violation is not None:
            raise self.violation

    # -- the life of the plane --

    async def start(self) -> None:
        """Start a plane over the store, as the server's bootstrap does, until it works."""
        while True:
            self.lives += 1
            process = Process(self, self.lives)
            try:
                await process.begin(self._bootstrap(process))
                break
            except ForestallError as error:
                self.trace("plane", f"does not start: {error.code}")
                await asyncio.sleep(0.5)
        self.process = process
        self.trace("plane", f"life {process.number} began")
        process.begin(self._for_ever(lambda: tick(process.plane), "tick", 0.25))
        process.begin(
            self._for_ever(lambda: redecide.redecide_stale(process.plane), "redecide", 0.3)
        )
        process.begin(self._for_ever(lambda: purge(process.plane), "purge", PURGE_EVERY_S))

    async def _bootstrap(self, process: Process) -> None:
        plane = process.plane
        await load_entries(plane)
        await self.put_into_force(process, self.policy)
        await recover(plane)

    async def put_into_force(self, process: Process, text: str) -> Snapshot:
        """Activate a policy; from the answer on it holds."""
        files = [("sim.yaml", text.encode())]
        snapshot = await publish(process.plane, files, actor="operator")
        self.checks.activated(snapshot)
        return snapshot

    async def crash(self) -> None:
        """Stop the plane where it is."""
        process, self.process = self.process, None
        if process is not None:
            self.counts["crashes"] += 1
            self.trace("plane", f"life {process.number} ends: crash, {len(process.tasks)} tasks")
            await process.crash()

    async def _for_ever(
        self, verb: Callable[[], Coroutine[Any, Any, object]], name: str, every_s: float
    ) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await verb()
            except ForestallError as error:
                self.counts[f"{name}s_failed"] += 1
                self.trace("plane", f"{name}: {error.code}")
            except ViolatedError:
                return
            except Exception as error:
                raise self.violate("errors", f"{name}: {error!r}") from error

    # -- the network --

    async def call(self, who: str, what: str, send: Send[T], *, patience_s: float = 5.0) -> T:
        """Ask the plane something. Raises what it answers, or NoAnswerError."""
        self.steps += 1
        random, faults = self.network, self.faults
        await asyncio.sleep(random.random() * faults.network_s)
        process = self.process
        lost, twice = (random.random() for _ in range(2))
        if process is None or lost < faults.request_lost:
            if process is not None:
                self.counts["requests_lost"] += 1
                await asyncio.sleep(patience_s)
            raise NoAnswerError
        client = Client()
        task = process.begin(self._answer(process, client, send))
        if twice < faults.request_twice:
            self.counts["requests_twice"] += 1
            process.begin(self._again(process, who, what, send))
        answer_lost = random.random() < faults.answer_lost
        noticed = random.random() < 0.7
        if answer_lost:
            patience_s *= random.random()
        await asyncio.wait([task], timeout=patience_s)
        if not task.done():  # the client gives up; the plane may or may not notice
            if noticed:
                client.gone.set()
            self.trace(who, f"{what}: gave up")
            raise NoAnswerError
        if task.cancelled() or answer_lost:
            self.counts["answers_lost"] += 1
            self.trace(who, f"{what}: answer lost ({_outcome(task)})")
            raise NoAnswerError
        self.trace(who, f"{what}: {_outcome(task)}")
        answer = task.result()
        await asyncio.sleep(random.random() * faults.network_s)
        return answer

    async def _again(self, process: Process, who: str, what: str, send: Send[T]) -> None:
        """The network delivered a request twice; the second answer goes nowhere."""
        await asyncio.sleep(self.network.random() * self.faults.network_s * 20)
        with contextlib.suppress(ForestallError):
            await self._answer(process, Client(), send)
        self.trace(who, f"{what}: delivered twice")

    async def _answer(self, process: Process, client: Client, send: Send[T]) -> T:
        try:
            return await send(process, client)
        except (ForestallError, asyncio.CancelledError):
            raise
        except ViolatedError:
            raise
        except Exception as error:
            raise self.violate("errors", f"a verb raised {error!r}") from error


def _looked_at(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()


def _outcome(task: "asyncio.Task[Any]") -> str:
    if task.cancelled():
        return "the plane crashed"
    error = task.exception()
    if error is None:
        return brief(task.result())
    return error.code if isinstance(error, ForestallError) else repr(error)


def brief(value: Any) -> str:
    """A value as the trace shows it."""
    value = getattr(value, "job", value)
    if isinstance(value, Job):
        return f"{short(value.id)} {value.state}"
    if isinstance(value, list):
        return "[" + " ".join(brief(part) for part in value) + "]"
    if isinstance(value, tuple):
        return " ".join(brief(part) for part in value)
    return str(value)


def short(job_id: str) -> str:
    """Enough of a job id to find it again in a trace."""
    return job_id[-6:]
