"""A thin ASGI core: route, authenticate, authorise, bound the body, call, answer. No verbs here.

Every answer is JSON, carries X-Request-Id and the security headers, and is counted. An error that a
handler raises becomes a coded body; any other exception becomes 500 `internal_error`, without a
word of its text.
"""

import asyncio
import logging
import re
import time
import types
from collections.abc import Awaitable, Generator, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl

import msgspec

from forestall.control.keys import authenticate
from forestall.control.plane import Plane
from forestall.errors import (
    ForbiddenError,
    ForestallError,
    InternalError,
    InvalidRequestError,
    LimitExceededError,
    NotFoundError,
    UnauthorizedError,
)
from forestall.identity.credentials import Subject
from forestall.limits import BODY_BYTES_MAX, BODY_READ_SECONDS_MAX, QUERY_FIELDS_MAX
from forestall.server.endpoints import (
    FIXED_HEADERS,
    Answer,
    Call,
    Endpoint,
    Headers,
    Receive,
    Send,
    StreamingBody,
)
from forestall.server.host_names import HostNames
from forestall.server.metrics import Metrics
from forestall.server.rates import RateLimitedError, Rates
from forestall.wire.errors import error_object
from forestall.wire.stream import subprotocol_key
from forestall.wire.submissions import TENANT_ACCESS_DENIED, TenantAccessError

_LOG = logging.getLogger("forestall.http")
_ENCODER = msgspec.json.Encoder()
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_JSON_TYPE = re.compile(rb"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;\s*charset=\"?utf-8\"?\s*)?")
_LOG_EVERY_SECONDS = 60
_COUNTED_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})
_RETRY_AFTER_S = 5  # for an outage of unknown length
# With two values of one of these, a proxy and this server could read two different requests.
_SINGLE_HEADERS = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"last-event-id",
        b"origin",
        b"transfer-encoding",
        b"x-api-key",
        b"x-cordum-tenant",
        b"x-idempotency-key",
        b"x-tenant-id",
    }
)


class RouteNotFoundError(NotFoundError):
    """No endpoint has this path."""

    code, http_status = "route_not_found", 404


class MethodNotAllowedError(ForestallError):
    """The path exists, but not with this method; the Allow header names those that do."""

    code, http_status = "method_not_allowed", 405


class MediaTypeError(ForestallError):
    """The body is not declared as JSON."""

    code, http_status = "unsupported_media_type", 415


class BodyTimeoutError(ForestallError):
    """The body did not arrive in time."""

    code, http_status = "body_timeout", 408


class ClientGoneError(Exception):
    """The client closed the connection before it had sent its whole request: nothing to answer."""


class _Route(NamedTuple):
    pattern: str
    segments: tuple[str, ...]
    by_method: dict[str, Endpoint]


