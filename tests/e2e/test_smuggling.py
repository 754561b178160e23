"""Bytes that two readers could take for two different requests: refused with a coded answer, on a
real socket; and no field after the body counts as a header."""

import json
from typing import Any

import pytest

from tests.e2e.harness import Server, parse_reply
from tests.http_samples import ALLOWED_JOB

pytestmark = pytest.mark.e2e
GOOD = json.dumps(ALLOWED_JOB).encode()
CHUNKED = b"%x\r\n%b\r\n0\r\n" % (len(GOOD), GOOD)
LENGTH = b"Content-Length: %d" % len(GOOD)
TE = b"Transfer-Encoding: "


def head(*lines: bytes, first: bytes = b"POST /api/v1/jobs HTTP/1.1", host: bool = True) -> bytes:
    more = [b"Host: localhost"] if host else []
    return b"\r\n".join([first, *more, *lines, b"Connection: close", b"", b""])


def key(server: Server) -> bytes:
    return b"X-API-Key: " + server.key.encode()


MALFORMED = {
    "two lengths": (LENGTH, b"Content-Length: 5"),
    "the same length twice": (LENGTH, LENGTH),
    "a list of lengths": (b"Content-Length: 5, 5",),
    "a signed length": (b"Content-Length: +5",),
    "a hexadecimal length": (b"Content-Length: 0x5",),
    "an empty length": (b"Content-Length:",),
    "a length with a space inside": (b"Content-Length: 5 5",),
    "length and chunks": (LENGTH, TE + b"chunked"),
    "chunks and length": (TE + b"chunked", LENGTH),
    "chunks twice": (TE + b"chunked", TE + b"chunked"),
    "chunked is not last": (TE + b"chunked, identity",),
    "an unknown coding": (TE + b"xchunked",),
    "a coding before chunked": (TE + b"gzip",),
    "a space before the colon": (b"Content-Length : 5",),
    "a tab before the colon": (b"Transfer-Encoding\t: chunked",),
    "a folded header": (b"X-A: b", b" c"),
    "a folded coding": (TE.rstrip(), b" chunked"),
    "a first line that is folded": (b" X-A: b",),
    "NUL in a value": (b"X-A: b\0c",),
    "NUL in a name": (b"X-\0A: b",),
    "a bare carriage return": (b"X-A: b\rX-API-Key: c",),
    "a control character": (b"X-A: b\x01c",),
    "DEL in a value": (b"X-A: b\x7fc",),
    "no name": (b": b",),
    "no colon": (b"X-A",),
}
FIRST_LINES = {
    "absolute form": b"POST http://localhost/api/v1/jobs HTTP/1.1",
    "absolute form of another": b"POST http://evil.example/api/v1/jobs HTTP/1.1",
    "absolute form with TLS": b"GET https://localhost/api/v1/jobs HTTP/1.1",
    "authority form": b"CONNECT localhost:8081 HTTP/1.1",
    "asterisk form": b"OPTIONS * HTTP/1.1",
    "no slash": b"GET api/v1/jobs HTTP/1.1",
    "a space in the target": b"GET /api/v1/jobs x HTTP/1.1",
    "NUL in the target": b"GET /api/v1/jobs\0 HTTP/1.1",
    "no version": b"GET /api/v1/jobs",
    "an unknown version": b"GET /api/v1/jobs HTTP/1.9",
    "an unknown method": b"SMUGGLE /api/v1/jobs HTTP/1.1",
    "HTTP/2 without asking": b"PRI * HTTP/2.0",
}
HEADS = {name: ((), first) for name, first in FIRST_LINES.items()} | {
    name: (lines, b"POST /api/v1/jobs HTTP/1.1") for name, lines in MALFORMED.items()
}


@pytest.mark.parametrize(("lines", "first"), HEADS.values(), ids=HEADS.keys())
def test_a_request_of_two_meanings_is_refused(
    server: Server, lines: tuple[bytes, ...], first: bytes
) -> None:
    before = server.job_ids()
    raw = server.raw(head(key(server), *lines, first=first) + GOOD, shut=True)
    assert_coded(raw)
    assert server.job_ids() == before


