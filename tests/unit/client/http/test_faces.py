"""One suite for both faces of the HTTP client, over real sockets: they behave alike."""

import base64
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from forestall.client.http.message import HttpRequest, NoAnswerError, Timeouts
from forestall.client.http.proxy import ProxySettings
from forestall.errors import InvalidRequestError
from tests.certificates import client_context, server_context
from tests.unit.client.http.faces import (
    AsyncFace,
    BlockingFace,
    Face,
    MakeFace,
    Peer,
    ScriptedServer,
    UvloopFace,
    answering,
    serving,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
GET = HttpRequest("GET", "/a?b=c")
POST = HttpRequest("POST", "/a", {}, b"body")
SHORT = Timeouts(connect=0.2, idle=0.2, whole=5)


@pytest.fixture(params=[BlockingFace, AsyncFace, UvloopFace], ids=["blocking", "async", "uvloop"])
def make(request: pytest.FixtureRequest) -> Iterator[MakeFace]:
    """Makes clients, and closes them after the test."""
    with ExitStack() as stack:

        def made(where: ScriptedServer | str, **options: Any) -> Face:
            url = where if isinstance(where, str) else f"http://127.0.0.1:{where.port}"
            face: Face = request.param(url, **options)
            stack.callback(face.close)
            return face

        yield made


def refused(call: Callable[[], object]) -> NoAnswerError:
    """The error of a call that gets no answer; it names no secret."""
    with pytest.raises(NoAnswerError) as caught:
        call()
    assert "secret" not in str(caught.value)
    return caught.value


# -- one request --


def test_a_request_and_its_response(make: MakeFace) -> None:
    with serving(answering(OK)) as server:
        face = make(server, headers={"X-API-Key": "k"})
        response = face.request(HttpRequest("POST", "/a?b=c", {"X": "y"}, b"body"))
        assert (response.status, response.body) == (200, b"ok")
        assert response.headers["content-length"] == "2"
        head = f"POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nX-API-Key: k\r\nX: y"
        assert server.heads == [head.encode() + b"\r\nContent-Length: 4"]
        assert server.bodies == [b"body"]


def test_a_large_body_goes_both_ways(make: MakeFace) -> None:
    body = bytes(range(256)) * 12_000

    def echo(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        peer.send(peer.server.bodies[-1])

    with serving(echo) as server:
        assert make(server).request(HttpRequest("POST", "/", {}, body)).body == body


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_response_and_is_not_followed(make: MakeFace, status: int) -> None:
    with serving(answering(OK)) as other:
        answer = b"HTTP/1.1 %d x\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n"
        with serving(answering(answer % (status, other.port))) as server:
            response = make(server).request(GET)
            assert (response.status, other.connections, len(server.heads)) == (status, 0, 1)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"SSH-2.0-x\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "cut off"),
        (b"HTTP/1.1 200 OK\r\n\r\nab", "no length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"a" * 1001, "too long"),
        (b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000, "head of the answer is too long"),
        (b"", "closed"),
    ],
    ids=lambda part: str(part[:30]),
)
def test_no_answer(make: MakeFace, answer: bytes, says: str) -> None:
    """A new connection that fails is not tried again, whatever the request."""

    def script(peer: Peer) -> None:
        if peer.read_request():
            peer.send(answer)

    with serving(script) as server:
        error = refused(lambda: make(server).request(GET, body_bytes_max=1_000))
        assert says in str(error)
        assert (len(server.heads), error.nothing_sent) == (1, False)


def test_a_request_that_cannot_be_sent_opens_nothing(make: MakeFace) -> None:
    with serving(answering(OK)) as server:
        with pytest.raises(InvalidRequestError):
            make(server).request(HttpRequest("GET", "/", {"X": "a\r\nY: b"}))
        assert server.connections == 0


def test_nobody_listens(make: MakeFace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = refused(lambda: make(f"http://127.0.0.1:{port}").request(POST))
    assert error.nothing_sent
    assert isinstance(error.__cause__, OSError)


def test_a_name_that_nobody_knows(make: MakeFace, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = refused(lambda: make("http://nowhere.invalid").request(POST))
    assert (str(error), error.nothing_sent) == ("Name or service not known", True)


def test_an_answer_before_the_request_ended(make: MakeFace) -> None:
    """413 is answered before the body was read; its connection is not used again."""

    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 413 Too Long\r\nContent-Length: 2\r\n\r\nno")
        peer.sock.shutdown(socket.SHUT_WR)
        time.sleep(0.2)  # and then closes, with most of the body unread

    with serving(script) as server:
        face = make(server)
        for _ in range(2):
            response = face.request(HttpRequest("POST", "/", {}, b"x" * 20_000_000))
            assert (response.status, response.body) == (413, b"no")
        assert server.connections == 2


def test_an_answer_of_a_server_that_reads_no_further(make: MakeFace) -> None:
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 413 Too Long\r\nContent-Length: 2\r\n\r\nno")
        time.sleep(1)

    with serving(script) as server:
        face = make(server, timeouts=SHORT)
        assert face.request(HttpRequest("POST", "/", {}, b"x" * 20_000_000)).status == 413
        assert face.request(GET).status == 413
        assert server.connections == 2


# -- time --


def test_who_sends_nothing_is_given_up(make: MakeFace) -> None:
    with serving(lambda peer: time.sleep(1)) as server:
        error = refused(lambda: make(server, timeouts=SHORT).request(GET))
        assert str(error) == "no answer within 0.2 seconds"
        assert isinstance(error.__cause__, TimeoutError)


@pytest.mark.parametrize(
    "drip",
    [b"a", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"],
    ids=["head", "1xx", "body"],
)
def test_who_drips_is_given_up(make: MakeFace, drip: bytes) -> None:
    """Each piece comes in time; the whole never does."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n" if drip == b"a" else drip)
        while True:
            time.sleep(0.05)
            peer.send(drip if drip.startswith(b"HTTP/1.1 1") else b"a")

    with serving(script) as server:
        began = time.monotonic()
        error = refused(lambda: make(server, timeouts=SHORT).request(GET, seconds=0.5))
        assert "no answer within 0.5 seconds" in str(error)
        assert time.monotonic() - began < 4


def test_who_does_not_read_is_given_up(make: MakeFace) -> None:
    with serving(lambda peer: time.sleep(1)) as server:
        request = HttpRequest("POST", "/", {}, b"x" * 50_000_000)
        error = refused(lambda: make(server, timeouts=SHORT).request(request))
        assert ("no answer" in str(error), error.nothing_sent) == (True, False)


def test_a_tls_server_that_says_nothing_is_given_up(make: MakeFace) -> None:
    with serving(lambda peer: time.sleep(1)) as server:
        face = make(f"https://127.0.0.1:{server.port}", timeouts=SHORT)
        error = refused(lambda: face.request(POST))
        assert ("no answer within" in str(error), error.nothing_sent) == (True, True)


# -- connections that are kept --


def test_a_connection_is_used_again(make: MakeFace) -> None:
    with serving(answering(OK)) as server:
        face = make(server)
        assert [face.request(each).status for each in (GET, POST, GET)] == [200] * 3
        assert (server.connections, len(server.heads)) == (1, 3)


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        OK.replace(b"1.1", b"1.0"),
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmuggled"[:-3],
        OK + b"x",
        b"HTTP/1.1 204 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
    ],
    ids=["close", "1.0", "a second response", "a byte", "a body behind 204"],
)
def test_a_connection_that_is_not_clean_is_not_used_again(make: MakeFace, answer: bytes) -> None:
    with serving(answering(answer)) as server:
        face = make(server)
        for _ in range(2):
            assert face.request(POST).body in (b"ok", b"")
        assert server.connections == 2


def test_what_comes_while_nobody_asked_is_not_an_answer(make: MakeFace) -> None:
    """A 408, or a smuggled response, on a connection that lies idle."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        if peer.number == 1:
            time.sleep(0.1)
            peer.send(b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n")
            peer.server.ended.set()
        peer.read_request()
        peer.send(OK)

    with serving(script) as server:
        face = make(server)
        assert face.request(POST).status == 200
        assert server.ended.wait(5)
        time.sleep(0.05)
        assert face.request(POST).status == 200
        assert server.connections == 2


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(make: MakeFace) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)

    with serving(script) as server:
        face = make(server)
        for number in (1, 2, 3):
            assert face.request(POST).status == 200
            assert server.ended.wait(5)
            server.ended.clear()
            time.sleep(0.05)
            assert server.connections == number


@pytest.mark.parametrize(
    ("request_", "again"),
    [(GET, True), (POST, False), (POST._replace(may_repeat=True), True)],
    ids=["GET", "POST", "POST that may repeat"],
)
def test_the_race_with_a_server_that_closes(
    make: MakeFace, request_: HttpRequest, again: bool
) -> None:
    """The request arrived over a kept connection, and no byte came back: it may be carried out."""
    with serving(answering(OK, b"", OK)) as server:
        face = make(server)
        face.request(GET)
        if again:
            assert face.request(request_).status == 200
        else:
            assert not refused(lambda: face.request(request_)).nothing_sent
        assert (len(server.heads), server.connections) == (2 + again, 1 + again)


def test_the_race_is_run_once(make: MakeFace) -> None:
    with serving(answering(OK, b"")) as server:
        face = make(server)
        face.request(GET)
        refused(lambda: face.request(GET))
        assert (len(server.heads), server.connections) == (3, 2)


def test_an_answer_that_had_begun_is_not_asked_for_again(make: MakeFace) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        peer.read_request()
        peer.send(b"HTTP/1.1 2")

    with serving(script) as server:
        face = make(server)
        face.request(GET)
        assert "cut off" in str(refused(lambda: face.request(GET)))
        assert (len(server.heads), server.connections) == (2, 1)


def test_who_falls_silent_on_a_kept_connection_is_not_asked_again(make: MakeFace) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(OK)
        peer.read_request()
        time.sleep(1)

    with serving(script) as server:
        face = make(server, timeouts=SHORT)
        face.request(GET)
        assert "no answer within" in str(refused(lambda: face.request(GET)))
        assert (len(server.heads), server.connections) == (2, 1)


# -- what is not sent again --


def test_a_response_is_final_whatever_its_status(make: MakeFace) -> None:
    with serving(answering(BUSY)) as server:
        assert make(server).request(GET).status == 503
        assert len(server.heads) == 1


# -- streams --


def test_a_stream_is_read_while_it_comes(make: MakeFace) -> None:
    """The second piece is sent after the first was read; what is not read to the end is closed."""
    read = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        assert read.wait(5)
        peer.send(b"1\r\nb\r\n")
        with suppress(ConnectionResetError):
            assert peer.sock.recv(1) == b""
        peer.server.heads.append(b"closed")

    with serving(script) as server:
        assert make(server).pieces(GET, 2, read.set) == (200, [b"a", b"b"])
        assert server.ended.wait(5)
        assert server.heads[-1] == b"closed"


def test_a_stream_ends(make: MakeFace) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
    with serving(answering(chunked)) as server:
        face = make(server)
        assert face.pieces(GET, 3) == (200, [b"a", b"", b""])
        assert face.pieces(GET, 3) == (200, [b"a", b"", b""])
        assert face.pieces(GET, 0) == (200, []), "whole, though nobody read it"
        assert face.request(GET).body == b"a"
        assert server.connections == 1


def test_a_stream_that_pauses_too_long_or_breaks_off(make: MakeFace) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"

    def pausing(peer: Peer) -> None:
        peer.read_request()
        peer.send(head)
        time.sleep(1)

    with serving(pausing) as server:
        error = refused(lambda: make(server, timeouts=SHORT).pieces(GET, 2))
        assert "no answer within 0.2 seconds" in str(error)
    with serving(answering(head + b"x\r\n")) as server:
        assert "not HTTP" in str(refused(lambda: make(server).pieces(GET, 2)))


# -- TLS --


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def tls(folder: Path) -> ssl.SSLContext:
    return server_context(folder, "plane.test")


def test_the_certificate_is_that_of_the_name(
    make: MakeFace, tls: ssl.SSLContext, folder: Path
) -> None:
    """A known certificate for the name is good; an unknown one, or another name, is not."""
    trusting = client_context(folder)
    names: list[str | None] = []
    tls.sni_callback = lambda _, name, __: names.append(name)
    with serving(answering(OK), tls) as server:
        url = f"https://plane.test:{server.port}"
        known = make(url, tls=trusting, address="127.0.0.1")
        assert [known.request(POST).status for _ in range(3)] == [200] * 3
        assert server.connections == 1
        assert b"\r\nHost: plane.test:%d\r\n" % server.port in server.heads[0]
        assert names == ["plane.test"]
        for face in (
            make(url, address="127.0.0.1"),
            make(url.replace("plane", "other"), tls=trusting, address="127.0.0.1"),
            make(url.replace("plane.test", "127.0.0.1"), tls=trusting),
        ):
            error = refused(lambda face=face: face.request(POST))  # type: ignore[misc]  # bound now
            assert isinstance(error.__cause__, ssl.SSLError)
            assert error.nothing_sent
        assert len(server.heads) == 3


def test_a_server_without_tls(make: MakeFace, folder: Path, tls: ssl.SSLContext) -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(10_000)
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with serving(script) as server:
        face = make(f"https://127.0.0.1:{server.port}", tls=client_context(folder))
        assert isinstance(refused(lambda: face.request(POST)).__cause__, OSError)


def test_a_large_body_over_tls(make: MakeFace, tls: ssl.SSLContext, folder: Path) -> None:
    body = b"0123456789abcdef" * 200_000

    def echo(peer: Peer) -> None:
        while peer.read_request():
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            peer.send(peer.server.bodies[-1])

    with serving(echo, tls) as server:
        url = f"https://plane.test:{server.port}"
        face = make(url, tls=client_context(folder), address="127.0.0.1")
        for _ in range(2):
            assert face.request(HttpRequest("POST", "/", {}, body)).body == body
        assert server.connections == 1


# -- proxies --


def through(server: ScriptedServer, login: str = "") -> ProxySettings:
    url = f"http://{login}127.0.0.1:{server.port}"
    return ProxySettings(url, url)


def test_http_goes_to_a_proxy_in_absolute_form(make: MakeFace) -> None:
    """The proxy resolves the name; nothing here does."""
    with serving(answering(OK)) as proxy:
        face = make("http://plane.test", proxies=through(proxy, "user:pa%20ss@"))
        for _ in range(2):
            assert face.request(GET).body == b"ok"
        head = proxy.heads[0]
        assert head.startswith(b"GET http://plane.test/a?b=c HTTP/1.1\r\nHost: plane.test\r\n")
        login = base64.b64encode(b"user:pa ss")
        assert b"Proxy-Authorization: Basic " + login in head
        assert proxy.connections == 1


def test_https_goes_through_a_tunnel(make: MakeFace, tls: ssl.SSLContext, folder: Path) -> None:
    """The proxy sees the name and its own password, and nothing of the request."""

    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")
        peer.start_tls(tls)
        answering(OK)(peer)

    with serving(script) as proxy:
        face = make(
            "https://plane.test",
            headers={"X-API-Key": "secret"},
            proxies=through(proxy, "u:p@"),
            tls=client_context(folder),
        )
        for _ in range(2):
            assert face.request(POST).body == b"ok"
        connect, first, _ = proxy.heads
        assert connect.startswith(b"CONNECT plane.test:443 HTTP/1.1\r\nHost: plane.test:443\r\n")
        assert b"Proxy-Authorization: Basic " in connect
        assert b"secret" not in connect
        assert first.startswith(b"POST /a HTTP/1.1\r\nHost: plane.test\r\nX-API-Key: secret\r\n")
        assert b"Proxy-" not in first


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 407 Auth\r\nContent-Length: 20\r\n\r\n", "the proxy answered 407"),
        (b"HTTP/1.1 502 Bad\r\n\r\n<html>", "the proxy answered 502"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "the proxy answered 302"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", "more than"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", "more than"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "of the proxy: what answers there is not HTTP"),
        (b"SSH-2.0-x\r\n\r\n", "of the proxy: what answers there is not HTTP"),
        (b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000, "of the proxy: the head"),
        (b"", "of the proxy: the connection was closed"),
    ],
    ids=lambda part: str(part[:24]),
)
def test_a_proxy_that_answers_the_wrong_thing(make: MakeFace, answer: bytes, says: str) -> None:
    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(answer)
        if answer.startswith(b"HTTP/1.1 200"):
            peer.read_head()

    with serving(script) as proxy:
        face = make("https://plane.test", headers={"X": "secret"}, proxies=through(proxy))
        error = refused(lambda: face.request(POST))
        assert str(error).startswith(says) or says in str(error)
        assert error.nothing_sent
        assert b"secret" not in b"".join(proxy.heads)


def test_a_silent_proxy_is_given_up(make: MakeFace) -> None:
    with serving(lambda peer: time.sleep(1)) as proxy:
        face = make("https://plane.test", proxies=through(proxy), timeouts=SHORT)
        assert "of the proxy: no answer" in str(refused(lambda: face.request(POST)))


def test_a_proxy_that_cannot_be_used_is_not_passed_over(make: MakeFace) -> None:
    for url in ("socks5://127.0.0.1", "https://127.0.0.1", "http://", "http://a:b:secret"):
        with pytest.raises(InvalidRequestError) as caught:
            make("http://plane.test", proxies=ProxySettings(url, url))
        assert "secret" not in caught.value.message


def test_loopback_and_a_given_address_go_to_no_proxy(make: MakeFace) -> None:
    with serving(answering(OK)) as proxy, serving(answering(OK)) as server:
        assert make(server, proxies=through(proxy)).request(GET).status == 200
        url = f"http://plane.test:{server.port}"
        face = make(url, proxies=through(proxy), address="127.0.0.1")
        assert face.request(GET).status == 200
        assert (proxy.connections, server.connections) == (0, 2)
        assert server.heads[1].startswith(b"GET /a?b=c HTTP/1.1\r\nHost: plane.test:")
