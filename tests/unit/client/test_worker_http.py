"""Answers as they come: whole, in pieces, and broken, which is AwayError and nothing else."""

import pytest
from hypothesis import given, strategies

from forestall.client.worker_http import AnswerReader, AwayError, Reply

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN


@pytest.mark.parametrize(
    "raw", [PLAIN, CHUNKED, CONTINUED, EMPTY], ids=["plain", "chunked", "1xx", "204"]
)
@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_an_answer_in_pieces_is_the_same_answer(raw: bytes, size: int) -> None:
    reader = AnswerReader()
    found = [reader.feed(raw[at : at + size]) for at in range(0, len(raw), size)]
    assert [reply for reply in found[:-1] if reply is not None] == []
    reply = found[-1]
    assert reply is not None
    assert reply.body == (b"" if raw is EMPTY else b"hello")
    assert reader.empty


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000,
    ],
)
def test_what_is_no_answer(raw: bytes) -> None:
    with pytest.raises(AwayError):
        AnswerReader().feed(raw)


@given(strategies.binary(max_size=200), strategies.sampled_from([b"", PLAIN[:20], CHUNKED[:60]]))
def test_any_bytes(data: bytes, before: bytes) -> None:
    """Any bytes give an answer, a wait for more, or AwayError."""
    reader = AnswerReader()
    try:
        reply = reader.feed(before + data)
    except AwayError:
        return
    assert reply is None or isinstance(reply, Reply)


def test_what_an_answer_says() -> None:
    reply = Reply(429, {b"retry-after": b"7"}, b'{"code":"rate_limited"}')
    assert (reply.code, reply.retry_after_s) == ("rate_limited", 7.0)
    assert Reply(500, {b"retry-after": b"soon"}, b"<html>").retry_after_s == 0.0
    assert Reply(500, {}, b"[1]").value() == {}
