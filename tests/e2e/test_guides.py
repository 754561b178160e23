"""The guides, followed as their readers would: every command, and what it shows comes out.

A guide is a page of docs/guides with `console` blocks. A command that is not typed here stands in
`NOT_TYPED`, with what keeps it from being typed; `console offline` is run by tests/test_docs.py.
"""

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import FORESTALL, KEY, Server, environment, serving
from tests.e2e.reader import ROOT, Reader, fenced_blocks, require_shown, shown_commands

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not all(map(shutil.which, ("bash", "curl", "openssl"))),
        reason="the guides need bash, curl and openssl",
    ),
]
GUIDES = ROOT / "docs" / "guides"
SAMPLE_JOB = "01a20481-09f1-7027-9e0d-b82a4f8acb24"
HELD = {
    "topic": "job.deploy.apply",
    "prompt": "terraform apply\nrm -rf build",
    "capability": "infra.write",
    "labels": {"env": "prod"},
}
READING = {"topic": "job.demo.read", "prompt": "read"}
# The starter policy, and a rule that withholds what a worker answers.
WITHHOLDING = '  - {id: read-first, decision: quarantine, match: {keywords: ["read me first"]}}\n'
NOT_TYPED = {
    "make install": "this environment is installed",
    "forestall serve": "a server runs until it is stopped; test_serve.py starts it",
    ".venv/bin/forestall serve": "the same",
    "pip install": "the tests fetch nothing",
    "forestall scan --names-model": "the model is not installed; test_names_model.py",
    "forestall jobs watch": "it prints until it is stopped; test_cli.py",
    "forestall approvals watch": "the same; test_cli_approvals.py",
    "forestall approvals open": "the link comes with a message; test_webhooks.py",
    "forestall policy check new.yaml": "the page does not show the two files; test_cli_policy.py",
    "curl -sSN": "it prints until it is stopped; test_stream.py",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    starter = (ROOT / "src" / "forestall" / "server" / "starter-policy.yaml").read_text()
    policy = tmp_path / "policy.yaml"
    policy.write_text(starter.replace("output_rules:\n", f"output_rules:\n{WITHHOLDING}"))
    with serving(tmp_path / "forestall-data", "--policy", str(policy)) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture
def reader(server: Server) -> Reader:
    path = f"{FORESTALL.parent}{os.pathsep}{os.environ['PATH']}"
    variables = {"FORESTALL_URL": server.url, "FORESTALL_API_KEY": KEY, "PATH": path}
    return Reader(server.data_dir.parent, environment(variables))


def follow(
    page: str,
    reader: Reader,
    server: Server,
    swaps: Mapping[str, Callable[[], str]],
    samples: Callable[[], Mapping[str, str]] = dict,
) -> int:
    """Type the commands of a page, and say how many.

    `swaps` says what stands for a part of a command here; `samples` what the page shows for a text
    that is printed.
    """
    typed = 0
    for info, block in fenced_blocks((GUIDES / page).read_text(encoding="utf-8")):
        for line, shown in shown_commands(block) if info == "console" else ():
            if line.startswith(tuple(NOT_TYPED)):
                continue
            real = line.replace("http://127.0.0.1:8081", server.url)
            for part, swap in swaps.items():
                if part in real:
                    real = real.replace(part, swap())
            printed = reader.type(real)
            for text, sample in samples().items():
                printed = printed.replace(text, sample)
            if shown:
                require_shown(shown, printed)
            else:
                assert reader.exit_code == 0, f"{real}\n{printed}"
            typed += 1
    return typed


def key_of(server: Server, name: str, role: str) -> str:
    body = {"name": name, "role": role, "principal": f"people/{name}"}
    return str(server.ask("POST", "/api/v1/auth/keys", body).json["secret"])


def test_the_guide_for_agent_developers(server: Server, reader: Reader) -> None:
    reader.variables["FORESTALL_API_KEY"] = key_of(server, "agent", "agent")
    assert follow("agent-developer.md", reader, server, {}) == 2


def test_the_guide_for_approvers(server: Server, reader: Reader) -> None:
    agent = key_of(server, "asking", "agent")
    first, second = (server.submit(HELD, key=agent).json for _ in range(2))
    reader.variables["FORESTALL_API_KEY"] = key_of(server, "rita", "approver")
    swaps = {
        f"{SAMPLE_JOB} --yes --job-hash b71e…": (
            lambda: f"{second['job_id']} --yes --job-hash {second['job_hash']}"
        ),
        SAMPLE_JOB: lambda: str(first["job_id"]),
        "/api/v1/webhooks -H": lambda: f'/api/v1/webhooks -H "X-API-Key: {KEY}" -H',
        '-H "X-API-Key: $FORESTALL_API_KEY"': lambda: "",
    }
    samples = {first["job_id"]: SAMPLE_JOB}
    assert follow("approver.md", reader, server, swaps, lambda: samples) == 6


def test_the_guide_for_auditors(server: Server, reader: Reader) -> None:
    for _ in range(3):
        server.submit(READING)
    copy = reader.folder / "copy-that-was-tampered-with"
    copy.mkdir()
    with contextlib.closing(sqlite3.connect(copy / "forestall.db")) as tampered:
        with contextlib.closing(sqlite3.connect(server.data_dir / "forestall.db")) as source:
            source.backup(tampered)
        (record,) = tampered.execute("SELECT record FROM log WHERE position = 3").fetchone()
        changed = bytes(record).replace(b"default", b"defauld", 1)
        assert changed != record
        tampered.execute("DROP TRIGGER log_never_updated")
        tampered.execute("UPDATE log SET record = ? WHERE position = 3", (changed,))
        tampered.commit()
    assert follow("auditor.md", reader, server, {}) == 2


def test_the_guide_for_operators(server: Server, reader: Reader) -> None:
    (reader.folder / "build.log").write_text("owner: ann@example.com\n")
    (reader.folder / "said.py").write_text("def answer(job):\n    return 'read me first'\n")
    agent = key_of(server, "reading", "agent")
    withheld = [server.submit(READING, key=agent).json["job_id"] for _ in range(2)]
    reader.type(
        "FORESTALL_WORKER_TOKEN=$(forestall workers create said --topic 'job.demo.*' 2>/dev/null)"
        " forestall worker run said:answer --id said --max-jobs 2"
    )

    def made_key() -> str:
        return next(row for row in reader.printed if "ci-agent (" in row).rpartition("id ")[2]

    swaps = {
        "KEY-ID": made_key,
        "release JOB-ID": lambda: f"release {withheld[0]}",
        "confirm JOB-ID": lambda: f"confirm {withheld[1]}",
        "show JOB-ID": lambda: f"show {withheld[0]}",
        # A stopped server's directory, and a key that is longer than the server's.
        "--tenant acme --data-dir forestall-data": lambda: "--tenant acme --data-dir backup",
    }
    assert follow("operator.md", reader, server, swaps) == 20
    for name in ("forestall-data", "backup"):
        page = (GUIDES / "operator.md").read_text(encoding="utf-8")
        files = {path.name for path in (reader.folder / name).iterdir()}
        assert not [file for file in files if f"`{file}`" not in page], f"files of {name}"


def test_the_guide_for_identities(server: Server, reader: Reader) -> None:
    assert follow("identities.md", reader, server, {}) == 15


def test_the_guide_for_workers(server: Server, reader: Reader) -> None:
    page = (GUIDES / "worker.md").read_text(encoding="utf-8")
    (code,) = [text for info, text in fenced_blocks(page) if "async def send" in text]
    (reader.folder / "mail.py").write_text(code)
    leased: dict[str, Any] = {}

    def token() -> str:
        return reader.type(
            "forestall workers create mailer --topic 'job.demo.*' 2>/dev/null"
        ).strip()

    def submitted(rest: str) -> Callable[[], str]:
        def submit() -> str:
            server.submit({**READING, "prompt": "a@b.c"})
            return rest

        return submit

    def leased_field(name: str) -> Callable[[], str]:
        def field() -> str:
            answer = next(row for row in reversed(reader.printed) if row.startswith('{"jobs"'))
            leased.update(json.loads(answer)["jobs"][0])
            return f'"{name}":"{leased[name]}"'

        return field

    swaps: dict[str, Callable[[], str]] = {
        "fk_…": token,
        "worker run mail:send": submitted("worker run mail:send --max-jobs 1"),
        "$W/lease": submitted("$W/lease"),
        '"job_id":"…"': leased_field("job_id"),
        '"lease_id":"…"': leased_field("lease_id"),
        "JOB-ID": lambda: str(leased["job_id"]),
        '"wait_ms":10000': lambda: '"wait_ms":1000',
        '"topics":["job.mail.*"],"capabilities":["smtp"]': lambda: '"topics":["job.demo.*"]',
    }
    assert follow("worker.md", reader, server, swaps) == 10


def test_what_is_not_typed_is_on_a_page() -> None:
    lines = [
        line
        for page in GUIDES.glob("*.md")
        for info, block in fenced_blocks(page.read_text(encoding="utf-8"))
        if info == "console"
        for line, _ in shown_commands(block)
    ]
    unused = [part for part in NOT_TYPED if not any(line.startswith(part) for line in lines)]
    assert not unused
