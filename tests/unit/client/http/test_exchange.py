"""Responses that lie, flood or break off, against the bytes of one exchange; no network.

The law of the file: any bytes give a response or NoAnswerError, never another exception, and how
the bytes are cut into pieces changes nothing.
"""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forestall.client.http.exchange import Exchange
from forestall.client.http.message import HttpResponse, NoAnswerError
from forestall.errors import InvalidRequestError
from forestall.limits import HEAD_BYTES_MAX

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PLAIN = OK + b"Content-Length: 5\r\nX: y\r\n\r\nhello"
IN_CHUNKS = CHUNKED + b"3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
CLOSED = b""


def exchange(method: str = "GET", **more: Any) -> Exchange:
    """An exchange whose request was sent."""
    more = {"headers": {}, "body_bytes_max": 1_000_000, **more}
    return Exchange(method, "/", "plane.test", **more)


def fed(raw: bytes, size: int = 0, close: bool = True, **more: Any) -> tuple[Any, ...]:
    """What a response in pieces of a size gives: status, headers, body, whether reuse is safe.

    ("refused",) when it raises NoAnswerError, ("waits",) when it is not whole and nothing closed.
    """
    one = exchange(**more)
    body = b""
    try:
        size = size or max(1, len(raw))
        for start in range(0, len(raw), size):
            body += one.feed(raw[start : start + size])
        reusable = one.reusable
        if close and not one.done:
            body += one.feed(CLOSED)
            reusable = one.reusable
    except NoAnswerError:
        return ("refused",)
    return (one.status, one.headers, body, reusable) if one.done else ("waits",)


def bodies(raw: bytes, **more: Any) -> bytes:
    """The body of a response that is taken."""
    status, _, body, _ = fed(raw, **more)
    assert status == 200
    assert isinstance(body, bytes)
    return body


