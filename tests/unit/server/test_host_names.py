"""A page whose own name leads to this machine (DNS rebinding), and pages of other sites."""

import pytest

from forestall.server.api import ENDPOINTS
from forestall.server.host_names import HostDeniedError, HostNames, OriginDeniedError
from forestall.server.http import Gateway
from forestall.server.settings import SettingsError, parse_public_names
from tests.asgi import Door, assert_coded, opened
from tests.http_samples import ALLOWED_JOB

JOBS = "/api/v1/jobs"
LOOPBACK = HostNames(is_loopback=True)
NAMED = HostNames(("plane.example.org", "10.1.2.3"), is_loopback=True)
OURS = [
    "localhost",
    "LOCALHOST:8081",
    "localhost.",
    "localhost.:8081",
    "127.0.0.1",
    "127.0.0.1:8081",
    "127.1.2.3:80",
    "[::1]",
    "[::1]:8081",
    "[0:0:0:0:0:0:0:1]:1",
]
FOREIGN = [
    "",
    " ",
    "evil.example",
    "evil.example:8081",
    "localhost.evil.example",
    "localhost.evil.example:8081",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "evil.example#localhost",
    "localhost@evil.example",
    "evil.example@localhost",
    "localhost/evil",
    "localhost,evil.example",
    "localhost evil.example",
    "localhost:8081:8081",
    "localhost:",
    "localhost:x",
    "localhost:123456",
    "localhost..",
    ".localhost",
    "localhost\t",
    "x",
    "127.1",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "0.0.0.0",
    "10.1.2.4",
    "192.168.0.1:8081",
    "[::]",
    "[fe80::1]",
    "[::ffff:10.0.0.1]",
    "::1",
    "[::1",
    "l\u043ecalhost",
    "plane.example.org.evil.example",
    "xplane.example.org",
]


@pytest.mark.parametrize("host", OURS)
def test_this_machine_is_ours_on_loopback(host: str) -> None:
    for names in (LOOPBACK, NAMED):
        names.require("POST", host.encode(), None)
        names.require("POST", host.encode(), None)  # remembered


@pytest.mark.parametrize("host", FOREIGN)
def test_any_other_name_is_refused_on_loopback(host: str) -> None:
    for names in (LOOPBACK, NAMED):
        for method in ("GET", "POST"):
            with pytest.raises(HostDeniedError):
                names.require(method, host.encode(), None)


@pytest.mark.parametrize("host", ["plane.example.org", "PLANE.example.org:443", "10.1.2.3:8081"])
def test_a_listed_name_is_ours(host: str) -> None:
    NAMED.require("POST", host.encode(), None)
    with pytest.raises(HostDeniedError):
        LOOPBACK.require("POST", host.encode(), None)


def test_on_the_network_names_count_where_some_are_listed() -> None:
    HostNames().require("POST", b"anything.example", None)
    listed = HostNames(("plane.example.org",))
    listed.require("POST", b"plane.example.org", None)
    with pytest.raises(HostDeniedError):
        listed.require("POST", b"anything.example", None)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://localhost:3000",
        "http://localhost",
        "file://",
        "chrome-extension://abc",
        "ftp://localhost:8081",
        "//localhost:8081",
        "localhost:8081",
        "http://localhost:8081@evil.example",
        "http://localhost:8081, https://evil.example",
        "https://plane.example.org.evil.example",
        "http://[::1",
    ],
)
def test_a_page_of_another_site_changes_nothing(origin: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "odd"):
        with pytest.raises(OriginDeniedError):
            NAMED.require(method, b"localhost:8081", origin.encode())
    NAMED.require("GET", b"localhost:8081", origin.encode())


@pytest.mark.parametrize("origin", ["http://localhost:8081", "https://plane.example.org"])
def test_a_page_of_ours_does(origin: str) -> None:
    NAMED.require("POST", b"localhost:8081", origin.encode())


def on_loopback(door: Door) -> Door:
    door.gateway = Gateway(door.plane, ENDPOINTS, door.metrics, None, LOOPBACK)
    return door


def test_the_refusal_says_what_to_do_and_stores_nothing() -> None:
    with opened() as door:
        on_loopback(door)
        before = door.trace()
        for host in FOREIGN:
            if not host.isascii():
                continue
            reply = door.submit(ALLOWED_JOB, headers={"Host": host})
            assert "public_names" in assert_coded(reply, 403, "host_denied")["error"]
        reply = door.submit(ALLOWED_JOB, headers={"Host": "localhost", "Origin": "null"})
        assert_coded(reply, 403, "origin_denied")
        assert door.trace() == before
        assert door.submit(ALLOWED_JOB, headers={"Host": "localhost"}).status == 200


def test_every_endpoint_with_a_permission_asks_for_the_name() -> None:
    """Probes may use any name, since they tell nothing; whatever needs a key may not."""
    with opened() as door:
        on_loopback(door)
        for endpoint in ENDPOINTS:
            path = endpoint.path.replace("{", "").replace("}", "")
            reply = door.ask(endpoint.method, path, headers={"Host": "evil.example"})
            if endpoint.permission is None:
                assert reply.status == 200, path
            else:
                assert_coded(reply, 403, "host_denied")
        assert_coded(door.ask("GET", "/nowhere", headers={"Host": "evil.example"}), 403)
        assert_coded(door.ask("GET", "/nowhere", headers={"Host": "localhost"}), 404)
        assert_coded(door.ask("PUT", JOBS, headers={"Host": "evil.example"}), 403)


def test_names_are_read_strictly() -> None:
    assert parse_public_names("") == ()
    assert parse_public_names("A.example, b ,[::1]") == ("a.example", "b", "[::1]")
    for text in (",", "https://a", "a:80", "a b", "*", "*.example", "a,,b", "a" * 300, "é", "-a"):
        with pytest.raises(SettingsError):
            parse_public_names(text)
    with pytest.raises(SettingsError):
        parse_public_names(",".join("a" for _ in range(100)))
