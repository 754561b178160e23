"""The stream over real sockets: curl, a WebSocket client, the command line, who does not read."""

import base64
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.e2e.harness import (
    FORESTALL,
    KEY,
    Server,
    environment,
    forestall,
    parse_reply,
    poll,
    serving,
)
from tests.http_samples import ALLOWED_JOB, DENIED_JOB

STREAM = "/api/v1/stream"
CURL = shutil.which("curl")


class Follower:
    """A process that prints what a stream sends; its lines so far."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment({"FORESTALL_API_KEY": KEY}),
        )
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        with stream:
            for line in stream:
                lines.append(line.rstrip("\n"))  # noqa: PERF401 - others look meanwhile

    def events(self) -> list[dict[str, Any]]:
        """The events of an event stream so far."""
        found = [line for line in list(self.lines) if line.startswith("data: ")]
        return [json.loads(line.removeprefix("data: ")) for line in found]

    def wait_for(self, word: str, count: int = 1) -> None:
        """Until so many lines hold the word."""
        poll(lambda: sum(word in line for line in list(self.lines)) >= count, word)

    def end(self, seconds: float = 10.0) -> int:
        """Wait for the end of the process; its exit code."""
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(seconds)
        return code


@contextlib.contextmanager
def curl(server: Server, path: str = STREAM, *headers: str, key: str = KEY) -> Iterator[Follower]:
    """`curl -N` on a stream; its headers are in the lines too."""
    assert CURL is not None, "curl is not installed"
    before = server.metric("forestall_streams_open")
    wanted = ("Accept: text/event-stream", f"X-API-Key: {key}", *headers)
    follower = Follower(
        *(CURL, "-sS", "-N", "-i"),
        *(part for one in wanted for part in ("-H", one)),
        server.url + path,
    )
    try:
        # It shows the headers with the first event, so ask the server whether it is there.
        poll(lambda: server.metric("forestall_streams_open") > before, "the stream")
        yield follower
    finally:
        follower.process.kill()
        follower.end()


def encoded(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def websocket(server: Server, path: str = STREAM, **more: Any) -> ClientConnection:
    """A real client, with the key in a header unless told otherwise."""
    more.setdefault("additional_headers", {"X-API-Key": KEY})
    client: ClientConnection = connect(
        f"ws://127.0.0.1:{server.port}{path}", open_timeout=10, proxy=None, **more
    )
    return client


def received(client: ClientConnection, count: int) -> list[dict[str, Any]]:
    return [json.loads(client.recv(timeout=10)) for _ in range(count)]


# -- events --


def test_curl_follows_the_log(server: Server) -> None:
    """The guide's own tool sees each event while the connection stays open."""
    with curl(server) as one:
        ids = [server.submit(ALLOWED_JOB).json["job_id"] for _ in range(3)]
        one.wait_for("data: ", 3)
        assert one.lines[0] == "HTTP/1.1 200 OK"
        assert [event["job_id"] for event in one.events()] == ids
    last = one.events()[0]["position"]
    with curl(server, STREAM, f"Last-Event-ID: {last}") as rest:
        rest.wait_for("data: ", 2)
        assert [event["job_id"] for event in rest.events()] == ids[1:]


def test_a_job_is_replayed(server: Server) -> None:
    job_id = server.submit(DENIED_JOB).json["job_id"]
    with curl(server, f"/api/v1/jobs/{job_id}/stream?from=0") as one:
        one.wait_for("data: ")
        (event,) = one.events()
    assert event["jobResult"]["status"] == "JOB_STATUS_DENIED"
    assert server.ask("GET", "/api/v1/jobs/none/stream").status == 426
    reply = server.ask("GET", "/api/v1/jobs/none/stream", headers={"Accept": "text/event-stream"})
    assert (reply.status, reply.json["code"]) == (404, "job_not_found")


def test_head_and_neither(server: Server) -> None:
    """HEAD ends, and the connection can be used again; without a wish there is 426."""
    asked = {"Accept": "text/event-stream"}
    head = server.ask("HEAD", STREAM, headers=asked)
    assert (head.status, head.body, head.headers["content-type"]) == (200, b"", "text/event-stream")
    reply = server.ask("GET", STREAM)
    assert (reply.status, reply.json["code"]) == (426, "upgrade_required")
    assert reply.headers["upgrade"] == "websocket"


