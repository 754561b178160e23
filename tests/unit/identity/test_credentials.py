"""API keys: made once, stored as a hash, compared in constant time, refused when they ended."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from forestall.errors import InvalidRequestError
from forestall.identity.credentials import (
    CALLER_PREFIX,
    KEY_SCHEME,
    ApiKey,
    Subject,
    WorkerGrant,
    caller_name,
    holder_name,
    key_hash,
    key_matches,
    key_text,
    require_name,
    require_strong_key,
)
from forestall.identity.roles import PERMISSIONS, PLATFORM_PERMISSIONS, Permission, Role


def a_key(text: str = "fk_secret", **fields: Any) -> ApiKey:
    return ApiKey(
        id="key-1",
        tenant="acme",
        name="ci",
        role=Role.AGENT,
        principal="agents/ci",
        prefix=text[:11],
        hash=key_hash(text),
        created_at_us=1,
        **fields,
    )


def a_subject(role: Role = Role.AGENT, **fields: Any) -> Subject:
    made: dict[str, Any] = {"tenant": "acme", "principal": "agents/ci", "key_id": "key-1"}
    return Subject(role=role, **{**made, **fields})


def test_a_key_carries_every_random_bit_and_is_stored_as_a_hash() -> None:
    text = key_text(bytes(range(32)))
    assert text == KEY_SCHEME + bytes(range(32)).hex()
    assert text not in str(a_key(text))
    assert len(key_hash(text)) == 64


@given(st.text(max_size=80), st.text(max_size=80))
def test_only_the_same_text_matches(one: str, other: str) -> None:
    assert key_matches(a_key(one), other) is (one == other)


@pytest.mark.parametrize("place", range(0, 64, 9))
def test_every_character_of_the_hash_counts(place: int) -> None:
    key = a_key()
    other = "0" if key.hash[place] != "0" else "1"
    changed = replace(key, hash=key.hash[:place] + other + key.hash[place + 1 :])
    assert key_matches(key, "fk_secret")
    assert not key_matches(changed, "fk_secret")


@pytest.mark.parametrize(
    "near", ["fk_secret ", " fk_secret", "FK_secret", "fk_secre", "", "\ud800"]
)
def test_what_is_near_a_key_is_no_key(near: str) -> None:
    assert not key_matches(a_key(), near)


@pytest.mark.parametrize(
    ("fields", "now_us", "usable"),
    [
        ({}, 10**18, True),
        ({"expires_at_us": 5}, 4, True),
        ({"expires_at_us": 5}, 5, False),
        ({"revoked_at_us": 3}, 2, False),  # whatever the clock says: it was revoked
        ({"revoked_at_us": 3, "expires_at_us": 9}, 4, False),
    ],
)
def test_a_key_works_until_it_expires_or_is_revoked(
    fields: dict[str, Any], now_us: int, usable: bool
) -> None:
    assert a_key(**fields).usable(now_us) is usable


@pytest.mark.parametrize(
    "bad", ["short", "x" * 31, "x" * 5000, "é" * 40, "x" * 40 + " ", "a\nb" * 20]
)
def test_a_weak_bootstrap_key_is_refused(bad: str) -> None:
    with pytest.raises(InvalidRequestError):
        require_strong_key(bad)


def test_a_strong_bootstrap_key_is_taken_as_it_is() -> None:
    assert require_strong_key("x" * 32) == "x" * 32


@given(st.text(max_size=300))
def test_a_name_is_safe_in_a_log_line_and_a_url(text: str) -> None:
    try:
        name = require_name(text, "name")
    except InvalidRequestError:
        return
    allowed = set(string.ascii_letters + string.digits + "._@:/-")
    assert name == text
    assert set(name) <= allowed


def test_nobody_holds_jobs_under_the_name_of_a_worker_but_the_worker() -> None:
    grant = WorkerGrant(worker_id="w1", topics=("job.*",))
    assert holder_name(a_subject(Role.WORKER, worker=grant)) == "w1"
    assert holder_name(a_subject()) == caller_name("agents/ci") == CALLER_PREFIX + "agents/ci"


def test_roles_of_a_person_are_the_role_and_the_groups() -> None:
    assert a_subject(Role.APPROVER, groups=("security",)).roles == ("approver", "security")


def test_every_permission_is_some_roles_and_no_role_has_one_that_is_none() -> None:
    given_out = frozenset().union(*PERMISSIONS.values(), *PLATFORM_PERMISSIONS.values())
    assert given_out == frozenset(Permission)
    assert set(PERMISSIONS) == set(Role)


@pytest.mark.parametrize("permission", Permission)
def test_a_worker_and_an_agent_never_administrate(permission: Permission) -> None:
    if permission.value.endswith(".write") and permission is not Permission.JOBS_WRITE:
        assert not a_subject(Role.AGENT).may(permission)
        assert not a_subject(Role.WORKER).may(permission)
