"""`forestall tenants` and a viewer's `jobs get`, against the door in process."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from forestall.cli import options
from forestall.cli.main import cli
from forestall.client.plane import PlaneRefusedError
from forestall.identity.roles import Role
from tests.asgi import Door, opened
from tests.http_samples import ALLOWED_JOB
from tests.unit.cli.test_planted_texts import _InProcess

Run = Callable[..., Result]


@pytest.fixture
def door() -> Iterator[Door]:
    with opened() as one:
        yield one


@pytest.fixture
def run(door: Door, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command with the admin's key, or another one."""

    def call(*words: str, key: str = "") -> Result:
        client = _WithKey(door, key or door.admin)
        monkeypatch.setattr(options, "client_for", lambda url, api_key, tenant: client)
        return CliRunner().invoke(cli, words, standalone_mode=False)

    return call


class _WithKey(_InProcess):
    """A client with one key."""

    def __init__(self, door: Door, key: str) -> None:
        super().__init__(door)
        self._key = key

    def request(self, request: Any, *, body_bytes_max: int) -> Any:
        """See `HttpClient.request`."""
        headers = {name.lower(): value for name, value in dict(request.headers).items()}
        headers["x-api-key"] = self._key
        return self._door.ask(request.method, request.target, request.body, headers=headers)


def test_a_tenant_from_its_making_to_its_suspension_and_back(door: Door, run: Run) -> None:
    """The key alone is on standard output, so that `KEY=$(…)` works."""
    made = run("tenants", "create", "acme", "--admin", "ada", "--description", "the second house")
    assert made.exception is None, made.exception
    key = made.stdout.strip()
    assert key.startswith("fk_")
    assert "\n" not in key
    assert door.ask("GET", "/api/v1/jobs", key=key).status == 200
    assert "acme" in run("tenants", "list").output
    shown = run("tenants", "show", "acme").output
    assert "acme  active" in shown
    assert "the second house" in shown
    suspended = run("tenants", "suspend", "acme", "--reason", "an incident").output
    assert suspended.strip() == "acme is suspended"
    assert door.ask("GET", "/api/v1/jobs", key=key).json["code"] == "tenant_suspended"
    assert "an incident" in run("tenants", "show", "acme").output
    assert run("tenants", "resume", "acme").output.strip() == "acme is active"
    assert door.ask("GET", "/api/v1/jobs", key=key).status == 200
    items = json.loads(run("tenants", "list", "--json").output)
    assert "acme" in json.dumps(items)
    refused = run("tenants", "list", key=key).exception
    assert isinstance(refused, PlaneRefusedError)
    assert refused.body["code"] == "forbidden"


def test_a_viewer_is_told_that_the_payload_is_not_shown(door: Door, run: Run) -> None:
    job_id = door.submit({**ALLOWED_JOB, "labels": {"team": "blue"}}).json["job_id"]
    viewer = door.key(Role.VIEWER)
    shown = run("jobs", "get", job_id, key=viewer).output
    assert "not shown: the key has no `payloads.read`" in shown
    assert "blue" not in shown
    assert "label           team=blue" in run("jobs", "get", job_id).output