def test_a_revoked_key_is_out_within_a_second(server: Server) -> None:
    """Both framings; WebSocket says 1008."""
    name = f"short-{time.time_ns()}"
    made = server.ask("POST", "/api/v1/auth/keys", {"name": name, "role": "viewer"}).json
    headers = {"X-API-Key": made["secret"]}
    with (
        curl(server, key=made["secret"]) as one,
        websocket(server, additional_headers=headers) as two,
    ):
        began = time.monotonic()
        server.ask("DELETE", f"/api/v1/auth/keys/{made['key']['id']}")
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                two.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "credential revoked")
        assert one.end() == 0
        assert time.monotonic() - began < 2.0  # milliseconds, if the machine has nothing else to do
        assert not one.events()


# -- WebSocket --


def test_a_websocket_client_follows_the_log(server: Server) -> None:
    """Text frames with the objects of the event stream."""
    with websocket(server) as client:
        ids = [server.submit(body).json["job_id"] for body in (ALLOWED_JOB, DENIED_JOB)]
        events = received(client, 2)
        assert [event["job_id"] for event in events] == ids
        assert "jobRequest" in events[0]
        assert events[1]["jobResult"]["status"] == "JOB_STATUS_DENIED"
        client.send("hello")
        client.send(b"\x00" * 4_000)
        assert client.ping().wait(10)
    again = f"{STREAM}?last_event_id={events[0]['position']}"
    with websocket(server, again) as client:
        assert received(client, 1) == events[1:]


def test_the_key_in_the_subprotocol(server: Server) -> None:
    """As a browser sends it, from whatever page; the key is never answered."""
    offered = [Subprotocol("cordum-api-key"), Subprotocol(encoded(KEY))]
    with websocket(
        server, additional_headers={}, subprotocols=offered, origin="https://other.example"
    ) as client:
        assert client.subprotocol == "cordum-api-key"
        assert client.response is not None
        assert encoded(KEY) not in str(client.response.headers)
    single = [Subprotocol(f"cordum-api-key.{encoded(KEY)}")]
    with websocket(server, additional_headers={}, subprotocols=single) as client:
        assert client.subprotocol is None


@pytest.mark.parametrize(
    ("path", "more", "status", "code"),
    [
        (STREAM, {"additional_headers": {}}, 401, "unauthorized"),
        (STREAM, {"origin": "https://evil.example"}, 403, "origin_denied"),
        (f"{STREAM}?tenant=acme", {}, 403, "tenant_access_denied"),
        ("/api/v1/jobs/none/stream", {}, 404, "job_not_found"),
        (f"{STREAM}?from=999999999999", {}, 400, "stream_position_invalid"),
        ("/api/v1/none", {}, 404, "route_not_found"),
    ],
)
def test_a_refused_handshake_is_a_coded_answer(
    server: Server, path: str, more: dict[str, Any], status: int, code: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        websocket(server, path, **more)
    response = refused.value.response
    assert response.status_code == status
    assert response.body is not None
    body = json.loads(response.body)
    assert (body["code"], body["status"]) == (code, status)
    assert body["request_id"] == response.headers["x-request-id"]


def test_too_large_a_message_ends_the_connection(server: Server) -> None:
    with websocket(server) as client, pytest.raises(ConnectionClosed) as closed:
        client.send(b"\x00" * 100_000)
        client.recv(timeout=10)
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
    assert server.alive


_UPGRADE = (
    f"Host: localhost\r\nX-API-Key: {KEY}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (
            f"GET {STREAM} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            400,
        ),
        (f"GET {STREAM} HTTP/1.1\r\n{_UPGRADE}".replace("Version: 13", "Version: 7"), 400),
        (f"GET {STREAM} HTTP/1.1\r\n{_UPGRADE}".replace("dGhl", "!!!!"), 400),
        (f"GET {STREAM} HTTP/1.1\r\n{_UPGRADE}X-Long: {'x' * 9_000}\r\n", 0),
        (f"GET {STREAM}?x={'x' * 9_000} HTTP/1.1\r\n{_UPGRADE}", 0),
        (f"GET {STREAM} HTTP/1.0\r\n{_UPGRADE}", 0),
        (f"GET {STREAM}?x=\xe9 HTTP/1.1\r\n{_UPGRADE}", 0),
        (f"GET {STREAM} HTTP/1.1\r\n{_UPGRADE}X-Odd: \xe9\r\n", 0),
        (f"GET {STREAM} HTTP/1.1\r\n{_UPGRADE}Sec-WebSocket-Protocol: a=,\xe9,(\r\n", 0),
        (f"GET {STREAM} HTTP/1.1\r\n{_UPGRADE}Sec-WebSocket-Extensions: ;;=\r\n", 0),
        (f"GET {STREAM} HTTP/1.1\r\n{_UPGRADE}Content-Length: 5\r\n", 0),
        (f"POST /api/v1/jobs HTTP/1.1\r\n{_UPGRADE}Content-Length: 2\r\n", 0),
        (f"HEAD {STREAM} HTTP/1.1\r\n{_UPGRADE}", 426),
        (f"GET http://x{STREAM} HTTP/1.1\r\n{_UPGRADE}", 0),
        (f"OPTIONS * HTTP/1.1\r\n{_UPGRADE}", 0),
    ],
    ids=lambda part: str(part)[:60],
)
def test_odd_upgrades_are_answered_or_closed(server: Server, head: str, status: int) -> None:
    """Nobody hangs, nothing is logged as unforeseen (the fixture looks at the log in the end)."""
    raw = server.raw(head.encode("latin-1") + b"\r\nhello", shut=True)
    assert not raw or raw.startswith(b"HTTP/1.1 ")
    assert b"Traceback" not in raw
    assert not raw or parse_reply(raw).status < 500
    assert not status or parse_reply(raw).status == status
    assert server.alive


