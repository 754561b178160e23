"""Agents at the door in process: what a test needs to register one, bind a key and act."""

from typing import Any

from tests.asgi import Door
from tests.http_samples import Reply
from tests.workers_under_test import JOBS

AGENTS = "/api/v1/agents"
KEYS = "/api/v1/auth/keys"
DEMO_JOB = {"topic": "job.demo.read", "prompt": "status"}


class AgentCase:
    """One registered agent with a key of its own."""

    def __init__(self, door: Door, name: str = "bot", **fields: Any) -> None:
        self.door, self.name = door, name
        rights = {"allowed_topics": ["job.demo.*"], "owner": "platform"}
        body = {"name": name, "risk_tier": "low", **rights, **fields}
        made = door.ask("POST", AGENTS, body)
        assert made.status == 201, made.body
        self.id: str = made.json["id"]
        self.key = self.bound_key(f"{name}-key")

    def bound_key(self, name: str, **fields: Any) -> str:
        """The text of a new key of the agent."""
        made = self.door.ask("POST", KEYS, {"name": name, "agent_id": self.id, **fields})
        assert made.status == 201, made.body
        return str(made.json["secret"])

    def submit(self, **body: Any) -> Reply:
        """The agent submits a job."""
        return self.door.ask("POST", JOBS, {**DEMO_JOB, **body}, key=self.key)

    def taken(self, **body: Any) -> str:
        """The id of a job that was taken."""
        reply = self.submit(**body)
        assert reply.status == 200, reply.body
        return str(reply.json["job_id"])

    def update(self, **fields: Any) -> Reply:
        """An admin changes the agent."""
        return self.door.ask("PUT", f"{AGENTS}/{self.id}", fields)

    def verb(self, word: str, **body: Any) -> Reply:
        """An admin suspends or resumes the agent."""
        return self.door.ask("POST", f"{AGENTS}/{self.id}/{word}", body)

    def revoke(self, **more: Any) -> Reply:
        """An admin revokes the agent."""
        return self.door.ask("DELETE", f"{AGENTS}/{self.id}", **more)

    def read(self) -> dict[str, Any]:
        """The agent as the API shows it."""
        found: dict[str, Any] = self.door.ask("GET", f"{AGENTS}/{self.id}").json
        return found
