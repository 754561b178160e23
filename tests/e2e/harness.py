"""The real server as a process, and requests to it over real sockets. No sleeps: only polls."""

import contextlib
import http.client
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tests.http_samples import Reply

T = TypeVar("T")

FORESTALL = Path(sys.executable).with_name("forestall")
KEY = "bootstrap-key-of-the-tests-0123456789abcdef"
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 20.0
_ADDRESS = re.compile(r"^  (API|metrics) +http://127\.0\.0\.1:(\d+)", re.MULTILINE)

GUIDE_RULES = """\
rules:
  - id: deny-destructive-exec
    decision: deny
    reason: "destructive command class blocked"
    match:
      topics: ["job.exec.*"]
      labels: {command_class: "destructive"}
  - id: require-approval-prod-write
    decision: require_approval
    reason: "human review required for prod write"
    match:
      topics: ["job.deploy.*"]
      labels: {env: "prod"}
      capabilities: ["infra.write"]
"""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: nothing of ours leaks in, and terminal colours stay out."""
    kept = {name: value for name, value in os.environ.items() if "FORESTALL" not in name}
    ours = {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "NO_PROXY": "*", "no_proxy": "*"}
    return {**kept, **ours, **(extra or {})}


def poll(look: Callable[[], T | None], what: str, seconds: float = 10.0) -> T:
    """The first answer of `look` that is not None or False; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)  # between two looks, not instead of one


class Server:
    """One `forestall serve` in a process of its own, on ports that the kernel chose."""

    def __init__(
        self,
        data_dir: Path,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        key: str | None = KEY,
        cwd: Path | None = None,
        listen: bool = True,
    ) -> None:
        """Start and wait for the banner. Raises StartFailedError with what the server said."""
        self.key = key or ""
        self.data_dir = data_dir
        ports = ("--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0") if listen else ()
        command = [str(FORESTALL), "serve", *ports, "--data-dir", str(data_dir), *arguments]
        extra = {"FORESTALL_BOOTSTRAP_KEY": key} if key else {}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment({**extra, **(env or {})}),
            cwd=cwd or data_dir.parent,
            text=True,
        )
        self._errors: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read_errors, daemon=True),
            threading.Thread(target=self._read_output, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.banner = self._wait_until_ready()
        found = dict(_ADDRESS.findall(self.banner))
        self.port, self.metrics_port = int(found["API"]), int(found["metrics"])

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            self._errors.extend(stream)

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self._lines.put(line)
        self._lines.put(None)

    def _wait_until_ready(self) -> str:
        said: list[str] = []
        deadline = time.monotonic() + START_SECONDS_MAX
        while not (said and said[-1].startswith("Ready.")):
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self.kill()
                raise StartFailedError(self.process.returncode, "".join(said), self.log)
            said.append(line)
        return "".join(said)

    @property
    def log(self) -> str:
        """What the server wrote to stderr so far."""
        return "".join(self._errors)

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """The process runs and answers."""
        return self.process.poll() is None and self.ask("GET", "/livez").status == 200

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Reply:
        """One request on a connection of its own; `body` is JSON unless it is bytes."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"X-API-Key": self.key if key is None else key, "X-Tenant-ID": "default"}
        if data is not None:
            sent["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body=data, headers={**sent, **(headers or {})})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read())

    def submit(self, body: Mapping[str, Any], **more: Any) -> Reply:
        """POST /api/v1/jobs."""
        return self.ask("POST", "/api/v1/jobs", dict(body), **more)

    def job_ids(self) -> list[str]:
        """The newest jobs (up to 500)."""
        return [job["id"] for job in self.ask("GET", "/api/v1/jobs?limit=500").json["items"]]

    def metrics(self) -> str:
        """The exposition text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()

    def metric(self, series: str) -> float:
        """The value of one series, such as `name_total{label="x"}`; 0 when it is absent."""
        for line in self.metrics().splitlines():
            if line.rpartition(" ")[0] == series:
                return float(line.rpartition(" ")[2])
        return 0.0

    def raw(self, data: bytes, *, seconds: float = 10.0, shut: bool = False) -> bytes:
        """Send bytes as they are; everything that comes back until the server closes.

        A reset while we still send is an answer too: what had come by then is returned.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
                if shut:
                    connection.shutdown(socket.SHUT_WR)
            return b"".join(received(connection))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask the server to stop; its exit code (negative when the signal killed it)."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(STOP_SECONDS_MAX)
        finally:
            self.kill()
        return code

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()


class StartFailedError(Exception):
    """The server ended before it was ready."""

    def __init__(self, code: int, said: str, log: str) -> None:
        super().__init__(f"exit code {code}\n{said}\n{log}")
        self.code, self.said, self.log = code, said, log


def received(connection: socket.socket) -> Iterator[bytes]:
    """What comes until the other side closes."""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65_536):
            yield data


def parse_reply(raw: bytes) -> Reply:
    """The first HTTP answer in raw bytes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":")[::2] for line in lines)
    return Reply(
        int(first.split(" ")[1]), {name.lower(): value.strip() for name, value in pairs}, body
    )


@contextlib.contextmanager
def serving(data_dir: Path, *arguments: str, **options: Any) -> Iterator[Server]:
    """A server for the length of a block; killed if the block did not stop it."""
    server = Server(data_dir, *arguments, **options)
    try:
        yield server
    finally:
        server.kill()


def forestall(
    *arguments: str,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    seconds: float = 60.0,
) -> "subprocess.CompletedProcess[str]":
    """Run the command line; its exit code, stdout and stderr."""
    done = subprocess.run(
        [str(FORESTALL), *arguments],
        input=stdin if stdin is not None else b"",
        capture_output=True,
        env=environment(env),
        cwd=cwd,
        timeout=seconds,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args,
        done.returncode,
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
    )
