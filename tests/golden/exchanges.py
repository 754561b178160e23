"""One request and its answer for every endpoint, from one run of the plane that is always the same.

Clock, chance and keys are fixed, so the answers are. `python -m tests.golden.exchanges` rewrites
the files in tests/golden; tests/unit/server/test_wire_golden.py compares them.
"""

import base64
import json
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from forestall.control.webhooks import make_link
from forestall.identity.roles import Role
from forestall.jobs.webhook import ApprovalLink
from forestall.ports.output import OutputMeans
from forestall.server.api import ENDPOINTS
from forestall.server.keyring import KEYRING_FILE, load_keyring
from forestall.server.openapi import document, operation_id
from tests import streams
from tests.asgi import POLICY, Door
from tests.http_samples import ALLOWED_JOB, HELD_JOB, Reply

FOLDER = Path(__file__).parent
OPENAPI_FILE = FOLDER / "openapi.json"
WIRE_FOLDER = FOLDER / "wire"
OUTPUT_RULES = """
output_rules:
  - {id: out-stop, decision: quarantine, reason: "a credential", match: {detectors: [secret]}}
"""
_SECRET = "ghp_" + "Zq3vN8rT1xK5mB7wY2cD4fG6hJ9kL0pSaUeI"
# Times that were measured, and what is signed over the digest of the policy.
_REPLACED: Mapping[str, Any] = {"check_duration_ms": 0, "avg_latency_ms": 0, "ticket": "(signed)"}
_MAIL_JOB = {"topic": "job.mail.send", "prompt": "hello", "labels": {"urgent": "yes"}}
_CHECK = {**HELD_JOB, "job_id": "job-1"}
_SCHEMA = {"type": "object", "required": ["path"]}
_REASON = {"reason": "looked at; a test key"}

Exchange = dict[str, Any]


def wire_text(exchange: Any) -> str:
    """An exchange, or the OpenAPI document, as its file has it."""
    return json.dumps(exchange, indent=1, ensure_ascii=False) + "\n"


def openapi_text() -> str:
    """The OpenAPI document as its file has it."""
    return wire_text(document(ENDPOINTS))


def exchanges() -> Mapping[str, Exchange]:
    """The exchanges, by the name of the endpoint's operation."""
    with tempfile.TemporaryDirectory() as folder:
        script = _Script(Path(folder))
        try:
            script.service()
            script.registry()
            script.jobs()
            script.approvals()
            script.work()
            script.several()
            script.output()
            script.webhooks()
            script.streams()
            script.ends()
            script.agents()
            # Last, so that its look at the clock changes the time of no other example.
            script.example("get_status")
            script.tenants()
        finally:
            script.door.runner.close()
        # The digest covers the detectors too, of which the files here shall not tell.
        assert script.door.plane.snapshot is not None
        digest = script.door.plane.snapshot.digest
        found: dict[str, Exchange] = json.loads(
            json.dumps(script.found).replace(digest, "(digest)")
        )
        return found


def _has_event(opened: streams.Opened) -> bool:
    return bool(opened.events())


