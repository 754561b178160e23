"""Secrets of a server in a process of its own: its environment, its log, its tracebacks, metrics.

Each secret is a word that occurs nowhere else; what the server writes and shows is searched for it.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forestall.server.settings import BOOTSTRAP_KEY_VARIABLE, read_settings
from tests.e2e.harness import Server, environment, serving

pytestmark = pytest.mark.e2e
CANARY = "kestrel-bootstrap-" + "7" * 46

# What a child of the process sees, and what a dump of its first environment shows.
_LOOK = f"""
import os, subprocess, sys
from forestall.server.environment import take_out
taken = take_out("{BOOTSTRAP_KEY_VARIABLE}")
assert take_out("{BOOTSTRAP_KEY_VARIABLE}") == "", "it is taken once"
print(len(taken))
print("python", "{BOOTSTRAP_KEY_VARIABLE}" in os.environ)
child = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
print("child", taken in child, "OTHER_VARIABLE=stays" in child)
dump = open("/proc/self/environ", "rb").read()
print("dump", taken.encode() in dump, b"OTHER_VARIABLE=stays" in dump)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "data", key=CANARY) as one:
        yield one


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the kernel shows none")
def test_a_secret_that_is_taken_out_is_in_no_environment() -> None:
    """Not in Python's, not in a child's, not in what the kernel shows; others stay."""
    extra = {BOOTSTRAP_KEY_VARIABLE: CANARY, "OTHER_VARIABLE": "stays"}
    command = [sys.executable, "-c", _LOOK]
    done = subprocess.run(
        command, env=environment(extra), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == [
        str(len(CANARY)),
        "python False",
        "child False True",
        "dump False True",
        "",
    ]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the kernel shows none")
def test_a_running_server_shows_no_bootstrap_key(server: Server) -> None:
    """Neither in its environment, its arguments, its banner nor the environments of children."""
    assert server.ask("GET", "/api/v1/jobs").status == 200
    for name in ("environ", "cmdline"):
        dump = Path(f"/proc/{server.process.pid}/{name}").read_bytes()
        assert dump
        assert CANARY.encode() not in dump
    tasks = Path(f"/proc/{server.process.pid}/task")
    for children in tasks.glob("*/children"):
        for child in children.read_text().split():
            assert CANARY.encode() not in Path(f"/proc/{child}/environ").read_bytes()
    assert CANARY not in server.banner


def test_no_secret_is_in_what_the_server_writes_and_shows(server: Server) -> None:
    """Good keys, wrong keys, keys in the wrong place: none of them is in the log of the process,
    an error, a record, a metric or the files of the data directory."""
    made = server.ask("POST", "/api/v1/auth/keys", {"name": "ci", "role": "agent"}).json
    wanted = {"worker_id": "w", "allowed_topics": ["job.*"]}
    token = server.ask("POST", "/api/v1/workers/credentials", wanted).json["token"]
    tenant = server.ask("POST", "/api/v1/tenants", {"name": "acme"}).json
    secrets = [CANARY, made["secret"], token, tenant["secret"]]
    answers = []
    for secret in secrets:
        wrong = secret[:-1] + ("0" if secret[-1] != "0" else "1")
        for path in (f"/api/v1/jobs?key={secret}", f"/api/v1/jobs/{secret}", f"/x/{secret}"):
            answers.append(server.ask("GET", path, key=secret))
            answers.append(server.ask("GET", path, key=wrong))
        for body in ({"name": secret, "role": secret}, {"topic": secret}, secret.encode()):
            answers.append(server.ask("POST", "/api/v1/auth/keys", body, key=secret))
            answers.append(server.ask("POST", "/api/v1/jobs", body, key=wrong))
        answers.append(server.ask("GET", "/api/v1/jobs", headers={"X-Tenant-ID": secret}))
        answers.append(server.ask("GET", "/api/v1/jobs", headers={"X-Request-Id": "r"}, key=wrong))
        server.raw(f"GET / HTTP/1.1\r\nX-API-Key: {secret}\r\n{secret}\r\n\r\n".encode())
    assert {answer.status for answer in answers} >= {400, 401, 403, 404}
    for answer in answers:
        if answer.status == 401:
            assert not [each for each in secrets if each[:-1] in answer.body.decode()]
    shown = server.metrics() + server.log + server.banner
    shown += server.ask("GET", "/api/v1/auth/keys").body.decode()
    shown += server.ask("GET", "/api/v1/tenants").body.decode()
    server.stop()
    for file in sorted(server.data_dir.rglob("*")):
        if file.is_file():
            shown += file.read_bytes().decode("latin-1")
    found = {secret for secret in secrets if secret in shown}
    assert not found, [re.search(f".{{80}}{re.escape(each)}", shown) for each in found]


def test_settings_print_no_key(tmp_path: Path) -> None:
    """In a traceback with values, or in a line of a log that prints them."""
    settings = read_settings({}, {BOOTSTRAP_KEY_VARIABLE: CANARY}, tmp_path)
    assert settings.bootstrap_key == CANARY
    assert CANARY not in f"{settings!r} {settings!s}"
    assert "data_dir=" in repr(settings)
