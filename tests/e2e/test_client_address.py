"""No header that a client sends changes the address that the limit on bad keys counts.

A real server over real sockets: what is tested is the whole path from the socket to the limit.
"""

import http.client
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from forestall.limits import AUTH_FAILURES_BURST, AUTH_FAILURES_PER_SECOND
from tests.e2e.harness import Server, serving

JOBS = "/api/v1/jobs"
BAD_KEYS = 2 * AUTH_FAILURES_BURST


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """A server whose limits nobody has used yet.

    The variable is the one by which the HTTP library would trust everybody's forwarding headers.
    """
    with serving(tmp_path / "data", env={"FORWARDED_ALLOW_IPS": "*"}) as server:
        yield server


def _addresses(number: int) -> dict[str, str]:
    address = f"198.51.{number // 256}.{number % 256}"
    return {
        "X-Forwarded-For": f"{address}, 203.0.113.9",
        "Forwarded": f"for={address};proto=https",
        "X-Real-IP": address,
        "True-Client-IP": address,
        "CF-Connecting-IP": address,
        "X-Client-IP": address,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": f"host-{number}.example",
    }


def _upgrade(number: int) -> dict[str, str]:
    """A WebSocket handshake whose key is in the sub-protocol."""
    return {
        **_addresses(number),
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "X-API-Key": f"fk_bad_{number:032}",
    }


@pytest.mark.parametrize(
    ("path", "headers"),
    [(JOBS, _addresses), ("/api/v1/stream", _upgrade)],
    ids=["request", "websocket"],
)
def test_bad_keys_under_many_claimed_addresses_meet_the_limit(
    fresh: Server, path: str, headers: Callable[[int], Mapping[str, str]]
) -> None:
    """The address is that of the socket, whatever the request says of where it came from."""
    key = {"X-API-Key": "fk_bad_0123456789abcdef0123456789abcdef"}
    began = time.monotonic()
    statuses = [_status(fresh, path, {**key, **headers(number)}) for number in range(BAD_KEYS)]
    refilled = AUTH_FAILURES_PER_SECOND * (time.monotonic() - began)
    assert set(statuses) <= {401, 429}, statuses
    assert statuses[:AUTH_FAILURES_BURST] == [401] * AUTH_FAILURES_BURST
    assert statuses.count(401) <= AUTH_FAILURES_BURST + refilled + 1
    assert fresh.metric('forestall_rate_limited_total{scope="address"}') == statuses.count(429)
    assert fresh.ask("GET", JOBS).status == 200, "a good key from that address still works"


def test_two_host_headers_are_refused(fresh: Server) -> None:
    """RFC 9112, 3.2: the check of a page's origin must not depend on which of them is read."""
    request = f"GET {JOBS} HTTP/1.1\r\nHost: a\r\nHost: b\r\nX-API-Key: {fresh.key}\r\n"
    with socket.create_connection(("127.0.0.1", fresh.port), timeout=10) as connection:
        connection.sendall(f"{request}Connection: close\r\n\r\n".encode())
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 400"), answer


def _status(server: Server, path: str, headers: Mapping[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path, headers=dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()
