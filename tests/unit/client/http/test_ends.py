"""How a request of one face ends from outside, and what importing the client loads."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from forestall.client.http import blocking
from forestall.client.http.asynchronous import AsyncHttpClient
from forestall.client.http.blocking import HttpClient, HttpStream
from forestall.client.http.message import HttpRequest
from forestall.client.http.origin import parse_origin
from tests.unit.client.http.faces import Peer, answering, serving

GET = HttpRequest("GET", "/")


def silent(peer: Peer) -> None:
    """Answers nothing, and notes when its client closes."""
    try:
        while peer.sock.recv(1_000):
            pass
    finally:
        peer.server.heads.append(b"closed")


def test_a_cancelled_request_closes_its_connection() -> None:
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        asked.set()
        silent(peer)

    with serving(script) as server:

        async def run() -> None:
            with AsyncHttpClient(parse_origin(f"http://127.0.0.1:{server.port}")) as client:
                asking = asyncio.create_task(client.request(GET))
                assert await asyncio.to_thread(asked.wait, 5)
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
                assert await asyncio.to_thread(server.ended.wait, 5)

        asyncio.run(run())
        assert server.heads[-1] == b"closed"


def test_ctrl_c_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(connection: object, seconds: float) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(blocking._Socket, "receive", interrupted)
    with serving(silent) as server:
        client = HttpClient(parse_origin(f"http://127.0.0.1:{server.port}"))
        with pytest.raises(KeyboardInterrupt):
            client.request(GET)
        assert server.ended.wait(5)
        assert server.heads[-1] == b"closed"


def test_many_requests_at_once_each_have_a_connection() -> None:
    def slow(peer: Peer) -> None:
        while peer.read_request():
            time.sleep(0.1)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % (peer.number % 10))

    with serving(slow) as server:

        async def run() -> list[bytes]:
            with AsyncHttpClient(parse_origin(f"http://127.0.0.1:{server.port}")) as client:
                asked = [client.request(GET) for _ in range(20)]
                return [response.body for response in await asyncio.gather(*asked)]

        bodies = asyncio.run(run())
        assert sorted(bodies) == sorted(b"%d" % (number % 10) for number in range(1, 21))
        assert server.connections == 20


def test_a_stream_that_is_read_past_its_end_gives_its_connection_back_once() -> None:
    with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")) as server:

        async def run() -> None:
            with AsyncHttpClient(parse_origin(f"http://127.0.0.1:{server.port}")) as client:
                async with client.open(GET) as stream:
                    assert [await stream.read() for _ in range(4)] == [b"a", b"", b"", b""]
                both = await asyncio.gather(client.request(GET), client.request(GET))
                assert [response.body for response in both] == [b"a", b"a"]

        asyncio.run(run())
        assert server.connections == 2


def test_lines_of_a_stream() -> None:
    """Lines as long as they are, cut at the bound, and the last one without its end."""
    body = b"a\n\nbcd\r\n" + b"x" * 10 + b"\nlast"
    pieces = b"".join(b"1\r\n%b\r\n" % body[at : at + 1] for at in range(len(body)))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    def lines(stream: HttpStream) -> list[bytes]:
        return list(iter(lambda: stream.readline(8), b""))

    with (
        serving(answering(head + pieces + b"0\r\n\r\n")) as server,
        HttpClient(parse_origin(f"http://127.0.0.1:{server.port}")) as client,
        client.open(GET) as stream,
    ):
        found = lines(stream)
    assert found == [b"a\n", b"\n", b"bcd\r\n", b"x" * 8, b"xx\n", b"last"]


@pytest.mark.parametrize(
    ("name", "unwanted"),
    [
        ("forestall.client.plane", "h11 ssl socket http.client asyncio"),
        ("forestall.client.http.blocking", "ssl http.client asyncio email"),
        ("forestall.client.http.asynchronous", "http.client email"),
        ("forestall.client.worker", "http.client email"),
    ],
)
def test_importing_the_client_is_light(name: str, unwanted: str) -> None:
    """No server, no policy, no parser of anything but HTTP; and that not before it is used."""
    program = f"import sys, {name}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    rooms = ["server", "control", "store", "policy", "facts", "jobs", "wire"]
    never = ["yaml", "re2", "sqlglot", "uvicorn", "cryptography", "click"]
    needless = {*unwanted.split(), *never, *(f"forestall.{room}" for room in rooms)}
    assert sorted(needless & set(loaded)) == []
