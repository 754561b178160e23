"""Read the body of a request: bounded in bytes, in the time it takes, and in what it will cost.

The cost of a body is computed from its bytes alone, before anything of it is decoded as JSON: from
its length, since much of it may be stored, and from its commas and brackets, since each stands for
a value to make.
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

_LENGTH_DIGITS_MAX = 19
_JSON_TYPE = re.compile(rb"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;\s*charset=\"?utf-8\"?\s*)?")


class MediaTypeError(ForestallError):
    """The body is not declared as JSON."""

    code, http_status = "unsupported_media_type", 415


class BodyTimeoutError(ForestallError):
    """The body did not arrive in time."""

    code, http_status = "body_timeout", 408


class ClientGoneError(Exception):
    """The client closed the connection before it had its answer: nothing to answer."""


def bytes_to_reserve(headers: dict[bytes, bytes]) -> int:
    """How many bytes a body may take, by the head of its request; 0 for a short body, which is
    not counted. Raises LimitExceededError for a body that is too long."""
    if b"transfer-encoding" in headers:
        return BODY_BYTES_MAX
    size = declared_bytes(headers)
    if size > BODY_BYTES_MAX:
        raise _body_too_large(size)
    return size if size > DECODE_INLINE_BYTES_MAX else 0


def declared_bytes(headers: dict[bytes, bytes]) -> int:
    """The length of a body as the head of its request declares it; 0 where it declares none. A
    number of too many digits to be read counts as one byte too many."""
    length = headers.get(b"content-length", b"0")
    if not length.isdigit():
        return 0
    return int(length) if len(length) <= _LENGTH_DIGITS_MAX else BODY_BYTES_MAX + 1


def byte_cost(size_bytes: int) -> int:
    """What the bytes of a body cost, whatever they say, in cost units (`limits.py`)."""
    return size_bytes // 1_024


def cost_of(body: bytes) -> int:
    """What a body costs, in cost units (`limits.py`)."""
    units = byte_cost(len(body))
    if len(body) > DECODE_INLINE_BYTES_MAX:
        values, containers = body.count(b","), body.count(b"[") + body.count(b"{")
        if containers <= JSON_CONTAINERS_MAX:  # the decoder refuses more before it makes any
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
    """The body. Raises as `_slow_body`.

    Most bodies arrive with their head, and for these no timer is made: `receive` is driven by hand
    to its first wait, and returns before it when the body is there.
    """
    receiving = receive().__await__()
    try:
        awaited = next(receiving)
    except StopIteration as returned:
        message = returned.value
        if message["type"] == "http.request" and not message.get("more_body"):
            return cast(bytes, message.get("body", b""))
        return await _slow_body(_value(message), receive)
    return await _slow_body(_continued(receiving, awaited), receive)


async def _slow_body(first: Awaitable[dict[str, Any]], receive: Receive) -> bytes:
    """A body that arrives after its head or in parts; `first` is its first message. Raises
    BodyTimeoutError, ClientGoneError, LimitExceededError."""
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


async def _value(message: dict[str, Any]) -> dict[str, Any]:
    return message


@types.coroutine
def _continued(
    receiving: Generator[Any, Any, dict[str, Any]], awaited: Any
) -> Generator[Any, Any, dict[str, Any]]:
    """The rest of a coroutine that was driven up to its first wait, for `awaited`: pass what it
    waits for to the event loop, and what the event loop sends or throws back to it."""
    try:
        while True:
            try:
                yield awaited
            except BaseException as thrown:  # noqa: BLE001 - the coroutine handles it or raises it
                awaited = receiving.throw(thrown)
            else:
                awaited = next(receiving)
    except StopIteration as returned:
        return cast(dict[str, Any], returned.value)


def _body_too_large(size: int) -> LimitExceededError:
    return LimitExceededError(
        f"the body is larger than {BODY_BYTES_MAX} bytes",
        details={"limit": "max_body_bytes", "current": size, "allowed": BODY_BYTES_MAX},
    )
