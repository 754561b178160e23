"""Hostile bytes on real sockets: a coded answer or a closed connection, and a server that lives.

What needs no socket is in tests/unit/server/test_bad_input.py and test_bad_transport.py.
"""

import contextlib
import json
import os
import random
import socket
from collections.abc import Callable

import pytest

from tests.e2e.harness import Server, parse_reply, poll, received
from tests.http_samples import ALLOWED_JOB, Reply

pytestmark = pytest.mark.e2e
GOOD = json.dumps(ALLOWED_JOB).encode()
MIB = 1024 * 1024


def post(server: Server, *headers: str, body: bytes = b"", path: str = "/api/v1/jobs") -> bytes:
    """A raw POST with our key; the caller says how its length is told."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"X-API-Key: {server.key}", *headers]
    if not any(line.lower().startswith("content-type") for line in headers):
        lines.append("Content-Type: application/json")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(*pieces: bytes) -> bytes:
    """A body in the chunked coding, with its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


def first_answer(server: Server, data: bytes) -> Reply:
    """Send and read on one connection until the first answer is whole."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        raw = b""
        for part in received(connection):
            raw += part
            head, _, body = raw.partition(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
            if length and len(body) >= int(length[0].partition(b":")[2]):
                break
        return parse_reply(raw)


@pytest.fixture
def unharmed(server: Server) -> Callable[[], None]:
    """Call it after the attack: no job more, the server alive and still deciding."""
    before = server.job_ids()

    def check() -> None:
        assert server.alive
        assert server.job_ids() == before
        rehearsed = server.ask("POST", "/api/v1/policy/simulate", ALLOWED_JOB)
        assert rehearsed.json["decision"] == "ALLOW"

    return check


BODIES = {
    "cut": (b'{"topic":', 400, "invalid_json"),
    "a million brackets": (b"[" * MIB + b"]" * MIB, 400, "invalid_json"),
    "raw NUL": (b'{"topic":"job.demo.read","prompt":"\x00"}', 400, "invalid_json"),
    "half surrogate": (b'{"topic":"job.demo.read","prompt":"\\ud800"}', 400, "invalid_json"),
    "key twice": (GOOD[:-1] + b',"prompt":"y"}', 400, "invalid_json"),
    "10^400": (GOOD[:-1] + b',"x":1' + b"0" * 400 + b"}", 400, "invalid_json"),
    "not UTF-8": (b"\xff\xfe\xfd", 400, "invalid_json"),
    "reserved label": (
        GOOD[:-1] + b',"meta":{"labels":{"Approval_Granted":"true"}}}',
        400,
        "reserved_label",
    ),
    "unknown priority": (GOOD[:-1] + b',"priority":"now"}', 400, "invalid_request"),
    "3 MiB": (GOOD.ljust(3 * MIB), 413, "tier_limit_exceeded"),
}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    BODIES.values(),
    ids=BODIES.keys(),
)
def test_a_bad_body_gets_its_code_over_the_wire(
    server: Server, unharmed: Callable[[], None], body: bytes, status: int, code: str
) -> None:
    """With a length, and in chunks of any size: the same coded answer."""
    whole = first_answer(server, post(server, f"Content-Length: {len(body)}", body=body))
    step = max(1, len(body) // 7)
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    parts = first_answer(server, post(server, "Transfer-Encoding: chunked", body=chunked(*pieces)))
    for reply in (whole, parts):
        assert (reply.status, reply.json["code"]) == (status, code)
        assert reply.json["request_id"] == reply.headers["x-request-id"]
    unharmed()


def test_a_promised_3_mib_is_refused_before_it_comes(
    server: Server, unharmed: Callable[[], None]
) -> None:
    """The length alone is enough."""
    reply = first_answer(server, post(server, f"Content-Length: {3 * MIB}"))
    assert (reply.status, reply.json["code"]) == (413, "tier_limit_exceeded")
    unharmed()


def test_a_length_that_is_too_short_does_not_smuggle(
    server: Server, unharmed: Callable[[], None]
) -> None:
    """What follows a body that is cut off by its length is not taken for its rest."""
    raw = server.raw(post(server, "Content-Length: 9", body=GOOD), shut=True)
    assert parse_reply(raw).status == 400
    assert b" 200 " not in raw
    unharmed()


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: -1",),
        ("Content-Length: abc",),
        ("Content-Length: 1e3",),
        ("Content-Length: " + "9" * 30,),
        ("Content-Length: " + "9" * 5_000,),
        (f"Content-Length: {len(GOOD)}", "Content-Length: 5"),
        (f"Content-Length: {len(GOOD)}", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip, identity",),
        ("Bad Header Name: x",),
        ("X-Nul: a\x00b",),
        (": empty",),
    ],
    ids=lambda headers: " + ".join(headers)[:50].encode("unicode_escape").decode(),
)
def test_ambiguous_framing_is_refused(
    server: Server, unharmed: Callable[[], None], headers: tuple[str, ...]
) -> None:
    """Request smuggling begins with two readers of one length: 4xx or closed, no job."""
    raw = server.raw(post(server, *headers, body=GOOD), shut=True)
    assert not raw or 400 <= parse_reply(raw).status < 500
    unharmed()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /api/v1/jobs?topic=\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_not_http_harms_nobody(
    server: Server, unharmed: Callable[[], None], data: bytes
) -> None:
    """Closed or answered, never a stack trace on the wire."""
    raw = server.raw(data, shut=True)
    assert b"Traceback" not in raw
    assert not raw or raw.startswith(b"HTTP/1.1 ")
    assert not raw or parse_reply(raw).status < 500
    unharmed()


def test_random_bytes_harm_nobody(server: Server, unharmed: Callable[[], None]) -> None:
    """A seed is printed, so that a failure can be repeated."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(60):
        good = bytearray(post(server, f"Content-Length: {len(GOOD)}", body=GOOD[:-1] + b" "))
        for _ in range(chance.randrange(1, 9)):
            good[chance.randrange(len(good))] = chance.randrange(256)
        raw = server.raw(bytes(good), shut=True)
        assert not raw or parse_reply(raw).status < 500, bytes(good)
    unharmed()