class Gateway:
    """The ASGI application over a table of endpoints."""

    def __init__(
        self,
        plane: Plane,
        endpoints: Sequence[Endpoint],
        metrics: Metrics,
        rates: Rates | None = None,
        host_names: HostNames | None = None,
    ) -> None:
        self._plane = plane
        self._metrics = metrics
        self._rates = rates or Rates()
        self._host_names = host_names or HostNames()
        self._exact: dict[str, _Route] = {}
        self._patterns: dict[tuple[int, str], list[_Route]] = {}
        self._logged_at: dict[str, float] = {}
        routes: dict[str, _Route] = {}
        for endpoint in endpoints:
            segments = tuple(endpoint.path.split("/"))
            route = routes.setdefault(endpoint.path, _Route(endpoint.path, segments, {}))
            route.by_method[endpoint.method] = endpoint
        for route in routes.values():
            if "{" in route.pattern:
                self._patterns.setdefault(_shape(route.segments), []).append(route)
            else:
                self._exact[route.pattern] = route

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request, or one WebSocket handshake as if it were a GET."""
        websocket = scope["type"] == "websocket"
        if not websocket and scope["type"] != "http":
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        repeated = len(headers) != len(scope["headers"]) and _repeated(scope["headers"])
        sent_id = headers.get(b"x-request-id")
        if sent_id and _REQUEST_ID.fullmatch(sent_id):
            request_id = sent_id.decode()
        else:
            request_id = self._plane.random.token(8).hex()
        method: str = scope.get("method", "GET")
        route, params = self._find(scope["path"])
        pattern = route.pattern if route else "unknown"
        try:
            if repeated:
                raise InvalidRequestError(f"the header `{repeated}` is sent twice")
            answer = await self._answer(scope, receive, headers, method, route, params)
        except ClientGoneError:
            return
        except ForestallError as error:
            error = self._bounded(error, scope)
            if error.http_status >= 500:
                self._log_failure(error, method, pattern)
            answer = _refusal(error, route)
        except Exception:  # noqa: BLE001 - nothing runs and the client gets 500
            # The client learns nothing of it; the operator finds the traceback by the request id.
            _LOG.exception("unforeseen error in %s %s (request %s)", method, pattern, request_id)
            answer = _refusal(InternalError("internal error"), route)
        if not isinstance(answer.body, StreamingBody):
            deny = _denying(send) if websocket else send
            await _send(deny, answer, request_id, head_only=method == "HEAD")
        counted_method = method if method in _COUNTED_METHODS else "OTHER"
        self._metrics.answered(
            counted_method, pattern, answer.status, time.perf_counter() - started
        )
        if isinstance(answer.body, StreamingBody):
            opening = (*FIXED_HEADERS, (b"x-request-id", request_id.encode()), *answer.headers)
            await answer.body.run(scope, receive, send, opening)

    def _bounded(self, error: ForestallError, scope: dict[str, Any]) -> ForestallError:
        """The error, or RateLimitedError when this address has sent too many bad keys. Counts bad
        keys and rate limits."""
        client = scope.get("client")
        if isinstance(error, UnauthorizedError):
            try:
                # All requests without a known address share one limit.
                self._rates.failed(client[0] if client else "", time.monotonic_ns())
            except RateLimitedError as limited:
                error = limited
        if isinstance(error, RateLimitedError):
            self._metrics.rate_limited(error.scope)
        return error

    def _log_failure(self, error: ForestallError, method: str, pattern: str) -> None:
        """Log a refusal, at most once in _LOG_EVERY_SECONDS for each code: a full disk refuses
        every request."""
        now = time.monotonic()
        if now - self._logged_at.get(error.code, -_LOG_EVERY_SECONDS) >= _LOG_EVERY_SECONDS:
            self._logged_at[error.code] = now
            _LOG.error("%s %s refused: %s: %s", method, pattern, error.code, error.message)

    async def _answer(
        self,
        scope: dict[str, Any],
        receive: Receive,
        headers: dict[bytes, bytes],
        method: str,
        route: _Route | None,
        params: tuple[str, ...],
    ) -> Answer:
        endpoint = route and route.by_method.get("GET" if method == "HEAD" else method)
        # What is public says nothing of this server, and a probe may use any name.
        if endpoint is None or endpoint.permission is not None:
            self._host_names.require(method, headers.get(b"host"), headers.get(b"origin"))
        if route is None:
            raise RouteNotFoundError("no such endpoint; the API begins at /api/v1")
        if endpoint is None:
            raise MethodNotAllowedError(f"this path does not take {method[:16]}")
        subject = None
        standing: Headers = ()
        websocket = scope["type"] == "websocket"
        key_in_subprotocol = False
        if endpoint.permission is not None:
            key = _credential(headers)
            if key is None and websocket:
                key = subprotocol_key(scope["subprotocols"])
                key_in_subprotocol = key is not None
            subject = authenticate(self._plane, key)
            standing = self._rates.admit(subject.key_id, subject.tenant, time.monotonic_ns())
            _require_tenant(subject, headers)
            if not subject.may(endpoint.permission):
                raise ForbiddenError(
                    f"the role `{subject.role}` may not do this; it needs `{endpoint.permission}`",
                    details={"required": endpoint.permission.value, "role": subject.role.value},
                )
        body = b"" if websocket else await _read_body(receive, headers)
        query = _query(scope["query_string"])
        answer = await endpoint.handler(
            self._plane,
            Call(subject, params, query, headers, body, receive, websocket, key_in_subprotocol),
        )
        return answer._replace(headers=(*answer.headers, *standing)) if standing else answer

    def _find(self, path: str) -> tuple[_Route | None, tuple[str, ...]]:
        route = self._exact.get(path)
        if route is not None:
            return route, ()
        segments = path.split("/")
        for candidate in self._patterns.get(_shape(segments), ()):
            params = []
            for expected, segment in zip(candidate.segments, segments, strict=True):
                if expected.startswith("{"):
                    params.append(segment)
                elif expected != segment:
                    break
            else:
                return candidate, tuple(params)
        return None, ()


def _shape(segments: Sequence[str]) -> tuple[int, str]:
    """The parts that all paths of a pattern share: number of segments, and name of the resource."""
    return len(segments), segments[3] if len(segments) > 3 else ""


def _repeated(headers: Headers) -> str:
    """The name of a header that may be sent once and was sent twice; empty when there is none."""
    names = set()
    for name, _ in headers:
        if name in names:
            return name.decode("latin-1")
        if name in _SINGLE_HEADERS:
            names.add(name)
    return ""


def _credential(headers: dict[bytes, bytes]) -> str | None:
    """The API key: a bearer token wins over X-API-Key; surrounding quotes are trimmed."""
    authorization = headers.get(b"authorization", b"")
    if authorization[:7].lower() == b"bearer ":
        return authorization[7:].decode("latin-1").strip()
    key = headers.get(b"x-api-key")
    return None if key is None else key.decode("latin-1").strip().strip("\"'")


def _require_tenant(subject: Subject, headers: dict[bytes, bytes]) -> None:
    for name in (b"x-tenant-id", b"x-cordum-tenant"):
        named = headers.get(name)
        if named and named.decode("latin-1") != subject.tenant:
            raise TenantAccessError(TENANT_ACCESS_DENIED)


async def _read_body(receive: Receive, headers: dict[bytes, bytes]) -> bytes:
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > BODY_BYTES_MAX:
        raise _body_too_large(int(length))
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


def _query(raw: bytes) -> dict[str, str]:
    if not raw:
        return {}
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=QUERY_FIELDS_MAX,
            errors="strict",
        )
    except ValueError as cause:
        raise InvalidRequestError("the query string cannot be read") from cause
    query = dict(pairs)
    if len(query) != len(pairs):
        raise InvalidRequestError("the query names a field twice")
    return query


def _refusal(error: ForestallError, route: _Route | None) -> Answer:
    headers = []
    retry_after_s = error.retry_after_s
    if retry_after_s is None and error.http_status == 503:
        retry_after_s = _RETRY_AFTER_S
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    if isinstance(error, RateLimitedError):
        headers += error.headers
    if isinstance(error, MethodNotAllowedError) and route is not None:
        headers.append((b"allow", ", ".join(sorted(route.by_method)).encode()))
    if error.http_status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.http_status == 426:
        headers += [(b"upgrade", b"websocket"), (b"connection", b"upgrade")]
    return Answer(error.http_status, error_object(error), headers)


def _denying(send: Send) -> Send:
    """Send an HTTP answer as the refusal of a WebSocket handshake (ASGI, denial response)."""

    async def deny(message: dict[str, Any]) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    return deny


async def _send(send: Send, answer: Answer, request_id: str, *, head_only: bool) -> None:
    headers = [*FIXED_HEADERS, (b"x-request-id", request_id.encode()), *answer.headers]
    body = b""
    if answer.status != 204:  # a 204 has neither body nor length (RFC 9110, 8.6)
        value = answer.body
        if answer.status >= 400:
            value = msgspec.structs.replace(value, request_id=request_id)
        body = _ENCODER.encode(value)
        headers.append((b"content-type", b"application/json"))
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head_only else body})
