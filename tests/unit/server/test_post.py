"""The sender of webhooks over real sockets: what it follows, believes and waits for."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forestall.jobs.webhook import Reach
from forestall.server import post as post_module
from forestall.server.post import DeliveryError, WebhookSender
from tests.certificates import client_context, server_context

_Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Listening:
    """A receiver that answers with fixed bytes; the requests that it got."""

    def __init__(self, answer: bytes = OK) -> None:
        self.answer = answer
        self.got: list[bytes] = []
        self.port = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        self.got.append(head + await reader.readexactly(size))
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def listening(
    listener: Listening, talk: _Talk | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Listening]:
    server = await asyncio.start_server(talk or listener.talk, "127.0.0.1", 0, ssl=tls)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()


async def sent(url: str, reach: Reach = Reach.LOCAL, tls: ssl.SSLContext | None = None) -> None:
    post = WebhookSender(reach, tls)
    try:
        await post.send(url, {"X-Forestall-Signature": "t=1,v1=00"}, b'{"a":1}')
    finally:
        post.close()


async def refused(url: str, **more: Any) -> str:
    with pytest.raises(DeliveryError) as caught:
        await sent(url, **more)
    assert "secret" not in caught.value.message
    return caught.value.message


def test_a_message_arrives_whole() -> None:
    async def run() -> None:
        async with listening(Listening()) as receiver:
            await sent(f"http://localhost:{receiver.port}/secret?a=b")
        (got,) = receiver.got
        head, _, body = got.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /secret?a=b HTTP/1.1\r\nHost: localhost:")
        assert b"\r\nX-Forestall-Signature: t=1,v1=00" in head
        assert body == b'{"a":1}'

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "redirects are not"),
        (b"HTTP/1.1 307 Temporary\r\nLocation: /again\r\n\r\n", "redirects are not"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", "answered 500"),
        (b"HTTP/1.1 404 \r\n\r\n", "answered 404"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "answered 100"),
        (b"HTTP/1.1 200000 OK\r\n\r\n", "no HTTP"),
        (b"SSH-2.0-x\r\n", "no HTTP"),
        (b"x" * 1_000_000, "no HTTP"),
        (b"", "no HTTP"),
    ],
    ids=lambda part: part[:24],
)
def test_what_is_no_success_is_a_failure(answer: bytes, says: str) -> None:
    """One request, whatever is answered; a location is not followed."""

    async def run() -> None:
        async with listening(Listening(answer)) as receiver:
            assert says in await refused(f"http://127.0.0.1:{receiver.port}/secret")
            assert len(receiver.got) == 1

    asyncio.run(run())


def test_an_answer_without_end_is_not_read() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except OSError:
            writer.close()

    async def run() -> None:
        async with listening(Listening(), endless) as receiver, asyncio.timeout(5):
            await sent(f"http://127.0.0.1:{receiver.port}/")

    asyncio.run(run())


def test_who_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post_module, "WEBHOOK_SECONDS_MAX", 0.1)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def run() -> None:
        async with listening(Listening(), silent) as receiver:
            assert "no answer" in await refused(f"http://127.0.0.1:{receiver.port}/secret")
        assert "no connection" in await refused(f"http://127.0.0.1:{receiver.port}/secret")

    asyncio.run(run())


@pytest.mark.parametrize("reach", [Reach.PUBLIC, Reach.PRIVATE])
@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["169.254.169.254"], ["::1"]], ids=str
)
def test_a_name_that_leads_inside_is_refused(
    monkeypatch: pytest.MonkeyPatch, reach: Reach, found: list[str]
) -> None:
    """Every address of the name is judged, at every message: a name can change its mind."""
    asked = []

    def resolve(host: str, port: int, **_: Any) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    async def connect(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing may be connected to")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", connect)
    assert "leads to" in asyncio.run(refused("https://hooks.example.com/secret", reach=reach))
    assert asked == ["hooks.example.com"]


def test_the_address_that_was_judged_is_the_one_that_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The name is resolved once, and the connection goes to an address, not to the name; `Host`,
    the TLS name and the certificate are the name's all the same."""
    server = server_context(tmp_path, "hooks.example.com")
    names: list[str | None] = []
    server.sni_callback = lambda _, name, __: names.append(name)
    asked = []

    def resolve(host: str, port: int, **_: Any) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async def run() -> None:
        async with listening(Listening(), tls=server) as receiver:
            monkeypatch.setattr(socket, "getaddrinfo", resolve)
            url = f"https://hooks.example.com:{receiver.port}/secret"
            await sent(url, tls=client_context(tmp_path))
            assert b"\r\nHost: hooks.example.com:%d\r\n" % receiver.port in receiver.got[0]

    asyncio.run(run())
    assert (asked, names) == (["hooks.example.com"], ["hooks.example.com"])


def test_a_proxy_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would connect to whatever it likes: only an address that was judged is told."""

    async def run() -> None:
        async with listening(Listening()) as receiver, listening(Listening()) as proxy:
            for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            for name in ("no_proxy", "NO_PROXY"):
                monkeypatch.delenv(name, raising=False)
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.port))]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            await sent(f"http://hooks.test:{receiver.port}/")
            assert (len(receiver.got), len(proxy.got)) == (1, 0)

    asyncio.run(run())


def test_the_certificate_is_that_of_the_name(tmp_path: Path) -> None:
    """A known certificate for the name is good; an unknown one, or another name, is not."""
    server = server_context(tmp_path, "localhost")
    known = client_context(tmp_path)

    async def run() -> None:
        async with listening(Listening(), tls=server) as receiver:
            await sent(f"https://localhost:{receiver.port}/", tls=known)
            assert "TLS" in await refused(f"https://localhost:{receiver.port}/secret")
            other = f"https://127.0.0.1:{receiver.port}/secret"
            assert "TLS" in await refused(other, tls=known)
            assert len(receiver.got) == 1

    asyncio.run(run())
