"""The HTTP door in process: the real Gateway over a MemoryStore, called as an ASGI server would.

What stands in for the world (clock, chance, sockets) is here; nothing that is tested is replaced.
"""

import asyncio
import hashlib
import json
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from forestall.audit.chain import ChainLink
from forestall.control.follow_log import load_entries
from forestall.control.keys import create_key
from forestall.control.plane import Plane
from forestall.control.publish import publish
from forestall.control.recover import recover
from forestall.identity.credentials import NewKey, WorkerGrant
from forestall.identity.roles import Role
from forestall.ports.change import Change, Receipt
from forestall.ports.entries import EntryKind
from forestall.ports.store import Store, StoreUnavailableError
from forestall.projections.registry import Registry
from forestall.projections.webhooks import Webhooks
from forestall.server.api import ENDPOINTS
from forestall.server.bootstrap import NoTelemetry
from forestall.server.http import Gateway
from forestall.server.metrics import Metrics
from forestall.server.rates import Rates
from forestall.server.signing import FileSigner
from forestall.store.memory import MemoryStore
from tests.declared_answers import require_declared
from tests.http_samples import Reply
from tests.recorded_kinds import require_described

T = TypeVar("T")
Message = dict[str, Any]
_POLICY_API = "/api/v1/policy"
VERBS = (
    "/api/v1/jobs",
    f"{_POLICY_API}/evaluate",
    f"{_POLICY_API}/simulate",
    f"{_POLICY_API}/explain",
)
ERROR_FIELDS = {"error", "code", "status", "message", "request_id"}

# One rule for each outcome that the wire knows, and the guide's two.
POLICY = """\
name: wire
default_decision: deny
rules:
  - id: deny-destructive-exec
    decision: deny
    reason: "destructive command class blocked"
    match: {topics: ["job.exec.*"], labels: {command_class: "destructive"}}
  - id: require-approval-prod-write
    decision: require_approval
    reason: "human review required for prod write"
    match: {topics: ["job.deploy.*"], labels: {env: "prod"}, capabilities: ["infra.write"]}
  - id: allow-demo
    decision: allow
    match: {topics: ["job.demo.*", "job.guard"]}
  - id: slow-down
    decision: throttle
    reason: "not so fast"
    match: {topics: ["job.slow.*"]}
  - id: allow-limited
    decision: allow_with_constraints
    reason: "inside a fence"
    match: {topics: ["job.limited.*"]}
    constraints:
      budgets: {max_runtime_ms: 60000, max_retries: 2}
      sandbox: {isolated: true, network_allowlist: ["example.org"]}
      toolchain: {allowed_tools: ["git"]}
      diff: {max_files: 3, deny_path_globs: ["*.pem"]}
      redaction_level: strict
  - id: deny-mail
    decision: deny
    reason: "mail leaves the house"
    match: {topics: ["job.mail.*"]}
    remediations:
      - id: use-draft
        title: "Write a draft"
        summary: "A person sends it"
        replacement_topic: job.demo.draft
        replacement_capability: mail.draft
        add_labels: {draft: "yes"}
        remove_labels: ["urgent"]
"""


class HandClock:
    """A clock that only moves when told to, or by one microsecond a look."""

    def __init__(self) -> None:
        self.at_us = 1_780_000_000_000_000

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        self.at_us += 1
        return self.at_us

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.at_us += int(seconds * 1_000_000)


class SeededRandom:
    """The same unpredictable-looking bytes in every run."""

    def __init__(self) -> None:
        self._drawn = 0

    def token(self, size_bytes: int) -> bytes:
        """That many bytes."""
        self._drawn += 1
        return hashlib.shake_256(b"test %d" % self._drawn).digest(size_bytes)


