"""Rate limits at the door: who is refused, what the refusal says, what is never limited."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from forestall.identity.roles import Role
from forestall.limits import AUTH_FAILURES_BURST, AUTH_FAILURES_PER_SECOND
from forestall.server.banner import _warnings
from forestall.server.rates import Rates
from forestall.server.settings import SettingsError, read_settings
from tests.asgi import Door, assert_coded
from tests.http_samples import Reply

JOBS = "/api/v1/jobs"


@pytest.fixture
def door() -> Iterator[Door]:
    """One request a second and a burst of three for a key; five for a tenant."""
    door = Door(rates=Rates(per_key=3, per_tenant=5))
    try:
        yield door
    finally:
        door.runner.close()


def _until_refused(door: Door, key: str) -> tuple[int, Reply]:
    for count in range(20):
        reply = door.ask("GET", JOBS, key=key)
        if reply.status == 429:
            return count, reply
    raise AssertionError("never refused")


def test_a_key_is_refused_past_its_burst_and_told_when_to_come_back(door: Door) -> None:
    before = door.trace()
    count, reply = _until_refused(door, door.admin)
    assert count == 3
    body = assert_coded(reply, 429, "rate_limited")
    assert body["details"] == {"scope": "key"}
    assert reply.headers["retry-after"] == "1"
    assert reply.headers["ratelimit-policy"] == '"key";q=3;w=1, "tenant";q=5;w=1'
    assert reply.headers["ratelimit"] == '"key";r=0;t=1'
    assert door.counted("forestall_rate_limited_total", scope="key") == 1
    assert door.trace() == before


def test_many_keys_of_one_tenant_share_the_tenants_limit(door: Door) -> None:
    keys = [door.key(Role.VIEWER) for _ in range(4)]
    replies = [door.ask("GET", JOBS, key=key) for key in keys for _ in range(2)]
    assert [reply.status for reply in replies].count(200) == 5
    refused = next(reply for reply in replies if reply.status == 429)
    assert assert_coded(refused, 429, "rate_limited")["details"] == {"scope": "tenant"}
    assert door.counted("forestall_rate_limited_total", scope="tenant") == 3


def test_another_tenant_is_not_slowed(door: Door) -> None:
    other = door.key(Role.VIEWER, tenant="acme")
    for _ in range(3):
        _until_refused(door, door.admin)
    assert door.ask("GET", JOBS, key=other).status == 200


def test_a_request_that_may_not_be_made_is_counted_too(door: Door) -> None:
    """Nobody probes permissions faster than they may ask."""
    agent = door.key(Role.AGENT)
    statuses = [door.ask("GET", "/api/v1/auth/keys", key=agent).status for _ in range(5)]
    assert statuses == [403, 403, 403, 429, 429]


def test_probes_are_not_limited(door: Door) -> None:
    _until_refused(door, door.admin)
    assert {door.ask("GET", "/livez", key="").status for _ in range(50)} == {200}


def test_what_is_left_is_told_when_it_is_little(door: Door) -> None:
    replies = [door.ask("GET", JOBS) for _ in range(3)]
    assert "ratelimit" not in replies[0].headers
    assert replies[2].headers["ratelimit"] == '"key";r=0;t=1'


def test_no_limit_no_headers() -> None:
    door = Door(rates=Rates())
    replies = [door.ask("GET", JOBS) for _ in range(50)]
    assert {reply.status for reply in replies} == {200}
    assert not [reply for reply in replies if "ratelimit-policy" in reply.headers]
    door.runner.close()


def test_bad_keys_from_one_address_get_429_and_good_ones_still_work() -> None:
    """Behind a proxy all share one address: a stranger must not lock anybody out."""
    door = Door()
    client = ("192.0.2.7", 1)
    statuses = [
        door.ask("GET", JOBS, key="fk_bad", client=client).status
        for _ in range(AUTH_FAILURES_BURST + 50)
    ]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert door.ask("GET", JOBS, client=client).status == 200
    assert door.ask("GET", JOBS, key="fk_bad", client=("192.0.2.8", 1)).status == 401
    assert door.counted("forestall_rate_limited_total", scope="address") >= 1
    door.runner.close()


def _bad_keys_until_refused(door: Door, clients: Iterable[tuple[str, int] | None]) -> int:
    """How many bad keys were answered 401 before one of these clients got 429."""
    for count, client in enumerate(clients):
        if door.ask("GET", JOBS, key="fk_bad", client=client).status == 429:
            return count
    raise AssertionError("never refused")


def test_all_addresses_of_one_ipv6_network_are_one_address() -> None:
    """A client that has 2^64 addresses must not have 2^64 limits."""
    door = Door()
    clients = ((f"2001:db8:0:7:{n:x}::{n:x}", n) for n in range(5_000))
    assert _bad_keys_until_refused(door, clients) >= AUTH_FAILURES_BURST
    assert door.ask("GET", JOBS, key="fk_bad", client=("2001:db8:0:8::1", 1)).status == 401
    door.runner.close()


def test_an_ipv4_address_is_the_same_one_behind_an_ipv6_socket() -> None:
    door = Door()
    both = [("192.0.2.7", 1), ("::ffff:192.0.2.7", 1)]
    began = time.monotonic()
    count = _bad_keys_until_refused(door, both * 2_500)
    refilled = AUTH_FAILURES_PER_SECOND * (time.monotonic() - began)
    assert count <= AUTH_FAILURES_BURST + refilled + 1
    assert door.ask("GET", JOBS, key="fk_bad", client=("::ffff:192.0.2.8", 1)).status == 401
    door.runner.close()


def test_bad_keys_from_nowhere_are_counted_too() -> None:
    """A socket that has no address any more must not be a way around the limit."""
    door = Door()
    assert _bad_keys_until_refused(door, [None] * 5_000) >= AUTH_FAILURES_BURST
    door.runner.close()


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1e3", "1000001", "none", "99" * 3000, "٣"])
@pytest.mark.parametrize("name", ["rate_limit", "tenant_rate_limit"])
def test_a_limit_that_is_no_limit_stops_the_start(name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({name: text}, {}, tmp_path)
    assert f"`{name}` is 1 to 1000000 requests a second" in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "1e3", "99" * 3000, "٣", "ten"])
def test_a_wait_for_a_policy_file_is_a_number_of_seconds(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"policy_settle_seconds": text}, {}, tmp_path)
    assert "`policy_settle_seconds` is 1 to" in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("text", ["true", "YES", "1", "y" * 9_000])
def test_subdirectories_are_yes_or_no(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"policy_subdirectories": text}, {}, tmp_path)
    assert "`policy_subdirectories` is `yes`" in caught.value.message
    assert len(caught.value.message) < 200


def test_off_is_said_aloud_and_numbers_need_no_quotes(tmp_path: Path) -> None:
    (tmp_path / "forestall.toml").write_text("rate_limit = 50\n")
    assert read_settings({}, {}, tmp_path).rate_limit == 50
    settings = read_settings({"rate_limit": "off"}, {}, tmp_path)
    assert settings.rate_limit is None
    assert settings.tenant_rate_limit == 20_000
    assert "warning: an API key may make any number of requests (rate limit off)" in _warnings(
        settings
    )
