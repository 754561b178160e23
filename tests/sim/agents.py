"""Agents that submit, cancel, retry and remediate; and the operator, who changes the rules."""

import asyncio
from random import Random
from typing import Any

import msgspec

from forestall.control.cancel import cancel
from forestall.control.dead_letters import dismiss, retry
from forestall.control.keys import authenticate, create_key, revoke_key
from forestall.control.remediate import remediate
from forestall.control.submit import SubmitResult, submit
from forestall.control.topics import declare_topic
from forestall.control.worker_credentials import issue_worker, revoke_worker
from forestall.errors import ForestallError, UnavailableError
from forestall.identity.credentials import NewKey, WorkerGrant
from forestall.identity.roles import Role
from forestall.jobs.job import Budget, Job, JobState, Priority, Submission
from forestall.jobs.lifecycle import TERMINAL
from forestall.jobs.registry import Topic
from tests.sim.doors import read, resolve
from tests.sim.policies import SAFE, TOPICS, compiled, edited, policy_text
from tests.sim.world import Client, NoAnswerError, Process, Send, World, short

_TRIES = 12


class Agent:
    """One API key that submits jobs, and asks after what became of them."""

    role = Role.AGENT

    def __init__(self, world: World, tenant: str, name: str, key: str, key_id: str) -> None:
        self.world, self.tenant, self.name = world, tenant, name
        self.key, self.key_id = key, key_id
        self.random: Random = world.chance(f"agent/{name}")
        self.mine: list[str] = []  # ids of jobs that it was told of
        self.submits = 0
        self.waits: Submission | None = None  # what it asked for last, if people are asked about it

    async def live(self) -> None:
        """Act until the chaos ends."""
        acts = {
            self._submit: 12,
            self._cancel: 1.5,
            self._retry: 1.5,
            self._remediate: 1.5,
            self._dismiss: 0.5,
            self._release_own: 0.7,
            self._read: 1,
        }
        while not self.world.stopping:
            await asyncio.sleep(self.random.random() * 4)
            act = self.random.choices(list(acts), list(acts.values()))[0]
            await act()

    async def _submit(self) -> None:
        random = self.random
        self.submits += 1
        key = f"{self.name}-{self.submits}" if random.random() < 0.8 else ""
        submission = _submission(random, key, self.submits)
        if self.waits is not None and random.random() < 0.7:  # the same again, as another request
            wish = self.waits.share_approval or random.random() < 0.7
            submission = msgspec.structs.replace(
                self.waits, idempotency_key=key, share_approval=wish
            )
        self.waits = None

        async def send(process: Process, client: Client) -> SubmitResult:
            return await submit(process.plane, authenticate(process.plane, self.key), submission)

        # Without a key a repetition would be another job, and the agent knows that.
        tries = _TRIES if key else 1
        for number in range(tries):
            try:
                told = await self.world.call(self.name, f"submit {key}", send)
            except (NoAnswerError, UnavailableError):
                await asyncio.sleep(random.random() * (1 + number))
                continue
            except ForestallError:
                return
            self._knows(key, told)
            if told.job.state is JobState.APPROVAL_REQUIRED:
                self.waits = submission
            if random.random() < 0.05:  # asks again, for no reason
                continue
            return

    def _knows(self, key: str, told: SubmitResult) -> None:
        self.world.checks.answered_submit(self.tenant, key, told.job)
        if told.job.id not in self.mine:
            self.mine.append(told.job.id)

    async def _cancel(self) -> None:
        job_id = self._any()

        async def send(process: Process, client: Client) -> tuple[Job, bool]:
            return await cancel(process.plane, authenticate(process.plane, self.key), job_id)

        await self._cancelled(await self._ask(f"cancel {job_id[-6:]}", send if job_id else None))

    async def _cancelled(self, answer: object) -> None:
        if isinstance(answer, tuple) and answer[1]:
            self.world.checks.cancelled.add((self.tenant, answer[0].id))

    async def _retry(self, *, force: bool = False) -> None:
        job_id = self._any(dead=True)

        async def send(process: Process, client: Client) -> SubmitResult:
            who = authenticate(process.plane, self.key)
            return await retry(process.plane, who, job_id, force=force)

        answer = await self._ask(f"retry {job_id[-6:]}", send if job_id else None)
        if isinstance(answer, SubmitResult):
            self._knows("", answer)

    async def _remediate(self) -> None:
        job_id = self._any(state=JobState.DENIED)

        async def send(process: Process, client: Client) -> SubmitResult:
            who = authenticate(process.plane, self.key)
            return await remediate(process.plane, who, job_id, "")

        answer = await self._ask(f"remediate {job_id[-6:]}", send if job_id else None)
        if isinstance(answer, SubmitResult):
            self._knows("", answer)

    async def _dismiss(self) -> None:
        job_id = self._any(dead=True)

        async def send(process: Process, client: Client) -> None:
            await dismiss(process.plane, authenticate(process.plane, self.key), job_id)

        await self._ask(f"dismiss {job_id[-6:]}", send if job_id else None)

    async def _release_own(self) -> None:
        """What no role of an agent may ask; so that only the verb itself stands in the way."""
        job_id = self._any(state=JobState.OUTPUT_QUARANTINED)
        verb = self.random.choice(("release", "confirm"))
        if job_id and await resolve(self.world, self.name, self.key, self.random, job_id, verb):
            raise self.world.violate("13", f"{self.name} decided on its own {short(job_id)}")

    async def _read(self) -> None:
        running = self._any(state=JobState.RUNNING)  # has a progress to show
        await read(self.world, self.name, self.key, self.random, running or self._any())

    def _look_around(self) -> None:
        self.mine = [job_id for tenant, job_id in self.world.checks.jobs if tenant == self.tenant]

    async def _ask(self, what: str, send: Send[Any] | None) -> object:
        """Ask once; whatever is wrong with it is in the trace."""
        if send is None:
            return None
        try:
            return await self.world.call(self.name, what, send)
        except (NoAnswerError, ForestallError):
            return None

    def _any(self, *, dead: bool = False, state: JobState | None = None) -> str:
        """A job that it knows, as a list of its jobs would show it; empty when there is none."""
        jobs = self.world.checks.jobs
        found = [
            job_id
            for job_id in self.mine
            if (not dead or jobs[self.tenant, job_id].dead)
            and (state is None or jobs[self.tenant, job_id].job.state is state)
        ]
        return self.random.choice(found) if found else ""


