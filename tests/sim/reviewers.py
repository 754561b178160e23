"""Second persons: they approve jobs, release withheld results or refuse both, and say why."""

import asyncio

from forestall.control.approve import VoteResult, approve, reject
from forestall.control.keys import authenticate
from forestall.identity.roles import Role
from forestall.jobs.approval import VoteRequest
from forestall.jobs.job import JobState
from tests.sim.agents import Agent
from tests.sim.doors import read, resolve
from tests.sim.world import Client, Process, short


class Reviewer(Agent):
    """An approver of a tenant, who did not ask for anything."""

    role = Role.APPROVER

    async def live(self) -> None:
        """Act until the chaos ends."""
        acts = {self._decide: 4, self._decide_twice: 1, self._read: 3, self._vote: 8}
        while not self.world.stopping:
            await asyncio.sleep(self.random.random() * 5)
            act = self.random.choices(list(acts), list(acts.values()))[0]
            await act()

    async def _vote(self) -> None:
        self._look_around()
        job_id = self._any(state=JobState.APPROVAL_REQUIRED)
        verb = reject if self.random.random() < 0.1 else approve

        async def send(process: Process, client: Client) -> VoteResult:
            who = authenticate(process.plane, self.key)
            return await verb(process.plane, who, job_id, VoteRequest(reason="looked at it"))

        await self._ask(f"{verb.__name__} {short(job_id)}", send if job_id else None)

    async def _decide(self) -> None:
        job_id = self._withheld()
        if job_id:
            await self._resolve(job_id, self.random.choice(("release", "release", "confirm")))

    async def _decide_twice(self) -> None:
        job_id = self._withheld()
        if job_id:
            both = (self._resolve(job_id, verb) for verb in ("release", "confirm"))
            await asyncio.gather(*both)

    async def _resolve(self, job_id: str, verb: str) -> None:
        await resolve(self.world, self.name, self.key, self.random, job_id, verb)

    async def _read(self) -> None:
        await read(self.world, self.name, self.key, self.random, self._withheld())

    def _withheld(self) -> str:
        """A job whose result is withheld; now and then one that was decided on."""
        self._look_around()
        job_id = self._any(state=JobState.OUTPUT_QUARANTINED)
        resolved: list[str] = [
            name[1] for name in self.world.checks.results.resolved if name[0] == self.tenant
        ]
        if resolved and self.random.random() < 0.2:
            return self.random.choice(resolved)
        return job_id