BODIES = {
    "a chunk of no size": b"xyz\r\n" + GOOD,
    "a size with a sign": b"-5\r\n" + GOOD,
    "a size that overflows": b"f" * 40 + b"\r\n" + GOOD,
    "a size with a space": b"5 5\r\n" + GOOD,
    "a chunk longer than its size": b"3\r\n" + GOOD + b"\r\n0\r\n\r\n",
    "line feeds alone": b"%x\n%b\n0\n\n" % (len(GOOD), GOOD),
    "a trailer that is folded": CHUNKED + b"X-A: b\r\n c\r\n\r\n",
    "a trailer with a NUL": CHUNKED + b"X-A: b\0\r\n\r\n",
    "trailers without end": CHUNKED + b"X-A: " + b"b" * 70_000 + b"\r\n\r\n",
    "too many trailers": CHUNKED + b"".join(b"X-%d: b\r\n" % n for n in range(5_000)) + b"\r\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_malformed_chunked_body_is_refused(server: Server, body: bytes) -> None:
    before = server.job_ids()
    raw = server.raw(head(key(server), TE + b"chunked") + body, shut=True)
    if raw or len(body) < 30_000:  # a close with bytes unread may take the answer with it
        assert_coded(raw)
    assert server.job_ids() == before


@pytest.mark.parametrize("split", [False, True], ids=["in one packet", "in two"])
@pytest.mark.parametrize(
    "trailer",
    ["X-API-Key: {key}", "Authorization: Bearer {key}", "x-api-key: {key}\r\nX-Tenant-ID: default"],
)
def test_a_trailer_is_no_credential(server: Server, trailer: str, split: bool) -> None:
    """Before, a key after the body was read as if it stood in the head."""
    last = trailer.format(key=server.key).encode() + b"\r\n\r\n"
    raw = ask(server, head(TE + b"chunked") + CHUNKED, last, split=split)
    assert assert_coded(raw, 401)["code"] == "unauthorized"


@pytest.mark.parametrize("split", [False, True], ids=["in one packet", "in two"])
@pytest.mark.parametrize(
    "trailer",
    [
        b"X-API-Key: other",
        b"Content-Type: text/plain",
        b"X-Tenant-ID: another",
        b"Host: evil.example",
        b"Origin: https://evil.example",
        b"Idempotency-Key: another",
        b"X-Request-Id: another",
        b"Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"Upgrade: websocket\r\nConnection: Upgrade",
    ],
)
def test_a_trailer_changes_nothing(server: Server, trailer: bytes, split: bool) -> None:
    mine = (key(server), b"X-Request-Id: mine", b"Idempotency-Key: " + trailer[:9].strip(b": "))
    raw = ask(server, head(*mine, TE + b"chunked") + CHUNKED, trailer + b"\r\n\r\n", split=split)
    reply = parse_reply(raw)
    if reply.status == 400:  # the parser takes no field of framing in a trailer
        assert_coded(raw)
        assert trailer.startswith((b"Content-Length", b"Transfer-Encoding"))
    else:
        assert reply.status == 200, raw
        assert reply.headers["x-request-id"] == "mine"


def test_a_request_without_host_is_refused(server: Server) -> None:
    """RFC 9112, 3.2. A request of HTTP/1.0 needs none, and a probe of that age still works."""
    first = b"GET /api/v1/jobs HTTP/1.1"
    assert_coded(server.raw(head(key(server), first=first, host=False)))
    two = server.raw(head(key(server), b"Host: evil.example", first=first))
    assert assert_coded(two)["code"] == "invalid_request"
    assert parse_reply(server.raw(b"GET /livez HTTP/1.0\r\n\r\n")).status == 200


@pytest.mark.parametrize(
    "bomb",
    [b"X-A: " + b"a" * 70_000, b"\r\n".join(b"X-%d: a" % n for n in range(101))],
    ids=["too long", "too many"],
)
def test_an_overlong_head_says_so(server: Server, bomb: bytes) -> None:
    raw = server.raw(head(key(server), bomb), shut=True)
    assert assert_coded(raw)["code"] == "http_head_limit"


def test_bytes_that_are_no_ascii_are_no_other_text(server: Server) -> None:
    """A header of two possible decodings is refused where we read it, and ignored elsewhere."""
    odd = "é".encode()
    for name in (b"Idempotency-Key", b"X-Idempotency-Key"):
        raw = server.raw(head(key(server), name + b": " + odd, LENGTH) + GOOD)
        assert assert_coded(raw)["code"] == "invalid_request"
    for name, status in ((b"X-Tenant-ID", 403), (b"X-API-Key", 401), (b"Content-Type", 415)):
        mine = () if name == b"X-API-Key" else (key(server),)
        raw = server.raw(head(*mine, name + b": " + odd, LENGTH) + GOOD)
        assert_coded(raw, status)
    fine = server.raw(head(key(server), b"X-Other: " + odd, LENGTH) + GOOD)
    assert parse_reply(fine).status == 200


def ask(server: Server, first: bytes, rest: bytes, *, split: bool) -> bytes:
    """The answer to a request that comes in one packet, or in two with a pause between."""
    import socket
    import time

    if not split:
        return server.raw(first + rest)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(first)
        time.sleep(0.05)
        connection.sendall(rest)
        raw = b""
        while part := connection.recv(65_536):
            raw += part
        return raw


def assert_coded(raw: bytes, status: int = 0) -> dict[str, Any]:
    reply = parse_reply(raw)
    assert 400 <= reply.status < 500, raw[:300]
    assert not status or reply.status == status, raw[:300]
    assert reply.headers["content-type"] == "application/json", raw[:300]
    assert reply.headers["x-content-type-options"] == "nosniff"
    body: dict[str, Any] = reply.json
    assert body["code"]
    assert body["status"] == reply.status
    assert body["request_id"] == reply.headers["x-request-id"]
    return body