def test_random_upgrades_harm_nobody(server: Server) -> None:
    """Heads and frames with bytes changed here and there; a seed is printed."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    whole = f"GET {STREAM}?from=0 HTTP/1.1\r\n{_UPGRADE}\r\n".encode()
    for _ in range(150):
        data = bytearray(whole + b"\x81\x85abcd\x09\x04\x0d\x08\x0e" + chance.randbytes(20))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        raw = server.raw(bytes(data), shut=True)
        assert not raw or raw.startswith(b"HTTP/1.1 "), raw[:80]
        assert not raw or parse_reply(raw).status < 500, raw[:300]
    assert server.alive


# -- those who do not read, and the end --


def _silent(server: Server, *, upgrade: bool) -> socket.socket:
    """Asks for everything and never reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.connect(("127.0.0.1", server.port))
    ask = (
        _UPGRADE
        if upgrade
        else f"Host: localhost\r\nX-API-Key: {KEY}\r\nAccept: text/event-stream\r\n"
    )
    client.sendall(f"GET {STREAM}?from=0 HTTP/1.1\r\n{ask}\r\n".encode())
    return client


@pytest.mark.parametrize("upgrade", [False, True], ids=["sse", "websocket"])
def test_sigterm_with_fifty_streams_ends_at_once(tmp_path: Path, upgrade: bool) -> None:
    """Forty that listen and ten that never read; nobody holds the server up."""
    with serving(tmp_path / "data") as server:
        for _ in range(40):  # 40 times 20 KB: more than the kernel takes for a silent client
            server.submit({**ALLOWED_JOB, "labels": {f"l{n}": "x" * 4_000 for n in range(5)}})
        with contextlib.ExitStack() as stack:
            for _ in range(10):
                stack.enter_context(_silent(server, upgrade=upgrade))
            clients = [stack.enter_context(websocket(server)) for _ in range(40 if upgrade else 0)]
            curls = [stack.enter_context(curl(server)) for _ in range(0 if upgrade else 40)]
            poll(lambda: server.metric("forestall_streams_open") == 50, "fifty streams")
            began = time.monotonic()
            assert server.stop() == 0
            assert (
                time.monotonic() - began < 4.0
            )  # 1.3 s here; never a timed test on a busy machine
            for client in clients:
                with pytest.raises(ConnectionClosed) as closed:
                    client.recv(timeout=10)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012
            assert [one.end() for one in curls] == [0] * len(curls)
        assert "Traceback" not in server.log


