"""Read the body of a request: bounded in bytes, in the time it takes, and in what it will cost.

What a body will cost is known from its bytes alone, before anything of it is read as JSON: its
length, since much of it may be stored, and its commas and brackets, since each is a value to make.
"""

import asyncio
import re
import types
from collections.abc import Awaitable, Generator
from typing import Any, cast

from forestall.errors import ForestallError, LimitExceededError
from forestall.limits import (
    BODY_BYTES_MAX,
    BODY_READ_SECONDS_MAX,
    COST_JSON_VALUES,
    DECODE_INLINE_BYTES_MAX,
    JSON_CONTAINERS_MAX,
)
from forestall.server.endpoints import Receive

_JSON_TYPE = re.compile(rb"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;\s*charset=\"?utf-8\"?\s*)?")


class MediaTypeError(ForestallError):
    """The body is not declared as JSON."""

    code, http_status = "unsupported_media_type", 415


class BodyTimeoutError(ForestallError):
    """The body did not arrive in time."""

    code, http_status = "body_timeout", 408


class ClientGoneError(Exception):
    """The client closed the connection before it had its answer: nothing to answer."""


def long_bytes(headers: dict[bytes, bytes]) -> int:
    """How much memory a body may take, by the head of its request: 0 for a short one. Raises
    LimitExceededError for one that is too long."""
    if b"transfer-encoding" in headers:
        return BODY_BYTES_MAX
    size = declared_bytes(headers)
    if size > BODY_BYTES_MAX:
        raise _body_too_large(size)
    return size if size > DECODE_INLINE_BYTES_MAX else 0


def declared_bytes(headers: dict[bytes, bytes]) -> int:
    """The length of a body as the head of its request declares it; 0 where it declares none."""
    length = headers.get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def byte_cost(size_bytes: int) -> int:
    """What the bytes of a body cost, whatever they say, in cost units (`limits.py`)."""
    return size_bytes // 1_024


def cost_of(body: bytes) -> int:
    """What a body costs, in cost units (`limits.py`)."""
    units = byte_cost(len(body))
    if len(body) > DECODE_INLINE_BYTES_MAX:
        values, containers = body.count(b","), body.count(b"[") + body.count(b"{")
        if containers <= JSON_CONTAINERS_MAX:  # with more the reader makes none of them
            values += containers
        units += values // COST_JSON_VALUES
    return units


async def read_body(receive: Receive, headers: dict[bytes, bytes]) -> bytes:
    """The body. Raises LimitExceededError, MediaTypeError, BodyTimeoutError, ClientGoneError."""
    body = await _whole_body(receive)
    if len(body) > BODY_BYTES_MAX:
        raise _body_too_large(len(body))
    kind = headers.get(b"content-type")
    if body and kind is not None and not _JSON_TYPE.fullmatch(kind.lower()):
        raise MediaTypeError("send the body as Content-Type: application/json (UTF-8)")
    return body


async def _whole_body(receive: Receive) -> bytes:
    """The body. Most arrive with their head; only for another one is a timer made."""
    begun = receive().__await__()
    try:
        waits_for = next(begun)
    except StopIteration as at_once:
        message = at_once.value
        if message["type"] == "http.request" and not message.get("more_body"):
            return cast(bytes, message.get("body", b""))
        return await _slow_body(_ready(message), receive)
    return await _slow_body(_resumed(begun, waits_for), receive)


async def _slow_body(first: Awaitable[dict[str, Any]], receive: Receive) -> bytes:
    """A body that arrives after its head or in parts. Raises BodyTimeoutError, ClientGoneError,
    LimitExceededError."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_READ_SECONDS_MAX):
            message = await first
            while True:
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > BODY_BYTES_MAX:
                    raise _body_too_large(size)
                if not message.get("more_body"):
                    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
                message = await receive()
    except TimeoutError as cause:
        raise BodyTimeoutError(
            f"the body did not arrive within {BODY_READ_SECONDS_MAX} seconds"
        ) from cause


async def _ready(message: dict[str, Any]) -> dict[str, Any]:
    return message


@types.coroutine
def _resumed(
    begun: Generator[Any, Any, dict[str, Any]], waits_for: Any
) -> Generator[Any, Any, dict[str, Any]]:
    """Await the rest of an awaitable that `_whole_body` has driven up to its first wait."""
    try:
        while True:
            try:
                yield waits_for
            except BaseException as thrown:  # noqa: BLE001 - the awaitable handles it or raises it
                waits_for = begun.throw(thrown)
            else:
                waits_for = next(begun)
    except StopIteration as end:
        return cast(dict[str, Any], end.value)


def _body_too_large(size: int) -> LimitExceededError:
    return LimitExceededError(
        f"the body is larger than {BODY_BYTES_MAX} bytes",
        details={"limit": "max_body_bytes", "current": size, "allowed": BODY_BYTES_MAX},
    )
