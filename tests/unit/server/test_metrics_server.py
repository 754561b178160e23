"""The metrics: served while others hold connections open and send nothing."""

import socket
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest

from forestall.limits import METRIC_CONNECTIONS_MAX
from forestall.server import metrics_server
from forestall.server.metrics import Metrics
from forestall.server.metrics_server import MetricsServer


@pytest.fixture
def door() -> Iterator[MetricsServer]:
    opened = MetricsServer("127.0.0.1", 0, Metrics().registry)
    yield opened
    opened.close()


def _scrape(door: MetricsServer) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{door.port}/metrics", timeout=5) as reply:
        found: bytes = reply.read()
        return found


def _threads() -> int:
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def _until(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /metrics HTTP/1.1\r\nX: "])
def test_half_open_connections_hold_a_bounded_number_of_threads(
    door: MetricsServer, sent: bytes
) -> None:
    before = _threads()
    half = [
        socket.create_connection(("127.0.0.1", door.port))
        for _ in range(METRIC_CONNECTIONS_MAX * 3)
    ]
    for connection in half:
        connection.send(sent)
    assert b"forestall_decisions" in _scrape(door)
    _until(lambda: _threads() - before <= METRIC_CONNECTIONS_MAX)
    for connection in half:
        connection.close()
    _until(lambda: _threads() <= before)


def test_a_connection_that_takes_too_long_is_closed(
    door: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server, "METRIC_SECONDS_MAX", 0.2)
    before = _threads()
    with socket.create_connection(("127.0.0.1", door.port)) as slow:
        slow.settimeout(10)
        slow.send(b"GET /metr")
        assert slow.recv(1_000) == b""
    _until(lambda: _threads() <= before)
