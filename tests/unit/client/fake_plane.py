"""A control plane that lies: it speaks the worker protocol and hands out whatever a test says."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from forestall.canonical import canonical_bytes
from forestall.jobs.job import Job, JobState, Lease, stored_job_hash
from forestall.jobs.ticket import Ticket, sign_ticket
from forestall.jobs.worker import DispatchedJob
from forestall.wire.work import dispatched_object

TENANT, WORKER = "default", "w1"
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


def key_text(key: Ed25519PrivateKey) -> str:
    """The public half as workers are told it."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1_000


def ticket_for(job: Job, **changed: Any) -> Ticket:
    """A good ticket, but for what is changed."""
    assert job.lease is not None
    good: dict[str, Any] = {
        "job_id": job.id,
        "tenant": job.tenant,
        "topic": job.topic,
        "job_hash": job.job_hash,
        "attempt": job.attempt,
        "worker": job.lease.worker,
        "snapshot": "s",
        "decision": "allow",
        "rule_id": "r",
        "issued_at_us": now_us(),
        "expires_at_us": now_us() + 30_000_000,
    }
    return Ticket(**{**good, **changed})


def delivered(
    number: int = 1,
    *,
    key: Ed25519PrivateKey = KEY,
    says: dict[str, Any] | None = None,
    **changed: Any,
) -> dict[str, Any]:
    """A job as the real server would hand it out, with a ticket; then fields are changed."""
    payload = canonical_bytes({"prompt": f"prompt {number}", "context": {"n": number}})
    job = Job(
        id=f"job-{number}",
        trace_id="t",
        tenant=TENANT,
        principal="agents/ci",
        actor_id="agents/ci",
        state=JobState.DISPATCHED,
        topic="job.demo.read",
        job_hash="",
        created_at_us=1,
        updated_at_us=1,
        labels={"env": "dev"},
        requires=("git",),
        attempt=1,
        lease=Lease(id=f"lease-{number}", worker=WORKER, dispatched_at_us=now_us()),
    )
    job = msgspec.structs.replace(job, job_hash=stored_job_hash(job, payload))
    text = sign_ticket(ticket_for(job, **(says or {})), key)
    given = dispatched_object(DispatchedJob(job, payload, text, now_us() + 30_000_000))
    return {**msgspec.to_builtins(given), **changed}


class FakePlane:
    """Hands out each list of jobs once, and keeps what workers said."""

    def __init__(self, *leases: list[dict[str, Any]], keys: list[list[str]] | None = None) -> None:
        self._leases = list(leases)
        self._keys = keys or [[key_text(KEY)]]
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.requests = 0
        self.on_request: Callable[[str, int], tuple[int, Any] | str | None] = lambda path, n: None
        self.lost: list[dict[str, str]] = []
        self.url = ""

    def results(self) -> list[dict[str, Any]]:
        """What was answered for jobs, with the job id."""
        return [
            {"job_id": path.split("/")[4], **body}
            for path, body in self.said
            if path.endswith("/result")
        ]

    async def __aenter__(self) -> "FakePlane":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
                body = json.loads(await reader.readexactly(length) or b"{}")
                path = head.split(" ")[1]
                self.said.append((path, body))
                self.requests += 1
                special = self.on_request(path, self.requests)
                if special == "hang up":
                    return
                status, answer = special if isinstance(special, tuple) else (200, None)
                data = json.dumps(await self._answer(path) if answer is None else answer).encode()
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, path: str) -> Any:
        verb = path.rpartition("/")[2]
        if verb == "register":
            keys = self._keys.pop(0) if len(self._keys) > 1 else self._keys[0]
            return {
                "worker_id": WORKER,
                "tenant": TENANT,
                "heartbeat_ms": 300,
                "lease_ms": 900,
                "wait_ms_max": 30_000,
                "ticket_keys": keys,
                "topics": ["job.*"],
            }
        if verb == "lease":
            if self._leases:
                return {"jobs": self._leases.pop(0)}
            await asyncio.sleep(0.05)
            return {"jobs": []}
        if verb == "heartbeat":
            await asyncio.sleep(0.05)
            return {"lost": self.lost}
        return {}