class Door:
    """A gateway with a plane behind it, one admin key, and an event loop of its own."""

    def __init__(
        self, store: Store | None = None, policy: str = POLICY, rates: Rates | None = None
    ) -> None:
        self.runner = asyncio.Runner()
        self.store: Store = store if store is not None else MemoryStore()
        self.clock = HandClock()
        self.metrics = Metrics()
        self.plane = Plane(
            store=self.store,
            clock=self.clock,
            random=SeededRandom(),
            telemetry=self.metrics,
            signer=FileSigner(Ed25519PrivateKey.from_private_bytes(bytes(32))),
        )
        self.gateway = Gateway(self.plane, ENDPOINTS, self.metrics, rates)
        if policy:
            self.run(publish(self.plane, [("wire.yaml", policy.encode())], actor="test"))
        self.admin = self.key(Role.ADMIN)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one coroutine to its end."""
        return self.runner.run(work)

    def key(self, role: Role, tenant: str = "default", **more: Any) -> str:
        """The text of a new key."""
        name = more.pop("name", f"{role}-{tenant}-{self.clock.now_us()}")
        if role is Role.WORKER:
            more.setdefault("worker", WorkerGrant(worker_id="w", topics=("*",)))
        wanted = NewKey(tenant=tenant, name=name, role=role, **more)
        return self.run(create_key(self.plane, wanted, actor="test"))[1]

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Reply:
        """One request; see `ask_async`."""
        return self.run(self.ask_async(method, path, body, **more))

    async def ask_async(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | Iterable[tuple[bytes, bytes]] = (),
        json_type: bool = True,
        chunks: Sequence[bytes] | None = None,
        client: tuple[str, int] | None = None,
    ) -> Reply:
        """One request as an ASGI server passes it on; `body` is JSON unless it is bytes.

        `key` is the admin's unless given; an empty one sends no key at all.
        """
        data = b"" if body is None else body if isinstance(body, bytes) else _json(body)
        pairs = _pairs(headers)
        key = self.admin if key is None else key
        if key and not any(name == b"x-api-key" for name, _ in pairs):
            pairs.append((b"x-api-key", key.encode("latin-1")))
        if data and json_type and not any(name == b"content-type" for name, _ in pairs):
            pairs.append((b"content-type", b"application/json"))
        messages = _body_messages([data] if chunks is None else chunks)
        return await self.call(method, path, pairs, messages, client)

    async def call(
        self,
        method: str,
        path: str,
        pairs: list[tuple[bytes, bytes]],
        messages: Iterator[Message],
        client: tuple[str, int] | None = None,
    ) -> Reply:
        """One ASGI call; after the last message the client is silent for ever."""
        raw_path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "client": client,
            "method": method,
            "path": unquote(raw_path),
            "raw_path": raw_path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "headers": pairs,
        }
        sent: list[Message] = []

        async def receive() -> Message:
            message = next(messages, None)
            if message is None:
                await asyncio.Event().wait()
            assert message is not None
            return message

        async def send(message: Message) -> None:
            sent.append(message)

        await self.gateway(scope, receive, send)
        reply = _reply(sent)
        require_declared(method, unquote(raw_path), reply)
        return reply

    # -- the verbs that most tests need --

    def submit(self, body: Any, **more: Any) -> Reply:
        """POST /api/v1/jobs."""
        return self.ask("POST", "/api/v1/jobs", body, **more)

    def evaluate(self, body: Any, **more: Any) -> Reply:
        """POST /api/v1/policy/evaluate."""
        return self.ask("POST", "/api/v1/policy/evaluate", body, **more)

    def simulate(self, body: Any, **more: Any) -> Reply:
        """POST /api/v1/policy/simulate."""
        return self.ask("POST", "/api/v1/policy/simulate", body, **more)

    def explain(self, body: Any, **more: Any) -> Reply:
        """POST /api/v1/policy/explain."""
        return self.ask("POST", "/api/v1/policy/explain", body, **more)

    def links(self) -> Sequence[ChainLink]:
        """The whole log."""
        return self.run(self.store.links(start=0, limit=1_000_000))

    def records(self) -> list[dict[str, Any]]:
        """The log, oldest first."""
        return [json.loads(link.record) for link in self.links()]

    def trace(self) -> tuple[int, int, int]:
        """How many jobs, log records and keys there are: what "nothing stored" compares."""
        jobs = self.run(self.store.job_count())
        return jobs, len(self.links()), len(self.run(self.store.entries(EntryKind.KEY)))

    def reload(self) -> None:
        """Forget what is known of entries, and load them from the store as a start does."""
        plane, state = self.plane, self.plane.projections
        state.registry = plane.registry = Registry()
        state.webhooks = plane.webhooks = Webhooks(plane.webhooks.reach)
        self.run(load_entries(plane))

    def counted(self, name: str, **labels: str) -> float:
        """The value of one metric series; 0 when it is absent."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


class FailingStore(MemoryStore):
    """A store whose disk is full from the moment `failure` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None

    async def commit(self, change: Change) -> Receipt:
        """See `Store.commit`."""
        if self.failure is not None:
            raise self.failure
        return await super().commit(change)


@contextmanager
def opened(store: Store | None = None, policy: str = POLICY) -> Iterator[Door]:
    """A door for the length of a block."""
    door = Door(store, policy)
    try:
        yield door
        with suppress(StoreUnavailableError):  # a store that the test broke
            require_described(door.links())
    finally:
        door.runner.close()


def assert_coded(reply: Reply, status: int, code: str = "") -> dict[str, Any]:
    """The one flat error body, saying the same as the status line."""
    assert reply.status == status, (reply.status, reply.body[:300])
    body: dict[str, Any] = reply.json
    assert body.keys() >= ERROR_FIELDS, body
    assert body["status"] == status
    assert body["error"] == body["message"] != ""
    assert all(isinstance(body[name], str) for name in ERROR_FIELDS - {"status"})
    assert body["request_id"] == reply.headers["x-request-id"]
    assert all(not isinstance(value, (dict, list)) for value in body.get("details", {}).values())
    if code:
        assert body["code"] == code
    return body


def refused(door: Door, body: Any, status: int = 400, code: str = "", **more: Any) -> None:
    """Every verb that takes an action refuses this body alike, and nothing is stored."""
    before = door.trace()
    for path in VERBS:
        assert_coded(door.ask("POST", path, body, **more), status, code)
    assert door.trace() == before


def _json(body: Any) -> bytes:
    return json.dumps(body).encode("utf-8", "surrogatepass")


def _pairs(headers: Mapping[str, str] | Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    if isinstance(headers, Mapping):
        return [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.items()
        ]
    return list(headers)


def _body_messages(chunks: Sequence[bytes]) -> Iterator[Message]:
    for number, chunk in enumerate(chunks, 1):
        yield {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}


def _reply(sent: list[Message]) -> Reply:
    if not sent:
        return Reply(0, {}, b"")  # the door said nothing: the client had gone
    start, *bodies = sent
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    return Reply(start["status"], headers, b"".join(part.get("body", b"") for part in bodies))


def second_process(door: Door) -> Plane:
    """A second process on the same store, as it is right after its start."""
    plane = Plane(
        store=door.store,
        clock=door.clock,
        random=SeededRandom(),
        telemetry=NoTelemetry(),
        signer=FileSigner(Ed25519PrivateKey.from_private_bytes(bytes(32))),
    )
    door.run(load_entries(plane))
    door.run(recover(plane))
    return plane
