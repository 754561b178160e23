"""A hostile text in every field that a client can set; then every command that lists or shows.

The list of fields is made from the Structs of the wire, so a new field is planted by itself. The
commands run in process, against the door; between them stands a client that opens no socket.
"""

import ast
import json
import re
import sys
import types
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import msgspec
import pytest
from click.testing import CliRunner, Result

import forestall.cli
from forestall.cli import keys as keys_command
from forestall.cli import options
from forestall.cli.main import cli
from forestall.cli.output import fail
from forestall.client.plane import PlaneClient
from forestall.errors import ForestallError
from forestall.identity.roles import Role
from forestall.server.api import ENDPOINTS
from tests.asgi import POLICY, Door, opened
from tests.unit.test_visible import ATTACKS
from tests.workers_under_test import Worker

# What the reader of JSON refuses everywhere is left out, and the text is short enough for a name.
REFUSED = ("half a pair", "nul and delete", "a stack of marks")
EVIL = "".join(text for name, text in ATTACKS.items() if name not in REFUSED)
EVIL += "\x7f\nAPPROVED  all is well"
SECRET = "ghp_" + "Zq3vN8rT1xK5mB7wY2cD4fG6hJ9kL0pSaUeI"
OUTPUT = """
output_rules:
  - {id: stop, decision: quarantine, reason: "no", match: {detectors: [secret]}}
"""
HELD = {
    "topic": "job.deploy.apply",
    "prompt": "go",
    "capability": "infra.write",
    "labels": {"env": "prod"},
}
# A body that the endpoint takes, into which one field at a time is planted.
BASES: dict[str, dict[str, Any]] = {
    "SubmissionBody": {"topic": "job.demo.read", "prompt": "status"},
    "NewKeyBody": {"name": "n", "role": "viewer"},
    "CredentialBody": {"worker_id": "other", "allowed_topics": ["job.*"]},
    "TopicBody": {"name": "job.demo.read"},
    "SchemaBody": {"id": "s", "schema": {"type": "object"}},
    "WebhookBody": {"name": "h", "url": "https://example.org/hook"},
    "ReleaseBody": {"reason": "r"},
    "ConfirmBody": {"reason": "r"},
    "OpenLinkBody": {"token": "t"},
}


def planted(struct: type[msgspec.Struct]) -> Iterator[dict[str, Any]]:
    """Bodies of this Struct, each with the text in one of its fields, and in one inside that."""
    for field in msgspec.structs.fields(struct):
        for value in values(field.type):
            yield {field.encode_name: value}


def values(kind: Any) -> Iterator[Any]:
    """Values of this type that hold the text."""
    if get_origin(kind) in (Union, types.UnionType):
        for one in get_args(kind):
            yield from values(one)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from planted(kind)
    elif get_origin(kind) is list:
        yield from ([value] for value in values(get_args(kind)[0]))
    elif get_origin(kind) is dict:
        yield {EVIL: EVIL}
    elif kind in (str, Any):
        yield EVIL
        if kind is Any:
            yield {EVIL: [EVIL, {"x": EVIL}]}
    else:
        yield EVIL  # of the wrong type: the refusal quotes it, or does not