def test_a_client_that_goes_away_in_the_middle_leaves_nothing(
    server: Server, unharmed: Callable[[], None]
) -> None:
    """Cut in the head, in the body and in a chunk; with a reset as well."""
    whole = post(server, f"Content-Length: {len(GOOD)}", body=GOOD)
    in_chunks = post(server, "Transfer-Encoding: chunked", body=chunked(GOOD[:9], GOOD[9:]))
    for data in (whole[:30], whole[:-1], whole[: -len(GOOD)], in_chunks[:-5], in_chunks[:-20]):
        server.raw(data, shut=True)
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(data)
            reset = (1).to_bytes(4, "little") + bytes(4)  # linger 0: close sends RST
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    unharmed()


def test_a_body_that_drips_is_taken_when_it_ends(server: Server) -> None:
    """Slow is not wrong: byte by byte on the wire gives the ordinary answer."""
    data = post(server, f"Content-Length: {len(GOOD)}", "Connection: close", body=GOOD)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            connection.sendall(bytes([byte]))
        reply = parse_reply(b"".join(received(connection)))
    assert (reply.status, reply.json["decision"]) == (200, "ALLOW")


@pytest.mark.parametrize(
    "bomb",
    [
        b"X-A: " + b"a" * 8 * MIB + b"\r\n",
        b"".join(b"X-%d: %b\r\n" % (n, b"a" * 100) for n in range(50_000)),
    ],
    ids=["one header of 8 MiB", "50,000 headers"],
)
def test_a_header_bomb_is_refused(
    server: Server, unharmed: Callable[[], None], bomb: bytes
) -> None:
    """Nobody has proven who he is while we read headers, so they are bounded like bodies."""
    raw = server.raw(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + bomb + b"\r\n")
    unharmed()
    assert not raw or 400 <= parse_reply(raw).status < 500


def test_http_1_0_and_keep_alive_are_served(server: Server) -> None:
    """Old and frugal clients; two requests in one packet are answered in order."""
    old = parse_reply(server.raw(b"GET /livez HTTP/1.0\r\n\r\n"))
    assert (old.status, old.json["status"]) == (200, "ok")
    one = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: first\r\n\r\n"
    two = (
        b"GET /nowhere HTTP/1.1\r\nHost: [::1]\r\nX-Request-Id: second\r\nConnection: close\r\n\r\n"
    )
    raw = server.raw(one + two)
    assert raw.index(b"first") < raw.index(b"second")
    assert (raw.count(b"HTTP/1.1 200"), raw.count(b"HTTP/1.1 404")) == (1, 1)


def test_an_expectation_is_met_or_refused(server: Server) -> None:
    """curl asks before it sends a large body."""
    head = post(server, f"Content-Length: {len(GOOD)}", "Expect: 100-continue", "Connection: close")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100")
        connection.sendall(GOOD)
        assert parse_reply(b"".join(received(connection))).status == 200


def test_nothing_is_in_a_204_but_its_head(server: Server) -> None:
    """RFC 9110 8.6: a 204 has neither body nor Content-Length, which some proxies insist on."""
    made = server.ask("POST", "/api/v1/auth/keys", {"name": "short", "role": "viewer"}).json
    reply = server.ask("DELETE", f"/api/v1/auth/keys/{made['key']['id']}")
    assert (reply.status, reply.body) == (204, b"")
    assert "content-length" not in reply.headers


def test_two_hundred_silent_connections_do_not_stop_the_others(server: Server) -> None:
    """Slow readers and silent callers hold a socket each, not the server."""
    with contextlib.ExitStack() as held:
        for number in range(200):
            silent = socket.create_connection(("127.0.0.1", server.port))
            held.enter_context(silent)
            if number % 2:
                silent.sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n")
        reply = poll(lambda: server.submit(ALLOWED_JOB), "an answer beside silent connections")
        assert reply.status == 200