REFUSED = {
    "chunk size as Python reads it": CHUNKED + b" 0x1_0 \r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
    "chunk size with a sign": CHUNKED + b"+1\r\na\r\n0\r\n\r\n",
    "negative chunk size": CHUNKED + b"-1\r\na\r\n0\r\n\r\n",
    "chunk size with an underscore": CHUNKED + b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
    "no CRLF behind a chunk": CHUNKED + b"3\r\nabcXX0\r\n\r\n",
    "LF behind a chunk": CHUNKED + b"1\r\na\n0\r\n\r\n",
    "LF behind a chunk size": CHUNKED + b"1\na\r\n0\r\n\r\n",
    "a coding that only holds the word": OK + b"Transfer-Encoding: x-chunked-no\r\n\r\n0\r\n\r\n",
    "gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two codings": OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "identity": OK + b"Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\na",
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "two lengths in one field": OK + b"Content-Length: 1, 2\r\n\r\nab",
    "a length with a sign": OK + b"Content-Length: +2\r\n\r\nab",
    "a negative length": OK + b"Content-Length: -1\r\n\r\n",
    "a length in hexadecimal": OK + b"Content-Length: 0x2\r\n\r\nab",
    "an endless length": OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a length in Arabic digits": OK + "Content-Length: \u0662\r\n\r\nab".encode(),
    "length and coding": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding under HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no length": OK + b"\r\nhello",
    "a body that is too long": OK + b"Content-Length: 1000001\r\n\r\n",
    "a chunk that is too long": CHUNKED + b"F4241\r\n" + b"a" * 1_000_001,
    "too long in many chunks": CHUNKED + (b"8000\r\n" + b"a" * 32_768 + b"\r\n") * 31,
    "a chunk size without end": CHUNKED + b"f" * 30 + b"\r\n",
    "a chunk size with many noughts": CHUNKED + b"0" * 30 + b"1\r\na\r\n0\r\n\r\n",
    "a chunk extension without end": CHUNKED + b"1;" + b"x" * HEAD_BYTES_MAX + b"\r\na\r\n",
    "trailers without end": CHUNKED + b"0\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
    "a header without end": OK + b"a: " + b"b" * HEAD_BYTES_MAX,
    "a header bomb": OK + b"a: b\r\n" * 20_000 + b"Content-Length: 0\r\n\r\n",
    "a head without end": OK + b"a: b\r\n" * 20_000,
    "a flood of 1xx": b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000 + PLAIN,
    "a 1xx with a long head": b"HTTP/1.1 103 x\r\n" + b"a: b\r\n" * 20_000 + b"\r\n" + PLAIN,
    "only a 1xx": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a switch nobody asked for": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nzz",
    "NUL in a header": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "CR in a header": OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
    "CR in the status line": b"HTTP/1.1 200 OK\rX: b\r\nContent-Length: 0\r\n\r\n",
    "space before the colon": OK + b"Content-Length : 0\r\n\r\n",
    "no header name": OK + b": a\r\nContent-Length: 0\r\n\r\n",
    "no colon": OK + b"no colon\r\nContent-Length: 0\r\n\r\n",
    "a fold before any header": OK + b" x: y\r\nContent-Length: 0\r\n\r\n",
    "status 099": b"HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 x\r\nContent-Length: 0\r\n\r\n",
    "status 999": b"HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n",
    "a status of six digits": b"HTTP/1.1 200000 OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 abc\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
    "an empty line first": b"\r\n" + PLAIN,
    "nothing": b"",
    "cut off in the head": PLAIN[:20],
    "cut off in the body": PLAIN[:-1],
    "cut off in a chunk": IN_CHUNKS[:-12],
    "cut off before the last chunk": IN_CHUNKS[:-5],
}
TAKEN = {
    "plain": PLAIN,
    "chunked": IN_CHUNKS,
    "chunked, in capitals": IN_CHUNKS.replace(b": chunked", b": CHUNKED"),
    "1xx first": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + PLAIN,
    "one length twice": PLAIN.replace(b"X: y", b"Content-Length: 5"),
    "one length twice in one field": PLAIN.replace(b"Length: 5", b"Length: 5, 5"),
    "a folded header": PLAIN.replace(b"X: y", b"X: y\r\n z"),
    "trailers": IN_CHUNKS[:-2] + b"T: v\r\n\r\n",
    "no reason": PLAIN.replace(b" OK", b""),
    "bytes that are not ASCII": PLAIN.replace(b"X: y", b"X: \xe9\xff"),
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_a_response_that_cannot_be_trusted_is_refused(raw: bytes) -> None:
    assert fed(raw) == ("refused",)
    for size in (1, 7, 4_096):
        if size > 1 or len(raw) < 200_000:
            assert fed(raw, size) == ("refused",), size


@pytest.mark.parametrize("raw", TAKEN.values(), ids=TAKEN.keys())
@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_a_good_response_is_taken_however_it_comes(raw: bytes, size: int) -> None:
    status, _, body, reusable = fed(raw, size, close=False)
    assert (status, body, reusable) == (200, b"hello", True)


def test_what_is_behind_a_response_ends_the_connection() -> None:
    """It may be the answer to a request that somebody else smuggled in; it answers none of ours."""
    for behind in (b"x", PLAIN):
        for size in (0, 1):
            assert fed(PLAIN + behind, size)[2:] == (b"hello", False)
            assert fed(IN_CHUNKS + behind, size)[2:] == (b"hello", False)


@pytest.mark.parametrize("status", [204, 304])
def test_a_body_where_none_may_be_is_not_read(status: int) -> None:
    raw = b"HTTP/1.1 %d x\r\n\r\n" % status
    assert fed(raw, close=False)[2:] == (b"", True)
    assert fed(raw + b"body", close=False)[2:] == (b"", False)
    assert fed(raw + b"body", 1, close=False)[2:] == (b"", False)


def test_the_answer_to_head_has_a_length_and_no_body() -> None:
    assert fed(PLAIN[:-5], close=False, method="HEAD")[2:] == (b"", True)
    assert fed(PLAIN, close=False, method="HEAD")[2:] == (b"", False)


@pytest.mark.parametrize("how", [b"Connection: close", b"Connection: x, Close"])
def test_a_server_that_will_close_is_believed(how: bytes) -> None:
    assert fed(PLAIN.replace(b"X: y", how), close=False)[2:] == (b"hello", False)
    assert fed(PLAIN.replace(b"1.1", b"1.0"), close=False)[2:] == (b"hello", False)


def test_a_stream_may_end_with_the_connection() -> None:
    raw = OK + b"\r\nhello"
    assert bodies(raw, until_close=True) == bodies(raw, size=1, until_close=True) == b"hello"
    assert fed(raw, close=False, until_close=True) == ("waits",)
    assert fed(raw, until_close=True)[3] is False


def test_a_head_of_exactly_the_bound_is_taken() -> None:
    rest = len(OK + b"Content-Length: 0\r\nX: \r\n\r\n")
    for more, first in ((0, 200), (1, "refused")):
        field = b"X: " + b"a" * (HEAD_BYTES_MAX - rest + more)
        raw = OK + b"Content-Length: 0\r\n" + field + b"\r\n\r\n"
        assert len(raw) == HEAD_BYTES_MAX + more
        assert fed(raw)[0] == fed(raw, 4_095)[0] == first


def test_fields_of_one_name_are_joined() -> None:
    raw = PLAIN.replace(b"X: y", b"X: y\r\nx:  z ")
    assert fed(raw)[1] == {"content-length": "5", "x": "y, z"}


def test_the_last_1xx_is_remembered() -> None:
    one = exchange()
    one.feed(b"HTTP/1.1 100 a\r\n\r\nHTTP/1.1 103 b\r\n\r\n")
    with pytest.raises(NoAnswerError) as caught:
        one.feed(CLOSED)
    assert caught.value.interim == one.interim == 103


# -- what we send --


def test_a_request_as_it_is_sent() -> None:
    one = exchange("POST", headers={"X-API-Key": "k"}, body=b"{}")
    assert one.request_bytes == (
        b"POST / HTTP/1.1\r\nHost: plane.test\r\nX-API-Key: k\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert exchange(keep=False).request_bytes.endswith(b"\r\nConnection: close\r\n\r\n")
    assert exchange("POST", body=b"").request_bytes.endswith(b"Content-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("method", "target", "host", "headers"),
    [
        ("GET", "/", "h", {"X": "secret\r\nY: z"}),
        ("GET", "/", "h", {"X": "secret\nY: z"}),
        ("GET", "/", "h", {"X": "secret\r"}),
        ("GET", "/", "h", {"X": "secret\0"}),
        ("GET", "/", "h", {"X": "secr\u00e9t"}),
        ("GET", "/", "h", {"X": "secret\u010d\u010a"}),  # CR and LF in their low bytes
        ("GET", "/", "h", {"X\r\nY": "secret"}),
        ("GET", "/", "h", {"X Y": "secret"}),
        ("GET", "/", "h", {"": "secret"}),
        ("GET", "/ HTTP/1.1\r\nX: secret", "h", {}),
        ("GET", "/secret path", "h", {}),
        ("GET", "/secr\u00e9t", "h", {}),
        ("GET /secret", "/", "h", {}),
        ("GET", "/", "h\r\nX: secret", {}),
        ("GET", "/", "h", {"Content-Length": "7"}),
        ("GET", "/", "h", {"transfer-encoding": "chunked"}),
        ("GET", "/", "h", {"Host": "secret"}),
        ("GET", "/", "h", {"Connection": "X-Secret"}),
        ("GET", "/", "h", {"Upgrade": "secret"}),
        ("GET", "/", "h", {"Expect": "100-continue"}),
    ],
    ids=str,
)
def test_a_request_cannot_be_split(
    method: str, target: str, host: str, headers: dict[str, str]
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Exchange(method, target, host, headers, body_bytes_max=1)
    assert "secr" not in caught.value.message.lower()
    assert caught.value.__cause__ is None


# -- any bytes --

_PARTS = st.sampled_from(
    [
        *(OK, CHUNKED, PLAIN, IN_CHUNKS, b"HTTP/1.1 100 a\r\n\r\n", b"HTTP/1.0 204 x\r\n"),
        *(b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b";", b"0", b"3", b"ffff", b"abc", b"\xff"),
        *(b"Content-Length: 3\r\n", b"Content-Length: 4", b"Transfer-Encoding: chunked\r\n"),
        *(b"Connection: close\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"3\r\nabc\r\n", b"X: y\r\n"),
        *(b"1;" + b"e" * 200 + b"\r\na\r\n", b"a: " + b"b" * 200 + b"\r\n"),
    ]
)
_BYTES = st.one_of(
    st.lists(_PARTS, max_size=12).map(b"".join),
    st.binary(max_size=200),
    st.tuples(_PARTS, st.binary(max_size=60)).map(b"".join),
)


@given(_BYTES, st.integers(1, 40), st.sampled_from(["GET", "HEAD", "CONNECT"]), st.booleans())
@example(CHUNKED + b"1\r\na\r\n" * 9, 3, "GET", False)
def test_any_bytes(raw: bytes, size: int, method: str, until_close: bool) -> None:
    """A response, a wait for more or NoAnswerError: the same one however the bytes are cut."""
    more: dict[str, Any] = {
        "method": method,
        "until_close": until_close,
        "body_bytes_max": None if until_close else 300,
        "head_bytes_max": 160,
    }
    for close in (True, False):
        whole = fed(raw, close=close, **more)
        assert fed(raw, 1, close=close, **more) == fed(raw, size, close=close, **more) == whole


# -- what a response says --


def test_what_a_response_says() -> None:
    response = HttpResponse(429, {"retry-after": "7"}, b'{"code":"rate_limited"}')
    assert (response.code, response.retry_after_s) == ("rate_limited", 7.0)
    for body in (b"[1]", b"<html>", b"\xff", b"", b"[" * 100_000):
        assert HttpResponse(500, {}, body).value() == {}


@pytest.mark.parametrize(
    ("said", "date", "seconds"),
    [
        ("0", "", 0.0),
        ("99999", "", 99_999.0),
        ("100000", "", 0.0),
        ("-1", "", 0.0),
        ("1.5", "", 0.0),
        ("soon", "", 0.0),
        ("\u00b2", "", 0.0),
        ("Wed, 21 Oct 2026 07:28:10 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 10.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:10 GMT", 0.0),
        ("Wed, 21 Oct 2026 07:28:10 GMT", "", 0.0),
        ("Wed, 21 Oct 2099 07:28:10 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 0.0),
    ],
)
def test_how_long_a_server_asks_to_wait(said: str, date: str, seconds: float) -> None:
    headers = {"retry-after": said, **({"date": date} if date else {})}
    assert HttpResponse(503, headers, b"").retry_after_s == seconds
