"""What a list of API keys says: whose, until when, last used when, by whom made, in which state."""

from typing import Any

import pytest

from forestall.identity.roles import Role
from tests.asgi import Door, assert_coded

KEYS = "/api/v1/auth/keys"


def listed(door: Door, *, revoked_too: bool = False) -> dict[str, dict[str, Any]]:
    more = "?include_revoked=true" if revoked_too else ""
    return {item["name"]: item for item in door.ask("GET", KEYS + more).json["items"]}


def test_a_list_says_everything_of_a_key(door: Door) -> None:
    body = {"name": "ci", "role": "agent", "principal_id": "robot", "expiresAt": later(door, 3_600)}
    made = door.ask("POST", KEYS, body).json
    before = listed(door)["ci"]
    assert (before["state"], before["principal_id"]) == ("active", "robot")
    assert before["created_by"] == listed(door, revoked_too=True)[before["name"]]["created_by"]
    assert "last_used" not in before
    assert "lastUsed" not in before
    assert door.ask("GET", "/api/v1/jobs", key=made["secret"]).status == 200
    used = listed(door)["ci"]
    assert used["last_used"] == used["lastUsed"] > used["created_at"]
    door.clock.forward(4_000)
    assert door.ask("GET", "/api/v1/jobs", key=made["secret"]).status == 401
    ended = listed(door)["ci"]
    assert (ended["state"], ended["last_used"]) == ("expired", used["last_used"])
    assert door.ask("DELETE", f"{KEYS}/{made['key']['id']}").status == 204
    assert "ci" not in listed(door)
    assert listed(door, revoked_too=True)["ci"]["state"] == "revoked"
    assert listed(door, revoked_too=True)["ci"]["revoked_at"] > ended["last_used"]


def test_a_use_writes_nothing(door: Door) -> None:
    key = door.key(Role.VIEWER)
    before = door.trace()
    for _ in range(50):
        door.ask("GET", "/api/v1/jobs", key=key)
    assert door.trace() == before


def test_a_refused_key_was_not_used(door: Door) -> None:
    made = door.ask("POST", KEYS, {"name": "k", "role": "viewer"}).json
    door.ask("GET", "/api/v1/jobs", key=made["secret"][:-1] + "!")
    assert "last_used" not in listed(door)["k"]


def test_no_tenant_sees_the_uses_of_another(door: Door) -> None:
    other = door.key(Role.ADMIN, tenant="other", name="theirs")
    door.ask("GET", "/api/v1/jobs", key=other)
    for revoked_too in (False, True):
        assert "theirs" not in listed(door, revoked_too=revoked_too)


@pytest.mark.parametrize("body", [{}, {"role": None}, {"scopes": []}, {"scopes": None}])
def test_a_key_without_a_role_gets_the_least(door: Door, body: dict[str, Any]) -> None:
    """Published clients name no role. Such a key reads, and changes nothing."""
    made = door.ask("POST", KEYS, {"name": "plain", **body})
    assert (made.status, made.json["key"]["role"]) == (201, "viewer")
    key = made.json["secret"]
    assert door.ask("GET", "/api/v1/jobs", key=key).status == 200
    job = {"topic": "job.demo.read", "prompt": "x"}
    assert_coded(door.submit(job, key=key), 403)
    assert_coded(door.ask("GET", KEYS, key=key), 403)


@pytest.mark.parametrize(
    "body",
    [
        {"role": "root"},
        {"role": "Admin"},
        {"scopes": ["jobs:write"]},
        {"scopes": ["viewer", "admin"]},
        {"scopes": [""]},
        {"role": "worker"},
        {"role": 1},
    ],
)
def test_a_role_that_is_none_is_no_least_role(door: Door, body: dict[str, Any]) -> None:
    assert_coded(door.ask("POST", KEYS, {"name": "odd", **body}), 400)
    assert "odd" not in listed(door)


def later(door: Door, seconds: int) -> str:
    from forestall.wire.compat import iso_time

    return iso_time(door.clock.now_us() + seconds * 1_000_000)
