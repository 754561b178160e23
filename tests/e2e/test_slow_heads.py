"""A caller that does not finish its head, or never says anything, is sent away (HEAD_SECONDS_MAX).

The bound is lowered in the server's process for this test; the mechanism is the real one.
"""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

STARTER = """
import sys
import forestall.server.protocol as protocol
protocol.HEAD_SECONDS_MAX = 0.3
from forestall.cli.main import main
main()
"""


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET",
    ],
)
def test_an_unfinished_head_ends_the_connection(said: bytes, tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, "serve", "--listen", "127.0.0.1:0"]
    command += ["--metrics-listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "data")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = next(line for line in process.stdout if "API " in line).split("http://")[1]
        host, port = address.strip().split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(said)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        assert b"http_head_limit" in received
        assert (b"200 OK" in received) == said.endswith(b"GET")
    finally:
        process.terminate()
        assert process.wait(20) == 0
        assert process.stdout is not None
        process.stdout.close()