class _Script:
    """A door, who knocks at it, and what was answered so far."""

    def __init__(self, folder: Path) -> None:
        self.found: dict[str, Exchange] = {}
        self.by_operation = {operation_id(each): each for each in ENDPOINTS}
        self.door = Door(policy=POLICY + OUTPUT_RULES)
        self.door.plane.output = OutputMeans(sealer=load_keyring(_with_keyring(folder)))
        self.agent = self.door.key(Role.AGENT, name="agent")
        self.ann = self.door.key(Role.APPROVER, name="ann")
        self.worker = ""

    def example(
        self, operation: str, body: Any = None, *, key: str = "", query: str = "", **params: str
    ) -> Any:
        """Ask an endpoint, keep the exchange under its name, and give the body of the answer."""
        endpoint = self.by_operation[operation]
        path = endpoint.path.format(**params) + (f"?{query}" if query else "")
        public = endpoint.permission is None
        reply = self.door.ask(
            endpoint.method, path, body, key="" if public else key or self.door.admin
        )
        assert reply.status < 300, (operation, reply.body)
        self.keep(operation, path, body, reply)
        return reply.json if reply.body else None

    def keep(self, operation: str, path: str, body: Any, reply: Reply) -> None:
        """Note one exchange; each endpoint has one."""
        assert operation not in self.found, operation
        endpoint = self.by_operation[operation]
        request: dict[str, Any] = {"method": endpoint.method, "path": path}
        if body is not None:
            text = json.dumps(body).replace(_SECRET, "(a GitHub token)")  # for scanners of the tree
            request["body"] = json.loads(text)
        response: dict[str, Any] = {"status": reply.status}
        if endpoint.streams:
            response["text"] = reply.body.decode()
        elif operation == "get_server_openapi_json":
            response["body"] = f"see {OPENAPI_FILE.name}"
        elif reply.body:
            response["body"] = _replaced(reply.json)
        self.found[operation] = {"request": request, "response": response}

    def submit(self, body: Mapping[str, Any], **more: Any) -> str:
        """A job of the agent; its id."""
        return str(self.door.submit({**body, **more}, key=self.agent).json["job_id"])

    def leased(self, topic: str) -> dict[str, Any]:
        """A job that the worker has got, of a topic with no other job."""
        self.submit({"topic": topic, "prompt": "go"})
        path = "/api/v1/workers/crane/lease"
        jobs: list[dict[str, Any]] = self.door.ask("POST", path, {}, key=self.worker).json["jobs"]
        assert [job["topic"] for job in jobs] == [topic]
        return jobs[0]

    def service(self) -> None:
        """What the server says of itself, its keys and its policy."""
        for name in ("health", "healthz", "readyz", "livez", "openapi_json"):
            self.example(f"get_server_{name}")
        self.example("get_health")
        made = self.example("post_auth_keys", {"name": "ci", "role": "viewer"})
        self.example("get_auth_keys")
        self.example("delete_auth_keys_key_id", key_id=made["key"]["id"])
        (snapshot,) = self.example("get_policy_snapshots", query="limit=5")
        self.example("get_policy_snapshots_digest", digest=snapshot["digest"])
        self.example("post_policy_evaluate", _CHECK, key=self.agent)
        self.example("post_policy_simulate", {"topic": "job.limited.run"})
        self.example("post_policy_explain", {"topic": "job.mail.send"})

    def tenants(self) -> None:
        """A second tenant, from its first key to its suspension and back."""
        wanted = {
            "name": "acme",
            "description": "the second house",
            "admin_principal": "people/ada",
        }
        self.example("post_tenants", wanted)
        self.example("get_tenants")
        self.example("post_tenants_tenant_suspend", {"reason": "unpaid"}, tenant="acme")
        self.example("get_tenants_tenant", tenant="acme")
        self.example("post_tenants_tenant_resume", tenant="acme")

    def registry(self) -> None:
        """Topics, pools and input schemas."""
        self.example("post_schemas", {"id": "read", "schema": _SCHEMA})
        self.example("get_schemas")
        self.example("get_schemas_id", id="read")
        self.example("put_pools_name", {"requires": ["gpu"], "description": "fast"}, name="fast")
        self.example("patch_pools_name", {"description": "faster"}, name="fast")
        for topic in ("job.demo.*", "job.deploy.*", "job.mail.*", "job.guard"):
            self.door.ask("POST", "/api/v1/topics", {"name": topic.replace("*", "read")})
        self.example("post_topics", {"name": "job.limited.run", "risk_tags": ["pii"]})
        self.example("put_pools_name_topics_topic", name="fast", topic="job.limited.run")
        self.example("get_pools")
        self.example("get_pools_name", name="fast")
        self.example("get_topics")
        self.example("delete_pools_name_topics_topic", name="fast", topic="job.limited.run")
        self.example("post_pools_name_drain", {"timeout_seconds": 60}, name="fast")
        self.example("delete_pools_name", name="fast", query="force=true")
        self.example("delete_schemas_id", id="read")
        for topic in self.door.ask("GET", "/api/v1/topics").json["items"][1:]:
            self.door.ask("DELETE", f"/api/v1/topics/{topic['name']}")
        (last,) = self.door.ask("GET", "/api/v1/topics").json["items"]
        self.example("delete_topics_name", name=last["name"])

    def jobs(self) -> None:
        """Submissions, and what became of them."""
        sent = {**ALLOWED_JOB, "labels": {"team": "blue"}, "idempotency_key": "once"}
        job = self.example("post_jobs", sent, key=self.agent)
        self.example("get_jobs_job_id", job_id=job["job_id"], query="wait_ms=0")
        self.example("get_jobs_job_id_decisions", job_id=job["job_id"])
        self.example("get_traces_trace_id", trace_id=job["trace_id"])
        self.example("get_jobs", query="topic=job.demo.read&limit=1")
        self.example("post_jobs_job_id_cancel", job_id=job["job_id"], key=self.agent)
        denied = self.submit(_MAIL_JOB)
        body = {"remediation_id": "use-draft"}
        draft = self.example("post_jobs_job_id_remediate", body, job_id=denied, key=self.agent)
        self.example("get_dlq", query="limit=1")
        self.example("get_dlq_page", query="topic=job.mail.send")
        self.example("delete_dlq_job_id", job_id=denied)
        self.door.ask("POST", f"/api/v1/jobs/{draft['job_id']}/cancel")

    def approvals(self) -> None:
        """Approvals, and whoever runs an approved job itself."""
        first, second = self.submit(HELD_JOB), self.submit(HELD_JOB)
        self.example("get_approvals", query="status=pending", key=self.ann)
        context = self.example("get_approvals_job_id_context", job_id=first, key=self.ann)
        self.example("post_approvals_job_id_repair", {"apply": False}, job_id=first)
        said = {"job_hash": context["job_hash"], "reason": "read", "note": "go on"}
        self.example("post_approvals_job_id_approve", said, job_id=first, key=self.ann)
        self.example("get_approvals_job_id", job_id=first, key=self.ann)
        self.example("post_approvals_job_id_reject", _REASON, job_id=second, key=self.ann)
        self.example("get_governance_approvals_analytics", query="window=24h&group_by=approver")
        given = self.example("post_jobs_job_id_claim", job_id=first, key=self.agent)
        lease = {"lease_id": given["lease_id"]}
        self.example("post_jobs_job_id_renew", lease, job_id=first, key=self.agent)
        answer = {**lease, "status": "succeeded", "result": {"done": True}}
        self.example("post_jobs_job_id_complete", answer, job_id=first, key=self.agent)

    def work(self) -> None:
        """A worker from its credential to its last answer."""
        wanted = {"worker_id": "crane", "allowed_topics": ["job.*"]}
        self.worker = self.example("post_workers_credentials", wanted)["token"]
        self.example("get_workers_credentials")
        crane = {"worker_id": "crane", "key": self.worker}
        self.example("post_workers_worker_id_register", {"max_parallel": 8}, **crane)
        self.submit(ALLOWED_JOB)
        body = {"limit": 1, "wait_ms": 0}
        (given,) = self.example("post_workers_worker_id_lease", body, **crane)["jobs"]
        lease = {"lease_id": given["lease_id"]}
        beats = [
            {"job_id": given["job_id"], **lease, "progress": "half way", "percent": 50},
            {"job_id": "another", "lease_id": "gone"},
        ]
        self.example("post_workers_worker_id_heartbeat", {"leases": beats}, **crane)
        self.example("get_workers")
        self.example("get_workers_worker_id", worker_id="crane")
        self.example("get_workers_worker_id_jobs", worker_id="crane")
        failed = {**lease, "status": "failed", "error": {"code": "no_room", "message": "full"}}
        job = {"job_id": given["job_id"], "key": self.worker}
        self.example("post_jobs_job_id_result", failed, **job)
        body = {"force": False}
        again = self.example("post_dlq_job_id_retry", body, job_id=given["job_id"], key=self.agent)
        self.door.ask("POST", f"/api/v1/jobs/{again['job_id']}/cancel")

    def several(self) -> None:
        """Several answers at once, one of them refused; and a job that is given back."""
        given = self.leased("job.demo.several")
        answers = [
            {"job_id": job_id, "answer": {"lease_id": given["lease_id"], "status": "succeeded"}}
            for job_id in (given["job_id"], "another")
        ]
        body = {"results": answers}
        self.example("post_workers_worker_id_results", body, worker_id="crane", key=self.worker)
        given = self.leased("job.demo.back")
        lease = {"lease_id": given["lease_id"]}
        self.example("post_jobs_job_id_return", lease, job_id=given["job_id"], key=self.worker)
        self.door.ask("POST", f"/api/v1/jobs/{given['job_id']}/cancel")

    def output(self) -> None:
        """Results that are withheld, and what becomes of them."""
        withheld = [self._withheld(), self._withheld()]
        self.example("get_quarantine", query="limit=1", key=self.ann)
        self.example("get_jobs_job_id_output", job_id=withheld[0], key=self.ann)
        body = {"reason": "a test key", "mode": "original"}
        params = {"key": self.ann, "job_id": withheld[0]}
        self.example("post_jobs_job_id_output_release", body, **params)
        params = {"key": self.ann, "job_id": withheld[1]}
        self.example("post_jobs_job_id_output_confirm", _REASON, **params)
        self.example("post_output_check", {"topic": "job.demo.read", "content": f"key {_SECRET}"})
        self.example("get_policy_output_rules")
        self.example("get_policy_output_stats")

    def _withheld(self) -> str:
        given = self.leased("job.demo.secret")
        answer = {"lease_id": given["lease_id"], "status": "succeeded", "result": {"k": _SECRET}}
        path = f"/api/v1/jobs/{given['job_id']}/result"
        reply = self.door.ask("POST", path, answer, key=self.worker)
        assert reply.json["state"] == "OUTPUT_QUARANTINED", reply.body
        return str(given["job_id"])

    def webhooks(self) -> None:
        """Who is told of approvals, and what a link opens."""
        url = "https://hooks.example.com/services/T0/B0/secret-path"
        self.example("post_webhooks", {"name": "chat", "url": url})
        self.example("get_webhooks")
        job_id, expires_at_us = self.submit(HELD_JOB), self.door.clock.at_us + 60_000_000
        link = ApprovalLink(job_id=job_id, webhook="chat", expires_at_us=expires_at_us)
        token = self.door.run(make_link(self.door.plane, "default", link))
        self.example("post_approvals_open", {"token": token}, key=self.ann)

    def streams(self) -> None:
        """The first events of the log, and those of one job."""
        job_id = self.submit(ALLOWED_JOB)
        end = self.door.run(self.door.plane.store.log_end())
        for operation, path, start in (
            ("get_stream", "/api/v1/stream", 0),
            ("get_jobs_job_id_stream", f"/api/v1/jobs/{job_id}/stream", end - 1),
        ):
            path = f"{path}?from={start}"
            opened = streams.opened(self.door, path)
            opened.until(partial(_has_event, opened), "no event")
            first = opened.body.partition(b"\n\n")[0] + b"\n\n"
            self.keep(operation, path, None, Reply(opened.status, {}, first))
            opened.hang_up()

    def agents(self) -> None:
        """An agent from its registration to its end."""
        wanted = {
            "name": "deploy-bot",
            "owner": "platform",
            "team": "sre",
            "risk_tier": "high",
            "purpose": "rolls out releases",
            "allowed_topics": ["job.deploy.*"],
            "allowed_capabilities": ["infra.write"],
            "expires_at": "2027-06-01T00:00:00Z",
        }
        agent = self.example("post_agents", wanted)["id"]
        self.door.ask("POST", "/api/v1/auth/keys", {"name": "deploy-1", "agent_id": agent})
        change = {"allowed_topics": ["job.deploy.*", "job.demo.*"], "revision": 1}
        self.example("put_agents_agent_id", change, agent_id=agent)
        self.example("get_agents", query="status=active&limit=1")
        self.example("get_agents_agent_id", agent_id=agent)
        body = {"reason": "odd traffic"}
        self.example("post_agents_agent_id_suspend", body, agent_id=agent)
        self.example("post_agents_agent_id_resume", {}, agent_id=agent)
        self.example("delete_agents_agent_id", agent_id=agent, query="reason=replaced")

    def ends(self) -> None:
        """What ends what is there."""
        self.example("delete_webhooks_name", name="chat")
        self.example("post_workers_worker_id_revoke_session", worker_id="crane")
        self.example("delete_workers_credentials_worker_id", worker_id="crane")


