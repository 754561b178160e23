"""Workers behind the server's own handlers: honest ones that break down, and one that lies."""

import asyncio
import base64
from random import Random
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from forestall.control.keys import authenticate
from forestall.errors import (
    ConflictError,
    ForestallError,
    InvalidRequestError,
    NotFoundError,
)
from forestall.jobs.job import Job, stored_job_hash
from forestall.jobs.ticket import TicketError, verify_ticket
from forestall.server.api_work import ENDPOINTS
from forestall.server.endpoints import Call
from tests.sim.agents import Operator
from tests.sim.scanning import SCANS
from tests.sim.worker_texts import message, result
from tests.sim.world import Client, NoAnswerError, Process, World, short

_HANDLERS = {(endpoint.method, endpoint.path): endpoint for endpoint in ENDPOINTS}
_WORKER = "/api/v1/workers/{worker_id}/"
_BEAT_S = 10.0


class Handed(msgspec.Struct, frozen=True):
    """One job as a worker was handed it."""

    job: Job
    payload: bytes
    ticket: str
    lease_id: str


class Worker:
    """One worker of a tenant; `lies` makes it ask for what is not its own."""

    def __init__(
        self, world: World, operator: Operator, worker_id: str, *, lies: bool = False
    ) -> None:
        self.world, self.operator, self.id, self.lies = world, operator, worker_id, lies
        self.tenant = operator.tenant
        self.name = f"{self.tenant}/{worker_id}"
        self.random: Random = world.chance(f"worker/{self.name}")
        self.ticket_key = _public_key(world)
        self.running: dict[asyncio.Task[None], None] = {}
        self.patient = False  # at the end every worker is honest and tireless

    async def live(self) -> None:
        """Register, take jobs and run them, for ever; now and then break down."""
        while True:
            if not await self._register():
                await asyncio.sleep(self.random.random() * 2)
                continue
            while await self._work():
                if not self.patient and self.random.random() < 0.03:
                    await self._break_down()
                    break

    async def _break_down(self) -> None:
        self.world.counts["workers_died"] += 1
        self.world.trace(self.name, f"dies with {len(self.running)} jobs")
        for task in list(self.running):
            task.cancel()
        await asyncio.sleep(self.random.random() * 60)

    async def _register(self) -> bool:
        body: dict[str, Any] = {"capabilities": ["gpu", "net"], "max_parallel": 3}
        if not self.lies and self.random.random() < 0.3:
            body["topics"] = ["job.*"]
        answer = await self._ask("register", "POST", _WORKER + "register", (self.id,), body)
        return answer is not None

    async def _work(self) -> bool:
        """Take what there is; whether it may go on as it is."""
        wait_ms = self.random.choice((0, 500, 5_000, 20_000))
        body = {"limit": self.random.randint(1, 3), "wait_ms": wait_ms}
        answer = await self._ask(
            "lease", "POST", _WORKER + "lease", (self.id,), body, patience_s=wait_ms / 1000 + 3
        )
        if answer is None:
            await asyncio.sleep(self.random.random())
            return False
        for handed in answer:
            task = asyncio.get_running_loop().create_task(self._run(handed))
            self.running[task] = None
            task.add_done_callback(lambda done: self.running.pop(done, None))
        if not answer or self.random.random() < 0.5:
            await asyncio.sleep(self.random.random())
        if self.lies:
            await self._lie()
        return True

    async def _run(self, handed: Handed) -> None:
        random, world, job = self.random, self.world, handed.job
        try:
            self._verify(handed)
        except TicketError as error:
            world.trace(self.name, f"does not run {short(job.id)}: {error.message}")
            return
        if not self.patient and random.random() < 0.05:
            await self._hand_back(handed)
            return
        await asyncio.sleep(random.random() * 0.2)
        world.trace(self.name, f"runs {short(job.id)} attempt {job.attempt}")
        world.checks.ran(job)
        length_s = random.choice((0.1, 1.0, 8.0, 25.0, 70.0)) * random.random()
        silent = not self.patient and random.random() < 0.08
        if not await self._keep(handed, length_s, silent=silent) and random.random() < 0.5:
            return  # told to stop, and stops
        if not self.patient and random.random() < 0.05:
            return  # forgets to answer
        await self._answer(handed)

    def _verify(self, handed: Handed) -> None:
        """As the worker library: signature, term, and that it is for this job and this worker."""
        job = handed.job
        ticket = verify_ticket(handed.ticket, [self.ticket_key], now_us=self.world.clock.now_us())
        told = (ticket.tenant, ticket.job_id, ticket.attempt, ticket.worker, ticket.job_hash)
        found = stored_job_hash(job, handed.payload)
        if told != (self.tenant, job.id, job.attempt, self.id, found):
            raise TicketError("the ticket is for something else")

    async def _keep(self, handed: Handed, length_s: float, *, silent: bool) -> bool:
        """Run for so long, with heartbeats; False when told to stop."""
        first = self.random.random() < 0.7
        while length_s > 0:
            if first and not silent:
                body = {"leases": [self._beat(handed)]}
                must_stop = self.world.checks.must_stop(handed.job)
                answer = await self._ask(
                    f"beat {short(handed.job.id)}", "POST", _WORKER + "heartbeat", (self.id,), body
                )
                if answer:
                    self.world.counts["told to stop"] += must_stop
                    return False
                if must_stop and answer is not None:
                    raise self.world.violate("14", f"{short(handed.job.id)} may run on")
            first = True
            await asyncio.sleep(min(length_s, _BEAT_S))
            length_s -= _BEAT_S
        return True

    def _beat(self, handed: Handed) -> dict[str, Any]:
        beat = {"job_id": handed.job.id, "lease_id": handed.lease_id}
        if self.random.random() < 0.5:
            return beat
        results = self.world.checks.results
        text = message(self.random, results.canaries)
        said = results.beats.setdefault(handed.lease_id, {})
        said.update((canary, text.planted) for canary in text.planted)
        return {**beat, "progress": text.text}

    async def _answer(self, handed: Handed) -> None:
        random, job, results = self.random, handed.job, self.world.checks.results
        body: dict[str, Any] = {"lease_id": handed.lease_id, "status": "succeeded"}
        fate = random.random()
        if fate < 0.6:
            results.sent[handed.lease_id] = said = result(random, results.canaries)
            body["result"] = msgspec.Raw(said.json)
        else:
            text, code = (message(random, results.canaries) for _ in range(2))
            results.failures[handed.lease_id] = (text, code)
            named = code.text if random.random() < 0.3 else "broken"
            error = {"code": named, "message": text.text}
            body = {"lease_id": handed.lease_id, "status": "failed", "error": error}
            if fate > 0.75:
                body["retryable"] = True
                self.world.checks.said_retryable(job)
        for number in range(7):
            if await self._result(handed, body):
                if random.random() < 0.05:
                    continue  # says it twice
                return
            await asyncio.sleep(random.random() * (number + 1))

    async def _result(self, handed: Handed, body: dict[str, Any]) -> bool:
        """Whether the plane has said what becomes of the answer."""
        what = f"{body['status']} {short(handed.job.id)}"
        path = "/api/v1/jobs/{job_id}/result"
        try:
            await self._send(what, "POST", path, (handed.job.id,), body)
        except (ConflictError, NotFoundError) as error:
            if error.code == "precondition_failed":
                raise self.world.violate("errors", f"a worker was told {error.code}") from error
            return True
        except InvalidRequestError as error:
            raise self.world.violate("15", f"a result was refused: {error.code}") from error
        except (NoAnswerError, ForestallError):
            return False
        return True

    async def _hand_back(self, handed: Handed) -> None:
        body = {"lease_id": handed.lease_id}
        path = "/api/v1/jobs/{job_id}/return"
        await self._ask(f"return {short(handed.job.id)}", "POST", path, (handed.job.id,), body)

    async def _lie(self) -> None:
        """Answer for a job that another worker holds, or that is of another tenant."""
        held = [
            told.job
            for told in self.world.checks.jobs.values()
            if told.job.lease is not None and told.job.lease.worker != self.id
        ]
        if not held:
            return
        job = self.random.choice(held)
        assert job.lease is not None
        body: dict[str, Any] = {"lease_id": job.lease.id}
        path, name = "/api/v1/jobs/{job_id}/return", job.id
        if self.random.random() < 0.6:
            body |= {"status": "succeeded", "result": "forged"}
            path = "/api/v1/jobs/{job_id}/result"
        if await self._ask(f"lies of {short(job.id)}", "POST", path, (name,), body) is not None:
            raise self.world.violate("7", f"{self.name} answered for {short(job.id)}")
        other = "w0" if self.id != "w0" else "w1"
        if await self._ask("lies of itself", "POST", _WORKER + "lease", (other,), {}) is not None:
            raise self.world.violate("7", f"{self.name} took work as {other}")

    # -- the wire --

    async def _ask(self, what: str, *request: Any, patience_s: float = 5.0) -> list[Any] | None:
        """The list that the answer holds; None when there is none."""
        try:
            return await self._send(what, *request, patience_s=patience_s)
        except (NoAnswerError, ForestallError):
            return None

    async def _send(
        self,
        what: str,
        method: str,
        path: str,
        params: tuple[str, ...],
        body: dict[str, Any],
        *,
        patience_s: float = 5.0,
    ) -> list[Any]:
        endpoint = _HANDLERS[method, path]
        key = self.operator.grants[self.id][1]

        async def send(process: Process, client: Client) -> list[Any]:
            SCANS.set([])
            subject = authenticate(process.plane, key)
            data = msgspec.json.encode(body)
            call = Call(subject, params, {}, {}, data, client.receive)
            answer = await endpoint.handler(process.plane, call)
            return self._take(process, subject.key_id, msgspec.to_builtins(answer.body))

        return await self.world.call(self.name, what, send, patience_s=patience_s)

    def _take(self, process: Process, key_id: str, body: Any) -> list[Any]:
        """What the plane lets out; this is the moment when a ticket leaves it."""
        checks = self.world.checks
        handed = []
        for item in body.get("jobs", ()):
            job = checks.leases.get(item["lease_id"])
            if job is None or job.id != item["job_id"]:
                raise self.world.violate("3", f"{item['job_id'][-6:]} was handed over, not stored")
            grant = self.operator.grants[self.id][0]
            checks.handed_over(process.plane, grant, self.tenant, key_id, job)
            payload = item["payload"].encode()
            handed.append(Handed(job, payload, item["ticket"], item["lease_id"]))
        return handed or [lost["job_id"][-6:] for lost in body.get("lost", ())]


def _public_key(world: World) -> Ed25519PublicKey:
    text = world.signer.public_key
    return Ed25519PublicKey.from_public_bytes(
        base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    )
