"""No secret stands in a log, an error, a record, a metric or a traceback of the plane.

Every credential of every kind is a canary. Each is used well, used wrongly and put where it does
not belong, also while the store fails in a way that nobody foresaw; then everything that the plane
wrote or showed beside the one answer that gives the secret out is searched.
"""

import io
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import generate_latest

from forestall.control.keys import authenticate
from forestall.control.webhooks import make_link
from forestall.errors import UnauthorizedError
from forestall.identity.credentials import key_hash
from forestall.identity.roles import Role
from forestall.jobs.webhook import ApprovalLink
from forestall.server.api import ENDPOINTS
from tests.asgi import Door, FailingStore, assert_coded
from tests.http_samples import HELD_JOB, Reply
from tests.workers_under_test import Worker

KEYS = "/api/v1/auth/keys"


class Watched:
    """A door, its secrets by kind, and all that it wrote or showed."""

    def __init__(self, store: FailingStore) -> None:
        self.store = store
        self.door = Door(store)
        self.text = io.StringIO()
        self.handler = logging.StreamHandler(self.text)
        # As a careless operator would set it: everything, with tracebacks.
        logging.getLogger().addHandler(self.handler)
        self.level = logging.getLogger().level
        logging.getLogger().setLevel(logging.DEBUG)
        door = self.door
        made = door.ask("POST", KEYS, {"name": "ci", "role": "agent"})
        hook = {"name": "hook", "url": "https://h.example.com/kestrel"}
        tenant = door.ask("POST", "/api/v1/tenants", {"name": "acme"})
        job_id = door.submit(HELD_JOB, key=made.json["secret"]).json["job_id"]
        expires_at_us = door.clock.at_us + 60_000_000
        self.secrets = {
            "admin": door.admin,
            "agent": made.json["secret"],
            "worker": Worker(door, "w1").token,
            "tenant": tenant.json["secret"],
            "webhook": door.ask("POST", "/api/v1/webhooks", hook).json["secret"],
        }
        link = ApprovalLink(job_id=job_id, webhook="hook", expires_at_us=expires_at_us)
        self.secrets["link"] = door.run(make_link(door.plane, "default", link))
        self.shown: list[bytes] = []

    def ask(self, *args: Any, **more: Any) -> Reply:
        """One request, whose answer must hold no secret."""
        reply = self.door.ask(*args, **more)
        self.shown.append(reply.body)
        return reply

    def all_text(self) -> str:
        """Everything written or shown."""
        records = b"".join(link.record for link in self.door.links())
        metrics = generate_latest(self.door.metrics.registry)
        seen = b"".join(self.shown) + records + metrics
        return seen.decode() + self.text.getvalue()

    def close(self) -> None:
        """Give the log back."""
        logging.getLogger().removeHandler(self.handler)
        logging.getLogger().setLevel(self.level)
        self.door.runner.close()


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched(FailingStore())
    yield made
    made.close()


def _wrong(secret: str) -> str:
    return secret[:-1] + ("0" if secret[-1] != "0" else "1")


def test_no_secret_is_in_anything_that_is_written_or_shown(watched: Watched) -> None:
    """Every endpoint, with each key right and wrong; a hash of a key is as secret as a key is."""
    for endpoint in ENDPOINTS:
        if endpoint.streams:
            continue
        for secret in watched.secrets.values():
            for key in (secret, _wrong(secret)):
                watched.ask(endpoint.method, endpoint.path, {}, key=key)
    watched.ask("POST", "/api/v1/approvals/open", {"token": _wrong(watched.secrets["link"])})
    text = watched.all_text()
    for kind, secret in watched.secrets.items():
        for form in (secret, secret[4:-1], key_hash(secret)):
            assert form not in text, kind


def test_a_failure_that_nobody_foresaw_logs_a_traceback_without_a_secret(
    watched: Watched,
) -> None:
    """The values of a frame are in no traceback: only lines of the source are."""
    watched.store.failure = RuntimeError("disk on fire")
    for name in ("agent", "admin"):
        secret = watched.secrets[name]
        reply = watched.ask("POST", "/api/v1/jobs", HELD_JOB | {"prompt": name}, key=secret)
        if name == "agent":
            body = assert_coded(reply, 500, "internal_error")
            assert "fire" not in body["message"]
    watched.ask("POST", KEYS, {"name": "next", "role": "agent"}, key=watched.secrets["admin"])
    text = watched.all_text()
    assert "RuntimeError: disk on fire" in text
    assert "Traceback" in text
    for kind, secret in watched.secrets.items():
        assert secret not in text, kind
        assert key_hash(secret) not in text, kind


@pytest.mark.parametrize("role", [Role.ADMIN, Role.AGENT])
def test_an_error_says_nothing_of_the_key_that_was_sent(watched: Watched, role: Role) -> None:
    """Also the exception itself, with its causes, as a debugger or reporter would print it."""
    secret = watched.secrets[role.value]
    for text in (_wrong(secret), secret + "x", f'"{secret}', secret * 2, secret[:-1]):
        try:
            authenticate(watched.door.plane, text)
        except UnauthorizedError as error:
            said = "".join(traceback.format_exception(error)) + repr(error) + str(error.details)
            assert text not in said
            assert secret[4:-1] not in said
        else:
            raise AssertionError("a wrong key was taken")