def _submission(random: Random, key: str, number: int) -> Submission:
    prompt = f"do {number}"
    return Submission(
        topic=random.choice((*TOPICS, *TOPICS, SAFE)),
        payload=msgspec.json.encode({"prompt": prompt, "context": None}),
        prompt=prompt,
        priority=random.choice(list(Priority)),
        requires=("gpu",) if random.random() < 0.2 else (),
        labels={"team": random.choice("ab")},
        budget=Budget(
            deadline_ms=random.choice((1, 5, 20, 90)) * 1_000 if random.random() < 0.25 else None
        ),
        idempotency_key=key,
        idempotent=random.random() < 0.4,
        max_retries=random.choice((None, None, 0, 1, 5)),
        share_approval=random.random() < 0.5,
    )


class Operator(Agent):
    """Changes policies, revokes and renews credentials, and takes care of others' jobs."""

    role = Role.OPERATOR

    def __init__(self, world: World, tenant: str, name: str, key: str, key_id: str) -> None:
        super().__init__(world, tenant, name, key, key_id)
        self.content = False  # with the policy as it is
        self.agents: list[Agent] = []
        self.grants: dict[str, tuple[WorkerGrant, str]] = {}  # worker id → grant, its key now

    async def live(self) -> None:
        """Act until the chaos ends."""
        acts = {
            self._policy: 6,
            self._topic: 4,
            self._revoke_agent: 1,
            self._revoke_voter: 2,
            self._revoke_worker: 1,
            self._retry_anything: 2,
            self._cancel_anything: 2,
            self._dismiss: 0.5,
        }
        while not self.world.stopping:
            await asyncio.sleep(self.random.random() * 12)
            act = self.random.choices(list(acts), list(acts.values()))[0]
            await act()

    async def _policy(self) -> None:
        # One policy for all: the other operator leaves it alone.
        if self.tenant == "acme" and not self.content:
            small = self.random.random() < 0.7
            text = edited(self.world.policy, self.random) if small else policy_text(self.random)
            await self.put_into_force(text)

    async def put_into_force(self, text: str) -> None:
        """Change the policy, and try until the plane says that it has."""
        self.world.policy = text
        snapshot = compiled(text)
        self.world.checks.will_activate(text)

        async def send(process: Process, client: Client) -> str:
            await self.world.put_into_force(process, text)
            return snapshot.digest[:8]

        while True:
            try:
                await self.world.call(self.name, f"policy {snapshot.digest[:8]}", send)
                return
            except (NoAnswerError, UnavailableError):
                await asyncio.sleep(self.random.random())

    async def _topic(self) -> None:
        """Declare a topic of its tenant anew; the other tenant declares none."""
        if self.tenant == "acme":
            await self.declare(self.random.choice(TOPICS))

    async def declare(self, name: str) -> bool:
        """Declare a topic, with what people are not told unless they are asked again."""
        tag = self.random.choice(("", "", "one", "two"))
        topic = Topic(name=name, risk_tags=(tag,) if tag else ())

        async def send(process: Process, client: Client) -> str:
            who = authenticate(process.plane, self.key)
            await declare_topic(process.plane, who, topic)
            entry = process.plane.registry.topics(self.tenant)[name].entry
            told = self.world.checks.questions.told
            told[self.tenant, name] = max(entry.revision, told.get((self.tenant, name), 0))
            return name

        return isinstance(await self._ask(f"declare {name}", send), str)

    async def _revoke_agent(self) -> None:
        await self._renew(self.random.choice(self.agents))

    async def _revoke_voter(self) -> None:
        """Somebody who approved a job that has not ended."""
        voters = {
            vote.principal
            for told in self.world.checks.jobs.values()
            if told.job.tenant == self.tenant and told.job.state not in TERMINAL
            for vote in (told.job.approval.votes if told.job.approval is not None else ())
        }
        found = [agent for agent in self.agents if agent.name in voters]
        if found:
            await self._renew(self.random.choice(found))

    async def _renew(self, agent: Agent) -> None:
        """Revoke a key, and most of the time make a new one."""
        old_id = agent.key_id

        async def revoked(process: Process, client: Client) -> None:
            await revoke_key(process.plane, self.tenant, old_id, actor=self.name)
            self.world.checks.revoked.add(old_id)

        async def renewed(process: Process, client: Client) -> tuple[str, str]:
            wanted = NewKey(
                tenant=self.tenant,
                name=f"{agent.name}-{self.world.steps}",
                role=agent.role,
                principal=agent.name,
            )
            key, text = await create_key(process.plane, wanted, actor=self.name)
            return text, key.id

        await self._ask(f"revoke {agent.name}", revoked)
        if self.random.random() < 0.8:
            answer = await self._ask(f"renew {agent.name}", renewed)
            if isinstance(answer, tuple):
                agent.key, agent.key_id = answer

    async def _revoke_worker(self) -> None:
        worker_id = self.random.choice(list(self.grants))
        grant, _ = self.grants[worker_id]

        async def revoked(process: Process, client: Client) -> None:
            key = await revoke_worker(process.plane, self.tenant, worker_id, actor=self.name)
            self.world.checks.revoked.add(key.id)

        await self._ask(f"revoke {worker_id}", revoked)
        await asyncio.sleep(self.random.random() * 5)
        await self.issue(grant)

    async def issue(self, grant: WorkerGrant) -> None:
        """A new credential for a worker, until there is one."""

        async def issued(process: Process, client: Client) -> str:
            found = await issue_worker(process.plane, self.tenant, grant, actor=self.name)
            return found.token

        while True:
            answer = await self._ask(f"issue {grant.worker_id}", issued)
            if isinstance(answer, str):
                self.grants[grant.worker_id] = (grant, answer)
                return
            await asyncio.sleep(self.random.random())

    async def _retry_anything(self) -> None:
        self._look_around()
        await self._retry(force=True)

    async def _cancel_anything(self) -> None:
        self._look_around()
        await self._cancel()
