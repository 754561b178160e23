"""Send one flood of `stall_payloads.py` in a process of its own, and print the answers by status.

Arguments: name of the payload, seconds, port, port of the metrics, key.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter

from bench.stall_payloads import PAYLOADS, Payload

_PAUSE_SECONDS = 0.05  # after a connection that the server did not take
_LEAVES_AFTER_SECONDS = 0.2


def main() -> None:
    """See the module's docstring."""
    name, seconds, port, metrics_port, key = sys.argv[1:]
    payload = next(each for each in PAYLOADS if each.name == name)
    flood = Flood(payload, int(metrics_port if payload.path == "metrics" else port), key)
    asyncio.run(flood.send(float(seconds)))
    print(json.dumps(flood.answers))


class Flood:
    """One flood; `answers` counts what came of its requests."""

    def __init__(self, payload: Payload, port: int, key: str) -> None:
        self._payload, self._port, self._key = payload, port, key
        self._numbers = itertools.count()
        self._until = 0.0
        self._half = b"GET /metrics HTTP/1.1\r\n" if payload.path in ("metrics", "half") else b""
        self.answers: Counter[str] = Counter()

    async def send(self, seconds: float) -> None:
        """Send for so many seconds."""
        self._until = time.perf_counter() + seconds
        await asyncio.gather(*(self._connections() for _ in range(self._payload.connections)))

    async def _connections(self) -> None:
        """One connection after the other."""
        while time.perf_counter() < self._until:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                self.answers["refused"] += 1
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            try:
                await self._talk(reader, writer)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                self.answers["closed"] += 1
                await asyncio.sleep(_PAUSE_SECONDS)
            finally:
                writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        payload = self._payload
        while (left := self._until - time.perf_counter()) > 0:
            body = payload.body(next(self._numbers))
            writer.write(self._half or request_bytes(payload.method, payload.path, self._key, body))
            if payload.leaves or self._half:
                await asyncio.sleep(left if self._half else min(left, _LEAVES_AFTER_SECONDS))
                self.answers["left"] += 1
                return
            try:
                self.answers[await asyncio.wait_for(answer_status(reader), left)] += 1
            except TimeoutError:
                self.answers["waits"] += 1
                return


def request_bytes(method: str, path: str, key: str, body: bytes) -> bytes:
    """A request as bytes."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n"
    if "stream" in path:
        head += "Accept: text/event-stream\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def answer_status(reader: asyncio.StreamReader) -> str:
    """Read one whole answer; its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    _, found, rest = head.partition("content-length: ")
    if found:
        await reader.readexactly(int(rest.partition("\r\n")[0]))
    return head[9:12]


if __name__ == "__main__":
    main()