class Planted:
    """A plane in which every field that takes the text has it."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.agent = door.key(Role.AGENT, name="agent")
        self.jobs: list[str] = []
        self.refusals: list[dict[str, Any]] = []
        self.workers = 0
        self._withhold()
        # Topics come last: once one is registered, no other is taken.
        for endpoint in sorted(ENDPOINTS, key=lambda one: one.path.endswith("/topics")):
            if endpoint.request is not None:
                for body in planted(endpoint.request):
                    self._plant(endpoint.method, endpoint.path, endpoint.request, body)

    def _plant(
        self, method: str, path: str, struct: type[msgspec.Struct], body: dict[str, Any]
    ) -> None:
        base = BASES.get(struct.__name__, {})
        if struct.__name__ == "SubmissionBody":
            for submission in (base, HELD, {"topic": "job.mail.send", "prompt": "x"}):
                self._submit(path, {**submission, **body})
            return
        target, key = path, self.door.admin
        if "{job_id}" in path:
            held = self.door.submit(HELD, key=self.agent).json["job_id"]
            self.jobs.append(held)
            target = path.replace("{job_id}", held)
        if "WORK" in str(struct.__module__).upper() and struct.__name__ != "CredentialBody":
            worker, leased = self._leased()
            key = worker.token
            base = {"lease_id": leased["lease_id"], "status": "failed"} | (
                {"job_id": leased["job_id"]} if struct.__name__ == "BeatBody" else {}
            )
            names = {field.encode_name for field in msgspec.structs.fields(struct)}
            base = {name: value for name, value in base.items() if name in names}
            target = path.replace("{job_id}", leased["job_id"]).replace("{worker_id}", worker.name)
        reply = self.door.ask(method, target, {**base, **body}, key=key)
        self._note(reply.json if reply.body else {})

    def _submit(self, path: str, body: dict[str, Any]) -> None:
        reply = self.door.ask("POST", path, body, key=self.agent)
        self._note(reply.json)
        if "job_id" in reply.json and path.endswith("/jobs"):
            self.jobs.append(reply.json["job_id"])

    def _note(self, answer: dict[str, Any]) -> None:
        assert answer.get("status") != 500, answer
        if "error" in answer:
            self.refusals.append(answer)

    def _leased(self) -> tuple[Worker, dict[str, Any]]:
        self.jobs.append(self.door.submit(BASES["SubmissionBody"]).json["job_id"])
        self.workers += 1
        worker = Worker(self.door, f"w{self.workers}")
        return worker, worker.lease(limit=1)[0]

    def _withhold(self) -> None:
        worker, leased = self._leased()
        worker.answer(leased, result={EVIL: f"{EVIL} {SECRET}"})
        self.withheld = leased["job_id"]
        worker, leased = self._leased()
        worker.beat(leased, progress=EVIL)


class _InProcess(PlaneClient):
    """A client whose requests are carried to the door by a call."""

    def __init__(self, door: Door) -> None:
        super().__init__("http://door", door.admin)
        self._door = door

    def request(self, request: Any, *, body_bytes_max: int) -> Any:
        """See `HttpClient.request`."""
        headers = {"content-type": "application/json"} | dict(request.headers)
        return self._door.ask(request.method, request.target, request.body, headers=headers)

    def _client(self) -> Any:
        return self


@pytest.fixture(scope="module")
def plane() -> Iterator[Planted]:
    with opened(policy=POLICY + OUTPUT) as door:
        yield Planted(door)


@pytest.fixture
def run(plane: Planted, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    def client_for(url: str, api_key: str, tenant: str) -> PlaneClient:
        return _InProcess(plane.door)

    monkeypatch.setattr(options, "client_for", client_for)
    monkeypatch.setattr(keys_command, "client_for", client_for)
    monkeypatch.setattr("forestall.cli.simulate.client_for", client_for)

    def call(*words: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["forestall", *words])
        result = CliRunner().invoke(cli, words, standalone_mode=False)
        if isinstance(result.exception, ForestallError):
            return result
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            words,
            result.exc_info,
        )
        return result

    return call


LISTS = [
    ("jobs", "list", "--limit", "500"),
    ("approvals", "list", "--status", "all", "--limit", "500"),
    ("approvals", "stats", "--by", "agent"),
    ("approvals", "stats", "--by", "rule"),
    ("approvals", "stats", "--by", "topic"),
    ("approvals", "stats", "--by", "approver"),
    ("dlq", "list", "--limit", "500"),
    ("quarantine", "list", "--all"),
    ("keys", "list"),
    ("keys", "list", "--all"),
    ("workers", "list"),
    ("simulate", "--topic", EVIL, "--prompt", EVIL),
    ("explain", "--topic", "job.exec.x", "--prompt", EVIL, "--label", f"command_class={EVIL}"),
    ("jobs", "submit", "--topic", "job.mail.x", "--prompt", EVIL),
    ("jobs", "get", "x\u202e\x1b[2J"),
]


@pytest.mark.parametrize("words", LISTS, ids=lambda words: " ".join(words[:2]))
def test_no_list_passes_the_text_on(
    run: Callable[..., Result], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert_harmless(run(*words).output)
    result = run(*words, "--json")
    assert_harmless(result.output)
    if not isinstance(result.exception, ForestallError):
        json.loads(result.stdout)


@pytest.mark.parametrize("group", ["jobs get", "approvals show", "jobs wait", "approvals repair"])
def test_no_command_that_shows_one_passes_the_text_on(
    run: Callable[..., Result], plane: Planted, group: str
) -> None:
    more = ["--timeout", "0"] if group == "jobs wait" else []
    seen = 0
    for job_id in plane.jobs:
        for as_json in ([], ["--json"]):
            result = run(*group.split(), job_id, *more, *as_json)
            assert_harmless(result.output)
            seen += "<U+001B>" in result.output or "\\u001b" in result.output
    assert seen or group == "approvals repair"


def test_a_withheld_result_is_shown_harmlessly(run: Callable[..., Result], plane: Planted) -> None:
    for as_json in ([], ["--json"]):
        assert_harmless(run("quarantine", "show", plane.withheld, *as_json).output)


def test_no_refusal_passes_the_text_on(
    plane: Planted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from forestall.client.plane import PlaneRefusedError

    assert plane.refusals
    for arguments in (["forestall"], ["forestall", "--json"]):
        monkeypatch.setattr(sys, "argv", arguments)
        for refusal in plane.refusals:
            fail(PlaneRefusedError(refusal["status"], refusal))
            assert_harmless(capsys.readouterr().err)


def test_one_module_of_the_command_line_prints() -> None:
    """No other can forget to make a text visible: no other has a way to the terminal."""
    folder = Path(forestall.cli.__file__).parent
    for path in sorted(folder.glob("*.py")):
        if path.name == "output.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert name not in ("click.echo", "click.secho", "print"), f"{path.name}:{node}"
            assert not name.startswith(("sys.stdout.write", "sys.stderr.write")), path.name
            assert "stdout.buffer" not in name, path.name


def assert_harmless(output: str) -> None:
    for char in output.replace("\n", ""):
        assert char == " " or unicodedata.category(char)[0] in "LMNPS", hex(ord(char))
        assert char not in "\u115f\u1160\u3164\uffa0\u2800\ufe0f\ufe00\U000e0100\u034f\u180b"
    assert not any(line.startswith("APPROVED") for line in output.split("\n"))
    assert not re.search(r"\bNone\b", output), "a value that is not there is left out"
