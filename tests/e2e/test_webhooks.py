"""Webhooks of the real server: told over a socket, signed, and told again after kill -9."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forestall.jobs.webhook import verify_signature
from tests.e2e.harness import GUIDE_RULES, forestall, poll, serving
from tests.http_samples import HELD_JOB

pytestmark = pytest.mark.e2e
HOOKS = "/api/v1/webhooks"


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what it is told; refuses while `down`."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.down = False
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.server.down:
            self.server.got.append((dict(self.headers), body))
        self.send_response(500 if self.server.down else 204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_told_over_a_kill_and_opened_by_an_approver(tmp_path: Path, receiver: Receiver) -> None:
    """What was asked while the receiver was down and the server killed is told by the next one."""
    (tmp_path / "policy.yaml").write_text(GUIDE_RULES)
    arguments = ("--policy", str(tmp_path / "policy.yaml"), "--webhooks", "local")
    with serving(tmp_path / "data", *arguments) as server:
        wanted = {"name": "chat", "url": receiver.url, "link_base": "https://forestall.example"}
        made = server.ask("POST", HOOKS, wanted)
        assert made.status == 201, made.body
        secret = made.json["secret"]
        key = server.ask("POST", "/api/v1/auth/keys", {"name": "ann", "role": "approver"}).json
        first = server.submit({**HELD_JOB, "prompt": "stays-here"}).json["job_id"]
        poll(lambda: len(receiver.got) == 1, "the first message")
        receiver.down = True
        second = server.submit(HELD_JOB).json["job_id"]
        series = 'forestall_webhook_messages_total{outcome="failed"}'
        poll(lambda: server.metric(series) >= 1, "a failed try")
        server.kill()
    receiver.down = False
    with serving(tmp_path / "data", *arguments) as server:
        poll(lambda: len(receiver.got) >= 2, "the second message")
        bodies = [json.loads(body) for _, body in receiver.got]
        assert bodies[0]["job_id"] == first
        assert bodies[-1]["job_id"] == second
        for headers, body in receiver.got:
            at_s = int(headers["X-Forestall-Signature"].partition(",")[0][2:])
            assert verify_signature(secret, body, headers["X-Forestall-Signature"], now_s=at_s)
            assert b"stays-here" not in body
        env = {"FORESTALL_URL": server.url, "FORESTALL_API_KEY": key["secret"]}
        opened = forestall("approvals", "open", bodies[-1]["link"], env=env)
        assert opened.returncode == 0, opened.stderr
        assert second in opened.stdout
        assert forestall("approvals", "open", bodies[-1]["link"], env=env).returncode == 3
        assert secret not in server.log
        assert receiver.url not in server.log
        assert server.stop() == 0


def test_a_server_reaches_this_machine_only_when_told_to(
    tmp_path: Path, receiver: Receiver
) -> None:
    with serving(tmp_path / "data") as server:
        for url in (receiver.url, receiver.url.replace("http:", "https:"), "https://localhost/"):
            reply = server.ask("POST", HOOKS, {"name": "chat", "url": url})
            if "localhost" in url:
                assert reply.status == 201  # a name is judged when it is resolved
            else:
                assert reply.json["code"] == "webhook_invalid"
        server.submit({"topic": "job.demo.read", "prompt": "x"})
        assert server.stop() == 0
    assert not receiver.got