def test_a_client_that_never_reads_costs_little(tmp_path: Path) -> None:
    """Thirty replays of 12 MB that nobody takes: a bounded part of it is in memory."""
    with serving(tmp_path / "data") as server:
        for _ in range(600):
            server.submit({**ALLOWED_JOB, "labels": {f"l{n}": "x" * 4_000 for n in range(5)}})
        before = server.metric("process_resident_memory_bytes")
        with contextlib.ExitStack() as stack:
            for _ in range(30):
                stack.enter_context(_silent(server, upgrade=False))
            poll(lambda: server.metric("forestall_streams_open") == 30, "thirty streams")
            for _ in range(50):
                server.submit(ALLOWED_JOB)
            grown = server.metric("process_resident_memory_bytes") - before
            print(f"{grown / 30 / 1024:.0f} KiB for each stream that nobody reads")
            assert grown < 30 * 1024 * 1024
        poll(lambda: server.metric("forestall_streams_open") == 0, "no stream is left")


# -- the command line --


def test_watch_prints_what_happens_and_ends_on_ctrl_c(server: Server) -> None:
    """One line an event; Ctrl-C is no error worth a traceback."""
    one = Follower(str(FORESTALL), "jobs", "watch", "--url", server.url)
    count = int(server.metric("forestall_streams_open"))
    poll(lambda: server.metric("forestall_streams_open") > count, "the stream")
    job_id = server.submit(DENIED_JOB).json["job_id"]
    one.wait_for(job_id)
    (line,) = [line for line in one.lines if job_id in line]
    assert "job.submitted" in line
    assert "DENIED" in line
    one.process.send_signal(signal.SIGINT)
    assert one.end() == 130
    assert "Traceback" not in "".join(one.errors)


def test_watch_of_a_job_begins_at_its_beginning(server: Server) -> None:
    job_id = server.submit(DENIED_JOB).json["job_id"]
    one = Follower(str(FORESTALL), "jobs", "watch", job_id, "--json", "--url", server.url)
    one.wait_for(job_id)
    one.process.terminate()
    one.end()
    assert json.loads(one.lines[0])["kind"] == "job.submitted"


def test_watch_says_what_is_wrong_and_stops(server: Server) -> None:
    """A wrong key, job or address does not become right by trying again."""
    for arguments, key, word in (
        (("--url", server.url), "wrong", "unauthorized"),
        (("none", "--url", server.url), KEY, "job not found"),
        (("--url", "http://127.0.0.1:9"), KEY, "no answer"),
        (("--url", f"http://127.0.0.1:{server.metrics_port}"), KEY, "streams no events"),
    ):
        done = forestall("jobs", "watch", *arguments, env={"FORESTALL_API_KEY": key})
        assert done.returncode == 3
        assert word in done.stderr
        assert "Traceback" not in done.stderr


def test_watch_survives_a_restart_without_a_gap(tmp_path: Path) -> None:
    """What happened while nobody was there comes afterwards, once."""
    ids = []
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = ("--listen", f"127.0.0.1:{port}", "--metrics-listen", "127.0.0.1:0")
    with serving(tmp_path / "data", *address, listen=False) as server:
        one = Follower(str(FORESTALL), "jobs", "watch", "--json", "--url", server.url)
        poll(lambda: server.metric("forestall_streams_open") == 1, "the stream")
        ids.append(server.submit(ALLOWED_JOB).json["job_id"])
        one.wait_for(ids[0])
        assert server.stop() == 0
    poll(lambda: one.errors, "it says that it lost the connection")
    with serving(tmp_path / "data", *address, listen=False) as server:
        ids += [server.submit(ALLOWED_JOB).json["job_id"] for _ in range(3)]
        poll(lambda: len([line for line in one.lines if "job.submitted" in line]) >= 4, "all", 40.0)
        one.process.terminate()
        one.end()
    told = [json.loads(line) for line in one.lines]
    assert [event["job_id"] for event in told if event["kind"] == "job.submitted"] == ids
    positions = [event["position"] for event in told]
    assert positions == sorted(set(positions))
