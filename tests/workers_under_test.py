"""Workers at the door in process: what a test needs to lease, answer and fall silent."""

from collections.abc import Sequence
from typing import Any

from forestall.control.expire import tick
from forestall.control.publish import publish
from forestall.control.redecide import redecide_stale
from tests.asgi import Door
from tests.http_samples import Reply

WORKERS = "/api/v1/workers"
JOBS = "/api/v1/jobs"


class Worker:
    """One registered worker."""

    def __init__(
        self,
        door: Door,
        name: str = "w1",
        *,
        topics: Sequence[str] = ("job.*",),
        capabilities: Sequence[str] = (),
        parallel: int = 8,
        tenant_key: str | None = None,
        register: bool = True,
    ) -> None:
        self.door, self.name = door, name
        wanted = {
            "worker_id": name,
            "allowed_topics": list(topics),
            "allowed_capabilities": list(capabilities),
        }
        issued = door.ask("POST", f"{WORKERS}/credentials", wanted, key=tenant_key)
        assert issued.status in (200, 201), issued.body
        self.token: str = issued.json["token"]
        if register:
            body = {"max_parallel": parallel, "capabilities": list(capabilities)}
            assert self.ask("register", body).status == 200

    def ask(self, verb: str, body: Any = None) -> Reply:
        """One request of the worker protocol."""
        path = f"{WORKERS}/{self.name}/{verb}"
        return self.door.ask("POST", path, body if body is not None else {}, key=self.token)

    def lease(self, limit: int = 8) -> list[dict[str, Any]]:
        """Take jobs."""
        reply = self.ask("lease", {"limit": limit})
        assert reply.status == 200, reply.body
        jobs: list[dict[str, Any]] = reply.json["jobs"]
        return jobs

    def answer(self, job: dict[str, Any], **body: Any) -> Reply:
        """Answer for a job; it succeeded unless `body` says otherwise."""
        said = {"lease_id": job["lease_id"], "status": "succeeded", **body}
        return self.door.ask("POST", f"{JOBS}/{job['job_id']}/result", said, key=self.token)

    def beat(self, *jobs: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
        """Say that it is still at these jobs; those that it must stop."""
        leases = [{"job_id": job["job_id"], "lease_id": job["lease_id"], **more} for job in jobs]
        reply = self.ask("heartbeat", {"leases": leases})
        assert reply.status == 200, reply.body
        lost: list[dict[str, Any]] = reply.json["lost"]
        return lost


def submit(door: Door, **body: Any) -> dict[str, Any]:
    """The answer to a submission that was taken."""
    reply = door.ask("POST", JOBS, {"topic": "job.demo.read", "prompt": "status", **body})
    assert reply.status == 200, reply.body
    answer: dict[str, Any] = reply.json
    return answer


def job(door: Door, job_id: str) -> dict[str, Any]:
    """A job as it is now."""
    found: dict[str, Any] = door.ask("GET", f"{JOBS}/{job_id}").json
    return found


def pass_time(door: Door, seconds: float) -> None:
    """Let the clock run and do what is due then."""
    door.clock.forward(seconds)
    door.run(tick(door.plane))


def decide_again(door: Door) -> int:
    """Let the server's loop decide approvals again until none is stale; how many looks it took."""
    looks = 0
    while door.run(redecide_stale(door.plane)):
        looks += 1
        assert looks < 1_000, "an approval stays stale"
    return looks


def enforce(door: Door, policy: str) -> None:
    """Bring another policy into force."""
    door.run(publish(door.plane, [("changed.yaml", policy.encode())], actor="test"))


def kinds(door: Door, job_id: str) -> list[str]:
    """The kinds of the records that tell of a job, oldest first."""
    return [record["kind"] for record in door.records() if record["job_id"] == job_id]