def _with_keyring(folder: Path) -> Path:
    """A folder with keys that are always the same, so that equal values have equal hashes."""
    key = base64.b64encode(bytes(32)).decode()
    content = {"correlation": key, "keys": [{"id": "00" * 6, "made_at_us": 0, "key": key}]}
    file = folder / KEYRING_FILE
    file.write_text(json.dumps(content), encoding="utf-8")
    file.chmod(0o600)
    return folder


def _replaced(value: Any) -> Any:
    """The value, with a stand-in for what is not the same on every machine and day."""
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    if isinstance(value, dict):
        return {name: _REPLACED.get(name, _replaced(item)) for name, item in value.items()}
    return value


def main() -> None:
    """Rewrite the files and say which changed; take away those of no endpoint."""
    texts = {WIRE_FOLDER / f"{name}.json": wire_text(one) for name, one in exchanges().items()}
    texts[OPENAPI_FILE] = openapi_text()
    for file in sorted({*WIRE_FOLDER.glob("*.json"), *texts}):
        if file not in texts:
            file.unlink()
            print(f"removed {file.name}")
        elif not file.exists() or file.read_text(encoding="utf-8") != texts[file]:
            file.write_text(texts[file], encoding="utf-8")
            print(f"rewrote {file.name}")


if __name__ == "__main__":
    main()
